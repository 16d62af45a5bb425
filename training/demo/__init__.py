"""The demo projects: a finished round to look at, the next one half way, and a project of real rankings."""

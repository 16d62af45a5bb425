"""REST of people and projects: parse, call a service, render."""

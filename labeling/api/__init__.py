"""REST: prompts, tasks and assignments, quality."""

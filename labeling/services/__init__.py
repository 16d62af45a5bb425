"""The only writers of prompts, batches, tasks, assignments, drafts and answers."""

"""People's work: prompts, tasks handed out under a lease, demonstrations and rankings."""

from labeling.choices import LeftOutReason, PromptSource, SkipReason, Split, TaskKind
from labeling.models.answers import Answer, Demonstration, RankedItem, Ranking, Skip
from labeling.models.work import Assignment, Batch, Candidate, Draft, LeftOut, Prompt, Slot, Tally, Task

__all__ = [
    "Answer",
    "Assignment",
    "Batch",
    "Candidate",
    "Demonstration",
    "Draft",
    "LeftOut",
    "LeftOutReason",
    "Prompt",
    "PromptSource",
    "RankedItem",
    "Ranking",
    "Skip",
    "SkipReason",
    "Slot",
    "Split",
    "Tally",
    "Task",
    "TaskKind",
]

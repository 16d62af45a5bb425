"""Reads of labeling. Whoever stands above (rounds, snapshots) finds here what it needs."""

from labeling.selectors.progress import batch_progress, held_by_people
from labeling.selectors.quality import quality
from labeling.selectors.training import (
    canonical_demonstration,
    canonical_prompt,
    canonical_ranking,
    demonstrations_for_training,
    may_be_learned,
    prompts_for_training,
    prompts_left_out,
    rankings_for_measuring,
    rankings_for_training,
)

__all__ = [
    "batch_progress",
    "canonical_demonstration",
    "canonical_prompt",
    "canonical_ranking",
    "demonstrations_for_training",
    "held_by_people",
    "may_be_learned",
    "prompts_for_training",
    "prompts_left_out",
    "quality",
    "rankings_for_measuring",
    "rankings_for_training",
]

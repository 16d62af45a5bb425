"""States of sampling jobs and stages of model versions, with every legal move."""

from django.db.models import TextChoices


class JobState(TextChoices):
    QUEUED = "queued"  # waits for a sampler
    RUNNING = "running"  # a sampler holds the lease and writes completions
    DONE = "done"  # every request has exactly its n completions
    FAILED = "failed"  # ended with one clear reason
    CANCELLED = "cancelled"  # somebody stopped it; what was sampled stays


JOB_MOVES: dict[str, set[str]] = {
    JobState.QUEUED: {JobState.RUNNING, JobState.CANCELLED},
    # Running again: another sampler takes over where the lease is over.
    JobState.RUNNING: {
        JobState.RUNNING,
        JobState.QUEUED,
        JobState.DONE,
        JobState.FAILED,
        JobState.CANCELLED,
    },
}


class Stage(TextChoices):
    READY = "ready"  # registered; nothing was decided about it yet
    CURRENT = "current"  # the project's policy: the next round samples from it (at most one, by constraint)
    RETIRED = "retired"  # was current once
    DROPPED = "dropped"  # looked at and refused


STAGE_MOVES: dict[str, set[str]] = {
    Stage.READY: {Stage.CURRENT, Stage.DROPPED},
    Stage.CURRENT: {Stage.RETIRED},
    Stage.RETIRED: {Stage.CURRENT},
    Stage.DROPPED: {Stage.CURRENT},
}

"""States of batches, tasks and assignments, with every legal move."""

from django.db.models import TextChoices


class BatchState(TextChoices):
    OPEN = "open"  # its tasks are handed out
    FROZEN = "frozen"  # no more answers, corrections included: a snapshot was or is being made
    CANCELLED = "cancelled"  # given up; what was answered stays


BATCH_MOVES: dict[str, set[str]] = {BatchState.OPEN: {BatchState.FROZEN, BatchState.CANCELLED}}


class TaskState(TextChoices):
    OPEN = "open"  # at least one slot has no answer yet
    COMPLETE = "complete"  # every slot is answered
    WITHDRAWN = "withdrawn"  # set aside: too many skips, or its batch was cancelled


TASK_MOVES: dict[str, set[str]] = {
    TaskState.OPEN: {TaskState.COMPLETE, TaskState.WITHDRAWN},
}


class AssignmentState(TextChoices):
    LEASED = "leased"  # the labeler holds the slot until the lease ends
    SUBMITTED = "submitted"  # answered, counted
    SKIPPED = "skipped"  # passed over with a reason; never offered to this labeler again
    RELEASED = "released"  # given back
    EXPIRED = "expired"  # the lease ran out; the draft stays
    LATE = "late"  # answered after the slot was gone: kept, not counted


ASSIGNMENT_MOVES: dict[str, set[str]] = {
    AssignmentState.LEASED: {
        AssignmentState.SUBMITTED,
        AssignmentState.SKIPPED,
        AssignmentState.RELEASED,
        AssignmentState.EXPIRED,
        AssignmentState.LATE,
    },
    # A finished answer is never thrown away: it takes the slot again if that is free, else it is late.
    AssignmentState.EXPIRED: {
        AssignmentState.SUBMITTED,
        AssignmentState.LATE,
        AssignmentState.LEASED,
        AssignmentState.SKIPPED,
    },
    AssignmentState.RELEASED: {
        AssignmentState.SUBMITTED,
        AssignmentState.LATE,
        AssignmentState.LEASED,
        AssignmentState.SKIPPED,
    },
}

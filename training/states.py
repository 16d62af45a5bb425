"""The product on one page: states of rounds, runs and attempts, with every legal move."""

from django.db.models import TextChoices


class RoundState(TextChoices):
    DRAFT = "draft"  # being set up; nothing was asked of anybody
    DEMONSTRATING = "demonstrating"  # labelers write demonstrations until the quota is met
    TRAINING_SFT = "training_sft"  # a run learns from the demonstrations so far
    SAMPLING = "sampling"  # the sampler writes K completions for every prompt
    RANKING = "ranking"  # labelers order them until the quota is met
    TRAINING_REWARD = "training_reward"  # a reward model learns from all accepted rankings so far
    TRAINING_POLICY = "training_policy"  # PPO against the reward model, near the reference
    EVALUATING = "evaluating"  # candidate and current policy answer the same prompts; both are scored
    REVIEW = "review"  # a person compares and decides; blind comparisons may go on
    PROMOTED = "promoted"  # the candidate is the project's policy; the next round samples from it
    DROPPED = "dropped"  # the candidate was refused
    CANCELLED = "cancelled"  # somebody stopped the round
    FAILED = "failed"  # a step ended with a reason that a person must see


STEPS = (
    RoundState.DEMONSTRATING,
    RoundState.TRAINING_SFT,
    RoundState.SAMPLING,
    RoundState.RANKING,
    RoundState.TRAINING_REWARD,
    RoundState.TRAINING_POLICY,
    RoundState.EVALUATING,
    RoundState.REVIEW,
)
ENDED = (RoundState.PROMOTED, RoundState.DROPPED, RoundState.CANCELLED, RoundState.FAILED)


def _moves() -> dict[str, set[str]]:
    """Forward to any later step (recipes leave steps out), or out of the line from anywhere."""
    line = [RoundState.DRAFT, *STEPS]
    out: dict[str, set[str]] = {}
    for place, state in enumerate(line):
        out[state] = {str(later) for later in line[place + 1 :]} | {RoundState.CANCELLED, RoundState.FAILED}
    out[RoundState.REVIEW] |= {RoundState.PROMOTED, RoundState.DROPPED}
    # A failed step may be tried again once its cause is gone.
    out[RoundState.FAILED] = {str(step) for step in STEPS} | {RoundState.CANCELLED}
    return out


ROUND_MOVES: dict[str, set[str]] = _moves()


class RunState(TextChoices):
    QUEUED = "queued"  # waits for a training worker
    RUNNING = "running"  # a supervisor holds the lease, a child process trains
    SUCCEEDED = "succeeded"  # exactly one version per role was registered
    FAILED = "failed"  # ended with a code, a message and a remedy; nothing was published
    CANCELLED = "cancelled"  # somebody stopped it; nothing was published


RUN_MOVES: dict[str, set[str]] = {
    RunState.QUEUED: {RunState.RUNNING, RunState.CANCELLED},
    # Running again: another supervisor takes over where the lease is over.
    RunState.RUNNING: {
        RunState.RUNNING,
        RunState.QUEUED,
        RunState.SUCCEEDED,
        RunState.FAILED,
        RunState.CANCELLED,
    },
    RunState.FAILED: {RunState.QUEUED},  # retry, from the last good checkpoint
    RunState.CANCELLED: {RunState.QUEUED},
}


class AttemptState(TextChoices):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"  # the heartbeat stopped: host, worker or child died
    FENCED = "fenced"  # came back after a successor had started; its writes were refused
    CANCELLED = "cancelled"


ATTEMPT_MOVES: dict[str, set[str]] = {
    AttemptState.RUNNING: {
        AttemptState.SUCCEEDED,
        AttemptState.FAILED,
        AttemptState.LOST,
        AttemptState.FENCED,
        AttemptState.CANCELLED,
    }
}

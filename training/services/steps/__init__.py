"""The steps of a round. Each can be asked any number of times to start, and whether it has what it needs."""

from training.services.steps.base import Progress, Step, StepFailed
from training.services.steps.evaluating import Evaluating
from training.services.steps.people import Demonstrating, RankingStep, Review
from training.services.steps.sampling import Sampling
from training.services.steps.training import TrainingPolicy, TrainingReward, TrainingSFT
from training.states import RoundState

STEPS: dict[str, Step] = {
    RoundState.DEMONSTRATING: Demonstrating(),
    RoundState.TRAINING_SFT: TrainingSFT(),
    RoundState.SAMPLING: Sampling(),
    RoundState.RANKING: RankingStep(),
    RoundState.TRAINING_REWARD: TrainingReward(),
    RoundState.TRAINING_POLICY: TrainingPolicy(),
    RoundState.EVALUATING: Evaluating(),
    RoundState.REVIEW: Review(),
}

__all__ = ["STEPS", "Progress", "Step", "StepFailed"]

"""What there is to choose from: splits, sources of prompts, kinds of tasks, reasons to skip."""

from django.db.models import TextChoices


class Split(TextChoices):
    TRAIN = "train"  # 90 %
    VALID = "valid"  # 5 %: chosen on, reported on
    HELDOUT = "heldout"  # 5 %: only measured on


class PromptSource(TextChoices):
    IMPORTED = "imported"
    PLAIN = "plain"
    FEW_SHOT = "few_shot"
    USER_BASED = "user_based"
    PLAYGROUND = "playground"


class LeftOutReason(TextChoices):
    NEAR_DUPLICATE = (
        "near_duplicate"  # shares a long prefix with a prompt that was there, or earlier in the file
    )
    OWNER_CAP = "owner_cap"  # its owner had as many prompts as one owner may have


class TaskKind(TextChoices):
    DEMONSTRATION = "demonstration"
    RANKING = "ranking"
    COMPARISON = "comparison"  # K = 2, one of each of two versions, blind


class SkipReason(TextChoices):
    UNCLEAR = "unclear"
    EXPERTISE = "expertise"
    LANGUAGE = "language"
    SENSITIVE = "sensitive"
    BROKEN = "broken"

"""Settings of supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import score_without_eos
from training.core.config.tuned import TunedConfig
from training.core.settings import setting

LOSS_TURNS = ("last", "all")
SELECT = ("last", "valid_loss", "reward")


@dataclass(frozen=True, kw_only=True, slots=True)
class SFTConfig(TunedConfig):
    """Supervised fine-tuning on demonstrations: the loss is on the answer's tokens, its EOS included (IG 3.5, C.1)."""

    epochs: int = setting(
        3, "Passes over the demonstrations.", unit="epochs", low=1, high=1000, source="IG C.1: 16; ours: 3"
    )
    batch_size: int = setting(
        16,
        "Demonstrations per step.",
        unit="demonstrations",
        low=1,
        high=65_536,
        source="IG C.1: 32, or 8 for 175B; ours: 16",
    )
    dropout: float = setting(0.0, "Residual dropout.", low=0.0, high=0.9, source="IG C.1: 0.2; ours: off")
    max_length: int = setting(
        2048,
        "Longer dialogues are dropped and counted, never cut.",
        unit="tokens",
        low=8,
        high=131_072,
        source="IG C: 2k",
    )
    max_prompt_length: int | None = setting(
        None,
        "Demonstrations with a longer prompt are dropped and counted; null: max_length alone counts.",
        unit="tokens",
        low=1,
        high=131_072,
        source="IG C: 1k; ours: off",
    )
    max_answer_length: int | None = setting(
        None,
        "Demonstrations with a longer last answer are dropped and counted; null: max_length alone counts.",
        unit="tokens",
        low=1,
        high=131_072,
        source="IG C: 1k; ours: off",
    )
    packing: bool = setting(
        default=True,
        help="Put several demonstrations into one row, each blind to the others, instead of padding each to the longest. "
        "The same demonstrations make up a step, and its loss is the same.",
        source="2107.02027; ours: docs/decisions/0012",
    )
    sort_window: int = setting(
        1,
        "Batches that are sorted by length together to save padding; 1: none. Batches of short answers then count as much "
        "as those of long ones, and the model learns to end too early: for models that cannot be packed.",
        unit="batches",
        low=1,
        high=10_000,
        source="ours: docs/decisions/0012",
    )
    loss_turns: str = setting(
        "last",
        "Learn from the last assistant turn of a dialogue, or from all that answer something. A row's own `learn`, a list "
        "of message indexes, comes first.",
        choices=LOSS_TURNS,
        source="ours: the turn that was demonstrated",
    )
    select: str = setting(
        "last",
        "Which measured step is published: the last; the one with the lowest validation loss; or the one whose answers "
        "to validation prompts the reward model (inputs.reward) likes best.",
        choices=SELECT,
        source="IG 3.5, C.1; ours: needs no reward model",
    )
    reward_prompts: int = setting(
        64,
        "Validation prompts answered for the reward model.",
        unit="prompts",
        low=1,
        high=100_000,
        source="ours: a rough mean at little cost",
    )
    reward_tokens: int = setting(
        128,
        "Longest such answer.",
        unit="tokens",
        low=1,
        high=32_768,
        source="ours: suits the starter's answers",
    )
    no_eos_reward: float | None = score_without_eos()
    pretrain_fraction: float = setting(
        0.0,
        "Share of the learned tokens of every step that is other text (inputs.pretraining), every token of which is "
        "learned, as in InstructGPT's model that RL starts from; 0: none.",
        low=0.0,
        high=0.9,
        source="IG C.3: 0.1; ours: off",
    )

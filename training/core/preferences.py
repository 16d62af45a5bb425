"""Rankings as DPO reads them: where each answer begins, what was asked, and what the reference says of every answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.core.data import Dropped, Prompt, Ranking, bad_row, read_prompts, read_rankings


@dataclass(frozen=True, slots=True)
class Preference:
    """A ranking and its prompt: answers[k] is the prompt's ids and what follows them."""

    ranking: Ranking
    prompt: Prompt
    place: int
    """Where the cache of reference log-probabilities keeps its first answer; the others follow."""

    @property
    def prompt_tokens(self) -> int:
        return len(self.prompt.ids)

    @property
    def answer_tokens(self) -> list[int]:
        return [len(answer) - len(self.prompt.ids) for answer in self.ranking.answers]

    @property
    def cost(self) -> tuple[int, int]:
        """Rows and longest row of a forward pass, for micro_batches."""
        return len(self.ranking.answers), self.ranking.longest


def read_preferences(
    folder: Path,
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    vocabulary: int,
    dropped: Dropped,
    *,
    first: int = 0,
) -> list[Preference]:
    """The rankings that the reward model would read, each with its prompt; `first` is the cache's first free place."""
    rankings = read_rankings(folder, name, tokenizer, limit, vocabulary, dropped)
    prompts = {prompt.id: prompt for prompt in read_prompts(folder, name, tokenizer, limit, Dropped())}
    found: list[Preference] = []
    for ranking in rankings:
        prompt = prompts[ranking.id]
        if ranking.prompt != tuple(prompt.ids):
            raise bad_row(name, f"has two different prompts under the id {ranking.id!r}")
        found.append(Preference(ranking, prompt, first))
        first += len(ranking.answers)
    return found


def answers_in(rows: Iterable[Preference]) -> int:
    return sum(len(row.ranking.answers) for row in rows)


def prompts_of(rows: Iterable[Preference]) -> list[Prompt]:
    """What was asked, each prompt once."""
    return list({tuple(row.prompt.ids): row.prompt for row in rows}.values())


class ReferenceLogprobs(nn.Module):
    """Log-probability of every answer under the reference, in nats: computed once, since the reference never changes.

    A module for its buffer alone: so it lies in the checkpoint, and a resumed run goes on with the same bits.
    """

    logp: Tensor

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.register_buffer("logp", torch.zeros(answers))

    def _index(self, rows: Sequence[Preference]) -> Tensor:
        places = [row.place + k for row in rows for k in range(len(row.ranking.answers))]
        return torch.tensor(places, device=self.logp.device)

    def store(self, rows: Sequence[Preference], logp_N: Tensor) -> None:
        self.logp[self._index(rows)] = logp_N

    def of(self, rows: Sequence[Preference]) -> Tensor:
        """(N,), the answers of these rankings one after another."""
        return self.logp[self._index(rows)]

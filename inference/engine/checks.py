"""What a request must be before the engine takes it. Every error is a ValueError naming the field and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.engine.requests import SampleRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a model can take: ids below `vocabulary`, and at most `context` tokens, prompt and completion together."""

    vocabulary: int
    context: int

    def check_request(self, request: SampleRequest) -> None:
        """Refuse what could not be sampled."""
        self._check_prompt("prompt_ids", request.prompt_ids)
        if len(request.prompt_ids) >= self.context:
            raise ValueError(
                f"prompt_ids has {len(request.prompt_ids)} tokens and the model's context is {self.context}; "
                f"shorten the prompt to at most {self.context - 1}."
            )
        wanted = request.wanted()
        if not wanted or len(set(wanted)) < len(wanted) or min(wanted) < 0:
            raise ValueError(
                "candidates must be different numbers from 0, and n at least 1; send at least one."
            )
        self._check_ids("stop_token_ids", request.params.stop_token_ids)
        self._check_ids("logit_bias", list(request.params.logit_bias))

    def check_item(self, name: str, prompt: Sequence[int], completion: Sequence[int]) -> None:
        """Refuse what could not be scored."""
        self._check_prompt(f"{name} prompt", prompt)
        self._check_ids(f"{name} completion", completion)
        length = len(prompt) + len(completion)
        if length > self.context:
            raise ValueError(
                f"{name} has {length} tokens and the model's context is {self.context}; shorten it."
            )

    def _check_prompt(self, name: str, prompt: Sequence[int]) -> None:
        if not prompt:
            raise ValueError(f"{name} is empty; send at least one token for the model to go on from.")
        self._check_ids(name, prompt)

    def _check_ids(self, name: str, ids: Sequence[int]) -> None:
        if len(ids) and not (min(ids) >= 0 and max(ids) < self.vocabulary):
            raise ValueError(
                f"{name} holds a token id outside 0..{self.vocabulary - 1}; use the model's own tokenizer."
            )

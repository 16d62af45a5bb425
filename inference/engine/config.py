"""Sampling settings, checked where they are made and free of torch, so that forms and REST use them too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

LEAST_TEMPERATURE = 1e-6
"""Above 0. Logits divided by less may leave float32, and no draw tells them from the most likely token's anyway."""
MAX_STOP_STRINGS = 16
MAX_STOP_CHARACTERS = 256
MAX_LOGIT_BIAS = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How one completion is drawn.

    Order of application, with raw logits l, bias b and c[j] = times token j was sampled in this completion:
    l[j] + b[j], then repetition_penalty, then - c[j] * frequency_penalty - (c[j] > 0) * presence_penalty (OpenAI API
    reference, "Parameter details"), then / temperature, then top_k, top_p, min_p, then the draw. Log-probabilities
    that are reported are always those of the raw logits at temperature 1.
    """

    max_tokens: int
    """Most tokens to write, EOS included. Tokens, 0 to 131072; the model's context may end a completion earlier."""

    temperature: float = 1.0
    """Divides the logits. 0 or 0.000001 to 2; 0 takes the most likely token (lowest id on a tie). Source: OpenAI API."""

    top_k: int = 0
    """Keep the k most likely tokens. Tokens, 0 to 1048576; 0 keeps all. Unlike `generate()`, which silently uses 50."""

    top_p: float = 1.0
    """Keep the smallest set of most likely tokens whose probability reaches p. 0 to 1; 1 keeps all, 0 keeps one.
    Source: nucleus sampling, 1904.09751."""

    min_p: float = 0.0
    """Keep tokens at least min_p times as likely as the most likely one. 0 to 1; 0 keeps all. Source: 2407.01082."""

    frequency_penalty: float = 0.0
    """Taken off a token's logit once for every time it was sampled. Nats, -2 to 2. Source: OpenAI API."""

    presence_penalty: float = 0.0
    """Taken off a token's logit when it was sampled at all. Nats, -2 to 2. Source: OpenAI API."""

    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens in the prompt or the completion so far.
    0.1 to 10; 1 does nothing. Source: CTRL, 1909.05858."""

    stop: tuple[str, ...] = ()
    """Texts that end the completion; the text found is not part of it. At most 16 of at most 256 characters."""

    stop_token_ids: tuple[int, ...] = ()
    """Token ids that end the completion as EOS does; the token stays in token_ids, its text is left off."""

    ignore_eos: bool = False
    """Go on after EOS, to max_tokens. For measurements."""

    min_tokens: int = 0
    """No EOS, stop token or stop string before this many tokens. Tokens, 0 to max_tokens."""

    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of single token ids. Nats, -100 to 100 each, at most 1024 ids. Source: OpenAI API."""

    def __post_init__(self) -> None:
        _check_whole(self, "max_tokens", 0, 131072)
        _check_whole(self, "top_k", 0, 1 << 20)
        _check_whole(self, "min_tokens", 0, self.max_tokens)
        _check_number(self, "temperature", 0.0, 2.0)
        if 0 < self.temperature < LEAST_TEMPERATURE:
            raise ValueError(
                f"temperature={self.temperature!r} is too small to divide by; send 0, which takes the most likely token, "
                f"or at least {LEAST_TEMPERATURE:g}."
            )
        _check_number(self, "top_p", 0.0, 1.0)
        _check_number(self, "min_p", 0.0, 1.0)
        _check_number(self, "frequency_penalty", -2.0, 2.0)
        _check_number(self, "presence_penalty", -2.0, 2.0)
        _check_number(self, "repetition_penalty", 0.1, 10.0)
        if not isinstance(self.ignore_eos, bool):
            raise ValueError(f"ignore_eos={self.ignore_eos!r} is not true or false; send one of the two.")
        _check_stops(self)
        _check_bias(self.logit_bias)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Settings from parsed JSON. Unknown names and values out of range are a ValueError that names the field."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"unknown sampling settings {unknown}; remove them. Known: {sorted(known)}.")
        if "max_tokens" not in data:
            raise ValueError("max_tokens is missing; send the most tokens to write, 0 to 131072.")
        values = dict(data)
        for name in ("stop", "stop_token_ids"):
            if name in values:
                values[name] = _as_tuple(name, values[name])
        if "logit_bias" in values:
            values["logit_bias"] = _bias_from_json(values["logit_bias"])
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json(to_json())` gives equal settings."""
        data: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        data["stop"] = list(self.stop)
        data["stop_token_ids"] = list(self.stop_token_ids)
        data["logit_bias"] = {str(token): self.logit_bias[token] for token in sorted(self.logit_bias)}
        return data


def in_json(value: object) -> str:
    """A value as whoever sent it wrote it: null, not None."""
    return (
        repr(value) if not isinstance(value, bool | None) else "null" if value is None else str(value).lower()
    )


def _check_whole(params: SamplingParams, name: str, low: int, high: int) -> None:
    value = getattr(params, name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name}={in_json(value)} is not allowed; send a whole number from {low} to {high}.")


def _check_number(params: SamplingParams, name: str, low: float, high: float) -> None:
    value = getattr(params, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name}={in_json(value)} is not allowed; send a number from {low:g} to {high:g}.")


def _check_stops(params: SamplingParams) -> None:
    # Typed as objects: what came from JSON may be anything, whatever the dataclass says.
    stop: object = params.stop
    if not isinstance(stop, tuple) or len(stop) > MAX_STOP_STRINGS:
        raise ValueError(f"stop takes at most {MAX_STOP_STRINGS} texts; send a list of texts.")
    for text in stop:
        if not isinstance(text, str) or not 0 < len(text) <= MAX_STOP_CHARACTERS:
            raise ValueError(
                f"stop={text!r} must be a text of 1 to {MAX_STOP_CHARACTERS} characters; change or remove it."
            )
    tokens: object = params.stop_token_ids
    if not isinstance(tokens, tuple):
        raise ValueError("stop_token_ids must be a list of token ids; send a list.")
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, int) or token < 0:
            raise ValueError(
                f"stop_token_ids holds {token!r}; send whole token ids from 0 to the vocabulary's size - 1."
            )


def _check_bias(bias: object) -> None:
    if not isinstance(bias, Mapping) or len(bias) > MAX_LOGIT_BIAS:
        raise ValueError(f"logit_bias must map at most {MAX_LOGIT_BIAS} token ids to numbers; send fewer.")
    for token, value in bias.items():
        if isinstance(token, bool) or not isinstance(token, int) or token < 0:
            raise ValueError(
                f"logit_bias names token {token!r}; send token ids from 0 to the vocabulary's size - 1."
            )
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not -100 <= value <= 100:
            raise ValueError(
                f"logit_bias[{token}]={value!r} is out of range; send a number from -100 to 100."
            )


def _as_tuple(name: str, value: object) -> tuple[Any, ...]:
    if value is None:
        return ()
    if isinstance(value, str) and name == "stop":
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name}={value!r} is not a list; send a list.")
    return tuple(value)


def _bias_from_json(value: object) -> dict[int, float]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(
            f'logit_bias={value!r} is not an object; send token ids and numbers, as in {{"50256": -100}}.'
        )
    try:
        return {int(token): number for token, number in value.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(
            "logit_bias has a key that is not a token id; send whole numbers as keys."
        ) from error

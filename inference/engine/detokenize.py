"""Text from tokens as they come: never half a character, never a piece of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from inference.engine.chat import decode

_BROKEN = "�"


class TextStream:
    """One completion's text. `text` is all of it so far; `take` hands out what can no longer change.

    A token may hold part of a UTF-8 character, and some tokenizers join or space tokens by their neighbours, so new text is
    the difference between two decodings that start at the same earlier token (as Hugging Face TGI and vLLM do).
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=0)
        self._ids: list[int] = []
        self._from = 0  # decoding starts here
        self._known = 0  # tokens before this one are in `text`
        self._taken = 0
        self.text = ""

    def push(self, token: int, *, may_stop: bool = True) -> bool:
        """Add a token. True when a stop string is complete: `text` then ends before it."""
        self._ids.append(token)
        fresh = self._fresh()
        if not fresh or fresh.endswith(_BROKEN):
            return False
        self._from, self._known = self._known, len(self._ids)
        return self._add(fresh, may_stop=may_stop)

    def finish(self, *, may_stop: bool = True) -> bool:
        """Give up waiting for the rest of a character: what came before it may still complete a stop string, as in `push`."""
        fresh, self._known = self._fresh(), len(self._ids)
        return self._add(fresh, may_stop=may_stop)

    def close(self) -> str:
        """At the end: the text not taken yet."""
        rest, self._taken = self.text[self._taken :], len(self.text)
        return rest

    def take(self) -> str:
        """New text, less an end that may be the beginning of a stop string."""
        safe = max(self._taken, len(self.text) - self._held())
        piece, self._taken = self.text[self._taken : safe], safe
        return piece

    def _fresh(self) -> str:
        before = decode(self._tokenizer, self._ids[self._from : self._known])
        return decode(self._tokenizer, self._ids[self._from :])[len(before) :]

    def _add(self, fresh: str, *, may_stop: bool) -> bool:
        # A stop string that was complete before the new text came would have been found then.
        start = max(0, len(self.text) - self._longest + 1)
        self.text += fresh
        found = (
            [place for stop in self._stops if (place := self.text.find(stop, start)) >= 0] if may_stop else []
        )
        if found:
            self.text = self.text[: min(found)]
            self._known = len(self._ids)
        return bool(found)

    def _held(self) -> int:
        """Characters at the end of the text with which some stop string begins."""
        for size in range(min(self._longest - 1, len(self.text)), 0, -1):
            tail = self.text[-size:]
            if any(stop.startswith(tail) for stop in self._stops):
                return size
        return 0

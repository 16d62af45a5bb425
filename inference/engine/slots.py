"""The rows that are being written and those about to enter, each with a slot of the cache."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.engine.cache import PromptKV, SlotCache
from inference.engine.reading import SharedPrompt
from inference.engine.rows import Row
from inference.engine.sampling import Plan


class Slots:
    """`count` slots: row i of `rows` has slot i, and each row of `entering` has one reserved while its prompt is read."""

    def __init__(self, count: int, layers: int) -> None:
        self.count = count
        self.cache = SlotCache(count, layers)
        self.rows: list[Row] = []
        self.entering: list[Row] = []
        self._plan: Plan | None = None

    def free(self) -> int:
        """Slots that are neither used nor reserved."""
        return self.count - len(self.rows) - len(self.entering)

    def clear(self, count: int) -> None:
        """Forget all rows and give the memory back; `count` slots from now on."""
        self.count = count
        self.cache = SlotCache(count, self.cache.layer_count)
        self.rows, self.entering, self._plan = [], [], None

    def unread(self) -> list[SharedPrompt]:
        """Prompts that rows wait for, each once, in the order in which the rows came."""
        waiting = [row.prompt for row in self.entering if row.prompt is not None and not row.prompt.ready()]
        return list(dict.fromkeys(waiting))

    def enter(self) -> list[Tensor]:
        """Let the rows whose prompt is read run, and return the logits (V,) at their prompts' ends in the same order."""
        slots_of: dict[SharedPrompt, tuple[PromptKV, list[int]]] = {}
        logits, still = [], []
        for row in self.entering:
            prompt = row.prompt
            if prompt is None or prompt.logits_V is None or prompt.kv is None:
                still.append(row)
                continue
            slots_of.setdefault(prompt, (prompt.kv, []))[1].append(len(self.rows))
            self.rows.append(row)
            logits.append(prompt.logits_V)
            row.prompt = None
        self.entering = still
        for kv, places in slots_of.values():
            self.cache.write(places, kv)  # at one go for all its rows
        if logits:
            self._plan = None
        return logits

    def plan(self, device: torch.device) -> Plan:
        """The rows' settings as tensors, made again only when the rows change."""
        if self._plan is None:
            self._plan = Plan([row.params for row in self.rows], device)
        return self._plan

    def sweep(self) -> None:
        """Free the slots of rows that ended, keeping the used ones together: the last row moves into the gap."""
        self.entering = [row for row in self.entering if row.alive()]
        for slot in range(len(self.rows) - 1, -1, -1):
            row = self.rows[slot]
            if row.alive():
                continue
            if row.poisoned:
                self.cache.wipe(slot)
            last = self.rows.pop()
            if last is not row:
                self.cache.move(len(self.rows), slot, last.cached)
                self.rows[slot] = last
            self._plan = None

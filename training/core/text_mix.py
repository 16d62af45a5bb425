"""Other text among demonstrations: the model that RL starts from learns both (InstructGPT, 2203.02155, C.3).

inputs.pretraining is read as the pretraining stage reads it, and every token of a text but its first is learned. After any
number of steps the text has its share of the learned tokens to less than one token: the share is of what the loss is a mean
over, so 0.1 is a tenth of the gradient's terms however long demonstrations are.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate

from transformers import PreTrainedTokenizerBase

from training.core.checkpoint import TrainingState
from training.core.config import SFTConfig
from training.core.data import Demonstration, Dropped, require_some
from training.core.loop import permutation
from training.core.pretrain import document_ids, read_documents
from training.core.run_folder import Run

CURSOR = "text_tokens"
ANSWERS = "answer_tokens"


class Texts:
    """Documents one after another in shuffled passes, cut to the token; where a place is hangs on the seed alone."""

    def __init__(self, documents: list[list[int]], fraction: float, limit: int, seed: int) -> None:
        self.documents = documents
        self.fraction = fraction
        self.limit = limit
        self.seed = seed
        self.pass_tokens = sum(len(ids) - 1 for ids in documents)
        self._order = lru_cache(maxsize=2)(self._pass)

    def beside(self, answers: int, state: TrainingState) -> list[Demonstration]:
        """The pieces of a step that learns `answers` tokens of demonstrations. Moves the places in `state.numbers`, which a
        checkpoint keeps."""
        total = state.numbers.get(ANSWERS, 0) + answers
        begin = state.numbers.get(CURSOR, 0)
        end = math.floor(
            total * self.fraction / (1 - self.fraction) + 1e-9
        )  # 9 x 0.1 / 0.9 is 1, and no less
        state.numbers |= {ANSWERS: total, CURSOR: end}
        return list(self.pieces(begin, end))

    def share(self, state: TrainingState) -> float:
        """Of the tokens learned so far, those of texts."""
        texts, answers = state.numbers.get(CURSOR, 0), state.numbers.get(ANSWERS, 0)
        return float(texts / max(texts + answers, 1))

    def pieces(self, begin: int, end: int) -> Iterator[Demonstration]:
        """Learned tokens begin .. end - 1 of endless passes, in pieces of at most `limit` tokens of one document each.

        A piece starts with the token before its first learned one.
        """
        while begin < end:
            epoch, place = divmod(begin, self.pass_tokens)
            order, starts = self._order(epoch)
            at = bisect_right(starts, place) - 1
            ids, first = self.documents[order[at]], place - starts[at]
            count = min(end - begin, len(ids) - 1 - first, self.limit - 1)
            yield Demonstration("", ids[first : first + count + 1], ((1, count + 1),), 0)
            begin += count

    def _pass(self, epoch: int) -> tuple[list[int], list[int]]:
        """The documents' order, and how many learned tokens of the pass stand before each."""
        order = permutation(len(self.documents), self.seed, "text", epoch)
        lengths = (len(self.documents[i]) - 1 for i in order)
        return order, list(accumulate(lengths, initial=0))[:-1]


def read_texts(run: Run, tokenizer: PreTrainedTokenizerBase, cfg: SFTConfig, limit: int) -> Texts | None:
    """None where pretrain_fraction is 0. RunError where it is not and there is no text."""
    if cfg.pretrain_fraction == 0:
        return None
    found, _ = read_documents(run.input("pretraining"), 0.0, run.seed)
    documents = [ids for ids in (document_ids(tokenizer, one) for one in found) if len(ids) > 1]
    require_some(documents, "texts in inputs.pretraining", Dropped())
    return Texts(documents, cfg.pretrain_fraction, limit, run.seed)

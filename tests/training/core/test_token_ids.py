"""Token-in token-out: what was sampled is what is learned from and scored, whatever an encoding of its text would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.chat import Message, decode, encode_completion, render_prompt
from inference.engine.models import load_tokenizer
from tests.inference.engine.support import chatml
from tests.training.core.rundirs import write_rows
from training.core.data import Dropped, read_demonstrations, read_rankings
from training.core.errors import RunError

STEADY = settings(derandomize=True, deadline=None, max_examples=40)
PROMPT: list[Message] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hey."},
    {"role": "user", "content": "So?"},
]


@pytest.fixture(scope="module")
def tokenizers(base: Path) -> dict[str, Any]:
    ours = load_tokenizer(base)
    return {"ours": ours, "chatml": chatml(ours)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


def several(vocabulary: int, *, least: int) -> Any:
    """Some answers' ids; special tokens stand among them, and broken characters."""
    return st.lists(
        st.lists(st.integers(0, vocabulary - 1), min_size=1, max_size=12), min_size=least, max_size=6
    )


@pytest.mark.parametrize("house", ["ours", "chatml"])
@given(data=st.data())
@STEADY
def test_demonstrations(tokenizers: dict[str, Any], folder: Path, house: str, data: st.DataObject) -> None:
    tokenizer = tokenizers[house]
    drawn = data.draw(several(len(tokenizer), least=1))
    rows = [
        {
            "id": n,
            "messages": [*PROMPT, {"role": "assistant", "content": decode(tokenizer, ids)}],
            "token_ids": ids,
        }
        for n, ids in enumerate(drawn)
    ]
    write_rows(folder / "train.jsonl", rows)
    for turns in ("last", "all"):
        read = read_demonstrations(
            folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped(), loss_turns=turns
        )
        prompt = render_prompt(tokenizer, PROMPT)
        assert [one.ids for one in read] == [prompt + ids for ids in drawn]
        assert {one.learned[-1] for one in read} == {(len(prompt), len(one.ids)) for one in read}
        earlier = [one.ids[start:stop] for one in read for start, stop in one.learned[:-1]]
        assert earlier == ([encode_completion(tokenizer, "Hey.")] * len(read) if turns == "all" else [])


@given(data=st.data())
@STEADY
def test_rankings(tokenizers: dict[str, Any], folder: Path, data: st.DataObject) -> None:
    tokenizer = tokenizers["ours"]
    drawn = data.draw(several(len(tokenizer), least=2))
    responses = [
        {"id": str(k), "content": decode(tokenizer, ids), "token_ids": ids} for k, ids in enumerate(drawn)
    ]
    ranks = {str(k): k + 1 for k in range(len(drawn))}
    write_rows(folder / "train.jsonl", [{"id": 1, "prompt": PROMPT, "responses": responses, "ranks": ranks}])
    (row,) = read_rankings(folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    assert row.answers == [render_prompt(tokenizer, PROMPT) + ids for ids in drawn]


def test_an_earlier_answer_is_not_what_was_sampled(tokenizers: dict[str, Any], folder: Path) -> None:
    tokenizer, messages = tokenizers["ours"], [*PROMPT, {"role": "assistant", "content": ""}]
    write_rows(folder / "train.jsonl", [{"id": 1, "messages": messages, "learn": [1], "token_ids": [4]}])
    (row,) = read_demonstrations(folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    assert row.ids == render_prompt(tokenizer, PROMPT[:1]) + encode_completion(tokenizer, "Hey.")


@pytest.mark.parametrize(
    ("ids", "wrong"),
    [([], "outside"), ([5, 99_999], "outside"), ([-1], "outside"), ("5", "outside"), ([5, 4], "spell")],
)
def test_ids_that_cannot_be_the_answers_are_refused(
    tokenizers: dict[str, Any], folder: Path, ids: Any, wrong: str
) -> None:
    """Out of the vocabulary, or by another tokenizer, or left behind when the text was changed."""
    tokenizer, messages = tokenizers["ours"], [*PROMPT, {"role": "assistant", "content": "Well then."}]
    write_rows(folder / "train.jsonl", [{"id": 1, "messages": messages, "token_ids": ids}])
    with pytest.raises(RunError, match=rf"line 1 has token_ids .*{wrong}"):
        read_demonstrations(folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())

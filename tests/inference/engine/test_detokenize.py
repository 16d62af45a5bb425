"""Text as it comes: whole characters, no piece of a stop string, and in sum the text that a plain decode gives."""

from pathlib import Path
from typing import Any

import pytest

from inference.engine.chat import SPECIAL_TOKENS, decode, encode_text
from inference.engine.config import SamplingParams
from inference.engine.detokenize import TextStream
from inference.engine.engine import TorchEngine
from inference.engine.models import load_policy
from inference.engine.requests import SampleRequest

STARTER = Path(__file__).parents[3] / "inference" / "starter"
TEXT = "Hello 你好, 🐶🐱 world — naïve\n\nUser: end"


def stream_all(stream: TextStream, ids: list[int]) -> tuple[list[str], bool]:
    pieces: list[str] = []
    for token in ids:
        if stream.push(token):
            return [*pieces, stream.close()], True
        pieces.append(stream.take())
    stopped = stream.finish()
    return [*pieces, stream.close()], stopped


def test_pieces_make_up_the_text_and_never_split_a_character(tokenizer: Any) -> None:
    ids = encode_text(tokenizer, TEXT)
    pieces, stopped = stream_all(TextStream(tokenizer), ids)
    assert "".join(pieces) == TEXT == decode(tokenizer, ids)
    assert not stopped
    assert not any("\ufffd" in piece for piece in pieces)
    assert sum(map(bool, pieces)) > 10


@pytest.mark.parametrize("stop", ["llo 你", "🐱", "\n\nUser:", "d —", "H", "end"])
def test_a_stop_string_is_found_wherever_tokens_end(tokenizer: Any, stop: str) -> None:
    stream = TextStream(tokenizer, ["never", stop])
    pieces, stopped = stream_all(stream, encode_text(tokenizer, TEXT))
    assert stopped
    assert "".join(pieces) == stream.text == TEXT[: TEXT.index(stop)]


def test_the_earliest_of_several_stops_wins(tokenizer: Any) -> None:
    stream = TextStream(tokenizer, ["b", "abc"])
    assert stream.push(encode_text(tokenizer, "x")[0]) is False
    hits = [stream.push(token) for token in encode_text(tokenizer, "a")]
    assert hits == [False]
    assert [stream.push(token) for token in encode_text(tokenizer, "b")] == [True]
    assert stream.text == "xa"


def test_the_beginning_of_a_stop_is_held_back_and_given_out_when_it_was_none(tokenizer: Any) -> None:
    stream = TextStream(tokenizer, ["aab"])
    given = []
    for token in [encode_text(tokenizer, letter)[0] for letter in "xaaac"]:
        stream.push(token)
        given.append(stream.take())
    assert given == ["x", "", "", "a", "aac"]


def test_stops_are_ignored_where_they_may_not_stop(tokenizer: Any) -> None:
    stream = TextStream(tokenizer, ["a"])
    first, second = (encode_text(tokenizer, letter)[0] for letter in "ab")
    assert not stream.push(first, may_stop=False)
    assert not stream.push(second)
    assert stream.push(first)
    assert stream.text == "ab"


def test_half_a_character_at_the_end_is_shown_as_broken(tokenizer: Any) -> None:
    ids = encode_text(tokenizer, "ok🐶")[:-1]
    pieces, _ = stream_all(TextStream(tokenizer), ids)
    assert "".join(pieces) == decode(tokenizer, ids)
    assert pieces[-1].endswith("\ufffd")


@pytest.fixture(scope="module")
def starter() -> tuple[Any, Any]:
    """The shipped model and its tokenizer."""
    return load_policy(STARTER)


def straddling(tokenizer: Any) -> dict[int, str]:
    """Tokens that hold whole characters and then the first bytes of another: id -> the whole ones."""
    texts = {token: decode(tokenizer, [token]) for token in range(len(SPECIAL_TOKENS), len(tokenizer))}
    return {
        token: text.rstrip("\ufffd")
        for token, text in texts.items()
        if text.endswith("\ufffd") and text[0] != "\ufffd"
    }


def test_a_stop_string_before_half_a_character_is_found_where_the_answer_ends(
    starter: tuple[Any, Any],
) -> None:
    _, tokenizer = starter
    found = straddling(tokenizer)
    assert len(found) > 10
    before = encode_text(tokenizer, "ok")
    for token, stop in found.items():
        pieces, stopped = stream_all(TextStream(tokenizer, [stop]), [*before, token])
        assert stopped
        assert "".join(pieces) == "ok"
        stream = TextStream(tokenizer, [stop])
        stream.push(token)
        assert not stream.finish(may_stop=False)
        assert stream.text == decode(tokenizer, [token])


@pytest.mark.parametrize("max_tokens", [1, 4], ids=["by length", "by EOS"])
def test_no_answer_shows_the_stop_that_half_a_character_follows(
    starter: tuple[Any, Any], max_tokens: int
) -> None:
    model, tokenizer = starter
    token, stop = next(iter(straddling(tokenizer).items()))
    eos = tokenizer.eos_token_id
    # EOS is wanted most, and may not come first.
    params = SamplingParams(
        max_tokens=max_tokens, min_tokens=1, temperature=0, logit_bias={eos: 100, token: 70}, stop=(stop,)
    )
    prompt = tuple(encode_text(tokenizer, "ok"))
    ((sample,),) = TorchEngine(model, tokenizer).generate([SampleRequest(prompt_ids=prompt, params=params)])
    assert sample.token_ids == (token, eos)[:max_tokens]
    assert (sample.text, sample.finish_reason) == ("", "stop")


def test_special_tokens_leave_no_text(tokenizer: Any) -> None:
    a, b = (encode_text(tokenizer, letter)[0] for letter in "ab")
    pieces, _ = stream_all(TextStream(tokenizer), [a, 1, 1, b, 4])
    assert "".join(pieces) == "ab"

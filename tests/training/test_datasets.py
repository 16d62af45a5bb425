"""Canonical records become the trainer's rows."""

import pytest

from inference.models import Completion, SampleRequest
from training.datasets import reward_row, score_row, sft_row


def ranking() -> dict[str, object]:
    def response(name: str, version: str = "v1") -> dict[str, object]:
        return {"id": name, "content": f"text {name}", "version": version, "token_ids": [5, 6, 4]}

    return {
        "id": "r1",
        "prompt": [{"role": "user", "content": "Hello"}],
        "responses": [response("a"), response("b"), response("b2"), response("c", "v2")],
        "ranks": {"a": 1, "b": 2, "b2": 2, "c": 3},
        "forced": ["b2"],
        "labeler": "h:0",
    }


def test_a_text_that_was_shown_once_counts_once():
    row = reward_row(ranking(), same_tokenizer={"v1", "v2"})
    assert [one["id"] for one in row["responses"]] == ["a", "b", "c"]
    assert row["ranks"] == {"a": 1, "b": 2, "c": 3}
    assert row["copies"] == 1


def test_sampled_token_ids_are_kept_only_for_the_same_tokenizer():
    row = reward_row(ranking(), same_tokenizer={"v1"})
    assert [one["token_ids"] for one in row["responses"]] == [[5, 6, 4], [5, 6, 4], None]


def test_every_answer_says_which_version_wrote_it():
    row = reward_row(ranking(), same_tokenizer=set())
    assert [one["version"] for one in row["responses"]] == ["v1", "v1", "v2"]


def test_a_demonstration_keeps_its_turns():
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    assert sft_row({"id": "d1", "messages": messages, "labeler": "h:0"}) == {"id": "d1", "messages": messages}


def test_a_ranking_says_who_made_it_of_which_prompt_and_how_sure():
    record = {
        **ranking(),
        "prompt_id": "p7",
        "confidence": 4,
        "scores": {"a": {"overall": 6}, "b": {}},
        "weight": 0.25,
    }
    row = reward_row(record, same_tokenizer=set())
    assert (row["prompt_id"], row["labeler"], row["confidence"]) == ("p7", "h:0", 4)
    assert (row["ratings"], row["weight"]) == ({"a": 6}, 0.25)


@pytest.mark.parametrize(("known", "told"), [("stop", "stop"), ("length", "length"), ("", None)])
def test_an_answer_to_be_scored_says_why_it_ended(known, told):
    """By a stop string, say, of which its ids show nothing."""
    messages = [{"role": "user", "content": "Hello"}]
    completion = Completion(
        request=SampleRequest(messages=messages),
        text="a",
        token_ids=[5],
        logprobs=[-0.5],
        finish_reason=known,
    )
    assert score_row(completion) == {
        "id": str(completion.pk), "prompt": messages, "completion_ids": [5], "text": "a", "logprobs": [-0.5],
        "finish_reason": told,
    }  # fmt: skip

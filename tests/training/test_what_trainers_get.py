"""Held-out prompts are for measuring: in no input of any trainer is a word of them. Held-out labelers' rankings of the others
lie in a file of their own, which only a reward model's report reads."""

import json

import pytest

from tests.training.factories import demonstrations, rankings_on
from training.recipe import Recipe
from training.runner.folder import prepare
from training.services.runs import queue_run
from training.services.snapshots import freeze

pytestmark = pytest.mark.django_db(transaction=True)
HELD_OUT = b"heldout"  # stands in every held-out prompt of these tests


@pytest.fixture
def snapshots(project, asked, ana):
    """Of each kind one, with rows of all three splits."""
    demonstrations(project, ana, asked)
    rankings_on(project, ana, of_each_split(asked))
    return {kind: freeze(project=project, kind=kind) for kind in ("sft", "rankings", "prompts")}


def of_each_split(asked):
    return [asked[0], asked[12], asked[16]]


@pytest.mark.parametrize(
    ("kind", "learns_from", "beside"),
    [
        ("sft", "sft", None),
        ("reward", "rankings", "demonstrations"),
        ("ppo", "prompts", "pretraining"),
        ("rloo", "prompts", "pretraining"),
        ("dpo", "rankings", None),
    ],
)
def test_a_trainer_gets_the_other_two_splits(project, base, snapshots, kind, learns_from, beside):
    snapshot = snapshots[learns_from]
    assert all(snapshot.counts["rows"][split] for split in ("train", "valid", "heldout")), (
        "nothing to leave out"
    )
    run = queue_run(
        project=project, kind=kind, config=Recipe.parse({kind: {"preset": "test"}}).config(kind), model=base,
        snapshot=snapshot, demonstrations=snapshots["sft"] if beside else None,
    )  # fmt: skip
    inputs = prepare(run, fence=1).path / "inputs"
    for folder in ("dataset", *([beside] if beside else [])):
        files = {path.name: path.read_bytes() for path in (inputs / folder).iterdir()}
        assert set(files) == {"train.jsonl", "valid.jsonl"}
        assert all(files.values())
        assert not any(HELD_OUT in content for content in files.values())


def test_a_reward_run_measures_on_held_out_labelers_beside_what_it_learns_from(
    project, base, snapshots, asked, ben
):
    project.memberships.filter(user=ben).update(pool="heldout")
    train, valid, heldout = rankings_on(project, ben, of_each_split(asked))
    measuring = freeze(project=project, kind="measuring")
    run = queue_run(
        project=project, kind="reward", config=Recipe.parse({"reward": {"preset": "test"}}).config("reward"), model=base,
        snapshot=snapshots["rankings"], heldout_labelers=measuring,
    )  # fmt: skip
    folder = prepare(run, fence=1)
    inputs = folder.path / "inputs"
    assert [path.name for path in (inputs / "heldout_labelers").iterdir()] == ["valid.jsonl"]
    content = (inputs / "heldout_labelers" / "valid.jsonl").read_bytes()
    (row,) = map(json.loads, content.splitlines())
    assert row["id"] == str(valid.pk)
    assert HELD_OUT not in content
    assert len({one["version"] for one in row["responses"]}) == 1
    told = json.loads(folder.run_json.read_text())
    assert told["inputs"]["heldout_labelers"] == "inputs/heldout_labelers"
    assert "inputs/heldout_labelers/valid.jsonl" in told["sha256"]
    learned = b"".join(path.read_bytes() for path in (inputs / "dataset").iterdir())
    assert not [one for one in (train, valid, heldout) if str(one.pk).encode() in learned]

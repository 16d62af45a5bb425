"""Held-out prompts are for measuring: in no input of any trainer is a word of them."""

import pytest

from tests.labeling.factories import ranking_batch
from tests.training.factories import answer_all, demonstrations
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
    batch = ranking_batch(project, tasks=3)
    for task, prompt in zip(batch.tasks.all(), (asked[0], asked[12], asked[16]), strict=True):
        type(task).objects.filter(pk=task.pk).update(prompt=prompt)
    answer_all(project, ana)
    return {kind: freeze(project=project, kind=kind) for kind in ("sft", "rankings", "prompts")}


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

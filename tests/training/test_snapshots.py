"""Freezing: what goes in, what stays out, and that the same content is the same snapshot."""

import hashlib
import io
import json
import threading

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Event, Membership
from accounts.services import pseudonym
from common.storage import default_store
from labeling.models import Demonstration, Prompt
from labeling.services.prompts import import_prompts
from tests.labeling.factories import PromptFactory, ranking_batch
from tests.training.factories import answer_all, demonstrations, prompts, rankings, rankings_on
from training.exports import Export, FormatNotAvailable, formats_of
from training.models import Snapshot
from training.services.snapshots import freeze, one_moment

pytestmark = pytest.mark.django_db(transaction=True)


def lines(snapshot, split):
    path = default_store().open(snapshot.digest) / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_demonstrations_lie_by_split_in_order_of_their_ids(project, asked, ana):
    made = demonstrations(project, ana, asked)
    snapshot = freeze(project=project, kind="sft")
    assert snapshot.counts["rows"] == {"train": 12, "valid": 4, "heldout": 4}
    assert (snapshot.counts["total"], snapshot.counts["labelers"]) == (20, 1)
    ids = [row["id"] for row in lines(snapshot, "train")]
    assert ids == sorted(str(one.pk) for one in made[:12])
    first = lines(snapshot, "train")[0]
    assert first["messages"][-1]["role"] == "assistant"
    assert first["labeler"].startswith("h:")
    assert ana.username not in json.dumps(first)


def test_rankings_carry_ranks_token_ids_and_ties(project, ana):
    batch = ranking_batch(project, tasks=2)
    answer_all(project, ana, order=lambda found: [[one["id"] for one in found["candidates"]]])
    snapshot = freeze(project=project, kind="rankings")
    rows = [row for split in ("train", "valid", "heldout") for row in lines(snapshot, split)]
    assert len(rows) == batch.quota == 2
    assert set(rows[0]["ranks"].values()) == {1}
    assert "token_ids" in rows[0]["responses"][0]
    assert snapshot.counts["tied_pairs"] == 6


def test_prompts_are_all_there(project, asked):
    snapshot = freeze(project=project, kind="prompts")
    assert snapshot.counts["rows"] == {"train": 12, "valid": 4, "heldout": 4}
    assert set(lines(snapshot, "heldout")[0]) == {"id", "split", "prompt", "source", "tags"}


def test_late_answers_and_those_of_heldout_labelers_stay_out(project, asked, ana, ben):
    Membership.objects.filter(user=ben).update(pool="heldout")
    demonstrations(project, ana, asked[:3])
    demonstrations(project, ben, asked[3:5], pool="heldout")
    demonstrations(project, ana, asked[5:6], is_late=True)
    snapshot = freeze(project=project, kind="sft")
    assert snapshot.counts["total"] == 3
    assert snapshot.counts["left_out"] == {"late": 1, "heldout_labelers": 2, "pii": 0}


def test_training_prompts_with_personal_data_stay_out_with_their_answers(project, asked, ana, eva):
    by_split = {prompt.split: prompt for prompt in asked}
    flagged = [by_split["train"], by_split["valid"]]
    Prompt.objects.filter(pk__in=[prompt.pk for prompt in flagged]).update(pii=["email"])
    demonstrations(project, ana, asked)
    long = "the same two hundred characters, " * 9
    rows = "\n".join(json.dumps({"prompt": long + end}) for end in ("a", "b", "c"))
    import_prompts(project=project, stream=io.BytesIO(rows.encode()), actor=eva)
    snapshot = freeze(project=project, kind="sft")
    manifest = json.loads((default_store().open(snapshot.digest) / "manifest.json").read_text())
    for counts in (snapshot.counts, manifest["counts"]):
        assert counts["rows"] == {"train": 11, "valid": 4, "heldout": 4}
        assert counts["left_out"]["pii"] == 1
        assert counts["prompts_left_out"] == {"near_duplicate": 2, "owner_cap": 0, "pii": 1}
    assert freeze(project=project, kind="prompts").counts["left_out"] == {"pii": 1}


def test_held_out_labelers_are_in_no_snapshot_to_learn_from_and_in_no_export(project, asked, ana, ben):
    some = [asked[0], asked[12], asked[16]]
    project.memberships.filter(user=ben).update(pool="heldout")
    rankings_on(project, ana, some)
    demonstrations(project, ana, some)
    before = {kind: freeze(project=project, kind=kind) for kind in ("sft", "rankings")}
    _, valid, heldout = rankings_on(project, ben, some)
    demonstrations(project, ben, some, pool="heldout")
    measuring = freeze(project=project, kind="measuring")
    assert {
        split: [row["id"] for row in lines(measuring, split)] for split in ("train", "valid", "heldout")
    } == {
        "train": [],
        "valid": [str(valid.pk)],
        "heldout": [str(heldout.pk)],
    }
    assert (measuring.counts["total"], measuring.counts["labelers"]) == (2, 1)
    assert measuring.query["pools"] == "heldout"
    # To learn from there is what there was, under the same hash; and of the other nothing leaves.
    assert {kind: freeze(project=project, kind=kind) for kind in before} == before
    assert formats_of("measuring") == []
    for name in {name for kind in before for name in formats_of(kind)}:
        with pytest.raises(FormatNotAvailable, match="never exported"):
            Export(measuring, name, None)
    for snapshot in before.values():
        for name in formats_of(snapshot.kind):
            assert pseudonym(project, ben.pk).encode() not in b"".join(Export(snapshot, name, None).blocks())


def test_who_was_learned_from_is_no_held_out_labeler_however_late_the_pool_changed(project, asked, ben):
    rankings_on(project, ben, [asked[12]])
    project.memberships.filter(user=ben).update(pool="heldout")
    rankings_on(project, ben, [asked[13]])
    assert (
        freeze(project=project, kind="measuring").counts["rows"]["valid"] == 1
    )  # Only measured with before, too.
    project.memberships.filter(user=ben).update(pool="train")
    rankings_on(project, ben, [asked[0]])
    assert freeze(project=project, kind="measuring").counts["total"] == 0


def test_synthetic_answers_mark_the_snapshot(project, asked, ana):
    demonstrations(project, ana, asked[:2])
    assert not freeze(project=project, kind="sft").is_synthetic
    demonstrations(project, ana, asked[2:3], is_synthetic=True)
    snapshot = freeze(project=project, kind="sft")
    assert snapshot.is_synthetic
    assert snapshot.counts["synthetic"] == 1


def test_the_same_content_is_the_same_snapshot(project, asked, ana, eva):
    demonstrations(project, ana, asked[:3])
    first = freeze(project=project, kind="sft", actor=eva)
    assert freeze(project=project, kind="sft") == first
    demonstrations(project, ana, asked[3:4])
    second = freeze(project=project, kind="sft")
    assert second != first
    assert Snapshot.objects.count() == 2
    assert Event.objects.filter(kind="snapshot.frozen").count() == 2


def test_its_row_never_changes_but_whoever_took_it_may_be_forgotten(project, asked, ana, eva):
    demonstrations(project, ana, asked[:3])
    snapshot = freeze(project=project, kind="sft", actor=eva)
    rows = Snapshot.objects.filter(pk=snapshot.pk)
    for changes in ({"content_sha256": "0" * 64}, {"digest": "0" * 64}, {"counts": {}}, {"created_by": ana}):
        with pytest.raises(IntegrityError, match="a snapshot never changes"), transaction.atomic():
            rows.update(**changes)
    with pytest.raises(IntegrityError, match="a snapshot never changes"), transaction.atomic():
        snapshot.items.update(content_sha256="0" * 64)
    assert rows.update(created_by=None) == 1


def test_the_manifest_names_every_file_by_its_hash(project, asked, ana):
    demonstrations(project, ana, asked)
    snapshot = freeze(project=project, kind="sft")
    folder = default_store().open(snapshot.digest)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema"] == 1
    assert manifest["as_of"] == snapshot.as_of.isoformat()
    assert manifest["counts"] == snapshot.counts
    assert set(manifest["files"]) == {"train.jsonl", "valid.jsonl", "heldout.jsonl"}
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"]


def test_every_row_is_an_item_with_the_hash_of_its_line(project, asked, ana):
    demonstrations(project, ana, asked)
    snapshot = freeze(project=project, kind="sft")
    folder = default_store().open(snapshot.digest)
    written = {
        hashlib.sha256(line).hexdigest()
        for split in ("train", "valid", "heldout")
        for line in (folder / f"{split}.jsonl").read_bytes().splitlines()
    }
    assert {item.content_sha256 for item in snapshot.items.all()} == written
    assert {item.answer_id for item in snapshot.items.all()} == set(
        Demonstration.objects.values_list("pk", flat=True)
    )


def test_hostile_text_comes_out_as_it_went_in(project, ana):
    text = "‮ \u2028</script>\r\n=1+1\x7f 😀 \U000e0041"
    prompt = PromptFactory(project=project, split="train")
    demonstrations(project, ana, [prompt])
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Demonstration.objects.update(text=text)
        cursor.execute("SET session_replication_role = origin")
    assert lines(freeze(project=project, kind="sft"), "train")[0]["messages"][-1]["content"] == text


def test_what_is_written_meanwhile_is_not_seen(project, asked, ana):
    demonstrations(project, ana, asked[:2])
    with one_moment():
        assert Demonstration.objects.count() == 2
        other = threading.Thread(target=in_thread, args=(lambda: demonstrations(project, ana, asked[2:5]),))
        other.start()
        other.join()
        assert Demonstration.objects.count() == 2
    assert Demonstration.objects.count() == 5


def test_it_refuses_to_run_inside_a_transaction(project, asked):
    with transaction.atomic(), pytest.raises(RuntimeError):
        freeze(project=project, kind="prompts")


def test_two_at_once_make_one(project, ana):
    prompts(project, train=30)
    found = []
    threads = [
        threading.Thread(
            target=in_thread, args=(lambda: found.append(freeze(project=project, kind="prompts")),)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert Snapshot.objects.count() == 1


def test_the_number_of_queries_does_not_grow_with_the_rows(project, ana, django_assert_max_num_queries):
    rankings(project, ana, tasks=8)
    with django_assert_max_num_queries(20):
        freeze(project=project, kind="rankings")


def in_thread(do):
    try:
        do()
    finally:
        connection.close()

"""Exports: streamed, always the same bytes, and every format loads as trainers load it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from accounts.services import create_token
from common.storage import default_store
from labeling.pairs import pairs_of
from tests.training.factories import answer_all, demonstrations, rankings
from training.exports import Export, formats_of
from training.services.snapshots import freeze

pytestmark = pytest.mark.django_db(transaction=True)
KEYS = {
    "sft": {"messages"},
    "preference": {"prompt", "chosen", "rejected", "margin"},
    "rankings": {"prompt", "responses", "ranks", "labeler"},
    "prompts": {"prompt"},
}


@pytest.fixture
def snapshots(project, asked, ana):
    demonstrations(project, ana, asked)
    rankings(project, ana, tasks=5)
    return {kind: freeze(project=project, kind=kind) for kind in ("sft", "rankings", "prompts")}


def fetch(user, snapshot, query, **headers):
    """(response, body) of an export, through ASGI as in production."""

    async def ask():
        client = AsyncClient()
        if user is not None:
            await client.aforce_login(user)
        response = await client.get(f"/api/v1/snapshots/{snapshot.pk}/export/?{query}", headers=headers)
        if not response.streaming:
            return response, response.content
        return response, b"".join([block async for block in response.streaming_content])

    return async_to_sync(ask)()


def test_the_content_hash_can_be_computed_from_a_download_as_the_docs_say(snapshots, ria, tmp_path):
    _, body = fetch(ria, snapshots["rankings"], "format=rankings")
    (tmp_path / "rankings.jsonl").write_bytes(body)
    docs = (Path(__file__).resolve().parents[2] / "docs/export/formats.md").read_text()
    recipe = docs.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", recipe], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == snapshots["rankings"].content_sha256


@pytest.mark.parametrize("format_name", KEYS)
def test_every_format_loads_with_datasets(snapshots, ria, tmp_path, format_name):
    from datasets import load_dataset

    kind = {"sft": "sft", "prompts": "prompts"}.get(format_name, "rankings")
    _, body = fetch(ria, snapshots[kind], f"format={format_name}")
    path = tmp_path / "data.jsonl"
    path.write_bytes(body)
    loaded = load_dataset("json", data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.num_rows == body.count(b"\n") > 0
    assert KEYS[format_name] | {"id", "split", "snapshot"} <= set(loaded.column_names)


def test_the_shapes_are_those_of_trl(snapshots, ria):
    for format_name, kind in (("sft", "sft"), ("preference", "rankings"), ("prompts", "prompts")):
        _, body = fetch(ria, snapshots[kind], f"format={format_name}")
        row = json.loads(body.splitlines()[0])
        for key in KEYS[format_name] - {"margin"}:
            assert all(set(message) == {"role", "content"} for message in row[key])
    _, body = fetch(ria, snapshots["rankings"], "format=preference")
    row = json.loads(body.splitlines()[0])
    assert [message["role"] for message in (row["chosen"][0], row["rejected"][0])] == [
        "assistant",
        "assistant",
    ]


def test_the_pairs_are_those_of_the_rankings(snapshots, ria):
    _, whole = fetch(ria, snapshots["rankings"], "format=rankings")
    _, pairs = fetch(ria, snapshots["rankings"], "format=preference")
    records = [json.loads(line) for line in whole.splitlines()]
    assert sum(len(list(pairs_of(record))) for record in records) == len(pairs.splitlines()) == 15


def test_it_is_an_attachment_with_a_name_and_an_etag(snapshots, ria):
    response, body = fetch(ria, snapshots["sft"], "format=sft")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/x-ndjson"
    name = f"preceptor-sft-{snapshots['sft'].content_sha256[:12]}.jsonl"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    again, same = fetch(ria, snapshots["sft"], "format=sft")
    assert (again["ETag"], same) == (response["ETag"], body)
    unchanged, nothing = fetch(ria, snapshots["sft"], "format=sft", **{"If-None-Match": response["ETag"]})
    assert (unchanged.status_code, nothing) == (304, b"")


def test_the_etag_hangs_on_content_format_and_split(snapshots):
    rankings_ = snapshots["rankings"]
    tags = {
        Export(rankings_, name, split).etag
        for name in ("rankings", "preference")
        for split in (None, "train")
    }
    assert len(tags) == 4


def test_a_split_alone(snapshots, ria):
    for split, count in (("train", 12), ("valid", 4), ("heldout", 4)):
        _, body = fetch(ria, snapshots["sft"], f"format=sft&split={split}")
        assert {json.loads(line)["split"] for line in body.splitlines()} == {split}
        assert len(body.splitlines()) == count
    _, body = fetch(ria, snapshots["sft"], "format=sft")
    assert len(body.splitlines()) == 20


def test_a_format_that_does_not_fit_names_those_that_do(snapshots, ria):
    response, body = fetch(ria, snapshots["rankings"], "format=sft")
    problem = json.loads(body)
    assert (response.status_code, problem["code"]) == (400, "format_not_available")
    assert "rankings or preference" in problem["detail"]


@pytest.mark.parametrize("query", ["", "format=sft&split=all", "format=sft&colour=1"])
def test_a_wrong_query_is_refused(snapshots, ria, query):
    response, _ = fetch(ria, snapshots["sft"], query)
    assert response.status_code == 400


def test_who_may_not(snapshots, ana, zoe, rex):
    for user, status in ((None, 401), (ana, 403), (zoe, 404), (rex, 404)):
        assert fetch(user, snapshots["sft"], "format=sft")[0].status_code == status


def test_a_token_needs_the_scope(snapshots, ria):
    for scopes, status in ((["read"], 403), (["export:read"], 200)):
        _, secret = create_token(user=ria, name="script", scopes=scopes)
        answer, _ = fetch(None, snapshots["sft"], "format=sft", Authorization=f"Bearer {secret}")
        assert answer.status_code == status


def test_a_later_answer_does_not_change_it(snapshots, project, ria, ana, ben):
    before = fetch(ria, snapshots["rankings"], "format=rankings")[1]
    rankings(project, ben, tasks=2)
    answer_all(project, ana)
    assert fetch(ria, snapshots["rankings"], "format=rankings")[1] == before


def test_it_is_sent_in_blocks(project):
    from tests.training.factories import prompts

    prompts(project, train=1200)
    blocks = list(Export(freeze(project=project, kind="prompts"), "prompts", None).blocks())
    assert [block.count(b"\n") for block in blocks] == [500, 500, 200]


def test_rows_of_a_changed_store_are_not_sent_under_the_hash_of_what_was_frozen(snapshots, ria):
    path = default_store().open(snapshots["sft"].digest) / "train.jsonl"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"Dear friend", b"Dear fiend", 1))
    response, body = fetch(ria, snapshots["sft"], "format=sft")
    problem = json.loads(body)
    assert (response.status_code, problem["code"]) == (409, "snapshot_changed")
    assert "backup" in problem["detail"]


def test_every_kind_names_its_formats():
    assert (formats_of("sft"), formats_of("rankings"), formats_of("prompts")) == (
        ["sft"],
        ["rankings", "preference"],
        ["prompts"],
    )

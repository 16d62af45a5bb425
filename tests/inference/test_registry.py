"""register_version, register_external: immutable folders under their content's hash."""

import json
import threading

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Event
from common.errors import DomainError
from common.storage import default_store
from inference.engine.folder import digest_folder
from inference.models import Completion, ModelVersion, VersionKind, VersionParent
from inference.selectors import lineage
from inference.services import add_external_completions, register_external, register_version
from inference.services.registry import UnsafeVersion, VersionNameTaken
from tests.factories import VersionFactory, model_folder


def register(project, folder, name="v", **more):
    return register_version(project=project, kind=VersionKind.SFT, folder=folder, name=name, **more)


def test_a_version_is_a_folder_under_its_hash(project, version, weights):
    assert version.digest == digest_folder(weights)[0]
    assert default_store().verify(version.digest).keys() == digest_folder(weights)[1].keys()
    assert version.context_tokens == 128
    assert len(version.tokenizer_digest) == 64


def test_it_counts_the_weights_as_torch_does(version, weights):
    from inference.engine.models import load_policy

    model, _ = load_policy(weights)
    assert version.parameters == sum(weight.numel() for weight in model.parameters())


def test_the_same_again_is_the_same_row(project, version, weights):
    again = register_version(project=project, kind=VersionKind.BASE, folder=weights, name="random")
    assert again.pk == version.pk
    assert Event.objects.filter(kind="version.registered").count() == 1


def test_another_content_under_a_taken_name_is_refused(project, version, tmp_path):
    with pytest.raises(VersionNameTaken):
        register_version(
            project=project, kind=VersionKind.BASE, folder=model_folder(tmp_path / "m", seed=9), name="random"
        )
    with pytest.raises(VersionNameTaken):
        register(project, default_store().open(version.digest), name="random")  # of another kind


def test_what_is_in_the_store_is_read_only_and_stays_when_the_source_changes(project, tmp_path):
    folder = model_folder(tmp_path / "m", seed=5)
    version = register(project, folder)
    (folder / "config.json").write_text("{}")
    default_store().verify(version.digest)
    assert (default_store().open(version.digest) / "config.json").stat().st_mode & 0o222 == 0


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("pytorch_model.bin", b"\x80\x04."),
        ("optimizer.pt", b"x"),
        ("modeling.py", b"print(1)"),
        ("model.safetensors", b"\xff" * 32),
        ("model.safetensors", (2).to_bytes(8, "little") + b"{]"),
    ],
)
def test_a_folder_that_could_run_code_or_is_damaged_is_refused(project, tmp_path, file, content):
    folder = model_folder(tmp_path / "m")
    (folder / file).write_bytes(content)
    with pytest.raises(UnsafeVersion, match=file.split(".")[0]):
        register(project, folder)
    assert ModelVersion.objects.count() == 0


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_auto_map_is_refused(project, tmp_path, file):
    folder = model_folder(tmp_path / "m")
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**settings, "auto_map": {"AutoModelForCausalLM": "evil--x.Y"}}))
    with pytest.raises(UnsafeVersion, match="auto_map"):
        register(project, folder)


def test_a_link_that_leads_out_is_refused(project, tmp_path):
    folder = model_folder(tmp_path / "m")
    (folder / "notes.txt").symlink_to("/etc/hostname")
    with pytest.raises(UnsafeVersion):
        register(project, folder)


def test_parents_are_of_the_same_project(project, other_project, version, weights, tmp_path):
    foreign = VersionFactory(project=other_project)
    with pytest.raises(DomainError, match="same project"):
        register(project, weights, parents={"model": foreign})
    child = register(project, model_folder(tmp_path / "m", seed=2), parents={"model": version})
    assert list(VersionParent.objects.values_list("child", "parent", "role")) == [
        (child.pk, version.pk, "model")
    ]


def test_lineage_is_walked_both_ways(project, django_assert_num_queries):
    base, sft, reward, policy, aside = (
        VersionFactory(project=project, name=name) for name in ("base", "sft", "reward", "policy", "aside")
    )
    for child, parents in {
        sft: {"model": base},
        reward: {"model": sft},
        policy: {"model": sft, "reference": sft, "reward": reward},
        aside: {},
    }.items():
        for role, parent in parents.items():
            VersionParent.objects.create(child=child, parent=parent, role=role)
    with django_assert_num_queries(2):
        from inference import selectors

        extensions, selectors._EXTENSIONS = selectors._EXTENSIONS, {}
        graph = lineage(sft)
        selectors._EXTENSIONS = extensions
    assert {node["label"] for node in graph["nodes"]} == {"base", "sft", "reward", "policy"}
    assert {"from": str(reward.pk), "to": str(policy.pk), "role": "reward"} in graph["edges"]
    assert len(graph["edges"]) == 5
    up = {node["label"] for node in lineage(base)["nodes"] if node["type"] == "version"}
    assert up == {"base", "sft", "reward", "policy"}


def test_an_external_version_has_a_name_and_no_weights(project):
    version = register_external(project=project, name="Import of May")
    assert (version.kind, version.digest) == ("external", "")
    assert register_external(project=project, name="Import of May").pk == version.pk
    rows = add_external_completions(version=version, texts=["One.", "Two."])
    assert [row.text for row in Completion.objects.filter(pk__in=[r.pk for r in rows]).order_by("text")] == [
        "One.",
        "Two.",
    ]


def test_imported_texts_never_pass_for_a_real_versions(project, version):
    with pytest.raises(VersionNameTaken):
        register_external(project=project, name="random")
    with pytest.raises(ValueError, match="sampling jobs only"):
        add_external_completions(version=version, texts=["x"])


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x" * 70_000])
def test_texts_that_cannot_be_kept_exactly_are_refused(project, text):
    version = register_external(project=project, name="Import")
    with pytest.raises(DomainError):
        add_external_completions(version=version, texts=["fine", text])
    assert Completion.objects.count() == 0


def test_the_database_refuses_a_sampled_completion_that_does_not_say_how(version):
    with pytest.raises(IntegrityError, match="fully_described"), transaction.atomic():
        Completion.objects.create(version=version, text="x")


def test_the_database_refuses_a_version_without_a_folder(project):
    with pytest.raises(IntegrityError, match="version_has_digest"), transaction.atomic():
        VersionFactory(project=project, digest="")


@pytest.mark.django_db(transaction=True)
def test_two_who_register_the_same_at_once_get_one_row(project, weights):
    start, got = threading.Barrier(4), []

    def work():
        start.wait()
        try:
            got.append(register(project, weights).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(got)) == 1

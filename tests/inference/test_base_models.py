"""base-models/, register_base_model and the command add_base_model: projects choose by name among checked folders."""

import json
import shutil

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Project
from common.storage import FolderStore
from inference.selectors import current_policy
from inference.services import base_models, promote, register_base_model, store_base_model
from inference.services.bases import BaseModelUnknown
from inference.services.registry import UnsafeVersion
from tests.factories import VersionFactory, model_folder


@pytest.fixture
def models_dir(settings, tmp_path):
    settings.PRECEPTOR_MODELS_DIR = tmp_path / "models"
    return tmp_path / "models"


def own(models):
    return [base for base in models if "tests" not in base.name and base.name in ("tiny", "other")]


def test_what_lies_in_the_directory_can_be_chosen(client_of, zoe, models_dir):
    (model_folder(models_dir / "tiny") / "README.md").write_text("# Tiny\n")
    listed = {one["name"]: one for one in client_of(zoe).get("/api/v1/base-models/").json()}
    assert listed["tiny"]["context_tokens"] == 128
    assert listed["tiny"]["parameters"] > 10_000
    assert listed["tiny"]["card"] == "# Tiny\n"
    assert str(models_dir) not in str(listed)


def test_nobody_lists_nothing(client_of, db):
    assert client_of(None).get("/api/v1/base-models/").status_code == 401


def test_a_dangerous_or_damaged_folder_cannot_be_chosen(models_dir):
    (model_folder(models_dir / "other") / "run.py").write_text("print(1)")
    (model_folder(models_dir / "tiny") / "config.json").write_text("{")
    assert own(base_models()) == []


def test_the_first_base_becomes_the_policy_and_the_second_does_not(project, eva, models_dir):
    model_folder(models_dir / "tiny", seed=1)
    model_folder(models_dir / "other", seed=2)
    first = register_base_model(project=project, stored=store_base_model("tiny"), actor=eva)
    second = register_base_model(project=project, stored=store_base_model("other"), actor=eva)
    assert (first.stage, second.stage) == ("current", "ready")
    assert register_base_model(project=project, stored=store_base_model("tiny")).pk == first.pk


def test_registering_it_again_takes_no_promotion_back(project, eva, models_dir):
    model_folder(models_dir / "tiny")
    register_base_model(project=project, stored=store_base_model("tiny"))
    better = promote(version=VersionFactory(project=project), actor=eva)
    register_base_model(project=project, stored=store_base_model("tiny"))
    assert current_policy(project) == better


def test_the_error_names_what_can_be_chosen(project, models_dir):
    model_folder(models_dir / "tiny")
    with pytest.raises(BaseModelUnknown, match="tiny"):
        register_base_model(project=project, stored=store_base_model("large"))


def test_an_operator_adds_a_folder_by_command(models_dir, tmp_path, capsys):
    source = model_folder(tmp_path / "My Model")
    call_command("add_base_model", str(source))
    call_command("add_base_model", str(source))  # free of effect
    assert "my-model: " in capsys.readouterr().out
    assert "my-model" in [base.name for base in base_models()]
    assert json.loads((models_dir / "my-model.pin.json").read_text())["origin"] == "local folder"
    assert sorted(path.name for path in models_dir.iterdir()) == ["my-model", "my-model.pin.json"]


@pytest.fixture
def empty_store(settings, tmp_path):
    """A store of the test's own."""
    settings.PRECEPTOR_STORE_URL = (tmp_path / "store").as_uri()
    return tmp_path / "store"


def test_what_an_operator_added_is_copied_by_no_request(
    client_of, zoe, eva, models_dir, empty_store, tmp_path
):
    """A base model has gigabytes; a request that reads them holds a transaction open until it is killed."""
    call_command("add_base_model", str(model_folder(tmp_path / "tiny")))
    pinned = json.loads((models_dir / "tiny.pin.json").read_text())["digest"]
    (empty_store / "staging").rmdir()
    (empty_store / "staging").write_text("whoever copies comes by here")
    answer = client_of(eva).post(
        "/api/v1/projects/", {"name": "Letters", "base_model": "tiny"}, format="json"
    )
    assert answer.status_code == 201, answer.content
    assert current_policy(Project.objects.get(pk=answer.json()["id"])).digest == pinned


def test_an_unpinned_folder_is_copied_before_the_transaction(
    client_of, eva, models_dir, empty_store, monkeypatch
):
    model_folder(models_dir / "tiny")
    depths, put = [], FolderStore.put_folder

    def watched(store, source):
        depths.append(len(connection.savepoint_ids))
        return put(store, source)

    monkeypatch.setattr(FolderStore, "put_folder", watched)
    outside = len(connection.savepoint_ids)
    answer = client_of(eva).post(
        "/api/v1/projects/", {"name": "Letters", "base_model": "tiny"}, format="json"
    )
    assert (answer.status_code, depths) == (201, [outside])


def test_a_folder_that_was_changed_after_it_was_added_is_not_what_a_project_gets(
    project, models_dir, empty_store, tmp_path
):
    call_command("add_base_model", str(model_folder(tmp_path / "tiny")))
    pinned = json.loads((models_dir / "tiny.pin.json").read_text())["digest"]
    config = models_dir / "tiny" / "config.json"
    config.write_text(config.read_text() + " ")
    assert register_base_model(project=project, stored=store_base_model("tiny")).digest == pinned
    shutil.rmtree(empty_store / pinned[:2])  # The store was lost; only the changed folder is left.
    with pytest.raises(UnsafeVersion, match="changed"):
        register_base_model(project=project, stored=store_base_model("tiny"))


def test_a_taken_name_with_another_content_is_refused(models_dir, tmp_path):
    call_command("add_base_model", str(model_folder(tmp_path / "a", seed=1)), "--name", "tiny")
    with pytest.raises(CommandError, match="taken"):
        call_command("add_base_model", str(model_folder(tmp_path / "b", seed=2)), "--name", "tiny")


def test_a_dangerous_folder_is_not_added(models_dir, tmp_path):
    source = model_folder(tmp_path / "evil")
    (source / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CommandError, match="run code"):
        call_command("add_base_model", str(source))
    assert list(models_dir.iterdir()) == []


def test_a_model_with_the_tokenizer_of_a_larger_one_is_not_added(models_dir, tmp_path):
    source = model_folder(tmp_path / "tiny")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"vocab_size": 400}))
    with pytest.raises(CommandError, match=r"512 tokens.* 400 rows; give"):
        call_command("add_base_model", str(source))
    assert list(models_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nowhere"], "neither a folder nor a hub id"),
        (["owner/name"], "commit"),
        (["owner/name", "--revision", "main"], "commit"),
    ],
)
def test_the_hub_is_asked_for_a_commit_only(models_dir, words, why):
    with pytest.raises(CommandError, match=why):
        call_command("add_base_model", *words)


@pytest.mark.parametrize("name", ["../x", "A", ".hidden", "x.pin.json"])
def test_odd_names_are_refused(models_dir, tmp_path, name):
    with pytest.raises(CommandError, match="name"):
        call_command("add_base_model", str(model_folder(tmp_path / "tiny")), "--name", name)

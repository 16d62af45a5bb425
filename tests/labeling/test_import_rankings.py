import io
import json

import pytest
from django.core.management import call_command

from accounts.models import Event, User
from inference.models import Completion, ModelVersion
from labeling.models import Batch, Candidate, Prompt, RankedItem, Ranking, Slot, Tally, Task
from labeling.selectors import canonical_ranking, quality, rankings_for_training
from labeling.services.imports import ImportRefused
from labeling.services.ranking_imports import import_rankings

ROW = {
    "id": "wmt-1",
    "prompt": "Translate: 你好",
    "responses": ["Hello", "Hi there", "Goodbye"],
    "response_systems": ["system-a", "system-b", "system-a"],
    "rankings": [{"annotator": "rater1", "ranks": [1, 1, 3]}, {"annotator": "rater2", "ranks": [2, 1, 4]}],
}


def stream(*rows):
    return io.BytesIO("\n".join(json.dumps(row) for row in rows).encode())


def test_it_works(project, eva):
    report = import_rankings(project=project, stream=stream(ROW), actor=eva)
    assert report == {
        "tasks": 1,
        "rankings": 2,
        "annotators": 2,
        "prompts": 1,
        "flagged": 0,
        "duplicates": 0,
        "opened": 0,
    }
    batch = Batch.objects.get()
    assert (batch.state, batch.is_import, batch.quota) == ("frozen", True, 2)
    assert Task.objects.get().state == "complete"
    assert not Slot.objects.exists()
    assert set(ModelVersion.objects.values_list("name", "kind")) == {
        ("system-a", "external"),
        ("system-b", "external"),
    }
    assert set(Completion.objects.values_list("version__name", "text")) == {
        ("system-a", "Hello"),
        ("system-b", "Hi there"),
        ("system-a", "Goodbye"),
    }


def test_ranks_become_dense_and_follow_their_texts(project, eva):
    import_rankings(project=project, stream=stream(ROW), actor=eva)
    found = {
        tuple(sorted((item.candidate.completion.text, item.rank) for item in ranking.items.all()))
        for ranking in Ranking.objects.all()
    }
    assert found == {
        (("Goodbye", 2), ("Hello", 1), ("Hi there", 1)),
        (("Goodbye", 3), ("Hello", 2), ("Hi there", 1)),
    }


def test_annotators_are_pseudonyms_who_cannot_sign_in(project, eva):
    import_rankings(project=project, stream=stream(ROW), actor=eva)
    people = User.objects.filter(username__startswith="ext-")
    assert people.count() == 2
    assert not any(person.is_active or person.has_usable_password() for person in people)
    assert "rater" not in json.dumps(list(people.values("username", "display_name", "email")))
    assert set(Ranking.objects.values_list("pool", flat=True)) == {"researcher"}


def test_the_pool_can_be_chosen(project, eva):
    import_rankings(project=project, stream=stream(ROW), actor=eva, pool="train")
    assert set(Ranking.objects.values_list("pool", flat=True)) == {"train"}


def test_the_same_file_twice_gives_duplicates_only(project, eva):
    import_rankings(project=project, stream=stream(ROW), actor=eva)
    report = import_rankings(project=project, stream=stream(ROW, ROW), actor=eva)
    assert (report["tasks"], report["duplicates"]) == (0, 2)
    assert (Ranking.objects.count(), Batch.objects.count()) == (2, 1)


def test_other_answers_to_the_same_prompt_are_another_task(project, eva):
    other = ROW | {"responses": ["Hello", "Hi", "Ho"]}
    report = import_rankings(project=project, stream=stream(ROW, other), actor=eva, open_overlap=1)
    assert (report["tasks"], report["prompts"], report["opened"]) == (2, 1, 1)


def test_equal_texts_keep_the_ranks_that_their_annotators_gave(project, eva):
    import_rankings(project=project, stream=stream(ROW | {"responses": ["Hello", "Hi", "Hello "]}), actor=eva)
    assert Candidate.objects.filter(merged_into__isnull=False).count() == 1
    assert not RankedItem.objects.filter(is_forced=True).exists()


def test_the_answers_can_be_put_before_the_own_labelers(project, eva, ana, works):
    report = import_rankings(project=project, stream=stream(ROW), actor=eva, open_overlap=2)
    assert report["opened"] == 1
    task = works(ana).take()
    assert {one["text"] for one in task["candidates"]} == set(ROW["responses"])
    assert all(one["tokens"] is None for one in task["candidates"])
    assert works(ana).rank(task).status_code == 201


def test_what_came_is_there_for_training_and_quality(project, eva, clock):
    import_rankings(project=project, stream=stream(ROW), actor=eva)
    moment = Event.objects.latest("at").at
    records = [canonical_ranking(row) for row in rankings_for_training(project, as_of=moment)]
    assert len(records) == 2
    assert {one["policy"] for one in records[0]["responses"]} == {"system-a", "system-b"}
    assert records[0]["responses"][0]["token_ids"] is None
    found = quality(project, eva)
    assert found["agreement"]["pairs"] == 3
    assert found["agreement"]["strict"] == 1.0
    assert [row["answers"] for row in found["by_labeler"]] == [1, 1]
    assert sum(Tally.objects.values_list("answers", flat=True)) == 2


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"responses": ["one"]}, "bad_responses", "responses"),
        ({"responses": ["x"] * 10}, "bad_responses", "responses"),
        ({"responses": ["a", "b", 3]}, "not_text", "responses.2"),
        ({"response_systems": ["a"]}, "bad_systems", "response_systems"),
        ({"response_systems": ["a", "b", ""]}, "bad_name", "response_systems.2"),
        ({"rankings": []}, "bad_rankings", "rankings"),
        ({"rankings": [{"annotator": "r", "ranks": [1, 2]}]}, "bad_ranks", "rankings.0.ranks"),
        ({"rankings": [{"annotator": "r", "ranks": [1, 2, 2.5]}]}, "bad_ranks", "rankings.0.ranks"),
        ({"rankings": [{"ranks": [1, 2, 3]}]}, "not_text", "rankings.0.annotator"),
        ({"rankings": [ROW["rankings"][0]] * 2}, "annotator_twice", "rankings.1"),
        ({"prompt": ""}, "empty_prompt", "prompt"),
    ],
)
def test_a_bad_row_stops_everything(project, eva, change, code, field):
    with pytest.raises(ImportRefused) as caught:
        import_rankings(project=project, stream=stream(ROW, ROW | change), actor=eva)
    (error,) = caught.value.extra["errors"]
    assert (error["line"], error["code"], error["field"]) == (2, code, field)
    for table in (Prompt, Batch, Completion, ModelVersion, Ranking):
        assert not table.objects.exists()


def test_the_command(project, eva, tmp_path, capsys):
    file = tmp_path / "wmt23.jsonl"
    file.write_bytes(stream(ROW).read())
    call_command("import_rankings", file, project="Letters", user="eva", open=1)
    assert "2 rankings" in capsys.readouterr().out
    assert set(Batch.objects.values_list("title", flat=True)) == {"wmt23"}

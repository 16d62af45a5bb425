"""What an import leaves out or flags: near-duplicates, prompts over an owner's cap, personal data."""

import io
import json
from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from accounts.models import Event
from labeling.models import Demonstration, LeftOut, Prompt
from labeling.selectors import prompts_for_training, prompts_left_out
from labeling.services.prompts import add_prompt, import_prompts
from labeling.services.ranking_imports import import_rankings
from tests.labeling.test_import_prompts import lines

LONG = "Write a letter to the city council about the broken lamp at the corner of our street. " * 3
MAIL = "Answer mia.berg@posteo.de politely."


def imported(project, eva, *rows, **options):
    return import_prompts(project=project, stream=lines(*rows), actor=eva, **options)


def texts():
    return set(Prompt.objects.values_list("messages__0__content", flat=True))


# Near-duplicates.


def test_a_long_common_prefix_makes_a_near_duplicate(project, eva):
    report = imported(
        project, eva, {"prompt": LONG + "Be kind."}, {"prompt": "Hi"}, {"prompt": LONG.upper() + "Be firm."}
    )
    assert (report["imported"], report["near_duplicates"], report["duplicates"]) == (2, 1, 0)
    assert texts() == {LONG + "Be kind.", "Hi"}
    (note,) = report["notes"]
    assert note == {"line": 3, "reason": "near_duplicate", "kinds": [], "like_line": 1, "like_prompt": None}


def test_it_is_found_in_the_project_too_but_not_in_another(project, eva, other_project):
    imported(project, eva, {"prompt": LONG + "Be kind."})
    other_project.memberships.create(user=eva, role="admin")
    assert imported(other_project, eva, {"prompt": LONG + "Be firm."})["imported"] == 1
    report = imported(project, eva, {"prompt": LONG + "Be firm."})
    assert (report["imported"], report["near_duplicates"]) == (0, 1)
    assert report["notes"][0]["like_prompt"] == Prompt.objects.get(project=project).pk


@pytest.mark.parametrize(
    "pair",
    [
        ("Write a short letter to Ann", "Write a short letter to Anna"),
        ("Write a short letter to Ann.", "Write a short letter to Mia."),
        ("x" * 199 + "a", "x" * 199 + "b"),
        ("???", "!!!"),
        ("用一句话介绍北京", "用一句话介绍北海"),
    ],
)
def test_templates_with_another_end_are_other_prompts(project, eva, pair):
    assert imported(project, eva, *({"prompt": text} for text in pair))["imported"] == 2


@pytest.mark.parametrize(
    "pair",
    [
        ("Who are you?", "  who ARE\nyou"),
        ("写一首诗。", "写一首诗"),
        ("x" * 200 + "a", "x" * 200 + "b"),
        (" " * 900 + "Name a prime.", "name a prime"),
    ],
)
def test_case_spaces_and_a_full_stop_make_no_other_prompt(project, eva, pair):
    assert imported(project, eva, *({"prompt": text} for text in pair))["near_duplicates"] == 1


def test_a_shared_system_prompt_makes_no_near_duplicates(project, eva):
    asked = [
        [{"role": "system", "content": LONG}, {"role": "user", "content": text}] for text in ("Hi", "Bye")
    ]
    assert imported(project, eva, *({"messages": messages} for messages in asked))["imported"] == 2


def test_the_turns_before_the_last_one_count(project, eva):
    first = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    rows = [{"messages": [*first, {"role": "user", "content": text}]} for text in ("A poem", "A story")]
    assert imported(project, eva, *rows)["imported"] == 2


def test_they_are_kept_where_the_admin_says_so(project, eva):
    rows = [{"prompt": LONG + end} for end in ("a", "b")]
    imported(project, eva, *rows)
    assert prompts_left_out(project, as_of=now())["near_duplicate"] == 1
    report = imported(project, eva, *rows, keep_near_duplicates=True)
    assert (report["imported"], report["near_duplicates"], report["duplicates"]) == (1, 0, 1)
    assert prompts_left_out(project, as_of=now())["near_duplicate"] == 0


def test_an_answer_to_what_is_left_out_is_left_out(project, eva):
    rows = [{"prompt": LONG + end, "completion": f"answer {end}"} for end in ("a", "b")]
    assert imported(project, eva, *rows)["demonstrations"] == 1
    assert Demonstration.objects.get().text == "answer a"


def test_every_row_is_counted_once_and_the_same_file_brings_nothing_new(project, eva):
    rows = [{"prompt": LONG + end} for end in ("a", "b", "b", "a")]
    for _ in range(2):
        report = imported(project, eva, *rows)
        assert report["imported"] + report["duplicates"] + report["near_duplicates"] == 4
    assert (report["imported"], report["duplicates"], report["near_duplicates"]) == (0, 3, 1)
    assert LeftOut.objects.count() == 1


# The cap.


def test_an_owner_has_at_most_so_many_prompts(project, eva):
    imported(project, eva, {"prompt": "first", "owner": "acme"})
    rows = [{"prompt": f"{n}", "owner": "acme"} for n in range(4)] + [{"prompt": "theirs", "owner": "zeta"}]
    report = imported(project, eva, *rows, max_per_owner=3)
    assert (report["imported"], report["over_owner_cap"]) == (3, 2)
    assert texts() == {"first", "0", "1", "theirs"}
    assert [(note["line"], note["reason"]) for note in report["notes"]] == [
        (3, "owner_cap"),
        (4, "owner_cap"),
    ]


def test_two_hundred_unless_told_otherwise_and_none_is_no_cap(project, eva):
    rows = [{"prompt": f"number {n}", "owner": "acme"} for n in range(203)]
    assert imported(project, eva, *rows, dry_run=True)["over_owner_cap"] == 3
    assert imported(project, eva, *rows, max_per_owner=None)["imported"] == 203


def test_prompts_without_an_owner_have_no_cap(project, eva):
    assert imported(project, eva, *({"prompt": f"{n}"} for n in range(4)), max_per_owner=1)["imported"] == 4


def test_near_duplicates_do_not_use_up_an_owners_cap(project, eva):
    rows = [{"prompt": text, "owner": "acme"} for text in (LONG + "a", LONG + "b", "another")]
    report = imported(project, eva, *rows, max_per_owner=2)
    assert (report["imported"], report["near_duplicates"], report["over_owner_cap"]) == (2, 1, 0)


# Personal data.


def test_personal_data_is_flagged_by_kind_and_never_repeated(project, eva):
    report = imported(project, eva, {"prompt": "Hi"}, {"prompt": MAIL + " Or call 13812345678."})
    assert (report["imported"], report["flagged"]) == (2, 1)
    assert {kind for kind, count in report["pii"].items() if count} == {"email", "phone"}
    (note,) = report["notes"]
    assert (note["line"], note["reason"], note["kinds"]) == (2, "pii", ["email", "phone"])
    said = json.dumps(list(Event.objects.values_list("data", flat=True))) + json.dumps(report["notes"])
    assert "mia" not in said
    assert "138" not in said


def test_a_flagged_training_prompt_is_kept_out_of_training_and_one_of_another_split_is_not(project, eva):
    rows = [{"prompt": f"{n}: {MAIL}", "owner": f"owner {n}"} for n in range(120)]
    report = imported(project, eva, *rows)
    learned = prompts_for_training(project, as_of=now())
    assert set(learned.values_list("split", flat=True)) == {"valid", "heldout"}
    assert learned.count() == report["splits"]["valid"] + report["splits"]["heldout"] > 0
    assert prompts_left_out(project, as_of=now())["pii"] == report["splits"]["train"] > 0


def test_a_prompt_that_was_there_is_not_flagged_again(project, eva):
    imported(project, eva, {"prompt": MAIL})
    report = imported(project, eva, {"prompt": MAIL})
    assert (report["flagged"], report["notes"]) == (0, [])


def test_prompts_that_come_alone_or_with_rankings_are_flagged_too(project, eva):
    prompt, _ = add_prompt(project=project, messages=MAIL, actor=eva)
    assert prompt.pii == ["email"]
    row = {"prompt": MAIL + "!", "responses": ["a", "b"], "rankings": [{"annotator": "r", "ranks": [1, 2]}]}
    report = import_rankings(project=project, stream=io.BytesIO(json.dumps(row).encode()), actor=eva)
    assert (report["prompts"], report["flagged"]) == (1, 1)


def test_whoever_adds_a_prompt_hears_what_is_found_in_it_and_what_it_resembles(client_of, project, eva):
    def added(text):
        body = client_of(eva).post(f"/api/v1/projects/{project.pk}/prompts/", {"prompt": text}).json()
        return body["id"], (body["is_new"], body["pii"], body["like_prompt"])

    first, told = added(MAIL)
    assert told == (True, ["email"], None)
    assert added(MAIL) == (first, (False, ["email"], None))
    assert added(MAIL.upper())[1] == (True, ["email"], first)


def test_an_admin_clears_a_flag_that_was_wrong(client_of, project, eva, ria):
    prompt, _ = add_prompt(project=project, messages=MAIL, actor=eva)
    Prompt.objects.update(split="train")
    url = f"/api/v1/prompts/{prompt.pk}/clear-pii/"
    assert client_of(ria).post(url).status_code == 403
    assert not prompts_for_training(project, as_of=now()).exists()
    for _ in range(2):
        answer = client_of(eva).post(url)
        assert (answer.status_code, answer.json()["pii"]) == (200, [])
    assert prompts_for_training(project, as_of=now()).exists()
    assert Event.objects.get(kind="prompt.cleared").data == {"kinds": ["email"]}


def test_prompts_from_before_are_looked_at_by_the_migration(project, eva):
    imported(project, eva, {"prompt": MAIL}, {"prompt": "Hi"})
    known = set(Prompt.objects.values_list("pk", "prefix_digest"))
    Prompt.objects.update(prefix_digest="", pii=[])
    import_module("labeling.migrations.0004_prompts_from_before_are_looked_at").look(apps, None)
    assert set(Prompt.objects.values_list("pk", "prefix_digest")) == known
    assert Prompt.objects.exclude(pii=[]).get().pii == ["email"]


# Counters, statements, doors.


def test_the_event_has_the_numbers_and_what_was_chosen(project, eva):
    imported(project, eva, {"prompt": LONG + "a"}, {"prompt": LONG + "b"}, {"prompt": MAIL}, max_per_owner=7)
    data = Event.objects.get(kind="prompts.imported").data
    assert (data["near_duplicates"], data["over_owner_cap"], data["flagged"], data["pii"]["email"]) == (
        1,
        0,
        1,
        1,
    )
    assert (data["keep_near_duplicates"], data["max_per_owner"]) == (False, 7)
    assert "notes" not in data


def test_a_dry_run_remembers_nothing(project, eva):
    imported(project, eva, {"prompt": LONG + "a"}, {"prompt": LONG + "b"}, dry_run=True)
    assert LeftOut.objects.count() == Prompt.objects.count() == 0


def test_more_rows_take_no_more_statements(project, eva, django_assert_max_num_queries):
    rows = [{"prompt": f"{n} {MAIL}", "owner": "acme"} for n in range(300)] + [
        {"prompt": LONG + str(n)} for n in range(300)
    ]
    with django_assert_max_num_queries(14):
        report = imported(project, eva, *rows)
    assert (report["imported"], report["over_owner_cap"], report["near_duplicates"]) == (201, 100, 299)
    assert len(report["notes"]) == 100


def test_over_rest(client_of, project, eva):
    body = lines(
        {"prompt": LONG + "a", "owner": "x"}, {"prompt": LONG + "b", "owner": "x"}, {"prompt": MAIL}
    ).read()

    def post(query):
        url = f"/api/v1/projects/{project.pk}/prompts/import/?dry_run=1&{query}"
        return client_of(eva).post(url, body, content_type="application/x-ndjson")

    assert post("").json()["near_duplicates"] == 1
    assert post("keep_near_duplicates=1&max_per_owner=1").json()["over_owner_cap"] == 1
    assert post("keep_near_duplicates=1&max_per_owner=none").json()["imported"] == 3
    for wrong in ("0", "-1", "many", "", "99999999999"):
        answer = post(f"max_per_owner={wrong}")
        assert (answer.status_code, "max_per_owner" in answer.json()["detail"]) == (400, True)


def test_the_list_shows_kinds_only(client_of, project, ria, eva):
    imported(project, eva, {"prompt": MAIL})
    imported(project, eva, {"prompt": "Hi"})
    (row,) = client_of(ria).get(f"/api/v1/projects/{project.pk}/prompts/?pii=1").json()["results"]
    assert row["pii"] == ["email"]


def test_the_command_says_what_it_left_out(project, eva, tmp_path, capsys):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes(lines({"prompt": LONG + "a"}, {"prompt": LONG + "b"}, {"prompt": MAIL}).read())
    call_command("import_prompts", file, project=str(project.pk), user="eva")
    out = capsys.readouterr().out
    assert "1 left out: begin like another prompt" in out
    assert "line 2: like line 1" in out
    assert "line 3: email" in out
    with pytest.raises(CommandError, match="max-per-owner"):
        call_command("import_prompts", str(file), "--project", "x", "--user", "eva", "--max-per-owner", "0")

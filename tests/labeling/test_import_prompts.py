import gzip
import io
import json
import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import Event
from labeling.models import Batch, Demonstration, Prompt, Tally, Task
from labeling.services.imports import ImportRefused
from labeling.services.prompts import import_prompts
from tests.labeling.factories import UserFactory

ROOT = Path(__file__).resolve().parents[2]
SHAPES = [
    {"prompt": "Name a prime above 10."},
    {"prompt": "Say hello.", "completion": "Hello!"},
    {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day", "system": "Be brief."},
    {"messages": [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "A model."}]},
    {
        "prompt": [{"role": "user", "content": "A list."}],
        "completion": [{"role": "assistant", "content": "One."}],
    },
    {"id": 7, "owner": "acme", "tags": ["poem"], "prompt": "写一首诗。", "other": {"column": 1}},
]


def lines(*rows):
    return io.BytesIO(b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows))


def refused(project, eva, *rows):
    with pytest.raises(ImportRefused) as caught:
        import_prompts(project=project, stream=lines(*rows), actor=eva)
    assert Prompt.objects.count() == 0
    return caught.value.extra["errors"]


def test_every_shape_is_understood(project, eva):
    report = import_prompts(project=project, stream=lines(*SHAPES), actor=eva)
    assert (report["imported"], report["duplicates"], report["demonstrations"]) == (6, 0, 4)
    assert sum(report["splits"].values()) == 6
    assert set(Demonstration.objects.values_list("text", flat=True)) == {
        "Hello!",
        "Good day",
        "A model.",
        "One.",
    }
    translate = Prompt.objects.get(messages__0__role="system")
    assert translate.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Translate.\n\nGuten Tag"},
    ]
    poem = Prompt.objects.get(external_id="7")
    assert (poem.owner_key, poem.tags, poem.source, poem.created_by) == ("acme", ["poem"], "imported", eva)


def test_a_demonstration_has_a_complete_task_and_is_counted(project, eva):
    import_prompts(project=project, stream=lines({"prompt": "a", "completion": "b"}), actor=eva)
    assert Task.objects.get().state == "complete"
    assert Batch.objects.get().is_import
    assert Tally.objects.get(labeler=eva).answers == 1
    assert Demonstration.objects.get().pool == "train"


def test_the_same_file_twice_gives_duplicates_only(project, eva):
    import_prompts(project=project, stream=lines(*SHAPES), actor=eva)
    report = import_prompts(project=project, stream=lines(*SHAPES), actor=eva)
    assert (report["imported"], report["duplicates"], report["demonstrations"]) == (0, 6, 0)
    assert Demonstration.objects.count() == 4


def test_a_prompt_twice_in_a_file_counts_as_a_duplicate_and_both_answers_stay(project, eva):
    rows = [{"id": "x", "prompt": "a", "completion": "b"}, {"id": "x", "prompt": "a", "completion": "c"}]
    report = import_prompts(project=project, stream=lines(*rows, rows[0]), actor=eva)
    assert (report["imported"], report["duplicates"], report["demonstrations"]) == (1, 2, 2)


def test_bom_crlf_and_blank_lines_are_no_errors(project, eva):
    stream = io.BytesIO(b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n  \n{"prompt": "b"}\r\n')
    assert import_prompts(project=project, stream=stream, actor=eva)["imported"] == 2


def test_text_is_stored_exactly(project, eva):
    text = "  \u202eright to left\u200b e\u0301 \r\n\t"
    import_prompts(project=project, stream=lines({"prompt": text, "completion": text}), actor=eva)
    assert Prompt.objects.get().messages[0]["content"] == text
    assert Demonstration.objects.get().text == text


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        (b'{"prompt": "a"', "bad_json", ""),
        (b'{"prompt": NaN}', "bad_json", ""),
        (b'{"prompt": "\xff"}', "not_utf8", ""),
        (b'{"prompt": "\\ud800"}', "lone_surrogate", ""),
        (b'{"prompt": ' + b"[" * 3000 + b"]" * 3000 + b"}", "too_deep", ""),
        (b'{"prompt": "' + b"a" * (1 << 20) + b'"}', "line_too_long", ""),
        (b'["a"]', "not_an_object", ""),
        (b"null", "not_an_object", ""),
        ({"prompt": "a\u0000b"}, "nul", "prompt"),
        ({"prompt": "a" * 65_537}, "too_long", "prompt"),
        ({"prompt": 5}, "not_text", "prompt"),
        ({"prompt": " \n"}, "empty_prompt", "prompt"),
        ({"text": "a"}, "no_shape", ""),
        ({"prompt": "a", "messages": []}, "two_shapes", ""),
        ({"messages": []}, "bad_messages", "messages"),
        ({"messages": ["a"]}, "bad_messages", "messages.0"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "unknown_role", "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "not_text", "messages.0.content"),
        ({"messages": [{"role": "system", "content": "a"}]}, "last_not_user", "messages"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "last_not_user", "messages"),
        ({"prompt": "a", "completion": " "}, "empty_completion", "completion"),
        ({"prompt": "a", "completion": ["b"]}, "bad_messages", "completion.0"),
        ({"prompt": "a", "id": "i" * 201}, "too_long", "id"),
        ({"prompt": "a", "tags": "poem"}, "bad_tags", "tags"),
    ],
)
def test_a_bad_row_is_named_with_a_remedy(project, eva, row, code, field):
    (error,) = refused(project, eva, {"prompt": "good"}, row, {"prompt": "good too"})
    assert (error["line"], error["code"], error["field"]) == (2, code, field)
    assert error["message"]
    assert error["remedy"]


def test_all_bad_rows_are_named_and_the_list_has_an_end(project, eva):
    with pytest.raises(ImportRefused) as caught:
        import_prompts(project=project, stream=lines(*[{"prompt": ""}] * 1200), actor=eva)
    assert caught.value.extra["error_count"] == 1200
    assert [error["line"] for error in caught.value.extra["errors"]] == list(range(1, 1001))


def test_an_empty_file_is_an_error(project, eva):
    assert refused(project, eva, b"\n\n")[0]["code"] == "empty_file"


def test_a_dry_run_writes_nothing(project, eva):
    report = import_prompts(project=project, stream=lines(*SHAPES), actor=eva, dry_run=True)
    assert (report["imported"], report["demonstrations"]) == (6, 4)
    assert Prompt.objects.count() == Demonstration.objects.count() == Event.objects.count() == 0


def test_it_records_an_event_of_numbers(project, eva):
    import_prompts(project=project, stream=lines(*SHAPES), actor=eva)
    event = Event.objects.get(kind="prompts.imported")
    assert event.data["imported"] == 6
    assert "prime" not in json.dumps(event.data)


# Over REST.


def url(project):
    return f"/api/v1/projects/{project.pk}/prompts/import/"


def test_a_page_sends_a_form(client_of, project, eva):
    file = SimpleUploadedFile("prompts.jsonl", lines(*SHAPES).read())
    answer = client_of(eva).post(url(project), {"file": file}, format="multipart")
    assert answer.status_code == 201, answer.json()
    assert answer.json()["imported"] == 6
    assert set(answer.json()["splits"]) == {"train", "valid", "heldout"}


def test_a_script_sends_the_lines(client_of, project, eva):
    body = lines(*SHAPES).read()
    answer = client_of(eva).post(url(project), body, content_type="application/x-ndjson")
    assert answer.status_code == 201, answer.json()


def test_a_large_form_goes_over_a_file(client_of, project, eva):
    rows = [{"prompt": f"{number} " + "x" * 2000} for number in range(1000)]
    answer = client_of(eva).post(
        url(project), {"file": SimpleUploadedFile("p", lines(*rows).read())}, format="multipart"
    )
    assert answer.json()["imported"] == 1000


def test_bad_rows_are_a_problem_with_a_list(client_of, project, eva):
    answer = client_of(eva).post(url(project), b'{"prompt": ""}', content_type="application/x-ndjson")
    assert answer.status_code == 422
    assert answer.json()["code"] == "import_refused"
    assert answer.json()["extra"]["error_count"] == 1
    assert answer.json()["extra"]["errors"][0]["code"] == "empty_prompt"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x89PNG\r\n\x1a\n" + b"\n\x00" * 200,
        b"\x28\xb5\x2f\xfd\x04\n" + b"\xff\n" * 200,
        "\n".join(['{"prompt": "a"}'] * 9).encode("utf-16"),
    ],
)
def test_a_file_that_is_no_text_is_one_sentence(client_of, project, eva, sent):
    answer = client_of(eva).post(url(project), sent, content_type="application/x-ndjson")
    (error,) = answer.json()["extra"]["errors"]
    assert (error["code"], error["line"]) == ("not_text_file", 1)
    assert "UTF-8" in error["remedy"]


def test_another_type_of_body_hears_which_are_taken(client_of, project, eva):
    answer = client_of(eva).post(url(project), b"[]", content_type="application/json")
    assert answer.status_code == 415
    assert "application/x-ndjson" in answer.json()["detail"]
    assert 'curl -H "Authorization: Bearer $TOKEN"' in answer.json()["detail"]


def test_every_code_of_a_bad_row_has_a_chinese_sentence():
    places = [ROOT / "labeling" / name for name in ("rows.py", "lines.py", "services/imports.py")]
    found = {code for place in places for code in re.findall(r'RowError\(\s*"(\w+)"', place.read_text())}
    told = json.loads((ROOT / "frontend/src/features/prompts/locales/rows.zh-Hans.json").read_text())
    assert found | {"nul", "not_text"} <= set(told)


def test_a_form_without_a_file_says_so(client_of, project, eva):
    answer = client_of(eva).post(url(project), {}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (400, "file_missing")


def test_a_dry_run_over_rest(client_of, project, eva):
    answer = client_of(eva).post(
        url(project) + "?dry_run=1", b'{"prompt": "a"}', content_type="application/x-ndjson"
    )
    assert answer.status_code == 200
    assert Prompt.objects.count() == 0


@pytest.mark.parametrize(("who", "status"), [("ana", 403), ("ria", 403), ("zoe", 404), ("rex", 404)])
def test_only_admins_import(request, client_of, project, who, status):
    person = request.getfixturevalue(who)
    answer = client_of(person).post(url(project), b'{"prompt": "a"}', content_type="application/x-ndjson")
    assert answer.status_code == status
    assert Prompt.objects.count() == 0


def test_nobody_imports_without_signing_in(client_of, project):
    assert client_of(None).post(url(project), b"{}", content_type="application/x-ndjson").status_code == 401


# By command.


def test_the_command_reads_packed_files_too(project, eva, tmp_path, capsys):
    from django.core.management import call_command

    file = tmp_path / "prompts.jsonl.gz"
    file.write_bytes(gzip.compress(lines(*SHAPES).read()))
    call_command("import_prompts", file, project=str(project.pk), user="eva")
    assert "6 imported" in capsys.readouterr().out
    assert Prompt.objects.count() == 6


def test_the_command_prints_bad_rows_and_fails(project, eva, tmp_path, capsys):
    from django.core.management import CommandError, call_command

    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "a"}\n{"prompt": ""}\n')
    with pytest.raises(CommandError, match="1 row is wrong"):
        call_command("import_prompts", file, project=str(project.pk), user="eva")
    assert "line 2" in capsys.readouterr().err


def test_an_importer_who_simulates_marks_what_comes(project, eva):
    robot = UserFactory(is_synthetic=True)
    project.memberships.create(user=robot, role="admin", pool="heldout")
    import_prompts(project=project, stream=lines({"prompt": "a", "completion": "b"}), actor=robot)
    assert Demonstration.objects.get().is_synthetic
    assert Demonstration.objects.get().pool == "heldout"


@pytest.mark.parametrize(
    "content", [b"not packed at all\n", gzip.compress(b'{"prompt": "Hi"}\n' * 50, mtime=0)[:-20]]
)
def test_the_command_says_what_is_wrong_with_a_packed_file(project, eva, tmp_path, content):
    from django.core.management import CommandError, call_command

    file = tmp_path / "prompts.jsonl.gz"
    file.write_bytes(content)
    with pytest.raises(CommandError, match="not a whole gzip file"):
        call_command("import_prompts", file, project=str(project.pk), user="eva")
    assert Prompt.objects.count() == 0

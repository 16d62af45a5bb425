import json

import pytest

from accounts.models import Event
from labeling.models import Prompt
from tests.labeling.factories import PromptFactory, demonstration_batch, ranking_batch


def url(project):
    return f"/api/v1/projects/{project.pk}/prompts/"


@pytest.fixture
def reviewer(client_of, ria):
    return client_of(ria)


def test_the_list_comes_in_pages_newest_first(reviewer, project):
    made = [str(PromptFactory(project=project).pk) for _ in range(7)]
    page = reviewer.get(url(project) + "?page_size=3").json()
    seen = [row["id"] for row in page["results"]]
    while page["next"]:
        page = reviewer.get(page["next"]).json()
        seen += [row["id"] for row in page["results"]]
    assert set(seen) == set(made)
    assert len(seen) == 7
    assert seen == sorted(seen, reverse=True)


def test_a_row_says_what_the_prompt_is_and_where_it_is_used(reviewer, project):
    ranking_batch(project)
    demonstration_batch(project)
    rows = reviewer.get(url(project)).json()["results"]
    assert {json.dumps(row["tasks"]) for row in rows} == {
        '{"demonstration": 1, "ranking": 0}',
        '{"demonstration": 0, "ranking": 1}',
    }
    assert set(rows[0]) == {
        "id",
        "messages",
        "split",
        "source",
        "pii",
        "external_id",
        "tags",
        "created_at",
        "tasks",
    }


def test_more_rows_take_no_more_statements(reviewer, project, django_assert_max_num_queries):
    for _ in range(20):
        PromptFactory(project=project)
    with django_assert_max_num_queries(5):
        reviewer.get(url(project))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=PRIME", 1),
        ('search="quoted"', 1),
        ("search=写诗", 1),
        ("search=nothing", 0),
        ("source=plain", 1),
    ],
)
def test_it_can_be_searched(reviewer, project, query, found):
    PromptFactory(project=project, text="Name a prime.", source="plain")
    PromptFactory(project=project, text='Say "quoted" twice.')
    PromptFactory(project=project, text="请写诗")
    assert len(reviewer.get(f"{url(project)}?{query}").json()["results"]) == found


def test_it_can_be_narrowed_to_a_split(reviewer, project):
    for split in ("train", "train", "heldout"):
        PromptFactory(project=project, split=split)
    assert len(reviewer.get(url(project) + "?split=heldout").json()["results"]) == 1


@pytest.mark.parametrize("query", ["split=test", "source=web", "search=%00"])
def test_a_wrong_filter_is_named(reviewer, project, query):
    assert reviewer.get(f"{url(project)}?{query}").status_code == 400


@pytest.mark.parametrize(
    ("who", "status"), [("ana", 403), ("ria", 200), ("eva", 200), ("zoe", 404), ("rex", 404)]
)
def test_who_may_read_the_list(request, client_of, project, who, status):
    PromptFactory(project=project)
    assert client_of(request.getfixturevalue(who)).get(url(project)).status_code == status


@pytest.mark.parametrize(("who", "status"), [("ana", 404), ("ria", 200), ("zoe", 404), ("rex", 404)])
def test_who_may_read_one(request, client_of, project, who, status):
    prompt = PromptFactory(project=project)
    answer = client_of(request.getfixturevalue(who)).get(f"/api/v1/prompts/{prompt.pk}/")
    assert answer.status_code == status


def test_one_can_be_added(client_of, project, eva):
    answer = client_of(eva).post(url(project), {"prompt": " Say hi. ", "owner_key": "acme", "tags": ["chat"]})
    assert answer.status_code == 201, answer.json()
    prompt = Prompt.objects.get()
    assert prompt.messages == [{"role": "user", "content": " Say hi. "}]
    assert (prompt.source, prompt.owner_key, prompt.tags, prompt.created_by) == (
        "plain",
        "acme",
        ["chat"],
        eva,
    )
    assert answer.json()["id"] == str(prompt.pk)
    assert Event.objects.filter(kind="prompt.added", subject=f"prompt:{prompt.pk}").count() == 1


def test_the_same_one_again_gives_the_first(client_of, project, eva):
    body = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
    first, again = client_of(eva).post(url(project), body), client_of(eva).post(url(project), body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert Event.objects.filter(kind="prompt.added").count() == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "invalid"),
        ({"prompt": "  "}, "empty_prompt"),
        ({"prompt": "a\x00"}, "nul"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "unknown_role"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            "last_not_user",
        ),
        ({"prompt": "a", "owner_key": "o" * 121}, "too_long"),
        ({"prompt": "a", "split": "train"}, "invalid"),
    ],
)
def test_what_cannot_be_a_prompt_is_refused(client_of, project, eva, body, code):
    answer = client_of(eva).post(url(project), body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not Prompt.objects.exists()
    for error in answer.json().get("errors", []):
        assert error["field"] in body or error["field"].split(".")[0] in (*body, "owner")


@pytest.mark.parametrize(("who", "status"), [("ana", 403), ("ria", 403), ("zoe", 404)])
def test_only_admins_add(request, client_of, project, who, status):
    assert client_of(request.getfixturevalue(who)).post(url(project), {"prompt": "a"}).status_code == status
    assert not Prompt.objects.exists()

import pytest

from accounts.models import Membership, User
from accounts.services import pseudonym
from labeling.selectors import quality
from tests.labeling.factories import ranking_batch


@pytest.fixture
def done(works, project, ana, ben, clock):
    """ana and ben ranked the same two tasks: once alike, once with a tie; ana skipped a third."""
    ranking_batch(project, tasks=2, texts=("a", "b", "c"), overlap=2)
    for user, tie in ((ana, False), (ben, True)):
        me = works(user)
        for number in range(2):
            task = me.take()
            clock.advance(minutes=1)
            ids = [one["id"] for one in sorted(task["candidates"], key=lambda one: one["text"])]
            tiers = [[ids[0]], ids[1:]] if tie and number else [[one] for one in ids]
            me.submit(task, tiers=tiers, active_ms=10_000 * (number + 1))
    ranking_batch(project)
    works(ana).post(works(ana).take(), "skip", {"reason": "language"})


def url(project):
    return f"/api/v1/projects/{project.pk}/quality/"


def test_an_admin_sees_names_numbers_and_agreement(client_of, project, eva, ana, ben, done):
    found = client_of(eva).get(url(project)).json()
    rows = {row.pop("labeler"): row for row in found["by_labeler"]}
    assert [rows[name].pop("pseudonym") for name in ("Ana", "Ben")] == [
        pseudonym(project, one.pk) for one in (ana, ben)
    ], "by which an admin finds the labelers of a report"
    nobody = {"is_you": False, "is_synthetic": False, "answers": 2, "median_seconds": 15.0}
    assert rows == {"Ana": nobody | {"skips": 1}, "Ben": nobody | {"skips": 0}}
    agreement = found["agreement"]
    assert agreement["pairs"] == 6
    assert agreement["strict"] == 1.0
    assert agreement["exact"] == pytest.approx(5 / 6)
    assert agreement["half"] == pytest.approx(5.5 / 6)
    assert 0.8 < agreement["tau_b"] < 1


def test_a_reviewer_sees_pseudonyms(client_of, project, ria, ana, ben, done):
    rows = client_of(ria).get(url(project)).json()["by_labeler"]
    assert {row["labeler"] for row in rows} == {pseudonym(project, ana.pk), pseudonym(project, ben.pk)}


def test_a_labeler_sees_the_own_row_alone(client_of, project, ana, done):
    found = client_of(ana).get(url(project)).json()
    assert found["agreement"] is None
    (row,) = found["by_labeler"]
    assert (row["labeler"], row["is_you"], row["answers"], row["skips"]) == ("Ana", True, 2, 1)


@pytest.mark.parametrize(("who", "status"), [("zoe", 404), ("rex", 404)])
def test_strangers_see_nothing(request, client_of, project, who, status):
    assert client_of(request.getfixturevalue(who)).get(url(project)).status_code == status


def test_nothing_done_is_no_division_by_zero(project, eva):
    assert quality(project, eva) == {
        "by_labeler": [],
        "agreement": {"strict": None, "half": None, "exact": None, "tau_b": None, "pairs": 0},
    }


def test_two_answers_of_one_person_are_no_agreement(works, project, ana, eva):
    """A corrected ranking is compared with nobody."""
    ranking_batch(project)
    me = works(ana)
    task = me.take()
    me.rank(task)
    me.rank(task)
    assert quality(project, eva)["agreement"]["pairs"] == 0


def test_the_projects_page_counts(client_of, project, eva, done):
    assert User.objects.filter(pk__in=Membership.objects.values("user")).count() == 3
    rows = client_of(eva).get("/api/v1/projects/").json()
    counts = (rows if isinstance(rows, list) else rows["results"])[0]["counts"]
    assert (counts["prompts"], counts["rankings"], counts["demonstrations"], counts["open_tasks"]) == (
        3,
        4,
        0,
        1,
    )

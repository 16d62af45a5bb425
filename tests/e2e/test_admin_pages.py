"""The pages of admins in a real browser: import, launch, every decision about a round or a run, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from labeling.models import Ranking
from tests.e2e.browser import Visit, Visitors, skip_browser
from tests.factories import VersionFactory
from tests.labeling.factories import ranking_batch
from tests.processes import Processes
from tests.training.factories import RoundFactory, RunFactory

if TYPE_CHECKING:
    from accounts.models import Project, User

pytestmark = [pytest.mark.browser, pytest.mark.slow, skip_browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stocked(project: Project, eva: User) -> Project:
    """The cast's project with the starter as its policy."""
    from inference.services import register_base_model, store_base_model

    register_base_model(project=project, stored=store_base_model("starter"), actor=eva)
    return project


@pytest.fixture
def window(people: Visitors) -> Callable[..., Visit]:
    """`window(eva)`: a browser window in which a person is signed in."""

    def opened(user: User) -> Visit:
        visit = people.visit()
        visit.sign_in(user)
        return visit

    return opened


def _prompts(count: int) -> list[str]:
    return [json.dumps({"id": f"p{n}", "prompt": f"Tell me about bridge number {n}."}) for n in range(count)]


def test_a_bad_row_is_named_with_its_remedy_and_the_corrected_file_is_imported(
    stocked: Project, eva: User, window: Callable[..., Visit], tmp_path: Path
) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join([*_prompts(3), '{"prompt": 5}']))
    visit = window(eva)
    page = visit.page
    visit.open(f"/p/{stocked.pk}/prompts")
    page.get_by_role("button", name="Import").first.click()
    page.locator("input[type=file]").set_input_files(file)
    report = page.get_by_role("alert").filter(has_text="1 row cannot be imported")
    report.wait_for()
    cells = report.get_by_role("row").nth(1).get_by_role("cell")
    assert cells.nth(0).inner_text() == "4"
    assert cells.nth(1).inner_text() == "prompt"
    assert cells.nth(2).locator("b").inner_text().strip()
    page.set_viewport_size({"width": 390, "height": 640})
    expect(page.get_by_role("button", name="Check again")).to_be_in_viewport(ratio=1)
    assert stocked.prompts.count() == 0

    file.write_text("\n".join(_prompts(4)))
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import 4 prompts").click()
    page.get_by_text("4 prompts imported").wait_for()
    page.get_by_role("button", name="Tell me about bridge number 3.").wait_for()
    assert stocked.prompts.count() == 4
    assert visit.wrongs == []


def test_a_round_is_launched_and_followed(stocked: Project, eva: User, window: Callable[..., Visit]) -> None:
    _import(stocked, eva, 40)
    visit = window(eva)
    page = visit.page
    visit.open(f"/p/{stocked.pk}")
    page.get_by_role("link", name="Launch a round").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Answers per prompt (K)").fill("12")
    dialog.get_by_text("Choose a value in the range 2 – 9.").wait_for()
    dialog.get_by_label("Answers per prompt (K)").fill("3")
    page.keyboard.press("Escape")  # Loses nothing: the dialog stays.
    page.set_viewport_size({"width": 390, "height": 640})
    wider = "[...document.querySelectorAll('.launch *')].filter((e) => e.getBoundingClientRect().right > innerWidth).length"
    assert page.evaluate(wider) == 0
    page.set_viewport_size({"width": 1280, "height": 800})
    dialog.get_by_role("button", name="Launch the round").click()
    page.get_by_role("heading", name="Round 1").wait_for()
    page.get_by_role("list", name="Steps").get_by_role("button", name="Demonstrations").wait_for()
    (round_,) = stocked.rounds.all()
    assert round_.recipe["k"] == 3
    page.get_by_role("button", name="Cancel the round").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the round").click()
    page.get_by_text("The round was cancelled").wait_for()
    assert visit.wrongs == []


def test_a_snapshot_is_frozen_and_downloaded(
    stocked: Project, eva: User, window: Callable[..., Visit]
) -> None:
    _import(stocked, eva, 5)
    visit = window(eva)
    page = visit.page
    visit.open(f"/p/{stocked.pk}/data")
    page.get_by_role("button", name="New snapshot").first.click()
    page.get_by_role("menuitem", name="Prompts").click()
    link = page.get_by_role("link", name="Download prompts")
    with page.expect_download() as download:
        link.click()
    rows = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert len(rows) == 5
    assert visit.wrongs == []


def test_a_failed_step_is_tried_again_and_its_run_cancelled_and_tried_again(
    stocked: Project, eva: User, window: Callable[..., Visit]
) -> None:
    policy = stocked.versions.get()
    reason = "The trainer was killed. Give it more memory."
    round_ = RoundFactory.create(
        project=stocked, number=1, opponent=policy, created_by=eva, state="failed", failed_at_step="training_sft",
        reason=reason,
    )  # fmt: skip
    run = RunFactory.create(
        project=stocked,
        model=policy,
        round=round_,
        state="failed",
        error={"code": "killed", "message": reason, "remedy": ""},
    )
    visit = window(eva)
    page = visit.page
    visit.open(f"/p/{stocked.pk}/rounds/{round_.pk}")
    expect(page.get_by_role("alert").filter(has_text="The round failed at: SFT training")).to_contain_text(
        reason
    )
    page.get_by_role("button", name="Try this step again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_text("The training run decides when this step is done.")).to_be_visible()
    round_.refresh_from_db()
    run.refresh_from_db()
    assert (round_.state, run.state) == ("training_sft", "queued")

    page.get_by_role("link", name="Open the run").click()
    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("Cancelled")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Queued")).to_be_visible()
    run.refresh_from_db()
    assert run.state == "queued"
    assert visit.wrongs == []


def test_a_dropped_candidate_and_a_promoted_round_lead_to_the_next_one(
    stocked: Project, eva: User, window: Callable[..., Visit]
) -> None:
    policy = stocked.versions.get()
    candidate = VersionFactory.create(project=stocked, name="candidate-r2")
    first = RoundFactory.create(
        project=stocked, number=1, opponent=policy, state="promoted", candidate=policy
    )
    second = RoundFactory.create(
        project=stocked, number=2, opponent=policy, state="review", candidate=candidate, created_by=eva
    )
    visit = window(eva)
    page = visit.page
    visit.open(f"/p/{stocked.pk}/rounds/{first.pk}")
    # A project has one live round: the way leads to it, and no second one is offered.
    follow = page.get_by_role("main").get_by_role("link", name="Follow round 2")
    expect(follow).to_be_visible()
    expect(page.get_by_role("link", name="Open the next round")).to_have_count(0)
    follow.click()
    page.get_by_role("button", name="Drop").click()
    page.get_by_role("dialog").get_by_label("Note (optional)").fill("It only flatters.")
    page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    expect(page.get_by_text("The candidate was dropped")).to_be_visible()
    second.refresh_from_db()
    candidate.refresh_from_db()
    assert (second.state, candidate.stage) == ("dropped", "dropped")
    page.get_by_role("link", name="Open the next round").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Launch the round")).to_be_visible()
    assert visit.wrongs == []


def test_simulated_labelers_finish_a_step_of_a_demo_and_it_is_marked(
    stocked: Project, eva: User, window: Callable[..., Visit], processes: Processes
) -> None:
    processes.worker("control", pool="solo")
    stocked.is_demo = True
    stocked.save()
    batch = ranking_batch(stocked, tasks=3)
    round_ = RoundFactory.create(
        project=stocked,
        number=1,
        opponent=stocked.versions.get(stage="current"),
        created_by=eva,
        state="ranking",
        ranking_batch=batch,
    )
    visit = window(eva)
    page = visit.page
    visit.open(f"/p/{stocked.pk}/rounds/{round_.pk}")
    expect(page.get_by_text("0 of 3 answers")).to_be_visible()
    page.get_by_role("button", name="Let simulated labelers finish").click()
    expect(page.get_by_text("Simulated labelers are at work")).to_be_visible()
    expect(page.get_by_text("3 of 3 answers")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("synthetic", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Let simulated labelers finish")).to_have_count(0)
    assert (
        list(Ranking.objects.filter(task__batch=batch).values_list("is_synthetic", flat=True)) == [True] * 3
    )
    assert visit.wrongs == []


def _import(project: Project, actor: User, count: int) -> None:
    from io import BytesIO

    from labeling.services.prompts import import_prompts

    import_prompts(project=project, stream=BytesIO("\n".join(_prompts(count)).encode()), actor=actor)

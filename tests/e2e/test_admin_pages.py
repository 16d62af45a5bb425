"""The pages of admins in a real browser: import, launch, every page in both languages, export."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.browser import Visit, Visitors, skip_browser, visitors

if TYPE_CHECKING:
    from accounts.models import Project, User
    from tests.processes import Processes

pytestmark = [pytest.mark.browser, pytest.mark.slow, skip_browser, pytest.mark.django_db(transaction=True)]
PAGES = ("", "/prompts", "/rounds", "/rounds?launch=1", "/models", "/data", "/quality", "/members")


@pytest.fixture
def stocked(project: Project, eva: User) -> Project:
    """The cast's project with the starter as its policy."""
    from inference.services import register_base_model

    register_base_model(project=project, base_name="starter", actor=eva)
    return project


@pytest.fixture
def window(processes: Processes) -> Iterator[Callable[..., Visit]]:
    """`window(eva, language="zh-CN")`: a browser window in which a person is signed in."""
    with visitors(processes.web()) as people:
        yield lambda user, **how: _signed_in(people, user, **how)


def _signed_in(people: Visitors, user: User, **how: Any) -> Visit:
    visit = people.visit(**how)
    visit.sign_in(user)
    return visit


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
    dialog.get_by_role("button", name="Launch the round").click()
    page.get_by_role("heading", name="Round 1").wait_for()
    page.get_by_role("list", name="Steps").get_by_role("button", name="Demonstrations").wait_for()
    (round_,) = stocked.rounds.all()
    assert round_.recipe["k"] == 3
    page.get_by_role("button", name="Cancel the round").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the round").click()
    page.get_by_text("The round was cancelled").wait_for()
    assert visit.wrongs == []


@pytest.mark.parametrize(("language", "width"), [("en-GB", 1280), ("zh-CN", 390)])
def test_every_page_opens_without_errors(
    stocked: Project, eva: User, window: Callable[..., Visit], language: str, width: int
) -> None:
    _import(stocked, eva, 20)
    eva.language = "zh-Hans" if language.startswith("zh") else "en"
    eva.save()
    visit = window(eva, width=width) if width > 1000 else window(eva, width=width, height=844)
    for path in PAGES:
        visit.open(f"/p/{stocked.pk}{path}")
        visit.page.locator("h1").wait_for()
        visit.page.wait_for_load_state("networkidle")
        assert visit.page.locator("[role=alert]").count() == 0, path
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert visit.page.evaluate(wider) <= 0, path
    assert visit.page.evaluate("document.documentElement.lang") == eva.language
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


def _import(project: Project, actor: User, count: int) -> None:
    from io import BytesIO

    from labeling.services.prompts import import_prompts

    import_prompts(project=project, stream=BytesIO("\n".join(_prompts(count)).encode()), actor=actor)

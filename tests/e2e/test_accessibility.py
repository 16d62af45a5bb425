"""Every page, in both languages and colour schemes, wide and narrow: WCAG 2.2 A and AA by axe-core, nothing wider than
the screen, nothing refused by the content security policy, no error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page

from accounts.models import Project, User
from tests.e2e.browser import Visit, Visitors, skip_browser
from tests.labeling.factories import demonstration_batch
from training.demo.make import make_demo
from training.models import Round, Run

pytestmark = [pytest.mark.browser, pytest.mark.slow, skip_browser]

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
RUN = """async (tags) => {
  const found = await axe.run(document, {
    runOnly: tags, rules: { "target-size": { enabled: true } }, resultTypes: ["violations"], elementRef: false,
  });
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target }) => target.join(" ")).join(" | ")}`);
}"""
SHOWN = """() => document.querySelector("h1, h2") && document.getAnimations().length === 0
  && !document.querySelector("[aria-busy], [data-loading], .mantine-Loader-root, .mantine-Skeleton-root")"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class View(NamedTuple):
    """How a page is looked at."""

    language: str
    scheme: str
    width: int


# Pages in every pair of two of the three: nothing that axe looks at hangs on all three at once. What is done on them
# (dialogs, tabs) in every one of the three.
WIDE, NARROW = View("en", "light", 1280), View("zh-Hans", "dark", 390)
PAGES = (WIDE, View("en", "dark", 390), View("zh-Hans", "dark", 1280), View("zh-Hans", "light", 390))
ACTS = (WIDE, NARROW)


class Stop(NamedTuple):
    """A page, and what is done there before it is looked at."""

    path: str
    act: Callable[[Page], object] | None = None


def press(*keys: str) -> Callable[[Page], object]:
    def act(page: Page) -> None:
        for key in keys:
            page.keyboard.press(key)

    return act


def click(selector: str, number: int = 0) -> Callable[[Page], object]:
    return lambda page: page.locator(selector).nth(number).click()


def unfold(page: Page) -> None:
    """Open every group of settings of the launch form."""
    page.locator(".launch-more").last.wait_for()
    for button in page.locator(".launch-more").all():
        button.click()


def refuse(page: Page) -> None:
    """An import with bad rows."""
    bad = {
        "name": "p.jsonl",
        "mimeType": "application/json",
        "buffer": b'{"prompt": 5}\n{"prompt": "x"}\nno\n',
    }
    page.locator("input[type=file]").set_input_files(bad)  # type: ignore[arg-type]  # Playwright's own shape
    page.get_by_role("alert").wait_for()


def of_admins(project: Project, empty: Project) -> list[Stop]:
    rounds = {one.number: one.pk for one in Round.objects.filter(project=project)}
    run = Run.objects.get(project=project, kind="ppo")
    model = project.versions.get(stage="current")
    at, none = f"/p/{project.pk}", f"/p/{empty.pk}"
    return [
        Stop("/"),
        Stop("/", click(".page-head button")),
        Stop("/settings"),
        Stop("/settings", click("main button:has(.icon)")),
        Stop("/nowhere"),
        Stop(at),
        Stop(f"{at}/prompts"),
        Stop(f"{at}/prompts?import=1", refuse),
        Stop(f"{at}/rounds"),
        Stop(f"{at}/rounds/{rounds[1]}"),
        Stop(f"{at}/rounds/{rounds[1]}", click(".stepper-step", 1)),
        Stop(f"{at}/rounds/{rounds[2]}"),
        Stop(f"{at}/rounds/{rounds[2]}", click(".page-head button")),
        Stop(f"{at}/runs/{run.pk}"),
        Stop(f"{at}/runs/{run.pk}", click("[role=tab]", 2)),
        Stop(f"{at}/models"),
        Stop(f"{at}/models/{model.pk}"),
        Stop(f"{at}/models/{model.pk}", click("[role=tab]", 2)),
        Stop(f"{at}/data"),
        Stop(f"{at}/quality"),
        Stop(f"{at}/members"),
        Stop(f"{at}/members", click(".page-head button")),
        Stop(none),
        Stop(f"{none}/rounds"),
        Stop(f"{none}/rounds?launch=1", unfold),
        Stop(f"{none}/data"),
    ]


def of_labelers(project: Project, writing: Project) -> list[Stop]:
    at = f"/p/{project.pk}"
    return [
        Stop(at),
        Stop(f"{at}/label"),
        Stop(f"{at}/label", press("b", "Enter", "a", "=", "5", "Control+Enter")),
        Stop(f"{at}/label", press("s")),
        Stop(f"{at}/label", press("u")),
        Stop(f"{at}/label", press("v", "a", "b")),
        Stop(f"{at}/label", press("?")),
        Stop(f"/p/{writing.pk}/label"),
        Stop(f"{at}/my-work"),
        Stop(f"{at}/members"),  # not for this role
    ]


@pytest.fixture
def demo(people: Visitors) -> tuple[Project, Project]:
    """The demo half way through its second round, and an empty project where a demonstration is wanted."""
    willowby = next(one for one in make_demo() if one.name == "Willowby")
    empty = Project.objects.create(name="Empty", salt=b"e" * 32)
    for member in willowby.memberships.filter(user__is_synthetic=False):
        empty.memberships.create(user=member.user, role=member.role)
    return willowby, empty


def test_signing_in_can_be_used_by_everybody(people: Visitors) -> None:
    visit = people.visit()
    visit.context.add_init_script(path=AXE)
    visit.open("/sign-in")
    wrong = look_at(visit, [Stop("/sign-in"), Stop("/sign-in?again#unknown", click("button"))])
    assert not wrong, "\n".join(wrong)


def test_the_pages_of_admins_can_be_used_by_everybody(
    people: Visitors, demo: tuple[Project, Project]
) -> None:
    assert not (wrong := walk(people, "admin", of_admins(*demo))), "\n".join(wrong)


def test_the_pages_of_labelers_can_be_used_by_everybody(
    people: Visitors, demo: tuple[Project, Project]
) -> None:
    demonstration_batch(demo[1])
    assert not (wrong := walk(people, "labeler", of_labelers(*demo))), "\n".join(wrong)


def walk(people: Visitors, username: str, stops: list[Stop]) -> list[str]:
    visit = people.visit()
    visit.context.add_init_script(path=AXE)
    visit.sign_in(User.objects.get(username=username))
    return look_at(visit, stops, user=username)


def look_at(visit: Visit, stops: list[Stop], *, user: str = "") -> list[str]:
    """What is wrong with these pages: [] if nothing."""
    wrong = []
    for view in (*PAGES, NARROW):
        visit.page.emulate_media(color_scheme=view.scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        # So high that no bar at an edge covers half of a button below it.
        visit.page.set_viewport_size({"width": view.width, "height": 2400})
        visit.page.evaluate("(code) => localStorage.setItem('preceptor.language', code)", view.language)
        User.objects.filter(username=user).update(language=view.language)
        for stop in stops:
            if view not in (PAGES if stop.act is None else ACTS):
                continue
            where = f"{view.language} {view.scheme} {view.width} {stop.path}"
            wrong += [f"{where}: {what}" for what in look(visit, stop, view)]
    return wrong + visit.wrongs


def look(visit: Visit, stop: Stop, view: View) -> list[str]:
    page = visit.page
    visit.open(stop.path)
    page.wait_for_function(SHOWN)
    if stop.act is not None:
        stop.act(page)
        page.wait_for_function(SHOWN)
    found: list[Any] = page.evaluate(RUN, TAGS)
    if (wider := page.evaluate(WIDER)) > 0:
        found.append(f"{wider} px wider than the screen")
    if (language := page.evaluate("document.documentElement.lang")) != view.language:
        found.append(f"in {language}")
    return found

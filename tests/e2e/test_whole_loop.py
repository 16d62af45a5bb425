"""The whole loop in Chromium, on a random model of about 100 thousand weights: import, launch, demonstrate, rank, train,
compare, promote, and a second round that samples from what was promoted. Every process is the real one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.browser import Visit, skip_browser, visitors

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import Project, User
    from tests.processes import Processes
    from training.models import Round

pytestmark = [pytest.mark.browser, pytest.mark.slow, skip_browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=15_000)

MACHINE_MS = 180_000  # for what the machine does between two steps of people, on a computer that is busy
DEMONSTRATIONS, PROMPTS, K, COMPARISONS = 3, 6, 3, 2
SMALL = {
    "Demonstrations": DEMONSTRATIONS, "Prompts to rank": PROMPTS, "Answers per prompt (K)": K, "Longest answer (tokens)": 12,
    "Prompts to measure on": 4, "Blind comparisons": COMPARISONS, "KL budget (nats per response)": "",
}  # fmt: skip
SETTINGS = {  # Many small steps, so that there is something to follow.
    "SFT preset": {"epochs": 100, "batch_size": 1, "max_length": 128, "eval_every": 50, "save_every": 100},
    "Reward model preset": {
        "epochs": 100,
        "batch_size": 2,
        "max_length": 128,
        "eval_every": 50,
        "save_every": 100,
    },
    "PPO preset": {"iterations": 12, "episodes": 8, "minibatches": 2, "save_every": 4, "sample_every": 4},
}
CURVES = ("sft/loss", "reward/loss", "ppo/score", "ppo/kl")
# Every value that a curve or a bar of the page has shown, by its name: `seen["ppo/score"]`.
WATCH = """
window.seen = {};
new MutationObserver(() => {
  for (const it of document.querySelectorAll("figure.curve, [role=progressbar]")) {
    const label = it.getAttribute("aria-label") ?? "";
    const isCurve = it.matches("figure");
    const [name, value] = isCurve ? [label.split(/[ :]/)[0], label] : [label, it.getAttribute("aria-valuenow")];
    const values = (seen[name] ??= []);
    if (!values.includes(value)) values.push(value);
  }
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-label", "aria-valuenow"] });
"""


@pytest.fixture
def loop(project: Project, eva: User, services: None) -> Iterator[Project]:
    """The cast's project with a random model of the models directory as its policy; no message of an earlier test."""
    from celery import current_app
    from django.conf import settings

    from inference.services import register_base_model, store_base_model
    from tests.factories import model_folder

    with current_app.connection_for_write() as connection:
        for name in ("control", "sample", "train"):
            connection.SimpleQueue(name).clear()
    folder = Path(settings.PRECEPTOR_MODELS_DIR) / "random"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        register_base_model(project=project, stored=store_base_model(model_folder(folder).name), actor=eva)
        yield project
    finally:
        shutil.rmtree(folder)


def test_people_teach_and_the_next_round_samples_from_what_was_promoted(
    processes: Processes, loop: Project, eva: User, ana: User, tmp_path: Path
) -> None:
    processes.control_loop()
    processes.worker("control", pool="solo")
    processes.worker("sample", pool="solo")
    processes.worker("train")
    with visitors(processes.web()) as people:
        admin, labeler = people.visit(), people.visit()
        admin.context.add_init_script(WATCH)
        admin.sign_in(eva)
        labeler.sign_in(ana)
        import_prompts(admin, loop, tmp_path)
        launch(admin, loop)
        demonstrate(admin, labeler, loop)
        rank(admin, labeler, loop)
        seen = follow(admin)
        compare(admin, labeler, loop)
        first = promote(admin, loop)
        sample_again(admin, loop, first)
        export(admin, loop, tmp_path)
        assert admin.wrongs == labeler.wrongs == []
    for name in ("Demonstrations", "Rankings"):
        assert len(seen.get(name, [])) >= 2, f"{name} did not move: {seen}"
    # A stage of so small a model may be over between two looks: then its bar jumps, and its curve is drawn at once.
    trained = [seen.get(name, []) for name in ("SFT training", "Reward model", "Policy training")]
    assert all(trained), f"a step was never seen: {seen}"
    assert any(len(looks) >= 2 for looks in trained), f"nothing that trains was seen to move: {seen}"
    assert [name for name in CURVES if name not in seen] == []


def import_prompts(admin: Visit, project: Project, folder: Path) -> None:
    """Sixty prompts from a file."""
    file = folder / "prompts.jsonl"
    rows = [{"prompt": f"Tell me about bridge number {number}."} for number in range(60)]
    file.write_text("\n".join(map(json.dumps, rows)))
    admin.open(f"/p/{project.pk}/prompts")
    admin.page.get_by_role("button", name="Import").first.click()
    admin.page.locator("input[type=file]").set_input_files(file)
    admin.page.get_by_role("button", name="Import 60 prompts").click()
    expect(admin.page.get_by_text("60 prompts imported")).to_be_visible()


def launch(admin: Visit, project: Project) -> None:
    """The first round, step by step, with everything as small as the dialog allows."""
    admin.page.get_by_role("link", name="Rounds").first.click()
    admin.page.get_by_role("button", name="Launch a round").first.click()
    fill_recipe(admin.page.get_by_role("dialog"))
    admin.page.get_by_role("dialog").get_by_role("button", name="Launch the round").click()
    expect(admin.page.get_by_role("heading", name="Round 1")).to_be_visible()
    recipe = project.rounds.get().recipe
    assert (recipe["k"], recipe["kl_budget"], recipe["ppo"]["iterations"]) == (K, None, 12)


def fill_recipe(dialog: Locator) -> None:
    """Type the small recipe over what the dialog proposes; what a later round does not ask for is passed over."""
    dialog.get_by_role("button", name="Launch the round").wait_for()
    for label, value in SMALL.items():
        if label != "Demonstrations" or dialog.get_by_role("checkbox", name=label).is_checked():
            dialog.get_by_role("textbox", name=label, exact=True).fill(str(value))
    for label, settings in SETTINGS.items():
        stage = dialog.locator(".launch-stage").filter(has_text=label)
        if stage.count():
            stage.get_by_role("button", name="Advanced").click()
            for name, value in settings.items():
                stage.get_by_role("textbox", name=name, exact=True).fill(str(value))


def demonstrate(admin: Visit, labeler: Visit, project: Project) -> None:
    """Ana leaves in the middle of the first answer, finds it again, and writes all that are wanted."""
    from labeling.models import Demonstration

    at_step(admin, "Demonstrations")
    answer = "All bridges are long, and this one is kind."
    labeler.open(f"/p/{project.pk}/label")
    labeler.page.get_by_label("Your answer").fill(answer)
    expect(labeler.page.locator('.save-state[data-kind="saved"]')).to_be_visible()
    labeler.leave_and_come_back(f"/p/{project.pk}/label")
    expect(labeler.page.get_by_label("Your answer")).to_have_value(answer)
    submit(labeler)
    for number in range(1, DEMONSTRATIONS):
        labeler.page.get_by_label("Your answer").fill(f"Bridge {number} is old and true.")
        submit(labeler)
    written = Demonstration.objects.filter(project=project, labeler__username="ana")
    arrive(labeler, written, DEMONSTRATIONS)
    assert written.earliest("submitted_at").text == answer
    admin.page.get_by_role("button", name="Continue", exact=True).click()
    at_step(admin, "SFT training")
    admin.page.get_by_role("switch", name="Runs by itself").click()


def rank(admin: Visit, labeler: Visit, project: Project) -> None:
    """Ana ranks by keyboard with a tie, leaves in the middle of it, and finds the order again."""
    from labeling.models import Ranking

    at_step(admin, "Rankings")
    labeler.open(f"/p/{project.pk}/label")
    labeler.page.locator(".card").nth(K - 1).wait_for()
    labeler.press("b Enter a =")
    expect(labeler.page.get_by_role("listitem", name="Rank 1: B, A")).to_be_visible()
    expect(labeler.page.locator('.save-state[data-kind="saved"]')).to_be_visible()
    labeler.leave_and_come_back(f"/p/{project.pk}/label")
    expect(labeler.page.get_by_role("listitem", name="Rank 1: B, A")).to_be_visible()
    labeler.press("c Enter")
    submit(labeler)
    given = Ranking.objects.filter(project=project, labeler__username="ana")
    arrive(labeler, given, 1)
    assert sorted(given.get().items.values_list("rank", flat=True)) == [1, 1, 2]
    for _ in range(1, PROMPTS):
        labeler.press("c Enter a Enter b =")
        submit(labeler)
    arrive(labeler, given, PROMPTS)


def follow(admin: Visit) -> dict[str, list[str]]:
    """The page goes from step to step by itself up to review; what its curves and bars have shown on the way."""
    at_step(admin, "Policy training")
    at_step(admin, "Review")
    seen: dict[str, list[str]] = admin.page.evaluate("() => window.seen")
    return seen


def compare(admin: Visit, labeler: Visit, project: Project) -> None:
    """Blind pairs by Ana; the admin sees them counted, and reads the answers of both side by side."""
    page = admin.page
    labeler.open(f"/p/{project.pk}/label")
    for _ in range(COMPARISONS):
        expect(labeler.page.locator(".card")).to_have_count(2)
        labeler.press("b Enter a Enter")
        submit(labeler)
    expect(page.get_by_text(f"{COMPARISONS} of {COMPARISONS} blind comparisons")).to_be_visible()
    expect(page.locator(".wins").get_by_text("0 tied")).to_be_visible()
    expect(page.locator("li.pair")).to_have_count(4)


def promote(admin: Visit, project: Project) -> Round:
    """The decision and its confirmation; the round as it ended."""
    from inference.selectors import current_policy

    page = admin.page
    page.get_by_role("button", name="Promote").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    first = project.rounds.get()
    assert first.candidate is not None
    expect(page.get_by_text(f"{first.candidate.name} is the current policy")).to_be_visible()
    first.refresh_from_db()
    assert first.state == "promoted"
    assert current_policy(project) == first.candidate
    return first


def sample_again(admin: Visit, project: Project, first: Round) -> None:
    """The second round, opened from the first: every completion comes from the promoted version, and the page says so."""
    from inference.selectors import completions_of

    page = admin.page
    page.get_by_role("link", name="Open the next round").click()
    fill_recipe(page.get_by_role("dialog"))
    page.get_by_role("dialog").get_by_role("button", name="Launch the round").click()
    expect(page.get_by_role("heading", name="Round 2")).to_be_visible()
    assert first.candidate is not None
    shown = page.get_by_role("main").get_by_role("link", name=first.candidate.name, exact=True)
    expect(shown.first).to_have_attribute("href", f"/p/{project.pk}/models/{first.candidate_id}")
    expect(page.get_by_text(f"{PROMPTS * K} of {PROMPTS * K} completions")).to_be_visible(timeout=MACHINE_MS)
    second = project.rounds.get(number=2)
    assert second.sampling_job is not None
    wrote = completions_of(second.sampling_job).values_list("version", flat=True)
    assert list(wrote) == [first.candidate_id] * (PROMPTS * K)


def export(admin: Visit, project: Project, folder: Path) -> None:
    """Preference pairs, downloaded in the page, load as trainers load them."""
    from datasets import load_dataset

    page = admin.page
    admin.open(f"/p/{project.pk}/data")
    page.get_by_role("button", name="New snapshot").first.click()
    page.get_by_role("menuitem", name="Rankings").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download preference pairs").first.click()
    file = folder / "pairs.jsonl"
    download.value.save_as(file)
    pairs = load_dataset("json", data_files=str(file), cache_dir=str(folder / "cache"), split="train")
    assert pairs.num_rows == 2 * PROMPTS + COMPARISONS  # Of the three pairs of each ranking one is tied.
    assert {"prompt", "chosen", "rejected", "split"} <= set(pairs.column_names)


def at_step(admin: Visit, name: str) -> None:
    """Wait until the round page has come to this step by itself."""
    steps = admin.page.get_by_role("list", name="Steps").get_by_role("button", name=name)
    expect(steps).to_have_attribute("aria-current", "step", timeout=MACHINE_MS)


def submit(labeler: Visit) -> None:
    """Send the answer; the next question is there at once, even before the server has the answer."""
    shown = labeler.page.locator(".turn[data-last]")
    question = shown.inner_text().splitlines()[-1]
    labeler.press("Control+Enter")
    expect(shown.filter(has_text=question)).to_have_count(0)


def arrive(labeler: Visit, answers: QuerySet[Any], count: int) -> None:
    """Wait until the server has exactly so many."""
    for _ in range(150):
        if answers.count() >= count:
            break
        labeler.page.wait_for_timeout(100)
    assert answers.count() == count

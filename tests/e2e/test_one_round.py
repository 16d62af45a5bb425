"""A whole round on a random model of about 100 thousand weights: real web services, workers, trainer and control loop."""

import time
from pathlib import Path

import pytest
from celery import current_app

from inference.models import VersionKind
from inference.selectors import completions_of, current_policy
from inference.services import promote, register_version
from labeling.models import Demonstration, Ranking
from tests.factories import model_folder
from tests.training.factories import answer_all, prompts
from training.models import Metric, Round, Run
from training.places import attempt_folder
from training.selectors.runs import log_of
from training.services import rounds

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SMALL = {
    "demonstrations": 8, "prompts": 8, "k": 3, "sampling": {"max_tokens": 12}, "eval_prompts": 4, "comparisons": 2,
    "sft": {"preset": "test"}, "reward": {"preset": "test"}, "ppo": {"preset": "test"}, "kl_budget": None,
}  # fmt: skip


@pytest.fixture
def base(project, tmp_path_factory, services):
    """The current policy."""
    with current_app.connection_for_write() as connection:
        for name in ("control", "sample", "train"):
            connection.SimpleQueue(name).clear()
    weights = model_folder(tmp_path_factory.mktemp("weights") / "random")
    return promote(
        version=register_version(project=project, kind=VersionKind.BASE, folder=weights, name="random"),
        actor=None,
    )


def test_prompts_become_a_promoted_policy_that_the_next_round_samples_from(
    processes, project, base, ana, eva
):
    prompts(project, train=12, valid=3, heldout=3)
    processes.control_loop()
    processes.worker("sample", pool="solo")
    processes.worker("train")
    round_ = rounds.open_round(project=project, recipe=SMALL, automatic=True, actor=eva)

    round_ = until(round_, "review", processes, labeler=ana)
    assert (round_.sft.kind, round_.reward.kind, round_.candidate.kind) == ("sft", "reward", "policy")
    assert Demonstration.objects.count() >= 8
    assert Ranking.objects.filter(task__batch=round_.ranking_batch).count() == round_.ranking_batch.quota
    check_runs(round_)
    check_evaluation(round_)

    rounds.promote(round=round_, actor=eva)
    assert current_policy(project) == round_.candidate
    second = rounds.open_round(
        project=project, recipe={**SMALL, "steps": ["sampling", "ranking"]}, automatic=True, actor=eva
    )
    second = until(second, "ranking", processes)
    assert second.opponent == round_.candidate
    wrote = set(completions_of(second.sampling_job).values_list("version", flat=True))
    assert wrote == {round_.candidate_id}


def until(round_, state, processes, *, labeler=None, seconds=600):
    """The round once it is in `state`; people answer whatever is asked meanwhile."""
    end = time.monotonic() + seconds
    while (now := Round.objects.get(pk=round_.pk)).state != state:
        logs = "\n".join(log_of(run)[-1500:] for run in Run.objects.filter(round=round_, state="failed"))
        assert now.state != "failed", f"{now.reason}\n{logs}"
        assert time.monotonic() < end, (
            f"{now.state}\n{processes.log('train')[-2000:]}\n{processes.log('sample')[-2000:]}"
        )
        if labeler is not None and now.state in ("demonstrating", "ranking"):
            answer_all(now.project, labeler)
        time.sleep(0.2)
    return now


def check_runs(round_):
    """Each kind ran once, in one try, and left exactly what it should."""
    runs = {run.kind: run for run in Run.objects.filter(round=round_)}
    assert set(runs) == {"sft", "reward", "ppo", "score"}
    for kind, run in runs.items():
        assert (run.state, run.tries, run.progress) == ("succeeded", 1, 1.0)
        assert (run.produced is None) == (kind == "score")
        assert [attempt.state for attempt in run.attempts.all()] == ["succeeded"]
        assert Path(attempt_folder(run.pk, run.fence), "result.json").is_file()
    assert Metric.objects.filter(run=runs["ppo"], values__has_key="ppo/kl").count() == 4
    assert runs["reward"].demonstrations is not None
    parents = {link.role: link.parent for link in round_.candidate.parent_links.all()}
    assert parents == {"model": round_.sft, "reference": round_.sft, "reward": round_.reward}


def check_evaluation(round_):
    """Both answered the same prompts, and both were scored."""
    summary = round_.evaluation.summary
    assert summary["prompts"] == 4
    assert None not in summary["reward_mean"].values()
    assert summary["kl_mean"] is not None
    assert round_.comparison_batch is None or round_.comparison_batch.quota <= 2

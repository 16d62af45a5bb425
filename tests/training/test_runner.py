"""A real child process on a random model of about 100 thousand weights, supervised in this process."""

import json
import subprocess
from pathlib import Path

import pytest

from common.storage import default_store
from labeling.models import Prompt
from tests.training.factories import demonstrations
from training import runner
from training.models import Metric, Run
from training.places import attempt_folder
from training.selectors.runs import log_of, metric_rows
from training.services.snapshots import freeze

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_ends_in_exactly_one_version(project, asked, ana, queued):
    demonstrations(project, ana, asked)
    Prompt.objects.filter(pk=asked[0].pk).update(pii=["email"])
    run = queued(snapshot=freeze(project=project, kind="sft"))
    runner.execute(run.pk)
    run = Run.objects.get(pk=run.pk)
    assert (run.state, run.error) == ("succeeded", {}), log_of(run)
    assert run.produced.kind == "sft"
    assert run.produced.name == f"random-sft-{str(run.pk)[:8]}"
    assert default_store().verify(run.produced.digest)
    folder = default_store().open(run.produced.digest)
    data = json.loads((folder / "lineage.json").read_text())["data"]["dataset"]
    assert (data["snapshot"], data["counts"]) == (run.snapshot.content_sha256, run.snapshot.counts)
    assert "prompts of the project (pii): 1" in (folder / "README.md").read_text()
    assert {link.role: link.parent_id for link in run.produced.parent_links.all()} == {"model": run.model_id}
    steps = [row["step"] for row in metric_rows(run)]
    assert steps == list(range(len(steps)))
    assert Metric.objects.filter(run=run).last().values["sft/loss"] > 0
    assert [(a.fence, a.state) for a in run.attempts.all()] == [(1, "succeeded")]
    told = json.loads((attempt_folder(run.pk, 1) / "run.json").read_text())
    assert set(told["inputs"]) == {"model", "dataset"}
    assert "inputs/dataset/train.jsonl" in told["sha256"]
    assert told["versions"] == run.result["versions"], "what computes is on record before it does"
    docs = (Path(__file__).resolve().parents[2] / "docs/export/formats.md").read_text()
    (line,) = (line for line in docs.splitlines() if line.endswith("| sha256sum --check"))
    checked = subprocess.run(
        ["sh", "-c", line], cwd=attempt_folder(run.pk, 1), capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout.count(": OK")) == (0, len(told["sha256"])), checked.stderr

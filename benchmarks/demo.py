"""`make demo`: a whole round by simulated labelers, from import to a better model, on real processes. Ends with a table.

    make demo                       15 minutes at most on two cores
    python -m benchmarks.demo --keep /tmp/look    leaves the data folder for looking into

Everything that a person or a script would do goes over the public REST API: the project, the import, the invitations, the
round, every demonstration and every ranking. The labelers' hidden preference stands in labeling/demo/preference.py, which
training code cannot import. At the end the base, the SFT model and the policy each answer the held-out prompts
through the product's sampler, and the hidden preference judges. Exit 1 when the policy is not better by enough.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.demo_table import Outcome, attainable_accuracy, measure, table, verdicts
from benchmarks.product import Product, running_product
from benchmarks.rest import Client, new_key
from benchmarks.simulated_people import SimulatedPerson, invite_all
from labeling.demo.prompts import make_prompts

JSON = dict[str, Any]
PROMPTS = 4600
MAX_TOKENS = 80
ANSWERS = 4  # to each held-out prompt and version, so that the luck of one draw doesn't hide the lift
KL_BUDGET = 10.0
RECIPE: JSON = {
    "demonstrations": 200, "prompts": 3200, "k": 4, "overlap": 1, "sampling": {"max_tokens": MAX_TOKENS},
    "sft": {"preset": "cpu-starter"}, "reward": {"preset": "cpu-starter"},
    "ppo": {"preset": "cpu-starter", "max_new_tokens": MAX_TOKENS},
    "eval_prompts": 64, "comparisons": 0, "kl_budget": KL_BUDGET,
}  # fmt: skip
ENDED = ("promoted", "dropped", "cancelled", "failed")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", type=Path, help="data folder to use and leave there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the product is stopped, too.
    with running_product(keep=given.keep) as product:
        say(began, f"Preceptor runs at {product.address}, data in {product.home}")
        outcome = play(product, seed=given.seed, began=began)
    outcome.seconds = time.monotonic() - began
    print(table(outcome))
    if given.json:
        given.json.write_text(json.dumps(outcome.numbers(), indent=1) + "\n", encoding="utf-8")
    failed = [line for line, holds in verdicts(outcome) if not holds]
    for line in failed:
        print(f"FAILED: {line}", file=sys.stderr)
    return 1 if failed else 0


def play(product: Product, *, seed: int, began: float) -> Outcome:
    """One round, start to end; raises RuntimeError with the round's own reason when it stops."""
    admin = Client.sign_in(
        product.address, product.manage("create_admin", "demo-admin").strip(), scopes=["admin"]
    )
    project = make_project(admin, seed=seed, began=began)
    people = invite_all(admin, product.address, project, seed=seed)
    body = {"recipe": {**RECIPE, "seed": seed}, "automatic": True}
    round_id = admin.post(f"projects/{project}/rounds/", body, key=new_key())["id"]
    finished = follow(admin, round_id, people, began=began)
    return judge(product, admin, project, finished)


def make_project(admin: Client, *, seed: int, began: float, prompts: int = PROMPTS) -> str:
    """A project on the starter, with prompts of its domain."""
    body = {
        "name": "Willowby",
        "description": "Letters, stories, recipes and small facts of an invented town, for a toy model and simulated labelers.",
        "base_model": "starter",
    }
    project: str = admin.post("projects/", body)["id"]
    rows = [
        {"id": f"demo-{seed}-{n}", "prompt": text} for n, text in enumerate(make_prompts(prompts, seed=seed))
    ]
    done = admin.import_prompts(project, rows)
    say(began, f"{done['imported']} prompts imported, {done['splits']['heldout']} of them held out")
    return project


def follow(
    admin: Client, round_id: str, people: list[SimulatedPerson], *, began: float, until: str = "review"
) -> JSON:
    """Let the labelers work whenever the round waits for them, until it is in review."""
    state = ""
    while True:
        found: JSON = admin.get(f"rounds/{round_id}/")
        if found["state"] != state:
            state = found["state"]
            say(began, state.replace("_", " "))
        if state == until:
            return found
        if state in ENDED:
            raise RuntimeError(f"the round ended as {state}: {found['reason']}")
        if state in ("demonstrating", "ranking") and work(people):
            continue
        time.sleep(2)


def work(people: list[SimulatedPerson]) -> int:
    """One turn of each labeler; how many answers it were."""
    return sum([person.work(at_most=50) for person in people])


def judge(product: Product, admin: Client, project: str, finished: JSON) -> Outcome:
    """Let base, SFT and policy answer the held-out prompts, and measure."""
    versions = {"base": finished["opponent"], "sft": finished["sft"], "ppo": finished["candidate"]}
    ids = {name: version["id"] for name, version in versions.items()}
    printed = product.manage(
        "sample_heldout",
        project,
        *ids.values(),
        "--n",
        str(ANSWERS),
        "--max-tokens",
        str(MAX_TOKENS),
        "--seed",
        "1",
    )
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    answers: dict[str, dict[str, list[JSON]]] = {name: {} for name in ids}
    names = {version: name for name, version in ids.items()}
    for row in rows:
        answers[names[row["version"]]].setdefault(row["prompt"][-1]["content"], []).append(row)
    snapshot = admin.post(f"projects/{project}/snapshots/", {"kind": "rankings"})
    rankings = list(admin.export(snapshot["id"], "rankings", split="valid"))
    runs = {step["step"]: step["run"] for step in finished["steps"] if step["run"]}
    reward = admin.get(f"runs/{runs['training_reward']['id']}/")["result"]["metrics"]
    evaluation = finished["evaluation"] or {}
    return measure(
        answers,
        kl=evaluation.get("kl_mean"),
        kl_budget=KL_BUDGET,
        accuracy=next((value for name, value in reward.items() if name.endswith("valid_accuracy")), None),
        attainable=attainable_accuracy(rankings),
    )


def say(began: float, text: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

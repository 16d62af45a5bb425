"""Make the archive behind the demo project, by really running it: one whole round, promoted, and a second one until
its completions wait to be ranked. Everything over the REST API, as in `make demo`, only smaller.

    python -m benchmarks.demo_archive          about ten minutes on two cores; writes training/demo/archive
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.demo import RECIPE, follow, say, work
from benchmarks.product import ROOT, running_product
from benchmarks.rest import Client, new_key
from benchmarks.simulated_people import invite_all
from labeling.demo.prompts import make_prompts

JSON = dict[str, Any]
PROMPTS = 1400
SEED = 17
# Half precision halves what the repository has to carry.
HALF = {"save_dtype": "bfloat16"}
FIRST: JSON = {
    **RECIPE, "demonstrations": 150, "prompts": 1000, "k": 4, "eval_prompts": 40, "comparisons": 12, "seed": SEED,
    "sft": RECIPE["sft"] | HALF, "reward": RECIPE["reward"] | HALF, "ppo": RECIPE["ppo"] | HALF,
}  # fmt: skip
SECOND: JSON = {
    **FIRST, "prompts": 40, "k": 4, "seed": SEED + 1,
    "steps": ["sampling", "ranking", "training_reward", "training_policy", "evaluating"],
}  # fmt: skip
DESCRIPTION = (
    "A demo. The starter, a toy GPT with a million weights, knows the small invented town of Willowby: stories, thank-you "
    "notes, invitations, recipes, advice, directions, small facts and poems, in English and some Chinese. The prompts here "
    "ask for just that. Round 1 is over: its demonstrations and rankings are by simulated labelers and marked synthetic. "
    "Round 2 waits for you: rank what the promoted policy wrote. 一个演示项目：请给柳溪镇的小模型的回答排序。"
)
GUIDELINES = """# What makes an answer good

1. **It does what was asked**: a story where a story was wanted, in the language of the question.
2. **It uses the prompt's own people and things**, and no others.
3. **It is true in Willowby**: the bakery opens at six, and no map leads to a wrong street.
4. **It ends properly**, best with a kind word. Long is not better than short.

Equal answers may share a place. 一样好的回答可以并列。
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo_archive", description="Make the demo's archive."
    )
    parser.add_argument("--keep", type=Path, help="data folder to use and leave there")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the product is stopped, too.
    with running_product(keep=given.keep) as product:
        admin = Client.sign_in(
            product.address, product.manage("create_admin", "admin").strip(), scopes=["admin"]
        )
        body = {
            "name": "Willowby",
            "description": DESCRIPTION,
            "guidelines": GUIDELINES,
            "base_model": "starter",
        }
        project = admin.post("projects/", body)["id"]
        rows = [
            {"id": f"willowby-{n}", "prompt": text} for n, text in enumerate(make_prompts(PROMPTS, seed=SEED))
        ]
        admin.import_prompts(project, rows)
        people = invite_all(admin, product.address, project, seed=SEED, heldout=("eli",))
        first = open_round(admin, project, FIRST)
        follow(admin, first, people, began=began)
        while work(people):
            pass  # the blind comparisons of the review
        admin.post(f"rounds/{first}/promote/", {"note": "better on the same prompts"})
        second = open_round(admin, project, SECOND)
        follow(admin, second, [], began=began, until="ranking")
        say(began, "writing the archive")
        print(product.manage("export_demo", project))
    print(f"written to {(ROOT / 'training/demo/archive').relative_to(ROOT)}")
    return 0


def open_round(admin: Client, project: str, recipe: JSON) -> str:
    body = {"recipe": recipe, "automatic": True}
    found: str = admin.post(f"projects/{project}/rounds/", body, key=new_key())["id"]
    return found


if __name__ == "__main__":
    sys.exit(main())

"""Can people tell the starter's answers apart? Unpicked pairs for blind raters, and how often the raters agree.

python -m training.starter.pairs inference/starter > pairs.jsonl     100 prompts, the first two answers to each
python -m training.starter.pairs --agreement training/starter/rated/pairs.jsonl
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

from inference.engine.__main__ import main as sample
from labeling.demo.prompts import make_prompts

PAIRS, SEED, SAMPLING_SEED, MAX_TOKENS = 100, 20261125, 7, 80


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.starter.pairs", description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", help="folder of the model that answers")
    parser.add_argument("--agreement", type=Path, help="pairs with the votes rater_1 and rater_2, A or B")
    given = parser.parse_args(arguments)
    if given.agreement is not None:
        same, pairs = agreement(given.agreement)
        sys.stdout.write(f"The raters chose the same answer in {same} of {pairs} pairs.\n")
    elif given.model is not None:
        for pair in unpicked(given.model):
            sys.stdout.write(json.dumps(pair, ensure_ascii=False) + "\n")
    else:
        parser.error("give a model folder, or --agreement with a file of votes")
    return 0


def unpicked(model: Path, count: int = PAIRS) -> list[dict[str, str]]:
    """Two answers, A and B, to each of the first `count` of a hundred prompts of its world: the first two that the sampler draws."""
    prompts = list(make_prompts(PAIRS, seed=SEED))[:count]
    asked = "".join(json.dumps({"prompt": prompt, "id": prompt}) + "\n" for prompt in prompts)
    options = ["--n", "2", "--max-tokens", str(MAX_TOKENS), "--seed", str(SAMPLING_SEED)]
    sample([str(model), *options], source=io.StringIO(asked), target=(answers := io.StringIO()))
    drawn = [json.loads(line) for line in answers.getvalue().splitlines()]
    texts = {(row["id"], row["candidate"]): row["text"] for row in drawn}
    return [{"prompt": prompt, "A": texts[prompt, 0], "B": texts[prompt, 1]} for prompt in prompts]


def agreement(path: Path) -> tuple[int, int]:
    """(pairs in which both raters chose the same, pairs)."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sum(row["rater_1"] == row["rater_2"] for row in rows), len(rows)


if __name__ == "__main__":
    sys.exit(main())

"""Sample from a model folder, from a shell.

    python -m inference.engine MODEL --n 4 --max-tokens 80 < prompts.jsonl > samples.jsonl

One request a line: {"prompt": str} or {"messages": [...]}, with "id" (the key of its seeds; else the line's number) if wanted.
One answer a line: {"id", "candidate", "text", "token_ids", "logprobs", "finish_reason", "seed"}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from inference.engine.config import SamplingParams


def main(
    arguments: list[str] | None = None, *, source: TextIO = sys.stdin, target: TextIO = sys.stdout
) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m inference.engine", description="Sample from a model folder."
    )
    parser.add_argument("model", help="folder as save_pretrained writes it")
    parser.add_argument("--n", type=int, default=1, help="answers for each request")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slots", type=int, default=32, help="sequences decoded at once")
    given = parser.parse_args(arguments)
    try:
        params = SamplingParams(max_tokens=given.max_tokens, temperature=given.temperature)
        requests = list(_requests(source))
    except ValueError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    for row in _sample(given, params, requests):
        target.write(json.dumps(row, ensure_ascii=False) + "\n")
    return 0


def _requests(source: TextIO) -> Iterator[tuple[str, list[Any]]]:
    for number, line in enumerate(source, 1):
        row = json.loads(line)
        messages = row.get("messages") or [{"role": "user", "content": row.get("prompt")}]
        if not isinstance(messages[-1].get("content"), str):
            raise ValueError(f"line {number} has neither prompt nor messages; give one of them.")
        yield str(row.get("id", number)), messages


def _sample(
    given: argparse.Namespace, params: SamplingParams, requests: list[tuple[str, list[Any]]]
) -> Iterator[dict[str, Any]]:
    # Torch takes seconds to import: wrong settings are told before that.
    from inference.engine.chat import render_prompt
    from inference.engine.engine import TorchEngine
    from inference.engine.models import load_policy
    from inference.engine.requests import SampleRequest

    model, tokenizer = load_policy(given.model)
    engine = TorchEngine(model, tokenizer, slots=given.slots)
    wanted = [
        SampleRequest(
            prompt_ids=tuple(render_prompt(tokenizer, messages)),
            n=given.n,
            params=params,
            seed=given.seed,
            key=key,
            stream=False,
        )
        for key, messages in requests
    ]
    for (key, _), samples in zip(requests, engine.generate(wanted), strict=True):
        for one in samples:
            yield {
                "id": key,
                "candidate": one.candidate,
                "text": one.text,
                "token_ids": list(one.token_ids),
                "logprobs": list(one.logprobs),
                "finish_reason": one.finish_reason,
                "seed": one.seed,
            }


if __name__ == "__main__":
    sys.exit(main())

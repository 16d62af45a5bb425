"""Sampling settings: what is accepted, what is refused, and that the refusal says what to do."""

import json
import subprocess
import sys
from typing import Any

import pytest

from inference.engine.config import SamplingParams


def test_settings_survive_json() -> None:
    params = SamplingParams(
        max_tokens=9,
        temperature=0.7,
        top_k=5,
        stop=("\n\n", "User:"),
        stop_token_ids=(7,),
        logit_bias={3: -100, 9: 1.5},
    )
    assert SamplingParams.from_json(json.loads(json.dumps(params.to_json()))) == params


def test_one_stop_text_may_come_bare() -> None:
    assert SamplingParams.from_json({"max_tokens": 1, "stop": "\n"}).stop == ("\n",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", -1),
        ("max_tokens", 2.5),
        ("max_tokens", True),
        ("temperature", 2.1),
        ("temperature", float("nan")),
        ("temperature", -1e-9),
        ("temperature", 9e-7),
        ("temperature", 1e-40),
        ("temperature", "1"),
        ("top_k", -1),
        ("top_p", 1.01),
        ("min_p", -0.1),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -2.5),
        ("repetition_penalty", 0),
        ("min_tokens", 11),
        ("ignore_eos", 1),
        ("stop", [""]),
        ("stop", ["x"] * 17),
        ("stop", {"a": 1}),
        ("stop_token_ids", [-1]),
        ("stop_token_ids", 4),
        ("logit_bias", {"a": 1}),
        ("logit_bias", {"3": 101}),
        ("logit_bias", {"-3": 1}),
        ("logit_bias", [1]),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        SamplingParams.from_json({"max_tokens": 10, field: value})


def test_unknown_and_missing_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="typical_p"):
        SamplingParams.from_json({"max_tokens": 10, "typical_p": 0.5})
    with pytest.raises(ValueError, match="max_tokens is missing"):
        SamplingParams.from_json({})


def test_settings_and_folder_checks_import_no_torch() -> None:
    code = "import sys, inference.engine.config, inference.engine.folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Whoever operates Preceptor finds every variable in two places, and nothing that does not exist."""

import re

from config.env import variables
from tests.architecture.source import ROOT

# Read by the start itself, before or beside the settings.
OTHERS = {
    "PRECEPTOR_PG_BIN",
    "PRECEPTOR_DEMO",
    "PRECEPTOR_CHROMIUM",
    "PRECEPTOR_SKIP_BROWSER",
    "PRECEPTOR_TEST_WORKERS",
}


def test_the_example_file_names_every_variable():
    text = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)) == set(variables())


def test_the_page_names_every_variable_with_its_sentence():
    text = (ROOT / "docs" / "operate" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|[^|]*\| ([^|]*) \|$", text, re.MULTILINE))
    assert {name: rows[name] for name in variables() if name in rows} == variables()
    assert set(rows) == set(variables()) | OTHERS

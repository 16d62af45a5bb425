"""What the trainers explain in English, the pages can explain in Chinese: every number of a run and every setting of a round."""

import ast
import json
import re

from tests.architecture.source import ROOT, files, tree
from training.core.config import describe
from training.core.metrics import METRICS
from training.core.presets import OFFERED, SOURCED
from training.recipe import TRAINED, Recipe

FEATURES = ROOT / "frontend/src"


def test_every_number_of_a_run_is_explained():
    told = json.loads((FEATURES / "components/locales/metrics.zh-Hans.json").read_text())

    def known(name):
        short = name.partition("/")[2]
        places = (name, name.replace("rloo/", "ppo/"), re.sub(r"_\d+$", "_*", name), f"*/{short}")
        return any(place in told for place in places)

    assert [name for name in METRICS if not known(name)] == []
    assert all(len(texts) == 2 and all(texts) for texts in told.values())


def test_every_setting_of_a_round_is_explained():
    told = json.loads((FEATURES / "features/rounds/locales/settings.zh-Hans.json").read_text())
    settings = [(kind, field["name"]) for kind in TRAINED for field in describe(kind)]
    assert [one for one in settings if one[1] not in told and ".".join(one) not in told] == []


def test_every_unit_of_a_setting_is_translated():
    told = json.loads((FEATURES / "features/rounds/locales/units.zh-Hans.json").read_text())
    units = {field["unit"] for kind in TRAINED for field in describe(kind)}
    assert units - {""} <= set(told)


def test_every_reason_for_a_value_is_given():
    told = json.loads((FEATURES / "features/rounds/locales/sources.zh-Hans.json").read_text())
    fields = [*Recipe.describe(), *(row for kind in TRAINED for row in describe(kind))]
    sources = [row["source"] for row in fields]
    sources += [one for name in OFFERED for kind in TRAINED for _, one in SOURCED[name][kind].values()]
    words = {part.partition(": ")[2] for source in sources for part in source.split("; ")}
    assert [one for one in words if re.search(r"[a-z]{3,}", one) and one not in told] == []


def recorded():
    """The kinds of the events that the product records, where they are written out."""
    calls = (call for path in files() for call in ast.walk(tree(path)) if isinstance(call, ast.Call))
    for call in calls:
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        for value in call.args[:2] if name in ("record", "_told") else ():
            if isinstance(value, ast.Constant) and "." in str(value.value):
                yield str(value.value)


def test_every_event_is_told_in_words():
    source = (FEATURES / "features/projects/event-kinds.ts").read_text()
    noise = re.search(r"NOISE = /(.+)/;", source)
    known = set(re.findall(r'"(\w+\.\w+)"', source))
    told = {kind for kind in recorded() if not re.match(noise[1], kind)}
    assert len(told) > 20
    assert told - known == set()
    for language in ("en", "zh-Hans"):
        texts = json.loads((FEATURES / f"features/projects/locales/{language}.json").read_text())
        assert [kind for kind in known if not texts.get(f"event.{kind}")] == []

"""Imports run in a line; the web process never loads torch; a task that is rung for exists."""

import os
import re
import subprocess
import sys

import grimp
import networkx

from tests.architecture.source import PACKAGES, ROOT, files


def test_no_module_imports_itself_in_a_circle():
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    edges = [(one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)]
    circles = [
        sorted(part)
        for part in networkx.strongly_connected_components(networkx.DiGraph(edges))
        if len(part) > 1
    ]
    assert circles == []


def test_the_web_process_never_loads_torch():
    program = (
        "import sys, config.asgi\n"
        "from django.urls import get_resolver\n"
        "get_resolver()._populate()\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'safetensors'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {sorted(heavy)}' if heavy else 0)\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def test_every_task_that_is_rung_for_is_registered():
    from config.celery import app

    app.loader.import_default_modules()
    rung = {
        found for path in files() for found in re.findall(r"\benqueue\(\s*\"([a-z_.]+)\"", path.read_text())
    }
    assert rung <= set(app.tasks), sorted(rung - set(app.tasks))

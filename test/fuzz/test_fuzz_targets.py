"""What once broke a target is taken or refused now; and a few new inputs for every target."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import run

HERE = Path(__file__).parent
INPUTS = {"read_targets": 8, "memory_targets": 8, "engine_targets": 8, "node_targets": 6}
"""By module: new inputs a target; what the corpus holds comes first."""
TARGETS = {"read_targets": 40, "memory_targets": 7, "engine_targets": 7, "node_targets": 50}
"""No fewer than these: a target that is not found is not tried."""


@cache
def told(module: str) -> tuple[subprocess.CompletedProcess, list[dict]]:
    """What the targets of a module came to, in a process of their own."""
    command = [sys.executable, str(HERE / "run.py"), "--module", module, "--inputs", str(INPUTS[module])]
    done = subprocess.run(
        command, env=run.environment(), capture_output=True, text=True, errors="replace", timeout=600, check=False
    )
    return done, [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]


@pytest.mark.parametrize("module", run.MODULES)
def test_nothing_breaks(module):
    done, results = told(module)
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(results) >= TARGETS[module]
    assert {result["target"]: result["findings"] for result in results if result["findings"]} == {}
    assert all(result["inputs"] for result in results)


def test_the_corpus_belongs_to_targets():
    """A folder whose target was renamed would never be tried again."""
    known = {result["target"] for module in run.MODULES for result in told(module)[1]}
    assert {path.name for path in (HERE / "corpus").iterdir()} <= known

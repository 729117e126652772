"""Hostile clouds, frames, cameras, poses and files: an answer or a SpatiaError, never a crash.

The cases run in a process of their own (fuzz_cases.py), for a fault in compiled code takes its process with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = 30


def tried(kind: str) -> tuple[int, str]:
    """Exit code of a process that tries the cases of a kind, and the end of what it said."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(HERE / "fuzz_cases.py"), kind, "0", str(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, (done.stdout + done.stderr)[-3000:]


@pytest.mark.parametrize("kind", ["cloud", "frames", "files", "readers"])
def test_hostile_input_is_answered_or_refused(kind):
    code, said = tried(kind)
    assert code == 0, said
    assert f"done: {CASES} tried" in said


@pytest.mark.parametrize(("kind", "sign"), [("fault", "Segmentation fault"), ("wrong", "AssertionError")])
def test_a_crash_and_a_wrong_answer_would_be_seen(kind, sign):
    code, said = tried(kind)
    assert code != 0
    assert sign in said
    assert f"{kind} 0" in said, "the case is named"

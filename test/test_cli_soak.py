"""``spatia ros soak-actors``: what it says of a trial. The trial itself is tested in test/ros/test_soak.py."""

import os
import subprocess
from pathlib import Path

import pytest

from spatia_ros.cli import soak_actors
from spatia_ros.types import SpatiaError


def test_the_report_says_what_held_and_what_it_cost():
    report = {
        "minutes": 10.0, "wrong": ["frame 3: colour differs where no actor is"],
        "counts": {"frames": 40, "wrong": 1, "memories compared": 2, "memory points": 900, "spawn": 7, "clock": 5},
        "live_ms": {"p50": 30.0}, "still_ms": {"p50": 20.0}, "actors_ms": {"p50": 8.0},
        "cost_ratio": 1.5, "cost_ratio_without_actors_own": 1.1,
        "memory_mb": {"live": {"settled": 500.0, "end": 510.0}, "still": {"settled": 400.0, "end": 405.0}},
    }  # fmt: skip
    rows = {name: (value, note) for name, value, note in soak_actors.rows(report)}
    assert rows["time"] == ("10.0 min", "40 frames in each world, 12 things done")
    assert rows["what did not hold"][0] == "1"
    assert rows["frame, p50"] == ("30.0 ms", "20.0 ms without actors; of it the actors' own 8.0 ms")
    assert rows["cost ratio"] == ("1.10", "1.50 with the actors' own")
    assert "live 500 -> 510" in rows["memory use"][1]


def test_memory_use_is_of_a_process_that_runs():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert soak_actors.resident_mb(os.getpid()) == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, rel=0.02)
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(SpatiaError, match="it is gone"):
        soak_actors.resident_mb(child.pid)

"""``spatia ros soak-map``: laps of a recording are held against the first; the command, its processes and its report."""

import json
import os
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from spatia_ros.nodes.environment import ros_environment
from spatia_ros.nodes.soak import mapping
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.record import lap
from spatia_ros.types import Camera

LAP = lap.Lap(
    np.arange(2 * 6 * 8 * 3, dtype=np.uint8).reshape(2, 6, 8, 3), np.ones((2, 6, 8), np.float32),
    np.tile(np.eye(4), (2, 1, 1)), Camera.from_fov(8, 6, 1.2),
)  # fmt: skip


def laps_of(points, left=0, success=True):
    """Laps of a mapper that says so many points after each, and the ledger they are noted in."""
    told, stamps, ledger = iter(points), [], Ledger()

    def show(frame):
        stamps.append(frame.stamp_ns)
        return 1

    def call(service, path):
        assert path == (mapping.SAVED if service == "memory/save" else lap.EMPTY)
        return SimpleNamespace(points=next(told) if service == "memory/save" else left, success=success, message="full")

    def count(name, more):
        ledger.counts[name] += more

    return mapping.Laps(LAP, SimpleNamespace(show=show), call, ledger.expect, count), stamps, ledger


def test_laps_that_are_alike_hold_and_time_goes_on():
    laps, stamps, ledger = laps_of([7, 7])
    laps.once()
    laps.once()
    assert ledger.wrong == []
    assert (ledger.counts["laps"], ledger.counts["frames"]) == (2, 4)
    assert np.all(np.diff(stamps) == mapping.FRAME_NS)


@pytest.mark.parametrize(
    ("mapper", "words"),
    [
        ({"points": [7, 8]}, "a lap made 8 points of what 7 were made of before"),
        ({"points": [0, 0]}, "a lap left no point"),
        ({"points": [7, 7], "left": 3}, "memory/load: nothing has 3 points"),
        ({"points": [7, 7], "success": False}, "memory/save: full"),
    ],
)
def test_what_differs_is_noticed(mapper, words):
    laps, _, ledger = laps_of(**mapper)
    laps.once()
    laps.once()
    assert words in ledger.wrong


def test_a_recording_is_read_as_it_was_written(tmp_path):
    LAP.save(tmp_path / lap.FRAMES)
    again = lap.Lap.load(tmp_path / lap.FRAMES)
    assert again.camera == LAP.camera
    for a, b in zip(again[:3], LAP[:3], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_shortest_soak_of_a_mapper_there_is(tmp_path):
    words = ["--minutes", "0", "--json", str(tmp_path / "soak.json"), "--logs", str(tmp_path / "logs")]
    words += ["--set", "camera.width_px=64", "--set", "camera.height_px=48"]
    command = [sys.executable, "-m", "spatia_ros.cli", "ros", "soak-map", *words]
    done = subprocess.run(command, env=ros_environment(os.environ), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["wrong"] == []
    assert Counter(report["done"])["laps"] == 1
    assert report["done"]["frames"] == 40
    assert report["growth"] == {}
    assert "1 laps; 40 frames mapped" in done.stdout

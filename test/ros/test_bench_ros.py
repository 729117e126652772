"""The bench through ROS at a size that takes seconds: its figures have their names and its ends find each other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatia_ros.nodes.environment import ros_environment

pytest.importorskip("rclpy", reason="ROS 2 is not installed here")

BENCH = Path(__file__).parents[2] / "bench" / "ros.py"


def test_every_stage_is_measured(tmp_path):
    file = tmp_path / "out" / "bench.json"
    small = "--sizes 96x64 --seconds 1 --rate 10 --commands 5 --settle 0.2 --generators projection --parts messages,sent,commands"
    small += " --set source.every=20 --set memory.voxel_m=0.05 --json"
    command = [sys.executable, str(BENCH), *small.split(), str(file)]
    done = subprocess.run(command, env=ros_environment(os.environ), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    for line in done.stdout.splitlines():
        name, value = line.split()
        assert figures[name] == pytest.approx(float(value), abs=1e-3)
    assert figures["sent_published"] == 10
    assert figures["sent_arrived"] + figures["sent_lost"] == 10
    stages = ("command_to_image", "render", "generate", "in_node", "on_the_way", "all_but_generation", "ours")
    ways = "projection_96x64", "projection_96x64_steady"
    assert all(figures[f"{way}_{stage}_{p}_ms"] > 0 for way in ways for stage in stages for p in ("p50", "p99"))
    assert figures["image_assigned_over_ours_96x64"] > 1

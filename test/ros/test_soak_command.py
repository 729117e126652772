"""``spatia ros soak`` as a command: its processes, its report, and its exit status."""

import json
import os
import subprocess
import sys

import pytest
from harness import wall_memory

from spatia_ros.nodes.environment import ros_environment

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")


def test_the_shortest_soak_there_is(tmp_path):
    wall_memory().save(tmp_path / "wall.spatia")
    words = [
        "--minutes", "0", "--kills", "0", "--memory", str(tmp_path / "wall.spatia"), "--json", str(tmp_path / "soak.json"),
        "--set", "generator.name=projection", "--logs", str(tmp_path / "logs"),
    ]  # fmt: skip
    command = [sys.executable, "-m", "spatia_ros.cli", "ros", "soak", *words]
    done = subprocess.run(command, env=ros_environment(os.environ), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["wrong"] == []
    assert report["checked"]["mark: alive"] == 1
    assert report["checked"]["frames"] >= 1
    assert report["growth"] == {}  # nobody could say, after so little
    assert report["resident_mb"][-1][2] > 50.0
    assert "all held" in (tmp_path / "soak.html").read_text()
    assert (tmp_path / "soak.png").is_file()
    assert {p.name for p in (tmp_path / "logs").iterdir()} == {"world.log", "player.log", "checker.log"}

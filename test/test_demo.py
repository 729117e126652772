"""The demo's parts that need no ROS: its children, its domain, its parameters, its story."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from spatia_ros.cli import demo, performance
from spatia_ros.cli.place import place_of_sequence
from spatia_ros.cli.processes import Troupe
from spatia_ros.config import WorldConfig, override
from spatia_ros.memory import Memory
from spatia_ros.sequence import Sequence
from spatia_ros.sequence.tum import read_poses
from spatia_ros.types import Camera, SpatiaError


@pytest.fixture
def actors(tmp_path, monkeypatch) -> Path:
    """A folder of modules that children can be started from."""
    for name, code in {
        "sleeper": "import time, sys\nprint('{\"ready\": 1}', flush=True)\ntime.sleep(120)",
        "stubborn": "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n"
        "print('{\"ready\": 1}', flush=True)\ntime.sleep(120)",
        "dies": "import sys\nprint('about to fail')\nsys.exit('the reactor is cold')",
        "finishes": "print('not json')\nprint('{\"frames\": 3}')\nprint('{broken')",
        "parent": "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'])\n"
        "print('{\"child\": %d}' % child.pid, flush=True)\nchild.wait()",
    }.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return tmp_path


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split()[2] != "Z"


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def wait_in_vain(troupe: Troupe, limit_s: float = 30.0) -> str:
    """What a wait for something that never comes ends with."""
    with pytest.raises(SpatiaError) as error:
        troupe.wait("a sign", lambda: False, limit_s)
    return str(error.value)


def test_a_child_that_dies_is_named_with_its_last_words(actors):
    with Troupe(actors / "logs", {}) as troupe:
        other = troupe.start("sleeper", "sleeper")
        troupe.start("narrator", "dies")
        said = wait_in_vain(troupe)
    assert "the narrator ended with exit code 1" in said
    assert "about to fail" in said
    assert "the reactor is cold" in said
    assert other.process.poll() is not None, "the others are ended, too"


def test_a_killed_child_is_told_by_its_signal(actors):
    with Troupe(actors / "logs", {}) as troupe:
        child = troupe.start("sleeper", "sleeper")
        troupe.wait("it to start", lambda: bool(child.reports), 30)
        child.process.kill()
        assert "the sleeper was killed by signal 9" in wait_in_vain(troupe)


def test_waiting_in_vain_says_for_what(actors):
    with Troupe(actors / "logs", {}) as troupe:
        troupe.start("sleeper", "sleeper")
        said = wait_in_vain(troupe, 0.3)
    assert said.startswith("waited 0.3 s for a sign")
    assert "sleeper" in said


def test_a_child_may_leave_when_its_part_is_over(actors):
    with Troupe(actors / "logs", {}) as troupe:
        child = troupe.start("soloist", "finishes")
        troupe.wait("its end", lambda: child.process.poll() == 0 and bool(child.reports), 30, leaving=[child])
    assert list(child.reports) == [{"frames": 3}]
    assert "not json" in child.log.read_text()


def test_a_stubborn_child_is_ended_all_the_same(actors):
    with Troupe(actors / "logs", {}) as troupe:
        child = troupe.start("stubborn", "stubborn")
        troupe.wait("it to start", lambda: bool(child.reports), 30)
        assert child.stop(0.2) < 0
    assert not alive(child.process.pid)


def test_grandchildren_are_not_left_behind(actors):
    with Troupe(actors / "logs", {}) as troupe:
        child = troupe.start("parent", "parent")
        troupe.wait("its child", lambda: bool(child.reports), 30)
        pid = child.reports[0]["child"]
        assert alive(pid)
    assert gone(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_parent_that_ends_takes_its_children_along(actors, number):
    code = (
        "import signal\nfrom pathlib import Path\nfrom spatia_ros.cli.processes import Troupe\n"
        # A shell that runs the tests in the background has its children ignore Ctrl-C; a terminal does not.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"with Troupe(Path({str(actors / 'logs')!r}), {{}}) as troupe:\n"
        "    child = troupe.start('sleeper', 'sleeper')\n"
        "    troupe.wait('it', lambda: bool(child.reports), 30)\n"
        "    print(child.process.pid, flush=True)\n    troupe.wait('the end', lambda: False, 60)\n"
    )
    root = Path(__file__).resolve().parents[1]
    path = f"{root}{os.pathsep}{os.environ['PYTHONPATH']}"
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(number)
        parent.wait(30)
    assert gone(pid)


def test_a_domain_in_use_is_not_taken(monkeypatch):
    class Two:
        """Offers domain 9 first."""

        def permutation(self, _):
            return np.array([9, 10])

    monkeypatch.setattr(np.random, "default_rng", Two)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 7400 + 250 * 9))
        assert performance.free_domain() == 10


def wall(n: int = 9) -> Sequence:
    """A camera that slides along a wall 2 m away; y is down in the world."""
    camera = Camera.from_fov(64, 48, 1.2)
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 0, 3] = 0.1 * np.arange(n)
    return Sequence("wall", camera, np.arange(n, dtype=np.int64) * 10**8, T, lambda _: (rgb, np.full((48, 64), 2.0, np.float32)))


def test_what_the_processes_are_given(tmp_path):
    config = override(WorldConfig(), ["camera.width_px=64", "camera.height_px=48", "memory.voxel_m=0.04"])
    place = place_of_sequence(wall(), 3, config)
    assert performance.prepare(place, place.effective(config), 20, tmp_path) == "-y"
    parameters = yaml.safe_load((tmp_path / "world.yaml").read_text())["/**"]["ros__parameters"]
    assert parameters["source"] == {"memory": "seed.spatia"}
    assert parameters["frames"]["map_up"] == "-y"
    assert parameters["camera"]["fx_px"] == pytest.approx(wall().camera.fx), "nothing is left open"
    assert '"-y"' in (tmp_path / "world.yaml").read_text(), "words are quoted: ROS reads a bare y as true"
    path = read_poses(tmp_path / "commanded.txt")
    assert len(path) == 20
    np.testing.assert_allclose(path.T_world_cam[0], path.T_world_cam[-1])
    assert len(Memory.load(tmp_path / "seed.spatia")) == len(place.memory) > 0


def test_the_recording_it_starts_from_is_not_cleared_away(tmp_path):
    (tmp_path / "run.mcap").write_bytes(b"a recording")
    for sequence in (tmp_path / "run.mcap", tmp_path):
        with pytest.raises(SpatiaError, match="--out"):
            demo.clear(tmp_path, sequence)
    assert (tmp_path / "run.mcap").exists()
    demo.clear(tmp_path, None)
    assert not (tmp_path / "run.mcap").exists()


def test_a_third_of_a_recording_is_the_seed():
    config = override(WorldConfig(), ["memory.voxel_m=0.04"])
    assert place_of_sequence(wall(9), None, config).seeded == 3
    assert place_of_sequence(wall(2), None, config).seeded == 1


def figures() -> dict:
    return {
        "received": 159, "commanded": 160, "arrival_loss": 0.0063, "fps": 12.0,
        "seen_share": 0.7, "seen_share_min": 0.3, "invented_earlier_share": 0.1, "invented_now_share": 0.2,
        "return_psnr_db": None, "memory_points": 2000, "seed_points": 1000,
        "latency_ms": {"total": {"p50": 50.0, "p99": 90.0}},
    }


def test_the_table_tells_what_is_missing():
    rows = {name: value for name, value, _ in demo.rows(figures())}
    assert rows["frames"] == "159"
    assert rows["arrival loss"] == "0.6%"
    assert rows["return"] == "-"
    assert json.dumps(rows)

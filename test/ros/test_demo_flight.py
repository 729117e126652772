"""The demo itself, small: three processes over real ROS, and what a recorder can prove of them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spatia_ros import cli
from spatia_ros.memory import Memory
from spatia_ros.record.recording import Recording
from spatia_ros.sequence import open_sequence, write_tum
from spatia_ros.sequence.bag_file import BagFile
from spatia_ros.sequence.tum import read_poses
from spatia_ros.types import Camera, Frame

pytest.importorskip("rclpy", reason="needs ROS 2 (make test sets it up)")
FRAMES = 16
SMALL = ["generator.name=projection", "camera.width_px=96", "camera.height_px=64", "memory.voxel_m=0.03"]
OPTIONS = [word for assignment in SMALL for word in ("--set", assignment)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    """A camera that slides along a wall 2 m away: 9 frames, y down in the world."""
    camera, rng = Camera.from_fov(96, 64, 1.2), np.random.default_rng(1)
    wall = rng.integers(30, 220, (64, 400, 3), np.uint8)
    frames = []
    for k in range(9):
        T = np.eye(4)
        T[0, 3] = 0.15 * k
        frames.append(Frame(wall[:, 6 * k : 6 * k + 96].copy(), np.full((64, 96), 2.0, np.float32), camera, T, k * 10**8))
    return write_tum(frames, tmp_path_factory.mktemp("data") / "wall")


@pytest.fixture(scope="module")
def flown(recording, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    words = ["demo", "--sequence", recording, "--frames", FRAMES, "--out", out, *OPTIONS]
    assert cli.main([str(word) for word in words]) == 0
    return out


def test_everything_promised_is_there(flown):
    names = {path.name for path in flown.iterdir()}
    promised = {"video.mp4", "contact_sheet.png", "memory.ply", "run.mcap", "figures.json", "report.html"}
    assert promised <= names
    assert all((flown / name).stat().st_size > 0 for name in promised)
    assert not [name for name in names if name.startswith(".")], "no half-written file is left"


def test_every_frame_arrived(flown):
    figures = json.loads((flown / "figures.json").read_text())
    assert (figures["commanded"], figures["received"], figures["arrival_loss"]) == (FRAMES, FRAMES, 0)
    assert figures["return_psnr_db"] > 30
    assert figures["seed_frames"] == 3
    assert 0.02 < figures["invented_now_share_max"] < 1


def test_the_recording_shows_the_commanded_poses(flown):
    shots, commanded = Recording(flown / "run.mcap"), read_poses(flown / "commanded.txt")
    poses = np.stack([shot.T_world_cam for shot in shots])
    # The recording's map is the world turned upright (y down in the world is z up in the map).
    T_map_world = poses[0] @ np.linalg.inv(commanded.T_world_cam[0])
    np.testing.assert_allclose(poses, T_map_world @ commanded.T_world_cam, atol=1e-6)
    np.testing.assert_allclose(T_map_world[:3, :3] @ (0, -1, 0), (0, 0, 1), atol=1e-9)
    np.testing.assert_allclose(np.diff([shot.stamp_ns for shot in shots]), 10**8)


def test_what_is_seen_is_the_wall(flown):
    first = Recording(flown / "run.mcap")[0]
    known = first.provenance == 255
    assert known.mean() > 0.8
    assert np.abs(first.depth[known] - 2.0).max() < 0.05


def test_the_bag_holds_all_topics_with_their_definitions(flown):
    bag = BagFile(flown / "run.mcap")
    assert {
        "/camera/color/image_raw", "/camera/color/image_raw/compressed", "/camera/color/camera_info", "/camera/color/metadata",
        "/camera/depth/image_rect", "/camera/depth/camera_info", "/camera/provenance", "/cmd_trajectory", "/odom", "/pose",
        "/path", "/tf", "/tf_static", "/world/status", "/world/memory/points",
    } <= set(bag.types)  # fmt: skip
    metadata = [message for _, message in bag.messages("/camera/color/metadata")]
    assert [m.clip_index for m in metadata] == list(range(FRAMES))
    assert all(m.synthetic and m.model == "projection" for m in metadata)
    assert len(open_sequence(flown / "run.mcap")) == FRAMES, "the bag is itself a recording"


def test_the_memory_after_the_flight_is_saved_by_the_node(flown):
    memory = Memory.load(flown / "memory.spatia")
    assert len(memory) == json.loads((flown / "figures.json").read_text())["memory_points"]
    assert (flown / "memory.ply").read_bytes().startswith(b"ply\n")


def children(pid: int) -> dict[int, str]:
    """Command lines of a process's children."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def test_a_node_that_is_killed_ends_the_demo_and_nothing_is_left(recording, tmp_path):
    out = tmp_path / "out"
    words = ["demo", "--sequence", recording, "--frames", 3000, "--out", out, *OPTIONS]
    command = [sys.executable, "-m", "spatia_ros.cli", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 100
        while time.monotonic() < end and process.poll() is None and '"frames": 3' not in text_of(out / "logs/pilot.log"):
            time.sleep(0.05)
        before = children(process.pid)
        (node,) = (pid for pid, line in before.items() if "spatia_ros.nodes.runner" in line)
        os.kill(node, signal.SIGKILL)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the world node was killed by signal 9" in complaint
    assert "world of memory seed.spatia" in complaint, "its last words"
    assert "Traceback" not in complaint
    assert len(before) == 3
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""

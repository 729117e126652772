"""A world that is killed without warning: in the middle of a save, of a path, at random; what was flushed is there again."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import rclpy
from harness import CAMERA, START, wait, wall_frame
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from spatia_ros.cli.processes import newest_child
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.nodes.environment import ros_environment
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import FrameSettings
from spatia_ros.nodes.soak import life as soak_life
from spatia_ros.nodes.soak.checker import Checker
from spatia_ros.nodes.soak.hands import Hands
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.life import Life
from spatia_ros.nodes.soak.player import Player
from spatia_ros.srv import SaveMemory

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

PERIOD = 50_000_000
SETTINGS = {
    "generator.name": "projection", "camera.width_px": 96, "camera.height_px": 64, "source.memory": "start.spatia",
    "checkpoint.folder": "checkpoints", "checkpoint.every_s": 0.3, "frame_rate_hz": 20.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    memory = Memory(MemoryConfig(voxel_m=0.01))
    memory.integrate(wall_frame(camera=CAMERA.resized(480, 320)))  # so that a save takes a while
    memory.save(path / "start.spatia")
    return path


@pytest.fixture(scope="module")
def supervisor(folder, domain):
    """A world that is started again whenever it dies, in a process of its own."""
    words = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "spatia_ros.nodes.runner", "world", "--respawn", "--set", f"data_dir={folder}", *words]
    child = subprocess.Popen(command, env=ros_environment(os.environ))
    yield child.pid
    child.send_signal(signal.SIGINT)
    try:
        child.wait(30.0)
    finally:
        child.kill()


@pytest.fixture(scope="module")
def trial(folder, supervisor, domain):
    """A player and a checker, each on a node of its own, and what both noted."""
    context, ledger = Context(), Ledger()
    rclpy.init(context=context, domain_id=domain)
    nodes = [Node(name, context=context) for name in ("player", "checker")]
    executors = [SingleThreadedExecutor(context=context) for _ in nodes]
    threads = [threading.Thread(target=executor.spin, daemon=True) for executor in executors]
    checker = Checker(nodes[1], ledger, "z", PERIOD, folder)
    rng = np.random.default_rng(0)
    hands, walk = Hands(nodes[0]), np.stack([Rig(FrameSettings()).base_of(START)] * 6)
    walk[:, 1, 3] = np.linspace(-0.3, 0.3, 6)
    player = Player(hands, ledger, walk, folder, PERIOD, rng)
    life = Life(player, hands, ledger, supervisor, folder, rng)
    for executor, node, thread in zip(executors, nodes, threads, strict=True):
        executor.add_node(node)
        thread.start()
    life.begin()
    yield player, life, checker
    for executor, node, thread in zip(executors, nodes, threads, strict=True):
        executor.shutdown()
        thread.join()
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_killed_at_random_and_in_the_middle_of_a_path_it_comes_back_with_what_it_had_flushed(trial, supervisor, monkeypatch):
    monkeypatch.setattr(soak_life, "LONGEST_LIFE_S", 2.0)
    player, life, checker = trial
    hands, ledger = player.hands, checker.ledger
    life.kill()
    frames, pid = hands.frames, newest_child(supervisor)
    hands.mark(soak_life.DOOMED)
    hands.send("cmd_trajectory", player.walk.path(40))
    wait(lambda: hands.frames >= frames + 5, "the first frames of the path")
    os.kill(pid, signal.SIGKILL)
    hands.gone.set()
    assert hands.frames - frames < 40
    life.recover(pid)
    player.path()
    player.home()
    assert ledger.wrong == []
    assert ledger.counts["restarts compared"] == 2
    assert ledger.counts["maps compared"] == 1
    assert ledger.counts["frames"] >= 4


def test_killed_in_the_middle_of_a_save_the_file_that_was_there_is_whole(trial, folder, supervisor):
    player, life, checker = trial
    hands, file = player.hands, folder / "precious.spatia"
    assert hands.call(SaveMemory, "memory/save", path=file.name).success
    before = file.read_bytes()
    pid, caught = newest_child(supervisor), threading.Event()

    def strike():
        until = time.monotonic() + 60.0
        while time.monotonic() < until and not list(folder.glob("precious.spatia.*.partial")):
            pass  # as soon as it is being written
        caught.set()
        os.kill(pid, signal.SIGKILL)
        hands.gone.set()

    striker = threading.Thread(target=strike)
    striker.start()
    with pytest.raises(soak_life.Gone):
        hands.call(SaveMemory, "memory/save", path=file.name)
    striker.join()
    assert caught.is_set()
    assert file.read_bytes() == before  # a save that is cut off changes nothing
    left = list(folder.glob("precious.spatia.*.partial"))
    assert left, "expected the kill to come before the save was done"
    life.recover(pid)
    for each in left:
        os.utime(each, (1.0, 1.0))  # a minute later
    assert hands.call(SaveMemory, "memory/save", path=file.name).success
    assert list(folder.glob("precious.spatia.*.partial")) == []
    assert len(Memory.load(file)) > 0
    assert checker.ledger.wrong == []

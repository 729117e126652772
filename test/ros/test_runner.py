"""The runner: the same node with the same YAML where there is no launch, ended by Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import wait, wall_memory
from nav_msgs.msg import Path as NavPath
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from spatia_ros.msg import GeneratedFrame
from spatia_ros.nodes import convert, qos, runner
from spatia_ros.types import SpatiaError

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    return [sys.executable, "-m", "spatia_ros.nodes.runner", *map(str, arguments)]


@contextlib.contextmanager
def running(command, end=subprocess.Popen.kill):
    """A program, which is over in any case once the block is left."""
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        end(process)
        process.wait()


def interrupted(process, times=1):
    """What a program said once it was told to end, which it must do well."""
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return errors


def test_a_world_from_a_parameter_file_serves_another_process_and_ends_on_interrupt(graph, tmp_path):
    """Started as a user would start it, commanded over ROS, ended by Ctrl-C with status 0."""
    wall_memory().save(tmp_path / "wall.spatia")
    params = tmp_path / "mine.yaml"
    params.write_text(f"/**:\n  ros__parameters:\n    data_dir: {tmp_path}\n    camera: {{width_px: 96, height_px: 64}}\n")
    command = run(
        "world", "--params", params, "--set", "generator.name=projection", "--set", "source.memory=wall.spatia",
        "--set", "frames.map_up=y", "--ros-args", "-r", "__ns:=/robot",
    )  # fmt: skip
    with running(command) as process:
        images = graph.collect(Image, "/robot/camera/color/image_raw")
        go = graph.publisher(PoseStamped, "/robot/cmd_pose", qos.COMMAND)

        def command_until_seen():
            go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(convert.map_from_world("y"))))
            return images

        wait(command_until_seen, "an image")
        assert (images[0].width, images[0].height) == (96, 64)
        interrupted(process, times=5)  # impatiently: the first ends it, none comes in between


@pytest.mark.parametrize("later_s", [0.0, 0.3, 0.6, 0.9, 1.2])
def test_one_interrupted_while_it_starts_ends_in_silence(tmp_path, later_s):
    """While ROS is imported, while the node is made, while it loads: there is nothing to lose, and nothing to say."""
    with running(run("world", "--set", f"data_dir={tmp_path}")) as process:
        wait(lambda: "librcl.so" in Path(f"/proc/{process.pid}/maps").read_text(), "ROS to be imported")
        time.sleep(later_s)
        interrupted(process)


def child_of(process):
    """The process that a supervisor runs now, or None."""
    return next(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()), None)


def test_a_world_that_is_killed_comes_back_where_it_was(graph, tmp_path):
    """kill -9, and no manual step: the number of the frame goes on from the last checkpoint, its stamp from the last frame."""
    wall_memory().save(tmp_path / "wall.spatia")
    command = run(
        "world", "--respawn", "--set", f"data_dir={tmp_path}", "--set", "generator.name=projection",
        "--set", "camera.width_px=96", "--set", "camera.height_px=64", "--set", "source.memory=wall.spatia",
        "--ros-args", "-r", "__ns:=/phoenix",
    )  # fmt: skip
    with running(command, end=subprocess.Popen.terminate) as process:  # its child ends with it
        told = graph.collect(GeneratedFrame, "/phoenix/camera/color/metadata")
        path = graph.publisher(NavPath, "/phoenix/cmd_trajectory", qos.COMMAND)
        msg = NavPath(header=convert.to_header(0, "map"))
        msg.poses = [PoseStamped(pose=convert.to_pose(np.eye(4))) for _ in range(3)]
        wait(lambda: [path.publish(msg)] and len(told) >= 3, "the first frames")
        assert graph.call(Trigger, "/phoenix/checkpoint").success
        kept = max(frame.step for frame in told)
        first = child_of(process)
        os.kill(first, signal.SIGKILL)
        wait(lambda: child_of(process) not in (first, None), "another in its place")
        before = len(told)  # with what the dead had sent: the other is still being imported

        def flown_again():
            if path.get_subscription_count():
                path.publish(msg)
            return len(told) > before

        wait(flown_again, "a frame after the restart")
        assert told[before].step >= kept
        assert convert.time_ns(told[before].header.stamp) > convert.time_ns(told[before - 1].header.stamp)
        errors = interrupted(process)
    assert "killed by SIGKILL; started again" in errors
    assert "world of checkpoint 1" in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["world", "--params", "missing.yaml"], "missing.yaml is not one"),
        (["world", "--set", "frame_rate_hz=10"], "frame_rate_hz: expected a real number with its point"),
        (["world", "--set", "source.memory=missing.spatia"], "missing.spatia is not one"),
    ],
)
def test_a_wrong_start_is_one_sentence(arguments, words):
    done = subprocess.run(run(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_become_those_of_ros(tmp_path):
    params = tmp_path / "a.yaml"
    params.touch()
    options = runner.parser().parse_args(
        ["mapper", "--params", str(params), "--set", "a.b=1.0", "--set", "frames.map_up=y", "--ros-args", "-r", "__ns:=/x"]
    )
    expected = ["--ros-args", "--params-file", str(params), "-p", "a.b:=1.0", "-p", "frames.map_up:='y'", "-r", "__ns:=/x"]
    assert runner.ros_arguments(options) == expected
    with pytest.raises(SpatiaError, match="NAME=VALUE"):
        runner.ros_arguments(runner.parser().parse_args(["world", "--set", "frames.map_up"]))


def test_write_params_writes_the_defaults(tmp_path, monkeypatch):
    monkeypatch.setattr("spatia_ros.nodes.environment.enter", lambda: None)
    assert runner.main(["mapper", "--write-params", str(tmp_path / "p.yaml")]) == 0
    assert (tmp_path / "p.yaml").read_text() == (ROOT / "config" / "mapper.yaml").read_text()
    assert os.listdir(tmp_path) == ["p.yaml"]

"""The action export_dataset: data sets that others read; the same goal goes on where it was interrupted, kill -9 included."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from action_client import Goals, cancel, outcome
from evo.core import metrics, sync
from evo.tools import file_interface
from harness import SMALL_WORLD, START, Graph, wait, wall_memory, walled_world
from lifecycle_msgs.srv import GetState
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.parameter import Parameter
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from test_generate_trajectory import path_of, way

from spatia_ros.action import ExportDataset
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import FrameSettings
from spatia_ros.record.frame_sets import TumSet
from spatia_ros.record.recording import Recording
from spatia_ros.sequence import open_sequence
from spatia_ros.sequence.bag_folder import mend

RUN, TUM, MCAP = ExportDataset.Goal.RUN, ExportDataset.Goal.TUM, ExportDataset.Goal.MCAP


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    wall_memory().save(path / "wall.spatia")  # for worlds in other processes, too
    return path


@pytest.fixture(scope="module")
def node(graph, folder):
    made = walled_world(graph, folder, "/export")
    yield made
    graph.remove(made)


@pytest.fixture(scope="module")
def goals(graph, node):
    out = Goals(graph, ExportDataset, "/export/export_dataset")
    yield out
    out.close()


@pytest.fixture
def slow(node):
    """In real time, so that a flight lasts long enough to be cancelled."""
    assert node.set_parameters([Parameter("motion.pace", value="real_time")])[0].successful
    yield
    assert node.set_parameters([Parameter("motion.pace", value="fast")])[0].successful


def check(path, rig, poses):
    """The data set has just these poses, 0.1 s apart, and pictures of the wall."""
    sequence = open_sequence(path)
    assert np.diff(sequence.stamps_ns).tolist() == [10**8] * (len(poses) - 1)
    for i, T in enumerate(poses):
        frame = sequence.frame(i)
        np.testing.assert_allclose(frame.T_world_cam, rig.camera_of(T), atol=1e-8)
        np.testing.assert_allclose(frame.depth[frame.depth > 0], 2.0 - frame.T_world_cam[0, 3], atol=0.02)


@pytest.mark.parametrize(("kind", "name"), [(RUN, "run"), (TUM, "tum"), (MCAP, "mcap")])
def test_a_data_set_is_read_by_our_own_reader(node, folder, goals, kind, name):
    poses = way(node, 4)
    handle, heard = goals.send(format=kind, path=path_of(poses), folder=name, seed=-1)
    answer = outcome(handle)
    assert (answer.success, answer.message, answer.frames, answer.folder) == (True, "", 4, str(folder / name))
    assert answer.bytes > 4 * 1000
    wait(lambda: heard and heard[-1].frames_done == 4, "the last feedback")
    check(folder / name, node.rig, poses)
    again = goals.result(format=kind, path=path_of(poses), folder=name, seed=-1)
    assert (again.success, again.frames, again.message) == (True, 4, "all of it was there already")
    check(folder / name, node.rig, poses)


def test_evo_reads_the_ground_truth(node, folder, goals):
    poses = way(node, 6)
    assert goals.result(format=TUM, path=path_of(poses), folder="for_evo", seed=-1).success
    read = file_interface.read_tum_trajectory_file(str(folder / "for_evo" / "groundtruth.txt"))
    np.testing.assert_allclose(read.positions_xyz, [node.rig.camera_of(T)[:3, 3] for T in poses], atol=1e-8)
    error = metrics.APE(metrics.PoseRelation.translation_part)
    error.process_data(sync.associate_trajectories(read, read))
    assert error.get_statistic(metrics.StatisticsType.max) == 0


def test_others_read_the_bag(node, folder, goals):
    poses = way(node, 3)
    assert goals.result(format=MCAP, path=path_of(poses), folder="for_all", seed=-1).success
    with AnyReader([folder / "for_all"], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        told = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages() if c.topic.endswith("color/image_raw")]
    camera = "/export/camera"
    names = ("color/image_raw", "color/camera_info", "color/metadata", "depth/image_rect", "depth/camera_info", "provenance")
    assert counts == {f"{camera}/{name}": 3 for name in names} | {"/tf": 3, "/tf_static": 1, "/export/pose": 3}
    assert {(m.width, m.height, m.encoding, m.header.frame_id) for m in told} == {(96, 64, "rgb8", "camera_color_optical_frame")}
    with (folder / "for_all" / "for_all_0.mcap").open("rb") as file:
        decoded = list(make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages())
    assert sum(channel.topic == f"{camera}/color/metadata" and message.synthetic for _, channel, _, message in decoded) == 3
    assert len(Recording(folder / "for_all", "export/camera")) == 3


@pytest.mark.parametrize(("kind", "name"), [(RUN, "cut_run"), (TUM, "cut_tum"), (MCAP, "cut_mcap")])
def test_cancelled_it_is_closed_and_the_same_goal_goes_on(node, folder, goals, slow, kind, name):
    poses = way(node, 12)
    goal = {"format": kind, "path": path_of(poses), "folder": name, "seed": 5}
    handle, heard = goals.send(**goal)
    wait(lambda: any(f.frames_done >= 2 for f in heard), "the beginning")
    cancel(handle)
    cut = outcome(handle)
    assert (cut.success, cut.message) == (False, "cancelled")
    assert 2 <= cut.frames < 12
    check(folder / name, node.rig, poses[: cut.frames])
    other = goals.result(**{**goal, "seed": 6})
    assert "begun for another goal (seed differ)" in other.message
    handle, heard = goals.send(**goal)
    whole = outcome(handle)
    assert (whole.success, whole.frames) == (True, 12)
    wait(lambda: heard and heard[-1].frames_done == 12, "the last feedback")
    assert heard[0].frames_done == cut.frames + 1, "it goes on, and does not begin again"
    check(folder / name, node.rig, poses)


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ({"format": 7}, "format: expected one of"),
        ({"folder": "../out"}, "inside the data folder"),
        ({"folder": ""}, "expected the name"),
        ({"folder": "other"}, "'other' has other files"),
        ({"folder": "foreign"}, "expected the state of a data set"),
        ({"cameras": ["nose"]}, "got ['nose']"),
        ({"prompt": "red"}, "reads no text"),
        ({"path": path_of([np.eye(4)], "base_link")}, "expected poses in map"),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(node, folder, goals, goal, says):
    for name, file in (("other", "thesis.tex"), ("foreign", "export.json")):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / file).write_text("[1]")
    answer = goals.result(**{"format": TUM, "path": path_of(way(node, 2)), "folder": "no", "seed": -1, **goal})
    assert (answer.success, answer.frames) == (False, 0)
    assert says in answer.message
    assert not (folder / "no").exists()
    assert [p.name for p in (folder / "other").iterdir()] == ["thesis.tex"]


def test_a_torn_line_is_a_frame_that_is_not_there(node, folder, goals):
    """As a writer leaves it that was stopped between two of its three lists."""
    poses = way(node, 3)
    assert goals.result(format=TUM, path=path_of(poses), folder="torn", seed=-1).success
    truth = folder / "torn" / "groundtruth.txt"
    truth.write_text(truth.read_text()[:-20])
    assert len(TumSet(folder / "torn")) == 2
    check(folder / "torn", node.rig, poses[:2])
    assert goals.result(format=TUM, path=path_of(poses), folder="torn", seed=-1).frames == 3
    check(folder / "torn", node.rig, poses)


def cut_off(graph, command, goal, enough, log):
    """Start a world, send the goal, and kill it with enough frames done; returns the first and the last count of them told."""
    with open(log, "w") as said:
        process = subprocess.Popen(command, env=dict(os.environ), stdout=said, stderr=said)

    def active():
        assert process.poll() is None, log.read_text()
        return graph.call(GetState, "/killed/world/get_state").current_state.label == "active"

    try:
        goals = Goals(graph, ExportDataset, "/killed/export_dataset")
        wait(active, "an active node")
        _, heard = goals.send(**goal)
        wait(lambda: any(f.frames_done >= enough for f in heard), "the flight")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    goals.close()
    return heard[0].frames_done, heard[-1].frames_done


def test_after_kill_9_the_same_goal_goes_on(folder):
    """Other processes, each killed in the middle of the bag."""
    words = [f"{name.replace('__', '.')}={value}" for name, value in SMALL_WORLD.items() if name != "motion__pace"]
    command = [sys.executable, "-m", "spatia_ros.nodes.runner", "world", "--set", f"data_dir={folder}"]
    command += [word for each in words for word in ("--set", each)] + ["--ros-args", "-r", "__ns:=/killed"]
    rig = Rig(FrameSettings())
    poses = np.tile(rig.base_of(START), (200, 1, 1))
    poses[:, 1, 3] += 0.001 * np.arange(200)
    goal = {"format": MCAP, "path": path_of(poses), "folder": "killed", "seed": 1}
    with Graph() as graph:
        _, told = cut_off(graph, command, goal, 3, folder / "first.log")
    with Graph() as graph:  # one that does not know the dead
        begun, later = cut_off(graph, command, goal, told + 3, folder / "second.log")
    assert begun > told, "what was written is not made again"
    _, counts = mend(folder / "killed")
    assert counts["/killed/camera/color/metadata"] >= later
    check(folder / "killed", rig, poses[: len(open_sequence(folder / "killed").stamps_ns)])

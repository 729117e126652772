"""Flights of a rig with several cameras: each of them is recorded, and each data set has the right poses."""

import numpy as np
import pytest
from action_client import Goals
from harness import parameters, wall_memory
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from test_generate_trajectory import path_of, way

from spatia_ros.action import ExportDataset, GenerateTrajectory
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.record.recording import Recording
from spatia_ros.sequence import open_sequence

RIG = """
cameras:
  - {name: front, width_px: 96, height_px: 64, hfov_deg: 60}
  - {name: side, xyz_m: [0.0, 0.1, 0.0], rpy_rad: [0, 0, 0.1], width_px: 64, height_px: 48, hfov_deg: 60}
"""


@pytest.fixture(scope="module")
def node(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    wall_memory().save(folder / "wall.spatia")
    (folder / "rig.yaml").write_text(RIG)
    settings = {"generator__name": "projection", "motion__pace": "fast", "source__memory": "wall.spatia"}
    values = parameters(**settings, rig__file="rig.yaml", data_dir=str(folder))
    made = graph.add(WorldNode(context=graph.context, namespace="/two", parameter_overrides=values))
    yield made
    graph.remove(made)


def poses_of(node, name, poses):
    camera = next(c for c in node.rig.cameras if c.name == name)
    return [node.rig.camera_of(T, camera) for T in poses]


def check(path, expected):
    sequence = open_sequence(path)
    got = [sequence.frame(i) for i in range(len(expected))]
    assert len(sequence.stamps_ns) == len(expected)
    np.testing.assert_allclose([frame.T_world_cam for frame in got], expected, atol=1e-8)
    return got


def test_every_camera_is_recorded_though_nobody_listens(graph, node):
    goals, poses = Goals(graph, GenerateTrajectory, "/two/generate_trajectory"), way(node, 4)
    assert goals.result(path=path_of(poses), record="both", seed=-1).success
    folder = node.files.root / "both"
    check(folder / "front", poses_of(node, "front", poses))
    side = check(folder / "side", poses_of(node, "side", poses))
    assert (side[0].camera.width, side[0].camera.height) == (64, 48)
    assert goals.result(path=path_of(poses), cameras=["side"], record="one", seed=-1).success
    assert len(open_sequence(node.files.root / "one").stamps_ns) == 4
    assert not (node.files.root / "one" / "front").exists()
    goals.close()


@pytest.mark.parametrize("kind", [ExportDataset.Goal.TUM, ExportDataset.Goal.MCAP])
def test_every_camera_is_in_the_data_set_once(graph, node, kind):
    goals, poses = Goals(graph, ExportDataset, "/two/export_dataset"), way(node, 5)
    goal = {"format": kind, "path": path_of(poses), "folder": f"set_{kind}", "seed": 1}
    for _ in range(2):  # the second time all of it is there
        answer = goals.result(**goal)
        assert (answer.success, answer.frames) == (True, 5), answer.message
    folder = node.files.root / goal["folder"]
    if kind == ExportDataset.Goal.TUM:
        check(folder / "front", poses_of(node, "front", poses))
        check(folder / "side", poses_of(node, "side", poses))
    else:
        with AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            counts = {c.topic: c.msgcount for c in reader.connections}
        assert (counts["/two/front/color/image_raw"], counts["/two/side/color/image_raw"], counts["/tf"]) == (5, 5, 5)
        check(folder, poses_of(node, "front", poses))
        shots = Recording(folder, "two/side")
        np.testing.assert_allclose([shot.T_world_cam for shot in shots], poses_of(node, "side", poses), atol=1e-8)
    goals.close()

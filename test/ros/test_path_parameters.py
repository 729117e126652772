"""Parameters that name files: over ROS only the data folder can be named, however unconfigured the node is."""

from __future__ import annotations

import pytest
import rclpy
from harness import parameters
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from spatia_ros.nodes.parameters import LiveSettings
from spatia_ros.nodes.settings import WorldSettings


@pytest.fixture
def node(tmp_path):
    """A node that takes every parameter, as an unconfigured one does."""
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.spatia").touch()
    (tmp_path / "data" / "out").symlink_to(tmp_path)
    context = Context()
    rclpy.init(context=context)
    started = {
        "data_dir": str(tmp_path / "data"),
        "source__memory": str(tmp_path / "mine.spatia"),
        "generator__name": "/opt/engine",
    }
    made = Node("free", context=context, parameter_overrides=parameters(**started))
    made.live = LiveSettings(made, WorldSettings, free=lambda: True)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_dir", "/"),
        ("data_dir", "."),
        ("source.memory", "/etc/passwd"),
        ("source.memory", "../secret.spatia"),
        ("source.sequence", "out"),
        ("source.place", "out/secret.spatia"),
        ("source.actors", "/dev/zero"),
        ("rig.file", "../../rig.yaml"),
        ("checkpoint.folder", "/kept"),
        ("checkpoint.folder", ".."),
        ("generator.name", "../engine"),
        ("generator.name", ".."),
        ("generator.name", "/engine"),
    ],
)
def test_nobody_reaches_out_by_a_parameter(node, name, value):
    before = node.get_parameter(name).value
    refused = node.set_parameters([Parameter(name, value=value)])[0]
    assert not refused.successful
    assert refused.reason.startswith(f"{name}: ")
    assert "expected" in refused.reason
    assert node.get_parameter(name).value == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source.memory", "wall.spatia"), ("source.memory", ""), ("source.sequence", "builtin"), ("rig.file", "rigs/robot.urdf"),
        ("checkpoint.folder", "kept"), ("generator.name", "projection"),
    ],
)  # fmt: skip
def test_what_lies_in_the_data_folder_may_be_named(node, name, value):
    assert node.set_parameters([Parameter(name, value=value)])[0].successful


def test_what_it_was_started_with_stays_allowed(node):
    """Who starts a node may name any file; going back to that is nothing new."""
    for name in ("source.memory", "generator.name", "data_dir"):
        started = node.get_parameter(name).value
        assert node.set_parameters([Parameter("camera.width_px", value=64)])[0].successful
        assert node.set_parameters([Parameter(name, value=started)])[0].successful

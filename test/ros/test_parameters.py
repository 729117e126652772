"""Settings as parameters: the shipped YAML is the defaults, values are typed and ranged, live ones take effect."""

from pathlib import Path

import pytest
import rclpy
import yaml
from harness import parameters
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from spatia_ros.config import WorldConfig
from spatia_ros.nodes.parameters import LiveSettings, leaves, nested, to_yaml
from spatia_ros.nodes.settings import MapperSettings, WorldSettings
from spatia_ros.types import SpatiaError

CONFIG = Path(__file__).resolve().parents[2] / "config"
NODES = {"world": WorldSettings, "mapper": MapperSettings}


@pytest.fixture(scope="module")
def context():
    it = Context()
    rclpy.init(context=it)
    yield it
    rclpy.shutdown(context=it)


@pytest.fixture
def make(context):
    nodes = []

    def node(model=WorldSettings, cli_args=None, **values):
        nodes.append(Node("settings", context=context, parameter_overrides=parameters(**values), cli_args=cli_args))
        return nodes[-1], LiveSettings(nodes[-1], model)

    yield node
    for it in nodes:
        it.destroy_node()


@pytest.mark.parametrize("name", NODES)
def test_the_shipped_yaml_is_the_defaults(name):
    text = (CONFIG / f"{name}.yaml").read_text()
    again = f"write it again with: python -m spatia_ros.nodes.runner {name} --write-params config/{name}.yaml"
    assert text == to_yaml(NODES[name], name), again
    assert yaml.safe_load(text)["/**"]["ros__parameters"] == nested({leaf.name: leaf.default for leaf in leaves(NODES[name])})


@pytest.mark.parametrize("name", NODES)
def test_ros_reads_the_shipped_yaml_as_the_defaults(make, name):
    _, live = make(NODES[name], cli_args=["--ros-args", "--params-file", str(CONFIG / f"{name}.yaml")])
    assert live.now == NODES[name]()


def test_the_worlds_part_is_the_worlds_config():
    assert WorldSettings().world() == WorldConfig()


def test_every_parameter_is_described_and_numbers_have_ranges(make):
    node, _ = make()
    for leaf in leaves(WorldSettings):
        told = node.describe_parameter(leaf.name)
        assert told.description, leaf.name
        assert not told.read_only
        if isinstance(leaf.default, float):
            assert told.floating_point_range, leaf.name
        elif isinstance(leaf.default, int) and not isinstance(leaf.default, bool):
            assert told.integer_range, leaf.name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frame_rate_hz": 10}, "frame_rate_hz: expected a real number with its point"),
        ({"frame_rate_hz": 0.0}, "frame_rate_hz"),
        ({"memory__voxel_m": -1.0}, r"memory.voxel_m: expected .* of 0.001..1.0"),
        ({"camera__width_px": 100_000}, r"camera.width_px: expected a whole number of 32..4096"),
        ({"frames__map_up": "sideways"}, "frames.map_up"),
        ({"frames__map_up": True}, "frames.map_up: expected a word in quotes"),
        ({"frames__camera_xyz_m": [1.0, 2.0]}, "frames.camera_xyz_m"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(make, values, message):
    with pytest.raises(SpatiaError, match=message):
        make(**values)


def test_live_parameters_take_effect_and_others_do_not(make):
    """The others may be set where the node says that it is free to take them: before it is configured."""
    node, live = make()
    assert node.set_parameters([Parameter("motion.stream", value=True)])[0].successful
    assert live.now.motion.stream
    assert not node.set_parameters([Parameter("memory.voxel_m", value=0.5)])[0].successful
    refused = node.set_parameters([Parameter("motion.twist_model", value="hover")])[0]
    assert not refused.successful
    assert "six_dof" in refused.reason
    assert (live.now.memory.voxel_m, live.now.motion.twist_model) == (0.01, "six_dof")

"""rviz configurations and Foxglove layouts: every topic they name is there, with the type they show, while nodes run."""

import json
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from harness import parameters

from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.settings import WorldSettings
from spatia_ros.nodes.world_node import WorldNode

CONFIG = Path(__file__).resolve().parents[2] / "config"
KINDS = {
    "PointCloud2": "sensor_msgs/msg/PointCloud2", "Image": "sensor_msgs/msg/Image",
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "Path": "nav_msgs/msg/Path", "Odometry": "nav_msgs/msg/Odometry", "Pose": "geometry_msgs/msg/PoseStamped",
    "SetInitialPose": "geometry_msgs/msg/PoseWithCovarianceStamped",
}  # fmt: skip
SHOWN_IN_3D = {
    "sensor_msgs/msg/PointCloud2", "nav_msgs/msg/Path", "geometry_msgs/msg/PoseStamped", "visualization_msgs/msg/MarkerArray",
}  # fmt: skip
SMALL = {"generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64}
USES = {"simulation": "spatia.rviz", "mapping": "mapping.rviz", "two_robots": "two_robots.rviz"}


@pytest.fixture(scope="module")
def topics(graph):
    """By use, the topics of its nodes and their types; those a node subscribes to, too."""
    made = {
        "simulation": [WorldNode(context=graph.context, parameter_overrides=parameters(**SMALL))],
        "mapping": [MapperNode(context=graph.context, parameter_overrides=parameters(sensor__pose_source="tracked"))],
        "two_robots": [
            WorldNode(context=graph.context, namespace=r, parameter_overrides=parameters(**SMALL, frames__prefix=f"{r}/"))
            for r in ("robot1", "robot2")
        ],
    }
    out = {}
    for use, nodes in made.items():
        for node in nodes:
            graph.add(node)
        ends = [end for node in nodes for end in (*node.publishers, *node.subscriptions)]
        out[use] = {end.topic_name: f"{end.msg_type.__module__.split('.')[0]}/msg/{end.msg_type.__name__}" for end in ends}
    return out


@pytest.mark.parametrize(("use", "file"), USES.items())
def test_rviz_shows_topics_of_their_type(topics, use, file):
    manager = yaml.safe_load((CONFIG / file).read_text())["Visualization Manager"]
    shown = [d for d in manager["Displays"] + manager["Tools"] if "Topic" in d]
    assert len(shown) >= 4
    for display in shown:
        kind = KINDS[display["Class"].split("/")[1]]
        assert topics[use].get("/" + display["Topic"]["Value"]) == kind, display.get("Name", display)
    assert manager["Global Options"]["Fixed Frame"] == WorldSettings().frames.map


def fields_of(kind):
    package, _, name = kind.split("/")
    return getattr(import_module(f"{package}.msg"), name).get_fields_and_field_types()


def named(layout):
    """``(panel, topic, field path or None)`` of everything a layout names."""
    for panel, config in layout["configById"].items():
        yield from ((panel, topic, None) for topic in config.get("topics", {}))
        mode = config.get("imageMode", {})
        yield from ((panel, mode[k], None) for k in ("imageTopic", "calibrationTopic") if k in mode)
        yield from ((panel, config[k], None) for k in ("topicName", "topicToRender", "topicPath") if k in config)
        for path in config.get("paths", []):
            topic, _, fields = path["value"].partition(".")
            yield panel, topic, fields


@pytest.mark.parametrize("use", USES)
def test_foxglove_shows_topics_of_their_type(topics, use):
    layout = json.loads((CONFIG / "foxglove" / f"{use}.json").read_text())
    entries = list(named(layout))
    assert len(entries) >= 6
    for panel, topic, fields in entries:
        kind = topics[use].get(topic)
        assert kind, f"{panel}: {topic}"
        if panel.startswith("3D!"):
            assert kind in SHOWN_IN_3D
        if panel.startswith("Image!"):
            assert kind in ("sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo")
        if fields:
            assert fields in fields_of(kind), f"{panel}: {topic}.{fields}"
        config = layout["configById"][panel]
        assert config.get("datatype", kind) == kind
        if "value" in config:
            assert set(json.loads(config["value"])) <= set(fields_of(kind))


@pytest.mark.parametrize("use", USES)
def test_a_layout_has_a_place_for_every_panel(use):
    layout = json.loads((CONFIG / "foxglove" / f"{use}.json").read_text())

    def panels(node):
        return [node] if isinstance(node, str) else panels(node["first"]) + panels(node["second"])

    assert sorted(panels(layout["layout"])) == sorted(layout["configById"])

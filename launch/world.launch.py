"""A world to simulate in: commands in, what a camera sees there out; rviz beside it if wanted.

    ros2 launch spatia_ros world.launch.py sequence:=/data/lounge map_up:=y rviz:=true
    ros2 launch spatia_ros world.launch.py --show-args

Without ROS's ``launch``: ``spatia ros world --sequence /data/lounge --set frames.map_up=y``.
"""

from launch import LaunchContext, LaunchDescription
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from spatia_ros.nodes.launching import COMMON, CONFIG, NODE, SOURCE, described, node, rviz

ARGUMENTS = {
    "params": (str(CONFIG / "world.yaml"), "parameter file (YAML) of the world node"),
    **NODE, **SOURCE, **COMMON,
    "checkpoint": ("", "folder in data_dir where the state is kept, and gone on with when the node is started again"),
    "camera": ("", "camera name: first part of its topics and frames"),
}  # fmt: skip


def nodes(context: LaunchContext) -> list[Node]:
    """The world, and its displays."""
    return [node(context, "world", ARGUMENTS), rviz("spatia.rviz", namespace=LaunchConfiguration("namespace"))]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    return described(ARGUMENTS, nodes)

"""A memory built from a real RGB-D camera, or from another simulator.

    ros2 launch spatia_ros mapper.launch.py device:=realsense pose_source:=tracked rviz:=true
    ros2 launch spatia_ros mapper.launch.py color:=/d435/color/image_raw depth:=... camera_info:=...

Without ROS's ``launch``: ``spatia ros mapper --device realsense --set sensor.pose_source=tracked``.
"""

from launch import LaunchContext, LaunchDescription
from launch_ros.actions import Node

from spatia_ros.nodes.launching import COMMON, CONFIG, NODE, described, node, rviz
from spatia_ros.nodes.launching_sensor import SENSOR, remappings

ARGUMENTS = {
    "params": (str(CONFIG / "mapper.yaml"), "parameter file (YAML) of the mapper node"),
    **NODE, **SENSOR, **COMMON,
}  # fmt: skip


def nodes(context: LaunchContext) -> list[Node]:
    """The mapper, and its displays."""
    topics = remappings(context)
    return [node(context, "mapper", ARGUMENTS, remappings=topics), rviz("mapping.rviz", remappings=topics)]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    return described(ARGUMENTS, nodes)

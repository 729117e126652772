"""Two robots in the same place: two world nodes that start from one memory, each in its namespace, with its own frames.

    ros2 launch spatia_ros two_robots.launch.py memory:=/data/house.spatia rviz:=true

A world has one rig. So each robot has a world of its own: both begin with the same memory, and what one of them invents
later, the other does not know. Their frames are robot1/odom ... under one map, on one /tf.

Without ROS's ``launch``, in two terminals: ``spatia ros world --memory /data/house.spatia --robot robot1`` (and robot2).
"""

from launch import LaunchContext, LaunchDescription
from launch_ros.actions import Node

from spatia_ros.nodes.launching import COMMON, CONFIG, NODE, SOURCE, described, node, rviz

ROBOTS = ("robot1", "robot2")
ARGUMENTS = {
    "params": (str(CONFIG / "world.yaml"), "parameter file (YAML) of both world nodes"),
    **{name: entry for name, entry in (NODE | SOURCE | COMMON).items() if name != "namespace"},
}


def nodes(context: LaunchContext) -> list[Node]:
    """The two worlds, and one rviz that shows both."""
    worlds = [node(context, "world", ARGUMENTS, namespace=robot, parameters={"frames.prefix": f"{robot}/"}) for robot in ROBOTS]
    return [*worlds, rviz("two_robots.rviz")]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    return described(ARGUMENTS, nodes)

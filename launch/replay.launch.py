"""A recorded bag played into the mapper, on the bag's own clock.

    ros2 launch spatia_ros replay.launch.py bag:=/data/lounge_bag device:=realsense pose_source:=tracked

Without ROS's ``launch``, in two terminals: ``spatia ros mapper --set use_sim_time=true`` and ``spatia ros play BAG --clock 100``.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import ExecuteProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from spatia_ros.nodes.launching import COMMON, CONFIG, NODE, described, node, rviz
from spatia_ros.nodes.launching_sensor import SENSOR, remappings

ARGUMENTS = {
    "params": (str(CONFIG / "mapper.yaml"), "parameter file (YAML) of the mapper node"),
    "bag": ("", "the recording: a rosbag2 folder or an .mcap file"),
    "rate": ("1.0", "how fast it is played"),
    **NODE, **SENSOR, **COMMON,
    "use_sim_time": ("true", "take the time from the bag's clock"),
}  # fmt: skip


def nodes(context: LaunchContext) -> list[Node]:
    """The mapper, the player, and displays."""
    bag = LaunchConfiguration("bag").perform(context)
    if not bag:
        raise ValueError("bag: expected a recording, got none: bag:=/data/my_bag")
    play = ["ros2", "bag", "play", bag, "--clock", "100", "--rate", LaunchConfiguration("rate")]
    topics = remappings(context)
    mapper = node(context, "mapper", ARGUMENTS, remappings=topics)
    return [mapper, ExecuteProcess(cmd=play, output="screen"), rviz("mapping.rviz", remappings=topics)]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    return described(ARGUMENTS, nodes)

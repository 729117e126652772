"""The world node, and rviz beside it if wanted.

    ros2 launch spatia_ros world.launch.py sequence:=/data/lounge map_up:=y rviz:=true
    ros2 launch spatia_ros world.launch.py --show-args

For ROS installations that have ``launch``; elsewhere: ``python -m spatia_ros.nodes.runner world``.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from spatia_ros.nodes.environment import ros_environment

CONFIG = Path(get_package_share_directory("spatia_ros")) / "config"

ARGUMENTS = {
    "params": (str(CONFIG / "world.yaml"), "parameter file (YAML) of the world node"),
    "namespace": ("", "namespace of the node; two of them run side by side"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "rviz": ("false", "start rviz2 with this package's displays"),
}
PARAMETERS = {
    "sequence": ("source.sequence", "recording to seed the memory from: TUM RGB-D folder, rosbag2, MCAP, or builtin"),
    "memory": ("source.memory", "memory file to start from instead"),
    "actors": ("source.actors", "what moves there: a script of actors (YAML) or a saved cast"),
    "data_dir": ("data_dir", "folder of all files named in service calls"),
    "map_up": ("frames.map_up", "axis of the recording that points up: z, y or -y"),
    "camera": ("frames.camera", "camera name: first part of its topics and frames"),
}
"""Arguments that set one parameter each; left empty, the parameter file decides."""


def nodes(context: LaunchContext) -> list[Node]:
    """The world node with what was given on the command line over its parameter file."""
    given = {argument: LaunchConfiguration(argument).perform(context) for argument in PARAMETERS}
    # As words: launch would take a bare y for true.
    words = {PARAMETERS[name][0]: ParameterValue(value, value_type=str) for name, value in given.items() if value}
    use_sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    world = Node(
        package="spatia_ros",
        executable="world",
        name="world",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params"), {**words, "use_sim_time": use_sim_time}],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", str(CONFIG / "spatia.rviz")],
        parameters=[{"use_sim_time": use_sim_time}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return [world, rviz]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    environment = {name: value for name, value in ros_environment(os.environ).items() if os.environ.get(name) != value}
    arguments = {**ARGUMENTS, **{name: ("", text) for name, (_, text) in PARAMETERS.items()}}
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value=value, description=text) for name, (value, text) in arguments.items()),
            *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
            OpaqueFunction(function=nodes),
        ]
    )

"""What the files in ``launch/`` share. It needs ROS's ``launch``, and only those files import it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from spatia_ros.nodes.environment import ros_environment

CONFIG = Path(get_package_share_directory("spatia_ros")) / "config"
Arguments = Mapping[str, tuple[str, str]]
"""Launch arguments: default and description."""

COMMON = {
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "respawn": ("true", "start a node again two seconds after it ended without being asked to"),
    "rviz": ("false", "start rviz2 with this package's displays"),
}
NODE = {
    "namespace": ("", "namespace of the node; several run side by side"),
    "autostart": ("true", "configure and activate the node by itself; false: wait for a lifecycle manager"),
    "data_dir": ("", "folder of all files named in service calls (default: where it was started)"),
}
SOURCE = {
    "sequence": ("", "recording to seed the memory from: TUM RGB-D folder, rosbag2, MCAP, or builtin"),
    "memory": ("", "memory file to start from instead"),
    "actors": ("", "what moves there: a script of actors (YAML) or a saved cast"),
    "map_up": ("", "axis of the recording that points up: z, y or -y"),
    "rig": ("", "the cameras: a rig file (YAML) or a URDF"),
}
WORDS = {
    "sequence": "source.sequence", "memory": "source.memory", "actors": "source.actors", "map_up": "frames.map_up",
    "camera": "frames.camera", "checkpoint": "checkpoint.folder", "data_dir": "data_dir",
    "pose_source": "sensor.pose_source", "world": "sensor.world",
}  # fmt: skip
"""Arguments that set one parameter each; left empty, the parameter file decides."""
DELAY_S = 2.0


def described(arguments: Arguments, nodes: Callable[[LaunchContext], list[Any]]) -> LaunchDescription:
    """A launch file: its arguments, the environment that images need, and the nodes made once arguments are known."""
    environment = {name: value for name, value in ros_environment(os.environ).items() if os.environ.get(name) != value}
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value=value, description=text) for name, (value, text) in arguments.items()),
            *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
            OpaqueFunction(function=nodes),
        ]
    )


def truth(name: str) -> ParameterValue:
    """An argument as a truth value."""
    return ParameterValue(LaunchConfiguration(name), value_type=bool)


def node(context: LaunchContext, program: str, arguments: Arguments, **more: Any) -> Node:
    """A node of ours with what was given on the command line over its parameter file.

    Args:
        program: world or mapper. arguments: of the launch file. more: ``parameters`` and ``remappings`` beside
            those, ``namespace``, and whatever else ``Node`` takes.
    """
    given = {name: LaunchConfiguration(name).perform(context) for name in WORDS if name in arguments}
    # As words: launch would take a bare y for true.
    words = {WORDS[name]: ParameterValue(value, value_type=str) for name, value in given.items() if value}
    settings = words | {name: truth(name) for name in ("use_sim_time", "autostart") if name in arguments}
    values = {
        "namespace": LaunchConfiguration("namespace"), "ros_arguments": ["--log-level", LaunchConfiguration("log_level")],
        "respawn": LaunchConfiguration("respawn"), "respawn_delay": DELAY_S, "output": "screen", **more,
    }  # fmt: skip
    values["parameters"] = [LaunchConfiguration("params"), settings | more.get("parameters", {})]
    return Node(package="spatia_ros", executable=program, name=program, **values)


def rviz(config: str, **more: Any) -> Node:
    """rviz2 with one of our configurations, where the argument ``rviz`` says so; ``more`` is whatever else ``Node`` takes."""
    return Node(
        package="rviz2", executable="rviz2", arguments=["-d", str(CONFIG / config)],
        parameters=[{"use_sim_time": truth("use_sim_time")}], condition=IfCondition(LaunchConfiguration("rviz")), **more,
    )  # fmt: skip

"""The mapper node: RGB-D topics of a camera or another simulator in, a memory out.

    ros2 launch spatia_ros mapper.launch.py color:=/d435/color/image_raw depth:=/d435/aligned_depth_to_color/image_raw \\
        camera_info:=/d435/color/camera_info

For ROS installations that have ``launch``; elsewhere: ``python -m spatia_ros.nodes.runner mapper``.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from spatia_ros.nodes.environment import ros_environment

CONFIG = Path(get_package_share_directory("spatia_ros")) / "config"

ARGUMENTS = {
    "params": (str(CONFIG / "mapper.yaml"), "parameter file (YAML) of the mapper node"),
    "namespace": ("", "namespace of the node"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "color": ("color/image_raw", "topic of the colour images"),
    "depth": ("depth/image_rect", "topic of the depth images, registered to colour"),
    "camera_info": ("color/camera_info", "topic of the colour camera's calibration"),
    "odom": ("odom", "topic of the odometry, where sensor.pose_source is odom"),
}
PARAMETERS = {
    "data_dir": ("data_dir", "folder of all files named in service calls"),
    "pose_source": ("sensor.pose_source", "tf or odom"),
    "world": ("sensor.world", "frame the memory is built in"),
}
"""Arguments that set one parameter each; left empty, the parameter file decides."""


def nodes(context: LaunchContext) -> list[Node]:
    """The mapper node with what was given on the command line over its parameter file."""
    given = {argument: LaunchConfiguration(argument).perform(context) for argument in PARAMETERS}
    words = {PARAMETERS[name][0]: ParameterValue(value, value_type=str) for name, value in given.items() if value}
    use_sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    topics = {"color": "color/image_raw", "depth": "depth/image_rect", "camera_info": "color/camera_info", "odom": "odom"}
    mapper = Node(
        package="spatia_ros",
        executable="mapper",
        name="mapper",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params"), {**words, "use_sim_time": use_sim_time}],
        remappings=[(topic, LaunchConfiguration(argument)) for argument, topic in topics.items()],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return [mapper]


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

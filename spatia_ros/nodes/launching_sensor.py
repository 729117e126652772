"""Arguments of the launch files that map a camera: where its topics are."""

from __future__ import annotations

from launch import LaunchContext
from launch.substitutions import LaunchConfiguration

from spatia_ros.cli.camera_topics import DEVICES

TOPICS = {"color": "color/image_raw", "depth": "depth/image_rect", "camera_info": "color/camera_info", "odom": "odom"}
"""By argument, what the mapper subscribes to."""
SENSOR = {
    "device": ("", f"a camera whose driver's own topic names are taken: {', '.join(DEVICES)}"),
    "color": ("", "topic of the colour images"),
    "depth": ("", "topic of the depth images, registered to colour"),
    "camera_info": ("", "topic of the colour camera's calibration"),
    "odom": ("", "topic of the odometry, where pose_source is odom"),
    "pose_source": ("", "tf, odom or tracked"),
    "world": ("", "frame the memory is built in"),
}


def remappings(context: LaunchContext) -> list[tuple[str, str]]:
    """The device's names, and over them those that were given.

    Raises:
        ValueError: on a device that is not in the table.
    """
    device = LaunchConfiguration("device").perform(context)
    if device and device not in DEVICES:
        raise ValueError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    names = DEVICES[device].remappings() if device else {}
    given = {topic: LaunchConfiguration(argument).perform(context) for argument, topic in TOPICS.items()}
    return list((names | {topic: name for topic, name in given.items() if name}).items())

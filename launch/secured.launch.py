"""A world that only those with keys may talk to (SROS2), in the enclave /spatia/world; rviz in /spatia/viewer.

    ros2 launch spatia_ros secured.launch.py keystore:=/keys/spatia sequence:=/data/lounge

The keystore is made of ``config/sros2/policies.xml`` (docs/security.md says how). Everybody else who is to be heard needs an
enclave of it, too. Without ROS's ``launch``: set the three variables below and
``spatia ros world --sequence /data/lounge --ros-args --enclave /spatia/world``.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration

from spatia_ros.nodes.launching import COMMON, CONFIG, NODE, SOURCE, described, node, rviz

ARGUMENTS = {
    "params": (str(CONFIG / "world.yaml"), "parameter file (YAML) of the world node"),
    "keystore": ("", "folder of keys and permissions"),
    **NODE, **SOURCE, **COMMON,
    "checkpoint": ("", "folder in data_dir where the state is kept, and gone on with when the node is started again"),
}  # fmt: skip


def nodes(context: LaunchContext) -> list[object]:
    """The environment that makes ROS refuse whoever has no keys, then the world and its displays."""
    keystore = LaunchConfiguration("keystore").perform(context)
    if not (Path(keystore) / "enclaves" / "spatia" / "world").is_dir():
        raise ValueError(f"keystore: expected a folder with enclaves/spatia/world (docs/security.md), got {keystore!r}")
    secured = {"ROS_SECURITY_KEYSTORE": keystore, "ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    level = ["--log-level", LaunchConfiguration("log_level")]
    return [
        *(SetEnvironmentVariable(name, value) for name, value in secured.items()),
        node(context, "world", ARGUMENTS, ros_arguments=["--enclave", "/spatia/world", *level]),
        rviz("spatia.rviz", namespace=LaunchConfiguration("namespace"), ros_arguments=["--enclave", "/spatia/viewer"]),
    ]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    return described(ARGUMENTS, nodes)

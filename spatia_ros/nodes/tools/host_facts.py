"""What ROS there is on this machine, as one line of JSON: for ``spatia doctor``, which imports no ROS itself.

    python -m spatia_ros.nodes.tools.host_facts                 # what is installed, and the environment in force
    python -m spatia_ros.nodes.tools.host_facts tidy            # remove what killed processes left in shared memory
    python -m spatia_ros.nodes.tools.host_facts loopback        # images from another process for a second: which arrive

Whatever is missing is a value in the answer and never an error: that is what it is for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from spatia_ros.nodes import environment
from spatia_ros.nodes.shared_memory import remove_left_over

IMAGES, RATE_HZ, SIZE = 30, 30.0, (640, 480)
PATIENCE_S = 10.0
"""How long the two processes may take to find each other."""
MESSAGES = (
    "builtin_interfaces", "std_msgs", "geometry_msgs", "sensor_msgs", "nav_msgs", "tf2_msgs", "visualization_msgs",
    "diagnostic_msgs", "lifecycle_msgs", "rosgraph_msgs", "rcl_interfaces", "std_srvs", "simulation_interfaces", "spatia_ros",
)  # fmt: skip
"""The packages whose messages the nodes speak."""
IN_FORCE = (
    "ROS_DISTRO",
    "ROS_DOMAIN_ID",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_LOCALHOST_ONLY",
    "ROS_STATIC_PEERS",
    "RMW_IMPLEMENTATION",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_DEFAULT_PROFILES_FILE",
)


def facts() -> dict[str, Any]:
    """What a program in this environment finds."""
    rclpy, error = imported("rclpy")
    return {
        "rclpy": version("rclpy") if rclpy else None,
        "error": error,
        "wheels": environment.runs_on_wheels(),
        "rmw": rclpy.get_rmw_implementation_identifier() if rclpy else None,
        "environment": {name: os.environ[name] for name in IN_FORCE if name in os.environ},
        "packages": {name: package(name) for name in MESSAGES},
        "left_over_bytes": remove_left_over(look_only=True),
        "optional": {name: find_spec(name) is not None for name in ("cv_bridge", "launch_ros", "rosbag2_py", "tf2_ros")},
    }


def imported(name: str) -> tuple[Any, str]:
    """A module, or why it cannot be imported."""
    try:
        return import_module(name), ""
    except Exception as error:  # a compiled module of another ROS fails in ways of its own
        return None, f"{type(error).__name__}: {error}"


def share(package: str) -> Path | None:
    """The share folder of an installed package."""
    prefixes = (Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p)
    return next((p / "share" / package for p in prefixes if (p / "share" / package / "package.xml").is_file()), None)


def version(package: str) -> str | None:
    """The version in a package's own package.xml."""
    folder = share(package)
    return ElementTree.parse(folder / "package.xml").findtext("version") if folder else None


def package(name: str) -> dict[str, Any]:
    """A message package: whether it loads, its version and maintainer, and the hashes of its types (none before Iron)."""
    folder = share(name)
    kinds = [kind for kind in ("msg", "srv", "action") if folder and (folder / kind).is_dir()]
    error = next((text for kind in kinds or ["msg"] if (text := imported(f"{name}.{kind}")[1])), "")
    out: dict[str, Any] = {"version": version(name), "error": error, "hashes": {}, "definitions": {}, "maintainer": ""}
    if folder is None:
        return out
    out["maintainer"] = next((m.get("email", "") for m in ElementTree.parse(folder / "package.xml").iter("maintainer")), "")
    for kind in kinds:
        for file in sorted((folder / kind).glob("*.json")):
            own = f"{name}/{kind}/{file.stem}"
            hashes = {h["type_name"]: h["hash_string"] for h in json.loads(file.read_text())["type_hashes"]}
            out["hashes"][own] = hashes.get(own, "")
        if name == "spatia_ros":
            out["definitions"] |= {f"{kind}/{file.name}": file.read_text() for file in sorted((folder / kind).glob(f"*.{kind}"))}
    return out


def loopback() -> dict[str, Any]:
    """Have another process send images for a second; returns how many came, and how long they took."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    topic = f"spatia_doctor_{os.getpid()}/image_raw"
    taken_ms: dict[int, float] = {}

    def on_image(msg: Image) -> None:
        number, sent_ns = map(int, msg.header.frame_id.split())
        taken_ms[number] = (time.monotonic_ns() - sent_ns) * 1e-6

    rclpy.init()
    node = rclpy.create_node("spatia_doctor")
    node.create_subscription(Image, topic, on_image, qos_profile_sensor_data)
    camera = subprocess.Popen([sys.executable, "-m", __spec__.name, "send", topic], stderr=subprocess.PIPE)
    try:
        while camera.poll() is None:
            rclpy.spin_once(node, timeout_sec=0.1)
        until = time.monotonic() + 1.0
        while len(taken_ms) < IMAGES and time.monotonic() < until:
            rclpy.spin_once(node, timeout_sec=0.1)
        error = "" if camera.returncode == 0 else camera.communicate()[1].decode(errors="replace").strip()[-500:]
    finally:
        camera.kill()
        camera.wait()
    node.destroy_node()
    rclpy.try_shutdown()
    return {"sent": IMAGES, "arrived": len(taken_ms), "taken_ms": sorted(taken_ms.values()), "error": error}


def send(topic: str) -> None:
    """The other process: a camera of random pixels."""
    import numpy as np
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("spatia_doctor_camera")
    out = node.create_publisher(Image, topic, QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT))
    until = time.monotonic() + PATIENCE_S
    while out.get_subscription_count() == 0:
        if time.monotonic() > until:
            raise SystemExit(f"the two processes did not find each other within {PATIENCE_S:g} s")
        time.sleep(0.05)
    time.sleep(0.5)  # the other side must have found this one, too
    width, height = SIZE
    pixels = np.random.default_rng(0).integers(0, 256, width * height * 3, np.uint8)
    start = time.monotonic()
    for i in range(IMAGES):
        msg = Image(width=width, height=height, encoding="rgb8", step=3 * width)
        msg.header.frame_id = f"{i} {time.monotonic_ns()}"
        msg.data.frombytes(pixels)
        out.publish(msg)
        time.sleep(max(0.0, start + (i + 1) / RATE_HZ - time.monotonic()))
    time.sleep(0.3)
    rclpy.try_shutdown()


def main(arguments: Sequence[str]) -> int:
    """The program."""
    environment.enter()
    if arguments[:1] == ["send"]:
        send(arguments[1])
        return 0
    programs = {"loopback": loopback, "tidy": lambda: {"removed_bytes": remove_left_over()}}
    answer = programs.get(next(iter(arguments), ""), facts)()
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

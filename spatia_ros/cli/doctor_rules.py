"""What a host's facts mean: pure functions from :class:`~.doctor_host.Host` to findings, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from spatia_ros.cli.doctor_host import Disk, Host

Level = Literal["ok", "warn", "fail"]
MB, GB = 1 << 20, 1 << 30
SUPPORTED = ((3, 10), (3, 11), (3, 12))
IMAGE_BYTES = 1280 * 720 * 3
"""The largest colour image that the figures speak of; a message must hold it, a segment two of them."""
PROCESSES = 3
"""World, recorder and a viewer: every one takes its whole segment out of shared memory."""
TESTED, SHARED_API = "jazzy", ("jazzy", "humble", "kilted")
SAFE_DOMAIN, LAST_DOMAIN = 101, 232
"""Above the first, discovery ports fall into the range Linux gives to other programs."""
LATE_MS = 33.0
SHELL = 'eval "$(python -m spatia_ros.nodes.environment)"'
ON_THE_WIRE = {
    "builtin_interfaces/msg/Time": "b106235e25a4c5ed35098aa0a61a3ee9c9b18d197f398b0e4206cea9acf9c197",
    "sensor_msgs/msg/Image": "d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    "tf2_msgs/msg/TFMessage": "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
}
"""Type hashes in ROS 2 Jazzy: programs whose types hash otherwise do not hear each other."""


class Finding(NamedTuple):
    """One line: what was looked at, how it is, what that means, and what to do (empty: nothing)."""

    group: str
    name: str
    level: Level
    text: str
    do: str = ""


def findings(host: Host) -> list[Finding]:
    """Everything there is to say about a host, in the order it is read."""
    rules = (machine, ros, discovery, transport, messages, network, storage, optional)
    return [finding for rule in rules for finding in rule(host)]


def machine(host: Host) -> Iterator[Finding]:
    """Python and the computer."""
    version = ".".join(map(str, host.python))
    good = host.python[:2] in SUPPORTED
    yield Finding(
        "host",
        "Python",
        "ok" if good else "fail",
        version,
        "" if good else "expected 3.10, 3.11 or 3.12: sudo apt install python3.12, then make PYTHON=python3.12",
    )
    few = host.cores < 2 or host.memory_bytes < 3 * GB
    text = f"{host.machine}, {host.cores} cores, {host.memory_bytes / GB:.0f} GB of memory"
    yield Finding(
        "host",
        "computer",
        "warn" if few else "ok",
        text,
        "figures are from 2 cores, and a world takes 1 to 2 GB: choose smaller frames and larger voxels" if few else "",
    )


def ros(host: Host) -> Iterator[Finding]:
    """Which ROS there is."""
    if not host.ros.get("rclpy"):
        error = host.ros.get("error") or "rclpy is not installed"
        yield Finding(
            "ROS 2", "rclpy", "fail", error, "make set-up-run, or source an installed ROS and make again (docs/install.md)"
        )
        return
    distro = host.environ.get("ROS_DISTRO", "")
    if host.ros.get("wheels"):
        yield Finding("ROS 2", "rclpy", "ok", f"{host.ros['rclpy']}, Jazzy as wheels in this environment")
    else:
        known = distro in SHARED_API
        text = f"{host.ros['rclpy']}, installed ROS {distro or 'of unknown name'}"
        do = "" if known else f"the tests run on {TESTED}; expected one of {', '.join(SHARED_API)}: source its setup.bash"
        yield Finding("ROS 2", "rclpy", "ok" if known else "warn", text, do)
    rmw = str(host.ros.get("rmw"))
    fast = rmw.startswith("rmw_fastrtps")
    yield Finding(
        "ROS 2",
        "middleware",
        "ok" if fast else "warn",
        rmw,
        "" if fast else "not tried here, and our Fast DDS profile means nothing to it: see that its messages may be 16 MB",
    )


def discovery(host: Host) -> Iterator[Finding]:
    """Whom programs find."""
    text = host.environ.get("ROS_DOMAIN_ID", "") or "0"
    number = int(text) if text.isdigit() else -1
    if not 0 <= number <= LAST_DOMAIN:
        yield Finding("ROS 2", "ROS_DOMAIN_ID", "fail", text, f"expected a number from 0 to {SAFE_DOMAIN}")
    elif number > SAFE_DOMAIN:
        do = f"its ports may be taken by other programs: choose one from 0 to {SAFE_DOMAIN}"
        yield Finding("ROS 2", "ROS_DOMAIN_ID", "warn", text, do)
    else:
        yield Finding("ROS 2", "ROS_DOMAIN_ID", "ok", text + ("" if number else " (the default, which many share)"))
    scope = host.ros.get("environment", {}).get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    if scope == "OFF":
        yield Finding("ROS 2", "discovery", "fail", "OFF", "no process finds another: unset ROS_AUTOMATIC_DISCOVERY_RANGE")
    elif host.environ.get("ROS_LOCALHOST_ONLY") == "1":
        yield Finding(
            "ROS 2", "discovery", "warn", "ROS_LOCALHOST_ONLY=1", "it is deprecated, and overrides the profile: unset it"
        )
    else:
        here = host.profile is not None and host.profile.loopback_only
        yield Finding(
            "ROS 2",
            "discovery",
            "ok",
            f"{scope}, "
            + ("this machine only (docs/install.md says how to reach others)" if here else "other machines are found, too"),
        )


def transport(host: Host) -> Iterator[Finding]:
    """Whether images get from one process to another."""
    yield profile(host)
    yield shared_memory(host)
    if left := host.ros.get("left_over_bytes"):
        text = f"{left / MB:.0f} MB left in /dev/shm by processes that were killed"
        yield Finding("transport", "left over", "warn", text, "spatia doctor --fix removes it")
    if host.ros.get("rclpy"):
        yield arrival(host)


def profile(host: Host) -> Finding:
    """The Fast DDS profile in force for our programs."""
    seen = host.profile
    if seen is None:
        return Finding("transport", "DDS profile", "fail", "none", f"images between processes are mostly lost without: {SHELL}")
    if seen.error:
        return Finding(
            "transport", "DDS profile", "fail", seen.error, "unset FASTRTPS_DEFAULT_PROFILES_FILE, or name one that is there"
        )
    segment, message = seen.segment_bytes or MB // 2, seen.message_bytes or 64 << 10
    text = f"{seen.path}: segment {segment / MB:g} MB, messages to {message / MB:g} MB"
    if message < IMAGE_BYTES or segment < 2 * IMAGE_BYTES:
        do = f"images of {IMAGE_BYTES / MB:.1f} MB will be lost: unset FASTRTPS_DEFAULT_PROFILES_FILE to use ours"
        return Finding("transport", "DDS profile", "warn", text, do)
    own = host.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE") == seen.path
    return Finding("transport", "DDS profile", "ok", text + ("" if own else f"; for other programs in this shell: {SHELL}"))


def shared_memory(host: Host) -> Finding:
    """``/dev/shm`` against what the profile takes of it."""
    segment = (host.profile.segment_bytes if host.profile else None) or MB // 2
    text = f"{host.shm.free_bytes / MB:.0f} of {host.shm_bytes / MB:.0f} MB free; each process takes {segment / MB:g}"
    larger = "in a container: docker run --shm-size=256m (or --ipc=host); else sudo mount -o remount,size=256m /dev/shm"
    if host.shm.free_bytes < 2 * segment:
        return Finding("transport", "/dev/shm", "fail", text, f"two processes cannot share images: {larger}")
    if host.shm.free_bytes < PROCESSES * segment:
        return Finding("transport", "/dev/shm", "warn", text, f"room for two processes and no third: {larger}")
    return Finding("transport", "/dev/shm", "ok", text)


def arrival(host: Host) -> Finding:
    """The images that really went from one process to another."""
    if host.loopback is None:
        return Finding("transport", "images", "warn", "not tried", "leave out --no-loopback")
    if error := host.loopback.get("error"):
        return Finding("transport", "images", "fail", str(error), "is a discovery range, a firewall or a profile in the way?")
    sent, came, taken = host.loopback["sent"], host.loopback["arrived"], host.loopback["taken_ms"]
    text = f"{came} of {sent} arrived (640x480 at 30 Hz, best effort, between two processes)"
    text += f", median {taken[len(taken) // 2]:.1f} ms" if taken else ""
    if came < 0.9 * sent:
        return Finding("transport", "images", "fail", text, "see the DDS profile and /dev/shm above")
    if came < sent or taken[len(taken) // 2] > LATE_MS:
        return Finding("transport", "images", "warn", text, "is the machine busy with something else?")
    return Finding("transport", "images", "ok", text)


def messages(host: Host) -> Iterator[Finding]:
    """The message packages: there, loading, and the same types as everyone's."""
    packages = host.ros.get("packages", {})
    if not packages:
        return
    broken = {name: p["error"] for name, p in packages.items() if p["error"]}
    for name, error in broken.items():
        do = (
            "make set-up-run"
            if host.ros.get("wheels")
            else f"sudo apt install ros-$ROS_DISTRO-{name.replace('_', '-')}, or make set-up-run"
        )
        yield Finding("messages", name, "fail", error, do)
    good = len(packages) - len(broken)
    yield Finding("messages", "packages", "ok" if not broken else "warn", f"{good} of {len(packages)} load")
    hashes = {kind: text.removeprefix("RIHS01_") for p in packages.values() for kind, text in p["hashes"].items()}
    if not hashes:
        yield Finding("messages", "type hashes", "ok", "none: this ROS is older than type hashes (Iron)")
    elif other := [kind for kind, known in ON_THE_WIRE.items() if hashes.get(kind, known) != known]:
        yield Finding(
            "messages",
            "type hashes",
            "warn",
            f"not Jazzy's: {', '.join(other)}",
            "programs of another ROS will not hear these topics",
        )
    else:
        yield Finding("messages", "type hashes", "ok", f"{len(hashes)} types; those that were looked up are Jazzy's")
    yield from own_messages(host)
    yield from simulation_interfaces(host)


def own_messages(host: Host) -> Iterator[Finding]:
    """Whether the compiled messages are those of the checkout."""
    built = host.ros["packages"].get("spatia_ros", {}).get("definitions", {})
    stale = sorted(n for n, text in host.definitions.items() if fields(built.get(n, "")) != fields(text)) if built else []
    if stale:
        shown = ", ".join(stale[:3]) + (f" and {len(stale) - 3} more" if len(stale) > 3 else "")
        yield Finding(
            "messages",
            "spatia_ros",
            "fail",
            f"compiled from other definitions than msg/, srv/, action/: {shown}",
            "make set-up-run (or colcon build)",
        )
    elif built:
        yield Finding(
            "messages", "spatia_ros", "ok", f"{len(built)} definitions" + (", those of the checkout" if host.definitions else "")
        )


def fields(definition: str) -> list[str]:
    """What of a definition makes the type: without comments and spaces."""
    lines = (" ".join(line.split("#")[0].split()) for line in definition.splitlines())
    return [line for line in lines if line]


def simulation_interfaces(host: Host) -> Iterator[Finding]:
    """The standard's own package, or the one we build where it is missing."""
    package = host.ros["packages"].get("simulation_interfaces", {})
    if package.get("version"):
        stand_in = "spatia-ros" in package["maintainer"]
        what = "built here with the official names, types and fields" if stand_in else "installed"
        yield Finding("messages", "simulation_interfaces", "ok", f"{package['version']}, {what}")


def network(host: Host) -> Iterator[Finding]:
    """What the generator runs on."""
    yield from gpu(host)
    if host.providers:
        yield Finding("generator", "ONNX Runtime", "ok", ", ".join(host.providers))
    else:
        yield Finding(
            "generator", "ONNX Runtime", "fail", "not installed", "pip install -r requirements/runtime.txt (make does it)"
        )
    if not host.engines:
        yield Finding(
            "generator",
            "weights",
            "fail",
            "no engine",
            "git lfs is not used: clone again; --set generator.name=projection does without",
        )
    for name, wrong in host.engines.items():
        restore = f"git checkout -- engines/{name}"
        yield Finding(
            "generator",
            f"weights {name}",
            "fail" if wrong else "ok",
            wrong or "every file has the hash of its manifest",
            restore if wrong else "",
        )


def gpu(host: Host) -> Iterator[Finding]:
    """GPU, CUDA and TensorRT."""
    if not host.gpus and not host.jetson:
        yield Finding("generator", "GPU", "ok", "none: the CPU does everything (docs/benchmarks.md has its figures)")
        return
    yield Finding("generator", "GPU", "ok", "; ".join(host.gpus) or host.jetson)
    if host.cuda is None:
        yield Finding(
            "generator", "CUDA", "warn", "torch is not installed, so the GPU is not used", "pip install -r requirements/train.txt"
        )
    elif not host.cuda:
        text = f"torch {host.packages.get('torch', '')} sees no CUDA device"
        yield Finding("generator", "CUDA", "warn", text, "install a CUDA build of torch (pytorch.org), and a driver that fits it")
    else:
        yield Finding("generator", "CUDA", "ok", f"torch {host.packages.get('torch', '')}")
    if "tensorrt" not in host.packages:
        yield Finding("generator", "TensorRT", "ok", "not installed: torch runs the networks (docs/engines.md)")
        return
    unbuilt = [name for name, there in host.built.items() if not there]
    yield Finding(
        "generator",
        "TensorRT",
        "warn" if unbuilt else "ok",
        host.packages["tensorrt"],
        f"no engines built for this GPU: spatia build-engine {unbuilt[0]}" if unbuilt else "",
    )


def storage(host: Host) -> Iterator[Finding]:
    """Room for what is written."""
    for what, place in host.disks.items():
        yield room(what, place)


def room(what: str, place: Disk) -> Finding:
    """One folder."""
    text = f"{place.path}: {place.free_bytes / GB:.1f} GB free"
    if not place.writable:
        return Finding("storage", what, "fail", f"{place.path} cannot be written to", "choose another, or change its owner")
    if place.free_bytes < 200 * MB:
        return Finding("storage", what, "fail", text, "make room: a memory is saved beside the old one before it takes its place")
    if place.free_bytes < 2 * GB:
        return Finding("storage", what, "warn", text, "a recording of all topics takes 10 to 100 MB a minute")
    return Finding("storage", what, "ok", text)


def optional(host: Host) -> Iterator[Finding]:
    """What is not needed, and what would be had with it."""
    there = host.ros.get("optional", {})
    purposes = {
        "cv_bridge": (there.get("cv_bridge"), "image encodings beyond rgb8, bgr8, mono8, 32FC1, 16UC1"),
        "launch": (there.get("launch_ros"), "ros2 launch; spatia ros does the same without"),
        "rosbag2": (there.get("rosbag2_py"), "ros2 bag; spatia ros record writes the same files"),
        "rviz2": (host.extras.get("rviz2"), "the displays in config/*.rviz; Foxglove needs nothing here"),
        "torch": (host.packages.get("torch"), "training, and the networks on a GPU"),
        "openvino": (host.packages.get("openvino"), "the networks on Intel CPUs (generator.runtime=openvino)"),
        "transformers": (host.packages.get("transformers"), "public depth and detector networks from a local folder"),
        "diffusers": (host.packages.get("diffusers"), "the big generator"),
    }
    for name, (found, purpose) in purposes.items():
        version = f"{found}, " if isinstance(found, str) else ""
        yield Finding("optional", name, "ok", f"{version}{purpose}" if found else f"not installed; for {purpose}")

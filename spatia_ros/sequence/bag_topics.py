"""Which topics of a bag make an RGB-D sequence: named by the user, or the only ones that can be meant."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from spatia_ros.formats.plain_yaml import read_yaml_file
from spatia_ros.sequence.bag_file import BagFile
from spatia_ros.sequence.ros_image import holds_depth, is_compressed
from spatia_ros.types import SpatiaError

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
TF_TYPE = "tf2_msgs/msg/TFMessage"
MAX_TOPICS_BYTES = 1 << 16
POSE_TYPES = ("nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped")


@dataclass(frozen=True, slots=True)
class BagTopics:
    """What to read from a bag; what is left empty is found out.

    Args:
        colour: Image or CompressedImage.
        depth: Image or CompressedImage, registered to colour.
        info: CameraInfo of colour.
        pose: Odometry, PoseStamped or PoseWithCovarianceStamped; empty: TF, or else the only such topic.
        world_frame: frame the poses are in; empty: map, odom or world, whichever TF has.
        camera_frame: optical frame of the images; empty: the images' own.
        pose_frame: frame that ``pose`` is of; empty: the child frame its messages name.
    """

    colour: str = ""
    depth: str = ""
    info: str = ""
    pose: str = ""
    world_frame: str = ""
    camera_frame: str = ""
    pose_frame: str = ""


def beside(bag: Path) -> BagTopics:
    """What the file ``topics.yaml`` in the bag's folder (``NAME.topics.yaml`` beside the file NAME) says; all empty without one.

    Raises:
        SpatiaError: when it is no mapping of the fields of :class:`BagTopics` to names.
    """
    path = bag / "topics.yaml" if bag.is_dir() else bag.with_name(f"{bag.name}.topics.yaml")
    if not path.is_file():
        return BagTopics()
    known = [f.name for f in fields(BagTopics)]
    values = read_yaml_file(path, MAX_TOPICS_BYTES)
    if not isinstance(values, dict) or not all(k in known and isinstance(v, str) for k, v in values.items()):
        raise SpatiaError(f"{path}: expected names for some of {', '.join(known)}, got {values!r:.200}")
    return BagTopics(**values)


def detected(bag: BagFile, topics: BagTopics) -> BagTopics:
    """The topics with colour, depth and info filled in.

    Raises:
        SpatiaError: when a topic is missing, of another type, or could be several; it says which
            there are and which argument chooses.
    """
    for name, wanted, types in (
        ("colour", topics.colour, IMAGE_TYPES), ("depth", topics.depth, IMAGE_TYPES),
        ("info", topics.info, (INFO_TYPE,)), ("pose", topics.pose, POSE_TYPES),
    ):
        if wanted and bag.types.get(wanted) not in types:
            has = bag.types.get(wanted, "no such topic with messages")
            what = f"expected {wanted} to be {' or '.join(types)}, got {has}"
            raise SpatiaError(f"{bag.path}: {name}: {what}; topics: {_listed(bag)}")
    images = {topic: bag.first(topic) for topic in bag.topics(*IMAGE_TYPES)}
    depth_like = [topic for topic, message in images.items() if holds_depth(message)]
    colour_like = [topic for topic, message in images.items() if not holds_depth(message)]
    in_colour = [topic for topic in colour_like if is_compressed(images[topic]) or images[topic].encoding != "mono8"]
    colour = topics.colour or _only(bag, "colour", in_colour or colour_like)
    of_colour = [topic for topic in depth_like if _frame(images[topic]) == _frame(images[colour])]
    of_colour = [topic for topic in of_colour if "depth" in topic] or of_colour
    depth = topics.depth or _only(bag, "depth", of_colour or depth_like)
    return replace(topics, colour=colour, depth=depth, info=topics.info or _info_of(bag, colour))


def _info_of(bag: BagFile, colour: str) -> str:
    """The camera_info beside the image (image_transport's rule), or the only one."""
    infos = bag.topics(INFO_TYPE)
    for parent in (colour.rpartition("/")[0], colour.rpartition("/")[0].rpartition("/")[0]):
        if f"{parent}/camera_info" in infos:
            return f"{parent}/camera_info"
    return _only(bag, "info", infos)


def _only(bag: BagFile, name: str, candidates: list[str]) -> str:
    """The one candidate, where a raw image wins over its own compressed copy."""
    raw = [topic for topic in candidates if not any(topic.startswith(f"{other}/") for other in candidates)]
    if len(raw) == 1:
        return raw[0]
    if not raw:
        raise SpatiaError(f"{bag.path}: {name}: expected a topic that can be it, got {_listed(bag)}")
    raise SpatiaError(f"{bag.path}: {name}: expected one topic, got {', '.join(raw)}: name one of them as {name}")


def _frame(message: object) -> str:
    return str(message.header.frame_id).lstrip("/")  # type: ignore[attr-defined]


def _listed(bag: BagFile) -> str:
    return ", ".join(f"{topic} ({msgtype})" for topic, msgtype in sorted(bag.types.items())) or "none"

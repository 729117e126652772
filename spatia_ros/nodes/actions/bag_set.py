"""A data set as a bag: the topics of a world node, written without anybody listening to them."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import serialize_message
from tf2_msgs.msg import TFMessage

from spatia_ros.msg import GeneratedFrame
from spatia_ros.nodes import convert
from spatia_ros.nodes.tools.definitions import Definitions
from spatia_ros.record.files import write_text
from spatia_ros.record.frame_sets import Taken
from spatia_ros.sequence.bag_folder import BagFolder, qos_profile, qos_text
from spatia_ros.sequence.mcap_records import Topic
from spatia_ros.world import World

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

FILE_BYTES = 1 << 30
"""A file of a data set that has grown to this is followed by another."""


class Bag:
    """What the cameras of a data set write into together. A camera's frame is one chunk: on disk whole, or not at all.

    Made on the worker's thread.
    """

    def __init__(self, face: WorldFace, folder: FilePath) -> None:
        self.face, self._definitions = face, Definitions()
        generator = face.world.generator
        self.made_by = {"model": generator.name, "engine_sha256": getattr(getattr(generator, "engine", None), "sha256", "")}
        self.folder = BagFolder(folder, split_bytes=FILE_BYTES, go_on=True)
        self._numbers: dict[str, int] = {}

    def put(self, topic: str, stamp_ns: int, message: Any, latched: bool = False) -> None:
        """Add a message of a topic of the node."""
        if topic not in self._numbers:
            kind = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
            qos = qos_text([qos_profile(reliable=True, latched=latched, depth=1 if latched else 10)])
            definition, digest = self._definitions.of(kind)
            self._numbers[topic] = self.folder.add(Topic(self.resolved(topic), kind, definition, qos, digest))
        self.folder.write(self._numbers[topic], stamp_ns, serialize_message(message))

    def put_rig(self, frame: Taken) -> None:
        """Where the rig is; before the first frame also how the cameras stand on it."""
        rig, stamp_ns = self.face.rig, frame.stamp_ns
        if not self.count("/tf_static"):
            self.put("/tf_static", stamp_ns, TFMessage(transforms=rig.static_transforms(stamp_ns)), latched=True)
        links = ((np.eye(4), rig.names.map, rig.names.odom), (frame.T_map_base, rig.names.odom, rig.names.base))
        self.put("/tf", stamp_ns, TFMessage(transforms=[convert.to_transform(T, stamp_ns, *names) for T, *names in links]))
        header = convert.to_header(stamp_ns, rig.names.map)
        self.put("pose", stamp_ns, PoseStamped(header=header, pose=convert.to_pose(frame.T_map_base)))

    def resolved(self, topic: str) -> str:
        """A topic's full name."""
        return str(self.face.node.resolve_topic_name(topic))

    def count(self, topic: str) -> int:
        """Messages of a topic."""
        return self.folder.counts[self.resolved(topic)]


class BagSet:
    """The part of one camera in a bag.

    Args:
        leads: writes also where the rig is, and closes the bag.
    """

    def __init__(self, bag: Bag, camera: str, length: int, *, leads: bool) -> None:
        self._bag, self._camera, self._length, self._leads = bag, camera, length, leads
        self._optical = next(each.optical for each in bag.face.rig.cameras if each.name == camera)
        self.last_ns = bag.folder.last_ns.get(bag.resolved(f"{camera}/color/metadata"), -1)

    def __len__(self) -> int:
        return self._bag.count(f"{self._camera}/color/metadata")

    def append(self, frame: Taken) -> None:
        """Write colour, depth, their calibration, provenance and metadata."""
        bag, step, stamp_ns = self._bag, frame.step, frame.stamp_ns
        header = convert.to_header(stamp_ns, self._optical)
        if self._leads:
            bag.put_rig(frame)
        info = convert.to_camera_info(step.camera, header)
        for topic, message in (
            ("color/camera_info", info),
            ("depth/camera_info", info),
            ("color/image_raw", convert.to_image(step.rgb[0], header)),
            ("depth/image_rect", convert.to_depth(step.depth[0], header)),
            ("provenance", convert.to_image(step.provenance[0], header)),
            ("color/metadata", self._metadata(frame, header)),
        ):
            bag.put(f"{self._camera}/{topic}", stamp_ns, message)
        bag.folder.flush()
        self.last_ns = stamp_ns

    def close(self, world: World, complete: bool) -> None:  # noqa: ARG002
        """Close the bag: every reader takes it then; ours reads the first camera unless it is told another."""
        if self._leads:
            self._bag.folder.close()
            own = {"colour": "color/image_raw", "depth": "depth/image_rect", "info": "color/camera_info"}
            topics = {field: self._bag.resolved(f"{self._camera}/{topic}") for field, topic in own.items()}
            write_text(self._bag.folder.folder / "topics.yaml", "".join(f"{name}: {topic}\n" for name, topic in topics.items()))

    def abandon(self) -> None:
        """Leave the bag as it is on disk, to be gone on with."""
        self._bag.folder.abandon()

    def _metadata(self, frame: Taken, header: Any) -> GeneratedFrame:
        step = frame.step
        names = ("remembered_ratio", "render_ms", "generate_ms", "actors_ms")
        return GeneratedFrame(
            header=header, camera=self._camera, step=step.index, clip_index=len(self), clip_length=self._length, seed=step.seed,
            animation_s=float(step.animation_s[0]), actors=len(step.actors[0]),
            mean_confidence=float(np.mean(step.provenance) / 255.0), **{name: step.figures[name] for name in names},
            **self._bag.made_by, synthetic=True,
        )  # fmt: skip

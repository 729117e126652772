"""Record every topic into a bag that ``ros2 bag play``, Foxglove and ``spatia`` read, as ``ros2 bag record`` would write it.

Messages are kept as they came over the wire, with their definitions, and with the quality of service each publisher offered.
It needs nothing but rclpy and rosbags, so hosts without rosbag2 can record, too.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from spatia_ros.nodes.tools.definitions import Definitions
from spatia_ros.sequence.bag_folder import NEVER, PARTIAL, BagFolder, qos_text
from spatia_ros.sequence.mcap_file import McapFile
from spatia_ros.sequence.mcap_records import Topic
from spatia_ros.types import SpatiaError

SCAN_S = 0.2
QUIET_S = 0.3
"""When asked to stop it listens on until nothing came for this long (or :data:`LONGEST_DRAIN_S`)."""
LONGEST_DRAIN_S = 5.0
WAITING = 512
"""Messages that may wait for the disk; when full, the middleware has to wait, too."""
FLUSH_S = 1.0
"""What is older than this is on disk, also should the recorder be killed."""


class Limits(NamedTuple):
    """How a recording is written.

    Args:
        split_mb, split_s: a file longer than this is followed by another (folders only); 0: never.
        compressed: chunks by Zstandard.
    """

    split_mb: float = 0.0
    split_s: float = 0.0
    compressed: bool = True


USUAL = Limits()


class Target(Protocol):
    """What takes messages: one MCAP file, or a folder of them."""

    def add(self, topic: Topic) -> int:
        """The number of a topic."""

    def write(self, number: int, log_ns: int, data: bytes) -> None:
        """Add a message."""

    def flush(self) -> None:
        """What was written survives the death of this process."""

    def close(self) -> None:
        """Finish, so that every reader takes it."""

    def abandon(self) -> None:
        """Let go of it as it is on disk."""


def open_target(path: Path, limits: Limits) -> Target:
    """One file where ``path`` ends in .mcap (in ``path.partial`` until it is closed), else a rosbag2 folder.

    Raises:
        SpatiaError: when there is something of that name: recordings are never overwritten.
    """
    if path.suffix != ".mcap":
        return BagFolder(path, split_bytes=round(limits.split_mb * 1e6), split_s=limits.split_s, compressed=limits.compressed)
    partial = path.with_name(path.name + PARTIAL)
    for each in (path, partial):
        if each.exists():
            raise SpatiaError(f"{each}: expected a new name, got one that exists; recordings are not overwritten")
    path.parent.mkdir(parents=True, exist_ok=True)
    return McapFile(partial, compressed=limits.compressed)


class Bag:
    """A target, written to by a thread of its own."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._waiting: queue.Queue[tuple[Topic, int, bytes] | None] = queue.Queue(WAITING)
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="bag")
        self._thread.start()

    def put(self, topic: Topic, data: bytes) -> None:
        """Take a serialised message, as of now."""
        self._waiting.put((topic, time.time_ns(), data))

    def _run(self) -> None:
        flushed_s = time.monotonic()
        while True:
            item: tuple[Topic, int, bytes] | tuple[()] | None
            try:
                item = self._waiting.get(timeout=FLUSH_S)
            except queue.Empty:
                item = ()
            if item is None:
                return
            if self.failure is None:
                try:
                    if item:
                        topic, log_ns, data = item
                        self._target.write(self._target.add(topic), log_ns, data)
                    if time.monotonic() - flushed_s >= FLUSH_S:
                        self._target.flush()
                        flushed_s = time.monotonic()
                except OSError as error:  # a full disk: keep the queue moving, report at the end
                    self.failure = error

    def close(self) -> None:
        """Write what waits, and the index.

        Raises:
            OSError: when the disk refused; what was written until then can be mended.
        """
        self._waiting.put(None)
        self._thread.join()
        if self.failure is not None:
            self._target.abandon()
            raise self.failure
        self._target.close()


class Recorder:
    """Subscribes to every topic there is, and to those that come later.

    Args:
        node: subscribes. bag: takes the messages. topics: only these (relative or absolute); empty: all but hidden ones.
    """

    def __init__(self, node: Node, bag: Bag, topics: list[str] | None = None) -> None:
        self.node, self.bag = node, bag
        self.counts: Counter[str] = Counter()
        self.last_s = time.monotonic()
        self._only = {node.resolve_topic_name(topic) for topic in topics or ()}
        self._definitions, self._topics = Definitions(), dict[str, Subscription | None]()

    def scan(self) -> None:
        """Subscribe to topics that are not recorded yet: those published, and those somebody listens to, before anyone speaks."""
        for topic, kinds in self.node.get_topic_names_and_types():
            hidden = any(part.startswith("_") for part in topic.split("/"))
            wanted = topic in self._only if self._only else not hidden
            if topic not in self._topics and wanted:
                self._topics[topic] = self._subscribe(topic, kinds[0])

    def connected(self, topic: str) -> bool:
        """Whether a topic (relative to this node's namespace, or absolute) is being recorded from a publisher."""
        subscription = self._topics.get(self.node.resolve_topic_name(topic))
        return subscription is not None and subscription.get_publisher_count() > 0

    def _subscribe(self, topic: str, kind: str) -> Subscription | None:
        try:
            package, _, name = kind.split("/")
            message = getattr(import_module(f"{package}.msg"), name)
            definition, digest = self._definitions.of(kind)
        except (LookupError, ImportError, AttributeError, ValueError) as error:
            self.node.get_logger().warning(f"{topic} is not recorded: {error}")
            return None
        ends = self.node.get_publishers_info_by_topic(topic) or self.node.get_subscriptions_info_by_topic(topic)
        known: list[Topic] = []

        def on_message(data: bytes) -> None:
            if not known:  # whoever speaks is there by now, and says what it offers
                offered = self.node.get_publishers_info_by_topic(topic) or ends
                known.append(Topic(topic, kind, definition, qos_text([offer_of(end.qos_profile) for end in offered]), digest))
            self.bag.put(known[0], data)
            self.counts[topic] += 1
            self.last_s = time.monotonic()

        return self.node.create_subscription(message, topic, on_message, _hearing(ends), raw=True)


def _hearing(ends: list[Any]) -> QoSProfile:
    """The profile that hears what these publishers say (or these subscriptions hear)."""
    offered = [end.qos_profile for end in ends]
    # Asking for less hears everyone: also when the last of them left while we looked.
    reliable = bool(offered) and all(q.reliability == ReliabilityPolicy.RELIABLE for q in offered)
    latched = bool(offered) and all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
    return QoSProfile(
        depth=1000,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offer_of(profile: QoSProfile) -> dict[str, Any]:
    """What a publisher offers, in the words of rosbag2's metadata."""
    return {
        "history": profile.history.name.lower(), "depth": profile.depth, "reliability": profile.reliability.name.lower(),
        "durability": profile.durability.name.lower(), "deadline": _duration(profile.deadline),
        "lifespan": _duration(profile.lifespan), "liveliness": profile.liveliness.name.lower(),
        "liveliness_lease_duration": _duration(profile.liveliness_lease_duration),
        "avoid_ros_namespace_conventions": profile.avoid_ros_namespace_conventions,
    }  # fmt: skip


def _duration(duration: Any) -> dict[str, int]:
    """A duration; the two ways of saying never are one."""
    sec, nsec = divmod(duration.nanoseconds, 10**9)
    return dict(NEVER) if duration.nanoseconds == 0 or sec >= NEVER["sec"] else {"sec": sec, "nsec": nsec}


def record(
    path: Path, wait_for: list[str], stop: threading.Event, ready: Callable[[], None], limits: Limits = USUAL,
    topics: list[str] | None = None,
) -> Counter[str]:  # fmt: skip
    """Record into ``path`` until ``stop`` is set; a file appears then, a folder grows.

    Args:
        wait_for: topics that must be connected before ``ready`` is called. topics: see :class:`Recorder`.

    Returns:
        The number of messages by topic.

    Raises:
        SpatiaError: when there is something at ``path``. OSError: when the disk refuses; :mod:`.tool` ``mend`` closes what
            was written until then.
    """
    target = open_target(path, limits)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        bag, node = Bag(target), rclpy.create_node("recorder")
        try:
            recorder = Recorder(node, bag, topics)
            _listen(recorder, wait_for, stop, ready)
        finally:
            node.destroy_node()
            bag.close()
        if path.suffix == ".mcap":
            os.replace(path.with_name(path.name + PARTIAL), path)
        return recorder.counts
    finally:
        rclpy.try_shutdown()


def _listen(recorder: Recorder, wait_for: list[str], stop: threading.Event, ready: Callable[[], None]) -> None:
    scanned_s, told, until = -SCAN_S, False, None
    while until is None or (time.monotonic() < until and time.monotonic() - recorder.last_s < QUIET_S):
        if time.monotonic() - scanned_s >= SCAN_S:
            recorder.scan()
            scanned_s = time.monotonic()
        if not told and all(recorder.connected(topic) for topic in wait_for):
            told = True
            ready()
        rclpy.spin_once(recorder.node, timeout_sec=0.05)
        if recorder.bag.failure is not None:
            return
        if until is None and stop.is_set():
            until, recorder.last_s = time.monotonic() + LONGEST_DRAIN_S, time.monotonic()

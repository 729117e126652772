"""Record every topic into one MCAP file that ``ros2 bag play``, Foxglove and ``spatia`` read.

Messages are kept as they came over the wire, with their definitions, and with the quality of service
they were offered. It needs nothing but rclpy and rosbags, so hosts without rosbag2 can record, too.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from spatia_ros.sequence.draft import draft_of

SCAN_S = 0.2
QUIET_S = 0.3
"""When asked to stop it listens on until nothing came for this long (or :data:`LONGEST_DRAIN_S`)."""
LONGEST_DRAIN_S = 5.0
WAITING = 512
"""Messages that may wait for the disk; when full, the middleware has to wait, too."""


class Bag:
    """An MCAP file being written by a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._waiting: queue.Queue[tuple[Any, int, bytes] | None] = queue.Queue(WAITING)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="bag")
        self._lock = threading.Lock()
        self._thread.start()

    def add(self, topic: str, kind: str, typestore: Typestore, qos: list[Qos]) -> Callable[[bytes], None]:
        """A topic; returns what takes its serialised messages."""
        with self._lock:
            connection = self._writer.add_connection(topic, kind, typestore=typestore, offered_qos_profiles=qos)
        return lambda data: self._waiting.put((connection, time.time_ns(), data))

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    with self._lock:
                        self._writer.write(*item)
                except OSError as error:  # a full disk: keep the queue moving, report at the end
                    self._failure = error

    def close(self) -> None:
        """Write what waits, and the index."""
        self._waiting.put(None)
        self._thread.join()
        if self._failure is not None:
            self._writer.abort()
            raise self._failure
        self._writer.close()


class Definitions:
    """Message definitions: those of ROS, and those that installed packages bring."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_JAZZY)

    def learn(self, kind: str) -> None:
        """Make ``package/msg/Name`` and all it is made of known.

        Raises:
            LookupError: when no installed package has it.
        """
        if kind in self.store.fielddefs:
            return
        package, _, name = kind.split("/")
        try:
            text = (Path(get_package_share_directory(package)) / "msg" / f"{name}.msg").read_text()
        except (OSError, LookupError) as error:
            raise LookupError(f"no definition of {kind}: {error}") from None
        found = get_types_from_msg(text, kind)
        for _, fields in found.values():
            for _, field in fields:
                for nested in _names_in(field):
                    if nested not in found:
                        self.learn(nested)
        self.store.register(found)


def _names_in(field: Any) -> list[str]:
    """The message names in a parsed field type (arrays nest their element)."""
    if isinstance(field, tuple):
        return [name for part in field for name in _names_in(part)]
    return [field] if isinstance(field, str) and "/msg/" in field else []


class Recorder:
    """Subscribes to every topic there is, and to those that come later.

    Args:
        node: subscribes. bag: takes the messages.
    """

    def __init__(self, node: Node, bag: Bag) -> None:
        self.node, self.bag = node, bag
        self.counts: Counter[str] = Counter()
        self.last_s = time.monotonic()
        self._definitions, self._topics = Definitions(), dict[str, Subscription | None]()

    def scan(self) -> None:
        """Subscribe to topics that are not recorded yet: those published, and those somebody listens to, before anyone speaks."""
        for topic, kinds in self.node.get_topic_names_and_types():
            hidden = any(part.startswith("_") for part in topic.split("/"))
            if topic not in self._topics and not hidden:
                self._topics[topic] = self._subscribe(topic, kinds[0])

    def connected(self, topic: str) -> bool:
        """Whether a topic (relative to this node's namespace, or absolute) is being recorded from a publisher."""
        subscription = self._topics.get(self.node.resolve_topic_name(topic))
        return subscription is not None and subscription.get_publisher_count() > 0

    def _subscribe(self, topic: str, kind: str) -> Subscription | None:
        try:
            package, _, name = kind.split("/")
            message = getattr(import_module(f"{package}.msg"), name)
            self._definitions.learn(kind)
        except (LookupError, ImportError, AttributeError, ValueError) as error:
            self.node.get_logger().warning(f"{topic} is not recorded: {error}")
            return None
        ends = self.node.get_publishers_info_by_topic(topic) or self.node.get_subscriptions_info_by_topic(topic)
        profile, offered = _quality(ends)
        keep = self.bag.add(topic, kind, self._definitions.store, offered)

        def on_message(data: bytes) -> None:
            keep(data)
            self.counts[topic] += 1
            self.last_s = time.monotonic()

        return self.node.create_subscription(message, topic, on_message, profile, raw=True)


def _quality(ends: list[Any]) -> tuple[QoSProfile, list[Qos]]:
    """The profile that hears what these publishers say (or these subscriptions hear), and theirs as a bag has it."""
    offered = [end.qos_profile for end in ends]
    # Asking for less hears everyone: also when the last of them left while we looked.
    reliable = bool(offered) and all(q.reliability == ReliabilityPolicy.RELIABLE for q in offered)
    latched = bool(offered) and all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
    profile = QoSProfile(
        depth=1000,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )  # fmt: skip
    never = QosTime(9_223_372_036, 854_775_807)
    kept = Qos(
        QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        never, never, QosLiveliness.AUTOMATIC, never, False,
    )  # fmt: skip
    return profile, [kept]


def record(path: Path, wait_for: list[str], stop: threading.Event, ready: Callable[[], None]) -> Counter[str]:
    """Record into ``path`` until ``stop`` is set; the file appears then.

    Args:
        wait_for: topics that must be connected before ``ready`` is called.

    Returns:
        The number of messages by topic.

    Raises:
        SpatiaError: when the file exists. OSError: when the disk refuses; nothing is left behind.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with draft_of(path) as draft:
            bag = Bag(draft.parent / "bag")
            try:
                recorder = Recorder(rclpy.create_node("recorder"), bag)
                _listen(recorder, wait_for, stop, ready)
            finally:
                bag.close()
            (draft.parent / "bag" / "bag.mcap").rename(draft)
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
        if until is None and stop.is_set():
            until = time.monotonic() + LONGEST_DRAIN_S

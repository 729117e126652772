"""Publish a bag again, byte by byte as it was recorded, with the quality of service it was offered, and its time as /clock."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock

from spatia_ros.nodes import convert
from spatia_ros.nodes.tools.recorder import SCAN_S
from spatia_ros.sequence.bag_file import BagFile
from spatia_ros.types import SpatiaError

DEPTH, LATCHED_DEPTH = 10, 100
LONGEST_WAIT_S = 0.1
"""A pause is looked at again after this: it may have been interrupted."""
CLOCK_TOPIC = "/clock"


class Playing(NamedTuple):
    """How a bag is played.

    Args:
        rate: times as fast as recorded. start_s: so much of its beginning is left out (latched topics are not).
        loop: from the beginning again at the end. clock_hz: ticks of /clock a second of wall time; 0: none.
        topics: only these; empty: all. wait_for: topics that must have a subscriber before it begins.
    """

    rate: float = 1.0
    start_s: float = 0.0
    loop: bool = False
    clock_hz: float = 0.0
    topics: tuple[str, ...] = ()
    wait_for: tuple[str, ...] = ()


class Tape:
    """The messages of a bag, and a publisher for each of its topics.

    Raises:
        SpatiaError: when the bag is not readable, or has none of the topics.
    """

    def __init__(self, node: Node, path: Path, playing: Playing) -> None:
        self._node, self._playing, self._bag = node, playing, BagFile(path)
        with self._bag.told():
            self._reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
            self._reader.open()
        self.publishers: dict[str, Publisher] = {}
        self._latched: set[str] = set()
        for connection in self._reader.connections:
            own_clock = connection.topic == CLOCK_TOPIC and playing.clock_hz > 0
            if connection.msgcount and not own_clock and (not playing.topics or connection.topic in playing.topics):
                self._open(connection)
        if not self.publishers:
            raise SpatiaError(f"{path}: expected one of the topics {list(playing.topics)}, got {sorted(self._bag.types)}")
        self.begin_ns = self._reader.start_time + round(playing.start_s * 1e9)
        self.end_ns = self._reader.end_time

    def _open(self, connection: Any) -> None:
        if connection.topic in self.publishers:
            return
        try:
            package, _, name = connection.msgtype.split("/")
            kind = getattr(import_module(f"{package}.msg"), name)
        except (ImportError, AttributeError, ValueError) as error:
            self._node.get_logger().warning(f"{connection.topic} is not played: {error}")
            return
        profile = _offered(getattr(connection.ext, "offered_qos_profiles", None) or [])
        if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
            self._latched.add(connection.topic)
        self.publishers[connection.topic] = self._node.create_publisher(kind, connection.topic, profile)

    def messages(self) -> Iterator[tuple[int, str, bytes]]:
        """``(log time, topic, bytes)`` in the order logged; what was latched before the start comes at the start.

        Raises:
            SpatiaError: when the bag is damaged.
        """
        chosen = [c for c in self._reader.connections if c.topic in self.publishers]
        with self._bag.told():
            for connection, log_ns, data in self._reader.messages(chosen):
                if log_ns >= self.begin_ns or connection.topic in self._latched:
                    yield max(log_ns, self.begin_ns), connection.topic, bytes(data)

    def close(self) -> None:
        """Close the bag."""
        self._reader.close()


def _offered(profiles: list[Any]) -> QoSProfile:
    """The profile of which every recorded publisher's subscribers can be subscribers, too."""
    reliable = all(p.reliability != QosReliability.BEST_EFFORT for p in profiles)
    latched = bool(profiles) and all(p.durability == QosDurability.TRANSIENT_LOCAL for p in profiles)
    return QoSProfile(
        depth=max([LATCHED_DEPTH if latched else DEPTH, *(p.depth for p in profiles if p.depth < 1000)]),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class Player:
    """Plays a tape by the wall's clock.

    Args:
        stop: ends it at the next message.
    """

    def __init__(self, node: Node, tape: Tape, playing: Playing, stop: threading.Event) -> None:
        self._node, self._tape, self._playing, self._stop = node, tape, playing, stop
        self.counts: Counter[str] = Counter()
        self._clock = node.create_publisher(Clock, CLOCK_TOPIC, 10) if playing.clock_hz > 0 else None
        self._began_s, self._ticked_s = 0.0, -float("inf")

    def wait(self) -> None:
        """Wait until the topics that have to be heard are."""
        names = [self._node.resolve_topic_name(topic) for topic in self._playing.wait_for]
        if missing := [name for name in names if name not in self._tape.publishers]:
            raise SpatiaError(f"play: expected topics of the bag to wait for, got {missing}")
        while not self._stop.is_set() and not all(self._tape.publishers[name].get_subscription_count() for name in names):
            self._stop.wait(SCAN_S)

    def play(self) -> None:
        """Once through, or over and over."""
        while not self._stop.is_set():
            self._began_s = time.monotonic()
            for log_ns, topic, data in self._tape.messages():
                if not self._paused_until(log_ns):
                    return
                self._tape.publishers[topic].publish(data)
                self.counts[topic] += 1
            self._tick(self._tape.end_ns, always=True)
            if not self._playing.loop:
                return

    def _paused_until(self, log_ns: int) -> bool:
        """Wait for a message's time, ticking meanwhile; false when it was interrupted."""
        due_s = self._began_s + (log_ns - self._tape.begin_ns) * 1e-9 / self._playing.rate
        while (left_s := due_s - time.monotonic()) > 0:
            self._tick(log_ns - round(left_s * self._playing.rate * 1e9))
            if self._stop.wait(min(left_s, LONGEST_WAIT_S, self._next_tick_s())):
                return False
        self._tick(log_ns)
        return not self._stop.is_set()

    def _next_tick_s(self) -> float:
        return 1.0 / self._playing.clock_hz if self._clock else LONGEST_WAIT_S

    def _tick(self, now_ns: int, always: bool = False) -> None:
        """Publish the bag's time, so many times a second."""
        now_s = time.monotonic()
        if self._clock and (always or now_s - self._ticked_s >= self._next_tick_s()):
            self._clock.publish(Clock(clock=convert.to_time(max(now_ns, 0))))
            self._ticked_s = now_s


def play(path: Path, playing: Playing, stop: threading.Event, ready: Callable[[list[str]], None]) -> Counter[str]:
    """Play a bag until its end, or until ``stop`` is set.

    Args:
        ready: told of the topics once their publishers are there, and heard as far as that is asked for.

    Returns:
        The number of messages by topic.

    Raises:
        SpatiaError: when the bag is missing, damaged, or lacks the topics; or a figure is out of range.
    """
    figures = (("rate", playing.rate, 1e-3), ("start offset", playing.start_s, 0.0), ("clock", playing.clock_hz, 0.0))
    for name, value, least in figures:
        if not least <= value < 1e6:
            raise SpatiaError(f"play: {name}: expected a number of at least {least:g}, got {value}")
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node("player")
        tape = Tape(node, path, playing)
        try:
            player = Player(node, tape, playing, stop)
            player.wait()
            ready(sorted(tape.publishers))
            player.play()
            for publisher in tape.publishers.values():
                publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=1.0))
        finally:
            tape.close()
            node.destroy_node()
        return player.counts
    finally:
        rclpy.try_shutdown()

"""``~/heartbeat``: the node's lifecycle state, again and again, as long as it is alive and its work goes on."""

from __future__ import annotations

from collections.abc import Callable

from lifecycle_msgs.msg import State
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import LivelinessPolicy, QoSProfile, ReliabilityPolicy

MISSED = 3
"""Beats that may be missing before DDS tells those who asked for a deadline."""
LEASE = 6
"""Beats after which a publisher that sent none is not alive to DDS."""


def profile(period_s: float) -> QoSProfile:
    """What is offered, and may be requested: a deadline of three beats, and a publisher that says itself that it is alive."""
    return QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE, deadline=Duration(seconds=MISSED * period_s),
        liveliness=LivelinessPolicy.MANUAL_BY_TOPIC, liveliness_lease_duration=Duration(seconds=LEASE * period_s),
    )  # fmt: skip


class Heartbeat:
    """Beats from the executor, in a group of its own: no long callback of the node holds it up.

    Args:
        state: the lifecycle state, as number and word. well: whether the work goes on.
    """

    def __init__(self, node: Node, period_s: float, state: Callable[[], tuple[int, str]], well: Callable[[], bool]) -> None:
        self._state, self._well = state, well
        self.told: Callable[[str], None] = lambda _: None
        """Told of each beat, too: who watches the process."""
        self._publisher = node.create_publisher(State, "~/heartbeat", profile(period_s))
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(period_s, self._beat, MutuallyExclusiveCallbackGroup(), clock)

    def _beat(self) -> None:
        if self._well():
            number, word = self._state()
            self._publisher.publish(State(id=number, label=word))
            self.told(word)

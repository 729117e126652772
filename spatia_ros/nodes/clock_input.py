"""/clock, from whoever sends it: rclpy raises on a time that is none, out of the executor, and takes the node down with it."""

from __future__ import annotations

from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from spatia_ros.nodes import convert
from spatia_ros.nodes.health import Health

TOPIC = "/clock"


def guard_clock(node: Node, health: Health) -> None:
    """Have a node that follows /clock drop and count a time that is none, and go on."""
    source = node._time_source
    taken = source.clock_callback

    def take(msg: Clock) -> None:
        convert.time_ns(msg.clock, TOPIC)
        taken(msg)

    source.clock_callback = health.guard(TOPIC, take)  # for a node told to follow it later
    if source._clock_sub is not None:
        source._clock_sub.callback = source.clock_callback

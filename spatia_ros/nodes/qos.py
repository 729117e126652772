"""Quality of service by kind of topic (REP-2003), each overridable by parameters ``qos_overrides.*``."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from spatia_ros.nodes.endpoints import Endpoints

SENSOR_OUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""A publisher of images and poses: reliable, so that subscribers of either kind match."""
SENSOR_IN = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""A subscriber to someone's sensor: best effort, so that it matches any."""
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Maps and status: who comes late still gets the last one."""
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""The newest command is the only one that counts."""
UPDATES = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
"""Messages of which each counts: who misses one begins anew."""
TF = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
TF_STATIC_IN = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

MATCH_S = 0.5
"""Wait so long once the other side is found, before something is said once: it finds this side by itself, a little later.

A subscriber would miss the message. Of a service Fast DDS drops the answer, when the server has not found the client .1 s after
the request (rmw_fastrtps issue 842), and the client would wait for ever.
"""
TELLS_MATCHES = "matched" in signature(PublisherEventCallbacks.__init__).parameters


def publisher(
    on: Node | Endpoints, kind: type, topic: str, profile: QoSProfile, matched: Callable[[Any], None] | None = None
) -> Publisher:
    """A publisher whose profile the user may override by parameters.

    Args:
        matched: told when a subscriber joins or leaves, where this ROS can tell (since Iron).
    """
    options = QoSOverridingOptions.with_default_policies()
    told = {"event_callbacks": PublisherEventCallbacks(matched=matched)} if matched and TELLS_MATCHES else {}
    return on.create_publisher(kind, topic, _own(profile), qos_overriding_options=options, **told)


def subscription(
    on: Node | Endpoints,
    kind: type,
    topic: str,
    callback: Callable[[Any], None],
    profile: QoSProfile,
    group: CallbackGroup | None = None,
) -> Subscription:
    """A subscription whose profile the user may override by parameters."""
    options = QoSOverridingOptions.with_default_policies()
    return on.create_subscription(kind, topic, callback, _own(profile), callback_group=group, qos_overriding_options=options)


def _own(profile: QoSProfile) -> QoSProfile:
    """A copy: rclpy writes a user's override into the profile it is given."""
    return QoSProfile(depth=profile.depth, reliability=profile.reliability, durability=profile.durability)

"""Clients that know only standard messages and topics, as other people's programs do: nothing of ours is imported."""

from collections import defaultdict

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)


def stamp_ns(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def matrix(position, orientation):
    """The rigid motion of a Pose or Transform: float64 [4, 4]."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat([orientation.x, orientation.y, orientation.z, orientation.w]).as_matrix()
    T[:3, 3] = position.x, position.y, position.z
    return T


class Transforms:
    """What /tf and /tf_static say, kept whole: a child's parent, and where it was in it at every stamp."""

    def __init__(self, node, tf="/tf", tf_static="/tf_static"):
        self.parents, self.poses = defaultdict(set), defaultdict(dict)
        node.create_subscription(TFMessage, tf, self._keep, QoSProfile(depth=100))
        node.create_subscription(TFMessage, tf_static, self._keep, LATCHED)

    def _keep(self, message):
        for t in message.transforms:
            self.parents[t.child_frame_id].add(t.header.frame_id)
            self.poses[t.child_frame_id][stamp_ns(t.header.stamp)] = matrix(t.transform.translation, t.transform.rotation)

    def at(self, child, time_ns):
        """Where a frame was in its parent: at that very stamp, or where it was last before, or None."""
        times = [t for t in self.poses[child] if t <= time_ns]
        return self.poses[child][max(times)] if times else None

    def chain(self, root, frame, time_ns):
        """``T_root_frame`` up the tree, or None while a link is missing."""
        T = np.eye(4)
        while frame != root:
            link = self.at(frame, time_ns)
            if link is None:
                return None
            T, (frame,) = link @ T, self.parents[frame]
        return T


class ExactTime:
    """Messages of several topics that carry the same stamp, as message_filters' ExactTime policy hands them on."""

    def __init__(self, node, **topics):
        self.sets, self._waiting, self._names = [], defaultdict(dict), set(topics)
        for name, (kind, topic) in topics.items():
            node.create_subscription(kind, topic, lambda m, name=name: self._add(name, m), qos_profile_sensor_data)

    def _add(self, name, message):
        together = self._waiting[stamp_ns(message.header.stamp)]
        together[name] = message
        if together.keys() == self._names:
            self.sets.append(self._waiting.pop(stamp_ns(message.header.stamp)))


def now_ns(node):
    return node.get_clock().now().nanoseconds

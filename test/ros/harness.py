"""A ROS graph inside one test process, and the tiny room its worlds are made of."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.parameter import Parameter

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.nodes import qos
from spatia_ros.types import Camera, Frame

CAMERA = Camera.from_fov(96, 64, 1.2)
UP = np.array([0.0, 0.0, 1.0])
START = geometry.look_at(np.array([0.0, 0.0, 1.0]), np.array([2.0, 0.0, 1.0]), UP)
"""T_world_cam: 1 m above the ground of a z-up world, looking along x."""


def wall_frame(T_world_cam=START, stamp_ns=0, camera=CAMERA, wall_x_m=2.0):
    """An exact RGB-D image of an endless painted wall at x = 2 m."""
    rays = geometry.pixel_rays(camera) @ T_world_cam[:3, :3].T
    depth = ((wall_x_m - T_world_cam[0, 3]) / rays[..., 0]).astype(np.float32)
    y, z = (T_world_cam[i, 3] + depth * rays[..., i] for i in (1, 2))
    rgb = 127 + 100 * np.stack([np.sin(5 * y), np.sin(5 * z), np.sin(3 * y + 4 * z)], -1)
    return Frame(rgb.astype(np.uint8), depth, camera, T_world_cam, stamp_ns)


def wall_memory():
    memory = Memory(MemoryConfig(voxel_m=0.02))
    memory.integrate(wall_frame())
    return memory


def parameters(**values):
    return [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]


SMALL_WORLD = {
    "generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64, "motion__pace": "fast",
    "source__memory": "wall.spatia",
}  # fmt: skip
"""A world that shows the wall as fast as it is asked to."""


def walled_world(graph, folder, namespace="", *, start=True, **values):
    """A world node on the wall, in a namespace, with its data in ``folder``; ``values`` are further parameters, or others.

    ``start=False`` leaves it unconfigured.
    """
    from spatia_ros.nodes.world_node import WorldNode

    if not (folder / "wall.spatia").exists():
        wall_memory().save(folder / "wall.spatia")
    overrides = parameters(**{**SMALL_WORLD, "data_dir": str(folder), **values})
    return graph.add(WorldNode(context=graph.context, namespace=namespace, parameter_overrides=overrides), start=start)


class Graph:
    """One context: nodes spun in the background, and a client that collects, publishes and calls."""

    def __enter__(self):
        self.context = Context()
        rclpy.init(context=self.context)
        self.client = Node("client", context=self.context)
        self._executor = MultiThreadedExecutor(num_threads=8, context=self.context)
        self._clients = {}
        self._executor.add_node(self.client)
        self._nodes = []
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def _spin(self):
        # A node that is removed while the executor gathers what to wait for ends spin (rclpy minds it for all but events).
        while self.context.ok():
            try:
                with contextlib.suppress(ExternalShutdownException, InvalidHandle):
                    self._executor.spin()
            except rclpy_implementation.RCLError:
                if self.context.ok():  # a node that quits takes the context from under the executor
                    raise

    def __exit__(self, *_):
        rclpy.try_shutdown(context=self.context)
        self._thread.join()
        for node in [*self._nodes, self.client]:
            node.destroy_node()

    def add(self, node, start=True):
        """Spin a node; one with a lifecycle is brought to active first, unless it is not to be started."""
        self._nodes.append(node)
        if start and getattr(node, "state", "") == "unconfigured":
            node.start()
        self._executor.add_node(node)
        return node

    def remove(self, node):
        self._nodes.remove(node)
        self._executor.remove_node(node)
        node.destroy_node()

    def collect(self, kind, topic, profile=qos.SENSOR_OUT):
        """A list that fills with the messages of a topic; returns once both sides know of each other."""
        messages, sources = [], [p for node in self._nodes for p in node.publishers if p.topic_name == topic]
        before = [p.get_subscription_count() for p in sources]
        subscription = self.client.create_subscription(kind, topic, messages.append, profile)
        wait(lambda: subscription.get_publisher_count() >= max(1, len(sources)), f"a publisher of {topic}")
        wait(lambda: all(p.get_subscription_count() > n for p, n in zip(sources, before, strict=True)), f"a match on {topic}")
        return messages

    def publisher(self, kind, topic, profile=qos.COMMAND):
        """A publisher, once somebody listens."""
        out = self.client.create_publisher(kind, topic, profile)
        wait(lambda: out.get_subscription_count(), f"a subscriber of {topic}")
        return out

    def call(self, kind, service, **request):
        new = service not in self._clients
        if new:
            self._clients[service] = self.client.create_client(kind, service)
        client = self._clients[service]
        assert client.wait_for_service(10.0), service
        if new and not self._nodes:  # of another process, busy starting
            time.sleep(qos.MATCH_S)
        future = client.call_async(kind.Request(**request))
        wait(future.done, f"an answer of {service}")
        return future.result()


class Background:
    """A recorder or player on a thread of its own: ``work(*arguments, stop, ready, **options)``, whose answer is ``counts``."""

    def __init__(self, work, *arguments, **options):
        self.stop, self.ready, self.counts, self.error = threading.Event(), threading.Event(), None, None

        def run():
            try:
                self.counts = work(*arguments, self.stop, lambda *_: self.ready.set(), **options)
            except Exception as error:  # raised on the test's thread
                self.error = error

        self.thread = threading.Thread(target=run)

    def __enter__(self):
        self.thread.start()
        wait(lambda: self.ready.is_set() or not self.thread.is_alive(), "the beginning")
        return self

    def __exit__(self, failed, *_):
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
        if self.error and not failed:
            raise self.error


def wait(done, what, timeout_s=90.0):
    """Wait until something happens; the time is a bound on a broken test, not an assertion of speed.

    It leaves room for what a fresh checkout does once: compiling the kernels, on a busy machine.
    """
    until = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < until, f"expected {what} within {timeout_s} s"
        time.sleep(0.01)

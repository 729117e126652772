"""A world where others misbehave: a clock jumps back, the disk is full, one listens slowly, fifty flood it with commands."""

import contextlib
import resource
import threading

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from harness import START, wait, walled_world
from nav_msgs.msg import Path
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from spatia_ros.memory import Memory
from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.srv import EditMemory, SaveMemory, SavePly

NS = 1_000_000_000
BASE = START @ np.linalg.inv(convert.T_LINK_OPTICAL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def world(graph, folder, request):
    """A world in a namespace of its own."""
    namespace = f"/{request.node.name.split('[')[0]}"
    node = walled_world(graph, folder, namespace, **getattr(request, "param", {}))
    yield node
    graph.remove(node)


def at(node, topic):
    return f"{node.get_namespace()}/{topic}"


def pose_at(y):
    T = BASE.copy()
    T[1, 3] += y
    return PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(T))


def path_of(count):
    return Path(header=convert.to_header(0, "map"), poses=[pose_at(0.01 * k) for k in range(count)])


@pytest.mark.parametrize("world", [{"use_sim_time": True}], indirect=True)
def test_a_clock_that_jumps_back_stops_nothing_and_no_stamp_goes_back(graph, world):
    told = graph.collect(GeneratedFrame, at(world, "camera/color/metadata"))
    clock = graph.publisher(Clock, "/clock", qos.SENSOR_OUT)
    go = graph.publisher(PoseStamped, at(world, "cmd_pose"))
    wait(lambda: world.get_clock().ros_time_is_active, "the node to follow /clock")
    for k, second in enumerate((100, 101, 5, 6, 200)):  # back by 96 s, as a bag that begins anew
        clock.publish(Clock(clock=convert.to_time(second * NS)))
        wait(lambda second=second: world.get_clock().now().nanoseconds == second * NS, "the clock")
        go.publish(pose_at(0.01 * k))
        wait(lambda k=k: len(told) == k + 1, "a frame")
    stamps = [convert.time_ns(msg.header.stamp) for msg in told]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] > 199 * NS  # it caught up with the clock
    assert world.health.failed == 0


@contextlib.contextmanager
def full_disk(room_bytes):
    """No file of this process can grow beyond so many bytes: writing fails as it does on a full disk (EFBIG for ENOSPC)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_the_file_that_was_asked_for_and_nothing_else(graph, world, folder):
    saved, ply = folder / "kept.spatia", folder / "kept.ply"
    assert graph.call(SaveMemory, at(world, "memory/save"), path=saved.name).success
    assert graph.call(SavePly, at(world, "memory/save_ply"), path=ply.name).success
    before, files = (saved.read_bytes(), ply.read_bytes()), sorted(p.name for p in folder.iterdir())
    remove = {"operation": EditMemory.Request.REMOVE, "sphere": [2.0, 0.0, 1.0, 0.2]}
    assert graph.call(EditMemory, at(world, "memory/edit"), **remove).success
    with full_disk(1000):
        answers = [graph.call(kind, at(world, f"memory/{name}"), path=path.name)
                   for kind, name, path in ((SaveMemory, "save", saved), (SavePly, "save_ply", ply))]  # fmt: skip
    assert [answer.success for answer in answers] == [False, False]
    assert all("File too large" in answer.message for answer in answers)
    assert (saved.read_bytes(), ply.read_bytes()) == before
    assert sorted(p.name for p in folder.iterdir()) == files  # nothing half written is left
    told = graph.collect(GeneratedFrame, at(world, "camera/color/metadata"))
    graph.publisher(PoseStamped, at(world, "cmd_pose")).publish(pose_at(0.0))
    wait(lambda: told, "a frame after the full disk")
    assert graph.call(SaveMemory, at(world, "memory/save"), path=saved.name).success  # there is room again
    assert len(Memory.load(saved)) == len(world.memory)


@pytest.mark.parametrize("world", [{"checkpoint__folder": "kept_state", "checkpoint__every_s": 0.2}], indirect=True)
def test_a_checkpoint_on_a_full_disk_is_told_and_the_one_before_stays(graph, world, folder):
    statuses = graph.collect(SimStatus, at(world, "world/status"), qos.LATCHED)
    go = graph.publisher(PoseStamped, at(world, "cmd_pose"))
    told = graph.collect(GeneratedFrame, at(world, "camera/color/metadata"))
    go.publish(pose_at(0.0))
    wait(lambda: statuses and statuses[-1].checkpoint > 0 and told, "the first checkpoint")
    wait(lambda: world.worker.backlog == 0 and not world.worker.busy, "rest")
    with full_disk(1000):
        failed = world.health.failed + world.health.refusals
        go.publish(pose_at(0.05))
        wait(lambda: world.health.failed + world.health.refusals > failed, "the failed checkpoint to be counted")
        frames = len(told)
        go.publish(pose_at(0.1))
        wait(lambda: len(told) > frames, "a frame all the same")
    number = statuses[-1].checkpoint
    wait(lambda: statuses[-1].checkpoint > number, "a checkpoint once there is room again")
    assert not list((folder / "kept_state").glob("*.partial"))


class Sleeper:
    """A subscriber with an executor of its own that takes one image and then does not come back for the next."""

    def __init__(self, topic, domain):
        self.context, self.taken, self.wakes = Context(), 0, threading.Event()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("sleeper", context=self.context)
        self.subscription = self.node.create_subscription(Image, topic, self._take, qos.SENSOR_OUT)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _take(self, _):
        self.taken += 1
        self.wakes.wait()

    def close(self):
        self.wakes.set()
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def test_who_listens_slowly_slows_nobody_else(graph, world, domain):
    topic = at(world, "camera/color/image_raw")
    images = graph.collect(Image, topic)
    sleeper = Sleeper(topic, domain)
    try:
        wait(lambda: sleeper.subscription.get_publisher_count() and world.count_subscribers(topic) == 2, "the sleeper")
        go = graph.publisher(Path, at(world, "cmd_trajectory"))
        for k in range(6):  # in pieces no longer than the queue: the good subscriber must not be the one who loses images
            go.publish(path_of(10))
            wait(lambda k=k: len(images) == 10 * (k + 1), "ten images")
        assert sleeper.taken == 1  # it sleeps still, with 59 images missed or waiting
    finally:
        sleeper.close()


def test_fifty_who_flood_it_with_commands_keep_nobody_from_an_answer_and_the_latest_wins(graph, world):
    told = graph.collect(GeneratedFrame, at(world, "camera/color/metadata"))
    poses = graph.collect(PoseStamped, at(world, "pose"))
    crowd = [graph.client.create_publisher(Path, at(world, "cmd_trajectory"), qos.COMMAND) for _ in range(50)]
    topic = at(world, "cmd_trajectory")
    wait(lambda: all(p.get_subscription_count() for p in crowd) and world.count_publishers(topic) == 50, "the crowd to be met")
    over, sent = threading.Event(), [0]

    def flood():
        while not over.is_set():
            for each in crowd:
                each.publish(path_of(5))
            sent[0] += len(crowd)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        for _ in range(10):
            answer = graph.call(EditMemory, at(world, "memory/edit"), operation=EditMemory.Request.LIST)
            assert answer.success
        wait(lambda: sent[0] > 1000 and world.worker.dropped > 0 and len(told) > 10, "drops, and frames all the same")
    finally:
        over.set()
        flooding.join()
    wait(lambda: not world.worker.busy, "the flood to end")
    assert 0 < world.worker.dropped <= sent[0]
    assert world.health.refusals == world.health.failed == 0
    last = pose_at(0.3)
    graph.publisher(PoseStamped, at(world, "cmd_pose")).publish(last)
    wait(lambda: abs(poses[-1].pose.position.y - last.pose.position.y) < 1e-6, "the newest command's frame")


def test_a_second_node_of_the_same_name_is_told_and_stops_nothing(graph, world, domain):
    name = world.get_fully_qualified_name()[1:]
    reports = graph.collect(DiagnosticArray, "/diagnostics", 10)

    def newest():
        return next((status for msg in reversed(reports) for status in msg.status if status.name == name), None)

    wait(lambda: newest() and newest().level == DiagnosticStatus.OK, "a report that all is well")
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    twin = Node(world.get_name(), context=context, namespace=world.get_namespace())
    try:
        wait(lambda: newest().level == DiagnosticStatus.WARN, "a warning")
        assert "more of this name" in newest().message
        told = graph.collect(GeneratedFrame, at(world, "camera/color/metadata"))
        graph.publisher(PoseStamped, at(world, "cmd_pose")).publish(pose_at(0.0))
        wait(lambda: told, "a frame all the same")
    finally:
        twin.destroy_node()
        rclpy.shutdown(context=context)
    wait(lambda: newest().level == DiagnosticStatus.OK, "a report that all is well again")

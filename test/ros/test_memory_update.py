"""Who takes in every update over ROS holds the node's map to the bit; parts of it are given on request."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import START, wait, walled_world
from rclpy.impl.implementation_singleton import rclpy_implementation
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import ColorRGBA

from spatia_ros import geometry
from spatia_ros.msg import MemoryUpdate
from spatia_ros.nodes import convert, convert_cloud, convert_memory, memory_update, qos
from spatia_ros.nodes.memory_mirror import MemoryMirror
from spatia_ros.srv import EditMemory, GetRegion, LoadMemory, Restore, Snapshot

SETTINGS = {"frame_rate_hz": 100.0, "update__max_points": 500, "update__max_bytes_per_s": 1e9}
Ask = EditMemory.Request


@pytest.fixture(scope="module", autouse=True)
def often():
    """Looked at a hundred times a second: the tests need not wait for the timer."""
    patch = pytest.MonkeyPatch()
    patch.setattr(memory_update, "PERIOD_S", 0.01)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def make(graph, folder, namespace, **changes):
    return walled_world(graph, folder, namespace, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def world(graph, folder):
    return make(graph, folder, "/told")


def truth(world):
    """The node's points in the map, to compare: rows of bytes, sorted."""
    points, T = world.worker.submit(world.memory.points).result(), world.T_map_world
    return rows(convert_memory.in_map(points.xyz, T), points.rgb)


def rows(xyz, rgb):
    both = np.hstack([np.ascontiguousarray(xyz).view(np.uint8).reshape(len(xyz), 12), rgb])
    return both[np.lexsort(both.T)]


def same(mirror, world):
    mine, theirs = rows(*mirror.points()), truth(world)
    return mine.shape == theirs.shape and (mine == theirs).all()


def paint(graph, **colour):
    ball, color = [2.0, 0.3, 1.0, 0.1], ColorRGBA(a=1.0, **colour)
    painted = graph.call(EditMemory, "/told/memory/edit", operation=Ask.RECOLOUR, sphere=ball, color=color)
    assert painted.success, painted.message


def follows(mirror, world, what):
    """Wait until the copy is the map, to the bit."""
    wait(lambda: mirror.started and same(mirror, world), f"the map after {what}")


def test_a_mirror_holds_the_map_through_everything(graph, world, folder):
    mirror = MemoryMirror(graph.client, "/told/world/memory/update")
    follows(mirror, world, "joining")
    assert len(mirror) > 1000 > SETTINGS["update__max_points"]  # in parts
    assert mirror.frame_id == "map"
    before = mirror.sequence
    go = graph.publisher(PoseStamped, "/told/cmd_pose")
    frames = world.frames.made
    turned = world.rig.base_of(START @ geometry.pose(np.eye(3), np.array([0.4, 0.2, 0.0])))
    go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(turned)))
    wait(lambda: world.frames.made > frames, "a frame")
    follows(mirror, world, "fusing")
    assert graph.call(Snapshot, "/told/snapshot", name="before").success
    removed = graph.call(EditMemory, "/told/memory/edit", operation=Ask.REMOVE, sphere=[2.0, 0.0, 1.0, 0.2])
    assert removed.success, removed.message
    follows(mirror, world, "removing")
    middle = np.linalg.norm(mirror.points()[0] - (2.0, 0.0, 1.0), axis=1)
    assert middle.min() > 0.19
    assert graph.call(EditMemory, "/told/memory/edit", operation=Ask.UNDO).success
    follows(mirror, world, "undoing")
    paint(graph, r=1.0)
    follows(mirror, world, "painting")
    assert graph.call(Restore, "/told/restore", name="before").success
    follows(mirror, world, "restoring")
    assert graph.call(LoadMemory, "/told/memory/load", path="wall.spatia").success
    follows(mirror, world, "loading")
    assert (mirror.gaps, mirror.error) == (0, "")
    assert mirror.sequence > before + 5
    mirror.close()


def test_who_joins_late_is_told_from_the_beginning_and_a_gap_is_noticed(graph, world):
    first = MemoryMirror(graph.client, "/told/world/memory/update")
    follows(first, world, "joining")
    late = MemoryMirror(graph.client, "/told/world/memory/update")
    follows(late, world, "joining late")
    follows(first, world, "the other joining")
    late._expected -= 3  # as if some had been lost
    paint(graph, g=1.0)
    wait(lambda: late.gaps == 1, "the gap")
    follows(late, world, "joining anew")
    for mirror in (first, late):
        mirror.close()


def test_nobody_listens_and_nothing_is_computed(graph, world, monkeypatch):
    part = next(p for p in world._parts if isinstance(p, memory_update.MemoryUpdates))
    wait(lambda: part._updates is None, "what was kept for the last listener to go")
    looks = []
    monkeypatch.setattr(memory_update.MemoryUpdates, "_tell", lambda self: looks.append(1))
    ticks = threading.Event()
    offered = memory_update.MemoryUpdates._offer
    count = iter(range(10**6))
    monkeypatch.setattr(part, "_offer", lambda: (offered(part), next(count) > 5 and ticks.set()))
    for _ in range(8):
        part._offer()
    assert ticks.is_set()
    assert looks == []
    listening = graph.collect(MemoryUpdate, "/told/world/memory/update", qos.UPDATES)
    wait(lambda: looks, "a look once somebody listens")
    assert listening == []


def test_messages_are_paid_for(graph, folder):
    """At 14 kB a second a message of 500 voxels is paid for in a second: the second one waits."""
    node = make(graph, folder, "/slow", update__max_bytes_per_s=14_000.0)
    updates = graph.collect(MemoryUpdate, "/slow/world/memory/update", qos.UPDATES)
    wait(lambda: updates, "an update")
    part = next(p for p in node._parts if isinstance(p, memory_update.MemoryUpdates))
    assert updates[0].clear
    assert len(updates[0].added_voxels) == 3 * 500 == 3 * updates[0].added.width
    wait(lambda: part._free_at_s > 0, "its price, which is reckoned once it is sent")
    published, free_at_s = len(updates), part._free_at_s
    wait(lambda: len(updates) > published, "the next")
    assert part._free_at_s >= free_at_s + 0.99


def test_the_next_message_waits_until_the_last_has_arrived_or_its_listener_is_given_up(graph, folder, monkeypatch):
    node = make(graph, folder, "/acked", update__max_points=100)
    part = next(p for p in node._parts if isinstance(p, memory_update.MemoryUpdates))
    arrived, real, sent_s = threading.Event(), part._publisher, []

    class Publisher:
        """The real one, but what it sent has arrived when the test says so."""

        get_subscription_count = staticmethod(real.get_subscription_count)

        def publish(self, msg):
            sent_s.append(time.monotonic())
            real.publish(msg)

        def wait_for_all_acked(self, timeout):
            assert timeout.nanoseconds == 0
            return arrived.is_set() and real.wait_for_all_acked(timeout)

    monkeypatch.setattr(part, "_publisher", Publisher())
    updates = graph.collect(MemoryUpdate, "/acked/world/memory/update", qos.UPDATES)
    wait(lambda: len(updates) > 2, "three messages that nobody acknowledges")
    assert min(np.diff(sent_s)) >= memory_update.PATIENCE_S
    arrived.set()
    before, began_s = len(sent_s), time.monotonic()
    wait(lambda: len(sent_s) >= before + 10, "ten that are acknowledged")
    assert time.monotonic() - began_s < 10 * memory_update.PATIENCE_S


def test_nobody_is_waited_for_where_the_middleware_cannot_tell():
    def unable(timeout):
        raise rclpy_implementation.RCLError("unsupported")

    part = SimpleNamespace(_sent_s=time.monotonic(), _publisher=SimpleNamespace(wait_for_all_acked=unable))
    assert memory_update.MemoryUpdates._arrived(part)


def test_a_map_that_was_turned_is_mirrored_in_the_map(graph, folder):
    node = make(graph, folder, "/turned", frames__map_up="-y")
    mirror = MemoryMirror(graph.client, "/turned/world/memory/update")
    follows(mirror, node, "joining")
    np.testing.assert_allclose(mirror.points()[0][:, 0], 2.0, atol=0.02)
    xyz, voxels = mirror.points()[0], mirror.voxels()
    in_world = xyz @ node.T_map_world[:3, :3]
    assert np.abs(in_world / mirror.voxel_m - (voxels + 0.5)).max() < 0.51
    mirror.close()


def test_a_malformed_update_is_refused():
    header, clear = convert.to_header(0, "map"), np.zeros((0, 3), np.float32)
    msg = MemoryUpdate(header=header, added=convert_cloud.to_cloud(clear, clear.astype(np.uint8), header))
    assert len(convert_memory.from_update(msg).voxels) == 0
    ragged = {"added_voxels": [1, 2]}, {"removed_voxels": [1, 2, 3, 4]}
    for wrong in (*ragged, {"added_voxels": [1, 2, 3]}, {"added": PointCloud2()}):
        broken = MemoryUpdate(header=header, added=msg.added)
        for name, value in wrong.items():
            setattr(broken, name, value)
        with pytest.raises(convert.Malformed):
            convert_memory.from_update(broken)


def region(graph, **asked):
    return graph.call(GetRegion, "/told/memory/get_region", **asked)


def test_the_points_of_a_region(graph, world):
    found = region(graph, sphere=[2.0, 0.0, 1.0, 0.25])
    assert found.success, found.message
    columns = convert_cloud.from_cloud_fields(found.points)
    xyz = np.stack([columns[n] for n in "xyz"], -1)
    every, _ = convert_cloud.from_cloud(found.points)
    points = world.worker.submit(world.memory.points).result()
    wanted = np.linalg.norm(points.xyz.astype(np.float64) - (2.0, 0.0, 1.0), axis=1) <= 0.25
    assert found.total == len(xyz) == wanted.sum() > 50
    assert sorted(map(tuple, xyz.tolist())) == sorted(map(tuple, points.xyz[wanted].tolist()))
    assert (every == xyz).all()
    assert (np.unique(columns["confidence"]) == np.unique(np.where(points.sensed[wanted], 255, 0))).all()
    assert found.points.header.frame_id == "map"
    few = region(graph, sphere=[2.0, 0.0, 1.0, 0.25], max_points=10)
    assert (few.total, few.points.width) == (found.total, 10)
    both = region(graph, sphere=[2.0, 0.0, 1.0, 0.25], box=[1.0, 0.0, 0.0, 3.0, 1.0, 2.0])
    assert 0 < both.total < found.total


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "expected a part (object, box or sphere)"),
        ({"sphere": [0.0, 0.0, 0.0]}, "get_region: sphere: expected 4"),
        ({"sphere": [50.0, 0.0, 0.0, 1.0]}, "expected points in"),
        ({"box": [0.0, 0.0, float("nan"), 1.0, 1.0, 1.0]}, "finite"),
        ({"object": "nothing of that name"}, "nothing of that name"),
    ],
)
def test_a_region_without_points_says_so(graph, world, asked, words):
    answer = region(graph, **asked)
    assert not answer.success
    assert words in answer.message

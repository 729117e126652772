"""The memory as a point cloud: which points are chosen, and how often that is done."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from harness import wall_memory
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2

from spatia_ros import geometry
from spatia_ros.memory.thinned import even_choice, thinned
from spatia_ros.nodes import cloud, convert, convert_cloud
from spatia_ros.nodes.cloud import CloudOutput, choose, turned
from spatia_ros.nodes.settings import CloudSettings


@pytest.fixture(scope="module")
def memory():
    return wall_memory()


def test_an_even_choice_has_both_ends_and_no_gaps():
    assert even_choice(3, 5).tolist() == [0, 1, 2]
    assert even_choice(0, 5).tolist() == []
    assert even_choice(9, 0).tolist() == []
    chosen = even_choice(1000, 7)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 999, 7)
    assert set(np.diff(chosen)) <= {166, 167}


def test_a_few_points_are_what_all_points_have_there(memory):
    points, chosen = memory.points(), even_choice(len(memory), 50)
    xyz, rgb = thinned(memory, 50)
    np.testing.assert_array_equal(xyz, points.xyz[chosen])
    np.testing.assert_array_equal(rgb, points.rgb[chosen])
    np.testing.assert_array_equal(thinned(memory, 10**9)[0], points.xyz)


def test_one_point_a_cube():
    xyz = np.array([[0.01, 0, 0], [0.09, 0, 0], [0.11, 0, 0], [-0.01, 0, 0], [5.0, 5.0, 5.0]], np.float32)
    assert choose(xyz, 0.1, 10).tolist() == [0, 2, 3, 4]
    assert choose(xyz, 0.1, 2).tolist() == [0, 4]


def test_turning_is_the_matrix_product():
    rng = np.random.default_rng(0)
    T = geometry.pose(Rotation.random(rng=1).as_matrix(), np.array([1.0, 2.0, 3.0]))
    xyz = rng.normal(size=(100, 3)).astype(np.float32)
    np.testing.assert_allclose(turned(xyz, T), xyz @ T[:3, :3].T + T[:3, 3], atol=1e-5)
    assert turned(xyz, T).dtype == np.float32


class Ends:
    """Endpoints with one publisher, which collects; and a clock that is set by hand."""

    def __init__(self, monkeypatch):
        self.sent, self.undo, self.now_s, self.errors = [], [], 100.0, []
        publisher = SimpleNamespace(get_subscription_count=lambda: 1, publish=self.sent.append)
        monkeypatch.setattr(cloud.qos, "publisher", lambda *_: publisher)
        monkeypatch.setattr(cloud.time, "monotonic", lambda: self.now_s)
        self.out = CloudOutput(self, SimpleNamespace(guard=lambda name, make: make))

    def keep(self, thing, undo):
        self.undo.append(undo)
        return thing

    def publish(self, memory, version, **limits):
        self.out.publish(memory, version, np.eye(4), convert.to_header(0, "map"), CloudSettings(**limits))
        self.out._making.result(30.0)
        return self.sent[-1]


@pytest.fixture
def ends(monkeypatch):
    it = Ends(monkeypatch)
    yield it
    for undo in it.undo:
        undo()


def test_a_cloud_waits_until_the_last_is_paid_for(ends, memory):
    """100 points of 16 bytes at 800 bytes/s: two seconds."""
    assert ends.out.is_due(1)
    msg = ends.publish(memory, 1, max_points=100, max_bytes_per_s=800.0)
    assert isinstance(msg, PointCloud2)
    assert (msg.width, len(msg.data)) == (100, 1600)
    assert not ends.out.is_due(1), "nothing changed"
    assert not ends.out.is_due(2), "not paid for"
    ends.now_s = 101.9
    assert not ends.out.is_due(2)
    ends.now_s = 102.0
    assert ends.out.is_due(2)
    assert not ends.out.is_due(1)


def test_the_next_waits_while_one_is_being_made(ends, memory, monkeypatch):
    go = threading.Event()
    to_cloud = convert_cloud.to_cloud
    monkeypatch.setattr(cloud.convert_cloud, "to_cloud", lambda *parts: go.wait(30.0) and to_cloud(*parts))
    ends.out.publish(memory, 1, np.eye(4), convert.to_header(0, "map"), CloudSettings())
    assert not ends.out.is_due(2)
    go.set()
    ends.out._making.result(30.0)
    ends.now_s += 1e6
    assert ends.out.is_due(2)


def test_one_point_a_cube_is_published(ends, memory):
    msg = ends.publish(memory, 1, voxel_m=0.5)
    xyz, _ = convert_cloud.from_cloud(msg)
    assert 4 < len(xyz) < len(memory)
    assert len(np.unique(np.floor(xyz / 0.5), axis=0)) == len(xyz)

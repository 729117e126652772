"""Matching colour with depth, and finding the pose of a frame at a time."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.nodes import convert
from spatia_ros.nodes.sync import KEEP, Pairing
from spatia_ros.nodes.transforms import NoTransform, TransformBuffer


def test_pairs_are_the_nearest_in_time():
    pairing = Pairing(20)
    assert pairing.add_second(95, "early") is None
    assert pairing.add_second(103, "near") is None
    assert pairing.add_first(101, "colour") == (101, "colour", "near")
    assert pairing.unmatched == 1  # the early one can find no partner any more


def test_order_of_arrival_does_not_matter():
    pairing = Pairing(5)
    assert pairing.add_first(100, "a") is None
    assert pairing.add_first(133, "b") is None
    assert pairing.add_second(102, "x") == (100, "a", "x")
    assert pairing.add_second(135, "y") == (133, "b", "y")
    assert pairing.unmatched == 0


def test_too_far_apart_is_no_pair_and_queues_are_bounded():
    pairing = Pairing(5)
    for i in range(KEEP + 3):
        assert pairing.add_first(i * 100, i) is None
    assert pairing.unmatched == 3
    assert pairing.add_second(50, "between") is None


def send(buffer, parent, child, T, stamp_ns=0, static=False):
    buffer.insert(convert.to_transform(T, stamp_ns, parent, child), static)


def test_a_chain_up_and_down_the_tree_interpolated_in_time():
    buffer, yaw = TransformBuffer(), Rotation.from_euler("z", 90, degrees=True).as_matrix()
    send(buffer, "map", "odom", geometry.pose(np.eye(3), np.array([10.0, 0, 0])), static=True)
    send(buffer, "odom", "base", np.eye(4), 100)
    send(buffer, "odom", "base", geometry.pose(yaw, np.array([2.0, 0, 0])), 300)
    send(buffer, "base", "camera", geometry.pose(np.eye(3), np.array([1.0, 0, 0])), static=True)
    half = Rotation.from_euler("z", 45, degrees=True).as_matrix()
    T = buffer.lookup("map", "camera", 200)
    np.testing.assert_allclose(T, geometry.pose(half, np.array([11.0, 0, 0]) + half[:, 0]), atol=1e-9)
    np.testing.assert_allclose(buffer.lookup("camera", "map", 200) @ T, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(buffer.lookup("map", "camera", 300)[:3, 3], (12.0, 1.0, 0.0), atol=1e-9)


def test_nothing_is_extrapolated_or_invented():
    buffer = TransformBuffer()
    send(buffer, "map", "base", np.eye(4), 100)
    send(buffer, "map", "base", np.eye(4), 200)
    for stamp_ns in (99, 201):
        with pytest.raises(NoTransform, match="known from 100 to 200"):
            buffer.lookup("map", "base", stamp_ns)
    with pytest.raises(NoTransform, match="in one tree"):
        buffer.lookup("map", "elsewhere", 150)


def test_loops_are_noticed():
    buffer = TransformBuffer()
    send(buffer, "a", "b", np.eye(4), static=True)
    send(buffer, "b", "a", np.eye(4), static=True)
    with pytest.raises(NoTransform, match="its own ancestor"):
        buffer.lookup("a", "map", 0)


def test_old_transforms_are_forgotten():
    buffer, second = TransformBuffer(), 1_000_000_000
    for t in range(31):
        send(buffer, "map", "base", geometry.pose(np.eye(3), np.array([float(t), 0, 0])), t * second)
    np.testing.assert_allclose(buffer.lookup("map", "base", 20 * second)[0, 3], 20.0)
    with pytest.raises(NoTransform):
        buffer.lookup("map", "base", 19 * second)

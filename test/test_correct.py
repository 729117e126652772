"""Corrected poses, and a map that follows them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Keyframe, Memory
from spatia_ros.memory.memory import Points
from spatia_ros.slam.correct import Correction, deform
from spatia_ros.types import Camera, SpatiaError

S = 1_000_000_000


def shift(x=0.0, y=0.0, yaw=0.0):
    return geometry.pose(Rotation.from_rotvec([0, 0, yaw]).as_matrix(), np.array([x, y, 0.0]))


@pytest.fixture
def correction():
    """Three keyframes a second apart on a line; the first stays, the others move 10 and 30 cm aside."""
    old = np.stack([shift(x) for x in (0.0, 1.0, 2.0)])
    return Correction(np.array([0, S, 2 * S]), old, np.stack([shift(0.0), shift(1.0, 0.1), shift(2.0, 0.3)]))


def test_points_move_with_the_keyframes_around_their_time(correction):
    xyz = np.tile(np.array([[5.0, -2.0, 1.0]], np.float32), (5, 1))
    moved = correction.points(xyz, np.array([0, S, 2 * S, S // 2, 9 * S]))
    assert np.allclose(moved - xyz, [[0, 0, 0], [0, 0.1, 0], [0, 0.3, 0], [0, 0.05, 0], [0, 0.3, 0]], atol=1e-6)


def test_a_turn_carries_points_round_its_keyframe():
    turned = Correction(np.array([0]), shift(1.0)[None], shift(1.0, 0.0, np.pi / 2)[None])
    assert np.allclose(turned.points(np.array([[2.0, 0.0, 0.0]]), np.array([0])), [[1.0, 1.0, 0.0]], atol=1e-9)


def test_poses_move_like_points(correction):
    stamps = np.array([S // 2, 3 * S // 2])
    poses = np.stack([shift(0.5), shift(1.5, yaw=0.4)])
    moved = correction.poses(stamps, poses)
    assert np.allclose(moved[:, :3, 3], correction.points(poses[:, :3, 3], stamps))
    assert np.allclose(moved[:, :3, :3], poses[:, :3, :3])


def test_a_common_motion_moves_everything_rigidly():
    old = np.stack([shift(0.0), shift(3.0, 1.0, 1.2)])
    C = shift(0.4, -0.2, 0.7)
    common = Correction(np.array([0, S]), old, C @ old)
    poses = np.stack([shift(1.0, 0.0, 0.3)])
    assert np.allclose(common.poses(np.array([S // 3]), poses), C @ poses, atol=1e-12)
    assert common.largest_m() == pytest.approx(np.linalg.norm((C @ old - old)[:, :3, 3], axis=1).max())


def test_a_bent_memory_keeps_what_points_are(correction):
    memory = Memory(MemoryConfig(voxel_m=0.02, feature_channels=2))
    xyz = np.array([[0.51, 0.51, 0.51], [1.51, 0.51, 0.51], [2.51, 0.51, 0.51]], np.float32)
    memory.add_points(Points(
        xyz, np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8), np.array([1.0, 3.0, 7.5], np.float32),
        np.array([True, False, True]), np.array([0, S, 2 * S]), np.array([0, 5, 9], np.uint16),
        np.arange(6, dtype=np.float16).reshape(3, 2),
    ))  # fmt: skip
    memory.names[5] = "chair"
    camera = Camera(8, 6, 5.0, 5.0, 4.0, 3.0)
    picture = np.zeros((6, 8, 3), np.uint8), np.ones((6, 8), np.float32), np.ones((6, 8), bool)
    memory.keyframes.append(Keyframe(*picture, camera, shift(1.0), S))
    bent = deform(memory, correction)
    before, after = memory.points(), bent.points()
    order = np.argsort(after.xyz[:, 0])
    assert np.allclose(after.xyz[order], xyz + [[0, 0, 0], [0, 0.1, 0], [0, 0.3, 0]], atol=1e-5)
    assert np.array_equal(np.argsort(before.xyz[:, 0]), [0, 1, 2]), "the memory it was made from is as it was"
    for name in ("rgb", "confidence", "sensed", "last_seen_ns", "label", "features"):
        assert np.array_equal(getattr(after, name)[order], getattr(before, name)), name
    assert bent.names == {5: "chair"}
    assert np.allclose(bent.keyframes.keyframes[0].T_world_cam, shift(1.0, 0.1))


@pytest.mark.parametrize("stamps", [[], [5, 5], [5, 4]])
def test_keyframes_out_of_order_are_refused(stamps):
    poses = np.tile(np.eye(4), (len(stamps), 1, 1))
    with pytest.raises(SpatiaError, match="strictly increasing"):
        Correction(np.array(stamps, np.int64), poses, poses)

"""ATE and RPE: paths whose errors are known, and evo's own reference pair."""

from __future__ import annotations

import numpy as np
import pytest
from recordings import recording
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.evaluate.trajectory import path_error
from spatia_ros.sequence.tum import read_poses
from spatia_ros.types import SpatiaError, Trajectory

T_ELSEWHERE = geometry.pose(Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix(), np.array([5.0, -3.0, 1.0]))


def circle(n: int = 40, start_ns: int = 1_700_000_000_123_456_789) -> Trajectory:
    """Once around at 2 m, looking inwards, 0.1 s a pose."""
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    eyes = np.stack([2 * np.cos(angles), 2 * np.sin(angles), 0.2 * np.sin(3 * angles)], -1)
    poses = np.stack([geometry.look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0])) for eye in eyes])
    return Trajectory(start_ns + np.arange(n) * 100_000_000, poses)


def test_a_path_seen_from_elsewhere_has_no_error():
    truth = circle()
    error = path_error(Trajectory(truth.stamps_ns, T_ELSEWHERE @ truth.T_world_cam), truth)
    assert (error.pairs, error.aligned_by) == (40, "positions")
    assert max(error.ate_rmse_m, error.ate_max_m, error.rpe_trans_m) < 1e-9
    assert error.rpe_rot_deg < 1e-5
    np.testing.assert_allclose(error.T_truth_path, geometry.inverse(T_ELSEWHERE), atol=1e-9)
    np.testing.assert_array_equal(error.stamps_ns, truth.stamps_ns)
    assert error.length_m == pytest.approx(np.linalg.norm(np.diff(truth.T_world_cam[:, :3, 3], axis=0), axis=1).sum())


def test_scale_is_an_error():
    truth = circle()
    smaller = truth.T_world_cam.copy()
    smaller[:, :3, 3] *= 0.9
    centre = truth.T_world_cam[:, :3, 3].mean(0)
    expected = 0.1 * np.sqrt(((truth.T_world_cam[:, :3, 3] - centre) ** 2).sum(1).mean())
    assert path_error(Trajectory(truth.stamps_ns, smaller), truth).ate_rmse_m == pytest.approx(expected, rel=1e-6)


def test_relative_errors_are_of_one_step():
    """A camera that rolls half a degree too much, and goes 1 cm too far, at every step."""
    truth = circle()
    extra = geometry.pose(Rotation.from_euler("z", 0.5, degrees=True).as_matrix(), np.array([0.01, 0.0, 0.0]))
    poses = [truth.T_world_cam[0]]
    for a, b in zip(truth.T_world_cam[:-1], truth.T_world_cam[1:], strict=True):
        poses.append(poses[-1] @ geometry.inverse(a) @ b @ extra)
    error = path_error(Trajectory(truth.stamps_ns, np.stack(poses)), truth)
    assert error.rpe_trans_m == pytest.approx(0.01, rel=1e-6)
    assert error.rpe_rot_deg == pytest.approx(0.5, rel=1e-6)
    assert error.ate_rmse_m > 0.01


def test_poses_are_matched_by_time():
    truth = circle()
    some = Trajectory(truth.stamps_ns[::3] + 4_000_000, truth.T_world_cam[::3])
    error = path_error(some, truth)
    assert error.pairs == 14
    assert error.ate_rmse_m < 1e-9
    with pytest.raises(SpatiaError, match="got none"):
        path_error(Trajectory(some.stamps_ns + 50_000_000, some.T_world_cam), truth)
    with pytest.raises(SpatiaError, match="at least 3 poses"):
        path_error(Trajectory(truth.stamps_ns[:2], truth.T_world_cam[:2]), truth)


def test_a_straight_path_is_aligned_by_its_first_pose():
    """Positions on a line leave the roll open; a camera that stands still leaves all of it open."""
    poses = np.stack([geometry.pose(np.eye(3), np.array([0.0, 0.0, 0.1 * i])) for i in range(10)])
    truth = Trajectory(np.arange(10) * 100_000_000, poses)
    error = path_error(Trajectory(truth.stamps_ns, T_ELSEWHERE @ poses), truth)
    assert error.aligned_by == "first pose"
    assert max(error.ate_rmse_m, error.rpe_trans_m) < 1e-9
    still = Trajectory(truth.stamps_ns, np.repeat(poses[:1], 10, 0))
    assert path_error(still, truth).ate_rmse_m == pytest.approx(np.sqrt((np.arange(10) ** 2).mean()) * 0.1)


def test_the_reference_pair_of_evo():
    folder = recording("evo_reference")
    truth, path = (read_poses(folder / f"freiburg1_xyz-{name}.txt") for name in ("groundtruth", "rgbdslam"))
    error = path_error(path, truth)
    assert error.pairs == 786
    assert error.ate_rmse_m == pytest.approx(0.0135, abs=5e-5)

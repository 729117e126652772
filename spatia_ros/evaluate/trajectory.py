"""How far a camera path is from the true one: ATE and RPE, computed by evo.

Sturm et al., "A Benchmark for the Evaluation of RGB-D SLAM Systems", IROS 2012.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spatia_ros.types import Float64, Int64, SpatiaError, Trajectory

if TYPE_CHECKING:
    from evo.core.trajectory import PoseTrajectory3D

MAX_SKEW_S = 0.02
"""Poses farther apart in time than this are of different moments (the TUM tool's default)."""
MIN_PAIRS = 3


class PathError(NamedTuple):
    """A path against the true one, after the rigid motion (never a scale) that brings it nearest.

    Args:
        pairs: poses compared.
        ate_rmse_m, ate_max_m: root mean square and largest distance of positions.
        rpe_trans_m, rpe_rot_deg: root mean square error of the motion from each compared pose to the next.
        length_m: length of the true path between the compared poses.
        T_truth_path: float64 [4, 4], the rigid motion.
        aligned_by: "positions" (least squares, Umeyama 1991), or "first pose" where the positions leave
            the rotation open: a path along a line, or no motion at all.
        stamps_ns: int64 [pairs], times of the compared poses of the path.
        errors_m: float64 [pairs], distance of every one of them.
    """

    pairs: int
    ate_rmse_m: float
    ate_max_m: float
    rpe_trans_m: float
    rpe_rot_deg: float
    length_m: float
    T_truth_path: Float64
    aligned_by: str
    stamps_ns: Int64
    errors_m: Float64


def path_error(path: Trajectory, truth: Trajectory, max_skew_s: float = MAX_SKEW_S) -> PathError:
    """Compare a path with the true one; poses are matched by time, one to one.

    Raises:
        SpatiaError: when fewer than three poses have a true one within ``max_skew_s``.
    """
    from evo.core.metrics import APE, RPE, PoseRelation
    from evo.core.sync import SyncException, associate_trajectories

    origin_ns = int(truth.stamps_ns[0])
    try:
        reference, estimate = associate_trajectories(_evo(truth, origin_ns), _evo(path, origin_ns), max_diff=max_skew_s)
    except SyncException:
        raise SpatiaError(f"path: expected poses within {max_skew_s} s of true ones, got none") from None
    n = estimate.num_poses
    if n < MIN_PAIRS:
        raise SpatiaError(f"path: expected at least {MIN_PAIRS} poses within {max_skew_s} s of true ones, got {n}")
    T_truth_path, aligned_by = _align(estimate, reference)
    ape = APE(PoseRelation.translation_part)
    ape.process_data((reference, estimate))
    steps = [RPE(relation, delta=1) for relation in (PoseRelation.translation_part, PoseRelation.rotation_angle_deg)]
    for step in steps:
        step.process_data((reference, estimate))
    ate, (translation, rotation) = ape.get_all_statistics(), (step.get_all_statistics()["rmse"] for step in steps)
    stamps_ns = np.round(estimate.timestamps * 1e9).astype(np.int64) + origin_ns
    return PathError(
        n, float(ate["rmse"]), float(ate["max"]), float(translation), float(rotation),
        float(reference.path_length), T_truth_path, aligned_by, stamps_ns, np.asarray(ape.error, np.float64),
    )  # fmt: skip


def _evo(trajectory: Trajectory, origin_ns: int) -> PoseTrajectory3D:
    """The path as evo has it, with times from ``origin_ns``: seconds since 1970 would round to a quarter of a microsecond."""
    from evo.core.trajectory import PoseTrajectory3D

    return PoseTrajectory3D(poses_se3=list(trajectory.T_world_cam), timestamps=(trajectory.stamps_ns - origin_ns) * 1e-9)


def _align(estimate: PoseTrajectory3D, reference: PoseTrajectory3D) -> tuple[Float64, str]:
    """Move the estimate onto the reference, in place; returns ``T_reference_estimate`` and what it was found by."""
    T = np.eye(4)
    if _spread(estimate.positions_xyz) and _spread(reference.positions_xyz):
        T[:3, :3], T[:3, 3], _ = estimate.align(reference, correct_scale=False)
        return T, "positions"
    return np.asarray(estimate.align_origin(reference), np.float64), "first pose"


def _spread(positions: Float64) -> bool:
    """Whether positions [N, 3] lie along no single line, to one part in a thousand of their extent."""
    extent = np.linalg.svd(positions - positions.mean(0), compute_uv=False)
    return bool(extent[1] > 1e-3 * extent[0] and extent[0] > 1e-6)

"""Two memories of one place as one: found to overlap, put into one frame, and merged voxel by voxel.

Alignment is Open3D's: FPFH features matched under RANSAC for a first guess, then ICP, point to plane, at ever smaller
distances, and a last time with colour. What overlaps too little, or agrees in shape but not in colour, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spatia_ros.memory.memory import Memory
from spatia_ros.memory.points import Points
from spatia_ros.types import Float64, SpatiaError, check_pose

if TYPE_CHECKING:
    import open3d as o3d

COARSEST_M = 0.05
"""Clouds are thinned to this, or to two voxels of the coarser memory if that is more."""
LEAST_FITNESS, SURE_FITNESS = 0.2, 0.5
"""Less is refused; more needs no second search."""
MOST_COLOUR_ERROR = 0.12
MOST_CLOUD_POINTS = 20_000_000
RANSAC_TRIALS, RANSAC_CONFIDENCE = 100_000, 0.999
TRIES = 3
"""Searches at most, each with its own randomness, of which the best is kept."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How one memory lies in the frame of another.

    Args:
        T_a_b: float64 [4, 4], from b's world to a's. fitness: share of b that lies on a. rmse_m: distance of what does.
        colour_error: mean difference in colour (0..1) of what does.
    """

    T_a_b: Float64
    fitness: float
    rmse_m: float
    colour_error: float


def align(a: Memory, b: Memory, seed: int = 0) -> Alignment:
    """Where ``b`` lies in the frame of ``a``, from their points alone.

    Raises:
        SpatiaError: when they do not overlap enough to tell.
    """
    from spatia_ros.o3d import o3d

    spacing = max(COARSEST_M, 2 * a.config.voxel_m, 2 * b.config.voxel_m)
    target, source = _cloud(a, "the first memory", spacing), _cloud(b, "the second memory", spacing)
    features = [_features(cloud, spacing) for cloud in (source, target)]
    best = None
    for k in range(TRIES):
        o3d.utility.random.seed(seed + k)
        found = _refined(source, target, _guess(source, target, features, spacing), spacing)
        if best is None or found.fitness > best.fitness:
            best = found
        if best.fitness > SURE_FITNESS:
            break
    assert best is not None
    if best.fitness < LEAST_FITNESS or best.colour_error > MOST_COLOUR_ERROR:
        raise SpatiaError(
            f"merge: expected memories that overlap by at least {LEAST_FITNESS:.0%} of the second and agree in colour to "
            f"{MOST_COLOUR_ERROR:.2f}, got {best.fitness:.0%} and {best.colour_error:.2f}; if they do overlap, give T"
        )
    return best


def _cloud(memory: Memory, name: str, spacing: float) -> o3d.geometry.PointCloud:
    from spatia_ros.o3d import o3d

    if not 1000 <= len(memory) <= MOST_CLOUD_POINTS:
        raise SpatiaError(f"merge: expected {name} to have 1000..{MOST_CLOUD_POINTS} points to align by, got {len(memory)}")
    points = Points.joined(list(memory.chunks()))
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.xyz.astype(np.float64)))
    cloud.colors = o3d.utility.Vector3dVector(points.rgb / 255.0)
    cloud = cloud.voxel_down_sample(spacing)
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamHybrid(3 * spacing, 30))
    return cloud


def _features(cloud: o3d.geometry.PointCloud, spacing: float) -> Any:
    from spatia_ros.o3d import o3d

    around: Any = o3d.geometry.KDTreeSearchParamHybrid(8 * spacing, 100)
    describe: Any = o3d.pipelines.registration.compute_fpfh_feature  # its stub asks for more than it needs
    return describe(cloud, around)


def _guess(
    source: o3d.geometry.PointCloud, target: o3d.geometry.PointCloud, features: list[Any], spacing: float
) -> Float64:
    """T_target_source by features alone."""
    from spatia_ros.o3d import o3d

    r: Any = o3d.pipelines.registration  # the stub of RANSAC takes no checks
    reach = 2.0 * spacing
    checks = [r.CorrespondenceCheckerBasedOnEdgeLength(0.9), r.CorrespondenceCheckerBasedOnDistance(reach)]
    return r.registration_ransac_based_on_feature_matching(
        source, target, features[0], features[1], True, reach, r.TransformationEstimationPointToPoint(False), 3, checks,
        r.RANSACConvergenceCriteria(RANSAC_TRIALS, RANSAC_CONFIDENCE),
    ).transformation


def _refined(
    source: o3d.geometry.PointCloud, target: o3d.geometry.PointCloud, T: Float64, spacing: float
) -> Alignment:
    """ICP from a guess on, and how well it fits."""
    from spatia_ros.o3d import o3d

    r = o3d.pipelines.registration
    for reach in (4.0 * spacing, 2.0 * spacing, spacing):
        T = r.registration_icp(source, target, reach, T, r.TransformationEstimationPointToPlane()).transformation
    plain = r.evaluate_registration(source, target, spacing, T)
    if plain.fitness > 0.0:
        try:
            coloured = r.registration_colored_icp(source, target, spacing, T, r.TransformationEstimationForColoredICP())
            T = coloured.transformation if coloured.fitness >= plain.fitness else T
        except RuntimeError:  # no correspondence left: what ICP found stands
            pass
    fit = r.evaluate_registration(source, target, spacing, T)
    pairs = np.asarray(fit.correspondence_set)
    if not len(pairs):
        return Alignment(np.array(T), 0.0, 0.0, 1.0)
    difference = np.asarray(source.colors)[pairs[:, 0]] - np.asarray(target.colors)[pairs[:, 1]]
    return Alignment(np.array(T), fit.fitness, fit.inlier_rmse, float(np.abs(difference).mean()))


def merge_into(a: Memory, b: Memory, T_a_b: Float64) -> None:
    """Take all of ``b``, moved by ``T_a_b``, into ``a``: points, labels with their names, keyframes.

    Raises:
        SpatiaError: on a pose that is not a finite rigid transform, on feature channels that differ, or when labels run out.
    """
    check_pose("T_a_b", T_a_b)
    if a.config.feature_channels != b.config.feature_channels:
        raise SpatiaError(f"merge: expected {a.config.feature_channels} feature channels, got {b.config.feature_channels}")
    number = _common_labels(a, b)
    R, t = T_a_b[:3, :3], T_a_b[:3, 3]
    for points in b.chunks():
        moved = (points.xyz @ R.T + t).astype(np.float32)
        a.add_points(points._replace(xyz=moved, label=number[points.label]))
    for keyframe in b.keyframes.keyframes:
        if len(a.keyframes) < a.config.keyframes:
            a.keyframes.append(replace(keyframe, T_world_cam=T_a_b @ keyframe.T_world_cam))


def _common_labels(a: Memory, b: Memory) -> np.ndarray:
    """What each label of ``b`` is in ``a``, uint16 [65536]: the one of the same name, or a new one (its name entered)."""
    number = np.zeros(1 << 16, np.uint16)
    by_name = {name: label for label, name in a.names.items()}
    free = iter(sorted(set(range(1, 1 << 16)) - a.names.keys()))
    used = {label for points in b.chunks() for label in np.unique(points.label).tolist()} | b.names.keys()
    for label in sorted(used - {0}):
        name = b.names.get(label, f"label {label} of the second")
        if name not in by_name:
            by_name[name] = next(free, 0)
            if not by_name[name]:
                raise SpatiaError("merge: expected at most 65535 names in both memories together, got more")
            a.names[by_name[name]] = name
        number[label] = by_name[name]
    return number

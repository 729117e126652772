"""Registration of an RGB-D image to others whose pose is known, coarse to fine, by colour and geometry together.

Every source pixel with depth is carried into each target and held against what is seen there: its distance to the
target's surface along the normal, and its brightness after a gain and an offset (exposure changes from image to
image, so both are unknowns). Residuals are counted in standard deviations, robustly (Huber), and Gauss-Newton
solves for the pose. Normal equations are summed by a compiled kernel; :mod:`.truth` says in plain NumPy what it sums.

A twist is (translation, rotation) in the axes of the *source* camera: ``T <- T exp(twist)``. It means the same to
every target, so several are registered to at once by adding their equations up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import get_num_threads, prange
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.config import TrackingConfig
from spatia_ros.kernels import njit
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.slam.pyramid import Level, RgbdPyramid
from spatia_ros.types import Float64, check_pose

UNKNOWNS = 8
"""Twist (6), log gain, offset."""
TERMS = UNKNOWNS * (UNKNOWNS + 1) // 2
TALLIES = 8
SUMS = TERMS + UNKNOWNS + TALLIES
"""Upper triangle of J^T W J, J^T W r, then tallies: known pixels, those in view, inliers; sum of their
squared distances; pixels compared in colour; over those, sums of the squared difference, the target's intensity, its square."""
PARALLEL_FROM_PX = 30_000
"""Smaller images are summed by one thread: waking others costs more."""
NEAREST_M = 0.05
"""Points nearer to a target's camera are behind it, or in it."""
STEEP = 4.0
"""How many times farther than the gate a match may be along the ray: surfaces seen at a slant."""
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
"""Sums may be taken in any order; NaN and infinity keep their meaning."""
STILL = 1e-4
"""A step below this (metres, radians) ends the finest level; twice, four times as much the coarser ones."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Where a source image was taken, seen from its target.

    Args:
        T_target_source: float64 [4, 4].
        fitness: share of the source's known pixels that lie on the target's surface.
        agreement: the same among those that fall on known pixels of the target.
        rmse_m: of their distances to it along its normals, metres.
        colour_rmse: of their intensities (0..1), after gain and offset.
        explained: share of the variance of the target's intensity that the source explains; at most 1.
        information: float64 [6, 6] of (translation, rotation) in the axes of the source camera.
    """

    T_target_source: Float64
    fitness: float
    agreement: float
    rmse_m: float
    colour_rmse: float
    explained: float
    information: Float64


@dataclass(frozen=True, slots=True)
class Target:
    """An image with a known pose."""

    pyramid: RgbdPyramid
    T_world_cam: Float64


def register(source: RgbdPyramid, target: RgbdPyramid, T_guess: Float64, config: TrackingConfig | None = None) -> Registration:
    """Register one image to another, from a guess of ``T_target_source``.

    Raises:
        SpatiaError: when the guess is not a finite rigid transform.
    """
    return register_to_many(source, [Target(target, np.eye(4))], T_guess, config)


def register_to_many(
    source: RgbdPyramid, targets: Sequence[Target], T_world_guess: Float64, config: TrackingConfig | None = None,
    last_level: int = 0,
) -> Registration:
    """Register one image to several at once; the result's target frame is the world the targets' poses are given in.

    Args:
        last_level: the finest level that is used, 0 being the whole image.
    """
    check_pose("T_guess", T_world_guess)
    config = config or TrackingConfig()
    T = T_world_guess.copy()
    gains = np.zeros((len(targets), 2))
    for level in range(len(source.levels) - 1, last_level - 1, -1):
        for _ in range(config.iterations[min(level, len(config.iterations) - 1)]):
            twist = _step(_equations(source, targets, T, gains, level, config), gains)
            T = T @ exp(twist)
            if np.abs(twist).max() < STILL * 2.0**level:
                break
    equations = _equations(source, targets, T, gains, last_level, config)
    return _result(orthonormal(T), equations)


def _equations(
    source: RgbdPyramid, targets: Sequence[Target], T_world_cam: Float64, gains: Float64, level: int, config: TrackingConfig
) -> Float64:
    """Sums [K, SUMS] for every target at one level."""
    sums = []
    for target, gain in zip(targets, gains, strict=True):
        T = geometry.inverse(target.T_world_cam) @ T_world_cam
        at = min(level, len(target.pyramid.levels) - 1)
        sums.append(normal_equations(source.levels[level], target.pyramid.levels[at], T, gain, level, config))
    return np.stack(sums)


def normal_equations(
    source: Level, target: Level, T_target_source: Float64, gain: Float64, level: int, config: TrackingConfig
) -> Float64:
    """The sums of one source level against one target level: float64 [SUMS].

    Args:
        gain: float64 [2], log gain and offset that bring the source's intensity to the target's.
        level: gates widen with it, 0 being the finest.
    """
    noise = np.array(
        [config.depth_noise_m, config.depth_noise_ratio, config.colour_noise, config.gate_ratio * 2.0**level, config.huber],
        np.float32,
    )
    rows = source.depth.shape[0]
    threads = get_num_threads() if source.depth.size >= PARALLEL_FROM_PX else 1
    stride = config.stride_px if level == 0 else 1
    images = (source.depth, source.intensity, intrinsics_of(source.camera).astype(np.float32), target.depth, target.intensity,
              target.slope, target.normals, intrinsics_of(target.camera).astype(np.float32))  # fmt: skip
    pose, gain = T_target_source.astype(np.float32), gain.astype(np.float32)
    if threads > 1:
        return _sum_chunks(*images, pose, gain, noise, stride, min(4 * threads, rows))
    sums = np.zeros(SUMS, np.float64)
    _sum_rows(0, rows, stride, *images, pose, gain, noise, sums)
    return sums


@njit(cache=True)
def _match_row(
    y: int, stride: int, src_depth: np.ndarray, src_intensity: np.ndarray, f: np.ndarray, depth: np.ndarray,
    normals: np.ndarray, g: np.ndarray, T: np.ndarray, gate_ratio: float, M: np.ndarray, tail: np.ndarray,
) -> int:
    """Pixels of a source row that lie on the target's surface, packed into the columns of M [13, W]; returns how many.

    A column: source point (x, y, z), its intensity, the same point in target axes (x, y, z), where the target sees
    it (u, v), normal there (x, y, z), distance to the surface along it.
    """
    zero, half = np.float32(0.0), np.float32(0.5)
    h, w = depth.shape
    known, seen, n = 0, 0, 0
    ry = (np.float32(y) + half - f[3]) / f[1]
    for x in range(y % stride, src_depth.shape[1], stride):
        d = src_depth[y, x]
        if d <= zero:
            continue
        known += 1
        px, py = (np.float32(x) + half - f[2]) / f[0] * d, ry * d
        qz = T[2, 0] * px + T[2, 1] * py + T[2, 2] * d + T[2, 3]
        if qz <= np.float32(NEAREST_M):
            continue
        qx = T[0, 0] * px + T[0, 1] * py + T[0, 2] * d + T[0, 3]
        qy = T[1, 0] * px + T[1, 1] * py + T[1, 2] * d + T[1, 3]
        u, v = g[0] * qx / qz + g[2], g[1] * qy / qz + g[3]
        if not (half <= u < np.float32(w) - half and half <= v < np.float32(h) - half):
            continue
        col, row = int(u), int(v)
        z, nx, ny, nz = depth[row, col], normals[row, col, 0], normals[row, col, 1], normals[row, col, 2]
        if z <= zero or nz == zero:
            continue
        seen += 1
        # The target's surface point is on the ray of its own pixel's centre.
        sx, sy = (np.float32(col) + half - g[2]) / g[0] * z, (np.float32(row) + half - g[3]) / g[1] * z
        distance = nx * (qx - sx) + ny * (qy - sy) + nz * (qz - z)
        if abs(distance) > gate_ratio * z or abs(qz - z) > np.float32(STEEP) * gate_ratio * z:
            continue
        M[0, n], M[1, n], M[2, n], M[3, n] = px, py, d, src_intensity[y, x]
        M[4, n], M[5, n], M[6, n], M[7, n], M[8, n] = qx, qy, qz, u, v
        M[9, n], M[10, n], M[11, n], M[12, n] = nx, ny, nz, distance
        n += 1
    tail[0] += np.float32(known)
    tail[1] += np.float32(seen)
    tail[2] += np.float32(n)
    return n


@njit(cache=True, fastmath=FASTMATH)
def _sampled_row(M: np.ndarray, n: int, image: np.ndarray, slope: np.ndarray, S: np.ndarray) -> None:
    """Intensity of the target where it sees the points, and its slope: S [3, W], bilinear, clamped at the rim."""
    one, half = np.float32(1.0), np.float32(0.5)
    last_x, last_y = image.shape[1] - 2, image.shape[0] - 2
    for i in range(n):
        u, v = M[7, i] - half, M[8, i] - half
        x, y = min(int(u), last_x), min(int(v), last_y)
        ax, ay = u - np.float32(x), v - np.float32(y)
        w00, w01, w10, w11 = (one - ay) * (one - ax), (one - ay) * ax, ay * (one - ax), ay * ax
        S[0, i] = w00 * image[y, x] + w01 * image[y, x + 1] + w10 * image[y + 1, x] + w11 * image[y + 1, x + 1]
        for k in range(2):
            left = (one - ay) * slope[y, x, k] + ay * slope[y + 1, x, k]
            right = (one - ay) * slope[y, x + 1, k] + ay * slope[y + 1, x + 1, k]
            S[1 + k, i] = (one - ax) * left + ax * right


@njit(cache=True, fastmath=FASTMATH)
def _geometry_row(M: np.ndarray, n: int, T: np.ndarray, noise: np.ndarray, J: np.ndarray) -> None:
    """Distances to the surface, in standard deviations, and their Jacobian: J [10, W] (8 unknowns, residual, weight).

    With m = R^T n, the distance changes by (m, p x m) per unit of twist.
    """
    one = np.float32(1.0)
    for i in range(n):
        px, py, pz, nx, ny, nz = M[0, i], M[1, i], M[2, i], M[9, i], M[10, i], M[11, i]
        s = one / (noise[0] + noise[1] * M[6, i] * M[6, i])
        mx = (T[0, 0] * nx + T[1, 0] * ny + T[2, 0] * nz) * s
        my = (T[0, 1] * nx + T[1, 1] * ny + T[2, 1] * nz) * s
        mz = (T[0, 2] * nx + T[1, 2] * ny + T[2, 2] * nz) * s
        J[0, i], J[1, i], J[2, i] = mx, my, mz
        J[3, i], J[4, i], J[5, i] = py * mz - pz * my, pz * mx - px * mz, px * my - py * mx
        J[8, i] = M[12, i] * s
        J[9, i] = min(one, noise[4] / max(abs(J[8, i]), np.float32(1e-6)))


@njit(cache=True, fastmath=FASTMATH)
def _colour_row(
    M: np.ndarray, S: np.ndarray, n: int, T: np.ndarray, g: np.ndarray, gain: np.ndarray, noise: np.ndarray, J: np.ndarray
) -> None:
    """Differences of intensity, target - exp(gain) source - offset, in standard deviations, and their Jacobian.

    With k the slope per metre in target axes and m = R^T k, the difference changes by (m, p x m) per unit of twist.
    Where the target has no slope (depth edges) nothing is compared.
    """
    one, s = np.float32(1.0), np.float32(1.0) / noise[2]
    factor = np.exp(gain[0])
    for i in range(n):
        px, py, pz, inv = M[0, i], M[1, i], M[2, i], one / M[6, i]
        kx, ky = S[1, i] * g[0] * inv * s, S[2, i] * g[1] * inv * s
        kz = -(kx * M[4, i] + ky * M[5, i]) * inv
        mx = T[0, 0] * kx + T[1, 0] * ky + T[2, 0] * kz
        my = T[0, 1] * kx + T[1, 1] * ky + T[2, 1] * kz
        mz = T[0, 2] * kx + T[1, 2] * ky + T[2, 2] * kz
        J[0, i], J[1, i], J[2, i] = mx, my, mz
        J[3, i], J[4, i], J[5, i] = py * mz - pz * my, pz * mx - px * mz, px * my - py * mx
        J[6, i], J[7, i] = -factor * M[3, i] * s, -s
        J[8, i] = (S[0, i] - factor * M[3, i] - gain[1]) * s
        flat = S[1, i] == np.float32(0.0) and S[2, i] == np.float32(0.0)
        J[9, i] = np.float32(0.0) if flat else min(one, noise[4] / max(abs(J[8, i]), np.float32(1e-6)))


@njit(cache=True, fastmath=FASTMATH)
def _accumulate(J: np.ndarray, n: int, unknowns: int, sums: np.ndarray) -> None:
    """Add n weighted residuals to the sums."""
    weight, r, weighted = J[9], J[8], J[10]
    at = 0
    for a in range(unknowns):
        row = J[a]
        total = np.float32(0.0)
        for i in range(n):
            weighted[i] = weight[i] * row[i]
            total += weighted[i] * r[i]
        sums[TERMS + a] += total
        for b in range(a, unknowns):
            other = J[b]
            total = np.float32(0.0)
            for i in range(n):
                total += weighted[i] * other[i]
            sums[at + b - a] += total
        at += UNKNOWNS - a


@njit(cache=True)
def _sum_rows(
    low: int, high: int, stride: int, src_depth: np.ndarray, src_intensity: np.ndarray, f: np.ndarray, depth: np.ndarray,
    image: np.ndarray, slope: np.ndarray, normals: np.ndarray, g: np.ndarray, T: np.ndarray, gain: np.ndarray,
    noise: np.ndarray, sums: np.ndarray,
) -> None:
    """Rows ``low`` to ``high`` of the source, every ``stride``-th pixel of them, shifted from row to row."""
    width = src_depth.shape[1]
    M, S, J = np.zeros((13, width), np.float32), np.zeros((3, width), np.float32), np.zeros((11, width), np.float32)
    tail = sums[TERMS + UNKNOWNS :]
    for y in range(low, high):
        n = _match_row(y, stride, src_depth, src_intensity, f, depth, normals, g, T, noise[3], M, tail)
        if n == 0:
            continue
        _geometry_row(M, n, T, noise, J)
        _accumulate(J, n, 6, sums)
        for i in range(n):
            tail[3] += M[12, i] * M[12, i]
        _sampled_row(M, n, image, slope, S)
        _colour_row(M, S, n, T, g, gain, noise, J)
        _accumulate(J, n, UNKNOWNS, sums)
        for i in range(n):
            if J[9, i] > np.float32(0.0):
                tail[4] += 1.0
                tail[5] += (J[8, i] * noise[2]) ** 2
                tail[6] += S[0, i]
                tail[7] += S[0, i] * S[0, i]


@njit(cache=True, parallel=True)
def _sum_chunks(
    src_depth: np.ndarray, src_intensity: np.ndarray, f: np.ndarray, depth: np.ndarray, image: np.ndarray, slope: np.ndarray,
    normals: np.ndarray, g: np.ndarray, T: np.ndarray, gain: np.ndarray, noise: np.ndarray, stride: int, chunks: int,
) -> np.ndarray:
    rows = src_depth.shape[0]
    sums = np.zeros((chunks, SUMS), np.float64)
    for each in prange(chunks):
        c = np.int64(each)
        _sum_rows(
            c * rows // chunks, (c + 1) * rows // chunks, stride, src_depth, src_intensity, f, depth, image, slope, normals,
            g, T, gain, noise, sums[c],
        )
    return sums.sum(0)


def unpacked(sums: Float64) -> tuple[Float64, Float64]:
    """J^T W J [8, 8] and J^T W r [8] of the sums."""
    H = np.zeros((UNKNOWNS, UNKNOWNS))
    H[np.triu_indices(UNKNOWNS)] = sums[:TERMS]
    return H + np.triu(H, 1).T, sums[TERMS : TERMS + UNKNOWNS]


def reduced(sums: Float64) -> tuple[Float64, Float64, Float64, Float64]:
    """The equations with gain and offset eliminated (Schur): H [6, 6], b [6], and what gives them back: A [2, 6], c [2]."""
    H, b = unpacked(sums)
    inner = np.linalg.pinv(H[6:, 6:], rcond=1e-6, hermitian=True)
    A, c = inner @ H[6:, :6], inner @ b[6:]
    return H[:6, :6] - H[:6, 6:] @ A, b[:6] - H[:6, 6:] @ c, A, c


def _step(equations: Float64, gains: Float64) -> Float64:
    """The Gauss-Newton twist [6] over all targets; their gains [K, 2] are moved along, in place."""
    parts = [reduced(sums) for sums in equations]
    H, b = sum(p[0] for p in parts), sum(p[1] for p in parts)
    H = H + np.diag(1e-6 * np.diag(H) + 1e-9)
    twist = -np.linalg.solve(H, b)
    for gain, (_, _, A, c) in zip(gains, parts, strict=True):
        gain += np.clip(-c - A @ twist, -0.3, 0.3)
        np.clip(gain, -1.0, 1.0, out=gain)
    return np.clip(twist, -0.3, 0.3)


def _result(T: Float64, equations: Float64) -> Registration:
    tallies = equations[:, TERMS + UNKNOWNS :]
    _, seen, inliers, squared, coloured, differences, bright, bright_squared = tallies.sum(0)
    n, m = max(inliers, 1.0), max(coloured, 1.0)
    contrast = bright_squared / m - (bright / m) ** 2
    information = np.sum([reduced(sums)[0] for sums in equations], 0)
    return Registration(
        T, float((tallies[:, 2] / np.maximum(tallies[:, 0], 1.0)).max()), float(inliers / max(seen, 1.0)),
        float(np.sqrt(squared / n)), float(np.sqrt(differences / m)),
        float(1.0 - differences / m / max(contrast, 1e-9)), 0.5 * (information + information.T),
    )


def exp(twist: Float64) -> Float64:
    """The rigid transform of a twist [6]: translation, and rotation vector."""
    return geometry.pose(Rotation.from_rotvec(twist[3:]).as_matrix(), twist[:3])


def twist_of(T: Float64) -> Float64:
    """The twist [6] whose :func:`exp` this transform is."""
    return np.concatenate([T[:3, 3], Rotation.from_matrix(T[:3, :3]).as_rotvec()])


def orthonormal(T: Float64) -> Float64:
    """The nearest rigid transform: rounding adds up over many products."""
    U, _, Vt = np.linalg.svd(T[:3, :3])
    return geometry.pose(U @ Vt, T[:3, 3])

"""Places known again by their look: SIFT features with 3D points, and the rigid motion between two of them.

``describe`` keeps of an RGB-D frame what is needed to recognise it later: strong features (Lowe, IJCV 2004)
that have depth, and a coarse depth map. ``align`` finds the motion between two described frames whatever
their distance: mutual matches that pass the ratio test, RANSAC over triples (Kabsch's closed form), then
least squares on pixels and depth. Because a poster can hang on two walls, features alone are not believed:
the depth maps must agree where they overlap, and neither may see through what the other measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8, check_array

GRID_COLUMNS = 80
"""Width of the coarse depth map a description keeps, px."""

RATIO = 0.85
"""A match's distance over the second best's, at most (Lowe, section 7.1, with mutual matches on top)."""

HYPOTHESES = 400
"""Triples RANSAC tries: with 20 % right matches, 96 % sure to meet three right ones."""

REPROJECTION = 0.008
"""An inlier lies this near its match, in image widths."""


@dataclass(frozen=True, slots=True)
class Features:
    """What is kept of a frame to know it again.

    Args:
        pixels: float32 [N, 2], where the features lie, px, centres at +0.5.
        points_cam: float64 [N, 3], metres, camera frame.
        descriptors: uint8 [N, 128], SIFT, strongest first.
        camera: of the pixels.
        grid: float32 [rows, cols], coarse depth, metres, 0 = unknown. grid_camera: its intrinsics.
    """

    pixels: Float32
    points_cam: Float64
    descriptors: UInt8
    camera: Camera
    grid: Float32
    grid_camera: Camera

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How two depth maps agree under a motion; shares of 0..1.

    Args:
        share: of either map's known pixels, how many land on known pixels of the other (the smaller of both ways).
        agreeing: of those, how many show the same depth.
        contradicting: of those, how many the other map sees through.
    """

    share: float
    agreeing: float
    contradicting: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """The motion between two described frames.

    Args:
        T_a_b: float64 [4, 4].
        inliers: matches that agree with it. matches: how many there were.
        rmse_px: of the inliers' reprojection, px.
        overlap: agreement of the depth maps.
    """

    T_a_b: Float64
    inliers: int
    matches: int
    rmse_px: float
    overlap: Overlap


def describe(rgb: UInt8, depth: Float32, camera: Camera, limit: int = 500) -> Features:
    """The features of a frame, at most ``limit``, only where depth is known and not on a depth edge.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown.
    """
    check_array("describe: rgb", rgb, (camera.height, camera.width, 3), np.uint8)
    check_array("describe: depth", depth, (camera.height, camera.width), np.float32)
    sift = cv2.SIFT_create(nfeatures=2 * limit, contrastThreshold=0.02)  # type: ignore[attr-defined]
    found, descriptors = sift.detectAndCompute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None)
    pixels = np.array([k.pt for k in found], np.float32).reshape(-1, 2) + np.float32(0.5)
    strength = np.array([k.response for k in found])
    z = _steady_depth(depth)[tuple(_inside(pixels, camera).T[::-1])]
    order = np.argsort(-strength, kind="stable")
    order = order[z[order] > 0][:limit]
    described = np.zeros((0, 128), np.uint8) if descriptors is None else descriptors[order].astype(np.uint8)
    pixels = pixels[order]
    rays = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    points = np.column_stack([rays, np.ones(len(rays))]) * z[order, None]
    return Features(pixels, points.astype(np.float64), described, camera, *coarse(depth, camera))


def coarse(depth: Float32, camera: Camera) -> tuple[Float32, Camera]:
    """The depth map sampled at every k-th pixel (never averaged across an edge) and its camera."""
    step = max(1, camera.width // GRID_COLUMNS)
    rows, cols = camera.height // step, camera.width // step
    grid = np.ascontiguousarray(depth[step // 2 :: step, step // 2 :: step][:rows, :cols])
    shift = step // 2 + 0.5 - 0.5 * step  # pixel centres of the samples, in full pixels, seen from an even grid
    cx, cy = (camera.cx - shift) / step, (camera.cy - shift) / step
    return grid, Camera(cols, rows, camera.fx / step, camera.fy / step, cx, cy)


def match(a: Features, b: Features) -> np.ndarray:
    """int64 [M, 2], indices of features that are each other's nearest and clearly nearer than the next."""
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), np.int64)
    x, y = a.descriptors.astype(np.float32), b.descriptors.astype(np.float32)
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2.0 * (x @ y.T)
    best = square.argmin(1)
    first, second = np.partition(square, 1, axis=1)[:, :2].T
    mutual = square.argmin(0)[best] == np.arange(len(x))
    good = np.flatnonzero(mutual & (first < RATIO**2 * second))
    return np.stack([good, best[good]], 1)


def align(
    a: Features, b: Features, *, min_inliers: int = 20, min_overlap: float = 0.15, rng: np.random.Generator | None = None
) -> Alignment | None:
    """The motion between two described frames, or None when they do not show the same place for sure.

    Args:
        min_inliers: matches that must agree on the motion.
        min_overlap: share of either depth map that must land on the other's.
        rng: draws RANSAC's triples; None: always the same ones, so that the same frames give the same answer.
    """
    pairs = match(a, b)
    if len(pairs) < min_inliers:
        return None
    p, q = a.points_cam[pairs[:, 0]], b.points_cam[pairs[:, 1]]
    seen = a.pixels[pairs[:, 0]]
    T, inliers = _ransac(p, q, seen, a.camera, np.random.default_rng(0) if rng is None else rng)
    for _ in range(3):
        if inliers.sum() < min_inliers:
            return None
        T = _refined(T, p[inliers], q[inliers], seen[inliers], a.camera)
        inliers = _inliers(T[None], p, q, seen, a.camera)[0]
    overlap = depth_overlap(a, b, T)
    if inliers.sum() < min_inliers or not agrees(overlap, min_overlap):
        return None
    pixels, _ = geometry.project(q[inliers] @ T[:3, :3].T + T[:3, 3], a.camera, np.eye(4))
    rmse = float(np.sqrt(((pixels - seen[inliers]) ** 2).sum(1).mean()))
    return Alignment(T, int(inliers.sum()), len(pairs), rmse, overlap)


def agrees(overlap: Overlap, min_overlap: float) -> bool:
    """Whether two depth maps may show the same place: they overlap, mostly agree and hardly contradict."""
    return overlap.share >= min_overlap and overlap.agreeing >= 0.6 and overlap.contradicting <= 0.12


def depth_overlap(a: Features, b: Features, T_a_b: Float64) -> Overlap:
    """How the coarse depth maps of two frames agree under a motion, the worse of both ways."""
    ways = [_one_way(a, b, T_a_b), _one_way(b, a, geometry.inverse(T_a_b))]
    return Overlap(min(w.share for w in ways), min(w.agreeing for w in ways), max(w.contradicting for w in ways))


def _one_way(a: Features, b: Features, T_a_b: Float64) -> Overlap:
    """Points of b's map seen in a's."""
    points, known = geometry.backproject(b.grid, b.grid_camera, T_a_b)
    pixels, z = geometry.project(points, a.grid_camera, np.eye(4))
    inside = (z > 0.05) & (pixels >= 0).all(1) & (pixels[:, 0] < a.grid_camera.width) & (pixels[:, 1] < a.grid_camera.height)
    u, v = pixels[inside].astype(np.int64).T
    z = z[inside]
    box = np.ones((3, 3), np.uint8)
    # Against the neighbourhood: a coarse sample beside an edge or on a slant may be its neighbour's depth.
    low, high = (f(a.grid, box)[v, u] for f in (cv2.erode, cv2.dilate))
    seen = (a.grid[v, u] > 0) & (high > 0)
    margin = 0.03 + 0.02 * z
    through = seen & (low > 0) & (z < low - margin)
    hidden = seen & (z > high + margin)
    landed = int(seen.sum())
    agreeing, contradicting = (float(which.sum()) / max(landed, 1) for which in (seen & ~through & ~hidden, through))
    return Overlap(landed / max(int(known.sum()), 1), agreeing, contradicting)


def _inside(pixels: Float32, camera: Camera) -> np.ndarray:
    """int64 [N, 2], column and row of each pixel, kept inside the image."""
    return np.clip(pixels.astype(np.int64), 0, (camera.width - 1, camera.height - 1))


def _steady_depth(depth: Float32) -> Float32:
    """The 3x3 median where the neighbourhood is one surface, 0 elsewhere."""
    box = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(depth, box), cv2.dilate(depth, box)
    return np.where((low > 0) & (high - low < 0.06 * low), cv2.medianBlur(depth, 3), 0).astype(np.float32)


def _kabsch(p: Float64, q: Float64) -> Float64:
    """[K, 4, 4], the rigid motions that map q [K, 3, 3] (points in rows) to p in least squares (Kabsch, 1976)."""
    p_mean, q_mean = p.mean(1, keepdims=True), q.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.swapaxes(q - q_mean, 1, 2) @ (p - p_mean))
    # u @ vt maps rows of q to rows of p; a mirrored solution is turned back along the weakest axis.
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    R = np.swapaxes(u @ vt, 1, 2)
    T = np.tile(np.eye(4), (len(p), 1, 1))
    T[:, :3, :3] = R
    T[:, :3, 3] = p_mean[:, 0] - np.einsum("kij,kj->ki", R, q_mean[:, 0])
    return T


def _ransac(p: Float64, q: Float64, seen: Float32, camera: Camera, rng: np.random.Generator) -> tuple[Float64, Bool]:
    """The motion [4, 4] most matches p = T q agree with, of many from three matches each; and which agree."""
    triples = rng.integers(len(p), size=(HYPOTHESES, 3))
    a, b = p[triples], q[triples]
    sides = [np.linalg.norm(np.diff(x[:, (0, 1, 2, 0)], axis=1), axis=-1) for x in (a, b)]
    # A rigid motion keeps lengths; triples that shrink or stretch need no further look, nor do tiny ones.
    slack = 0.03 + 0.05 * sides[0]
    kept = (np.abs(sides[0] - sides[1]) < slack).all(1) & (np.minimum(*sides) > 0.05).all(1)
    if not kept.any():
        return np.eye(4), np.zeros(len(p), bool)
    T = _kabsch(a[kept], b[kept])
    agree = _inliers(T, p, q, seen, camera)
    best = int(agree.sum(1).argmax())
    return T[best], agree[best]


def _inliers(T: Float64, p: Float64, q: Float64, seen: Float32, camera: Camera) -> Bool:
    """[K, N], which matches agree with each of K motions: in pixels and in depth."""
    moved = np.einsum("kij,nj->kni", T[:, :3, :3], q) + T[:, None, :3, 3]
    z = np.maximum(moved[..., 2], 1e-3)
    du = camera.fx * moved[..., 0] / z + camera.cx - seen[:, 0]
    dv = camera.fy * moved[..., 1] / z + camera.cy - seen[:, 1]
    near = du**2 + dv**2 < (REPROJECTION * camera.width) ** 2
    return near & (np.abs(moved[..., 2] - p[:, 2]) < 0.03 + 0.02 * p[:, 2])


def _refined(T: Float64, p: Float64, q: Float64, seen: Float32, camera: Camera, iterations: int = 5) -> Float64:
    """Gauss-Newton on pixels (1 px) and depth (sigma 0.5 cm + 0.2 % of z^2): a pixel tells more sideways than along."""
    for _ in range(iterations):
        m = q @ T[:3, :3].T + T[:3, 3]
        x, y, z = m.T
        zero, one = np.zeros_like(z), np.ones_like(z)
        sigma_z = 0.005 + 0.002 * z**2
        J_point = np.stack([
            np.stack([camera.fx / z, zero, -camera.fx * x / z**2], -1),
            np.stack([zero, camera.fy / z, -camera.fy * y / z**2], -1),
            np.stack([zero, zero, one / sigma_z], -1),
        ], 1)  # fmt: skip
        residual = np.stack([
            camera.fx * x / z + camera.cx - seen[:, 0], camera.fy * y / z + camera.cy - seen[:, 1], (z - p[:, 2]) / sigma_z
        ], 1)  # fmt: skip
        J = np.concatenate([J_point @ -_cross(m), J_point], -1).reshape(-1, 6)
        step = -np.linalg.solve(J.T @ J + 1e-9 * np.eye(6), J.T @ residual.ravel())
        T = geometry.pose(Rotation.from_rotvec(step[:3]).as_matrix(), step[3:]) @ T
    return T


def _cross(v: Float64) -> Float64:
    """[N, 3, 3] with ``_cross(v) @ w == np.cross(v, w)``."""
    out = np.zeros((len(v), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    return out - np.swapaxes(out, 1, 2)

"""Kept frames: the memory's sharp eyes.

Voxels remember geometry; the frames that saw it remember detail finer than a voxel. A frame is
kept when enough of it is news to those already kept. Where a view shows a remembered surface, the
keyframes that saw the same surface are sampled at full resolution (see :mod:`.warp`).

Overlap, for choosing what to keep and what to retrieve, is counted on a coarse grid of samples
per keyframe, all keyframes in one pass: the cost is that of a few thousand projections each.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numba import prange

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.kernels import njit, read_only
from spatia_ros.memory import overlap
from spatia_ros.memory.texels import texels
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame, Int64, UInt8, UInt32, check_array

SAMPLES = (24, 40)
"""Rows and columns of the grid on which overlap is counted."""
DRAWING_SHARE = 0.1
"""Share of a view's samples that a keyframe must show to be drawn from."""
SILENT = np.float32(-1.0)
"""Depth of a masked pixel, where 0 is that of an unmasked one whose depth is unknown."""


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A kept frame.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, thin holes filled, 0 = unknown.
        sensed: bool [H, W], measured (true) or invented (false), per pixel.
        camera, T_world_cam, stamp_ns: as in :class:`spatia_ros.types.Frame`.
        masked: bool [H, W], pixels that show what moved, or what an edit has changed since (see :mod:`.edit`); None: none.
            They keep their colour and depth, but lend neither.
        clear_m: float32 [H, W], the depth up to which each pixel's way is known to be empty, metres;
            None: up to ``depth``. Less where something was added before what the pixel saw.
        surface_m: float32 [H, W], derived: ``depth``, but ``SILENT`` (-1) where masked. Whoever asks where
            a surface is, or what colour it has, asks this.
    """

    rgb: UInt8
    depth: Float32
    sensed: Bool
    camera: Camera
    T_world_cam: Float64
    stamp_ns: int
    masked: Bool | None = None
    clear_m: Float32 | None = None
    surface_m: Float32 = field(init=False, repr=False)
    _texels: list[UInt32] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.masked is not None:
            check_array("keyframe.masked", self.masked, self.depth.shape, np.bool_)
        if self.clear_m is not None:
            check_array("keyframe.clear_m", self.clear_m, self.depth.shape, np.float32)
        for name in ("rgb", "depth", "sensed", "masked", "clear_m"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name)))
        surface = self.depth if self.masked is None else read_only(np.where(self.masked, SILENT, self.depth))
        object.__setattr__(self, "surface_m", surface)

    @property
    def empty_m(self) -> Float32:
        """float32 [H, W], how far each pixel's way is known to be empty: metres, 0 where nothing is known."""
        return self.depth if self.clear_m is None else self.clear_m

    @property
    def texels(self) -> UInt32:
        """uint32 [H, W], what is sampled of it (see :mod:`.texels`); made when first asked for."""
        if not self._texels:
            self._texels.append(texels(self.rgb, self.depth, self.sensed))
        return self._texels[0]


@njit(cache=True)
def _rim(depth: np.ndarray, y: int, x: int, dy: int, dx: int, reach_px: int) -> tuple[int, float]:
    """Steps to, and depth of, the first known pixel in one direction (0 steps: none in reach)."""
    for s in range(1, reach_px + 1):
        yy, xx = y + s * dy, x + s * dx
        if yy < 0 or xx < 0 or yy >= depth.shape[0] or xx >= depth.shape[1]:
            break
        if depth[yy, xx] > 0:
            return s, depth[yy, xx]
    return 0, np.float32(0.0)


@njit(cache=True)
def fill_thin_row(depth: np.ndarray, y: int, reach_px: int, edge_ratio: float, out: np.ndarray) -> None:
    """:func:`fill_thin` of one row, into float32 [W]."""
    out[:] = depth[y]
    holes = np.int32(0)
    for x in range(out.size):
        holes += np.int32(not out[x] > 0)
    for x in range(out.size if holes > 0 else 0):
        if out[x] > 0:
            continue
        shortest = reach_px + 2
        for axis in range(2):
            a, za = _rim(depth, y, x, -axis, axis - 1, reach_px)
            b, zb = _rim(depth, y, x, axis, 1 - axis, reach_px)
            if a and b and a + b - 1 <= reach_px and a + b < shortest and abs(za - zb) <= edge_ratio * min(za, zb):
                shortest = a + b
                out[x] = (a + b) / (b / za + a / zb)


@njit(cache=True, parallel=True)
def fill_thin(depth: np.ndarray, reach_px: int, edge_ratio: float) -> np.ndarray:
    """Fill depth holes no wider than ``reach_px`` that lie within one surface.

    A hole is filled along its row or column, whichever is shorter, when the two rims agree
    within ``edge_ratio``: then the pixel's colour was seen and only its range was not. Inverse
    depth is interpolated, which is linear across any plane.
    """
    out = np.empty_like(depth)
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        fill_thin_row(depth, y, reach_px, edge_ratio, out[y])
    return out


@njit(cache=True, parallel=True)
def shown_in_each(
    points: np.ndarray, reach: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray,
    tolerance: float, coarser: float,
) -> np.ndarray:
    """Which of N world points each of K sample grids shows.

    Args:
        points: float64 [K or 1, N, 3] metres. reach: float64 [K or 1, N], their depth in the
            asking view, 0 = no point. grids: float32 [K, rows, cols] depths.
        intrinsics: float64 [K, 4] in units of grid cells. T_cam_world: float64 [K, 4, 4].
        tolerance: relative depth agreement. coarser: most times farther than ``reach`` a grid
            may have seen a point and still count.

    Returns:
        bool [K, N].
    """
    K, rows, cols = grids.shape
    seen = np.zeros((K, points.shape[1]), np.bool_)
    for each in prange(K):
        k = np.int64(each)
        source = k if points.shape[0] == K else 0
        fx, fy, cx, cy = intrinsics[k]
        T = T_cam_world[k]
        for i in range(points.shape[1]):
            if reach[source, i] <= 0.0:
                continue
            X, Y, Z = points[source, i]
            z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
            if z <= 0.0 or z > coarser * reach[source, i]:
                continue
            u = fx * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) / z + cx
            v = fy * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) / z + cy
            if 0.0 <= u < cols and 0.0 <= v < rows:
                d = grids[k, int(v), int(u)]
                seen[k, i] = d > 0.0 and abs(z - d) <= tolerance * d
    return seen


def intrinsics_of(camera: Camera) -> Float64:
    """float64 [4]: fx, fy, cx, cy in px, centres at +0.5, as the kernels take them."""
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64)


@dataclass(frozen=True, slots=True)
class Samples:
    """The coarse grid of an RGB-D image on which overlap is counted.

    Args:
        points: float64 [N, 3], metres, world. reach: float64 [N], depth, not positive = unknown.
        grid: float32 [rows, cols], the same depths. intrinsics: float64 [4] in grid cells.
        T_cam_world: float64 [4, 4]. empty: float32 [rows, cols], how far the way is known to be empty.
        measured: share of the image a sensor saw. scale_m: median depth as the frame was taken, whatever is masked since.
    """

    points: Float64
    reach: Float64
    grid: Float32
    intrinsics: Float64
    T_cam_world: Float64
    empty: Float32
    measured: float = 1.0
    scale_m: float = 1.0

    @classmethod
    def of(cls, depth: Float32, camera: Camera, T_world_cam: Float64, empty_m: Float32 | None = None) -> Samples:
        """The samples of a depth image [H, W]; ``empty_m`` [H, W] where it is another (see :class:`Keyframe`)."""
        rows, cols = SAMPLES
        f, T = intrinsics_of(camera), read_only(T_world_cam)
        grid, points = overlap.sampled(read_only(np.asarray(depth, np.float32)), rows, cols, f, T)
        empty = grid if empty_m is None else overlap.sampled(read_only(empty_m), rows, cols, f, T)[0]
        per_px = np.array([cols / camera.width, rows / camera.height] * 2)
        return cls(points, grid.ravel().astype(np.float64), grid, f * per_px, geometry.inverse(T_world_cam), empty)

    @classmethod
    def of_keyframe(cls, keyframe: Keyframe) -> Samples:
        """The samples of what a keyframe still says."""
        samples = cls.of(keyframe.surface_m, keyframe.camera, keyframe.T_world_cam, keyframe.empty_m)
        taken = keyframe.depth[:: max(1, keyframe.camera.height // SAMPLES[0]), :: max(1, keyframe.camera.width // SAMPLES[1])]
        scale_m = float(np.median(taken[taken > 0])) if (taken > 0).any() else 1.0
        return replace(samples, measured=float(keyframe.sensed.mean()), scale_m=scale_m)


class Overlap(NamedTuple):
    """What a view and K keyframes share, in samples of a coarse grid."""

    known: int
    """Samples of the view that show a surface."""
    shown: Int64
    """Of these, how many each keyframe shows, int64 [K]."""
    iou: Float64
    """Visible overlap, intersection over union, float64 [K] in 0..1."""


class KeyframeSet:
    """The kept keyframes, chosen by information, with their samples side by side."""

    def __init__(self, config: MemoryConfig) -> None:
        self.config = config
        self.keyframes: list[Keyframe] = []
        self._samples: list[Samples] = []
        self._stacked: tuple[np.ndarray, ...] | None = None
        self._last_ranking: tuple[tuple[Float32, Camera, bytes], tuple[np.ndarray, ...] | None, list[int]] | None = None

    def __len__(self) -> int:
        return len(self.keyframes)

    def copy(self) -> KeyframeSet:
        """The same keyframes in an independent set (a keyframe itself never changes)."""
        twin = KeyframeSet(self.config)
        twin.keyframes, twin._samples = list(self.keyframes), list(self._samples)
        return twin

    def _stack(self) -> tuple[np.ndarray, ...]:
        if self._stacked is None:
            fields = ("points", "reach", "grid", "intrinsics", "T_cam_world")
            self._stacked = tuple(np.stack([getattr(s, f) for s in self._samples]) for f in fields)
        return self._stacked

    def append(self, keyframe: Keyframe) -> None:
        """Keep a frame without asking whether it is news."""
        self.keyframes.append(keyframe)
        self._samples.append(Samples.of_keyframe(keyframe))
        self._stacked = None

    def replace(self, index: int, keyframe: Keyframe) -> None:
        """Put another keyframe in one's place (the same frame with another mask, or at a corrected pose)."""
        self.keyframes[index], self._samples[index] = keyframe, Samples.of_keyframe(keyframe)
        self._stacked = None

    def offer(self, frame: Frame, depth: Float32, sensed: Bool, hidden: Bool | None = None) -> bool:
        """Keep the frame if enough of it is news; returns whether it was kept.

        News is the share of the image that is known and that no kept keyframe shows from at most 1.5
        times as far, so closing in on a surface is news as well as turning to a new one. Measured frames
        do not count what only an invention shows. When full, the keyframe the others best stand
        in for makes room. Pixels that are ``hidden`` (bool [H, W]) are masked from the start.
        """
        news = Samples.of(depth, frame.camera, frame.T_world_cam)
        known = news.reach > 0
        if self.keyframes:
            _, _, grids, intrinsics, T_cam_world = self._stack()
            asked = self._may_see(news.points, news.reach)
            if sensed.all():
                asked &= np.array([samples.measured > 0.5 for samples in self._samples])
            order = overlap.nearest_first(asked, frame.T_world_cam[:3, 3], T_cam_world)
            known &= ~overlap.shown_by_any(
                news.points, news.reach, grids, intrinsics, T_cam_world, order, 2 * self.config.edge_ratio, 1.5
            )
        if known.mean() < self.config.keyframe_gain:
            return False
        if len(self.keyframes) >= self.config.keyframes:
            self._drop_least_informative()
        self.append(Keyframe(frame.rgb, depth, sensed, frame.camera, frame.T_world_cam, frame.stamp_ns, hidden))
        return True

    def _may_see(self, points: Float64, reach: Float64, slack_m: float = 0.0) -> Bool:
        """Which keyframes' fields of view come within ``slack_m`` of a ball around points: bool [K]."""
        _, _, _, intrinsics, T_cam_world = self._stack()
        centre, radius = overlap.ball_around(points, reach)
        return overlap.may_see(centre, radius + slack_m if radius >= 0.0 else radius, intrinsics, T_cam_world, *SAMPLES)

    def _drop_least_informative(self) -> None:
        points, reach, grids, intrinsics, T_cam_world = self._stack()
        unique = np.empty(len(self.keyframes))
        for k in range(len(unique)):
            others = self._may_see(points[k], reach[k])
            others[k] = False
            order = overlap.nearest_first(others, self.keyframes[k].T_world_cam[:3, 3], T_cam_world)
            shown = overlap.shown_by_any(
                points[k], reach[k], grids, intrinsics, T_cam_world, order, 2 * self.config.edge_ratio, 1.5
            )
            unique[k] = ((reach[k] > 0) & ~shown).sum()
        worst = int(np.argmin(unique))
        del self.keyframes[worst], self._samples[worst]
        self._stacked = None

    def overlap(self, depth: Float32, camera: Camera, T_world_cam: Float64) -> Overlap:
        """How much of a view, and of every keyframe, the other shows.

        Spatia retrieves references by overlap in 3D (arXiv 2512.15716). Samples of either image
        shown by the other are counted both ways, and the intersection is their mean.
        """
        view = Samples.of(depth, camera, T_world_cam)
        known, shown, iou = int((view.reach > 0).sum()), np.zeros(len(self.keyframes), np.int64), np.zeros(len(self.keyframes))
        if self.keyframes:
            tolerance, (points, reach, grids, intrinsics, T_cam_world) = 2 * self.config.edge_ratio, self._stack()
            # A keyframe's point in agreement lies this near to the view's: along the ray, and within its cell.
            near = np.flatnonzero(self._may_see(view.points, view.reach, (2.0 * tolerance + 0.06) * float(view.reach.max())))
            shown[near] = overlap.count_shown_by(view.points, view.reach, near, grids, intrinsics, T_cam_world, tolerance)
            showing = overlap.count_shown_of(near, points, reach, view.grid, view.intrinsics, view.T_cam_world, tolerance)
            both = 0.5 * (shown[near] + showing)
            iou[near] = both / np.maximum(known + (reach[near] > 0).sum(1) - both, 1.0)
        return Overlap(known, shown, iou)

    def rank(self, shared: Overlap, T_world_cam: Float64) -> list[int]:
        """Indices of all keyframes by falling overlap with a view at a pose; ties go to the nearest camera."""
        if not self.keyframes:
            return []
        eyes = geometry.inverse(self._stack()[4])[:, :3, 3]
        return np.lexsort((np.linalg.norm(eyes - T_world_cam[:3, 3], axis=1), -shared.iou)).tolist()

    def drawing(self, shared: Overlap, T_world_cam: Float64, most: int) -> list[Keyframe]:
        """The keyframes to draw a view from, the nearest by pose first, of those that share enough of it.

        Nearness is the distance of the cameras, over the median of those keyframes' own median depths, plus the
        angle between them, radians. What stands in the picture has next to no say in it, so changing one thing does not change by
        which keyframes all others are drawn.
        """
        sharing = shared.shown >= DRAWING_SHARE * shared.known
        if not (most and shared.known and sharing.any()):
            return []
        scale_m = np.median(np.array([samples.scale_m for samples in self._samples])[sharing])
        T_world_key = geometry.inverse(self._stack()[4])
        away = np.linalg.norm(T_world_key[:, :3, 3] - T_world_cam[:3, 3], axis=1) / scale_m
        cos = (np.einsum("kij,ij->k", T_world_key[:, :3, :3], T_world_cam[:3, :3]) - 1.0) / 2.0
        distance = away + np.arccos(np.clip(cos, -1.0, 1.0))
        distance[~sharing] = np.inf
        return [self.keyframes[k] for k in np.argsort(distance, kind="stable")[:most] if np.isfinite(distance[k])]

    def measured_grids(self, indices: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How far the measured keyframes' ways are empty: [K, rows, cols], intrinsics [K, 4], T_cam_world [K, 4, 4]."""
        _, _, grids, intrinsics, T_cam_world = self._stack()
        measured = [i for i in indices if self._samples[i].measured > 0.0]
        empty = np.stack([self._samples[i].empty for i in measured]) if measured else grids[:0]
        return empty, intrinsics[measured], T_cam_world[measured]

    def retrieve(self, depth: Float32, camera: Camera, T_world_cam: Float64, k: int) -> list[Keyframe]:
        """The ``k`` keyframes of largest overlap with a view, best first.

        Asked again about the same depth image, pose and keyframes, it remembers the answer.
        """
        if not k:
            return []
        asked, stacked = (depth, camera, T_world_cam.tobytes()), self._stack() if self.keyframes else None
        last = self._last_ranking
        if last is None or last[0][0] is not depth or last[0][1:] != asked[1:] or last[1] is not stacked:
            last = self._last_ranking = asked, stacked, self.rank(self.overlap(depth, camera, T_world_cam), T_world_cam)
        return [self.keyframes[i] for i in last[2][:k]]

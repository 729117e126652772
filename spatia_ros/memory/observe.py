"""A frame made ready to be folded in, in one go: holes filled, what it sees through, what it shows, and its heaps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from spatia_ros.config import MemoryConfig
from spatia_ros.kernels import njit, read_only
from spatia_ros.memory.crew import claim, desk, hand_in, wait_for
from spatia_ros.memory.fuse import in_range_row, limit_row, nearest_in_row
from spatia_ros.memory.heaps import BAND, Heaps, heap_band, room
from spatia_ros.memory.keyframes import fill_thin_row

_FILL, _SUM = range(2)
NO_LABEL = np.empty((1, 0), np.uint16)


class Observed(NamedTuple):
    """What a frame says; B bands of BAND rows."""

    depth: np.ndarray  # float32 [H, W], metres, thin holes filled
    shown: np.ndarray  # float32 [H, W], the same, 0 where it is not accepted or out of range
    limit: np.ndarray  # float32 [H * W], what is nearer than this is seen through; not positive: nothing is
    reach: np.ndarray  # float32 [B], farthest depth that is seen through up to a margin
    heaps: Heaps


@njit(cache=True)
def _look_through(
    filled: np.ndarray, shown: np.ndarray, limit: np.ndarray, reach: np.ndarray, band: int, accept: np.ndarray,
    limits: np.ndarray, margin_m: float, margin_ratio: float, nearest: np.ndarray,
) -> None:
    """What a band shows, and what it sees through; ``nearest`` is room for a row, float32 [W]."""
    h, w = filled.shape
    farthest = np.float32(0.0)
    for y in range(band * BAND, min(band * BAND + BAND, h)):
        in_range_row(filled[y], accept[y], limits[0], limits[1], shown[y])
        nearest_in_row(filled, y, nearest)
        limit_row(nearest, margin_m, margin_ratio, limit[y * w : (y + 1) * w])
        farthest = max(farthest, nearest.max())
    reach[band] = farthest


@njit(cache=True)
def _share(
    desk: np.ndarray, filled: np.ndarray, shown: np.ndarray, limit: np.ndarray, reach: np.ndarray, heaps: Heaps,
    depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, label: np.ndarray,
    intrinsics: np.ndarray, T_world_cam: np.ndarray, voxel_m: float, limits: np.ndarray, margin_m: float, margin_ratio: float,
    reach_px: int, edge_ratio: float,
) -> None:
    bands, h, w = reach.size, depth.shape[0], depth.shape[1]
    while True:
        band = claim(desk, _FILL, bands)
        if band < 0:
            break
        for y in range(band * BAND, min(band * BAND + BAND, h)):
            fill_thin_row(depth, y, reach_px, edge_ratio, filled[y])
        hand_in(desk, _FILL)
    wait_for(desk, _FILL, bands)
    nearest = np.empty(w, np.float32)
    while True:
        band = claim(desk, _SUM, bands)
        if band < 0:
            break
        _look_through(filled, shown, limit, reach, band, accept, limits, margin_m, margin_ratio, nearest)
        heap_band(band, heaps, filled, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits)
        hand_in(desk, _SUM)


@njit(cache=True, parallel=True)
def _observe(
    threads: int, desk: np.ndarray, filled: np.ndarray, shown: np.ndarray, limit: np.ndarray, reach: np.ndarray, heaps: Heaps,
    depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, label: np.ndarray,
    intrinsics: np.ndarray, T_world_cam: np.ndarray, voxel_m: float, limits: np.ndarray, margin_m: float, margin_ratio: float,
    reach_px: int, edge_ratio: float,
) -> None:
    for _ in prange(threads):
        _share(
            desk, filled, shown, limit, reach, heaps, depth, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits,
            margin_m, margin_ratio, reach_px, edge_ratio,
        )


def observe(
    depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, label: np.ndarray | None,
    intrinsics: np.ndarray, T_world_cam: np.ndarray, config: MemoryConfig, threads: int,
) -> Observed:
    """What a frame says.

    Args:
        depth: float32 [H, W] metres. accept: bool [H, W]. rgb: uint8 [H, W, 3]. label: uint16 [H, W]. The rest as in
            :func:`.heaps.heap_up`.

    Its parts are what :func:`.keyframes.fill_thin`, :func:`.fuse.in_range`, :func:`.fuse.nearest_around` and
    :func:`.heaps.heap_up` give.
    """
    c, (h, w) = config, depth.shape
    o = Observed(
        np.empty((h, w), np.float32), np.empty((h, w), np.float32), np.empty(h * w, np.float32),
        np.empty(-(-h // BAND), np.float32), room(h, w, label is not None),
    )  # fmt: skip
    limits = np.array([c.min_range_m, c.max_range_m, c.edge_ratio], np.float32)
    given = (read_only(array) for array in (depth, accept, rgb, NO_LABEL if label is None else label))
    _observe(
        threads, desk(2), *o, *given, intrinsics, read_only(T_world_cam), c.voxel_m, limits,
        np.float32(c.carve_margin_m), np.float32(c.carve_margin_ratio), c.fill_thin_px, c.edge_ratio,
    )
    return o

"""A view of the voxels made sharp by keyframes, and what of it cannot be believed forgotten, in one go.

The steps are those of :mod:`.warp` and :mod:`.belief`. No pixel asks for another band of rows, so each band goes through all
of them while it lies in the nearest cache, and threads meet once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import carray, get_num_threads, prange

from spatia_ros.kernels import njit
from spatia_ros.memory.belief import BAND, CELL_PX, Witnesses, doubt_band, forget_row, room_for_ways
from spatia_ros.memory.crew import claim, desk, hand_in
from spatia_ros.memory.keyframes import Keyframe
from spatia_ros.memory.lent import Lent, floats_at, lend, words_at
from spatia_ros.memory.warp import Strip, aim, room_for_strip, settle_strip, warp_strip
from spatia_ros.types import Doubted, Float32, Float64, UInt8

BAND_PX = BAND * CELL_PX
"""Rows a thread takes at a time: whole cells."""
STRIP_PX = 4
"""Rows that are warped together: enough of them that calls cost little, so few that they stay in the nearest caches."""


@njit(cache=True)
def _sharpen_rows(
    top: int, bottom: int, rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, deepest: np.ndarray, f: np.ndarray,
    lent: Lent, tol: float, strip: Strip,
) -> None:
    """Rows ``top`` to ``bottom`` of the view as the keyframes saw them."""
    rows = slice(top, bottom)
    aim(strip, top, depth.shape[1], f)
    measured, drawn, limit = sensed[rows].reshape(-1), depth[rows].reshape(-1), deepest[rows].reshape(-1)
    for k in range(lent.size.shape[0]):
        pixels = lent.size[k, 0] * lent.size[k, 1]
        surface_m, texels = carray(floats_at(lent.surface_m[k]), pixels), carray(words_at(lent.texels[k]), pixels)
        warp_strip(
            measured, drawn, limit, f[0], surface_m, texels, lent.size[k], lent.intrinsics[k], lent.T_key_cam[k], tol, strip
        )
    settle_strip(rgb[rows].reshape(-1), drawn, tol, strip)


@njit(cache=True)
def _share(
    desk: np.ndarray, rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray, deepest: np.ndarray,
    f: np.ndarray, lent: Lent, tol: float, witnesses: Witnesses, most: float, doubted: np.ndarray,
    doubted_rgb: np.ndarray, doubted_m: np.ndarray,
) -> None:
    h, w = depth.shape
    bands, cells = (h + BAND_PX - 1) // BAND_PX, (w + CELL_PX - 1) // CELL_PX
    strip, ways, doubt = room_for_strip(STRIP_PX, w, f), room_for_ways(w), np.empty((BAND, cells), np.float32)
    while True:
        band = claim(desk, 0, bands)
        if band < 0:
            break
        first, last = band * BAND_PX, min(band * BAND_PX + BAND_PX, h)
        for y in range(first if lent.size.shape[0] else last, last, STRIP_PX):
            rows = min(STRIP_PX, last - y)
            fits = strip if rows == STRIP_PX else room_for_strip(rows, w, f)
            _sharpen_rows(y, y + rows, rgb, depth, sensed, deepest, f, lent, tol, fits)
        top, bottom = first // CELL_PX, (last + CELL_PX - 1) // CELL_PX
        doubted_rgb[first:last], doubted_m[first:last] = 0, 0.0
        doubt_band(depth, sensed, top, bottom, f, witnesses, ways, doubt[: bottom - top])
        for of_cells in range(top, bottom):
            forget_row(rgb, depth, sensed, age_s, of_cells, doubt[of_cells - top], most, doubted_rgb, doubted_m)
        doubted[band] = doubt[: bottom - top].max() > most
        hand_in(desk, 0)


@njit(cache=True, parallel=True)
def _sharpen(
    threads: int, desk: np.ndarray, rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray,
    deepest: np.ndarray, f: np.ndarray, lent: Lent, tol: float, witnesses: Witnesses, most: float, doubted: np.ndarray,
    doubted_rgb: np.ndarray, doubted_m: np.ndarray,
) -> None:
    for _ in prange(threads):
        _share(desk, rgb, depth, sensed, age_s, deepest, f, lent, tol, witnesses, most, doubted, doubted_rgb, doubted_m)


def sharpen(
    rgb: UInt8, depth: Float32, sensed: Float32, age_s: Float32, deepest: Float32, intrinsics: Float64, T_world_cam: Float64,
    keyframes: Sequence[Keyframe], witnesses: Witnesses, edge_ratio: float, most: float,
) -> Doubted | None:
    """Put what keyframes saw over a view of the voxels, and forget what lies behind too much unknown, in place.

    Args:
        rgb: uint8 [H, W, 3]. depth, sensed, age_s: float32 [H, W], as :func:`.draw.draw` gives them.
        deepest: float32 [H, W], metres (:func:`.warp.deepest_nearby`). intrinsics: float64 [4].
        keyframes: those that are drawn from. witnesses: those that are asked how far ways are empty.
        edge_ratio: depths that agree to this, relative, are one surface. most: unknown share of a way that is believed.

    Returns:
        What was forgotten; None: nothing.
    """
    forgotten, where = Doubted(np.empty_like(rgb), np.empty_like(depth)), np.zeros(-(-len(depth) // BAND_PX), np.bool_)
    lent = lend(keyframes, T_world_cam)
    _sharpen(
        get_num_threads(), desk(1), rgb, depth, sensed, age_s, deepest, intrinsics.astype(np.float32), lent,
        np.float32(edge_ratio), witnesses, np.float32(most), where, forgotten.rgb, forgotten.depth,
    )
    return forgotten if where.any() else None

"""The cheap fill of an image with holes that the network starts from: a smooth membrane.

Known pixels are averaged into ever coarser levels (pull); from the coarsest level down, holes take
the enlarged coarser level (push) and are then relaxed towards the mean of their neighbours, known
pixels held fast. Push-pull alone (Gortler et al., The Lumigraph, SIGGRAPH 1996) leaves blocks and
rings; the relaxed fill is close to the harmonic one, the smoothest that meets the rim, at a cost
that does not depend on how wide the holes are.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from spatia_ros.types import Bool, Float32, check_array

SWEEPS = 10
"""Relaxations per level."""


@njit(cache=True)
def _pull(plane: np.ndarray, known: np.ndarray, out: np.ndarray, out_known: np.ndarray) -> None:
    """Half-size mean of the known pixels of a plane [H, W], and where any was known."""
    h, w = plane.shape
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total, count = np.float32(0.0), np.float32(0.0)
            for yy in range(2 * y, min(2 * y + 2, h)):
                for xx in range(2 * x, min(2 * x + 2, w)):
                    if known[yy, xx]:
                        total += plane[yy, xx]
                        count += np.float32(1.0)
            out_known[y, x] = count > 0.0
            out[y, x] = total / max(count, np.float32(1.0))


@njit(cache=True)
def _push(coarse: np.ndarray, known: np.ndarray, plane: np.ndarray) -> None:
    """Put the bilinearly enlarged coarse level into the holes of a plane [H, W]."""
    hh, hw = coarse.shape
    for y in range(plane.shape[0]):
        fy = min(max((y + 0.5) * 0.5 - 0.5, 0.0), hh - 1.0)
        y0 = int(fy)
        y1, ay = min(y0 + 1, hh - 1), np.float32(fy - y0)
        for x in range(plane.shape[1]):
            if known[y, x]:
                continue
            fx = min(max((x + 0.5) * 0.5 - 0.5, 0.0), hw - 1.0)
            x0 = int(fx)
            x1, ax = min(x0 + 1, hw - 1), np.float32(fx - x0)
            top = coarse[y0, x0] + ax * (coarse[y0, x1] - coarse[y0, x0])
            low = coarse[y1, x0] + ax * (coarse[y1, x1] - coarse[y1, x0])
            plane[y, x] = top + ay * (low - top)


@njit(cache=True)
def _relax(plane: np.ndarray, known: np.ndarray, out: np.ndarray) -> None:
    """One Jacobi sweep: holes become the mean of their four neighbours (the border repeats)."""
    h, w = plane.shape
    quarter = np.float32(0.25)
    for y in range(h):
        above, row, below = plane[max(y - 1, 0)], plane[y], plane[min(y + 1, h - 1)]
        for x in range(1, w - 1):  # no branches, so that it runs in vector registers
            mean = quarter * (above[x] + below[x] + row[x - 1] + row[x + 1])
            out[y, x] = row[x] if known[y, x] else mean
        for x in (0, w - 1):
            mean = quarter * (above[x] + below[x] + row[max(x - 1, 0)] + row[min(x + 1, w - 1)])
            out[y, x] = row[x] if known[y, x] else mean


@njit(cache=True)
def _fill_plane(plane: np.ndarray, known: np.ndarray, sweeps: int, per_level: float) -> None:
    """Fill the holes of one plane [H, W] in place; ``per_level`` is added for every level a value came up."""
    h, w = plane.shape
    if max(h, w) == 1:
        return
    coarse = np.empty(((h + 1) // 2, (w + 1) // 2), np.float32)
    coarse_known = np.empty(coarse.shape, np.bool_)
    _pull(plane, known, coarse, coarse_known)
    _fill_plane(coarse, coarse_known, sweeps, per_level)
    coarse += np.float32(per_level)
    _push(coarse, known, plane)
    other = np.empty_like(plane)
    for _ in range(sweeps // 2):
        _relax(plane, known, other)
        _relax(other, known, plane)


@njit(cache=True, parallel=True)
def _fill_planes(planes: np.ndarray, known: np.ndarray, sweeps: int, per_level: np.ndarray) -> None:
    """Every plane of [C, H, W] on its own: one launch for all levels and sweeps."""
    for c in prange(planes.shape[0]):
        _fill_plane(planes[c], known, sweeps, per_level[c])


def membrane(values: Float32, known: Bool) -> tuple[Float32, Float32]:
    """Fill the unknown pixels of an image smoothly.

    Args:
        values: float32 [H, W, C]. known: bool [H, W].

    Returns:
        float32 [H, W, C], equal to ``values`` where known (all zero if nothing is); and float32
        [H, W] in 0..1, how far each pixel is from the known: 0 where known, growing with the
        logarithm of the distance.
    """
    h, w, c = values.shape
    check_array("values", values, (h, w, c), np.float32)
    check_array("known", known, (h, w), np.bool_)
    planes = np.zeros((c + 1, h, w), np.float32)  # the last counts levels: how far a value came
    planes[:c] = (values * known[..., None]).transpose(2, 0, 1)
    levels = int(np.ceil(np.log2(max(h, w))))
    per_level = np.zeros(c + 1, np.float32)
    per_level[c] = 1.0 / max(levels, 1)
    _fill_planes(planes, known, SWEEPS, per_level)
    return np.ascontiguousarray(planes[:c].transpose(1, 2, 0)), planes[c]

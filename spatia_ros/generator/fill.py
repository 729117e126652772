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


@njit(cache=True, parallel=True)
def _pull(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half-size mean of the known values [H, W, C], and where any was known [H, W]."""
    h, w, c = values.shape
    hh, hw = (h + 1) // 2, (w + 1) // 2
    out = np.zeros((hh, hw, c), np.float32)
    out_known = np.zeros((hh, hw), np.bool_)
    for row in prange(hh):
        _pull_row(values, known, np.int64(row), out, out_known)
    return out, out_known


@njit(cache=True)
def _pull_row(values: np.ndarray, known: np.ndarray, y: int, out: np.ndarray, out_known: np.ndarray) -> None:
    h, w, c = values.shape
    for x in range(out.shape[1]):
        total = np.float32(0.0)
        for yy in range(2 * y, min(2 * y + 2, h)):
            for xx in range(2 * x, min(2 * x + 2, w)):
                if known[yy, xx]:
                    total += np.float32(1.0)
                    for k in range(c):
                        out[y, x, k] += values[yy, xx, k]
        if total > 0.0:
            out_known[y, x] = True
            for k in range(c):
                out[y, x, k] /= total


@njit(cache=True, parallel=True)
def _push(values: np.ndarray, known: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Values [H, W, C] where known, else the bilinearly enlarged coarse level."""
    out = values.copy()
    for row in prange(values.shape[0]):
        _push_row(known, coarse, np.int64(row), out)
    return out


@njit(cache=True)
def _push_row(known: np.ndarray, coarse: np.ndarray, y: int, out: np.ndarray) -> None:
    hh, hw, c = coarse.shape
    fy = min(max((y + 0.5) * 0.5 - 0.5, 0.0), hh - 1.0)
    y0 = int(fy)
    y1, ay = min(y0 + 1, hh - 1), np.float32(fy - y0)
    for x in range(out.shape[1]):
        if known[y, x]:
            continue
        fx = min(max((x + 0.5) * 0.5 - 0.5, 0.0), hw - 1.0)
        x0 = int(fx)
        x1, ax = min(x0 + 1, hw - 1), np.float32(fx - x0)
        for k in range(c):
            top = coarse[y0, x0, k] + ax * (coarse[y0, x1, k] - coarse[y0, x0, k])
            low = coarse[y1, x0, k] + ax * (coarse[y1, x1, k] - coarse[y1, x0, k])
            out[y, x, k] = top + ay * (low - top)


@njit(cache=True, parallel=True)
def _relax(values: np.ndarray, known: np.ndarray, out: np.ndarray) -> None:
    """One Jacobi sweep: holes become the mean of their four neighbours (the border repeats)."""
    for row in prange(values.shape[0]):
        _relax_row(values, known, np.int64(row), out)


@njit(cache=True)
def _relax_row(values: np.ndarray, known: np.ndarray, y: int, out: np.ndarray) -> None:
    h, w, c = values.shape
    up, down = max(y - 1, 0), min(y + 1, h - 1)
    for x in range(w):
        if known[y, x]:
            continue
        left, right = max(x - 1, 0), min(x + 1, w - 1)
        for k in range(c):
            near = values[up, x, k] + values[down, x, k] + values[y, left, k] + values[y, right, k]
            out[y, x, k] = np.float32(0.25) * near


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
    levels = [(np.concatenate([values, np.zeros((h, w, 1), np.float32)], -1) * known[..., None], known)]
    while max(levels[-1][1].shape) > 1:
        levels.append(_pull(*levels[-1]))
    filled = levels[-1][0]
    for level in range(len(levels) - 2, -1, -1):
        filled[..., c] += np.float32(1.0 / (len(levels) - 1))  # one level further from the known
        filled = _push(*levels[level], filled)
        other = filled.copy()
        for _ in range(SWEEPS // 2):
            _relax(filled, levels[level][1], other)
            _relax(other, levels[level][1], filled)
    return np.ascontiguousarray(filled[..., :c]), np.ascontiguousarray(filled[..., c])

"""Push-pull: the cheap multi-scale fill of a render with holes that the network starts from.

Known pixels are averaged into ever coarser levels (pull), then every hole takes the value of the
coarser level, smoothly enlarged (push). A hole's value so comes from the smallest neighbourhood
that knows anything. See Gortler et al., The Lumigraph (SIGGRAPH 1996), section 3.4.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from spatia_ros.types import Bool, Float32, check_array


@njit(cache=True, parallel=True)
def _pull(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half-size weighted mean of values [H, W, C] and weights [H, W] (saturating at 1)."""
    h, w, c = values.shape
    hh, hw = (h + 1) // 2, (w + 1) // 2
    out = np.zeros((hh, hw, c), np.float32)
    out_weight = np.zeros((hh, hw), np.float32)
    for row in prange(hh):
        y = np.int64(row)
        for x in range(hw):
            total = np.float32(0.0)
            for yy in range(2 * y, min(2 * y + 2, h)):
                for xx in range(2 * x, min(2 * x + 2, w)):
                    a = weight[yy, xx]
                    if a > 0.0:
                        total += a
                        for k in range(c):
                            out[y, x, k] += a * values[yy, xx, k]
            if total > 0.0:
                for k in range(c):
                    out[y, x, k] /= total
            out_weight[y, x] = min(total, np.float32(1.0))
    return out, out_weight


@njit(cache=True, parallel=True)
def _push(values: np.ndarray, weight: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Values where known (weight 1), else the bilinearly enlarged coarse level, mixed in between."""
    h, w, c = values.shape
    hh, hw, _ = coarse.shape
    out = np.empty((h, w, c), np.float32)
    for row in prange(h):
        y = np.int64(row)
        fy = min(max((y + 0.5) * 0.5 - 0.5, 0.0), hh - 1.0)
        y0 = int(fy)
        y1, ay = min(y0 + 1, hh - 1), np.float32(fy - y0)
        for x in range(w):
            a = weight[y, x]
            if a >= 1.0:
                for k in range(c):
                    out[y, x, k] = values[y, x, k]
                continue
            fx = min(max((x + 0.5) * 0.5 - 0.5, 0.0), hw - 1.0)
            x0 = int(fx)
            x1, ax = min(x0 + 1, hw - 1), np.float32(fx - x0)
            for k in range(c):
                top = coarse[y0, x0, k] + ax * (coarse[y0, x1, k] - coarse[y0, x0, k])
                low = coarse[y1, x0, k] + ax * (coarse[y1, x1, k] - coarse[y1, x0, k])
                out[y, x, k] = a * values[y, x, k] + (np.float32(1.0) - a) * (top + ay * (low - top))
    return out


def push_pull(values: Float32, known: Bool) -> tuple[Float32, Float32]:
    """Fill the unknown pixels of an image.

    Args:
        values: float32 [H, W, C]. known: bool [H, W].

    Returns:
        float32 [H, W, C], equal to ``values`` where known (all zero if nothing is); and float32
        [H, W] in 0..1, how far each pixel's value came from: 0 where known, growing with the
        logarithm of the distance to the known.
    """
    h, w, c = values.shape
    check_array("values", values, (h, w, c), np.float32)
    check_array("known", known, (h, w), np.bool_)
    levels = [(np.concatenate([values, np.zeros((h, w, 1), np.float32)], -1), known.astype(np.float32))]
    while max(levels[-1][1].shape) > 1:
        levels.append(_pull(*levels[-1]))
    top, top_weight = levels[-1]
    filled = top * (top_weight > 0)[..., None]
    for depth in range(len(levels) - 2, -1, -1):
        filled[..., c] += 1.0 / (len(levels) - 1)  # one level further from the known
        filled = _push(*levels[depth], filled)
    return np.ascontiguousarray(filled[..., :c]), np.ascontiguousarray(filled[..., c])

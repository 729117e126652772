"""The cheap fill of an image with holes that the network starts from: a smooth membrane.

Known pixels are averaged into ever coarser levels (pull); from the coarsest level down, holes take
the enlarged coarser level (push) and are then relaxed towards the mean of their neighbours, known
pixels held fast. Push-pull alone (Gortler et al., The Lumigraph, SIGGRAPH 1996) leaves blocks and
rings; the relaxed fill is close to the harmonic one, the smoothest that meets the rim, at a cost
that does not depend on how wide the holes are.

Pixels that are trusted but not known pull at the membrane without holding it: it minimises
``sum |grad u|^2 + sum w (u - v)^2`` (a screened Poisson equation), so what is doubtful is blurred
into its surroundings, which is the best guess there is of it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.types import Bool, Float32, Int64, check_array

SWEEPS = 10
"""Relaxations per level."""
HELD = np.float32(2.0**20)
"""Weight of a known pixel; any weight from here on holds the membrane. A power of two: means of known pixels stay exact."""
PULL = 0.3
"""Weight of a pixel of trust 1, against 1 of each of its four neighbours: measured to give the best PSNR on recordings."""


@njit(cache=True)
def _pull_weight(weight: np.ndarray, out: np.ndarray) -> None:
    """Half-size sum of the weights [H, W]."""
    h, w = weight.shape
    out[:] = np.float32(0.0)
    for y in range(h):
        for x in range(w):
            out[y // 2, x // 2] += weight[y, x]


@njit(cache=True)
def _pull(plane: np.ndarray, weight: np.ndarray, out: np.ndarray, out_weight: np.ndarray) -> None:
    """Half-size weighted mean of a plane [H, W], 0 where nothing weighs anything; ``out_weight`` is the weights' sum."""
    h, w = plane.shape
    nothing, tiny = np.float32(0.0), np.float32(1e-30)
    for y in range(out.shape[0]):
        top, low = 2 * y, min(2 * y + 1, h - 1)
        both = np.float32(1.0) if low > top else nothing
        for x in range(w // 2):  # no branches, so that it runs in vector registers
            left, right = 2 * x, 2 * x + 1
            above = weight[top, left] * plane[top, left] + weight[top, right] * plane[top, right]
            below = weight[low, left] * plane[low, left] + weight[low, right] * plane[low, right]
            out[y, x] = (above + both * below) / max(out_weight[y, x], tiny)
        if w % 2:
            total = weight[top, w - 1] * plane[top, w - 1] + both * weight[low, w - 1] * plane[low, w - 1]
            out[y, w // 2] = total / max(out_weight[y, w // 2], tiny)


@njit(cache=True)
def _push(coarse: np.ndarray, share: np.ndarray, plane: np.ndarray) -> None:
    """Put the bilinearly enlarged coarse level into a plane [H, W] where nothing holds it (where its share is not 0)."""
    (hh, hw), (h, w) = coarse.shape, plane.shape
    near, far = np.float32(0.75), np.float32(0.25)
    line = np.empty(hw + 2, np.float32)  # a row of the coarse level, its ends repeated
    for y in range(h):
        other = min(max(y // 2 - 1 if y % 2 == 0 else y // 2 + 1, 0), hh - 1)
        for x in range(hw):
            line[x + 1] = near * coarse[y // 2, x] + far * coarse[other, x]
        line[0], line[hw + 1] = line[1], line[hw]
        for x in range(w):
            value = near * line[x // 2 + 1] + far * line[x // 2 + 2 * (x % 2)]
            plane[y, x] = value if share[y, x] > np.float32(0.0) else plane[y, x]


@njit(cache=True)
def _relax(plane: np.ndarray, share: np.ndarray, own: np.ndarray, out: np.ndarray) -> None:
    """One Jacobi sweep: what is not held becomes the weighted mean of its neighbours (the border repeats) and of its own value.

    Args:
        share: one over the sum of the weights. own: share of the value's own weight, times the value. Both [H, W]; where
            the membrane is held they are 0 and the value.
    """
    h, w = plane.shape
    for y in range(h):
        above, row, below = plane[max(y - 1, 0)], plane[y], plane[min(y + 1, h - 1)]
        for x in range(1, w - 1):  # no branches, so that it runs in vector registers
            out[y, x] = share[y, x] * (above[x] + below[x] + row[x - 1] + row[x + 1]) + own[y, x]
        for x in (0, w - 1):
            out[y, x] = share[y, x] * (above[x] + below[x] + row[max(x - 1, 0)] + row[min(x + 1, w - 1)]) + own[y, x]


@njit(cache=True)
def _level(flat: np.ndarray, sizes: np.ndarray, level: int) -> np.ndarray:
    """One level [h, w] of a pyramid that lies flat, finest first; ``sizes`` [levels, 3] are its rows, columns and beginnings."""
    h, w, begin = sizes[level]
    return flat[begin : begin + h * w].reshape(h, w)


@njit(cache=True)
def _weigh(weight: np.ndarray, share: np.ndarray, sizes: np.ndarray) -> None:
    """Weights and shares of all levels, flat, from the finest level's weights."""
    for level in range(1, len(sizes)):
        _pull_weight(_level(weight, sizes, level - 1), _level(weight, sizes, level))
    for i in range(weight.size):
        share[i] = np.float32(0.0) if weight[i] >= HELD else np.float32(1.0) / (np.float32(4.0) + weight[i])


@njit(cache=True)
def _fill_plane(
    plane: np.ndarray, weight: np.ndarray, share: np.ndarray, sizes: np.ndarray, sweeps: int, per_level: float
) -> None:
    """Fill one plane [H, W] in place; ``per_level`` is added for every level a value came up."""
    flat, own, other = np.empty(weight.size, np.float32), np.empty(weight.size, np.float32), np.empty(plane.shape, np.float32)
    _level(flat, sizes, 0)[:] = plane
    for level in range(1, len(sizes)):
        below = _level(flat, sizes, level - 1), _level(weight, sizes, level - 1)
        _pull(below[0], below[1], _level(flat, sizes, level), _level(weight, sizes, level))
    for i in range(weight.size):
        own[i] = flat[i] if share[i] == np.float32(0.0) else share[i] * weight[i] * flat[i]
    for level in range(len(sizes) - 2, -1, -1):
        coarse, fine, part = _level(flat, sizes, level + 1), _level(flat, sizes, level), _level(share, sizes, level)
        coarse += np.float32(per_level)
        _push(coarse, part, fine)
        spare = other.ravel()[: fine.size].reshape(fine.shape)
        for _ in range(sweeps // 2):
            _relax(fine, part, _level(own, sizes, level), spare)
            _relax(spare, part, _level(own, sizes, level), fine)
    plane[:] = _level(flat, sizes, 0)


@njit(cache=True, parallel=True)
def _fill_planes(
    planes: np.ndarray, weight: np.ndarray, share: np.ndarray, sizes: np.ndarray, sweeps: int, per_level: np.ndarray
) -> None:
    """Every plane of [C, H, W] on its own: one launch for all levels and sweeps."""
    for c in prange(planes.shape[0]):
        _fill_plane(planes[c], weight, share, sizes, sweeps, per_level[c])


def _sizes(h: int, w: int) -> Int64:
    """Rows, columns and beginnings of the levels of a flat pyramid, halved up to a single pixel: int64 [levels, 3]."""
    sizes = [(h, w, 0)]
    while max(h, w) > 1:
        begin = sizes[-1][2] + h * w
        h, w = (h + 1) // 2, (w + 1) // 2
        sizes.append((h, w, begin))
    return np.array(sizes, np.int64)


def trust_weight(trust: Float32) -> Float32:
    """The weight of pixels of some trust, float32 [H, W]: PULL a unit; HELD holds."""
    check_array("trust", trust, trust.shape, np.float32)
    return np.where(trust >= HELD, HELD, np.float32(PULL) * trust)


def membrane(values: Float32, known: Bool, trust: Float32 | None = None) -> tuple[Float32, Float32]:
    """Fill the unknown pixels of an image smoothly.

    Args:
        values: float32 [H, W, C]. known: bool [H, W].
        trust: float32 [H, W], how far the value of a pixel that is not known is to be believed; none: not at
            all; HELD: as if it were known.

    Returns:
        float32 [H, W, C], equal to ``values`` where known (all zero if nothing is known or trusted); and
        float32 [H, W] in 0..1, how far each pixel is from the known: 0 where known, growing with the
        logarithm of the distance; in between where trusted.
    """
    h, w, c = values.shape
    check_array("values", values, (h, w, c), np.float32)
    check_array("known", known, (h, w), np.bool_)
    weight = np.where(known, HELD, np.float32(0.0) if trust is None else trust_weight(trust))
    planes = np.zeros((c + 1, h, w), np.float32)  # the last counts levels: how far a value came
    planes[:c] = (values * (weight > 0)[..., None]).transpose(2, 0, 1)
    levels = int(np.ceil(np.log2(max(h, w))))
    per_level = np.zeros(c + 1, np.float32)
    per_level[c] = 1.0 / max(levels, 1)
    sizes = _sizes(h, w)
    weights = np.empty(int(sizes[-1, 2]) + 1, np.float32)  # the last level is one pixel
    weights[: h * w], shares = weight.ravel(), np.empty_like(weights)
    _weigh(weights, shares, sizes)
    _fill_planes(planes, weights, shares, sizes, SWEEPS, per_level)
    return np.ascontiguousarray(planes[:c].transpose(1, 2, 0)), planes[c]

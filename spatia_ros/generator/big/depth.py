"""Depth for pictures that come without: a depth network's word, brought to the metres memory knows."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from spatia_ros.generator.sample import MAX_DEPTH_M, MIN_DEPTH_M
from spatia_ros.types import Camera, Float32, Float64, UInt8

LEAST_PIXELS = 256
"""Fewer remembered pixels than this say nothing about an estimate's scale."""
ROUNDS = 4
UNTRUSTED = 50.0
"""Spread of depth that nothing vouches for: more than any verification lets into memory."""


class Estimated(Protocol):
    """What an estimator says: see :class:`spatia_ros.seed.depth.Estimate`."""

    @property
    def values(self) -> Float32:
        """[H, W]: depth, or an affine map of 1 / depth; not above 0: unknown."""

    @property
    def kind(self) -> str:
        """metric, scale or inverse."""


class Estimator(Protocol):
    """Anything that tells depth from one picture: see :class:`spatia_ros.seed.depth.DepthEstimator`."""

    def estimate(self, rgb: UInt8, camera: Camera | None) -> Estimated:
        """Of a picture uint8 [H, W, 3]."""


class Depth(NamedTuple):
    """Depth of one frame: metres [H, W], and its expected relative error [H, W]."""

    depth: Float32
    spread: Float32


def in_metres(estimate: Estimated, remembered: Float32) -> Depth:
    """An estimate, brought to where memory knows depth.

    Args:
        remembered: float32 [H, W], metres, 0 where memory shows nothing.

    An inverse estimate is fitted by 1 / z = a p + b, others by one factor, without what does not fit (the third of the pixels
    that fits worst, in each of some rounds). Where memory shows too little, a metric estimate is taken at its word, and any
    other gets a spread that keeps it out of memory.
    """
    values = np.asarray(estimate.values, np.float64)
    if estimate.kind == "inverse":
        q = np.where(values > 0, values, 0.0)
    else:
        q = np.where(values > 0, 1.0 / np.maximum(values, 1e-9), 0.0)
    shared = (values > 0) & (remembered > 0)
    if shared.sum() < LEAST_PIXELS:
        return _depth(q, q > 0, UNTRUSTED if estimate.kind != "metric" else 0.1)
    inverse_m = 1.0 / remembered[shared].astype(np.float64)
    a, b = _fitted(q[shared], inverse_m, offset=estimate.kind == "inverse")
    in_inverse_m = np.where(values > 0, a * q + b, 0.0)
    error = np.abs(in_inverse_m[shared] / inverse_m - 1.0)
    return _depth(in_inverse_m, in_inverse_m > 1.0 / MAX_DEPTH_M, float(np.median(error)) if a > 0 else UNTRUSTED)


def _fitted(q: Float64, inverse_m: Float64, offset: bool) -> tuple[float, float]:
    """a and b of 1 / z = a q + b, relative errors counting alike near and far."""
    keep = np.ones(len(q), bool)
    a, b = 1.0, 0.0
    for _ in range(ROUNDS):
        columns = [q[keep] / inverse_m[keep]] + ([1.0 / inverse_m[keep]] if offset else [])
        solution = np.linalg.lstsq(np.stack(columns, 1), np.ones(int(keep.sum())), rcond=None)[0]
        a, b = float(solution[0]), float(solution[1]) if offset else 0.0
        error = np.abs((a * q + b) / inverse_m - 1.0)
        keep = error <= np.quantile(error, 2.0 / 3.0)
    return a, b


def _depth(inverse_m: Float64, known: np.ndarray, spread: float) -> Depth:
    depth = np.where(known, 1.0 / np.maximum(inverse_m, 1e-9), MAX_DEPTH_M)
    spreads = np.where(known, max(spread, 1e-3), UNTRUSTED)
    return Depth(np.clip(depth, MIN_DEPTH_M, MAX_DEPTH_M).astype(np.float32), spreads.astype(np.float32))

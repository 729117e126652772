"""What a frame takes from memory's view and from the generator, and where each of its pixels comes from; one pass each."""

from __future__ import annotations

import numpy as np

from spatia_ros.actors.draw import Drawn
from spatia_ros.generator import Generated
from spatia_ros.kernels import njit
from spatia_ros.types import Float32, UInt8, View

SENSED = 255
"""Provenance of a pixel that a sensor saw, or of an actor; 0 is new."""
REMEMBERED_INVENTION = 96
"""Provenance of a pixel that memory shows but no sensor saw."""


def trusted_depth(generated: Generated, view: View) -> Float32:
    """Remembered depth where memory has it, generated depth elsewhere: float32 [H, W], metres."""
    out = np.empty_like(view.depth)
    _choose(view.coverage.ravel(), view.depth.ravel(), generated.depth.ravel(), out.reshape(-1))
    return out


def provenance(view: View, drawn: Drawn | None = None) -> UInt8:
    """Where each pixel comes from: 255 a sensor or an actor, 96 an earlier invention, 0 invented now."""
    static = np.empty(view.depth.shape, np.uint8)
    _origin(view.coverage.ravel(), view.sensed.ravel(), static.reshape(-1))
    if drawn is None or not drawn.ids.any():
        return static
    return np.where(drawn.ids > 0, np.where(drawn.invented, 0, SENSED).astype(np.uint8), static)


@njit(cache=True, nogil=True)
def _choose(which: np.ndarray, first: np.ndarray, second: np.ndarray, out: np.ndarray) -> None:
    for i in range(out.size):
        a, b = first[i], second[i]  # both are read: a choice of what to read would be a branch
        out[i] = a if which[i] else b


@njit(cache=True, nogil=True)
def _origin(coverage: np.ndarray, sensed: np.ndarray, out: np.ndarray) -> None:
    least, more = np.float32(REMEMBERED_INVENTION), np.float32(SENSED - REMEMBERED_INVENTION)
    for i in range(out.size):
        out[i] = np.uint8(np.int32(least + more * sensed[i]) if coverage[i] else np.int32(0))

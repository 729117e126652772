"""Recall: what the references saw where memory has no surface.

A depth sensor returns nothing from black, shiny or far surfaces, and memory keeps no point there;
but the colour was seen. Where memory is blank, its depth is guessed from the surroundings, and the
guess leads into the references: those that measured nothing there, or measured just that depth,
lend their colour, unless it is masked. It is a guess about geometry and so counts as
invented, never as remembered; and it is trusted as far as the references agree with one another,
for a wrong depth leads each of them elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import prange

from spatia_ros import geometry
from spatia_ros.kernels import njit
from spatia_ros.memory import Keyframe
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8

TOLERANCE = 0.1
"""Relative depth difference within which a reference's measurement supports the guess."""
UNSUPPORTED = np.float32(1.0 / 3.0)
"""Trust in a colour whose depth is not known, against 1 in one whose depth supports the guess."""
STILL_PX = np.float32(5.0)
"""A pixel that moves so far in the reference while the guess grows by e is trusted twice; the stiller the more:"""
STILLEST = np.float32(300.0)
"""at most so much more. From where the reference stood every depth leads to the same pixel, and no guess can be wrong."""
DISAGREEMENT = np.float32(20.0)
"""Standard deviation of the lent colours (0..255) over which trust falls by e."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """Colour lent by references.

    Args:
        rgb: uint8 [H, W, 3], 0 where nothing is recalled.
        trust: float32 [H, W], how far it is to be believed: 0 where nothing is recalled, 1 where references agree and
            measured the guessed depth, more where the guess makes little difference.
    """

    rgb: UInt8
    trust: Float32

    @property
    def known(self) -> Bool:
        """bool [H, W], where anything is recalled."""
        return self.trust > 0


@njit(cache=True)
def _lend(rgb: np.ndarray, depth: float, kz: float, sway2: float, lent: np.ndarray) -> None:
    """Let one pixel of a reference, of a measured depth, lend its colour to a surface ``kz`` away; adds to ``lent`` [6].

    Args:
        sway2: how far (squared px) the pixel moves in the reference for a change of the guess by a factor e.
    """
    agrees = depth > 0.0 and abs(depth - kz) < TOLERANCE * kz
    if not agrees and depth != 0.0:  # it measured something else there, or is masked
        return
    still = STILL_PX * STILL_PX / max(np.float32(sway2), STILL_PX * STILL_PX / STILLEST)
    weight = (np.float32(1.0) if agrees else UNSUPPORTED) * (np.float32(1.0) + still)
    for k in range(3):
        value = np.float32(rgb[k])
        lent[k] += weight * value
        lent[3] += weight * value * value
    lent[4] += weight
    lent[5] = max(lent[5], weight)


@njit(cache=True)
def _ask_row(
    y: int, depth: np.ndarray, blank: np.ndarray, f: np.ndarray, A: np.ndarray, key_rgb: np.ndarray, key_depth: np.ndarray,
    g: np.ndarray, lent: np.ndarray,
) -> None:
    """Let one reference lend its colours to a row of pixels: depth, blank [W], lent [W, 6], see :func:`_settle`."""
    ry, per_x = (y + 0.5 - f[3]) / f[1], 1.0 / f[0]
    towards = A[:, 1] * ry + A[:, 2]
    rows, cols = key_depth.shape
    for x in range(depth.size):
        if not blank[x]:
            continue
        rx, z = (x + 0.5 - f[2]) * per_x, depth[x]
        ax, ay, az = A[0, 0] * rx + towards[0], A[1, 0] * rx + towards[1], A[2, 0] * rx + towards[2]
        kz = az * z + A[2, 3]
        if kz <= 0.0:
            continue
        per_z = 1.0 / kz
        u = g[0] * (ax * z + A[0, 3]) * per_z + g[2]
        v = g[1] * (ay * z + A[1, 3]) * per_z + g[3]
        if 0.0 <= u < cols and 0.0 <= v < rows:
            # The derivatives of u and v by the logarithm of z.
            du = g[0] * z * (ax * A[2, 3] - az * A[0, 3]) * per_z * per_z
            dv = g[1] * z * (ay * A[2, 3] - az * A[1, 3]) * per_z * per_z
            _lend(key_rgb[int(v), int(u)], key_depth[int(v), int(u)], kz, du * du + dv * dv, lent[x])


@njit(cache=True, parallel=True)
def _ask_all(
    depth: np.ndarray, blank: np.ndarray, f: np.ndarray, A: np.ndarray, key_rgb: np.ndarray, key_depth: np.ndarray,
    g: np.ndarray, lent: np.ndarray,
) -> None:
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        _ask_row(y, depth[y], blank[y], f, A, key_rgb, key_depth, g, lent[y])


@njit(cache=True)
def _settle(lent: np.ndarray, rgb: np.ndarray) -> np.float32:
    """The mean colour of a pixel into ``rgb`` uint8 [3]; returns its trust.

    Args:
        lent: float32 [6], sums over references: weighted colour 3, weighted squares, weight; and the largest weight.
    """
    if lent[4] <= 0.0:
        return np.float32(0.0)
    share, squares = np.float32(1.0) / lent[4], np.float32(0.0)
    for k in range(3):
        mean = lent[k] * share
        squares += mean * mean
        rgb[k] = np.uint8(mean + np.float32(0.5))
    spread = np.sqrt(max(lent[3] * share - squares, np.float32(0.0)) / np.float32(3.0))
    return np.exp(-spread / DISAGREEMENT) * lent[5]


@njit(cache=True, parallel=True)
def _settle_all(lent: np.ndarray, rgb: np.ndarray, trust: np.ndarray) -> None:
    for row in prange(trust.shape[0]):
        y = np.int64(row)
        for x in range(trust.shape[1]):
            trust[y, x] = _settle(lent[y, x], rgb[y, x])


def recall(guess_m: Float32, blank: Bool, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]) -> Recalled:
    """Colours the references lend to the blank pixels of a view: their mean, those first that measured the guessed depth.

    Args:
        guess_m: float32 [H, W], guessed depth in metres, positive. blank: bool [H, W].
    """
    lent = np.zeros((*guess_m.shape, 6), np.float32)
    for k in references:
        A = geometry.inverse(k.T_world_cam) @ T_world_cam
        _ask_all(guess_m, blank, intrinsics_of(camera), A, k.rgb, k.surface_m, intrinsics_of(k.camera), lent)
    rgb, trust = np.zeros((*guess_m.shape, 3), np.uint8), np.empty(guess_m.shape, np.float32)
    _settle_all(lent, rgb, trust)
    return Recalled(rgb, trust)

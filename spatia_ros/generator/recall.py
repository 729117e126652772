"""Recall: what the references saw where memory has no surface.

A depth sensor returns nothing from black, shiny or far surfaces, and memory keeps no point there;
but the colour was seen. Where memory is blank, its depth is guessed from the surroundings, and the
guess leads into the references: one that measured nothing there, or measured just that depth,
lends its colour, unless an edit has masked it. It is a guess about geometry and so counts as invented, never as remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from spatia_ros import geometry
from spatia_ros.memory import Keyframe
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8

TOLERANCE = 0.1
"""Relative depth difference within which a reference's measurement supports the guess."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """Colour lent by references.

    Args:
        rgb: uint8 [H, W, 3], 0 where nothing is recalled. known: bool [H, W].
    """

    rgb: UInt8
    known: Bool


@njit(cache=True)
def _ask(
    y: int, x: int, z: float, f: np.ndarray, A: np.ndarray, key_rgb: np.ndarray, key_depth: np.ndarray, g: np.ndarray,
    rgb: np.ndarray, support: np.ndarray,
) -> None:
    """Let one reference lend its colour to one pixel, unless a better supported one has."""
    px, py = (x + 0.5 - f[2]) / f[0] * z, (y + 0.5 - f[3]) / f[1] * z
    kz = A[2, 0] * px + A[2, 1] * py + A[2, 2] * z + A[2, 3]
    if kz <= 0.0:
        return
    u = g[0] * (A[0, 0] * px + A[0, 1] * py + A[0, 2] * z + A[0, 3]) / kz + g[2]
    v = g[1] * (A[1, 0] * px + A[1, 1] * py + A[1, 2] * z + A[1, 3]) / kz + g[3]
    if not (0.0 <= u < key_depth.shape[1] and 0.0 <= v < key_depth.shape[0]):
        return
    d = key_depth[int(v), int(u)]
    agrees = d > 0.0 and abs(d - kz) < TOLERANCE * kz
    if not agrees and d != 0.0:  # it measured something else there, or is masked
        return
    strength = np.uint8(2) if agrees else np.uint8(1)
    if strength > support[y, x]:
        support[y, x] = strength
        for k in range(3):
            rgb[y, x, k] = key_rgb[int(v), int(u), k]


@njit(cache=True, parallel=True)
def _ask_all(
    depth: np.ndarray, blank: np.ndarray, f: np.ndarray, A: np.ndarray, key_rgb: np.ndarray, key_depth: np.ndarray,
    g: np.ndarray, rgb: np.ndarray, support: np.ndarray,
) -> None:
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        for x in range(depth.shape[1]):
            if blank[y, x]:
                _ask(y, x, depth[y, x], f, A, key_rgb, key_depth, g, rgb, support)


def recall(guess_m: Float32, blank: Bool, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]) -> Recalled:
    """Colours the references lend to the blank pixels of a view, the first best supported.

    Args:
        guess_m: float32 [H, W], guessed depth in metres, positive. blank: bool [H, W].
        references: by falling overlap; earlier ones speak first.
    """
    rgb = np.zeros((*guess_m.shape, 3), np.uint8)
    support = np.zeros(guess_m.shape, np.uint8)
    for k in references:
        A = geometry.inverse(k.T_world_cam) @ T_world_cam
        _ask_all(guess_m, blank, intrinsics_of(camera), A, k.rgb, k.surface_m, intrinsics_of(k.camera), rgb, support)
    return Recalled(rgb, support > 0)

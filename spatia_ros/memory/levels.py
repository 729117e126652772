"""Coarser copies of a chunk, for views from afar: level L has one point where there are any in 2^L voxels cubed.

A level's point is one word: the mean position of what it stands for in 1/256 of the chunk's side (half a voxel), the mean
colour, when it was last seen, and whether most of it was measured.
"""

from __future__ import annotations

import numpy as np

from spatia_ros.kernels import njit

LEVELS = 7
"""The coarsest has one point a chunk."""
COARSE = 4
"""Levels from here on are stored, read and checked together."""
SEEN_SHIFT, LEVEL_SENSED_SHIFT = 48, 63
SEEN_MASK = 0x7FFF
"""15 bits: twice the step of the chunk's points."""


def build_levels(
    morton: np.ndarray, quanta: np.ndarray, rgb: np.ndarray, seen: np.ndarray, sensed: np.ndarray
) -> list[np.ndarray]:
    """Levels 1 to 7 of a chunk's points, each uint64 [its points], in Morton order.

    Args:
        morton: int64 [N], rising: block << 9 | voxel. quanta: uint8 [N, 3] within the voxel. rgb: uint8 [N, 3].
        seen: uint16 [N], steps. sensed: bool [N].
    """
    words, counts = _levels(morton, quanta, rgb, seen, sensed)
    return [words[level, : counts[level]].copy() for level in range(LEVELS)]


@njit(cache=True, inline="always")
def _axis(morton: int, k: int) -> int:
    """Coordinate 0..127 along an axis of a Morton number."""
    out = 0
    for bit in range(7):
        out |= ((morton >> (3 * bit + k)) & 1) << bit
    return out


@njit(cache=True)
def _levels(
    morton: np.ndarray, quanta: np.ndarray, rgb: np.ndarray, seen: np.ndarray, sensed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n = morton.size
    words, counts = np.empty((LEVELS, n), np.uint64), np.zeros(LEVELS, np.int64)
    # Per level, sums over the cell being filled: quanta of position, colour, sensed, points, latest.
    sums = np.zeros((LEVELS, 9), np.int64)
    for i in range(n + 1):
        for level in range(LEVELS):
            shift = 3 * (level + 1)
            if i > 0 and (i == n or morton[i] >> shift != morton[i - 1] >> shift):
                words[level, counts[level]] = _word(sums[level])
                counts[level] += 1
                sums[level, :] = 0
            if i == n:
                continue
            for k in range(3):
                sums[level, k] += _axis(morton[i], k) * 256 + quanta[i, k]
                sums[level, 3 + k] += rgb[i, k]
            sums[level, 6] += sensed[i]
            sums[level, 7] += 1
            sums[level, 8] = max(sums[level, 8], np.int64(seen[i]))
    return words, counts


@njit(cache=True)
def _word(sums: np.ndarray) -> np.uint64:
    points = sums[7]
    word = np.uint64(sums[8] >> 1) << np.uint64(SEEN_SHIFT)
    for k in range(3):
        # A chunk is 128 * 256 quanta wide, so a 256th of it is 128 quanta.
        word |= np.uint64(sums[k] // (128 * points)) << np.uint64(8 * k)
        word |= np.uint64((sums[3 + k] + points // 2) // points) << np.uint64(24 + 8 * k)
    if 2 * sums[6] >= points:
        word |= np.uint64(1) << np.uint64(LEVEL_SENSED_SHIFT)
    return word

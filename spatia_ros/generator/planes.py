"""How surfaces go on past the rim of what is known: planes fitted along it and carried outwards.

A membrane meets the rim and flattens: a floor that comes towards the camera stops coming. In inverse depth a plane is linear in
pixel coordinates (1/z = a u + b v + c), so planes are fitted there, in small windows, and their three numbers are carried
into the unknown by the membrane; where windows disagree, so do the planes, and the membrane blends them.
All of it at half size: planes are smooth.
"""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.generator.fill import membrane
from spatia_ros.types import Bool, Float32

WINDOW = 4
"""Half the side of a window, pixels of the half size. Measured, like RIDGE, on procedural clips and three recordings: 2 to 6
are nearly alike."""
RIDGE = np.float32(0.5)
"""Pulls slopes towards none, in squared pixels of the half size, beside the spread of the window's known pixels: what has few of
them, all on a line, tells no plane."""


def fitted(values: Float32, there: Bool) -> Float32:
    """Planes ``value = a x + b y + c`` around every pixel, by least squares with a ridge on the slopes.

    Args:
        values: float32 [H, W], 0 where not ``there``. there: bool [H, W].

    Returns:
        float32 [H, W, 3], a, b, c about the picture's first pixel; all 0 where nothing is in the window.
    """
    weight, offset = there.astype(np.float32), np.arange(-WINDOW, WINDOW + 1, dtype=np.float32)
    ones = np.ones_like(offset)

    def summed(image: Float32, along_x: Float32, along_y: Float32) -> Float32:
        # Correlation, about each window's own centre: sums of squared pixel coordinates would cost float32 its last digits.
        return np.asarray(cv2.sepFilter2D(image, cv2.CV_32F, along_x, along_y, borderType=cv2.BORDER_CONSTANT), np.float32)

    one_over = np.float32(1.0) / np.maximum(summed(weight, ones, ones), np.float32(1.0))
    x, y = summed(weight, offset, ones) * one_over, summed(weight, ones, offset) * one_over
    xx = summed(weight, offset * offset, ones) * one_over - x * x + RIDGE
    yy = summed(weight, ones, offset * offset) * one_over - y * y + RIDGE
    xy = summed(weight, offset, offset) * one_over - x * y
    mean = summed(values, ones, ones) * one_over
    with_x = summed(values, offset, ones) * one_over - x * mean
    with_y = summed(values, ones, offset) * one_over - y * mean
    determinant = xx * yy - xy * xy  # at least RIDGE squared
    a, b = (yy * with_x - xy * with_y) / determinant, (xx * with_y - xy * with_x) / determinant
    row, column = (np.arange(n, dtype=np.float32) for n in there.shape)
    return np.stack([a, b, mean - a * (x + column) - b * (y + row[:, None])], axis=-1)


def carried_on(inverse: Float32, known: Bool, trust: Float32 | None = None) -> Float32:
    """Inverse depth as the planes of what is known have it, everywhere.

    Args:
        inverse: float32 [H, W], 1/m, 0 where there is nothing. known: bool [H, W].
        trust: float32 [H, W], of surfaces there that are not known (see :func:`.fill.membrane`); none: there are none.

    Returns:
        float32 [H, W], 1/m; negative where a plane goes past the horizon, and without bound towards the camera.
    """
    h, w = inverse.shape
    count = _halved((inverse > 0).astype(np.float32))
    there, at_least_one = count > 0, np.maximum(count, np.float32(1.0))
    planes = fitted(_halved(inverse) / at_least_one, there)
    held = _halved(known.astype(np.float32)) > 0
    filled, _ = membrane(planes, held, None if trust is None else _halved(trust) / at_least_one)
    row, column = (np.arange(n, dtype=np.float32) for n in there.shape)
    carried = filled[..., 0] * column + filled[..., 1] * row[:, None] + filled[..., 2]
    return np.asarray(cv2.resize(carried, (2 * len(column), 2 * len(row)), interpolation=cv2.INTER_LINEAR)[:h, :w], np.float32)


def _halved(image: Float32) -> Float32:
    """Sums of two by two, float32 [ceil(H / 2), ceil(W / 2)]."""
    h, w = image.shape
    even = np.pad(image, ((0, h % 2), (0, w % 2))) if h % 2 or w % 2 else image
    rows = even[::2] + even[1::2]
    return rows[:, ::2] + rows[:, 1::2]

"""The world's frames on the model's canvas: fitted in whole, what lies beside them unknown, and cut out again."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from spatia_ros.types import Bool, SpatiaError, UInt8

MULTIPLE = 32
"""Canvas sides are a multiple of this: 16 pixels to a latent, 2 latents to a token."""


class Canvas(NamedTuple):
    """Where a frame of height x width lies on a canvas: its place and size there, px."""

    rows: int
    columns: int
    top: int
    left: int
    height: int
    width: int


def fitted(height: int, width: int, rows: int, columns: int) -> Canvas:
    """The largest place for a frame in the middle of a canvas that keeps its aspect.

    Raises:
        SpatiaError: when the canvas is none of the model's.
    """
    if rows % MULTIPLE or columns % MULTIPLE or min(rows, columns) < MULTIPLE:
        raise SpatiaError(f"big generator: expected a canvas of multiples of {MULTIPLE} px, got {columns}x{rows}")
    scale = min(rows / height, columns / width)
    h, w = min(round(height * scale), rows), min(round(width * scale), columns)
    return Canvas(rows, columns, (rows - h) // 2, (columns - w) // 2, h, w)


def onto(canvas: Canvas, rgb: UInt8) -> UInt8:
    """A frame uint8 [H, W, 3] on a black canvas (what memory's render shows where it shows nothing)."""
    out = np.zeros((canvas.rows, canvas.columns, 3), np.uint8)
    window = out[canvas.top : canvas.top + canvas.height, canvas.left : canvas.left + canvas.width]
    window[:] = _resized(rgb, canvas.height, canvas.width)
    return out


def covered(canvas: Canvas, coverage: Bool) -> Bool:
    """Coverage [H, W] on the canvas; beside the frame nothing is known."""
    out = np.zeros((canvas.rows, canvas.columns), np.bool_)
    size = (canvas.width, canvas.height)
    window = out[canvas.top : canvas.top + canvas.height, canvas.left : canvas.left + canvas.width]
    window[:] = cv2.resize(coverage.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return out


def off(canvas: Canvas, rgb: UInt8, height: int, width: int) -> UInt8:
    """The frame of a canvas uint8 [rows, columns, 3] at the world's size."""
    return _resized(rgb[canvas.top : canvas.top + canvas.height, canvas.left : canvas.left + canvas.width], height, width)


def _resized(rgb: UInt8, height: int, width: int) -> UInt8:
    if rgb.shape[:2] == (height, width):
        return rgb
    # Areas are averaged when shrinking; enlarging that way would leave blocks.
    how = cv2.INTER_AREA if height < rgb.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)

"""Strips of pictures: one row a frame, one column a method, each labelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from spatia_ros.record.panels import BACKGROUND, FAINT, TEXT, font
from spatia_ros.types import UInt8

_HEADER, _CAPTION, _GAP = 28, 24, 6


def strip(columns: Sequence[str], rows: Sequence[Sequence[tuple[UInt8, str]]]) -> UInt8:
    """Pictures in a table.

    Args:
        columns: what stands above each column.
        rows: per row and column a picture uint8 [H, W, 3] (all of one size) and what stands below it.

    Returns:
        uint8 [rows * (H + 30) + 28, columns * (W + 6), 3].
    """
    height, width = rows[0][0][0].shape[:2]
    pitch_y, pitch_x = height + _CAPTION + _GAP, width + _GAP
    canvas = np.full((_HEADER + len(rows) * pitch_y, len(columns) * pitch_x, 3), BACKGROUND, np.uint8)
    for r, row in enumerate(rows):
        for c, (picture, _) in enumerate(row):
            top, left = _HEADER + r * pitch_y, c * pitch_x
            canvas[top : top + height, left : left + width] = picture
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for c, name in enumerate(columns):
        draw.text((c * pitch_x + 4, 6), name, fill=TEXT, font=font(14))
        for r, row in enumerate(rows):
            draw.text((c * pitch_x + 4, _HEADER + r * pitch_y + height + 4), row[c][1], fill=FAINT, font=font(13))
    return np.asarray(image)

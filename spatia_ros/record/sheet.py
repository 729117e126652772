"""A contact sheet: a whole run at a glance."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from spatia_ros.record.panels import BACKGROUND, FAINT, TEXT, Film, enlarged, font
from spatia_ros.types import UInt8

_HEIGHT, _GAP, _CAPTION, _PER_ROW = 192, 6, 26, 4


def contact_sheet(film: Film, moments: int = 8) -> UInt8:
    """uint8 [H, W, 3]: evenly spaced moments, each as colour, depth and provenance below one another, four in a row."""
    indices = np.unique(np.linspace(0, len(film.shots) - 1, moments).round().astype(int))
    columns = [_column(film, int(i)) for i in indices]
    blank = np.full_like(columns[0], BACKGROUND)
    columns += [blank] * (-len(columns) % min(_PER_ROW, len(columns)))
    rows = [np.concatenate(columns[k : k + _PER_ROW], 1) for k in range(0, len(columns), _PER_ROW)]
    return np.concatenate(rows)


def _column(film: Film, index: int) -> UInt8:
    pictures = [_framed(enlarged(picture, _HEIGHT)) for picture in film.panels(index)]
    caption = np.full((_CAPTION, pictures[0].shape[1], 3), BACKGROUND, np.uint8)
    image = Image.fromarray(np.concatenate([caption, *pictures]))
    draw = ImageDraw.Draw(image)
    seconds = (film.shots[index].stamp_ns - film.shots[0].stamp_ns) * 1e-9
    draw.text((4, 7), f"{seconds:.1f} s", fill=TEXT, font=font(14))
    seen = f"{film.shares[index, 0]:.0%} seen by a sensor"
    draw.text((image.width - _GAP - 4, 7), seen, fill=FAINT, font=font(14), anchor="ra")
    return np.asarray(image)


def _framed(picture: UInt8) -> UInt8:
    """The picture with a margin to the right and below."""
    framed = np.full((picture.shape[0] + _GAP, picture.shape[1] + _GAP, 3), BACKGROUND, np.uint8)
    framed[: picture.shape[0], : picture.shape[1]] = picture
    return framed

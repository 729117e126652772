"""A run at a glance: the contact sheet of many moments, and the poster of three."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from spatia_ros.record.panels import (
    BACKGROUND,
    FAINT,
    TEXT,
    VERDICTS,
    Film,
    actor_colours,
    draw_legend,
    enlarged,
    font,
    verdict_colours,
)
from spatia_ros.types import UInt8

_HEIGHT, _GAP, _CAPTION, _PER_ROW = 192, 6, 26, 4
_POSTER_HEIGHT = 256
_LEGEND_PX = 1000
"""Width of all names of verdicts and their colours in one line."""


def contact_sheet(film: Film, moments: int = 8) -> UInt8:
    """uint8 [H, W, 3]: evenly spaced moments, each as colour, depth and provenance below one another, four in a row.

    Where it is known what became of each pixel, a fourth picture shows it, and a legend stands at the end; where there
    are actors, a fifth shows which pixels are whose.
    """
    indices = np.unique(np.linspace(0, len(film.shots) - 1, moments).round().astype(int))
    columns = [_column(film, int(i)) for i in indices]
    blank = np.full_like(columns[0], BACKGROUND)
    columns += [blank] * (-len(columns) % min(_PER_ROW, len(columns)))
    rows = [np.concatenate(columns[k : k + _PER_ROW], 1) for k in range(0, len(columns), _PER_ROW)]
    if film.shots[0].verdict is not None:
        rows.append(_verdict_legend(rows[0].shape[1]))
    return np.concatenate(rows)


def _verdict_legend(width: int) -> UInt8:
    """As many lines as the names need at this width."""
    entries, lines = list(VERDICTS.items()), max(1, -(-_LEGEND_PX // width))
    image = Image.new("RGB", (width, lines * _CAPTION), BACKGROUND)
    per_line = -(-len(entries) // lines)
    for line in range(lines):
        draw_legend(ImageDraw.Draw(image), 4, 5 + line * _CAPTION, dict(entries[line * per_line : (line + 1) * per_line]))
    return np.asarray(image)


def poster(film: Film) -> UInt8:
    """uint8 [H, W, 3]: the first frame, the one that shows least of what a sensor saw, and the last; three pictures of each."""
    farthest = int(film.shares[:, 0].argmin())
    moments = ((0, "start"), (farthest, "out past the edge of what was seen"), (len(film.shots) - 1, "end"))
    return np.concatenate([_row(film, index, name) for index, name in moments] + [_legend(film)])


def _row(film: Film, index: int, name: str) -> UInt8:
    pictures = [_framed(enlarged(picture, _POSTER_HEIGHT)) for picture in film.panels(index)]
    row = np.concatenate(pictures, 1)[:, :-_GAP]
    caption = np.full((_CAPTION, row.shape[1], 3), BACKGROUND, np.uint8)
    image = Image.fromarray(np.concatenate([caption, row]))
    draw = ImageDraw.Draw(image)
    draw.text((4, 7), name, fill=TEXT, font=font(15))
    sensed, remembered, new = film.shares[index]
    shares = f"{sensed:.0%} seen, {remembered:.0%} invented earlier, {new:.0%} invented now"
    draw.text((image.width - 4, 7), shares, fill=FAINT, font=font(15), anchor="ra")
    return np.asarray(image)


def _legend(film: Film) -> UInt8:
    width = 3 * _framed(enlarged(film.shots[0].rgb, _POSTER_HEIGHT)).shape[1] - _GAP
    image = Image.new("RGB", (width, _CAPTION), BACKGROUND)
    draw_legend(ImageDraw.Draw(image), 4, 5)
    return np.asarray(image)


def _column(film: Film, index: int) -> UInt8:
    shot = film.shots[index]
    panels = list(film.panels(index)) + ([] if shot.verdict is None else [verdict_colours(shot.rgb, shot.verdict)])
    panels += [] if shot.segmentation is None else [actor_colours(shot.rgb, shot.segmentation)]
    pictures = [_framed(enlarged(picture, _HEIGHT)) for picture in panels]
    caption = np.full((_CAPTION, pictures[0].shape[1], 3), BACKGROUND, np.uint8)
    image = Image.fromarray(np.concatenate([caption, *pictures]))
    draw = ImageDraw.Draw(image)
    draw.text((4, 7), f"{film.seconds[index]:.1f} s", fill=TEXT, font=font(14))
    seen = f"{film.shares[index, 0]:.0%} seen by a sensor"
    draw.text((image.width - _GAP - 4, 7), seen, fill=FAINT, font=font(14), anchor="ra")
    return np.asarray(image)


def _framed(picture: UInt8) -> UInt8:
    """The picture with a margin to the right and below."""
    framed = np.full((picture.shape[0] + _GAP, picture.shape[1] + _GAP, 3), BACKGROUND, np.uint8)
    framed[: picture.shape[0], : picture.shape[1]] = picture
    return framed

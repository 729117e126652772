"""Frames as pictures for people: colour, depth and provenance side by side, labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spatia_ros.record.shot import SENSED_FROM, Shot
from spatia_ros.types import Float32, UInt8, UInt16

SENSED, REMEMBERED, INVENTED = ORIGINS = ((64, 186, 160), (245, 180, 60), (222, 84, 150))
"""Colours of pixels from a sensor, from an earlier invention, and invented now."""

VERDICTS = {
    "taken into memory": (64, 186, 160), "depth disagrees": (222, 84, 84), "colour disagrees": (222, 84, 190),
    "depth unsure": (245, 180, 60), "too far": (90, 162, 240), "where it was seen to be empty": (169, 139, 240),
}  # fmt: skip
"""Colours of what became of new pixels, in the order of :data:`spatia_ros.slam.REASONS` after "remembered"."""

NAMES = ("seen by a sensor", "invented earlier, remembered", "invented now")
BACKGROUND, TEXT, FAINT = (17, 20, 26), (236, 239, 244), (134, 144, 160)
_UNKNOWN = (38, 42, 50)
_PANEL_HEIGHT = 384
_HEADER, _FOOTER, _GAP = 34, 66, 6


def depth_colours(depth: Float32, near_m: float, far_m: float) -> UInt8:
    """uint8 [H, W, 3]: turbo over inverse depth (near red, far blue), unknown dark."""
    inverse = 1.0 / np.maximum(depth, 1e-3)
    low, high = 1.0 / far_m, 1.0 / near_m
    level = np.clip((inverse - low) / max(high - low, 1e-6), 0, 1)
    colours: UInt8 = np.array(cv2.applyColorMap((20 + 215 * level).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1], np.uint8)
    colours[depth <= 0] = _UNKNOWN
    return colours


def depth_range(shots: Sequence[Shot]) -> tuple[float, float]:
    """Near and far depth, metres, that suit the pictures of a whole run."""
    some = [shots[i].depth for i in np.linspace(0, len(shots) - 1, min(len(shots), 12)).astype(int)]
    known = np.concatenate([d[::4, ::4][d[::4, ::4] > 0] for d in some])
    if not len(known):
        return 0.5, 5.0
    near, far = np.percentile(known, (2, 98))
    return float(near), float(max(far, near * 1.2))


def provenance_colours(rgb: UInt8, provenance: UInt8) -> UInt8:
    """uint8 [H, W, 3]: the picture in grey, tinted by where each pixel comes from."""
    classes = np.where(provenance == 0, 2, np.where(provenance >= SENSED_FROM, 0, 1))
    tint = np.array(ORIGINS, np.float32)[classes]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    return np.clip(tint * (0.25 + 0.85 * grey), 0, 255).astype(np.uint8)


def verdict_colours(rgb: UInt8, verdict: UInt8) -> UInt8:
    """uint8 [H, W, 3]: the picture in grey, tinted by what became of each new pixel; what is remembered stays grey."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    tint = np.array([(140, 140, 140), *VERDICTS.values()], np.float32)[np.minimum(verdict, len(VERDICTS))]
    return np.clip(tint * (0.25 + 0.85 * grey), 0, 255).astype(np.uint8)


def actor_colours(rgb: UInt8, segmentation: UInt16) -> UInt8:
    """uint8 [H, W, 3]: the picture in grey, each actor in a colour of its own."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    numbers = np.unique(segmentation)
    # Neighbouring numbers far apart on the circle of hues: a golden angle.
    hues = np.stack([numbers * 137.508 % 360, np.full(len(numbers), 0.65), np.full(len(numbers), 235.0)], -1)
    tints = cv2.cvtColor(hues[None].astype(np.float32), cv2.COLOR_HSV2RGB)[0]
    tints[numbers == 0] = 140
    return np.clip(tints[np.searchsorted(numbers, segmentation)] * (0.25 + 0.85 * grey), 0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface that comes with Pillow."""
    return ImageFont.load_default(size_px)


def enlarged(rgb: UInt8, height: int) -> UInt8:
    """The picture at another height, same shape."""
    width = round(rgb.shape[1] * height / rgb.shape[0])
    shrinks = height < rgb.shape[0]
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC), np.uint8)


class Film:
    """Draws the frames of one run: three panels, a legend, and a strip of shares over the whole run.

    Args:
        shots: the run; their shares and depths set the strip and the colours.
        title: shown in the corner.
    """

    def __init__(self, shots: Sequence[Shot], title: str) -> None:
        self.shots, self.title = shots, title
        self.near_m, self.far_m = depth_range(shots)
        # Shots may be read from a file each time they are asked for: this asks each of them once.
        told = [(shot.shares(), shot.figures, shot.stamp_ns) for shot in shots]
        self.shares = np.array([shares for shares, _, _ in told])
        """float64 [T, 3], see :meth:`Shot.shares`."""
        self.figures = [figures for _, figures, _ in told]
        self.seconds = [(stamp_ns - told[0][2]) * 1e-9 for *_, stamp_ns in told]
        """Since the first shot."""
        self._panel_width = round(shots[0].rgb.shape[1] * _PANEL_HEIGHT / shots[0].rgb.shape[0])
        self._canvas = self._frame()

    def panels(self, index: int) -> tuple[UInt8, UInt8, UInt8]:
        """Colour, depth and provenance of one frame, each uint8 [H, W, 3] at the frame's own size."""
        shot = self.shots[index]
        return shot.rgb, depth_colours(shot.depth, self.near_m, self.far_m), provenance_colours(shot.rgb, shot.provenance)

    def draw(self, index: int) -> UInt8:
        """The whole labelled picture of one frame, uint8 [H, W, 3]."""
        canvas = self._canvas.copy()
        for i, picture in enumerate(self.panels(index)):
            x = i * (self._panel_width + _GAP)
            canvas[_HEADER : _HEADER + _PANEL_HEIGHT, x : x + self._panel_width] = enlarged(picture, _PANEL_HEIGHT)
        image = Image.fromarray(canvas)
        draw = ImageDraw.Draw(image)
        sensed, remembered, new = self.shares[index]
        width = canvas.shape[1]
        draw.text((width - 10, 8), f"{self.seconds[index]:5.1f} s", fill=FAINT, font=font(16), anchor="ra")
        self._cursor(draw, index, width)
        line = f"{sensed:4.0%} seen    {remembered:4.0%} invented earlier    {new:4.0%} invented now"
        draw.text((width - 10, _HEADER + _PANEL_HEIGHT + 8), line, fill=TEXT, font=font(15), anchor="ra")
        return np.asarray(image)

    def _strip(self, width: int) -> tuple[int, int, int, int]:
        top = _HEADER + _PANEL_HEIGHT + 34
        return 10, top, width - 10, top + 24

    def _cursor(self, draw: ImageDraw.ImageDraw, index: int, width: int) -> None:
        left, top, right, bottom = self._strip(width)
        x = left + (right - left) * (index + 0.5) / len(self.shots)
        draw.rectangle((x - 1, top - 3, x + 1, bottom + 3), fill=TEXT)

    def _frame(self) -> UInt8:
        """Everything that does not change from frame to frame."""
        width = 3 * self._panel_width + 2 * _GAP
        width, height = width + width % 2, _HEADER + _PANEL_HEIGHT + _FOOTER
        canvas = np.full((height + height % 2, width, 3), BACKGROUND, np.uint8)
        left, top, right, bottom = self._strip(width)
        columns = np.minimum((np.arange(right - left) * len(self.shots)) // (right - left), len(self.shots) - 1)
        level = (np.arange(bottom - top)[::-1, None] + 0.5) / (bottom - top)
        sensed, either = self.shares[columns, 0], self.shares[columns, :2].sum(1)
        classes = np.where(level < sensed, 0, np.where(level < either, 1, 2))
        canvas[top:bottom, left:right] = np.array(ORIGINS, np.uint8)[classes]
        image = Image.fromarray(canvas)
        draw = ImageDraw.Draw(image)
        for i, name in enumerate(("colour", f"depth, {self.near_m:.1f} to {self.far_m:.1f} m", "where each pixel comes from")):
            draw.text((i * (self._panel_width + _GAP) + 10, 8), name, fill=TEXT, font=font(16))
        draw.text((width - 70, 8), self.title, fill=FAINT, font=font(16), anchor="ra")
        draw_legend(draw, 10, _HEADER + _PANEL_HEIGHT + 8)
        return np.asarray(image).copy()


def draw_legend(
    draw: ImageDraw.ImageDraw, x: float, y: int, entries: Mapping[str, tuple[int, int, int]] | None = None
) -> None:
    """Which colour stands for what, in one line; those of the provenance if none are given."""
    for name, colour in (entries or dict(zip(NAMES, ORIGINS, strict=True))).items():
        draw.rounded_rectangle((x, y + 3, x + 12, y + 15), 3, fill=colour)
        draw.text((x + 18, y), name, fill=TEXT, font=font(15))
        x += 18 + draw.textlength(name, font=font(15)) + 22

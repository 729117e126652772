"""The picture of a map from above with what led to it: camera path, keyframes, loops, the true path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image, ImageDraw

from spatia_ros.record.panels import BACKGROUND, FAINT, TEXT, font
from spatia_ros.record.plan import Plan
from spatia_ros.types import Bool, Float64, UInt8, check_array

PATH, LOST, TRUE, LOOP, KEYFRAME = (64, 214, 180), (255, 92, 92), (245, 245, 245), (255, 120, 205), (255, 200, 60)
_HEADER, _FOOTER = 38, 40
_DIMMED = 0.72
"""Brightness of the map under the lines."""
_SHIFT = 4
"""OpenCV draws at sixteenths of a pixel."""
_BARS_M = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


@dataclass(frozen=True, slots=True)
class Journey:
    """What is drawn over the map; all positions in metres in the world frame.

    Args:
        path: float64 [T, 3], camera positions in order of time.
        lost: bool [T], where the camera was not tracked; None: it always was.
        keyframes: float64 [K, 3].
        loops: float64 [L, 2, 3], both ends of every loop that was closed.
        true_path: float64 [N, 3], aligned with the map; None: not known.
    """

    path: Float64
    lost: Bool | None = None
    keyframes: Float64 = field(default_factory=lambda: np.empty((0, 3)))
    loops: Float64 = field(default_factory=lambda: np.empty((0, 2, 3)))
    true_path: Float64 | None = None

    def __post_init__(self) -> None:
        check_array("journey.path", self.path, (None, 3), np.float64)
        check_array("journey.keyframes", self.keyframes, (None, 3), np.float64)
        check_array("journey.loops", self.loops, (None, 2, 3), np.float64)


def draw_map(plan: Plan, journey: Journey, title: str) -> UInt8:
    """The labelled picture, uint8 [H, W, 3]."""
    picture = (plan.rgb * _DIMMED + np.array(BACKGROUND) * (1 - _DIMMED)).astype(np.uint8)
    for ends in journey.loops:
        _line(picture, plan.pixels(ends), LOOP, 1)
    at = plan.pixels(journey.path)
    _line(picture, at, PATH, 2)
    if journey.lost is not None:
        for run in _runs(journey.lost):
            _line(picture, at[max(run.start - 1, 0) : run.stop + 1], LOST, 3)
    if journey.true_path is not None:  # thin and on top, so that both show where they are one
        _line(picture, plan.pixels(journey.true_path), TRUE, 1, rim=0)
    for dot in plan.pixels(journey.keyframes):
        _dot(picture, dot, KEYFRAME, 3)
    if len(at):
        _dot(picture, at[0], PATH, 7)
        _dot(picture, at[-1], TEXT, 5)
    return _framed(picture, plan, journey, title)


def _line(picture: UInt8, at: Float64, colour: tuple[int, int, int], width: int, rim: int = 3) -> None:
    points = np.round(at * 2**_SHIFT).clip(-(2**24), 2**24).astype(np.int32).reshape(-1, 1, 2)
    for tint, extra in ((BACKGROUND, rim), (colour, 0)):  # a dark rim keeps lines legible on white walls
        cv2.polylines(picture, [points], False, tint, width + extra, cv2.LINE_AA, _SHIFT)


def _dot(picture: UInt8, at: Float64, colour: tuple[int, int, int], radius: int) -> None:
    centre = tuple(int(v) for v in np.round(at * 2**_SHIFT).clip(-(2**24), 2**24))
    for tint, extra in ((BACKGROUND, 2), (colour, 0)):
        cv2.circle(picture, centre, (radius + extra) << _SHIFT, tint, -1, cv2.LINE_AA, _SHIFT)


def _runs(flags: Bool) -> list[slice]:
    """Slices of consecutive true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _framed(picture: UInt8, plan: Plan, journey: Journey, title: str) -> UInt8:
    """The picture with a title above it, legend and scale below."""
    width = max(picture.shape[1], 560)
    canvas = np.full((picture.shape[0] + _HEADER + _FOOTER, width, 3), BACKGROUND, np.uint8)
    left = (width - picture.shape[1]) // 2
    canvas[_HEADER : _HEADER + picture.shape[0], left : left + picture.shape[1]] = picture
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    draw.text((12, 9), title, fill=TEXT, font=font(17))
    cut = "nothing cut away" if plan.cut_m is None else f"cut {plan.cut_m:.1f} m above the floor"
    draw.text((width - 12, 11), f"from above, {cut}", fill=FAINT, font=font(14), anchor="ra")
    foot = canvas.shape[0] - _FOOTER + 12
    _legend(draw, 12, foot, [(colour, name) for colour, name, there in _names(journey) if there])
    _scale(draw, width - 12, foot, plan.px_per_m)
    return np.asarray(image)


def _names(journey: Journey) -> Sequence[tuple[tuple[int, int, int], str, bool]]:
    lost = journey.lost is not None and bool(journey.lost.any())
    return (
        (PATH, "camera", len(journey.path) > 0), (LOST, "lost", lost), (TRUE, "true path", journey.true_path is not None),
        (KEYFRAME, "keyframes", len(journey.keyframes) > 0), (LOOP, "loops", len(journey.loops) > 0),
    )  # fmt: skip


def _legend(draw: ImageDraw.ImageDraw, x: float, y: int, names: Sequence[tuple[tuple[int, int, int], str]]) -> None:
    for colour, name in names:
        draw.rounded_rectangle((x, y + 3, x + 12, y + 15), 3, fill=colour)
        draw.text((x + 18, y), name, fill=TEXT, font=font(14))
        x += 18 + draw.textlength(name, font=font(14)) + 18


def _scale(draw: ImageDraw.ImageDraw, right: int, y: int, px_per_m: float) -> None:
    """A bar of a round length between 50 and 160 px."""
    metres = next((m for m in _BARS_M if m * px_per_m >= 50), _BARS_M[-1])
    length = metres * px_per_m
    draw.line((right - length, y + 14, right, y + 14), fill=TEXT, width=2)
    for end in (right - length, right):
        draw.line((end, y + 10, end, y + 18), fill=TEXT, width=2)
    draw.text((right - length - 8, y + 2), f"{metres:g} m", fill=TEXT, font=font(14), anchor="ra")

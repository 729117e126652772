"""The exposure of a frame, brought to that of the memory it is to be folded into.

A camera left to itself brightens what is dark, darkens what is light and shifts its white: by several stops within one
room. Folded in as they are, such frames leave seams across every wall, and a place looks as bright as when it was last
seen. Where a frame shows what memory holds already, both pictures of it tell how much more light one let in.

A picture x in 0..1 is taken to show the light L = x^2 / (1 - x^2): a square root for the eye and a soft shoulder below
white (Reinhard et al., *Photographic tone reproduction for digital images*, SIGGRAPH 2002, eq. 3). Exposure multiplies L.
So black stays black, white white, nothing is clipped, and an exposure undone by its inverse leaves what was, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.memory.memory import Memory
from spatia_ros.on_demand import OnDemand
from spatia_ros.types import Bool, Float64, Frame, SpatiaError, UInt8, check_array

WIDTH_PX = 128
"""Frame and memory are compared at most this wide: it is fast, and what is a pixel off then weighs little."""
SAME_DEPTH = 0.03
"""They show the same surface where their depths differ by less than this share."""
LEAST_PIXELS = 100
"""Fewer pixels in common say nothing."""
LEVELS = 8, 250
"""Grey levels from the first on and below the second tell light; the others are black or white, whatever the light was."""
ALIKE_PIXELS = 25.0
"""So many pixels side by side err alike: misplaced edges and highlights cover more than one."""
MODEL = 0.1
"""Standard deviation of ln(exposure) that no number of pixels lessens: cameras are not quite as simple as this one."""
BRIGHTNESS, WHITE = 1.0, 0.2
"""Standard deviations of ln(exposure) among frames: of all channels together, and of each against the others. With the one above,
brightness is followed nearly all the way, white four fifths of it: a tint found wrongly does not go on through a whole place."""
NO_CHANGE = 0.03
"""A smaller ln(exposure), in every channel, is none: a grey level and a half at most."""
MOST = 30.0
"""No picture is exposed by a larger ln(factor): of 8 bits nothing would be left."""

_X = np.arange(256) / 255.0
_LOG_LIGHT = np.log(np.maximum(_X * _X, 1e-9)) - np.log(np.maximum(1.0 - _X * _X, 1e-9))
# How much a grey level tells of ln L: the inverse variance, for noise that is the same at all levels.
_TOLD = np.where((np.arange(256) >= LEVELS[0]) & (np.arange(256) < LEVELS[1]), (_X * (1.0 - _X * _X)) ** 2, 0.0)


def exposed(rgb: UInt8, log_factor: Float64) -> UInt8:
    """A picture as it would have been under another exposure.

    Args:
        rgb: uint8 [H, W, 3]. log_factor: float64 [3], ln of how much more light each channel gets.

    Returns:
        uint8 [H, W, 3].

    Raises:
        SpatiaError: on a picture or a factor of another kind, or one that is not finite or absurd.
    """
    check_array("exposed.rgb", rgb, (None, None, 3), np.uint8)
    check_array("exposed.log_factor", log_factor, (3,), np.float64)
    if not (np.abs(log_factor) <= MOST).all():
        raise SpatiaError(f"exposed.log_factor: expected numbers within {MOST:g} of 0, got {log_factor.tolist()}")
    dark = 1.0 - _X[:, None] ** 2
    bright = _X[:, None] ** 2 * np.exp(log_factor)  # L is bright / dark, finite only below white
    levels = np.sqrt(bright / (dark + bright))
    return np.asarray(cv2.LUT(rgb, (255.0 * levels + 0.5).astype(np.uint8)[None]), np.uint8)


def exposure_between(a: UInt8, b: UInt8) -> Float64 | None:
    """ln of the factor that brings the exposure of pixels ``a`` to that of ``b``, which show the same.

    Of each channel the weighted median over the pixels; and as cameras change brightness much and white little, what a channel
    says alone counts as far as its pixels agree (a least-square estimate with :data:`BRIGHTNESS` and :data:`WHITE` as prior).

    Args:
        a, b: uint8 [N, 3].

    Returns:
        float64 [3]; None where no channel has enough pixels that are neither black nor white.
    """
    check_array("exposure_between.a", a, (None, 3), np.uint8)
    check_array("exposure_between.b", b, (len(a), 3), np.uint8)
    # Unknowns: brightness, and each channel's share of white.
    told, said, any_told = np.diag([BRIGHTNESS**-2.0] + 3 * [WHITE**-2.0]), np.zeros(4), False
    for channel in range(3):
        weight = np.minimum(_TOLD[a[:, channel]], _TOLD[b[:, channel]])
        used = weight > 0
        if np.count_nonzero(used) < LEAST_PIXELS:
            continue
        weight, apart = weight[used], (_LOG_LIGHT[b[:, channel]] - _LOG_LIGHT[a[:, channel]])[used]
        middle = _weighted_median(apart, weight)
        spread = 1.4826 * _weighted_median(np.abs(apart - middle), weight)
        pixels = weight.sum() ** 2 / (weight**2).sum() / ALIKE_PIXELS
        information = 1.0 / (spread**2 / pixels + MODEL**2)
        row = np.array([1.0, channel == 0, channel == 1, channel == 2])
        told += information * np.outer(row, row)
        said += information * middle * row
        any_told = True
    if not any_told:
        return None
    brightness, *white = np.linalg.solve(told, said)
    return brightness + np.array(white)


def exposure_to(memory: Memory, frame: Frame, width_px: int = WIDTH_PX) -> Float64 | None:
    """ln of the factor, float64 [3], that brings a frame's exposure to that of what a sensor saw there before.

    Args:
        memory: what the frame is to be folded into. frame: measured. width_px: they are compared at most this wide.

    Returns:
        None where ``memory.config.even_exposure`` is off, where memory shows nothing a sensor saw of the frame, or where it is
        exposed as memory is.
    """
    if not (memory.config.even_exposure and len(memory)):
        return None
    shrink = min(1.0, width_px / frame.camera.width)
    camera = frame.camera.resized(max(1, round(frame.camera.width * shrink)), max(1, round(frame.camera.height * shrink)))
    view = memory.render(camera, frame.T_world_cam, frame.stamp_ns)
    depth = cv2.resize(frame.depth, (camera.width, camera.height), interpolation=cv2.INTER_NEAREST)
    same: Bool = view.coverage & (view.sensed > 0.5) & (depth > 0) & (np.abs(depth - view.depth) < SAME_DEPTH * view.depth)
    rgb = cv2.resize(frame.rgb, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    change = exposure_between(np.asarray(rgb, np.uint8)[same], view.rgb[same])
    return None if change is None or np.abs(change).max() < NO_CHANGE else change


def evened(frame: Frame, memory: Memory) -> Frame:
    """A measured frame in the exposure of the memory it is to be folded into; the same where :func:`exposure_to` says None."""
    return _changed(frame, exposure_to(memory, frame))


class EvenFrames(OnDemand[Frame]):
    """Frames in the exposure of the first, which is found by folding them all into a memory once.

    Args:
        frames: posed, in order of time; read when asked for. config: of that memory.
        each: goes through the numbers of the frames, and may show how far it is.
    """

    def __init__(self, frames: Sequence[Frame], config: MemoryConfig, each: Callable[[range], Iterable[int]] = iter) -> None:
        self._frames = frames
        self._changes: list[Float64 | None] = []
        memory = Memory(config)
        for k in each(range(len(frames))):
            frame = frames[k]
            self._changes.append(exposure_to(memory, frame))
            memory.integrate(_changed(frame, self._changes[k]))

    def __len__(self) -> int:
        return len(self._frames)

    def made(self, index: int) -> Frame:
        """A frame, read anew."""
        return _changed(self._frames[index], self._changes[index])


def _changed(frame: Frame, change: Float64 | None) -> Frame:
    return frame if change is None else replace(frame, rgb=exposed(frame.rgb, change))


def _weighted_median(values: Float64, weights: Float64) -> float:
    """The value that half of the weight lies below."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])

"""True depth at the scale of what a view shows: whether an invention is too near or too far is not to be seen in it.

A network that is asked for the true depth beside an invention learns to undo the mean error of
the inventions it is shown, and goes the other way in its own, each frame farther than the last.
What it can learn is to go on from what is shown, so truth is moved to where that is.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from spatia_ros.generator.fill import membrane
from spatia_ros.generator.image import MULTIPLE
from spatia_ros.train.clips import Clip
from spatia_ros.types import Bool, Float32, View

LEAST_PX = 32
"""Pixels of a cell of MULTIPLE a side that must be shown and true for it to count."""


def at_shown_scale(clip: Clip) -> Clip:
    """The clip, its true depths multiplied by :func:`shown_error`; 0, not known, where that is None."""
    targets = []
    for view, target, moving in zip(clip.views, clip.targets, clip.moving, strict=True):
        error = shown_error(view, target.depth, moving)
        depth = np.zeros_like(target.depth) if error is None else target.depth * error
        targets.append(replace(target, depth=depth))
    return replace(clip, targets=tuple(targets))


def shown_error(view: View, true_depth: Float32, moving: Bool) -> Float32 | None:
    """By how much what a view shows is too far, float32 [H, W]: a smooth factor; None: it shows next to nothing.

    1 about what was measured; about what was invented the median over cells; a membrane between.

    Args:
        true_depth: float32 [H, W], metres, 0 = unknown. moving: bool [H, W], what memory is not expected to show.
    """
    known = view.coverage & (true_depth > 0) & ~moving
    error = np.log(np.where(known, view.depth, 1.0) / np.where(known, true_depth, 1.0)) * (view.sensed < 0.5)
    error[~known] = np.nan
    cells = _cells(error)
    told = np.isfinite(cells).sum(-1) >= LEAST_PX
    if not told.any():
        return None
    medians = np.zeros(told.shape, np.float32)
    medians[told] = np.nanmedian(cells[told], -1)
    smooth, _ = membrane(medians[..., None], told)
    (h, w), (rows, cols) = true_depth.shape, told.shape
    return np.exp(cv2.resize(smooth[..., 0], (cols * MULTIPLE, rows * MULTIPLE))[:h, :w])


def _cells(image: Float32) -> Float32:
    """Pixels [rows, cols, MULTIPLE ** 2] by cells; beyond the border NaN."""
    h, w = image.shape
    rows, cols = -(-h // MULTIPLE), -(-w // MULTIPLE)
    padded = np.full((rows * MULTIPLE, cols * MULTIPLE), np.nan, np.float32)
    padded[:h, :w] = image
    return padded.reshape(rows, MULTIPLE, cols, MULTIPLE).swapaxes(1, 2).reshape(rows, cols, -1)

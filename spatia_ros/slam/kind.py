"""What a moving thing is, in a word, by its size and shape alone; a guess that a label, where there is one, replaces."""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.actors import BodyPoints
from spatia_ros.types import Float64, UInt8

BALL_OFF = 0.06
"""Of its radius: how far a ball's points lie from a sphere."""
WORDS = {
    "black": (20, 20, 22), "white": (235, 235, 230), "grey": (128, 128, 130), "red": (190, 30, 30), "orange": (230, 120, 30),
    "yellow": (230, 200, 50), "green": (45, 135, 55), "blue": (40, 65, 180), "purple": (115, 45, 145), "brown": (105, 65, 40),
    "pink": (230, 140, 160),
}
"""Colours with a name, as they look in a picture."""


def kind_of(points: BodyPoints, up: Float64, rigid: bool) -> str:
    """A word for a thing: ball, box, car, pedestrian, or thing.

    Args:
        points: of it from all sides known, m. up: float64 [3], unit. rigid: whether its parts keep their places.
    """
    xyz = points.xyz.astype(np.float64)
    tall = float(np.ptp(np.quantile(xyz @ up, (0.01, 0.99))))
    aside = xyz - np.outer(xyz @ up, up)
    axes = np.linalg.svd(aside - aside.mean(0), full_matrices=False)[2]
    long = float(np.ptp(np.quantile(aside @ axes[0], (0.01, 0.99))))
    if rigid and long < 1.0 and _is_ball(xyz):
        return "ball"
    if 2.5 <= long <= 7.0 and 0.9 <= tall <= 2.6 and tall < long:
        return "car"
    if 0.9 <= tall <= 2.3 and tall > 1.25 * long and long < 1.3:
        return "pedestrian"
    if rigid and max(tall, long) < 2.5:
        return "box"
    return "thing"


def _is_ball(xyz: Float64) -> bool:
    """Whether points lie on a sphere of which they show a good part (least squares; Coope 1993)."""
    rows = np.column_stack([2.0 * xyz, np.ones(len(xyz))])
    x, _, rank, _ = np.linalg.lstsq(rows, (xyz**2).sum(1), rcond=None)
    if rank < 4:
        return False
    radius = float(np.sqrt(max(x[3] + x[:3] @ x[:3], 0.0)))
    off = np.abs(np.linalg.norm(xyz - x[:3], axis=1) - radius)
    size = float(np.ptp(xyz, axis=0).max())
    return radius < 0.75 * size and float(np.quantile(off, 0.8)) < BALL_OFF * radius


def colour_of(rgb: UInt8) -> str:
    """The word for most of some colours [N, 3]: the named one nearest in Lab to most of them."""
    names = list(WORDS)
    known = cv2.cvtColor(np.array([list(WORDS.values())], np.uint8), cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    lab = cv2.cvtColor(rgb[None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    # How light a thing is changes with the light on it; its hue does not.
    apart = np.linalg.norm((lab[:, None] - known[None]) * (0.5, 1.0, 1.0), axis=2)
    return names[int(np.bincount(apart.argmin(1), minlength=len(names)).argmax())]

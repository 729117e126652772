"""Which colour words suit a thing: measured from its points, as shares of them.

Hue, saturation and value decide, with words that overlap where people's do: a dim orange is brown too, a pale one beige.
"""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.ground.words import COLOURS
from spatia_ros.types import Bool, Float32, UInt8, check_array

HUES = {
    "red": (345.0, 16.0), "orange": (14.0, 42.0), "yellow": (40.0, 70.0), "green": (68.0, 168.0), "cyan": (160.0, 202.0),
    "blue": (192.0, 262.0), "purple": (255.0, 312.0), "pink": (305.0, 350.0),
}  # fmt: skip
"""From which hue to which, degrees."""
DIM, PALE = 0.18, 0.2
"""Value below which there is no colour but black, saturation below which there is none but grey."""


def shares(rgb: UInt8) -> dict[str, float]:
    """Share of colours [N, 3] that each word of :data:`.words.COLOURS` suits; the shares may add up to more than 1."""
    check_array("rgb", rgb, (None, 3), np.uint8)
    if not len(rgb):
        return dict.fromkeys(COLOURS, 0.0)
    h, s, v = cv2.cvtColor(rgb[None].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2HSV)[0].T
    suits = _suits(h, s, v)
    return {word: float(suits[word].mean()) for word in COLOURS}


def _suits(h: Float32, s: Float32, v: Float32) -> dict[str, Bool]:
    """Which colours (hue in degrees, saturation and value 0..1, each [N]) each word suits."""
    vivid = (s >= PALE) & (v >= DIM)
    out = {word: vivid & _between(h, *span) for word, span in HUES.items()}
    warm = _between(h, 5.0, 52.0)
    brown = warm & (s >= 0.25) & (v >= 0.12) & (v <= 0.72)
    beige = _between(h, 15.0, 65.0) & (s >= 0.08) & (s <= 0.48) & (v >= 0.55)
    out["orange"] &= (v >= 0.45) & (s >= 0.5)
    out["yellow"] &= (v >= 0.4) & (s >= 0.4)
    out["red"] &= s >= 0.35
    out["pink"] |= _between(h, 330.0, 15.0) & (s >= 0.15) & (s <= 0.55) & (v >= 0.6)
    grey = (s <= 0.24) & (v >= 0.22) & (v <= 0.8)
    white, black = (s <= 0.2) & (v >= 0.66), (v <= 0.24) | ((v <= 0.3) & (s <= 0.3))
    return out | {"brown": brown, "beige": beige, "grey": grey, "white": white, "black": black}


def _between(h: Float32, low: float, high: float) -> Bool:
    """Whether a hue lies between two, the way round that leads upwards."""
    return (h >= low) & (h < high) if low <= high else (h >= low) | (h < high)


def said(shown: dict[str, float]) -> str:
    """The colour of a thing in words: what suits most of it, and a second one that suits much."""
    first, second, *_ = sorted(shown, key=lambda word: -shown[word])
    if shown[first] < 0.2:
        return "of many colours"
    return first if shown[second] < max(0.4, 0.6 * shown[first]) else f"{first} and {second}"

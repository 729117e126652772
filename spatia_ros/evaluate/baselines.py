"""What anyone could do with the same projection of memory and no learning: fill its holes."""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.types import Bool, UInt8

RADIUS_PX = 3.0


def mean_colour(rgb: UInt8, known: Bool) -> UInt8:
    """Holes take the mean of what is known (grey, where nothing is)."""
    mean = rgb[known].mean(0) if known.any() else np.full(3, 127.0)
    return np.where(known[..., None], rgb, (mean + 0.5).astype(np.uint8))


def telea(rgb: UInt8, known: Bool) -> UInt8:
    """Fast marching inpainting (Telea, Journal of Graphics Tools 2004), by OpenCV."""
    return np.asarray(cv2.inpaint(rgb, (~known).astype(np.uint8), RADIUS_PX, cv2.INPAINT_TELEA), np.uint8)


def navier_stokes(rgb: UInt8, known: Bool) -> UInt8:
    """Navier-Stokes inpainting (Bertalmio et al., CVPR 2001), by OpenCV."""
    return np.asarray(cv2.inpaint(rgb, (~known).astype(np.uint8), RADIUS_PX, cv2.INPAINT_NS), np.uint8)


BASELINES = {"projection": mean_colour, "telea": telea, "navier_stokes": navier_stokes}
"""By their names in the figures: projection rgb uint8 [H, W, 3] and known bool [H, W] to a whole picture."""

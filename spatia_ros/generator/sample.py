"""From what a network says to a frame: add it to the fill, and undo the normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from spatia_ros.generator.image import ViewImage
from spatia_ros.types import Float32, UInt8, check_array

Engine = Callable[[Mapping[str, npt.NDArray[Any]]], dict[str, Float32]]
"""Named arrays in, named arrays out: torch module, ONNX Runtime and TensorRT alike (see spatia_ros.engine.table)."""

MIN_DEPTH_M, MAX_DEPTH_M = 0.05, 1000.0


@dataclass(frozen=True, slots=True)
class Generated:
    """One generated frame.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, known everywhere.
        depth_spread: float32 [H, W], the expected relative error of depth, by the generator's own word.
    """

    rgb: UInt8
    depth: Float32
    depth_spread: Float32


def compose(view: ViewImage, change: Float32) -> Generated:
    """Add the network's change float32 [5, H, W] (colour 3, log-depth, log of its spread) to the fill where it is not settled."""
    h, w = view.size
    check_array("change", change, (5, *view.image.shape[1:]), np.float32)
    change, filled = change[:, :h, :w], view.image[:4, :h, :w]
    if view.settled is not None:
        change = np.concatenate([np.where(view.settled, np.float32(0.0), change[:4]), change[4:]])
    colour = (filled[:3] + change[:3]) * np.float32(view.colour_scale) + view.colour_mean[:, None, None]
    planes = np.clip(colour * 255.0 + 0.5, 0, 255).astype(np.uint8)
    log_depth = filled[3] + change[3] + np.float32(view.log_depth_mean)
    return Generated(
        np.asarray(cv2.merge(list(planes)), np.uint8),  # pixel by pixel in memory, as everybody reads it
        np.clip(np.exp(log_depth), MIN_DEPTH_M, MAX_DEPTH_M).astype(np.float32),
        np.exp(np.clip(change[4], -8.0, 4.0)).astype(np.float32),
    )

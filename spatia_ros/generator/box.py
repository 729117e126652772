"""The box channel: where the network draws the box of what the prompt names first, read back as a box in pixels.

The last channel of the latents is generated along with the frame (Video4Spatial's auxiliary box, arXiv
2512.03040): +1 in the cells whose middle lies inside the box, -1 outside. A cell is 16 pixels a side, so a
box read from it is right to half a cell on each side at best.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros.generator.image import MULTIPLE
from spatia_ros.types import Float32, Float64, check_array


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box in a frame.

    Args:
        left, top, right, bottom: px; pixel u spans u..u + 1.
        sure: mean of the channel inside, above 0 and around 1 where the network has no doubt.
    """

    left: float
    top: float
    right: float
    bottom: float
    sure: float = 1.0

    def as_array(self) -> Float64:
        """Left, top, right, bottom, px: float64 [4]."""
        return np.array([self.left, self.top, self.right, self.bottom])


def read_box(drawn: Float32, size: tuple[int, int]) -> DrawnBox | None:
    """The largest connected group of cells above 0, as a box; None when there is none.

    Args:
        drawn: float32 [h, w], the channel. size: rows and columns of the frame, px; a box ends where the frame does.
    """
    check_array("box channel", drawn, (None, None), np.float32)
    _, labels, groups, _ = cv2.connectedComponentsWithStats((drawn > 0).astype(np.uint8), connectivity=4)
    if len(groups) == 1:
        return None
    group = 1 + int(np.argmax(groups[1:, cv2.CC_STAT_AREA]))
    left, top, width, height = (float(MULTIPLE * n) for n in groups[group, :4])
    right, bottom = min(left + width, float(size[1])), min(top + height, float(size[0]))
    return DrawnBox(left, top, right, bottom, float(drawn[labels == group].mean()))


def cells_of(boxes: Float64, cells: tuple[int, int]) -> Float32:
    """The channel that boxes are: float32 [T, 1, h, w], 1 in cells whose middle lies inside, -1 outside.

    Args:
        boxes: float64 [T, 4], left, top, right, bottom, px; NaN: out of sight, -1 everywhere. What is smaller than a
            cell has the cell its middle lies in.
        cells: rows and columns of cells.
    """
    check_array("boxes", boxes, (None, 4), np.float64)
    v, u = ((np.arange(n) + 0.5) * MULTIPLE for n in cells)
    left, top, right, bottom = boxes.T[:, :, None]
    half_u, half_v = np.maximum(right - left, MULTIPLE) / 2, np.maximum(bottom - top, MULTIPLE) / 2
    across = abs(u - (left + right) / 2) <= half_u
    down = abs(v - (top + bottom) / 2) <= half_v
    return np.where(down[:, None, :, None] & across[:, None, None, :], 1.0, -1.0).astype(np.float32)


def iou(a: Float64, b: Float64) -> float:
    """Intersection over union of two boxes float64 [4]; 0 where they do not meet."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = float(np.prod(np.maximum(high - low, 0.0)))
    both = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common
    return common / both if both > 0 else 0.0

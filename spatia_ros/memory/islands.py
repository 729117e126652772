"""Islands of depth: what a sensor says of a few pixels in the midst of many of which it says nothing.

A time-of-flight camera that gets next to no light back measures anything: its depth images have holes, and in the holes specks,
metres off. In memory these are floating crumbs, near enough to somebody's camera to fill it. A small thing that really stands
there touches something that is measured, too, or is measured from nearer, where it is larger.
"""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.types import Float32

CELL_PX = 2
"""Islands are looked for at one over this many of the size: lines of holes, as reprojected depth has them, part nothing."""


def without_islands(depth: Float32, share: float) -> Float32:
    """A depth image without its islands: measured pixels with nothing measured around them, in groups smaller than ``share``.

    Args:
        depth: float32 [H, W], metres, 0 = unknown. share: of the image; 0: all are kept.

    Returns:
        float32 [H, W], a copy; the very same image where there are none.
    """
    (h, w), known = depth.shape, depth > 0
    if not share or known.all():
        return depth
    rows, cols = -(-h // CELL_PX), -(-w // CELL_PX)
    whole = np.zeros((rows * CELL_PX, cols * CELL_PX), np.bool_)
    whole[:h, :w] = known
    cells = np.logical_or.reduce([whole[y::CELL_PX, x::CELL_PX] for y in range(CELL_PX) for x in range(CELL_PX)])
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cells.view(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < share * rows * cols
    small[0] = False  # what is not measured at all
    if not small.any():
        return depth
    island = small[labels].repeat(CELL_PX, 0).repeat(CELL_PX, 1)[:h, :w]
    return np.where(island, np.float32(0.0), depth)

"""What grounding found, as pictures: a box around it in a view, and the way to it from above."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from PIL import Image, ImageDraw

from spatia_ros.record.map_picture import Journey, draw_map
from spatia_ros.record.panels import BACKGROUND, font
from spatia_ros.record.plan import draw_plan
from spatia_ros.types import Float64, UInt8

BOX = (255, 196, 60)
Box = tuple[float, float, float, float]


def boxed(rgb: UInt8, box_px: Box | None, label: str) -> UInt8:
    """A picture [H, W, 3] with a box (left, top, right, bottom, px) around something and its name; as it is without a box."""
    if box_px is None:
        return rgb.copy()
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box_px
    size = max(11, rgb.shape[0] // 16)
    for grow, tint in ((1, BACKGROUND), (0, BOX), (-1, BOX)):
        if right - left > 4 and bottom - top > 4:
            draw.rectangle((left - grow, top - grow, right - 1 + grow, bottom - 1 + grow), outline=tint)
    width = draw.textlength(label, font=font(size))
    x = min(max(left, 1.0), max(rgb.shape[1] - width - 5.0, 0.0))
    y = top - size - 5 if top >= size + 6 else min(bottom + 2, rgb.shape[0] - size - 4)
    draw.rectangle((x, y, x + width + 5, y + size + 3), fill=BACKGROUND)
    draw.text((x + 3, y), label, fill=BOX, font=font(size))
    return np.asarray(image)


def way_from_above(
    xyz: np.ndarray, rgb: UInt8, voxel_m: float, up: Float64, T_world_cam: Float64, low: Float64, high: Float64, title: str
) -> UInt8:
    """The way of a camera [T, 4, 4] drawn over a place from above, its start large, with the box low..high [3] it leads to.

    Args:
        xyz: float [N, 3], points of the place, m, world. rgb: uint8 [N, 3]. voxel_m: what each stands for. up: unit [3].
    """
    eyes = T_world_cam[:, :3, 3]
    plan = draw_plan(xyz, rgb, voxel_m, up, eyes, side_px=1000)
    picture = plan.rgb.copy()
    corners: Float64 = np.stack(np.meshgrid(*np.stack([low, high], 1)), -1).reshape(-1, 3)
    hull = cv2.convexHull(plan.pixels(corners).astype(np.float32)).round().astype(np.int32)
    (x0, y0), (x1, y1) = plan.pixels(np.stack([eyes[-1], eyes[-1] + 0.6 * T_world_cam[-1, :3, 2]])).round().astype(int).tolist()
    for tint, wider in ((BACKGROUND, 4), (BOX, 0)):
        cv2.polylines(picture, [hull], True, tint, 3 + wider, cv2.LINE_AA)
        cv2.arrowedLine(picture, (x0, y0), (x1, y1), tint, 3 + wider, cv2.LINE_AA, tipLength=0.35)
    return draw_map(replace(plan, rgb=picture), Journey(eyes), title)

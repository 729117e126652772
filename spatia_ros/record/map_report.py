"""The report of a map: the picture from above, the figures, frames beside what the map shows from their poses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw

from spatia_ros.record.files import encode_jpeg, write_text
from spatia_ros.record.panels import BACKGROUND, FAINT, TEXT, depth_colours, enlarged, font
from spatia_ros.record.report import Page, inline, rendered
from spatia_ros.types import Frame, UInt8

if TYPE_CHECKING:
    from spatia_ros.memory import Memory

_HEIGHT, _GAP, _CAPTION = 216, 6, 26


def write_map_report(path: Path, page: Page, picture: UInt8, views: UInt8 | None, charts: Sequence[tuple[str, str]]) -> None:
    """Write one HTML file that fetches nothing.

    Args:
        picture: the map from above, uint8 [H, W, 3]. views: see :func:`compared_views`; None: there are none.
        charts: heading and SVG of each.
    """
    html = rendered("map_report.html.j2", page, {
        "picture": Markup(inline("image/jpeg", encode_jpeg(picture))),
        "views": None if views is None else Markup(inline("image/jpeg", encode_jpeg(views))),
        "charts": [(name, Markup(svg)) for name, svg in charts],
    })  # fmt: skip
    write_text(path, html)


def compared_views(memory: Memory, frames: Sequence[Frame]) -> UInt8:
    """uint8 [H, W, 3]: a column a frame, its picture above what memory shows from its pose, in colour and depth."""
    views = [memory.render(frame.camera, frame.T_world_cam, frame.stamp_ns) for frame in frames]
    known = np.concatenate([view.depth[view.coverage] for view in views] + [np.array([1.0, 4.0], np.float32)])
    near, far = (float(v) for v in np.percentile(known, (2, 98)))
    columns = []
    for frame, view in zip(frames, views, strict=True):
        pictures = [enlarged(p, _HEIGHT) for p in (frame.rgb, view.rgb, depth_colours(view.depth, near, max(far, near * 1.2)))]
        caption = _caption(pictures[0].shape[1], (frame.stamp_ns - frames[0].stamp_ns) * 1e-9, float(view.coverage.mean()))
        column = np.concatenate([caption, *[_framed(picture) for picture in pictures]])
        columns.append(column)
    return np.concatenate(columns, 1)


def _framed(picture: UInt8) -> UInt8:
    return np.pad(picture, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=BACKGROUND[0])


def _caption(width: int, seconds: float, coverage: float) -> UInt8:
    image = Image.new("RGB", (width + _GAP, _CAPTION), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((4, 7), f"{seconds:.1f} s", fill=TEXT, font=font(14))
    draw.text((width - 4, 7), f"{coverage:.0%} remembered", fill=FAINT, font=font(14), anchor="ra")
    return np.asarray(image)

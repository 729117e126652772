"""Drawing actors over a finished picture: each alone, in a window of its own (see :mod:`.splat`), then all by depth.

As each layer is made of one actor alone, what its pixels look like never depends on what another does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spatia_ros.actors.cast import Posed
from spatia_ros.actors.splat import NEAR_M, Splatted, splat
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8, UInt16, check_array

COARSER = 2.5


class Layer(NamedTuple):
    """One actor as a camera sees it, alone, in a window of the picture."""

    id: int
    left: int  # of the window in the picture, px
    top: int
    rgb: UInt8  # [h, w, 3]
    depth: Float32  # [h, w], metres, 0 where the actor is not
    cover: Float32  # [h, w], share of the pixel that it covers, 0 where it is not
    invented: Bool  # [h, w], pixels that are the generator's

    def of(self, picture: np.ndarray) -> np.ndarray:
        """The layer's window of a picture [H, W, ...] (a view)."""
        h, w = self.depth.shape
        return picture[self.top : self.top + h, self.left : self.left + w]


class Drawn(NamedTuple):
    """A picture with actors in it."""

    rgb: UInt8  # [H, W, 3]
    depth: Float32  # [H, W], metres
    ids: UInt16  # [H, W], the actor each pixel shows, 0 = none
    invented: Bool  # [H, W], pixels of actors that are the generator's


def in_view(low: Float64, high: Float64, camera: Camera, T_world_cam: Float64) -> bool:
    """Whether a world-axis box [3], [3] (metres) may show in a picture; never false where it does."""
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), -1).reshape(8, 3)
    x, y, z = ((corners - T_world_cam[:3, 3]) @ T_world_cam[:3, :3]).T
    # Each border of the picture is a plane through the camera: a box outside one of them is out of view.
    sides = (
        camera.fx * x + camera.cx * z, (camera.width - camera.cx) * z - camera.fx * x,
        camera.fy * y + camera.cy * z, (camera.height - camera.cy) * z - camera.fy * y, z - NEAR_M,
    )  # fmt: skip
    return all(side.max() >= 0.0 for side in sides)


def draw_layer(posed: Posed, camera: Camera, T_world_cam: Float64) -> Layer | None:
    """One actor as a camera sees it, alone; None where it is out of view.

    One that was not seen from all sides is drawn a second time with COARSER points, which show where the first time left it
    open: a recording's points lie apart unevenly, and seen from elsewhere farther than they say.
    """
    margin = posed.points.spacing_m
    if not in_view(posed.low - margin, posed.high + margin, camera, T_world_cam):
        return None
    drawn = splat(posed.points.xyz, posed.points.rgb, margin, camera, T_world_cam)
    if drawn is not None and not posed.complete:
        coarse = splat(posed.points.xyz, posed.points.rgb, COARSER * margin, camera, T_world_cam)
        drawn = drawn if coarse is None else _filled(drawn, coarse)
    return None if drawn is None else Layer(posed.id, *drawn, np.zeros(drawn.depth.shape, np.bool_))


def _filled(fine: Splatted, coarse: Splatted) -> Splatted:
    """The coarse picture, which reaches farther, with the fine one in it wherever that shows anything."""
    h, w = fine.depth.shape
    top, left = fine.top - coarse.top, fine.left - coarse.left
    within = np.s_[top : top + h, left : left + w]
    shown = fine.depth > 0
    for whole, part in ((coarse.rgb, fine.rgb), (coarse.depth, fine.depth)):
        whole[within][shown] = part[shown]
    coarse.cover[within] = np.maximum(coarse.cover[within], fine.cover)
    return coarse


def compose(rgb: UInt8, depth: Float32, layers: Sequence[Layer]) -> Drawn:
    """Layers over a picture: a pixel is the nearest layer's that covers half of it, else the nearest one's that covers any.

    Where a layer covers a part, the picture shows for the rest, not another layer: so a pixel without an actor's number
    knows nothing of that actor. Of what is as far away the picture is in front, then earlier layers.

    Args:
        rgb: uint8 [H, W, 3] and depth: float32 [H, W], metres, 0 = unknown (behind everything); they stay as they are.
    """
    drawn = Drawn(rgb.copy(), depth.copy(), np.zeros(depth.shape, np.uint16), np.zeros(depth.shape, np.bool_))
    whole = np.zeros(depth.shape, np.bool_)
    for layer in layers:
        static, before, half = layer.of(depth), layer.of(whole), layer.cover >= 0.5
        seen = (layer.depth > 0) & ((static == 0) | (layer.depth < static))
        nearer = (layer.of(drawn.ids) == 0) | (half & ~before) | ((half == before) & (layer.depth < layer.of(drawn.depth)))
        own = seen & nearer
        share, behind = layer.cover[own][:, None], layer.of(rgb)[own].astype(np.float32)
        layer.of(drawn.rgb)[own] = (behind + share * (layer.rgb[own] - behind) + np.float32(0.5)).astype(np.uint8)
        layer.of(drawn.depth)[own], layer.of(drawn.ids)[own] = layer.depth[own], layer.id
        layer.of(drawn.invented)[own], before[own] = layer.invented[own], half[own]
    return drawn


def draw(rgb: UInt8, depth: Float32, posed: Sequence[Posed], camera: Camera, T_world_cam: Float64) -> Drawn:
    """Actors over a picture, hidden by what is nearer and hiding what is farther.

    Args:
        rgb: uint8 [H, W, 3] and depth: float32 [H, W], metres, 0 = unknown, of the picture without them, unchanged.
    """
    check_array("depth", depth, (camera.height, camera.width), np.float32)
    check_array("rgb", rgb, (camera.height, camera.width, 3), np.uint8)
    layers = (draw_layer(each, camera, T_world_cam) for each in posed)
    return compose(rgb, depth, [layer for layer in layers if layer is not None])

"""What nobody saw of an actor: its gaps in a picture, completed by a second pass of the generator.

The pass is told the actor in the finished static picture, its gaps uncovered, and the time the actor shows; of what it
makes, only those pixels are used that it puts on the actor. It sees nothing of other actors, draws its randomness from the
actor and the moment alone, and works on a window around the gaps: what it costs goes with what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from spatia_ros.actors.draw import Layer, compose
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.generators import Generator
from spatia_ros.generator.image import MULTIPLE
from spatia_ros.generator.sample import Generated
from spatia_ros.memory import Keyframe
from spatia_ros.types import Bool, Float32, Frame, UInt8, View

GAP_SHARE = 0.08
"""An opening of an actor up to twice this share of its smaller side, in the picture, is a gap and not a part of its shape."""
MAX_GAP_PX = 24
ENCLOSED = 0.8
"""Share of a gap's border that must be the actor's: less, and it is a corner of its outline."""
AROUND_PX = 24
"""How much of the picture around the gaps the generator is shown, px."""
LEAST_SIDE_PX = 64


def gaps_of(layer: Layer, static_m: Float32) -> tuple[Bool, Float32]:
    """The pixels within an actor's reach that none of its points shows, and how far away it is there.

    Its reach is what a closing of its silhouette adds to it, within its hull, where the actor is nearly all around; not
    where a nearer static surface hides it.

    Args:
        static_m: float32 [h, w], depth of the static picture in the layer's window, metres, 0 = unknown.

    Returns:
        bool [h, w], and float32 [h, w] metres, meant for those pixels.
    """
    shown = (layer.depth > 0).astype(np.uint8)
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    smaller = min(np.ptp(rows), np.ptp(columns)) + 1 if len(rows) else 0
    reach = min(round(GAP_SHARE * smaller), MAX_GAP_PX)
    if not reach:
        return np.zeros(shown.shape, np.bool_), layer.depth
    side = 2 * reach + 1
    kernel, padding = np.ones((side, side), np.uint8), (reach,) * 4
    # With a margin: at the border of an image OpenCV takes what lies beyond for whatever is there.
    padded = cv2.copyMakeBorder(shown, *padding, borderType=cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[reach:-reach, reach:-reach] > 0
    total, known = (cv2.boxFilter(image, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
                    for image in (layer.depth, shown))  # fmt: skip
    depth = np.asarray(total / np.maximum(known, 1.0), np.float32)
    gaps = closed & (shown == 0) & (known > 0.5)
    if not gaps.any():
        return gaps, depth
    return _enclosed(gaps & _hull(shown), shown) & ((static_m == 0) | (depth < static_m)), depth


def _enclosed(gaps: Bool, shown: UInt8) -> Bool:
    """Those connected groups of pixels of which a silhouette uint8 [h, w] is ENCLOSED of what is around."""
    count, group = cv2.connectedComponents(gaps.astype(np.uint8), connectivity=4)
    padded, around = np.pad(group, 1), np.pad(shown, 1) > 0
    own, other = np.zeros(count), np.zeros(count)
    for axis in (0, 1):
        for step in (-1, 1):
            actor: Bool = np.roll(around, step, axis)[1:-1, 1:-1]
            outside = np.roll(padded, step, axis)[1:-1, 1:-1] != group
            own += np.bincount(group[outside & actor], minlength=count)
            other += np.bincount(group[outside & ~actor], minlength=count)
    enough = own >= ENCLOSED * (own + other)
    enough[0] = False
    return np.asarray(enough[group])


def _hull(shown: UInt8) -> Bool:
    """The convex hull of a silhouette uint8 [h, w]."""
    points = np.argwhere(shown)[:, ::-1].astype(np.int32)
    out = np.zeros(shown.shape, np.uint8)
    cv2.fillConvexPoly(out, cv2.convexHull(points), 1)
    return out > 0


def completed(
    layer: Layer, frame: Frame, references: Sequence[Keyframe], generator: Generator, animation_s: float, seed: int
) -> Layer:
    """A layer with its gaps completed; the same where it has none.

    Args:
        frame: the finished static picture. references: keyframes that saw the same space.
        animation_s: the time the actor shows, as the generator is told it. seed: the world's.
    """
    gaps, actor_m = gaps_of(layer, layer.of(frame.depth))
    if not gaps.any():
        return layer
    made, static_m = _second_pass(layer, gaps, frame, references, generator, animation_s, seed), layer.of(frame.depth)
    # The actor's, if it is put nearer to where the actor is than to what stands behind it.
    behind = np.where(static_m > 0, static_m, np.inf)
    own = gaps & (made.depth < np.sqrt(actor_m * behind))
    rgb, depth = np.where(own[..., None], made.rgb, layer.rgb), np.where(own, made.depth, layer.depth)
    # Where a gap was, its rim is no longer one.
    healed = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    cover = np.where(healed & (depth > 0), np.float32(1.0), layer.cover)
    return layer._replace(rgb=rgb, depth=depth, cover=cover, invented=layer.invented | own)


def _second_pass(
    layer: Layer, gaps: Bool, frame: Frame, references: Sequence[Keyframe], generator: Generator, animation_s: float, seed: int
) -> Generated:
    """What the generator makes of the picture with one actor in it and its gaps open; the layer's window of it."""
    drawn, uncovered = compose(frame.rgb, frame.depth, [layer]), np.zeros(frame.depth.shape, np.bool_)
    layer.of(uncovered)[gaps] = True
    left, top, right, bottom = window(uncovered)
    cut = np.s_[top:bottom, left:right]
    covered = ~uncovered[cut] & (drawn.depth[cut] > 0)
    rgb, depth = np.where(covered[..., None], drawn.rgb[cut], 0), np.where(covered, drawn.depth[cut], np.float32(0.0))
    view = View(rgb.astype(np.uint8), depth, covered, covered.astype(np.float32), np.zeros(depth.shape, np.float32))
    camera, time_s = frame.camera.cropped(left, top, right - left, bottom - top), np.array([frame.stamp_ns * 1e-9])
    shown = ClipView((view,), (tuple(references),), camera, frame.T_world_cam[None], time_s, np.array([animation_s]))
    stream, rng = generator.stream(), np.random.default_rng((seed, layer.id))
    made = generator.sample(generator.condition(shown, stream), stream, rng)[0]
    whole = Generated(np.zeros_like(frame.rgb), np.zeros_like(frame.depth), np.zeros_like(frame.depth))
    for picture, part in ((whole.rgb, made.rgb), (whole.depth, made.depth), (whole.depth_spread, made.depth_spread)):
        picture[cut] = part
    return Generated(layer.of(whole.rgb), layer.of(whole.depth), layer.of(whole.depth_spread))


def window(uncovered: Bool) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a picture that is generated again for the sake of these pixels."""
    (left, right), (top, bottom) = (_stretch(np.flatnonzero(uncovered.any(axis)), uncovered.shape[1 - axis]) for axis in (0, 1))
    return left, top, right, bottom


def _stretch(at: np.ndarray, length: int) -> tuple[int, int]:
    """From the first to the last of these places and AROUND_PX more, whole latents, moved to within 0 and length."""
    size = max(int(at[-1] - at[0]) + 1 + 2 * AROUND_PX, LEAST_SIDE_PX)
    size = min(-(-size // MULTIPLE) * MULTIPLE, length)
    first = min(max(int(at[0] + at[-1] + 1 - size) // 2, 0), length - size)
    return first, first + size

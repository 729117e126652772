"""Making one clip into many: mirrored, recoloured, with an older memory, and with memory forgetting part of a place.

What is forgotten is a part of space, not of a picture: every frame, sight and view loses the same things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from spatia_ros.geometry import pixel_rays, project
from spatia_ros.memory import Keyframe
from spatia_ros.train.clips import Clip
from spatia_ros.types import Bool, Camera, Doubted, Float32, Float64, Frame, UInt8, View

LEAST_COVERAGE = 0.05
BEHIND = 0.5
"""Of what is forgotten in clips with something that moves, how often it is what that hides."""
HALO_PX = (3, 40)
"""How far round what moves nothing is known, least and most."""

Region = Callable[[Float64], Bool]
"""Which world points [..., 3] lie in a part of space."""


def augment(clip: Clip, rng: np.random.Generator) -> tuple[Clip, Bool | None]:
    """A random variant of a clip, and the pixels bool [T, H, W] to which sights lend nothing (None: they lend to all)."""
    if rng.random() < 0.5:
        clip = mirrored(clip)
    clip = recoloured(clip, rng)
    if rng.random() < 0.2:
        clip = aged(clip, rng)
    if rng.random() < 0.55:
        hidden = clip.moving.any() and rng.random() < BEHIND
        region = behind_movers(clip, rng) if hidden else random_region(clip, rng)
        return forgotten(clip, region, rng.choice(("everywhere", "lent", "shown"), p=(0.25, 0.5, 0.25)))
    return clip, None


def _of_doubted(
    view: View, rgb: Callable[[np.ndarray], np.ndarray], depth: Callable[[np.ndarray], np.ndarray]
) -> Doubted | None:
    """What a view doubts to be in sight, its colours and depths changed."""
    return None if view.doubted is None else Doubted(rgb(view.doubted.rgb), depth(view.doubted.depth))


def _same(image: np.ndarray) -> np.ndarray:
    return image


def _flip(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])


def mirrored(clip: Clip) -> Clip:
    """The clip in the mirrored world: images flipped left to right, poses with x negated."""
    views = tuple(
        View(_flip(v.rgb), _flip(v.depth), _flip(v.coverage), _flip(v.sensed), _flip(v.age_s), _of_doubted(v, _flip, _flip))
        for v in clip.views
    )
    targets = tuple(
        Frame(_flip(t.rgb), _flip(t.depth), _mirrored_camera(t.camera), _mirrored_pose(t.T_world_cam), t.stamp_ns)
        for t in clip.targets
    )
    boxes = clip.boxes
    if boxes is not None:
        width = clip.targets[0].camera.width
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], -1)
    moves = [None if s.moves is None else _flip(s.moves) for s in clip.sights]
    keys = [_mirrored_keyframe(s.keyframe) for s in clip.sights]
    sights = tuple(replace(s, keyframe=k, moves=m) for s, k, m in zip(clip.sights, keys, moves, strict=True))
    moving, swept = (np.ascontiguousarray(each[:, :, ::-1]) for each in (clip.moving, clip.swept))
    return replace(clip, views=views, targets=targets, boxes=boxes, sights=sights, moving=moving, swept=swept)


def _mirrored_keyframe(k: Keyframe) -> Keyframe:
    return replace(
        k, rgb=_flip(k.rgb), depth=_flip(k.depth), sensed=_flip(k.sensed), masked=None if k.masked is None else _flip(k.masked),
        camera=_mirrored_camera(k.camera), T_world_cam=_mirrored_pose(k.T_world_cam),
    )


def _mirrored_camera(c: Camera) -> Camera:
    return Camera(c.width, c.height, c.fx, c.fy, c.width - c.cx, c.cy)


def _mirrored_pose(T: Float64) -> Float64:
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    return mirror @ T @ mirror


def recoloured(clip: Clip, rng: np.random.Generator) -> Clip:
    """The clip under another light: gain per channel and gamma. Colours keep their names: the prompt stays true."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.93, 1.07, 3)
    levels = (np.arange(256) / 255.0)[:, None] ** np.exp(rng.normal(0.0, 0.2)) * gain * 255.0
    table = np.clip(levels + 0.5, 0, 255).astype(np.uint8)

    def recolour(rgb: UInt8) -> UInt8:
        return _looked_up(table, rgb)

    views = tuple(
        replace(v, rgb=_looked_up(table, v.rgb) * v.coverage[..., None], doubted=_of_doubted(v, recolour, _same))
        for v in clip.views
    )
    targets = tuple(replace(t, rgb=_looked_up(table, t.rgb)) for t in clip.targets)
    sights = tuple(replace(s, keyframe=replace(s.keyframe, rgb=_looked_up(table, s.keyframe.rgb))) for s in clip.sights)
    return replace(clip, views=views, targets=targets, sights=sights)


def _looked_up(table: UInt8, rgb: UInt8) -> UInt8:
    return np.stack([table[rgb[..., k], k] for k in range(3)], -1)


def aged(clip: Clip, rng: np.random.Generator) -> Clip:
    """The clip with an older memory, made in slightly other light."""
    more = np.float32(rng.exponential(10.0))
    gain = (rng.uniform(0.88, 1.12) * rng.uniform(0.96, 1.04, 3)).astype(np.float32)

    def relit(rgb: UInt8) -> UInt8:
        return np.clip(rgb * gain + 0.5, 0, 255).astype(np.uint8)

    views = tuple(
        replace(v, rgb=relit(v.rgb), age_s=(v.age_s + more) * v.coverage, doubted=_of_doubted(v, relit, _same))
        for v in clip.views
    )
    return replace(clip, views=views)


def random_region(clip: Clip, rng: np.random.Generator) -> Region:
    """A part of space that the clip shows some of: beyond a plane, about some surface points, or all but those."""
    middle = int(rng.integers(len(clip)))
    view, target = clip.views[middle], clip.targets[middle]
    rows, cols = np.nonzero(view.coverage)
    points = _points(view.depth, target.camera, target.T_world_cam)
    if not len(rows):
        return lambda p: np.zeros(p.shape[:-1], bool)
    far = float(np.median(view.depth[view.coverage]))
    chosen = rng.integers(len(rows), size=int(rng.integers(1, 6)))
    centres = points[rows[chosen], cols[chosen]]
    kind = rng.random()
    if kind < 0.45:  # the camera turned past the edge of what was scanned
        angle = rng.uniform(0, 2 * np.pi)
        # Across the picture: what is left of, right of, above or below a line through a visible point.
        across = target.T_world_cam[:3, :3] @ np.array([np.cos(angle), 0.5 * np.sin(angle), 0.0])
        middle_point = target.T_world_cam[:3, 3]
        normal = across - across @ (centres[0] - middle_point) / max(far * far, 1e-6) * (centres[0] - middle_point)
        return lambda p: (p - centres[0]) @ normal > 0
    radii = far * rng.uniform(0.1, 0.45, len(centres))
    if kind < 0.8:  # things stood there that were not measured
        return lambda p: np.any([((p - c) ** 2).sum(-1) < r * r for c, r in zip(centres, radii, strict=True)], axis=0)
    keep = far * rng.uniform(0.4, 0.8)  # only what lies about one place was ever seen
    return lambda p: ((p - centres[0]) ** 2).sum(-1) > keep * keep


def behind_movers(clip: Clip, rng: np.random.Generator) -> Region:
    """What the clip's cameras would see but for what moves, at any time that sights show, and a little round it.

    Who scanned the place saw it stand there. Were it only where it is in the clip, the hole itself would tell where that is.
    """
    halo = int(np.exp(rng.uniform(*np.log(HALO_PX))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * halo + 1, 2 * halo + 1))
    masks = [cv2.dilate(each.astype(np.uint8), kernel).astype(bool) for each in clip.swept]

    def within(points: Float64) -> Bool:
        found = np.zeros(points.shape[:-1], bool)
        for mask, target in zip(masks, clip.targets, strict=True):
            pixels, depth = project(points.reshape(-1, 3), target.camera, target.T_world_cam)
            col, row = np.floor(np.clip(pixels, -1.0, max(mask.shape))).astype(np.int64).T
            seen = (depth > 0) & (col >= 0) & (row >= 0) & (col < mask.shape[1]) & (row < mask.shape[0])
            found |= (seen & mask[np.where(seen, row, 0), np.where(seen, col, 0)]).reshape(found.shape)
        return found

    return within


def forgotten(clip: Clip, region: Region, how: str) -> tuple[Clip, Bool | None]:
    """The clip with a part of space forgotten by memory, unless too little would be left.

    Args:
        how: "shown": sights still lend colour there; "lent": they do not, but are shown whole among the context;
            "everywhere": it is hidden from the context as well.

    Returns:
        The clip; and bool [T, H, W], pixels to which sights lend nothing, or None.
    """
    gone = [
        region(_points(v.depth, t.camera, t.T_world_cam)) & v.coverage for v, t in zip(clip.views, clip.targets, strict=True)
    ]
    if np.mean([(v.coverage & ~g).mean() for v, g in zip(clip.views, gone, strict=True)]) < LEAST_COVERAGE:
        return clip, None
    views = tuple(_without(v, g, region, t) for v, g, t in zip(clip.views, gone, clip.targets, strict=True))
    sights = clip.sights
    if how == "everywhere":
        sights = tuple(replace(s, keyframe=_hidden(s.keyframe, region)) for s in sights)
    return replace(clip, views=views, sights=sights), None if how == "shown" else np.stack(gone)


def _without(view: View, gone: Bool, region: Region, target: Frame) -> View:
    keep, doubted = view.coverage & ~gone, view.doubted
    if doubted is not None:
        left = ~region(_points(doubted.depth, target.camera, target.T_world_cam)) & doubted.there
        doubted = Doubted(doubted.rgb * left[..., None], doubted.depth * left)
    return View(view.rgb * keep[..., None], view.depth * keep, keep, view.sensed * keep, view.age_s * keep, doubted)


def _hidden(key: Keyframe, region: Region) -> Keyframe:
    gone = region(_points(key.depth, key.camera, key.T_world_cam)) & (key.depth > 0)
    return replace(key, masked=gone if key.masked is None else key.masked | gone)


def _points(depth: Float32, camera: Camera, T_world_cam: Float64) -> Float64:
    """World points [H, W, 3] of a depth image (the camera itself where nothing is known)."""
    return (pixel_rays(camera) * depth[..., None]) @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]


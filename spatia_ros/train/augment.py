"""Making one pair into many: mirrored, recoloured, and with memory forgetting part of what it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatia_ros.generator.recall import Recalled
from spatia_ros.train.pairs import Pair
from spatia_ros.types import Bool, Camera, Float64, Frame, UInt8, View

LEAST_COVERAGE = 0.08


def augment(pair: Pair, rng: np.random.Generator) -> Pair:
    """A random variant of a pair."""
    if rng.random() < 0.5:
        pair = mirrored(pair)
    pair = recoloured(pair, rng)
    if rng.random() < 0.6:
        pair = forgotten(pair, random_mask(pair.view.depth.shape, rng))
    return pair


def mirrored(pair: Pair) -> Pair:
    """The pair in the mirrored world: images flipped left to right, poses with x negated."""
    v, t = pair.view, pair.target

    def flip(image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(image[:, ::-1])

    view = View(flip(v.rgb), flip(v.depth), flip(v.coverage), flip(v.sensed), flip(v.age_s))
    recalled = Recalled(flip(pair.recalled.rgb), flip(pair.recalled.trust))
    target = Frame(flip(t.rgb), flip(t.depth), _mirrored_camera(t.camera), _mirrored_pose(t.T_world_cam), t.stamp_ns)
    references = tuple(
        replace(
            k, rgb=flip(k.rgb), depth=flip(k.depth), sensed=flip(k.sensed),
            camera=_mirrored_camera(k.camera), T_world_cam=_mirrored_pose(k.T_world_cam),
        )
        for k in pair.references
    )
    return Pair(view, recalled, target, references)


def _mirrored_camera(c: Camera) -> Camera:
    return Camera(c.width, c.height, c.fx, c.fy, c.width - c.cx, c.cy)


def _mirrored_pose(T: Float64) -> Float64:
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    return mirror @ T @ mirror


def recoloured(pair: Pair, rng: np.random.Generator) -> Pair:
    """The pair under another light: gain per channel and gamma, and now and then other primaries."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
    gamma = np.exp(rng.normal(0.0, 0.2))
    order = rng.permutation(3) if rng.random() < 0.15 else np.arange(3)
    levels = np.clip((np.arange(256) / 255.0)[:, None] ** gamma * gain * 255.0 + 0.5, 0, 255).astype(np.uint8)

    def recolour(rgb: UInt8) -> UInt8:
        return np.stack([levels[rgb[..., k], k] for k in order], -1)

    v, t = pair.view, pair.target
    view = View(recolour(v.rgb) * v.coverage[..., None], v.depth, v.coverage, v.sensed, v.age_s)
    recalled = Recalled(recolour(pair.recalled.rgb) * pair.recalled.known[..., None], pair.recalled.trust)
    target = Frame(recolour(t.rgb), t.depth, t.camera, t.T_world_cam, t.stamp_ns)
    references = tuple(replace(k, rgb=recolour(k.rgb)) for k in pair.references)
    return Pair(view, recalled, target, references)


def random_mask(shape: tuple[int, int], rng: np.random.Generator) -> Bool:
    """bool [H, W], true where memory is to forget: beyond a line, outside or inside a box, or in blobs."""
    h, w = shape
    y, x = np.mgrid[:h, :w]
    kind = rng.integers(4)
    if kind == 0:  # the camera turned past the edge of what was scanned
        angle = rng.uniform(0, 2 * np.pi)
        side = (x - w / 2) * np.cos(angle) + (y - h / 2) * np.sin(angle)
        return side > rng.uniform(-0.1, 0.8) * (abs(np.cos(angle)) * w + abs(np.sin(angle)) * h) / 2
    left, top = rng.uniform(0, 0.7) * w, rng.uniform(0, 0.7) * h
    box = (x > left) & (x < left + rng.uniform(0.15, 0.6) * w) & (y > top) & (y < top + rng.uniform(0.15, 0.6) * h)
    if kind == 1:  # something stood there that was not measured
        return box
    if kind == 2:  # the camera moved back
        return ~((abs(x - w / 2) < rng.uniform(0.3, 0.5) * w) & (abs(y - h / 2) < rng.uniform(0.3, 0.5) * h))
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(2, 8)):
        cx, cy, a, b = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(4, 0.2 * w), rng.uniform(4, 0.25 * h)
        mask |= ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1
    return mask


def forgotten(pair: Pair, mask: Bool) -> Pair:
    """The pair with the masked pixels forgotten by memory and references, unless too little would be left."""
    v, keep = pair.view, pair.view.coverage & ~mask
    if keep.mean() < LEAST_COVERAGE:
        return pair
    view = View(v.rgb * keep[..., None], v.depth * keep, keep, v.sensed * keep, v.age_s * keep)
    known = pair.recalled.known & ~mask
    return Pair(view, Recalled(pair.recalled.rgb * known[..., None], pair.recalled.trust * known), pair.target, pair.references)

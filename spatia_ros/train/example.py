"""From a clip to what the network is trained on: the run time's own condition, the context, the truth in its units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.generator.anchor import ANCHOR_MIN_SCALE, FRAME_CHANNELS, NO_CLOCK, Anchor, frame_in
from spatia_ros.generator.box import cells_of
from spatia_ros.generator.condition import CONTEXT_SIZE, MULTIPLE, ClipCondition, Context, ContextFrame, condition, context_in
from spatia_ros.generator.image import ViewImage, guess_depth, lent_to, view_image
from spatia_ros.generator.rays import RAY_CHANNELS
from spatia_ros.generator.recall import Recalled
from spatia_ros.generator.text import tokenise
from spatia_ros.train.clips import Clip
from spatia_ros.train.shown_scale import at_shown_scale
from spatia_ros.types import Bool, Float32, Float64, SpatiaError

if TYPE_CHECKING:
    from torch import Tensor

RECENT_S = 1.5
"""Sights as new as this are, at run time, frames the generator made itself: softer than a camera's."""


@dataclass(frozen=True, slots=True)
class Example:
    """A clip of T frames with K context frames, as arrays.

    Args:
        told: what the network is told of the frames. context: K frames to go by; all zero: absent.
        truth: float32 [T, 5, H, W], the true frames as the encoder sees them (the anchor's units).
        colour: float32 [T, 3, H, W], scale: float32 [T], log_depth: float32 [T, 1, H, W]: the truth in each view's units,
            its depth at the scale of what the view shows (:mod:`.shown_scale`).
        measured: float32 [T, 1, H, W], 1 where the true depth is known.
        moving: bool [T, H, W], what moves.
        box: float32 [T, 1, h, w], 1 inside the box of what the prompt names first, -1 outside. boxed: whether there is one.
    """

    told: ClipCondition
    context: Context
    truth: Float32
    colour: Float32
    scale: Float32
    log_depth: Float32
    measured: Float32
    moving: Bool
    box: Float32
    boxed: bool

    def __len__(self) -> int:
        return len(self.truth)

    def cut(self, frames: int, context: int) -> Example:
        """The first T frames, and K context frames: the first of them, or all and then absent ones.

        Raises:
            SpatiaError: when the clip is shorter.
        """
        if not 1 <= frames <= len(self):
            raise SpatiaError(f"example: expected 1..{len(self)} frames, got {frames}")
        told = replace(self.told, **{n: getattr(self.told, n)[:frames] for n in _PER_FRAME})
        mine = {n: getattr(self, n)[:frames] for n in ("truth", "colour", "scale", "log_depth", "measured", "moving", "box")}
        return replace(self, told=told, context=_of_length(self.context, context), **mine)


_PER_FRAME = ("image", "to_view", "memory", "uncovered", "rays", "time", "animation", "box", "views")


def _of_length(context: Context, k: int) -> Context:
    more = max(0, k - len(context))
    kept = (context.frames, context.rays, context.time)
    arrays = [np.concatenate([x[:k], np.zeros((more, *x.shape[1:]), np.float32)]) for x in kept]
    clocks = np.concatenate([context.animation[:k], np.full(more, NO_CLOCK, np.float32)])
    return Context(*arrays, clocks)


def example_of(clip: Clip, unlent: Bool | None, rng: np.random.Generator) -> Example:
    """A clip as the network is told of it.

    Args:
        unlent: bool [T, H, W], pixels to which sights lend no colour; None: they lend to all that memory does not show.
        rng: draws the anchor and how soft recent frames are.
    """
    clip = at_shown_scale(clip)
    images = [_image(clip, i, None if unlent is None else unlent[i]) for i in range(len(clip))]
    poses = np.stack([t.T_world_cam for t in clip.targets])
    times = np.array([t.stamp_ns for t in clip.targets]) * 1e-9
    anchor = drawn_anchor(images[0], poses[0], times[0], None if clip.animation_s is None else clip.animation_s[0], rng)
    told = condition(images, clip.targets[0].camera, poses, times, clip.animation_s, anchor, tokenise(clip.prompt))
    colour, scale, log_depth, measured = in_view_units(clip, images)
    return Example(
        told, _context(clip, anchor, times[0], rng),
        np.stack([frame_in(anchor, t.rgb, t.depth) for t in clip.targets]),
        colour, scale, log_depth, measured, clip.moving, *box_of(clip, told),
    )


def _image(clip: Clip, i: int, unlent: Bool | None) -> ViewImage:
    view, target = clip.views[i], clip.targets[i]
    references = [clip.sights[k].lends for k in clip.retrieved[i]]
    depth = guess_depth(view)
    lent = lent_to(view, depth, target.camera, target.T_world_cam, references)
    if unlent is not None:
        lent = Recalled(lent.rgb * ~unlent[..., None], lent.trust * ~unlent)
    return view_image(view, depth, lent, target.camera, references)


def drawn_anchor(
    image: ViewImage, T_world_cam: Float64, time_s: float, animation_s: float | None, rng: np.random.Generator
) -> Anchor:
    """The first view, or as if it were one of up to 0.8 s before: near in pose, alike in colour and depth.

    At run time an anchor is held for as long as its context is.
    """
    anchor = Anchor.of(image, T_world_cam, time_s, animation_s or 0.0)
    if rng.random() < 0.5:
        return anchor
    turn, _ = cv2.Rodrigues(rng.normal(0.0, 0.06, 3))
    T_old = geometry.pose(turn, rng.normal(0.0, 0.07, 3) * anchor.scale_m)
    mean = np.clip(anchor.colour_mean + rng.normal(0, 0.05) + rng.normal(0, 0.02, 3), 0, 1).astype(np.float32)
    return Anchor(
        T_world_cam @ T_old, mean, max(anchor.colour_scale * float(np.exp(rng.normal(0, 0.15))), ANCHOR_MIN_SCALE),
        anchor.log_depth_mean + rng.normal(0, 0.12), time_s - rng.uniform(0.1, 0.8), anchor.animation_s - rng.uniform(0.0, 0.8),
    )


def _context(clip: Clip, anchor: Anchor, now_s: float, rng: np.random.Generator) -> Context:
    frames = []
    for k in clip.context:
        sight = clip.sights[k]
        frame = ContextFrame.of_keyframe(sight.keyframe, sight.animation_s)
        if now_s - frame.time_s < RECENT_S and rng.random() < 0.5:
            frame = replace(frame, rgb=cv2.GaussianBlur(frame.rgb, (0, 0), rng.uniform(0.4, 1.2)))
        frames.append(frame)
    if frames:
        return context_in(anchor, frames)
    rows, cols = CONTEXT_SIZE
    nothing = np.zeros((1, FRAME_CHANNELS, rows, cols), np.float32)
    rays = np.zeros((1, RAY_CHANNELS, rows // MULTIPLE, cols // MULTIPLE), np.float32)
    return Context(nothing, rays, np.zeros(1, np.float32), np.full(1, NO_CLOCK, np.float32))


def in_view_units(clip: Clip, images: Sequence[ViewImage]) -> tuple[Float32, Float32, Float32, Float32]:
    """True colour [T, 3, H, W] and its scale [T], true log-depth and where it is known [T, 1, H, W], padded as the images are."""
    (T, (H, W)), (h, w) = (len(clip), images[0].image.shape[1:]), images[0].size
    colour, log_depth, measured = (np.zeros((T, n, H, W), np.float32) for n in (3, 1, 1))
    for i, (target, image) in enumerate(zip(clip.targets, images, strict=True)):
        rgb = (target.rgb.astype(np.float32) / 255.0 - image.colour_mean) / np.float32(image.colour_scale)
        known = target.depth > 0
        colour[i, :, :h, :w] = rgb.transpose(2, 0, 1)
        log_depth[i, 0, :h, :w] = np.where(known, np.log(np.maximum(target.depth, 1e-3)) - np.float32(image.log_depth_mean), 0.0)
        measured[i, 0, :h, :w] = known
    return colour, np.array([image.colour_scale for image in images], np.float32), log_depth, measured


def box_of(clip: Clip, told: ClipCondition) -> tuple[Float32, bool]:
    """The box of what the prompt names first, at latents, and whether there is one."""
    if clip.boxes is None:
        return np.zeros(told.box.shape, np.float32), False
    rows, cols = told.box.shape[2:]
    return cells_of(clip.boxes, (rows, cols)), True


@dataclass(frozen=True, slots=True)
class Batch:
    """B examples as tensors, named as the graphs' inputs are (see :mod:`spatia_ros.engine.table`).

    Args:
        image: [B, T, 15, H, W]. to_view: [B, T, 5]. memory: [B, T, 5, H, W]. uncovered: [B, T, 1, h, w].
        rays: [B, T, 9, h, w]. time, animation: [B, T], s. tokens: int64 [B, S].
        context_frames: [B, K, 5, 80, 128], all zero where absent. context_rays: [B, K, 9, 5, 8].
        context_time, context_animation: [B, K], s.
        truth: [B, T, 5, H, W]. colour: [B, T, 3, H, W]. scale: [B, T, 1, 1, 1]. mean: [B, T, 3, 1, 1].
        log_depth, measured: [B, T, 1, H, W].
        moving: [B, T, 1, H, W], 1 where something moves. box: [B, T, 1, h, w]. boxed: [B], 1 where there is a box.
    """

    image: Tensor
    to_view: Tensor
    memory: Tensor
    uncovered: Tensor
    rays: Tensor
    time: Tensor
    animation: Tensor
    tokens: Tensor
    context_frames: Tensor
    context_rays: Tensor
    context_time: Tensor
    context_animation: Tensor
    truth: Tensor
    colour: Tensor
    scale: Tensor
    mean: Tensor
    log_depth: Tensor
    measured: Tensor
    moving: Tensor
    box: Tensor
    boxed: Tensor

    def to(self, device: str) -> Batch:
        """The batch on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def collate(examples: Sequence[Example]) -> Batch:
    """Examples of equal T, K and size side by side.

    Raises:
        SpatiaError: when they differ.
    """
    import torch

    shapes = {(e.truth.shape, e.context.frames.shape) for e in examples}
    if len(shapes) != 1:
        raise SpatiaError(f"collate: expected examples of one shape, got {sorted(shapes)}")

    def stacked(arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays))

    told = {n: stacked([getattr(e.told, n) for e in examples]) for n in (
        "image", "to_view", "memory", "uncovered", "rays", "time", "animation", "tokens")}
    parts = ("frames", "rays", "time", "animation")
    context = {f"context_{n}": stacked([getattr(e.context, n) for e in examples]) for n in parts}
    mine = {n: stacked([getattr(e, n) for e in examples]) for n in ("truth", "colour", "log_depth", "measured", "box")}
    return Batch(
        **told, **context, **mine,
        scale=stacked([e.scale[:, None, None, None] for e in examples]),
        mean=stacked([np.stack([v.colour_mean for v in e.told.views])[..., None, None] for e in examples]),
        moving=stacked([e.moving[:, None].astype(np.float32) for e in examples]),
        boxed=torch.tensor([float(e.boxed) for e in examples]),
    )

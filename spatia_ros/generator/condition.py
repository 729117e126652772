"""What the generator is told of a clip: one place, shared by training and inference.

Each of T views of memory is an image normalised by itself (:mod:`.image`), which the decoder sees
at full resolution. What enters latents is normalised by one :class:`Anchor` instead, the same for
all frames of a clip and for the context frames beside them, so that equal colours are equal
numbers and the context's keys and values stay valid for as long as its anchor is held. Rays are in
the anchor's frame, in units of its depth; times are seconds since it.

Zero means not there: a prompt of zeros, a ray of zeros, a box of zeros are what was not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.generator.image import INPUT_CHANNELS, MULTIPLE, ViewImage, check_finite, guess_depth, lent_to, view_image
from spatia_ros.memory import Keyframe
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame, Int64, SpatiaError, UInt8, View, check_array, check_pose

MAX_CLIP = 16
"""Frames of a clip at most."""
MAX_CONTEXT = 9
"""Context frames at most."""
FRAME_CHANNELS = 5
"""What the encoder sees of a frame: colour 3, log-depth 1, depth known (or covered) 1."""
CONTEXT_SIZE = (80, 128)
"""Rows and columns a context frame is shrunk to."""
ANCHOR_MIN_SCALE = 0.1
"""Smallest colour spread an anchor normalises by: no colour is then farther than 10 from its mean."""
TIME_LIMIT_S = 10.0
"""Times farther from the anchor's are told as this far: older is just old."""
MOMENT_LIMIT = 8.0
"""Moments of rays are cut here, in units of the anchor's depth."""
NO_CLOCK = -1e4
"""Animation time of a frame that has none."""
MIN_DEPTH_M = 1e-3


@dataclass(frozen=True, slots=True)
class Anchor:
    """What colours, depths, rays and times of a clip and its context are relative to.

    Args:
        T_world_anchor: float64 [4, 4].
        colour_mean: float32 [3], colour_scale: at least ANCHOR_MIN_SCALE, of colours in 0..1.
        log_depth_mean: of depth in metres; its exponential is the unit of length of the rays.
        time_s, animation_s: where the clip's two clocks are counted from.
    """

    T_world_anchor: Float64
    colour_mean: Float32
    colour_scale: float
    log_depth_mean: float
    time_s: float = 0.0
    animation_s: float = 0.0

    def __post_init__(self) -> None:
        check_pose("anchor.T_world_anchor", self.T_world_anchor)
        check_array("anchor.colour_mean", self.colour_mean, (3,), np.float32)
        numbers = (*self.colour_mean, self.colour_scale, self.log_depth_mean, self.time_s, self.animation_s)
        if not np.isfinite(numbers).all() or self.colour_scale < ANCHOR_MIN_SCALE:
            raise SpatiaError(f"anchor: expected finite numbers and a colour scale of {ANCHOR_MIN_SCALE} or more, got {numbers}")

    @classmethod
    def of(cls, image: ViewImage, T_world_cam: Float64, time_s: float = 0.0, animation_s: float = 0.0) -> Anchor:
        """The anchor that a view is: its pose, its colours, its depth, its times."""
        scale = max(image.colour_scale, ANCHOR_MIN_SCALE)
        return cls(T_world_cam, image.colour_mean, scale, image.log_depth_mean, time_s, animation_s)

    @property
    def scale_m(self) -> float:
        """The unit of length of rays: how far the anchor's view is, metres."""
        return float(np.exp(self.log_depth_mean))


def frame_in(anchor: Anchor, rgb: UInt8, depth: Float32, hidden: Bool | None = None) -> Float32:
    """A frame as the encoder sees it, float32 [5, H, W] in the anchor's units.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown (its log-depth is then 0).
        hidden: bool [H, W], pixels whose colour and depth are not told: the anchor's mean, depth unknown.
    """
    check_array("rgb", rgb, (*depth.shape, 3), np.uint8)
    known = depth > 0 if hidden is None else (depth > 0) & ~hidden
    out = np.empty((FRAME_CHANNELS, *depth.shape), np.float32)
    out[:3] = ((rgb.astype(np.float32) / 255.0 - anchor.colour_mean) / np.float32(anchor.colour_scale)).transpose(2, 0, 1)
    if hidden is not None:
        out[:3, hidden] = 0.0
    out[3] = np.where(known, np.log(np.maximum(depth, MIN_DEPTH_M)) - np.float32(anchor.log_depth_mean), 0.0)
    out[4] = known
    check_finite("a frame in the anchor's units", out)
    return out


def memory_in(anchor: Anchor, image: ViewImage) -> Float32:
    """What memory shows, as the encoder sees it: the filled image [5, H, W] in the anchor's units, its coverage last."""
    ratio = np.float32(image.colour_scale / anchor.colour_scale)
    offset = (image.colour_mean - anchor.colour_mean) / np.float32(anchor.colour_scale)
    out = image.image[:FRAME_CHANNELS].copy()
    out[:3] = out[:3] * ratio + offset[:, None, None]
    out[3] += np.float32(image.log_depth_mean - anchor.log_depth_mean)
    return out


def to_view(anchor: Anchor, image: ViewImage) -> Float32:
    """From the anchor's units to a view's, float32 [5]: colour scale, colour offset 3, log-depth offset.

    A view's colour is scale * anchor's + offset, its log-depth the anchor's + offset.
    """
    offset = (anchor.colour_mean - image.colour_mean) / np.float32(image.colour_scale)
    return np.array(
        [anchor.colour_scale / image.colour_scale, *offset, anchor.log_depth_mean - image.log_depth_mean], np.float32
    )


def uncovered(image: ViewImage) -> Float32:
    """Share of each latent's pixels that memory does not cover, float32 [1, h, w]."""
    covered = image.image[4]
    h, w = covered.shape[0] // MULTIPLE, covered.shape[1] // MULTIPLE
    return np.float32(1.0) - covered.reshape(1, h, MULTIPLE, w, MULTIPLE).mean((2, 4), dtype=np.float32)


def rays_in(anchor: Anchor, camera: Camera, T_world_cam: Float64, cells: tuple[int, int]) -> Float32:
    """Pluecker rays of the middles of a camera's latents, float32 [6, rows, cols]: direction d, moment o x d.

    In the anchor's frame, lengths in units of the anchor's depth (Pluecker rays as the camera condition:
    SpaceTimePilot, arXiv 2512.25075).

    Args:
        cells: rows and columns of latents; MULTIPLE pixels of the camera each, those past its border too.
    """
    T = geometry.inverse(anchor.T_world_anchor) @ T_world_cam
    v, u = ((np.arange(n) + 0.5) * MULTIPLE for n in cells)
    x, y = np.meshgrid((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy)
    d = np.stack([x, y, np.ones_like(x)], -1) @ T[:3, :3].T
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    moment = np.cross(np.broadcast_to(T[:3, 3] / anchor.scale_m, d.shape), d)
    rays = np.concatenate([d, moment.clip(-MOMENT_LIMIT, MOMENT_LIMIT)], -1).transpose(2, 0, 1).astype(np.float32)
    check_finite("rays", rays)
    return rays


def since(anchor_s: float, times_s: Float64) -> Float32:
    """Seconds since the anchor, float32, cut at TIME_LIMIT_S either way."""
    check_finite("times", np.asarray(times_s))
    return (np.asarray(times_s, np.float64) - anchor_s).clip(-TIME_LIMIT_S, TIME_LIMIT_S).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ContextFrame:
    """A clean frame the generator may look at: a recent one of its own, or a retrieved one.

    Args:
        rgb: uint8 [80, 128, 3]. depth: float32 [80, 128], metres, 0 = unknown. camera: of this size.
        T_world_cam: float64 [4, 4]. time_s: when it was seen. animation_s: the animation time it shows, None: no clock.
        hidden: bool [80, 128], pixels not to be shown (they moved, or an edit masks them); None: none.
    """

    rgb: UInt8
    depth: Float32
    camera: Camera
    T_world_cam: Float64
    time_s: float
    animation_s: float | None = None
    hidden: Bool | None = None

    def __post_init__(self) -> None:
        check_array("context frame rgb", self.rgb, (*CONTEXT_SIZE, 3), np.uint8)
        check_array("context frame depth", self.depth, CONTEXT_SIZE, np.float32)
        check_pose("context frame T_world_cam", self.T_world_cam)
        if (self.camera.height, self.camera.width) != CONTEXT_SIZE:
            raise SpatiaError(f"context frame: expected a camera of {CONTEXT_SIZE} px, got {self.camera}")

    @classmethod
    def of(cls, frame: Frame, time_s: float | None = None, animation_s: float | None = None) -> ContextFrame:
        """A frame, shrunk; its own stamp is its time unless another is given."""
        rows, cols = CONTEXT_SIZE
        return cls(
            cv2.resize(frame.rgb, (cols, rows), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False),
            cv2.resize(frame.depth, (cols, rows), interpolation=cv2.INTER_NEAREST).astype(np.float32, copy=False),
            frame.camera.resized(cols, rows), frame.T_world_cam, frame.stamp_ns * 1e-9 if time_s is None else time_s, animation_s,
        )

    @classmethod
    def of_keyframe(cls, keyframe: Keyframe, animation_s: float | None = None) -> ContextFrame:
        """A keyframe, shrunk; what is masked in it stays hidden, at every pixel it would blend into."""
        shown = Frame(keyframe.rgb, np.maximum(keyframe.surface_m, 0.0), keyframe.camera, keyframe.T_world_cam, keyframe.stamp_ns)
        frame = cls.of(shown, animation_s=animation_s)
        if keyframe.masked is None:
            return frame
        rows, cols = CONTEXT_SIZE
        share = cv2.resize(keyframe.masked.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
        return replace(frame, hidden=share > 0.0)


@dataclass(frozen=True, slots=True)
class Context:
    """K context frames in an anchor's units, 1..MAX_CONTEXT of them.

    Args:
        frames: float32 [K, 5, 80, 128], as the encoder sees them. rays: float32 [K, 6, 5, 8].
        time: float32 [K], seconds since the anchor (mostly negative). animation: float32 [K], same, NO_CLOCK: none.
    """

    frames: Float32
    rays: Float32
    time: Float32
    animation: Float32

    def __post_init__(self) -> None:
        K, (rows, cols) = len(self.frames), CONTEXT_SIZE
        if not 1 <= K <= MAX_CONTEXT:
            raise SpatiaError(f"context: expected 1..{MAX_CONTEXT} frames, got {K}")
        check_array("context.frames", self.frames, (K, FRAME_CHANNELS, rows, cols), np.float32)
        check_array("context.rays", self.rays, (K, 6, rows // MULTIPLE, cols // MULTIPLE), np.float32)
        check_array("context.time", self.time, (K,), np.float32)
        check_array("context.animation", self.animation, (K,), np.float32)

    def __len__(self) -> int:
        return len(self.frames)


def context_in(anchor: Anchor, frames: Sequence[ContextFrame]) -> Context:
    """Context frames as the network sees them.

    Raises:
        SpatiaError: unless there are 1..MAX_CONTEXT.
    """
    cells = (CONTEXT_SIZE[0] // MULTIPLE, CONTEXT_SIZE[1] // MULTIPLE)
    if not frames:
        raise SpatiaError(f"context: expected 1..{MAX_CONTEXT} frames, got none")
    clocks = since(anchor.animation_s, np.array([anchor.animation_s if f.animation_s is None else f.animation_s for f in frames]))
    clocks[[f.animation_s is None for f in frames]] = NO_CLOCK
    return Context(
        np.stack([frame_in(anchor, f.rgb, f.depth, f.hidden) for f in frames]),
        np.stack([rays_in(anchor, f.camera, f.T_world_cam, cells) for f in frames]),
        since(anchor.time_s, np.array([f.time_s for f in frames])),
        clocks,
    )


@dataclass(frozen=True, slots=True)
class ClipCondition:
    """What the network is told of the T frames of a clip; H and W are multiples of 16, h = H / 16, w = W / 16.

    Args:
        image: float32 [T, 15, H, W], each normalised by its own view. to_view: float32 [T, 5], see :func:`to_view`.
        memory: float32 [T, 5, H, W], in the anchor's units. uncovered: float32 [T, 1, h, w], 0..1.
        rays: float32 [T, 6, h, w]. time, animation: float32 [T], seconds since the anchor (animation NO_CLOCK: none).
        box: float32 [T, 1, h, w], 1 inside the box of what the prompt names, -1 outside, 0 not told.
        tokens: int64 [S], the prompt; zeros are padding.
        views: what undoes each frame's normalisation. anchor: what all of it is relative to.
    """

    image: Float32
    to_view: Float32
    memory: Float32
    uncovered: Float32
    rays: Float32
    time: Float32
    animation: Float32
    box: Float32
    tokens: Int64
    views: tuple[ViewImage, ...]
    anchor: Anchor

    def __post_init__(self) -> None:
        T, H, W = len(self.views), *self.image.shape[2:]
        if not 1 <= T <= MAX_CLIP or H % MULTIPLE or W % MULTIPLE:
            raise SpatiaError(f"clip: expected 1..{MAX_CLIP} frames of sides that {MULTIPLE} divides, got {T} of {W}x{H}")
        h, w = H // MULTIPLE, W // MULTIPLE
        shapes = {
            "image": (T, INPUT_CHANNELS, H, W), "to_view": (T, 5), "memory": (T, FRAME_CHANNELS, H, W), "uncovered": (T, 1, h, w),
            "rays": (T, 6, h, w), "time": (T,), "animation": (T,), "box": (T, 1, h, w),
        }
        for name, shape in shapes.items():
            check_array(f"clip.{name}", getattr(self, name), shape, np.float32)
        check_array("clip.tokens", self.tokens, (None,), np.int64)

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True, slots=True)
class ClipView:
    """What memory shows along T frames of a camera's way.

    Args:
        views: T of them. references: for each view, the keyframes that saw the same space, best first.
        camera: of every frame. T_world_cams: float64 [T, 4, 4].
        times_s: float64 [T], the frames' own time. animation_s: float64 [T], the animation time each is to show.
    """

    views: tuple[View, ...]
    references: tuple[tuple[Keyframe, ...], ...]
    camera: Camera
    T_world_cams: Float64
    times_s: Float64
    animation_s: Float64

    def __post_init__(self) -> None:
        T = len(self.views)
        if not T or len(self.references) != T:
            raise SpatiaError(f"clip: expected views, each with its references, got {T} and {len(self.references)}")
        check_array("clip.T_world_cams", self.T_world_cams, (T, 4, 4), np.float64)
        for name in ("times_s", "animation_s"):
            check_array(f"clip.{name}", getattr(self, name), (T,), np.float64)
            check_finite(f"clip.{name}", getattr(self, name))

    def __len__(self) -> int:
        return len(self.views)

    @classmethod
    def still(cls, view: View, references: Sequence[Keyframe], camera: Camera, T_world_cam: Float64) -> ClipView:
        """A clip of one frame, at time 0."""
        time = np.zeros(1)
        return cls((view,), (tuple(references),), camera, T_world_cam[None], time, time)


def images_of(shown: ClipView) -> list[ViewImage]:
    """The images of a clip's views, holes recalled and filled (see :func:`.image.view_image`)."""
    images = []
    for view, references, T_world_cam in zip(shown.views, shown.references, shown.T_world_cams, strict=True):
        depth = guess_depth(view)
        lent = lent_to(view, depth, shown.camera, T_world_cam, references)
        images.append(view_image(view, depth, lent, shown.camera, references))
    return images


def condition(
    images: Sequence[ViewImage], camera: Camera, T_world_cams: Float64, times_s: Float64, animation_s: Float64 | None,
    anchor: Anchor, tokens: Int64, box: Float32 | None = None,
) -> ClipCondition:
    """The condition of a clip from the images of its T views.

    Args:
        T_world_cams: float64 [T, 4, 4]. times_s: float64 [T]. animation_s: float64 [T], None: no clock.
        tokens: int64 [S], see :mod:`.text`. box: float32 [T, 1, h, w], see :class:`ClipCondition`; None: not told.
    """
    T, (H, W) = len(images), images[0].image.shape[1:]
    cells = (H // MULTIPLE, W // MULTIPLE)
    animation = np.full(T, NO_CLOCK, np.float32) if animation_s is None else since(anchor.animation_s, animation_s)
    return ClipCondition(
        image=np.stack([each.image for each in images]),
        to_view=np.stack([to_view(anchor, each) for each in images]),
        memory=np.stack([memory_in(anchor, each) for each in images]),
        uncovered=np.stack([uncovered(each) for each in images]),
        rays=np.stack([rays_in(anchor, camera, T_world_cam, cells) for T_world_cam in T_world_cams]),
        time=since(anchor.time_s, times_s),
        animation=animation,
        box=np.zeros((T, 1, *cells), np.float32) if box is None else box,
        tokens=tokens,
        views=tuple(images),
        anchor=anchor,
    )

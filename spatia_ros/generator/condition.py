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

from spatia_ros.generator.anchor import FRAME_CHANNELS, NO_CLOCK, Anchor, frame_in, memory_in, since, to_view
from spatia_ros.generator.image import INPUT_CHANNELS, MULTIPLE, ViewImage, check_finite, guess_depth, lent_to, view_image
from spatia_ros.generator.rays import RAY_CHANNELS, depth_of_cells, depth_of_context, rays_in
from spatia_ros.memory import Keyframe
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame, Int64, SpatiaError, UInt8, View, check_array, check_pose

MAX_CLIP = 16
"""Frames of a clip at most."""
MAX_CONTEXT = 9
"""Context frames at most."""
CONTEXT_SIZE = (80, 128)
"""Rows and columns a context frame is shrunk to."""


def uncovered(image: ViewImage) -> Float32:
    """Share of each latent's pixels that memory does not cover, float32 [1, h, w]."""
    covered = image.image[4]
    h, w = covered.shape[0] // MULTIPLE, covered.shape[1] // MULTIPLE
    return np.float32(1.0) - covered.reshape(1, h, MULTIPLE, w, MULTIPLE).mean((2, 4), dtype=np.float32)


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
        frames: float32 [K, 5, 80, 128], as the encoder sees them. rays: float32 [K, 9, 5, 8].
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
        check_array("context.rays", self.rays, (K, RAY_CHANNELS, rows // MULTIPLE, cols // MULTIPLE), np.float32)
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
        np.stack([rays_in(anchor, f.camera, f.T_world_cam, cells, depth_of_context(f.depth, f.hidden)) for f in frames]),
        since(anchor.time_s, np.array([f.time_s for f in frames])),
        clocks,
    )


@dataclass(frozen=True, slots=True)
class ClipCondition:
    """What the network is told of the T frames of a clip; H and W are multiples of 16, h = H / 16, w = W / 16.

    Args:
        image: float32 [T, 15, H, W], each normalised by its own view. to_view: float32 [T, 5], see :func:`to_view`.
        memory: float32 [T, 5, H, W], in the anchor's units. uncovered: float32 [T, 1, h, w], 0..1.
        rays: float32 [T, 9, h, w]. time, animation: float32 [T], seconds since the anchor (animation NO_CLOCK: none).
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
            "rays": (T, RAY_CHANNELS, h, w), "time": (T,), "animation": (T,), "box": (T, 1, h, w),
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
        rays=np.stack([
            rays_in(anchor, camera, pose, cells, depth_of_cells(each))
            for pose, each in zip(T_world_cams, images, strict=False)  # of as many as there are: ClipCondition refuses others
        ]),
        time=since(anchor.time_s, times_s),
        animation=animation,
        box=np.zeros((T, 1, *cells), np.float32) if box is None else box,
        tokens=tokens,
        views=tuple(images),
        anchor=anchor,
    )

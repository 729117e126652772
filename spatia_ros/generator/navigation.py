"""What the generator is told when there is no memory: pictures of a video and when each was seen, and a camera path.

Scene navigation of Video4Spatial (arXiv 2512.03040): nothing is rendered, and neither depth nor poses of the
context are given. Context frames are clean tokens with their true times, however far apart; the path, as
rays of the cameras to be drawn, is the instruction. Training (stage ``navigate``) and evaluation make
their conditions here.

Two things have to be agreed on where nothing is measured. The path begins at the camera of the newest
picture: that is where it is relative to. And it is told in units of :data:`UNIT_M`, as no depth says how
large the place is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from spatia_ros.generator.anchor import ANCHOR_MIN_SCALE, FRAME_CHANNELS, NO_CLOCK, Anchor, frame_in, since
from spatia_ros.generator.condition import CONTEXT_SIZE, MAX_CONTEXT, MULTIPLE, ClipCondition, Context
from spatia_ros.generator.dropped import FAR, RAYS, clip_without
from spatia_ros.generator.image import INPUT_CHANNELS, ViewImage
from spatia_ros.generator.rays import RAY_CHANNELS, rays_in
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.generator.stream import Held, Stream
from spatia_ros.types import Camera, Float64, Int64, SpatiaError, UInt8, check_array, check_pose

UNIT_M = 3.0
"""The unit of length of a path: what a room is deep."""
INDEX_S = 0.1
"""Seconds from one picture to the next where they are told to be neighbours."""

Indices = Literal["true", "contiguous"]
"""How pictures are told to lie in time: as they do, or as neighbours, whatever lay between."""


@dataclass(frozen=True, slots=True)
class Video:
    """What was seen, oldest first: K pictures and their times; nothing else is known.

    Args:
        rgb: K pictures uint8 [H, W, 3]. times_s: float64 [K], rising.
    """

    rgb: tuple[UInt8, ...]
    times_s: Float64

    def __post_init__(self) -> None:
        if not 1 <= len(self.rgb) <= MAX_CONTEXT:
            raise SpatiaError(f"navigation: expected 1..{MAX_CONTEXT} pictures, got {len(self.rgb)}")
        check_array("video.times_s", self.times_s, (len(self.rgb),), np.float64)
        for rgb in self.rgb:
            check_array("a picture of the video", rgb, (None, None, 3), np.uint8)
        if not (np.isfinite(self.times_s).all() and (np.diff(self.times_s) > 0).all()):
            raise SpatiaError(f"video.times_s: expected rising times, got {self.times_s.tolist()}")


@dataclass(frozen=True, slots=True)
class Path:
    """Where the camera is to go.

    Args:
        camera: of every frame. T_last_cams: float64 [T, 4, 4], in the axes of the video's last camera, metres.
        times_s: float64 [T], on the video's clock.
    """

    camera: Camera
    T_last_cams: Float64
    times_s: Float64

    def __post_init__(self) -> None:
        check_array("path.times_s", self.times_s, (len(self.T_last_cams),), np.float64)
        for T in self.T_last_cams:
            check_pose("path.T_last_cams", T)

    def __len__(self) -> int:
        return len(self.times_s)

    def part(self, first: int, frames: int) -> Path:
        """Some frames of it."""
        return Path(self.camera, self.T_last_cams[first : first + frames], self.times_s[first : first + frames])


def anchor_of(video: Video) -> Anchor:
    """What a navigated clip is relative to: the last camera, its picture's colours, and a unit of length that nobody measured."""
    colours = video.rgb[-1].reshape(-1, 3).astype(np.float32) / 255.0
    spread = float(np.sqrt(colours.var(0).mean()))
    last_s = float(video.times_s[-1])
    scale = max(spread, ANCHOR_MIN_SCALE)
    return Anchor(np.eye(4), colours.mean(0), scale, float(np.log(UNIT_M)), last_s, last_s)


def context_of(video: Video, indices: Indices = "true") -> Context:
    """The pictures as context, the newest first: no depth, no rays, no clock of what moves."""
    anchor, (rows, cols) = anchor_of(video), CONTEXT_SIZE
    small = [np.asarray(cv2.resize(rgb, (cols, rows), interpolation=cv2.INTER_AREA), np.uint8) for rgb in video.rgb[::-1]]
    K, unknown = len(small), np.zeros((rows, cols), np.float32)
    times_s = video.times_s[::-1] if indices == "true" else video.times_s[-1] - INDEX_S * np.arange(K)
    return Context(
        np.stack([frame_in(anchor, rgb, unknown) for rgb in small]),
        np.zeros((K, RAY_CHANNELS, rows // MULTIPLE, cols // MULTIPLE), np.float32),
        since(anchor.time_s, times_s),
        np.full(K, NO_CLOCK, np.float32),
    )


def blank_view(anchor: Anchor, camera: Camera) -> ViewImage:
    """A view of no memory in the anchor's units: far from anything known, and where its pixels look."""
    rows, cols = (-(-n // MULTIPLE) * MULTIPLE for n in (camera.height, camera.width))
    image = np.zeros((INPUT_CHANNELS, rows, cols), np.float32)
    u, v = (np.minimum(np.arange(n), last - 1) + np.float32(0.5) for n, last in ((cols, camera.width), (rows, camera.height)))
    image[FAR], image[RAYS] = 1.0, np.stack(np.meshgrid((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy))
    return ViewImage(image, anchor.colour_mean, anchor.colour_scale, anchor.log_depth_mean, (camera.height, camera.width))


def path_told(anchor: Anchor, path: Path, tokens: Int64) -> ClipCondition:
    """What the network is told of the frames to be drawn: the camera of each, when it is, the prompt, and no memory."""
    view, T = blank_view(anchor, path.camera), len(path)
    height, width = view.image.shape[1:]
    cells = (height // MULTIPLE, width // MULTIPLE)
    return ClipCondition(
        image=np.repeat(view.image[None], T, 0), to_view=np.tile(np.array([1, 0, 0, 0, 0], np.float32), (T, 1)),
        memory=np.zeros((T, FRAME_CHANNELS, height, width), np.float32), uncovered=np.ones((T, 1, *cells), np.float32),
        rays=np.stack([rays_in(anchor, path.camera, pose, cells) for pose in path.T_last_cams]),
        time=since(anchor.time_s, path.times_s), animation=np.full(T, NO_CLOCK, np.float32),
        box=np.zeros((T, 1, *cells), np.float32), tokens=tokens, views=(view,) * T, anchor=anchor,
    )


@dataclass(frozen=True, slots=True)
class Guidance:
    """How far instruction and context are followed beyond what they say.

    Args:
        weight: 1: as they say; the other branch is then not asked.
        jointly: that branch is told no path and no prompt, and noise for a context (Video4Spatial); else it keeps the context.
    """

    weight: float = 1.0
    jointly: bool = True


def navigate(
    generator: SpaceTimeGenerator, video: Video, path: Path, rng: np.random.Generator, guidance: Guidance,
    indices: Indices = "true", clip: int = 4, without: Sequence[str] = (),
) -> list[UInt8]:
    """Follow a camera path from the pictures of a video alone.

    Args:
        generator: its networks and settings are taken; prompt and steps too.
        clip: frames drawn together. Each clip is drawn from the same context: none sees what another has drawn.
        without: conditions left out as well ("rays": the path; "references": the pictures), to measure them.

    Returns:
        A picture uint8 [H, W, 3] for each frame of the path.
    """
    dropped = ",".join(sorted({"memory_render", "animation_time", *without}))
    config = generator.config.model_copy(update={"guidance": guidance.weight, "drop": dropped})
    unguided = frozenset({"text", "rays", "references"} if guidance.jointly else {"text", "rays"})
    asked = SpaceTimeGenerator(generator.name, generator.engine, config, unguided)
    anchor = anchor_of(video)
    stream = Stream(0, held=Held(anchor, context_of(video, indices), (), ()))
    drawn: list[UInt8] = []
    for first in range(0, len(path), clip):
        told = clip_without(path_told(anchor, path.part(first, clip), generator.tokens), asked.dropped)
        drawn += [made.rgb for made in asked.sample(told, stream, rng)]
    return drawn

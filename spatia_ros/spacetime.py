"""Space and time from a video: a recording of things that move, seen from any camera at any of its times.

The recording is taken apart once (:mod:`spatia_ros.slam.lift`); after that, any (camera path, time pattern) is a flight
through a world: the path says where the camera is, the clock of the cast which moment it sees. What no frame of the
recording showed is invented and remembered, so a path may go on turn after turn beyond what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from spatia_ros.actors import Clock, pattern
from spatia_ros.config import WorldConfig
from spatia_ros.generator import Generator
from spatia_ros.sequence.camera_presets import Stage, camera_path, stage_of, within
from spatia_ros.slam.lift import Lifted
from spatia_ros.types import Camera, Float64, SpatiaError, Step, Trajectory, check_array
from spatia_ros.world import World

STEP_FRAMES = 16
"""Frames of a :class:`Step`, at most."""
NEAR_M, SEEN = 0.25, 0.55
"""A preset keeps this far from all that memory knows, and memory shows this share of what it sees."""


def world_of(lifted: Lifted, config: WorldConfig, generator: Generator, camera: Camera | None = None) -> World:
    """A world of a recording: animation time 0 is its first frame; the world's own clock stands at its last."""
    world = World(config, lifted.memory, generator, camera or config.camera.camera(lifted.camera), lifted.cast)
    world.start_ns, world.time_ns = int(lifted.trajectory.stamps_ns[0]), int(lifted.trajectory.stamps_ns[-1])
    return world


def spacetime(
    lifted: Lifted, config: WorldConfig, generator: Generator, camera: Camera, T_world_cam: Float64, animation_s: Float64
) -> Iterator[Step]:
    """Frames of a recorded scene at cameras and times that were never recorded together.

    What is invented on the way enters ``lifted.memory``: later frames of the path show it again.

    Args:
        lifted: the recording. camera: of the frames.
        T_world_cam: float64 [T, 4, 4], where the camera is. animation_s: float64 [T], the moment each frame shows, s.

    Returns:
        Steps of at most :data:`STEP_FRAMES` frames, in order.
    """
    check_array("T_world_cam", T_world_cam, (None, 4, 4), np.float64)
    check_array("animation_s", animation_s, (len(T_world_cam),), np.float64)
    world = world_of(lifted, config, generator, camera)
    trajectory = timed(T_world_cam, config.frame_rate_hz, world.time_ns)
    for i, clip in enumerate(trajectory.clips(STEP_FRAMES)):
        yield world.advance(clip, animation_s[i * STEP_FRAMES : i * STEP_FRAMES + len(clip)])


def timed(T_world_cam: Float64, rate_hz: float, after_ns: int) -> Trajectory:
    """Poses [T, 4, 4] at a fixed rate, the first a period after a time."""
    stamps = after_ns + np.round(np.arange(1, len(T_world_cam) + 1) * 1e9 / rate_hz).astype(np.int64)
    return Trajectory(stamps, T_world_cam)


def clock_of(name: str, span_s: tuple[float, float], length_s: float, at_s: float) -> Clock:
    """A pattern of :data:`spatia_ros.actors.patterns.SHAPES` that plays a span while so much of the path's time goes by.

    Args:
        span_s: first and last animation time, s. length_s: how long that takes, s. at_s: when it begins, world's seconds.
    """
    return pattern(name, *span_s, length_s=max(length_s, 1e-6), at_s=at_s)


def path_of(lifted: Lifted, turns: Sequence[tuple[str, float]], start: Float64, camera: Camera, frames: int) -> Float64:
    """Camera presets one after another, each as large as the place allows.

    A turn begins where the last one ended, and is made smaller until its camera keeps clear of things and memory shows most
    of what it sees.

    Args:
        turns: names of presets and their sizes. start: float64 [4, 4], the first camera. frames: of each turn.

    Returns:
        ``T_world_cam`` float64 [turns * (frames - 1) + 1, 4, 4].
    """
    if not turns:
        raise SpatiaError("camera path: expected at least one turn, got none")
    out, up = [start[None]], lifted.up
    for name, size in turns:
        stage = stage_of(_depth(lifted, camera, out[-1][-1]), out[-1][-1], up)
        turn = partial(_turn, name, stage, frames, size)
        out.append(within(turn, _Clear(lifted, camera, stage))[0][1:])
    return np.concatenate(out)


def _turn(name: str, stage: Stage, frames: int, size: float, share: float) -> Float64:
    return camera_path(name, stage, frames, share * size)


class _Clear:
    """Whether a camera may be at a pose, as seen from the stage of its turn."""

    def __init__(self, lifted: Lifted, camera: Camera, stage: Stage) -> None:
        self.lifted, self.camera = lifted, camera
        depth = _depth(lifted, camera, stage.T_world_cam)
        # Where a turn starts with little known, no more than that can be asked of it.
        self.seen = min(SEEN, 0.8 * float((depth > 0).mean()))
        self.near_m = min(NEAR_M, 0.5 * stage.near_m)

    def __call__(self, T_world_cam: Float64) -> bool:
        depth = _depth(self.lifted, self.camera, T_world_cam)
        known = depth[depth > 0]
        return bool(len(known) >= self.seen * depth.size and np.percentile(known, 1) >= self.near_m)


def _depth(lifted: Lifted, camera: Camera, T_world_cam: Float64) -> np.ndarray:
    """What memory shows at a pose, small: float32 [h, w], m."""
    small = camera.resized(max(1, camera.width // 4), max(1, camera.height // 4))
    return lifted.memory.render_depth(small, T_world_cam)


def nearest_frame(lifted: Lifted, tau_s: float) -> int:
    """Number of the recorded frame nearest to an animation time."""
    at = lifted.trajectory.stamps_ns - lifted.trajectory.stamps_ns[0]
    return int(np.argmin(np.abs(at * 1e-9 - tau_s)))

"""What a seed gives: the first memory of a place, and where to begin in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Keyframe, Memory
from spatia_ros.seed.walk import Walk, begun_at
from spatia_ros.types import Camera, Float64, Trajectory, check_pose

Report = Callable[[str, float], None]
"""Told what is being done, and how much of it is, 0..1."""

EYES = Camera.from_fov(640, 400, 1.2)
"""The camera a seed without one of its own is first looked at with."""


STARTS = 10
"""Places that are tried as a start."""
LEAST_SEEN = 0.15
"""A start shows at least this share of the picture."""
TURN_POSES = 12
"""A walk begins with so many poses from the view at the start into its own direction."""


def silent(_what: str, _share: float) -> None:
    """A :data:`Report` that tells nobody."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """A place made from something else than a posed recording.

    Args:
        name: what to call it.
        memory: what is known of it.
        camera: intrinsics to look at it with.
        T_world_cam: float64 [4, 4], a pose to begin at.
        recorded: a camera path through it, from that pose on.
        story: what it was made of and what was done to it, in sentences.
        figures: counts and measures in plain values, for tables and JSON.
        objects: lowest and highest corner of each named object, metres.
        origin_m: float64 [3], what was subtracted from the source's coordinates.
    """

    name: str
    memory: Memory
    camera: Camera
    T_world_cam: Float64
    recorded: Trajectory
    story: list[str]
    figures: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    origin_m: Float64 = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        check_pose("seeded.T_world_cam", self.T_world_cam)


def remember_start(memory: Memory, camera: Camera, T_world_cam: Float64) -> None:
    """Keep what memory shows at the start as its first keyframe, so that whoever opens the file later begins there."""
    view = memory.render(camera, T_world_cam, 0)
    memory.keyframes.append(Keyframe(view.rgb, view.depth, view.sensed > 0.5, camera, T_world_cam, 0))


def complete(config: MemoryConfig, low: Float64, high: Float64) -> MemoryConfig:
    """A memory's configuration for a source that leaves nothing out between two corners [3].

    No keyframe has to vouch for the space before a surface, and the far end of the place is drawn.
    """
    across_m = float(np.linalg.norm(high - low))
    range_m = float(np.clip(across_m / 3, config.max_range_m, 1000.0))
    return config.model_copy(update={"max_unknown_ray": 1.0, "max_range_m": range_m})


def best_start(memory: Memory, walk: Walk | None, low: Float64, high: Float64) -> tuple[Float64, Trajectory]:
    """A pose ``T_world_cam`` to begin at, where most is to be seen, and the walk from there.

    Without standing room (a single object, say) it is outside the bounds [3] to [3], which are all in view.
    """
    if walk is None:
        start = looking_in(low, high, EYES)
        return start, timed(start[None])
    small = EYES.resized(80, 50)

    def worth(T: Float64) -> float:
        depth = memory.render(small, T, 0).depth
        seen = depth[depth > 0]
        # Surfaces all over the picture, far ones and many distances, none of them in the face.
        rooms = 0.4 * np.log1p(np.minimum(np.median(seen), 6.0)) + 0.3 * np.log1p(seen).std() if len(seen) else 0.0
        return float(len(seen) / depth.size + rooms - (seen < 1.2).sum() / depth.size)

    eyes = walk.viewpoints[:STARTS]
    start = max((standing_pose(eye, float(yaw)) for eye in eyes for yaw in np.arange(0, 2 * np.pi, np.pi / 6)), key=worth)
    if memory.render(small, start, 0).coverage.mean() < LEAST_SEEN:  # on top of a thing, not in a place
        return best_start(memory, None, low, high)
    return start, walk_from(walk, start)


def walk_from(walk: Walk, start: Float64) -> Trajectory:
    """A camera path along a walk, from a pose [4, 4] on it, 0.1 m a pose."""
    way = begun_at(walk, start[:3, 3]).poses()
    turn = geometry.interpolate(timed(np.stack([start, way[0]]), 1.0), np.linspace(0, 10**9, TURN_POSES + 1).astype(np.int64))
    return timed(np.concatenate([turn[:-1], way]))


def standing_pose(eye: Float64, yaw: float, pitch: float = -0.12) -> Float64:
    """``T_world_cam`` of an upright camera at ``eye`` [3]; z is up, yaw counts from x to y, radians."""
    direction = np.array([np.cos(yaw), np.sin(yaw), np.tan(pitch)])
    return geometry.look_at(eye, eye + direction, np.array([0.0, 0.0, 1.0]))


def timed(T_world_cam: Float64, rate_hz: float = 10.0) -> Trajectory:
    """Poses [N, 4, 4] at a fixed rate from time 0 on."""
    return Trajectory(np.round(np.arange(len(T_world_cam)) * 1e9 / rate_hz).astype(np.int64), T_world_cam)


def looking_in(low: Float64, high: Float64, camera: Camera) -> Float64:
    """A pose outside bounds [3] to [3] that has all of them in view, slightly from above; z is up."""
    centre, half = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    narrow = min(camera.width / camera.fx, camera.height / camera.fy) / 2
    distance = half * np.hypot(1.0, narrow) / narrow
    return geometry.look_at(centre + distance * np.array([-0.62, -0.62, 0.48]), centre, np.array([0.0, 0.0, 1.0]))

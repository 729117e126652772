"""A recording of a place in which things move, taken apart: a memory of what stands still, and a cast of what moves.

The recording is known whole, so nothing is judged before all is seen (see :mod:`.both_ways`; :mod:`.mapper` is for streams).
What moves is followed (:mod:`.sightings`), its motion found by registration (:mod:`.rigid`), each sight of it completed from
others (:mod:`.fuller`). Animation time of a recording is seconds since its first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.actors import Actor, Cast, Observation, ObservedBody
from spatia_ros.config import DynamicsConfig, WorldConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import EvenFrames
from spatia_ros.slam.both_ways import Divided, Look, divide, excess, look_of, widened
from spatia_ros.slam.fuller import side_of
from spatia_ros.slam.kind import colour_of, kind_of
from spatia_ros.slam.recorded_body import Recorded, body_of, mixed
from spatia_ros.slam.sightings import Thing, has_double, things_of
from spatia_ros.types import Bool, Camera, Float64, Frame, SpatiaError, Trajectory

Each = Callable[[Iterable[int], str, int], Iterable[int]]
"""Goes through numbers, and may show how far it is: the numbers, what is being done, how many."""

WITNESSES = 256
"""Frames kept as witnesses at most, spread over the recording."""
FEWEST_SIGHTS = 3
"""A thing seen more seldom is left out."""
LEAST_SHARE = 0.0008
"""Of the picture: a thing that never covers more is left out."""
SHADOWS, SHADOW_LIFT, SHADOW_FRAMES = "shadows", 0.012, 0.75
"""What shadows are called as an actor; how far before their place they are drawn, of depth; how long each is shown, in frames."""
SURE_OF_LIGHT = 1.3
"""Frames that disagree more than this say nothing of shadows: their exposure changes, and their edges do not meet."""
RIM_PX = 1
"""Around what moves, pixels that show a little of it are kept out of memory."""


@dataclass(frozen=True, slots=True)
class Lifted:
    """A recording taken apart.

    Args:
        memory: what stands still. cast: what moves; its animation time 0 is the first frame's.
        trajectory: of the camera. camera: of every frame.
        figures: excess (:func:`.both_ways.excess`), frames, actors (without shadows), points, moving_share and shaded_share (of
            all pixels).
    """

    memory: Memory
    cast: Cast
    trajectory: Trajectory
    camera: Camera
    figures: dict[str, float]

    @property
    def span_s(self) -> tuple[float, float]:
        """Animation times of the first and last frame, s."""
        return 0.0, float(self.trajectory.stamps_ns[-1] - self.trajectory.stamps_ns[0]) * 1e-9

    @property
    def up(self) -> Float64:
        """float64 [3], unit: what is up in most pictures."""
        return geometry.up_of(self.trajectory.T_world_cam)


def silently(numbers: Iterable[int], _what: str, _total: int) -> Iterable[int]:
    """Goes through numbers and shows nothing."""
    return numbers


def lift(frames: Sequence[Frame], config: WorldConfig, each: Each = silently) -> Lifted:
    """Take a recording apart.

    Args:
        frames: posed, of one camera, in order of time; read as needed, each a few times.
        config: its memory, dynamics and actors sections. each: for a progress bar.

    Raises:
        SpatiaError: on fewer than two frames, other cameras, or times that do not go forward.
    """
    n, first = len(frames), frames[0] if len(frames) else None
    if first is None or n < 2:
        raise SpatiaError(f"lift: expected at least two frames, got {n}")
    if config.memory.even_exposure:
        frames = EvenFrames(frames, config.memory, lambda numbers: each(numbers, "exposure", n))
    memory, poses, stamps, counts = Memory(config.memory), list[Float64](), list[int](), {"moving": 0, "shaded": 0}
    looks, shadows = _witnesses(frames, each), list[Observation]()
    wide = excess(looks, config.dynamics)
    looks, dynamics = widened(looks, round(wide) - 1), _wider(config.dynamics, wide)

    def divided() -> Iterator[tuple[int, float, Frame, Bool]]:
        for k in each(range(n), "what moves", n):
            frame = frames[k]
            _check(frame, first, stamps)
            stamps.append(frame.stamp_ns)
            poses.append(frame.T_world_cam)
            parts = divide(frame, k, looks, dynamics) if config.dynamics.enabled else _nothing(frame)
            if wide > SURE_OF_LIGHT:
                parts = parts._replace(shaded=np.zeros_like(parts.shaded))
            memory.integrate(frame, mask=still_of(parts))
            counts["moving"] += int(parts.moving.sum())
            counts["shaded"] += int(parts.shaded.sum())
            tau_s = (frame.stamp_ns - first.stamp_ns) * 1e-9
            if np.count_nonzero(parts.shaded) >= LEAST_SHARE * first.depth.size:
                shadows.append(_shadow(frame, parts.shaded, tau_s, config.actors.points))
            yield k, tau_s, frame, parts.moving

    things = [thing for thing in things_of(divided(), config.dynamics.margin_m) if _is_worth(thing, first)]
    trajectory = Trajectory(np.array(stamps, np.int64), np.stack(poses))
    span_s = 0.0, (stamps[-1] - stamps[0]) * 1e-9
    cast = Cast()
    for k in each(range(len(things)), "actors", len(things)):
        up, doubtful = geometry.up_of(trajectory.T_world_cam), has_double(things[k], things)
        cast.add(_actor(body_of(things[k], frames, up, span_s, config.actors.points, doubtful), things[k], up))
    if shadows:
        reach_s = SHADOW_FRAMES * float(np.median(np.diff(stamps))) * 1e-9
        cast.add(Actor(SHADOWS, "shadow", ObservedBody(tuple(shadows), None, reach_s, complete=True)))
    pixels = n * first.depth.size
    figures = {
        "excess": round(wide, 3), "frames": n, "actors": len(things), "points": len(memory),
        "moving_share": round(counts["moving"] / pixels, 5), "shaded_share": round(counts["shaded"] / pixels, 5),
    }  # fmt: skip
    return Lifted(memory, cast, trajectory, first.camera, figures)


def _shadow(frame: Frame, shaded: Bool, tau_s: float, most: int) -> Observation:
    """What lies in shadow, just in front of where it is: so it is drawn over the same place as it looks in the light."""
    lifted = replace(frame, depth=frame.depth * np.float32(1.0 - SHADOW_LIFT))
    return Observation(tau_s, np.eye(4), mixed(side_of(lifted, shaded, tau_s, most).fine))


def still_of(parts: Divided) -> Bool:
    """bool [H, W]: the pixels that enter memory."""
    wide = cv2.dilate(parts.moving.astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) > 0
    return ~(wide | parts.shaded)


def _wider(config: DynamicsConfig, factor: float) -> DynamicsConfig:
    """Margins this many times as wide."""
    return config.model_copy(update={"margin_m": config.margin_m * factor, "noise_per_m": config.noise_per_m * factor})


def _nothing(frame: Frame) -> Divided:
    return Divided(np.zeros(frame.depth.shape, bool), np.zeros(frame.depth.shape, bool))


def _witnesses(frames: Sequence[Frame], each: Each) -> list[Look]:
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), WITNESSES)).astype(int)).tolist()
    return [look_of(frames[k], k) for k in each(chosen, "witnesses", len(chosen))]


def _check(frame: Frame, first: Frame, stamps: list[int]) -> None:
    if frame.camera != first.camera:
        raise SpatiaError(f"lift: expected one camera, got {first.camera} and {frame.camera}")
    if stamps and frame.stamp_ns <= stamps[-1]:
        raise SpatiaError(f"lift: expected a time after {stamps[-1]} ns, got {frame.stamp_ns}")


def _is_worth(thing: Thing, first: Frame) -> bool:
    return len(thing.seen) >= FEWEST_SIGHTS and max(s.pixels for s in thing.seen) >= LEAST_SHARE * first.depth.size


def _actor(lifted: Recorded, thing: Thing, up: Float64) -> Actor:
    best = max(lifted.body.observations, key=lambda o: len(o.points)).points
    facts: dict[str, str | int | float | bool] = {
        "sights": len(thing.seen), "rigid": lifted.rigid, "registered": round(lifted.fitting, 3),
        "first_seen_s": round(thing.seen[0].tau_s, 3), "last_seen_s": round(thing.last.tau_s, 3),
    }  # fmt: skip
    return Actor("", kind_of(best, up, lifted.rigid), lifted.body, colour=colour_of(best.rgb), facts=facts)

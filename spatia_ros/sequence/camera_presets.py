"""Ten ways to move a camera, each from any first pose, as large as the scene in front of it, starting and stopping gently.

A preset is a way from the first pose as a function of its share 0..1; the share runs through an ease in and out, so velocity
is zero at both ends and continuous between. Several in a row make one path as long as one likes (:func:`chained`): each
begins where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros.geometry import pose
from spatia_ros.types import Float32, Float64, SpatiaError, check_pose

DISTANCE_M = 2.0
"""What is looked at is taken to be this far away where nothing is known."""
DISTANCES_M = (0.3, 12.0)
"""Nearer or farther things change the size of a move no more."""
NEAREST_SHARE = 0.6
"""Of the way to the nearest thing ahead, what a camera goes forward at most."""
MAX_FRAMES = 100_000


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a move starts, and how large things are there.

    Args:
        T_world_cam: float64 [4, 4], the first pose. up: float64 [3], unit, the world's.
        distance_m: to what is looked at; moves go round that point and scale with it.
        near_m: to the nearest of what is ahead; bounds moves forward.
    """

    T_world_cam: Float64
    up: Float64
    distance_m: float = DISTANCE_M
    near_m: float = DISTANCE_M

    def __post_init__(self) -> None:
        check_pose("stage.T_world_cam", self.T_world_cam)
        if not (np.isfinite(self.up).all() and abs(np.linalg.norm(self.up) - 1.0) < 1e-6):
            raise SpatiaError(f"stage.up: expected a unit vector, got {np.asarray(self.up).tolist()}")
        if not (self.distance_m > 0 and self.near_m > 0 and np.isfinite([self.distance_m, self.near_m]).all()):
            raise SpatiaError(f"stage: expected distances above 0 m, got {self.distance_m} and {self.near_m}")

    @property
    def eye(self) -> Float64:
        """float64 [3], m."""
        return self.T_world_cam[:3, 3]

    @property
    def ahead(self) -> Float64:
        """float64 [3], unit, the way the camera looks."""
        return self.T_world_cam[:3, 2]

    @property
    def right(self) -> Float64:
        """float64 [3], unit."""
        return self.T_world_cam[:3, 0]

    @property
    def pivot(self) -> Float64:
        """float64 [3], what is looked at, m."""
        return self.eye + self.distance_m * self.ahead

    @property
    def forward_m(self) -> float:
        """How far a full move goes forward."""
        return min(0.4 * self.distance_m, NEAREST_SHARE * self.near_m)

    def at(self, eye: Float64) -> Float64:
        """``T_world_cam`` at an eye [3], looking the same way."""
        return pose(self.T_world_cam[:3, :3], eye)

    def facing(self, eye: Float64) -> Float64:
        """``T_world_cam`` at an eye [3] that still looks at the pivot: turned as little as that takes."""
        before, after = self.ahead, (self.pivot - eye) / np.linalg.norm(self.pivot - eye)
        axis = np.cross(before, after)
        angle = np.arctan2(np.linalg.norm(axis), before @ after)
        turn = Rotation.from_rotvec(axis * (angle / max(float(np.linalg.norm(axis)), 1e-12)))
        return pose(turn.as_matrix() @ self.T_world_cam[:3, :3], eye)

    def turned(self, axis: Float64, angle_rad: float, centre: Float64) -> Float64:
        """``T_world_cam`` turned about an axis [3] through a point [3]."""
        R = Rotation.from_rotvec(angle_rad * axis).as_matrix()
        return pose(R @ self.T_world_cam[:3, :3], centre + R @ (self.eye - centre))


def stage_of(depth: Float32, T_world_cam: Float64, up: Float64) -> Stage:
    """The stage a first picture sets.

    Args:
        depth: float32 [H, W], m, 0 = unknown. T_world_cam: float64 [4, 4]. up: float64 [3], the world's.
    """
    h, w = depth.shape
    known = depth[depth > 0]
    middle = depth[h // 4 : h - h // 4, w // 4 : w - w // 4]
    looked = middle[middle > 0] if (middle > 0).any() else known
    low, high = DISTANCES_M
    distance = float(np.clip(np.median(looked), low, high)) if len(looked) else DISTANCE_M
    near = float(np.clip(np.percentile(known, 3), 0.05, high)) if len(known) else distance
    up = np.asarray(up, np.float64)
    return Stage(T_world_cam, up / np.linalg.norm(up), distance, near)


Way = Callable[[Stage, float, float], Float64]
"""Stage, share of the way 0..1, size (1 = full; below 0 goes the other way) -> ``T_world_cam`` [4, 4]."""


def _dolly(stage: Stage, s: float, size: float) -> Float64:
    return stage.at(stage.eye + s * size * stage.forward_m * stage.ahead)


def _truck(stage: Stage, s: float, size: float) -> Float64:
    return stage.at(stage.eye + s * size * 0.25 * stage.distance_m * stage.right)


def _pedestal(stage: Stage, s: float, size: float) -> Float64:
    return stage.at(stage.eye + s * size * 0.15 * stage.distance_m * stage.up)


def _pan(stage: Stage, s: float, size: float) -> Float64:
    return stage.turned(stage.up, -s * size * np.radians(25), stage.eye)


def _tilt(stage: Stage, s: float, size: float) -> Float64:
    return stage.turned(stage.right, -s * size * np.radians(12), stage.eye)


def _orbit(stage: Stage, s: float, size: float) -> Float64:
    return stage.turned(stage.up, s * size * np.radians(25), stage.pivot)


def _crane(stage: Stage, s: float, size: float) -> Float64:
    rise, back = 0.25 * stage.distance_m * stage.up, 0.1 * stage.distance_m * stage.ahead
    return stage.facing(stage.eye + s * size * rise - s * abs(size) * back)


def _figure_eight(stage: Stage, s: float, size: float) -> Float64:
    a = 2 * np.pi * s
    aside, rise = 0.18 * stage.distance_m * np.sin(a), 0.06 * stage.distance_m * np.sin(2 * a)
    return stage.facing(stage.eye + size * (aside * stage.right + rise * stage.up))


def _spiral(stage: Stage, s: float, size: float) -> Float64:
    a, r = 4 * np.pi * s, 0.14 * stage.distance_m * np.sin(np.pi * s)
    aside = r * (np.cos(a) * stage.right + np.sin(a) * stage.up)
    return stage.facing(stage.eye + size * aside + s * abs(size) * 0.6 * stage.forward_m * stage.ahead)


def _push_pull(stage: Stage, s: float, size: float) -> Float64:
    return stage.at(stage.eye + np.sin(np.pi * s) ** 2 * size * stage.forward_m * stage.ahead)


PRESETS: dict[str, tuple[str, Way]] = {
    "dolly": ("forward, towards what is looked at", _dolly),
    "truck": ("to the right, looking the same way", _truck),
    "pedestal": ("up, looking the same way", _pedestal),
    "pan": ("turning right on the spot", _pan),
    "tilt": ("turning down on the spot", _tilt),
    "orbit": ("round what is looked at, 25 degrees", _orbit),
    "crane": ("up and back, looking at the same point", _crane),
    "figure-eight": ("a lying eight, looking at the same point, back to the start", _figure_eight),
    "spiral": ("forward on two turns of a spiral, looking at the same point", _spiral),
    "push-pull": ("forward and back to the start", _push_pull),
}
"""Name -> what it does in words, and the way."""


def eased(t: Float64) -> Float64:
    """Time 0..1 to way 0..1 with velocity and acceleration zero at both ends (Perlin's smootherstep)."""
    return t * t * t * (t * (6.0 * t - 15.0) + 10.0)


def camera_path(name: str, stage: Stage, frames: int, size: float = 1.0) -> Float64:
    """A preset as poses.

    Args:
        name: a key of :data:`PRESETS`. frames: how many poses, from 2. size: 1 is the full move, -1 the other way.

    Returns:
        ``T_world_cam`` float64 [frames, 4, 4]; the first is the stage's to the last bit.

    Raises:
        SpatiaError: for an unknown name, or numbers out of range.
    """
    if name not in PRESETS:
        raise SpatiaError(f"camera preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    if not 2 <= frames <= MAX_FRAMES:
        raise SpatiaError(f"camera preset {name}: expected 2..{MAX_FRAMES} frames, got {frames}")
    if not (np.isfinite(size) and 0 < abs(size) <= 4):
        raise SpatiaError(f"camera preset {name}: expected a size of -4..4 other than 0, got {size}")
    way = PRESETS[name][1]
    out = np.stack([way(stage, float(s), size) for s in eased(np.linspace(0.0, 1.0, frames, dtype=np.float64))])
    out[0] = stage.T_world_cam
    return out


def parsed(text: str) -> list[tuple[str, float]]:
    """Turns from ``orbit``, ``truck:-1`` or ``orbit:0.5,dolly,pan:-1``: names, each with its size.

    Raises:
        SpatiaError: naming the turn that is none.
    """
    turns = []
    for turn in text.split(","):
        name, _, size = turn.strip().partition(":")
        if name not in PRESETS:
            raise SpatiaError(f"camera preset: expected one of {', '.join(PRESETS)}, got {name!r}")
        try:
            value = float(size) if size else 1.0
        except ValueError:
            raise SpatiaError(f"camera preset {name}: expected a size in numbers after the colon, got {size!r}") from None
        turns.append((name, value))
    return turns


def chained(
    turns: Sequence[tuple[str, float]], stage: Stage, frames: int, look: Callable[[Float64], Stage] | None = None
) -> Float64:
    """Presets one after another, each from where the last ended: ``frames`` poses a turn, joints counted once.

    Args:
        turns: names and sizes. look: the stage at a pose, for the turns after the first; None: as large as the first one.

    Returns:
        ``T_world_cam`` float64 [turns * (frames - 1) + 1, 4, 4].
    """
    if not turns:
        raise SpatiaError("camera preset: expected at least one turn, got none")
    out = [stage.T_world_cam[None]]
    for name, size in turns:
        end = out[-1][-1]
        if len(out) > 1:
            stage = look(end) if look else Stage(end, stage.up, stage.distance_m, stage.near_m)
        out.append(camera_path(name, stage, frames, size)[1:])
    return np.concatenate(out)


def within(path: Callable[[float], Float64], clear: Callable[[Float64], bool], smallest: float = 0.15) -> tuple[Float64, float]:
    """The largest of a path's sizes whose every pose is clear, and that size.

    Args:
        path: share of the full size 0..1 -> poses [T, 4, 4]. clear: whether a camera may be at a pose.
        smallest: what is taken where no size is clear.
    """
    size = 1.0
    while size > smallest:
        poses = path(size)
        if all(clear(T) for T in poses[:: max(1, len(poses) // 8)]) and clear(poses[-1]):
            return poses, size
        size *= 0.75
    return path(smallest), smallest

"""Runs through procedural scenes and meshes: a simulated depth camera, a memory of what stands still, truth at any time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.generator.condition import MAX_CLIP
from spatia_ros.generator.image import MULTIPLE
from spatia_ros.memory import Keyframe, Memory
from spatia_ros.train import text_of
from spatia_ros.train.clips import FRAME_NS, Clip, Sight, context_of, look_back, sight_of
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_actors import TAU_S
from spatia_ros.train.scene_air import CLEAR, Air
from spatia_ros.train.scene_at import SceneAt, Seen
from spatia_ros.train.scene_crowd import crowd, in_picture
from spatia_ros.train.scene_texture import noise
from spatia_ros.train.sensor import Sensor, observe
from spatia_ros.train.time_warp import random_warp
from spatia_ros.types import Bool, Camera, Float64, Frame, SpatiaError, UInt8

COVERAGE = (0.08, 0.985)
"""Share of a clip that memory must show for it to teach anything."""
PATH = 40
"""Poses of a run's way, at steps of the scene's walk."""
SIGHTS = (3, 9)
"""Fewest and most frames seen in a run."""
CONTEXT = 6
"""Sights given whole at most."""
MOVERS = (0.2, 0.35, 0.3, 0.15)
"""Chances of 0, 1, 2 and 3 movers."""
SEEN_SHARE = 0.005
"""Share of a picture from which on something counts as seen in it."""
SHOWN_TIMES = 0.5
"""Chance of a clip to show animation times that sights show, from where its own camera is, as when a recording is retimed."""
SWEPT_PX = 4
"""Pixels a side of a place that something may move over."""
BEYOND_M = 8.0
"""Memory reaches this far in rooms; farther, and coarser, where there is more to see."""


@dataclass(frozen=True, slots=True)
class Place:
    """A scene with the words for it.

    Args:
        kind: a key of :data:`.scene_crowd.SHARES`.
    """

    scene: Scene
    kind: str
    air: Air = CLEAR


@dataclass(frozen=True, slots=True)
class Plan:
    """How clips are taken.

    Args:
        size: width and height, px. frames: T of a clip. references: sights asked for recall, as at run time. clips: of a run.
    """

    size: tuple[int, int] = (256, 160)
    frames: int = 4
    references: int = 8
    clips: int = 4

    def __post_init__(self) -> None:
        if any(side % MULTIPLE or side < MULTIPLE for side in self.size):
            raise SpatiaError(f"clips: expected a size that {MULTIPLE} divides, got {self.size[0]}x{self.size[1]}")
        if not 1 <= self.frames <= MAX_CLIP:
            raise SpatiaError(f"clips: expected 1..{MAX_CLIP} frames, got {self.frames}")


def run_of(place: Place, plan: Plan, rng: np.random.Generator) -> list[Clip]:
    """The clips of one run; they share their sights.

    Raises:
        SpatiaError: when the scene has no free path.
    """
    camera = Camera.from_fov(*plan.size, float(np.radians(rng.uniform(48, 82))))
    poses = place.scene.random_path(rng, PATH)
    actors = crowd(place.scene, place.kind, camera, poses, rng, int(rng.choice(len(MOVERS), p=MOVERS)))
    scene = SceneAt(place.scene, actors, place.air)
    recorded = Recorded.of(scene, camera, poses, rng)
    clips = []
    for _ in range(3 * plan.clips):
        clip = _clip(place, scene, recorded, plan, poses, rng)
        if clip is not None:
            clips.append(clip)
        if len(clips) == plan.clips:
            break
    return clips


@dataclass(slots=True)
class Recorded:
    """What was seen before the clips: sights, and the memory of their still part."""

    camera: Camera
    memory: Memory
    sights: list[Sight]
    end_ns: int

    @classmethod
    def of(cls, scene: SceneAt, camera: Camera, poses: Float64, rng: np.random.Generator) -> Recorded:
        """What a camera sees on its way, now and then along these poses, and remembers some of."""
        n = int(rng.integers(SIGHTS[0], SIGHTS[1] + 1))
        stride = int(rng.integers(1, max(2, PATH // n) + 1))
        first = int(rng.integers(0, max(1, len(poses) - stride * (n - 1))))
        places = np.minimum(first + stride * np.arange(n), len(poses) - 1)
        taus, stamps = _played(rng, n), _stamps(rng, n)
        seen = [scene.look_at(camera, poses[k], tau, stamp) for k, tau, stamp in zip(places, taus, stamps, strict=True)]
        moving = [np.isin(s.ids, scene.numbers) for s in seen]
        sensor, light = Sensor.random(rng), _old_light(rng)
        remembered = int(rng.integers(1, n + 1))
        invented = int(rng.integers(1, remembered + 1)) if remembered > 1 and rng.random() < 0.25 else remembered
        memory = Memory(_memory_config([s.frame for s in seen], rng))
        sights = []
        for k, (s, m, tau) in enumerate(zip(seen, moving, taus, strict=True)):
            frame, still = observe(s.frame, sensor, rng), ~cv2.dilate(m.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
            if k < remembered:
                frame = replace(frame, rgb=light[frame.rgb, np.arange(3)])
                kept = _remember(memory, frame, still, k < invented, rng)
            else:
                kept = None
            sights.append(sight_of(frame, kept, float(tau), ~still))
        return cls(camera, memory, sights, int(stamps[-1]))

    @property
    def showing(self) -> list[int]:
        """Numbers of the sights in which something that moves is seen."""
        return [k for k, sight in enumerate(self.sights) if sight.moving > SEEN_SHARE]


def _remember(memory: Memory, frame: Frame, still: Bool, measured: bool, rng: np.random.Generator) -> Keyframe | None:
    """Fold a frame in, as measured or as if it had been generated; returns memory's keyframe of it, if it kept one."""
    if measured:
        memory.integrate(frame, mask=still)
    else:
        memory.integrate(imagined(frame, rng), sensed=False, mask=still & (frame.depth > 0))
    last = memory.keyframes.keyframes[-1] if len(memory.keyframes) else None
    return last if last is not None and last.stamp_ns == frame.stamp_ns else None


def imagined(frame: Frame, rng: np.random.Generator) -> Frame:
    """The frame as a generator might have made it up: soft, and off in depth by a smooth error."""
    rgb = cv2.GaussianBlur(frame.rgb, (0, 0), rng.uniform(0.8, 2.5))
    error = np.exp(rng.uniform(0.0, 0.08) * noise(rng, *frame.depth.shape, slope=2.5)).astype(np.float32)
    return replace(frame, rgb=rgb, depth=frame.depth * error)


def _played(rng: np.random.Generator, n: int) -> Float64:
    """Animation times [n] of the sights, s: mostly as time goes by, else any."""
    if rng.random() < 0.3:
        return rng.uniform(0.0, TAU_S, n)
    length = rng.uniform(0.3, 1.0) * TAU_S
    return rng.uniform(0.0, TAU_S - length) + np.linspace(0.0, length, n)


def _stamps(rng: np.random.Generator, n: int) -> np.ndarray:
    """Times int64 [n], ns, rising; now and then a long pause after some sight, so that memory is old."""
    steps = np.full(n, FRAME_NS * int(rng.integers(1, 6)), np.int64)
    if n > 1 and rng.random() < 0.4:
        steps[rng.integers(1, n)] += int(1e9 * np.exp(rng.uniform(np.log(0.5), np.log(60.0))))
    return np.cumsum(steps)


def _old_light(rng: np.random.Generator) -> UInt8:
    """A table uint8 [256, 3]: how colours looked when memory was made; mostly as they look now."""
    levels = np.repeat(np.arange(256.0)[:, None], 3, 1)
    if rng.random() < 0.25:
        levels = 255.0 * (levels / 255.0) ** np.exp(rng.normal(0.0, 0.12)) * rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3)
    return np.clip(levels + 0.5, 0, 255).astype(np.uint8)


def _memory_config(frames: list[Frame], rng: np.random.Generator) -> MemoryConfig:
    """Streets are wider than rooms: the memory reaches, and coarsens, with what there is to see."""
    reach = float(np.median([np.percentile(f.depth[f.depth > 0], 90) for f in frames if (f.depth > 0).any()] or [4.0]))
    scale = max(1.0, min(reach / BEYOND_M, 6.0))
    return MemoryConfig(voxel_m=float(rng.choice([0.01, 0.02, 0.02])) * scale, max_range_m=BEYOND_M * scale)


def _clip(
    place: Place, scene: SceneAt, recorded: Recorded, plan: Plan, poses: Float64, rng: np.random.Generator
) -> Clip | None:
    """A clip somewhere on the way, or None where memory shows too little or too much of it."""
    shown = np.array([recorded.sights[k].animation_s for k in recorded.showing])
    ways, taus = _chosen(scene, recorded.camera, poses, shown, plan.frames, rng)
    step_ns = FRAME_NS * int(rng.choice((1, 1, 2, 3)))
    stamps = recorded.end_ns + step_ns * (1 + np.arange(plan.frames))
    glance = recorded.memory.render(recorded.camera, ways[plan.frames // 2], int(stamps[0]))
    if not COVERAGE[0] <= float(glance.coverage.mean()) <= COVERAGE[1]:
        return None
    seen = [scene.look_at(recorded.camera, T, tau, int(t)) for T, tau, t in zip(ways, taus, stamps, strict=True)]
    targets = tuple(s.frame for s in seen)
    views, retrieved = look_back(recorded.memory, recorded.sights, targets, plan.references)
    recent = list(range(len(recorded.sights)))[::-1][:3]
    context = context_of(retrieved, recent, recorded.showing, CONTEXT, rng)
    named = _named(seen, rng)
    moving = np.stack([np.isin(s.ids, scene.numbers) for s in seen])
    return Clip(
        views, targets, taus, retrieved, context, tuple(recorded.sights), prompt_of(place, scene, seen, named),
        None if named is None else np.stack([s.boxes[named] for s in seen]),
        moving, moving | _swept(scene, recorded.camera, ways, shown),
    )


def _swept(scene: SceneAt, camera: Camera, ways: Float64, times_s: Float64) -> Bool:
    """Where n cameras see something that moves at any of these animation times: bool [n, H, W], by a coarser camera."""
    coarse = camera.resized(camera.width // SWEPT_PX, camera.height // SWEPT_PX)
    found = np.zeros((len(ways), coarse.height, coarse.width), bool)
    for tau in np.unique(times_s):
        found |= np.stack([np.isin(scene.look_at(coarse, T, float(tau)).ids, scene.numbers) for T in ways])
    return found.repeat(SWEPT_PX, 1).repeat(SWEPT_PX, 2)


def _chosen(
    scene: SceneAt, camera: Camera, poses: Float64, shown: Float64, n: int, rng: np.random.Generator
) -> tuple[Float64, Float64]:
    """n poses of the way and their animation times, s; three times in four such that something that moves should be in sight.

    Args:
        shown: [m], s, animation times at which sights show something that moves.
    """
    picky, retimed = bool(scene.actors) and rng.random() < 0.75, bool(len(shown)) and rng.random() < SHOWN_TIMES
    for _ in range(12):
        stride = min(int(rng.choice((0, 1, 1, 2, 3))), (len(poses) - 1) // max(n - 1, 1))
        ways = poses[int(rng.integers(0, len(poses) - stride * (n - 1))) + stride * np.arange(n)]
        _, taus = random_warp(rng, n)
        if retimed:
            taus = shown[np.abs(shown[:, None] - taus).argmin(0)]
        middle = n // 2
        if not picky or any(in_picture(a, float(taus[middle]), camera, ways[middle]) for a in scene.actors):
            break
    return ways, taus


def prompt_of(place: Place, scene: SceneAt, seen: list[Seen], named: int | None) -> str:
    """Words for a place, one thing that moves there (None: none) and the others in sight."""
    visible = np.isfinite(np.stack([s.boxes[:, 0] for s in seen])).any(0) if scene.actors else np.zeros(0, bool)
    others = [scene.actors[k].body for k in np.flatnonzero(visible) if k != named]
    return text_of.prompt(place.kind, place.air, None if named is None else scene.actors[named].body, others)


def _named(seen: list[Seen], rng: np.random.Generator) -> int | None:
    """Number of a mover that the prompt names and whose box is told: one that is seen; None when none is."""
    visible = np.flatnonzero(np.isfinite(np.stack([s.boxes[:, 0] for s in seen])).any(0))
    return int(rng.choice(visible)) if len(visible) else None


def runs(place: Place, plan: Plan, rng: np.random.Generator, count: int) -> Iterator[list[Clip]]:
    """Runs through one scene, those without a clip left out."""
    for _ in range(count):
        try:
            clips = run_of(place, plan, rng)
        except SpatiaError:
            continue
        if clips:
            yield clips


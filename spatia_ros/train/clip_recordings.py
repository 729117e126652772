"""Runs from recordings: posed neighbours, and single frames warped forward and back.

A recording has no clock of its own for what moves, so its clips have none either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros.config import MemoryConfig
from spatia_ros.geometry import pose
from spatia_ros.memory import Keyframe, Memory
from spatia_ros.train.clip_scenes import BEYOND_M, CONTEXT, COVERAGE, FRAME_NS, Plan
from spatia_ros.train.clips import Clip, Sight, context_of, look_back, sight_of
from spatia_ros.types import Frame

SIGHTS = (1, 8)
"""Fewest and most frames folded into memory before a clip is looked at."""
TURN_RAD, SHIFT = 0.3, 0.25
"""How far the camera of a warp stands from the frame's: turn, and shift in units of its depth (standard deviations)."""


def neighbours(frames: Sequence[Frame], plan: Plan, prompt: str, rng: np.random.Generator) -> list[Clip]:
    """The clips of one run: some frames are folded into memory, others are to be generated."""
    n = int(rng.integers(SIGHTS[0], min(SIGHTS[1], len(frames) - plan.frames) + 1))
    stride = int(rng.integers(1, 4))
    first = int(rng.integers(0, max(1, len(frames) - stride * (n - 1))))
    chosen = sorted({min(first + stride * k, len(frames) - 1) for k in range(n)})
    memory, sights = Memory(_config([frames[k] for k in chosen], rng)), []
    for k in chosen:
        memory.integrate(frames[k])
        sights.append(_kept(memory, frames[k]))
    clips = []
    for _ in range(6 * plan.clips):
        step = int(rng.integers(1, 3))
        start = int(rng.integers(0, max(1, len(frames) - step * (plan.frames - 1))))
        places = [start + step * k for k in range(plan.frames)]
        if places[-1] >= len(frames) or set(places) & set(chosen):
            continue
        # Times go on from the last sight's, whichever way the frames were recorded.
        stamps = sights[-1].keyframe.stamp_ns + FRAME_NS * (1 + np.arange(plan.frames))
        targets = [_at(frames[k], int(stamp)) for k, stamp in zip(places, stamps, strict=True)]
        clip = _clip(memory, sights, targets, plan, prompt, rng)
        if clip is not None:
            clips.append(clip)
        if len(clips) == plan.clips:
            break
    return clips


def warped(frames: Sequence[Frame], plan: Plan, prompt: str, rng: np.random.Generator) -> list[Clip]:
    """The clip of one run from up to T neighbouring frames, each taken alone: what is left of it in a camera nearby is memory.

    Forward to that camera what it would see, and back: the frame itself is the truth, and what was lost on the way is to be
    generated. So a single RGB-D picture is enough to learn from.
    """
    first = int(rng.integers(0, max(1, len(frames) - plan.frames + 1)))
    targets = list(frames[first : first + plan.frames])
    far = float(np.median(targets[0].depth[targets[0].depth > 0])) if (targets[0].depth > 0).any() else 2.0
    turn = Rotation.from_rotvec(rng.normal(0.0, TURN_RAD, 3) * (0.6, 1.0, 0.3)).as_matrix()
    aside = pose(turn, rng.normal(0.0, SHIFT * far, 3) * (1.0, 0.5, 0.7))
    config = _config(targets, rng)
    memory, sights = Memory(config), []
    for k, frame in enumerate(targets):
        alone = Memory(config)
        alone.integrate(frame)
        T, stamp = frame.T_world_cam @ aside, frame.stamp_ns
        seen = alone.render(frame.camera, T, stamp)
        if seen.coverage.mean() < COVERAGE[0]:
            return []
        if k in (0, len(targets) - 1) or rng.random() < 0.5:
            memory.integrate(Frame(seen.rgb, seen.depth, frame.camera, T, stamp))
            key = Keyframe(seen.rgb, seen.depth, np.ones(seen.depth.shape, bool), frame.camera, T, stamp, ~seen.coverage)
            sights.append(Sight(key, None))
    stamps = sights[-1].keyframe.stamp_ns + FRAME_NS * (1 + np.arange(len(targets)))
    clip = _clip(memory, sights, [_at(t, int(stamp)) for t, stamp in zip(targets, stamps, strict=True)], plan, prompt, rng)
    return [] if clip is None else [clip]


def _clip(
    memory: Memory, sights: list[Sight], targets: list[Frame], plan: Plan, prompt: str, rng: np.random.Generator
) -> Clip | None:
    views, retrieved = look_back(memory, sights, targets, plan.references)
    if not COVERAGE[0] <= float(np.mean([v.coverage.mean() for v in views])) <= COVERAGE[1]:
        return None
    context = context_of(retrieved, list(range(len(sights)))[::-1][:3], [], CONTEXT, rng)
    still = np.zeros((len(targets), *targets[0].depth.shape), bool)
    return Clip(views, tuple(targets), None, retrieved, context, tuple(sights), prompt, None, still, still)


def _kept(memory: Memory, frame: Frame) -> Sight:
    last = memory.keyframes.keyframes[-1] if len(memory.keyframes) else None
    key = last if last is not None and last.stamp_ns == frame.stamp_ns else None
    return sight_of(frame, key, None, np.zeros(frame.depth.shape, bool))


def _at(frame: Frame, stamp_ns: int) -> Frame:
    return Frame(frame.rgb, frame.depth, frame.camera, frame.T_world_cam, stamp_ns)


def _config(frames: Sequence[Frame], rng: np.random.Generator) -> MemoryConfig:
    reach = float(np.median([np.percentile(f.depth[f.depth > 0], 90) for f in frames if (f.depth > 0).any()] or [4.0]))
    scale = max(1.0, reach / BEYOND_M)
    return MemoryConfig(voxel_m=float(rng.choice([0.01, 0.01, 0.02])) * scale, max_range_m=BEYOND_M * scale)


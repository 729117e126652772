"""Training pairs: what memory shows at a camera, and what is really there.

Every pair is made by the memory's own ``render`` and ``retrieve``, exactly as in a running world:
some frames are folded in, another pose is looked at, and the true frame of that pose is the
target. Sources are procedural scenes, textured meshes, and the first half of recordings (their
second half is kept for evaluation).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.generator.condition import PACKED_REFERENCES, REFERENCE_SIZE, guess_depth
from spatia_ros.generator.recall import Recalled, recall
from spatia_ros.memory import Keyframe, Memory
from spatia_ros.train.scene import Scene
from spatia_ros.train.sensor import Sensor, observe
from spatia_ros.types import Camera, Frame, View

COVERAGE = (0.12, 0.98)
"""Share of the target that memory must show for a pair to teach anything."""
SEEDS = (1, 8)
"""Fewest and most frames folded into memory before a target is looked at."""
FRAME_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Pair:
    """One example: memory's view at the target's camera, its references, and the truth.

    Args:
        view: what memory shows. recalled: what the references lend where it shows nothing.
        target: the true frame (depth 0 where the sensor had none).
        references: retrieved keyframes, shrunk to REFERENCE_SIZE; may be fewer than asked for.
    """

    view: View
    recalled: Recalled
    target: Frame
    references: tuple[Keyframe, ...]


def shrink(keyframe: Keyframe) -> Keyframe:
    """A keyframe at the size the generator sees references in (so that pairs stay small)."""
    rows, cols = REFERENCE_SIZE
    size = (cols, rows)
    return Keyframe(
        cv2.resize(keyframe.rgb, size, interpolation=cv2.INTER_AREA),
        cv2.resize(keyframe.depth, size, interpolation=cv2.INTER_NEAREST),
        cv2.resize(keyframe.sensed.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool),
        keyframe.camera.resized(cols, rows), keyframe.T_world_cam, keyframe.stamp_ns,
    )


def pair_at(memory: Memory, target: Frame, references: int) -> Pair | None:
    """The pair at a target frame, or None when memory shows too little or too much of it."""
    view = memory.render(target.camera, target.T_world_cam, target.stamp_ns)
    if not COVERAGE[0] <= float(view.coverage.mean()) <= COVERAGE[1]:
        return None
    kept = memory.retrieve(view, target.camera, target.T_world_cam, references)
    recalled = recall(guess_depth(view), ~view.coverage, target.camera, target.T_world_cam, kept)
    return Pair(view, recalled, target, tuple(shrink(k) for k in kept[:PACKED_REFERENCES]))


def episode(
    frames: Sequence[Frame], targets: Sequence[Frame], rng: np.random.Generator, references: int, most: int
) -> Iterator[Pair]:
    """Pairs of one memory: a run of ``frames`` folded in, and up to ``most`` of ``targets`` looked at.

    Args:
        frames: what a sensor saw, in order. targets: the truth at the same poses.
    """
    n = int(rng.integers(SEEDS[0], min(SEEDS[1], len(frames)) + 1))
    first = int(rng.integers(0, len(frames) - n + 1))
    # Streets are wider than rooms: the memory reaches, and coarsens, with what there is to see.
    reach = float(np.median([np.percentile(f.depth[f.depth > 0], 90) for f in frames if (f.depth > 0).any()] or [4.0]))
    scale = 1.0 if reach < 8.0 else reach / 8.0
    memory = Memory(MemoryConfig(voxel_m=float(rng.choice([0.01, 0.01, 0.02])) * scale, max_range_m=8.0 * scale))
    for frame in frames[first : first + n]:
        memory.integrate(frame)
    made = 0
    for i in rng.permutation(len(targets)):
        if first <= i < first + n:
            continue
        pair = pair_at(memory, targets[i], references)
        if pair is not None:
            made += 1
            yield pair
        if made == most:
            return


def scene_pairs(scene: Scene, rng: np.random.Generator, size: tuple[int, int], references: int) -> Iterator[Pair]:
    """Pairs from a few memories of one scene, seen through a random sensor along a random path."""
    camera = Camera.from_fov(*size, float(np.radians(rng.uniform(48, 82))))
    poses = scene.random_path(rng, 28)[::2]
    truths = [scene.render(camera, T, i * FRAME_NS) for i, T in enumerate(poses)]
    sensor = Sensor.random(rng)
    seen = [observe(frame, sensor, rng) for frame in truths]
    for _ in range(3):
        yield from episode(seen, truths, rng, references, most=3)


def recording_pairs(frames: Sequence[Frame], rng: np.random.Generator, references: int) -> Iterator[Pair]:
    """Pairs from one random memory of (the first half of) a recording."""
    yield from episode(frames, frames, rng, references, most=4)

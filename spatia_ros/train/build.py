"""Building the training set: every shard from its own seed, so that builds resume and can be shared out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from spatia_ros.sequence import open_sequence
from spatia_ros.sequence.delay import estimate_depth_delay, with_depth_delay
from spatia_ros.train.pairs import Pair, recording_pairs, scene_pairs
from spatia_ros.train.scenes import KINDS, glb_scene, random_scene
from spatia_ros.train.shards import shard_path, write_shard
from spatia_ros.types import Frame

SIZE = (256, 160)
"""Width and height of training pairs, px."""
REFERENCES = 8
"""Keyframes asked for recall, as at run time."""
PER_SHARD = 36
KIND_SHARES = {"room": 0.45, "desk": 0.25, "corridor": 0.15, "street": 0.15}
_log = logging.getLogger(__name__)


def procedural(rng: np.random.Generator) -> Iterator[Pair]:
    """Endless pairs from procedural scenes."""
    assert set(KIND_SHARES) == set(KINDS)
    while True:
        kind = str(rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values())))
        yield from scene_pairs(random_scene(rng, kind), rng, SIZE, REFERENCES)


def meshes(path: Path, rng: np.random.Generator) -> Iterator[Pair]:
    """Endless pairs from random paths through a textured mesh."""
    scene = glb_scene(path, rng)
    while True:
        yield from scene_pairs(scene, rng, SIZE, REFERENCES)


def recordings(frames: list[list[Frame]], rng: np.random.Generator) -> Iterator[Pair]:
    """Endless pairs from the given runs of frames, every run as often as any other."""
    while True:
        for run in frames:
            yield from recording_pairs(run, rng, REFERENCES)


def first_half(path: Path) -> list[Frame]:
    """The frames of a recording's first half at training size; the second half is for evaluation."""
    sequence = open_sequence(path)
    half = len(sequence) // 2
    delay = estimate_depth_delay(sequence, range(half))
    if delay.confident:
        sequence = with_depth_delay(sequence, delay.delay_s)
    small = sequence.resized(*SIZE)
    return [small.frame(i) for i in range(min(half, len(small)))]


def build(folder: Path, data: Path | None, scene_shards: int, mesh_shards: int, recording_shards: int, seed: int) -> None:
    """Write the shards that are missing.

    Args:
        data: folder with recordings (TUM layout) and meshes (\\*.glb), or None for procedural scenes only.
        seed: of the whole set; shard k of a source depends on (seed, source, k) alone.
    """
    todo: list[tuple[str, int]] = [("scenes", k) for k in range(scene_shards)]
    glbs = sorted(data.glob("*/*.glb")) if data else []
    folders = sorted(p.parent for p in data.glob("*/camera.yaml")) if data else []
    todo += [("mesh", k) for k in range(mesh_shards if glbs else 0)]
    todo += [("recordings", k) for k in range(recording_shards if folders else 0)]
    todo = [(source, k) for source, k in todo if not shard_path(folder, source, k).exists()]
    runs = [first_half(path) for path in folders] if any(source == "recordings" for source, _ in todo) else []
    for source, k in tqdm(todo, desc="training pairs", unit="shard"):
        rng = np.random.default_rng([seed, sum(source.encode()), k])
        pairs = {
            "scenes": lambda rng=rng: procedural(rng),
            "mesh": lambda rng=rng, k=k: meshes(glbs[k % len(glbs)], rng),
            "recordings": lambda rng=rng: recordings(runs, rng),
        }[source]()
        write_shard(shard_path(folder, source, k), list(islice(pairs, PER_SHARD)))

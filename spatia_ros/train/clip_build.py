"""Building a set of clips: every shard from its own seed, so that builds resume, can be shared out, and come out the same."""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.engine.bundle import folder_of, read_bundle
from spatia_ros.train.clip_scenes import Plan
from spatia_ros.train.clip_set import CHECKS, VALIDATION
from spatia_ros.train.clip_shards import VERSION, shard_path, write_shard
from spatia_ros.train.clip_sources import Material, in_order, shard_runs
from spatia_ros.types import SpatiaError

MANIFEST = "set.json"
FIRST = {"scenes": 72, "timed": 8, "mesh": 3, "recordings": 3, "warped": 3, VALIDATION: 4}
FIRST |= {f"check-{name}": 8 for name in CHECKS}
"""Shards of a small set: some 2,500 frames to learn from."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SetPlan:
    """What a set is made of.

    Args:
        data: folder of recordings (TUM layout) and meshes (\\*.glb), or None. without: names of folders in it never read.
        sequences: more recordings, of any kind (see :func:`spatia_ros.sequence.open_sequence`), which are read whole.
        shards: how many of each source. seed: of the whole set; shard k of a source depends on (seed, source, k) alone.
        engine: the generator whose worlds go on past what was seen, in shards of ``onward``.
    """

    data: Path | None = None
    without: tuple[str, ...] = ()
    sequences: tuple[Path, ...] = ()
    shards: dict[str, int] = field(default_factory=lambda: dict(FIRST))
    seed: int = 0
    engine: str = "nano"
    clips: Plan = field(default_factory=Plan)


def build(folder: Path, plan: SetPlan, workers: int = 1, *, show: bool = True) -> None:
    """Write the shards that are missing.

    Args:
        workers: processes. show: a progress bar.

    Raises:
        SpatiaError: when the folder holds a set of another plan, or a name in ``without`` is no folder's.
    """
    material = _material(plan)
    _keep_manifest(folder, plan, material)
    recorded = bool(material.recordings or material.sequences)
    have = {"mesh": bool(material.meshes), "recordings": recorded, "warped": recorded}
    wanted = in_order({source: n for source, n in plan.shards.items() if have.get(source, True)})
    todo = [(source, k) for source, k in wanted if not shard_path(folder, source, k).exists()]
    jobs = [(folder, source, k, material, plan.clips, plan.seed) for source, k in todo]
    for _ in tqdm(_done(jobs, workers), total=len(jobs), desc="training clips", unit="shard", disable=not show):
        pass


def made_of(folder: Path) -> dict[str, Any]:
    """What a set says it is made of, with the shards that are there: it may be half built."""
    said: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return said | {"shards": dict(Counter(path.name.rpartition("-")[0] for path in folder.glob("*-[0-9]*.zip")))}


def _done(jobs: list[Any], workers: int) -> Iterator[None]:
    """Every job done, one by one or in processes of one thread each."""
    if workers <= 1:
        for job in jobs:
            yield make_shard(*job)
        return
    # Threads of a forked parent would be missing in its children, hence a fresh interpreter for each.
    with ProcessPoolExecutor(workers, get_context("spawn"), _single_threaded) as pool:
        for future in as_completed([pool.submit(make_shard, *job) for job in jobs]):
            yield future.result()


def _single_threaded() -> None:
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)


def make_shard(folder: Path, source: str, number: int, material: Material, plan: Plan, seed: int) -> None:
    """Make and write one shard."""
    rng = np.random.default_rng([seed, zlib.crc32(source.encode()), number])
    write_shard(shard_path(folder, source, number), shard_runs(source, number, material, plan, rng))


def _material(plan: SetPlan) -> Material:
    if plan.without:
        names = [p.name for p in plan.data.iterdir()] if plan.data else []
        missing = [name for name in plan.without if name not in names]
        if missing:
            raise SpatiaError(f"build: expected names of folders in {plan.data} to leave out, got {', '.join(missing)}")
    return Material.found(plan.data, plan.without, plan.sequences, plan.engine)


def _keep_manifest(folder: Path, plan: SetPlan, material: Material) -> None:
    """Say beside the shards what they are made of; a set of another making is left alone."""
    said = {
        "version": VERSION, "seed": plan.seed, "size": list(plan.clips.size), "frames": plan.clips.frames,
        "references": plan.clips.references, "clips_of_run": plan.clips.clips,
        "recordings": [p.name for p in material.recordings], "meshes": [p.parent.name for p in material.meshes],
        "without": sorted(plan.without), "sequences": [p.name for p in material.sequences],
    }
    by = read_bundle(folder_of(plan.engine)).file("fp32", "weights").sha256 if plan.shards.get("onward") else None
    path = folder / MANIFEST
    if path.exists():
        there = json.loads(path.read_text())
        by = by or there.get("onward_by")  # a set without worlds that go on may be given some; then it has them
        differ = sorted(k for k in said if there.get(k) != said[k])
        if there.get("onward_by") not in (None, by):
            differ.append("generator's worlds that go on")
        if differ:
            raise SpatiaError(f"build: {folder} holds a set of other {', '.join(differ)}; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(said | {"onward_by": by, "shards": plan.shards}, indent=1))
    os.replace(partial, path)

"""Where clips come from, by name: each source makes the runs of one shard from that shard's own randomness."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.memory.exposure import EvenFrames
from spatia_ros.sequence import open_sequence
from spatia_ros.sequence.delay import estimate_depth_delay, with_depth_delay
from spatia_ros.train import clip_onward, scene_air
from spatia_ros.train.clip_augment import behind_movers, forgotten, random_region
from spatia_ros.train.clip_recordings import neighbours, warped
from spatia_ros.train.clip_scenes import BEYOND_M, SEEN_SHARE, Place, Plan, runs
from spatia_ros.train.clip_set import CHECKS, VALIDATION
from spatia_ros.train.clips import Clip
from spatia_ros.train.scenes import glb_scene, random_scene
from spatia_ros.types import Frame, SpatiaError

KIND_SHARES = {"room": 0.4, "street": 0.25, "desk": 0.2, "corridor": 0.15}
RUNS_OF_SCENE, RUNS_OF_MESH = 1, 5
"""Runs through one scene before another is made: other places teach more than other ways; a mesh takes long to light."""
RUNS_OF_SHARD = {"scenes": 2, "timed": 2, "mesh": 5, "recordings": 3, "warped": 8, "onward": 2, VALIDATION: 2}
RUNS_OF_SHARD |= {f"check-{name}": 1 for name in CHECKS}
CHECKS_OF_RUN = 2
"""Held-out clips of one run at most, so that a few runs do not speak for all."""
SAME_TIME_S, OTHER_TIME_S = 0.1, 0.4
"""Animation times nearer than the first show what moves where it is; farther than the second, elsewhere."""
SWEPT = 1.5
"""What moves hides so much more of a clip that needs animation time, taken over all times that its sights show, than in it."""
MOST_FRAMES = 600
"""Of a recording, held by a process."""
GIVE_UP = 200
"""Runs in a row without a clip after which recordings are taken to have none: frames too few, or too far apart; and tries in
a row after which what keeps a world from going on is said."""
LIGHTS_OF_MESH = 3
"""Ways a mesh is lit; a process keeps the last one it used."""


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to read.

    Args:
        recordings: of which the first half is read (folders in TUM layout). meshes: .glb files.
        sequences: recordings of any kind that are read whole.
        engine: the generator that worlds go on by (see :mod:`.clip_onward`).
    """

    recordings: tuple[Path, ...] = ()
    meshes: tuple[Path, ...] = ()
    sequences: tuple[Path, ...] = ()
    engine: str = "nano"

    @classmethod
    def found(cls, data: Path | None, without: Sequence[str], sequences: Sequence[Path] = (), engine: str = "nano") -> Material:
        """What a folder holds, but for the named ones, which are not opened; and recordings given one by one."""
        if data is None:
            return cls(sequences=tuple(sequences), engine=engine)
        folders = [p.parent for p in sorted(data.glob("*/camera.yaml")) if p.parent.name not in without]
        meshes = [p for p in sorted(data.glob("*/*.glb")) if p.parent.name not in without]
        return cls(tuple(folders), tuple(meshes), tuple(sequences), engine)

    def frames(self, size: tuple[int, int]) -> list[tuple[Frame, ...]]:
        """The frames of every recording at a size (width, height)."""
        halves = [frames_of(path, size, 2) for path in self.recordings]
        return halves + [frames_of(path, size, 1) for path in self.sequences]


def shard_runs(source: str, number: int, material: Material, plan: Plan, rng: np.random.Generator) -> list[list[Clip]]:
    """The runs of one shard."""
    makers: dict[str, Callable[[], Iterator[list[Clip]]]] = {
        "scenes": lambda: _procedural(plan, rng), VALIDATION: lambda: _procedural(plan, rng),
        "timed": lambda: _needing("animation", plan.clips, plan, rng),
        "mesh": lambda: _mesh(material.meshes[number % len(material.meshes)], plan, rng),
        "recordings": lambda: _recorded(material.frames(plan.size), neighbours, plan, rng),
        "warped": lambda: _recorded(material.frames(plan.size), warped, plan, rng),
        "onward": lambda: _onward(material.engine, plan, rng),
    } | {f"check-{name}": lambda name=name: _needing(name, CHECKS_OF_RUN, plan, rng) for name in CHECKS}  # type: ignore[misc]
    return list(islice(makers[source](), RUNS_OF_SHARD[source]))


def procedural_place(rng: np.random.Generator) -> Place:
    """A random procedural scene in random light and weather."""
    kind = str(rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values())))
    air = scene_air.outdoors(rng) if kind == "street" else scene_air.indoors(rng)
    return Place(random_scene(rng, kind, air=air), kind, air)


def _procedural(plan: Plan, rng: np.random.Generator) -> Iterator[list[Clip]]:
    while True:
        yield from runs(procedural_place(rng), plan, rng, RUNS_OF_SCENE)


def _onward(engine: str, plan: Plan, rng: np.random.Generator) -> Iterator[list[Clip]]:
    """Runs that go on past what was seen, in procedural scenes."""
    generator, failed = clip_onward.inventor(engine), 0
    while True:
        try:
            clips = clip_onward.run_of(procedural_place(rng), plan, generator, rng)
        except SpatiaError:  # mostly: no free way through this one
            failed += 1
            if failed == GIVE_UP:
                raise
            continue
        failed = 0
        if clips:
            yield clips


def _mesh(path: Path, plan: Plan, rng: np.random.Generator) -> Iterator[list[Clip]]:
    """Runs through one half of a mesh: cameras stay where x is below its middle, so that the rest stays for trying things out."""
    base = _lit_mesh(path, int(rng.integers(LIGHTS_OF_MESH)))
    while True:
        scene, air = copy.copy(base.scene), scene_air.indoors(rng)
        scene.look = air.seen(scene.look)
        yield from runs(Place(scene, base.kind, air), plan, rng, RUNS_OF_MESH)


@lru_cache(maxsize=1)
def _lit_mesh(path: Path, light: int) -> Place:
    scene = glb_scene(path, np.random.default_rng(light))
    middle = 0.5 * (scene.walk.areas[0, 0, 0] + scene.walk.areas[0, 1, 0])
    areas = scene.walk.areas.copy()
    areas[:, 1, 0] = np.minimum(areas[:, 1, 0], middle)
    scene.walk = replace(scene.walk, areas=areas, focus=scene.walk.focus[scene.walk.focus[:, 0] < middle])
    return Place(scene, "house")


def _recorded(
    recordings: Sequence[Sequence[Frame]], maker: Callable[[Sequence[Frame], Plan, str, np.random.Generator], list[Clip]],
    plan: Plan, rng: np.random.Generator,
) -> Iterator[list[Clip]]:
    empty = 0
    while empty < GIVE_UP:
        for frames in recordings:
            # What a recording shows, nobody has said: most of them are rooms, but not all.
            clips = maker(frames, plan, "", rng) if len(frames) > plan.frames else []
            empty = 0 if clips else empty + 1
            if clips:
                yield clips


@lru_cache(maxsize=8)
def frames_of(folder: Path, size: tuple[int, int], part: int) -> tuple[Frame, ...]:
    """The frames of the first 1 / ``part`` of a recording at a size; of long ones every second, third.. frame.

    Of recordings kept for evaluation only the first half is for training. All are in the exposure of the first, as a memory
    made of them is: how a camera brightened a picture is not to be learned.
    """
    sequence = open_sequence(folder)
    read = len(sequence) // part
    delay = estimate_depth_delay(sequence, range(read))
    if delay.confident:
        sequence = with_depth_delay(sequence, delay.delay_s)
    small = sequence.resized(*size)
    frames = [small.frame(i) for i in range(0, min(read, len(small)), -(-read // MOST_FRAMES))]
    return tuple(EvenFrames(frames, MemoryConfig(max_range_m=BEYOND_M)))


def _needing(name: str, most: int, plan: Plan, rng: np.random.Generator) -> Iterator[list[Clip]]:
    """Runs of clips, so many at most, that cannot be told right without a condition."""
    for run in _procedural(plan, rng):
        fitting = [less for clip in run if (less := needing(name, clip, rng)) is not None]
        if fitting:
            yield fitting[:most]


def needing(name: str, clip: Clip, rng: np.random.Generator) -> Clip | None:
    """The clip, or a part of it, if it needs the condition named; None if it does not.

    - memory: it shows most of the frames, and one sight alone is given whole, the least like them.
    - animation: much of the picture moves, sights show what does, one at its time and one at another, and memory knows nothing
      of what it hides at any of these times: a good deal more than it hides in the clip.
    - references: a good part that memory has forgotten, and no sight lends, is in sights given whole.
    - rays: of nearly everything that is so.
    """
    if name == "memory":
        return replace(clip, context=clip.context[-1:]) if 0.5 < clip.coverage < 0.95 and _still(clip) else None
    if name == "animation":
        if clip.moving.mean() < 0.04 or not _told_by_time(clip) or clip.swept.mean() < SWEPT * clip.moving.mean():
            return None
        less, gone = forgotten(clip, behind_movers(clip, rng), "lent")
        return None if gone is None else replace(less, retrieved=((),) * len(clip))
    low, high = (0.05, 0.35) if name == "rays" else (0.35, 0.8)
    if clip.coverage < 0.5 or not _still(clip):
        return None
    for _ in range(6):
        less, _ = forgotten(clip, random_region(clip, rng), "lent")
        if low < less.coverage < high and less.coverage < clip.coverage - 0.15:
            return replace(less, retrieved=((),) * len(clip))
    return None


def _told_by_time(clip: Clip) -> bool:
    """Whether, of the context's sights of what moves, one shows a time of the clip, and one is far from all of them."""
    shown = [clip.sights[k].animation_s for k in clip.context if clip.sights[k].moving > SEEN_SHARE]
    if clip.animation_s is None or not shown:
        return False
    apart = np.abs(np.array(shown, np.float64)[:, None] - clip.animation_s).min(1)
    return bool(apart.min() < SAME_TIME_S and apart.max() > OTHER_TIME_S)


def _still(clip: Clip) -> bool:
    return float(clip.moving.mean()) < 0.01


def in_order(shards: dict[str, int]) -> list[tuple[str, int]]:
    """Every shard of a set, the sources mixed evenly: a set half built has half of each."""
    each = [((k + 0.5) / n, source, k) for source, n in shards.items() for k in range(n)]
    return [(source, k) for _, source, k in sorted(each)]

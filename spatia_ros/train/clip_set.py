"""Folders of shards to learn from: any draw depends on the random state alone, and nothing but one clip is in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spatia_ros.on_demand import OnDemand
from spatia_ros.train.clip_augment import augment
from spatia_ros.train.clip_shards import clips_in, read_clip
from spatia_ros.train.clips import Clip
from spatia_ros.train.example import Example, example_of
from spatia_ros.types import SpatiaError

SHARES = {"scenes": 0.72, "mesh": 0.12, "recordings": 0.1, "warped": 0.06, "onward": 0.4, "timed": 0.4}
"""How often a batch draws from each source; one that a set lacks leaves its share to the others."""
VALIDATION = "validation"
CHECKS = ("memory", "references", "rays", "animation")
"""Held-out clips each of which needs the condition named; sources ``check-NAME``."""

Place = tuple[Path, int, int]
"""A clip: its shard, run and number."""


class ClipSet:
    """The clips of one folder or several; held-out ones are the first folder's.

    Args:
        shares: how often :meth:`draw` takes each source, whichever folder its clips are in; those of no clip are left out.

    Raises:
        SpatiaError: when a folder has none of them.
    """

    def __init__(self, *folders: Path | str, shares: Mapping[str, float] | None = None) -> None:
        shares, paths = SHARES if shares is None else shares, [Path(folder) for folder in folders]
        found = [{source: places(path, source) for source in shares} for path in paths]
        for path, each in zip(paths, found, strict=True):
            if not any(each.values()):
                wanted = ", ".join(shares)
                raise SpatiaError(f"clips: expected shards of {wanted} in {path}, found none (spatia clips builds them)")
        together = {source: [clip for each in found for clip in each[source]] for source in shares}
        self.sources = {source: clips for source, clips in together.items() if clips}
        folder = paths[0]
        share = np.array([shares[source] for source in self.sources])
        self._share = share / share.sum()
        self.validation = HeldOut(places(folder, VALIDATION))
        self.checks = {name: HeldOut(places(folder, f"check-{name}")) for name in CHECKS}

    def __len__(self) -> int:
        return sum(map(len, self.sources.values()))

    def pick(self, rng: np.random.Generator, frames: int | None = None, context: int | None = None) -> Clip:
        """A random clip, as it is: first the source, by its share, then any clip of it."""
        clips = self.sources[list(self.sources)[rng.choice(len(self._share), p=self._share)]]
        return read_clip(*clips[rng.integers(len(clips))], frames, context)

    def draw(self, rng: np.random.Generator, frames: int | None = None, context: int | None = None) -> Example:
        """A random clip, augmented, as the network is told of it.

        Args:
            frames, context: as :meth:`Example.cut`, but what is cut off is not made first; None: all there are.
        """
        example = example_of(*augment(self.pick(rng, frames, context), rng), rng)
        return example.cut(len(example) if frames is None else frames, len(example.context) if context is None else context)


class HeldOut(OnDemand[Example]):
    """Clips never learned from, as they are; each made into an example when it is asked for, always the same."""

    def __init__(self, clips: Sequence[Place]) -> None:
        self.clips = list(clips)

    def __len__(self) -> int:
        return len(self.clips)

    def made(self, index: int) -> Example:
        """A clip as it is told."""
        return self.example(self.clip(index), np.random.default_rng(index % len(self)))

    def example(self, clip: Clip, rng: np.random.Generator) -> Example:
        """How a clip is told."""
        return example_of(clip, None, rng)

    def clip(self, index: int) -> Clip:
        """The clip itself."""
        return read_clip(*self.clips[index])


def places(folder: Path, source: str) -> list[Place]:
    """Every clip of a source, in the order of shards."""
    shards = sorted(folder.glob(f"{source}-[0-9]*.zip"))
    return [(path, run, clip) for path in shards for run, clip in clips_in(path)]

"""Clips as scene navigation sees them: pictures and their times, a path, and no memory (stage ``navigate``).

The conditions are those of :mod:`spatia_ros.generator.navigation`, so what is learned is what is asked for. Beside
them the stage goes on drawing ordinary clips, lest the memory be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spatia_ros import geometry
from spatia_ros.generator.anchor import frame_in
from spatia_ros.generator.navigation import Path, Video, anchor_of, context_of, path_told
from spatia_ros.generator.text import tokenise
from spatia_ros.train.clip_augment import mirrored, recoloured
from spatia_ros.train.clip_set import ClipSet, HeldOut
from spatia_ros.train.clips import Clip, Sight
from spatia_ros.train.example import Example, box_of, in_view_units
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.train.feed import Clips

STAGE = "navigate"
SHARE = 0.75
"""Of the clips of the stage that are navigated; the others are ordinary ones."""
TOLD = 0.5
"""How often the prompt is told."""
MOVING = 0.02
"""Share of a clip's pixels that move, above which it is no clip of a still scene."""
TRIES = 100
"""Clips looked at in a row before a set is taken to have none that can be navigated."""


def pictures_of(clip: Clip) -> list[Sight]:
    """The sights that are whole pictures, oldest first; none when too much of the clip moves for it to be a place."""
    whole = [s for s in clip.sights if s.keyframe.masked is None]
    return sorted(whole, key=lambda s: s.keyframe.stamp_ns) if float(clip.moving.mean()) <= MOVING else []


def navigated(clip: Clip, most: int, rng: np.random.Generator) -> Example:
    """A clip as the network is told of it when there is no memory.

    Args:
        most: pictures given at most: the last, and others from anywhere before, so that times have gaps.

    Raises:
        SpatiaError: when the clip has no picture to give.
    """
    sights = pictures_of(clip)
    if not sights:
        raise SpatiaError("navigation: expected a clip of a still scene with whole pictures, got one without")
    earlier = rng.permutation(len(sights) - 1)[: max(most - 1, 0)]
    keys = [sights[k].keyframe for k in [*sorted(earlier.tolist()), len(sights) - 1]]
    video = Video(tuple(key.rgb for key in keys), np.array([key.stamp_ns * 1e-9 for key in keys]))
    back, anchor = geometry.inverse(keys[-1].T_world_cam), anchor_of(video)
    path = Path(
        clip.targets[0].camera, np.stack([back @ t.T_world_cam for t in clip.targets]),
        np.array([t.stamp_ns * 1e-9 for t in clip.targets]),
    )
    told = path_told(anchor, path, tokenise(clip.prompt if rng.random() < TOLD else ""))
    colour, scale, log_depth, measured = in_view_units(clip, told.views)
    truth = np.stack([frame_in(anchor, t.rgb, t.depth) for t in clip.targets])
    box, boxed = box_of(clip, told)
    return Example(told, context_of(video), truth, colour, scale, log_depth, measured, clip.moving, box, boxed)


@dataclass(frozen=True, slots=True)
class NavigationClips:
    """A set of clips of which most are navigated."""

    clips: ClipSet

    @property
    def validation(self) -> Sequence[Example]:
        """Held-out clips, navigated."""
        return Navigated(self.clips.validation)

    @property
    def checks(self) -> Mapping[str, Sequence[Example]]:
        """The set's own."""
        return self.clips.checks

    def draw(self, rng: np.random.Generator, frames: int, context: int) -> Example:
        """A random clip with so many frames and pictures, navigated or not."""
        if rng.random() >= SHARE:
            return self.clips.draw(rng, frames, context)
        clip = recoloured(self._still(rng, frames), rng)
        return navigated(mirrored(clip) if rng.random() < 0.5 else clip, context, rng).cut(frames, context)

    def _still(self, rng: np.random.Generator, frames: int) -> Clip:
        for _ in range(TRIES):
            clip = self.clips.pick(rng, frames)
            if pictures_of(clip):
                return clip
        raise SpatiaError(f"navigation: expected clips of still scenes in the set, found none in {TRIES}")


class Navigated(HeldOut):
    """Held-out clips of still scenes as navigation sees them, each always the same."""

    def __init__(self, held_out: HeldOut) -> None:
        super().__init__([place for i, place in enumerate(held_out.clips) if pictures_of(held_out.clip(i))])

    def example(self, clip: Clip, rng: np.random.Generator) -> Example:
        """As navigation is told of it."""
        return navigated(clip, len(clip.sights), rng)


def clips_for(stage: str, clips: Clips) -> Clips:
    """The clips of a set as a stage learns from them.

    Raises:
        SpatiaError: when the stage needs whole clips, and these are examples already.
    """
    if stage != STAGE:
        return clips
    if not isinstance(clips, ClipSet):
        raise SpatiaError(f"train, stage {STAGE}: expected a set of clips on disk, got {type(clips).__name__}")
    return NavigationClips(clips)

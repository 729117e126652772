"""Training clips: what memory shows along a camera's way, frames seen earlier, and what is really there.

A run is one camera in one place: it sees some frames (sights), of which some are folded into a memory by the
memory's own ``integrate``, without what moves, as the mapper does; then clips of T frames are looked at: memory's own
``render`` and ``retrieve`` at each camera, and the truth at the animation time asked for. Everything that depends on the
generator's condition (recall, fills, normalisation) is left to be made when a clip is learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spatia_ros.memory import Keyframe, Memory
from spatia_ros.types import Bool, Float64, Frame, View

FRAME_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Sight:
    """A frame seen earlier.

    Args:
        keyframe: all that was seen, what moves as well; it is given whole, at its time.
        animation_s: the animation time it shows; None: no clock (a recording's).
        moving: share of its pixels that show something that moves.
        moves: bool [H, W], pixels that do, and their rim; None: none.
    """

    keyframe: Keyframe
    animation_s: float | None
    moving: float = 0.0
    moves: Bool | None = None

    @property
    def lends(self) -> Keyframe:
        """The keyframe as memory has it: what moves lends neither colour nor depth."""
        if self.moves is None:
            return self.keyframe
        masked = self.keyframe.masked
        return replace(self.keyframe, masked=self.moves if masked is None else masked | self.moves)


@dataclass(frozen=True, slots=True)
class Clip:
    """One example: T frames to be generated, and what there is to go by.

    Args:
        views: T of memory. targets: the T truths; depth 0 where the sensor had none.
        animation_s: float64 [T], None: no clock.
        retrieved: for each frame, numbers of the sights memory retrieves, best first (for recall).
        context: numbers of the sights to be given whole, best first.
        sights: what those numbers mean.
        prompt: words for what is there, separated by spaces.
        boxes: float64 [T, 4], left, top, right, bottom, px, of what the prompt names first; NaN: out of sight. None: nothing.
        moving: bool [T, H, W], pixels of the truth that show something that moves.
        swept: bool [T, H, W], those, and where from these cameras it would be seen at any time that a sight shows.
    """

    views: tuple[View, ...]
    targets: tuple[Frame, ...]
    animation_s: Float64 | None
    retrieved: tuple[tuple[int, ...], ...]
    context: tuple[int, ...]
    sights: tuple[Sight, ...]
    prompt: str
    boxes: Float64 | None
    moving: Bool
    swept: Bool

    def __len__(self) -> int:
        return len(self.views)

    @property
    def coverage(self) -> float:
        """Share of the frames that memory shows."""
        return float(np.mean([view.coverage.mean() for view in self.views]))


def look_back(memory: Memory, sights: Sequence[Sight], targets: Sequence[Frame], references: int) -> tuple[
    tuple[View, ...], tuple[tuple[int, ...], ...]
]:
    """What memory shows at the targets' cameras, and the numbers of the sights it retrieves for each."""
    number = {sight.keyframe.stamp_ns: k for k, sight in enumerate(sights)}
    views = tuple(memory.render(t.camera, t.T_world_cam, t.stamp_ns) for t in targets)
    kept = [memory.retrieve(v, t.camera, t.T_world_cam, references) for v, t in zip(views, targets, strict=True)]
    return views, tuple(tuple(number[k.stamp_ns] for k in each) for each in kept)


def context_of(
    retrieved: Sequence[tuple[int, ...]], recent: Sequence[int], showing: Sequence[int], most: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """Which sights are given whole: what was seen last and what memory retrieves, as at run time, and some that show what moves.

    Args:
        retrieved: per frame, best first. recent: the last sights, latest first. showing: sights of something that moves.
    """
    overlapping = [k for rank in range(max(map(len, retrieved), default=0)) for each in retrieved for k in each[rank : rank + 1]]
    moving = list(rng.permutation(np.array(showing, np.int64)))[: most // 2]
    order = [*recent[: int(rng.integers(1, 3))], *moving, *overlapping[: most // 2], *recent, *overlapping]
    return tuple(int(k) for k in dict.fromkeys(order))[:most]


def sight_of(frame: Frame, kept: Keyframe | None, animation_s: float | None, moves: Bool) -> Sight:
    """A frame as memory's keyframe of it, or, where memory did not keep it, as one would be; what moves is seen and measured.

    Args:
        moves: bool [H, W], pixels that show what moves, and their rim.
    """
    if kept is None:
        kept = Keyframe(frame.rgb, frame.depth, np.ones(moves.shape, bool), frame.camera, frame.T_world_cam, frame.stamp_ns)
    key = replace(kept, depth=np.where(moves, frame.depth, kept.depth), masked=None)
    return Sight(key, animation_s, float(moves.mean()), moves if moves.any() else None)

"""Who is who in a recording: the moving pixels of every frame as pieces in space, followed from frame to frame.

Pieces are what hangs together without a step of depth. A piece goes to the thing it is expected to be part of (constant
velocity); pieces nobody expected, and that lie close together, begin a new thing. Things that end are joined with ones that
begin later where the first would be by then, if they look alike: so a number is kept through an absence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.spatial import cKDTree

from spatia_ros import geometry
from spatia_ros.slam.both_ways import segments
from spatia_ros.types import Bool, Float64, Frame, UInt8

FEWEST_PX = 20
"""Smaller pieces are left out."""
REACH_M, REACH_RATIO = 0.06, 0.035
"""Pieces of one frame this close (and so much of their size) are of one thing; as far may a thing stray from its way."""
FASTEST_M_S = 6.0
"""Of a thing seen only once so far, nothing is known but that it is no faster."""
LOST_S = 0.6
"""A thing not seen for this long is over (and may be found again)."""
AGAIN_M_S = 0.7
"""How far from where it was expected, per second of absence, a thing may be found again."""
LOOKS_ALIKE = 0.35
"""Share of two colour histograms that is common, at least, in things that are one."""
TOGETHER = 0.8
"""Share of the sights of a small thing in which it is close to a larger one, from which on it is a part of it."""
LIMB = 0.22
"""Of its size: how far apart parts of a thing may be that touch in the picture."""
SAMPLE = 600
BINS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A mask that is kept as the window that holds it: bool [h, w], its first row and column."""

    inside: Bool
    top: int
    left: int

    @classmethod
    def of(cls, mask: Bool) -> Patch:
        """The patch of a mask bool [H, W] with at least one pixel."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(window.copy(), int(rows[0]), int(columns[0]))

    def whole(self, shape: tuple[int, ...]) -> Bool:
        """bool [H, W]."""
        out = np.zeros(shape, bool)
        h, w = self.inside.shape
        out[self.top : self.top + h, self.left : self.left + w] = self.inside
        return out

    def touches(self, other: Patch) -> bool:
        """Whether some of its pixels are beside some of the other's."""
        shape = np.maximum(np.add((self.top, self.left), self.inside.shape), np.add((other.top, other.left), other.inside.shape))
        wide = cv2.dilate(self.whole(tuple(shape.tolist())).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        return bool((wide & other.whole(tuple(shape.tolist()))).any())

    def joined(self, other: Patch) -> Patch:
        """Both as one."""
        ends = np.maximum(np.add((self.top, self.left), self.inside.shape), np.add((other.top, other.left), other.inside.shape))
        return Patch.of(self.whole(tuple(ends.tolist())) | other.whole(tuple(ends.tolist())))


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What one frame shows of a thing.

    Args:
        index: of the frame. tau_s: its time. patch: its pixels. pixels: how many.
        sample: float64 [N, 3], some of its points in the world, m. colours: float64 [B], histogram, sum 1.
    """

    index: int
    tau_s: float
    patch: Patch
    pixels: int
    sample: Float64
    colours: Float64

    @property
    def centre(self) -> Float64:
        """float64 [3], middle of its points, m."""
        return np.asarray(np.median(self.sample, 0))

    @property
    def size_m(self) -> float:
        """Diagonal of the box around its points."""
        return float(np.linalg.norm(self.sample.max(0) - self.sample.min(0)))


@dataclass(slots=True, eq=False)
class Thing:
    """One thing, and every sight of it in order of time."""

    seen: list[Sighting] = field(default_factory=list)

    @property
    def last(self) -> Sighting:
        """The latest sight of it."""
        return self.seen[-1]

    def velocity(self) -> Float64:
        """float64 [3], m/s, over its latest sights; 0 with one."""
        return _velocity(self.seen[-4:])

    def expected(self, tau_s: float) -> Float64:
        """Its latest points [N, 3], where they will be."""
        return self.last.sample + self.velocity() * (tau_s - self.last.tau_s)

    def colours(self) -> Float64:
        """float64 [B], mean histogram."""
        return np.asarray(np.mean([s.colours for s in self.seen], 0))


def _velocity(seen: list[Sighting]) -> Float64:
    if len(seen) < 2:
        return np.zeros(3)
    return np.asarray((seen[-1].centre - seen[0].centre) / (seen[-1].tau_s - seen[0].tau_s))


def things_of(frames: Iterable[tuple[int, float, Frame, Bool]], margin_m: float) -> list[Thing]:
    """All things of a recording, by when they were first seen.

    Args:
        frames: index, time in s, frame and its moving pixels bool [H, W], in order of time; each is asked for once.
        margin_m: of depth.
    """
    live: list[Thing] = []
    over: list[Thing] = []
    for index, tau_s, frame, moving in frames:
        over += [thing for thing in live if tau_s - thing.last.tau_s > LOST_S]
        live = [thing for thing in live if tau_s - thing.last.tau_s <= LOST_S]
        for mask, thing in _shared_out(pieces_of(frame, moving, margin_m), live, frame, tau_s):
            if thing is None:
                thing = Thing()
                live.append(thing)
            thing.seen.append(_sighting(index, tau_s, frame, mask))
    things = _grown_together(sorted(over + live, key=lambda thing: thing.seen[0].index))
    return _found_again(things)


def pieces_of(frame: Frame, moving: Bool, margin_m: float) -> list[Bool]:
    """Masks bool [H, W] of what hangs together."""
    label, groups = segments(moving & (frame.depth > 0), frame.depth, margin_m)
    size = np.bincount(label.ravel(), minlength=groups + 1)
    return [label == g for g in range(1, groups + 1) if size[g] >= FEWEST_PX]


def _shared_out(pieces: list[Bool], live: list[Thing], frame: Frame, tau_s: float) -> list[tuple[Bool, Thing | None]]:
    """Masks with the thing each shows, None for a new one; at most one mask a thing."""
    points = [_sample(frame, piece) for piece in pieces]
    owner = [_owner(p, live, tau_s) for p in points]
    masks: dict[int, Bool] = {}
    for piece, k in zip(pieces, owner, strict=True):
        if k >= 0:
            masks[k] = masks[k] | piece if k in masks else piece
    out: list[tuple[Bool, Thing | None]] = [(mask, live[k]) for k, mask in masks.items()]
    alone = [i for i, k in enumerate(owner) if k < 0]
    for group in _groups([points[i] for i in alone]):
        out.append((np.any([pieces[alone[i]] for i in group], 0), None))
    return out


def _owner(points: Float64, live: list[Thing], tau_s: float) -> int:
    """Number of the live thing that some points [N, 3] are a part of, -1 for none."""
    best, found = 1.0, -1
    for k, thing in enumerate(live):
        gap, _ = cKDTree(thing.expected(tau_s)).query(points)
        reach = REACH_M + REACH_RATIO * float(np.linalg.norm(np.ptp(points, axis=0)))
        if len(thing.seen) < 2:
            reach += FASTEST_M_S * (tau_s - thing.last.tau_s)
        reach += AGAIN_M_S * (tau_s - thing.last.tau_s)
        share = float(np.quantile(gap, 0.25)) / reach
        if share < best:
            best, found = share, k
    return found


def _groups(points: list[Float64]) -> list[list[int]]:
    """Which sets of points lie close together, single link."""
    left, out = set(range(len(points))), []
    while left:
        group, front = [], [min(left)]
        left -= set(front)
        while front:
            k = front.pop()
            group.append(k)
            tree = cKDTree(points[k])
            near = [j for j in left if float(tree.query(points[j])[0].min()) < _close_m(points[k])]
            left -= set(near)
            front += near
        out.append(sorted(group))
    return out


def _close_m(points: Float64) -> float:
    return REACH_M + REACH_RATIO * float(np.linalg.norm(np.ptp(points, axis=0)))


def _sighting(index: int, tau_s: float, frame: Frame, mask: Bool) -> Sighting:
    return Sighting(index, tau_s, Patch.of(mask), int(mask.sum()), _sample(frame, mask), _histogram(frame.rgb[mask]))


def _sample(frame: Frame, mask: Bool) -> Float64:
    points, _ = geometry.backproject(np.where(mask, frame.depth, np.float32(0)), frame.camera, frame.T_world_cam)
    return points[:: max(1, len(points) // SAMPLE)]


def _histogram(rgb: UInt8) -> Float64:
    """Shares of BINS^3 colours, by chroma more than by light."""
    lab = cv2.cvtColor(rgb[None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    edges = [np.linspace(0, 255, BINS + 1), np.linspace(88, 168, BINS + 1), np.linspace(88, 168, BINS + 1)]
    counts, _ = np.histogramdd(np.column_stack([lab[:, 0], lab[:, 1:].clip(88, 168)]), edges)
    return np.asarray(counts.ravel() / max(counts.sum(), 1.0))


def _grown_together(things: list[Thing]) -> list[Thing]:
    """Take what is always seen at a larger thing's side, or comes out of it or goes into it, for a part of it; smallest first."""
    order = sorted(things, key=lambda thing: sum(s.pixels for s in thing.seen))
    kept = list(things)
    for small in order:
        larger = [t for t in kept if t is not small and order.index(t) > order.index(small)]
        shares = [max(_beside(small, t), _one_with(small, t)) for t in larger]
        beside = [(share, -i) for i, share in enumerate(shares) if share >= TOGETHER]
        if beside:
            owner = larger[-max(beside)[1]]
            owner.seen = _united(owner.seen, small.seen)
            kept.remove(small)
    return kept


def _beside(small: Thing, large: Thing) -> float:
    """Share of the sights of one thing in which the other is seen too, and beside it: in space, or in the picture and nearly so.

    The knee of a leg that is swung hides where it hangs on.
    """
    at = {s.index: s for s in large.seen}
    close = 0
    for s in small.seen:
        if (o := at.get(s.index)) is not None:
            gap = float(cKDTree(o.sample).query(s.sample)[0].min())
            close += gap < _close_m(o.sample) or (gap < LIMB * max(o.size_m, s.size_m) and s.patch.touches(o.patch))
    return close / len(small.seen)


def _one_with(small: Thing, large: Thing) -> float:
    """Share of a thing's points that another of its colours shows just after the last sight of it, or just before the first.

    A thing that comes out from behind two others at once is two, until it is seen whole.
    """
    if float(np.minimum(small.colours(), large.colours()).sum()) < LOOKS_ALIKE:
        return 0.0
    first, last, shares = small.seen[0], small.last, [0.0]
    after = next((s for s in large.seen if 0 < s.tau_s - last.tau_s <= LOST_S), None)
    before = next((s for s in reversed(large.seen) if 0 < first.tau_s - s.tau_s <= LOST_S), None)
    for sight, points in (
        (after, small.expected(after.tau_s) if after else None),
        (before, first.sample - _velocity(small.seen[:4]) * (first.tau_s - before.tau_s) if before else None),
    ):
        if sight is not None and points is not None:
            gap, _ = cKDTree(sight.sample).query(points)
            shares.append(float((gap < _close_m(sight.sample)).mean()))
    return max(shares)


def _united(a: list[Sighting], b: list[Sighting]) -> list[Sighting]:
    """Sights of two things that are one, in order of time."""
    by_index = {s.index: s for s in a}
    for s in b:
        o = by_index.get(s.index)
        if o is not None:
            n, m = len(o.sample), len(s.sample)
            colours = (n * o.colours + m * s.colours) / (n + m)
            sample = np.concatenate([o.sample, s.sample])
            s = Sighting(s.index, s.tau_s, o.patch.joined(s.patch), o.pixels + s.pixels, sample, colours)
        by_index[s.index] = s
    return [by_index[i] for i in sorted(by_index)]


def _found_again(things: list[Thing]) -> list[Thing]:
    """Join what ends with what begins later where it would be by then, nearest first."""
    while True:
        pairs = [
            (cost, i, j) for i, a in enumerate(things) for j, b in enumerate(things)
            if i != j and (cost := _strangeness(a, b)) < 1.0
        ]  # fmt: skip
        if not pairs:
            return things
        _, i, j = min(pairs)
        things[i].seen += things.pop(j).seen


def has_double(thing: Thing, things: list[Thing]) -> bool:
    """Whether another thing of its colours, seen at least as often, was seen at times when this one was not."""
    mine = {s.index for s in thing.seen}
    for other in things:
        if other is thing or len(other.seen) < len(thing.seen):
            continue
        alike = float(np.minimum(thing.colours(), other.colours()).sum()) >= LOOKS_ALIKE
        if alike and any(s.index not in mine for s in other.seen):
            return True
    return False


def _strangeness(a: Thing, b: Thing) -> float:
    """How unlike b being a, later, is; below 1 it is believed."""
    gap_s = b.seen[0].tau_s - a.last.tau_s
    if gap_s <= 0:
        return np.inf
    alike = float(np.minimum(a.colours(), b.colours()).sum())
    if alike < LOOKS_ALIKE:
        return np.inf
    ahead = a.last.centre + a.velocity() * gap_s
    back = b.seen[0].centre - _velocity(b.seen[:4]) * gap_s
    off = min(float(np.linalg.norm(ahead - b.seen[0].centre)), float(np.linalg.norm(back - a.last.centre)))
    return off / (0.3 + 0.5 * max(a.last.size_m, b.seen[0].size_m) + AGAIN_M_S * gap_s)

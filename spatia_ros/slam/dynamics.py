"""What of a measured frame is static and may enter memory, and what moves and must not.

A pixel is suspect when it does not fit what is known, beyond sensor noise (see :mod:`.suspects`); so a surface seen
for the first time enters at once, while one that appears where nothing was is held back. Suspects are grouped by
depth continuity and followed over time: a thing that stays put (its earlier points are still there) for
``settle_s`` becomes part of the place; one that leaves its earlier points behind moves. What moved into memory
before it was recognised is removed along its trail, see :mod:`.trail`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros.actors import Mover
from spatia_ros.config import DynamicsConfig
from spatia_ros.memory import Memory, fuse
from spatia_ros.slam.behind import behind
from spatia_ros.slam.free_space import connected, expanded
from spatia_ros.slam.movers import Cluster, Track, follow, join, match, over, started, together
from spatia_ros.slam.suspects import FEWEST, STEP_RATIO, WEAK, Suspects, excess, part_of, suspects
from spatia_ros.slam.trail import Trail, blocks_around, swept
from spatia_ros.slam.witnesses import Cells, Witnesses, cells_of
from spatia_ros.types import Bool, Float32, Float64, Frame

STANDS_OUT = 0.25
"""In margins: a cell at a moving thing's rim that is so much nearer than the planes behind is a part of it."""
RIM_CELLS = 4
"""How far, in cells, the rim of a moving thing is looked for."""
FADES = 0.9
"""What is left of wider margins one frame later."""


@dataclass(frozen=True, slots=True)
class Split:
    """A frame, divided.

    Args:
        static: bool [H, W], pixels that may enter static memory (those without depth too).
        movers: what was followed into this frame, in every state; only what is not resting is out of ``static``.
        carved: points removed from memory along the trails of movers.
    """

    static: Bool
    movers: list[Mover]
    carved: int


class StaticDynamic:
    """The split of one camera's stream; call it with frames in order of time, before integrating each.

    Args:
        config: margins, noise and patience.
    """

    def __init__(self, config: DynamicsConfig) -> None:
        self.config = config
        self._next_id = 1
        self.forget()

    def forget(self) -> None:
        """Start afresh: after poses were corrected, earlier depth images no longer say where space was free."""
        self._witnesses = Witnesses(self.config.witnesses)
        self._tracks: list[Track] = []
        self._trail = Trail()
        self._excess = 1.0
        self._behind: dict[int, Float32] = {}
        self._rng = np.random.default_rng(0)

    def split(self, frame: Frame, memory: Memory) -> Split:
        """Divide a posed frame, and remove from memory what movers left along their trails.

        Returns:
            A :class:`Split`; pass its ``static`` as the mask of :meth:`Memory.integrate`.
        """
        if not self.config.enabled:
            return Split(np.ones(frame.depth.shape, bool), [], 0)
        cells = cells_of(frame, memory, self.config)
        shown = memory.render_depth(cells.camera, cells.T_world_cam)
        # The frames it is held against were as wrong as they were: that fades, and does not end with them.
        self._excess = max(excess(cells, shown, self._tracks), 1.0 + FADES * (self._excess - 1.0))
        cells = cells.widened(self._excess)
        least = max(FEWEST, round(self.config.min_area * cells.depth.size))
        found = suspects(cells, shown, memory, self._witnesses, self._tracks, least)
        self._behind.clear()
        movers = self._follow(frame, cells, found.clusters)
        held = np.zeros(frame.depth.shape, bool)
        unsure = {track.id for track in self._tracks if track.held(frame.stamp_ns)}
        for mover in movers:
            if mover.id in unsure:
                held |= mover.mask
        self._note_trails(cells, found, movers, memory.config.voxel_m)
        carved = self._carve(frame, cells, movers, memory)
        self._witnesses.remember(cells)
        return Split(~held, movers, carved)

    def _follow(self, frame: Frame, cells: Cells, clusters: list[Cluster]) -> list[Mover]:
        pieces = match(self._tracks, clusters, cells.stamp_ns)
        for track in self._tracks:
            if track.id in pieces:
                follow(track, pieces[track.id], cells, self.config.settle_s)
        explained = {id(cluster) for group in pieces.values() for cluster in group}
        for cluster in clusters:
            if id(cluster) not in explained:
                self._tracks.append(started(self._next_id, cluster, cells.stamp_ns))
                pieces[self._next_id] = [cluster]
                self._next_id += 1
        self._tracks = [track for track in self._tracks if not over(track, cells.stamp_ns)]
        self._join(pieces)
        every = np.any([np.zeros(cells.depth.shape, bool), *(c.cells for group in pieces.values() for c in group)], 0)
        return [self._mover(track, pieces[track.id], every, cells, frame) for track in self._tracks if track.id in pieces]

    def _join(self, pieces: dict[int, list[Cluster]]) -> None:
        """Make one track of those that are parts of one thing; the lowest number stays."""
        present = [track for track in self._tracks if track.id in pieces]
        for i, track in enumerate(present):
            first = next((other for other in present[:i] if other in self._tracks and together(other, track)), None)
            if first is not None:
                join(first, track)
                pieces[first.id] = pieces[first.id] + pieces.pop(track.id)
                self._tracks.remove(track)

    def _mover(self, track: Track, pieces: list[Cluster], every: Bool, cells: Cells, frame: Frame) -> Mover:
        """The mover of a track, its mask a cell wider all around: pixels on its rim show it and what is behind."""
        own = np.any([piece.cells for piece in pieces], 0)
        if track.state == "moving":
            own |= part_of(cells, track, self._witnesses)
            far = self._behind[track.id] = behind(cells, own, every, self._rng)
            own |= _standing_out(own, far, cells)
        wide = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        mask = expanded(wide, cells.stride, *frame.depth.shape)
        return Mover(track.id, mask, track.low.copy(), track.high.copy(), track.velocity.copy(), track.state)

    def _note_trails(self, cells: Cells, found: Suspects, movers: list[Mover], voxel_m: float) -> None:
        if len(found.vanished):
            self._trail.add(found.vanished, voxel_m, cells.stamp_ns)
        moving = {mover.id for mover in movers if mover.state == "moving"}
        for track in self._tracks:
            if track.id in moving:
                self._trail.add(_trodden(track, voxel_m), voxel_m, cells.stamp_ns)

    def _carve(self, frame: Frame, cells: Cells, movers: list[Mover], memory: Memory) -> int:
        """Along the trails: remove what the frame sees through, and where something that came nearer stood behind itself."""
        if not len(self._trail.keys):
            return 0
        lowest = fuse.nearest_around(cells.within)
        limit = np.where(lowest > 0, np.maximum(lowest - np.float32(WEAK) * cells.margin(lowest), 0), np.float32(0))
        carved = memory.carve_within(self._trail.keys, limit, frame.camera, frame.T_world_cam)
        tracks = {track.id: track for track in self._tracks}
        for mover in movers:
            track = tracks[mover.id]
            approach = _approach(track, frame.T_world_cam)
            if mover.state == "moving" and approach > cells.margin_m and track.young:
                inner = cv2.erode(mover.mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2 * cells.stride) > 0
                limit = np.where(inner & (lowest > 0), lowest + np.float32(approach + track.length), np.float32(0))
                limit = np.minimum(limit, expanded(_before(self._behind[track.id], cells), cells.stride, *limit.shape))
                keys = blocks_around(_trodden(track, memory.config.voxel_m), memory.config.voxel_m)
                carved += memory.carve_within(keys, limit, frame.camera, frame.T_world_cam)
        return carved


def _trodden(track: Track, voxel_m: float) -> Float64:
    """Points [N, 3], m, where a moving track is, and while it is young also where it may have been before it was seen whole."""
    latest = track.seen[-1][1]
    if not track.young:
        return latest
    return np.concatenate([*(points for _, points in track.seen), swept(latest, track.travelled, voxel_m)])


def _standing_out(own: Bool, far: Float32, cells: Cells) -> Bool:
    """Cells [h, w] at the rim of a thing, without a step to it, that are nearer than the planes behind (depth ``far``, 0: none).

    Feet: so near to the floor that by their depth alone they might be its noise.
    """
    side = 2 * RIM_CELLS + 1
    rim = cv2.dilate(own.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    out = rim & (cells.depth > 0) & (far - cells.depth > np.float32(STANDS_OUT) * cells.margin(cells.depth))
    label, groups = connected(own | out, cells.depth, cells.margin_m, STEP_RATIO)
    mine = np.bincount(label[own], minlength=groups + 1) > 0
    mine[0] = False
    return out & mine[label]


def _before(far: Float32, cells: Cells) -> Float32:
    """How far back a depth ``far`` [h, w] of what is behind (0: unknown) lets points be removed, its noise spared."""
    return np.where(far > 0, np.maximum(far - np.float32(WEAK) * cells.margin(far), 0), np.float32(np.inf)).astype(np.float32)


def _approach(track: Track, T_world_cam: Float64) -> float:
    """How much nearer to the camera a track has come since it was first seen, m."""
    eye = T_world_cam[:3, 3]
    return float(np.linalg.norm(track.origin - eye) - np.linalg.norm(track.centre - eye))


"""What of a measured frame is static and may enter memory, and what moves and must not.

A pixel is suspect when its point lies, beyond sensor noise, in space that an earlier depth image looked
through, and memory shows no surface there. So a surface seen for the first time enters at once, while one
that appears where nothing was is held back: suspects are grouped by depth continuity and followed over time.
A thing that stays put (its earlier points are still there) for ``settle_s`` becomes part of the place; one
that leaves its earlier points behind moves. What moved into memory before it was recognised is removed
along its trail, see :mod:`.trail`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from spatia_ros.actors import Mover
from spatia_ros.config import DynamicsConfig
from spatia_ros.memory import Keyframe, Memory, fuse
from spatia_ros.memory.keyframes import fill_thin, intrinsics_of
from spatia_ros.slam.free_space import (
    Witness,
    add_freeness,
    cell_camera,
    connected,
    expanded,
    lowest_around,
    stride_of,
    witness_of,
)
from spatia_ros.slam.movers import Cluster, Evidence, Track, cluster_of, follow, match, over, started
from spatia_ros.slam.trail import Trail, swept
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame

WEAK = 0.5
"""A group is as far as points lie half a margin inside free space, if some of it lies a whole one."""
NEAREST, SPREAD = 4, 4
"""Witnesses asked of each frame: those whose view is most alike, and some spread over time."""
MOVED_M, TURNED_RAD, WAITED_S = 0.15, 0.15, 0.5
"""A frame becomes a witness when the camera or the clock has moved on this far since the last."""
MAX_APPROACH_M = 0.5
"""A mover that came nearer hides at most this much of where it was."""


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


@dataclass(frozen=True, slots=True)
class _Cells:
    """A frame at the size that is worked at."""

    depth: Float32
    lowest: Float32
    camera: Camera
    stride: int
    filled: Float32 = field(repr=False)


class StaticDynamic:
    """The split of one camera's stream; call it with frames in order of time, before integrating each.

    Args:
        config: margins, noise and patience.
    """

    def __init__(self, config: DynamicsConfig) -> None:
        self.config = config
        self.forget()

    def forget(self) -> None:
        """Start afresh: after poses were corrected, earlier depth images no longer say where space was free."""
        self._witnesses: list[Witness] = []
        self._by_keyframe: dict[int, tuple[Keyframe, Witness]] = {}
        self._tracks: list[Track] = []
        self._next_id = 1
        self._trail = Trail()

    def split(self, frame: Frame, memory: Memory) -> Split:
        """Divide a posed frame, and remove from memory what movers left along their trails.

        Returns:
            A :class:`Split`; pass its ``static`` as the mask of :meth:`Memory.integrate`.
        """
        c = self.config
        if not c.enabled:
            return Split(np.ones(frame.depth.shape, bool), [], 0)
        margin_m = max(c.margin_m, 2.0 * memory.config.voxel_m)
        spread = c.sigmas * c.noise_per_m
        cells = _cells_of(frame, memory)
        suspects = self._suspects(frame, cells, memory, margin_m, spread)
        evidence = Evidence(cells.depth, cells.lowest, cells.camera, frame.T_world_cam, margin_m, spread)
        movers = self._follow(frame, cells, suspects, evidence)
        held = np.zeros(frame.depth.shape, bool)
        for mover in movers:
            if mover.state != "resting":
                held |= mover.mask
        self._note_trails(frame, movers, memory.config.voxel_m)
        carved = self._carve(frame, cells, movers, memory, margin_m, spread)
        self._remember(frame, cells)
        return Split(~held, movers, carved)

    def _suspects(self, frame: Frame, cells: _Cells, memory: Memory, margin_m: float, spread: float) -> list[Cluster]:
        """Groups of cells that are inside free space and not what memory shows."""
        free = np.zeros_like(cells.depth)
        intrinsics = intrinsics_of(cells.camera)
        for witness in self._asked(frame, memory):
            add_freeness(free, cells.depth, intrinsics, frame.T_world_cam, witness, margin_m, spread)
        least = max(4, round(self.config.min_area * cells.depth.size))
        if np.count_nonzero(free > 1.0) < min(4, least):
            return []
        shown = memory.render_depth(cells.camera, frame.T_world_cam)
        margin = WEAK * (margin_m + spread * cells.depth**2)
        weak = (free > WEAK) & ~((shown > 0) & (np.abs(shown - cells.depth) < margin))
        label, groups = connected(weak, cells.depth, margin_m, 0.03)
        size, sure = np.bincount(label.ravel(), minlength=groups + 1), np.bincount(label[free > 1.0], minlength=groups + 1)
        boxes = [(t.low - margin_m, t.high + margin_m) for t in self._tracks]
        found = []
        for g in np.flatnonzero((sure >= 3) & (size >= 4)):
            if g == 0:
                continue
            cluster = cluster_of(label == g, cells.depth, cells.camera, frame)
            middle = 0.5 * (cluster.low + cluster.high)
            # A small group is noise, unless it is a piece of something known.
            if size[g] >= least or any((low <= middle).all() and (middle <= high).all() for low, high in boxes):
                found.append(cluster)
        return found

    def _asked(self, frame: Frame, memory: Memory) -> list[Witness]:
        """The witnesses worth asking: own and the keyframes' nearest in view, and own spread over time."""
        own = self._witnesses
        known = [k for k in memory.keyframes.keyframes if k.sensed.any()]
        poses = np.array([w.T_world_cam for w in own] + [k.T_world_cam for k in known]).reshape(-1, 4, 4)
        order = np.argsort(_unlike(poses, frame.T_world_cam), kind="stable")[:NEAREST]
        chosen = {int(i) for i in order} | set(np.linspace(0, len(own) - 1, min(len(own), SPREAD)).astype(int).tolist())
        return [own[i] if i < len(own) else self._witness_of(known[i - len(own)]) for i in sorted(chosen)]

    def _witness_of(self, keyframe: Keyframe) -> Witness:
        known = self._by_keyframe.get(id(keyframe))
        if known is None:
            measured = np.where(keyframe.sensed, keyframe.surface_m, np.float32(0)).clip(min=0)
            witness = witness_of(measured, keyframe.camera, keyframe.T_world_cam, keyframe.stamp_ns)
            known = (keyframe, witness)
            while len(self._by_keyframe) >= 4 * self.config.witnesses:
                del self._by_keyframe[next(iter(self._by_keyframe))]
            self._by_keyframe[id(keyframe)] = known
        return known[1]

    def _follow(self, frame: Frame, cells: _Cells, suspects: list[Cluster], evidence: Evidence) -> list[Mover]:
        c, stamp_ns = self.config, frame.stamp_ns
        pieces = match(self._tracks, suspects, stamp_ns)
        for track in self._tracks:
            if track.id in pieces:
                follow(track, pieces[track.id], stamp_ns, c.settle_s, evidence)
        explained = {id(cluster) for group in pieces.values() for cluster in group}
        for cluster in suspects:
            if id(cluster) not in explained:
                self._tracks.append(started(self._next_id, cluster, stamp_ns))
                pieces[self._next_id] = [cluster]
                self._next_id += 1
        self._tracks = [track for track in self._tracks if not over(track, stamp_ns)]
        return [_mover(track, pieces[track.id], cells, frame) for track in self._tracks if track.id in pieces]

    def _note_trails(self, frame: Frame, movers: list[Mover], voxel_m: float) -> None:
        moving = {mover.id for mover in movers if mover.state == "moving"}
        for track in self._tracks:
            if track.id in moving:
                points = np.concatenate([points for _, points in track.seen])
                young = np.linalg.norm(track.travelled) < 1.5 * np.linalg.norm(track.high - track.low)
                latest = track.seen[-1][1]
                around = np.concatenate([points, swept(latest, track.travelled, voxel_m)]) if young else latest
                self._trail.add(around, voxel_m, frame.stamp_ns)

    def _carve(self, frame: Frame, cells: _Cells, movers: list[Mover], memory: Memory, margin_m: float, spread: float) -> int:
        """Along the trails: remove what the frame sees through, and what lies just behind something that came nearer."""
        if not len(self._trail.keys):
            return 0
        lowest = fuse.nearest_around(cells.filled)
        limit = lowest - np.float32(WEAK) * (np.float32(margin_m) + np.float32(spread) * lowest**2)
        limit[lowest <= 0] = 0
        for mover in movers:
            approach = _approach(next(t for t in self._tracks if t.id == mover.id), frame.T_world_cam)
            if mover.state == "moving" and approach > 0:
                inner = cv2.erode(mover.mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2 * cells.stride) > 0
                inner &= lowest > 0
                limit[inner] = lowest[inner] + np.float32(min(approach + margin_m, MAX_APPROACH_M))
        return memory.carve_within(self._trail.keys, np.maximum(limit, 0), frame.camera, frame.T_world_cam)

    def _remember(self, frame: Frame, cells: _Cells) -> None:
        """Keep the frame as a witness when it is time; when full, the one whose neighbour is most like it makes room."""
        own = self._witnesses
        if own:
            last = own[-1]
            unlike = _unlike(last.T_world_cam[None], frame.T_world_cam)[0]
            if unlike < 1.0 and abs(frame.stamp_ns - last.stamp_ns) < WAITED_S * 1e9:
                return
        own.append(Witness(cells.lowest, intrinsics_of(cells.camera), frame.T_world_cam, frame.stamp_ns))
        if len(own) > self.config.witnesses:
            gaps = [
                _unlike(a.T_world_cam[None], b.T_world_cam)[0] + abs(b.stamp_ns - a.stamp_ns) * 1e-9 / WAITED_S / 4
                for a, b in pairwise(own)
            ]
            del own[int(np.argmin(gaps))]


def _cells_of(frame: Frame, memory: Memory) -> _Cells:
    c, stride = memory.config, stride_of(frame.camera)
    known = np.where(frame.depth <= c.max_range_m, frame.depth, np.float32(0))
    filled = fill_thin(known, c.fill_thin_px, c.edge_ratio)
    camera, middle = cell_camera(frame.camera, stride), stride // 2
    depth = np.ascontiguousarray(filled[middle::stride, middle::stride][: camera.height, : camera.width])
    return _Cells(depth, lowest_around(filled, stride), camera, stride, filled)


def _unlike(poses: Float64, T_world_cam: Float64) -> Float64:
    """How far [N] poses [N, 4, 4] are from one: 1 is the step that makes a new witness."""
    moved = np.linalg.norm(poses[:, :3, 3] - T_world_cam[:3, 3], axis=1)
    cosine = (np.einsum("nij,ij->n", poses[:, :3, :3], T_world_cam[:3, :3]) - 1.0) / 2.0
    return np.hypot(moved / MOVED_M, np.arccos(np.clip(cosine, -1.0, 1.0)) / TURNED_RAD)


def _approach(track: Track, T_world_cam: Float64) -> float:
    """How much nearer to the camera a track has come since it was first seen, m."""
    eye = T_world_cam[:3, 3]
    return float(np.linalg.norm(track.origin - eye) - np.linalg.norm(track.centre - eye))


def _mover(track: Track, pieces: list[Cluster], cells: _Cells, frame: Frame) -> Mover:
    """The mover of a track, its mask a cell wider all around: pixels on its rim show it and what is behind."""
    own = np.any([piece.cells for piece in pieces], 0)
    wide = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    mask = expanded(wide, cells.stride, *frame.depth.shape)
    return Mover(track.id, mask, track.low.copy(), track.high.copy(), track.velocity.copy(), track.state)


"""Editing a place in 3D: remove, add, move, recolour; undo and redo.

An edit changes the points of a region and masks, in every keyframe, the pixels that contradict it (see
:mod:`.masks`): they stay in the file, but lend no colour and no depth, and witness to nothing. What an edit
uncovers was never seen, so it is invented like any other unseen space.

What is kept for undoing is the blocks an edit touched, before and after, and the keyframes it replaced. Undone
at once, memory is as it was to the bit; undone later, what came in between stays wherever the edit changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros.geometry import pose
from spatia_ros.memory import rows
from spatia_ros.memory.keyframes import Keyframe
from spatia_ros.memory.masks import Difference, silenced
from spatia_ros.memory.memory import Memory, Points
from spatia_ros.memory.paging import all_chunks
from spatia_ros.memory.regions import Region
from spatia_ros.memory.rows import Rows
from spatia_ros.types import Float64, Int64, SpatiaError, UInt16, check_array, check_pose

MAX_NAME = 200
"""Characters of a name at most."""
MAX_LABEL = 65535


@dataclass(frozen=True, slots=True)
class Thing:
    """Something with a name in a memory.

    Args:
        name: its name. points: how many it has. low, high: float64 [3], the corners of their bounds, metres.
    """

    name: str
    points: int
    low: Float64
    high: Float64

    def with_(self, other: Thing) -> Thing:
        """Both as one, under this name."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Thing(self.name, self.points + other.points, low, high)


@dataclass(frozen=True, slots=True)
class Change:
    """One edit, as it is undone and redone.

    Args:
        said: what was done, in words. before, after: the blocks touched.
        keyframes: what was replaced by what. named: labels given a name. epoch_ns: the memory's, before and after.
    """

    said: str
    before: Rows
    after: Rows
    keyframes: tuple[tuple[Keyframe, Keyframe], ...]
    named: dict[int, str] = field(default_factory=dict)
    epoch_ns: tuple[int | None, int | None] = (None, None)

    @property
    def nbytes(self) -> int:
        """What it takes to remember it."""
        masks = sum(new.depth.size * (5 if old.clear_m is new.clear_m else 9) for old, new in self.keyframes)
        return self.before.nbytes + self.after.nbytes + masks


class Editor:
    """Edits one memory and remembers how to undo it.

    Args:
        memory: changed in place. limit: edits remembered at most. max_bytes: what they may take together; the
            oldest are forgotten first (the newest is always kept).
    """

    def __init__(self, memory: Memory, limit: int = 32, max_bytes: int = 1 << 28) -> None:
        self.memory, self.limit, self.max_bytes = memory, limit, max_bytes
        self._done: list[Change] = []
        self._undone: list[Change] = []

    @property
    def history(self) -> list[str]:
        """What can be undone, in words, the newest last."""
        return [change.said for change in self._done]

    def remove(self, region: Region) -> dict[str, int]:
        """Take away the points of a region.

        Returns:
            Counts: removed (points), keyframes and pixels (newly masked).

        Raises:
            SpatiaError: when nothing is there.
        """
        found, before, chosen = self._find(region)
        gone = before.where(chosen)
        change = self._change(f"remove {region}", before, before.where(~chosen), found, gone, None)
        return {"removed": len(gone)} | self._do(change)

    def recolour(self, region: Region, rgb: object, blend: float = 0.7) -> dict[str, int]:
        """Mix a colour (three numbers of 0..255) into the points of a region; a blend of 1 leaves nothing of theirs.

        Returns:
            Counts: recoloured (points), keyframes and pixels (newly masked).

        Raises:
            SpatiaError: when nothing is there, or for a colour or blend out of range.
        """
        colour = np.asarray(rgb, np.float64)
        check_array("rgb", colour, (3,), np.float64)
        if not ((colour >= 0) & (colour <= 255)).all() or not 0.0 <= blend <= 1.0:
            raise SpatiaError(f"recolour: expected a colour of 0..255 and a blend of 0..1, got {colour.tolist()} and {blend}")
        colour = colour.astype(np.float32)
        found, before, chosen = self._find(region)
        mixed = before.fields["rgb"].copy()
        mixed[chosen] += np.float32(blend) * (colour - mixed[chosen])
        change = self._change(f"recolour {region}", before, before.changed(rgb=mixed), found, before.where(chosen), None)
        return {"recoloured": int(chosen.sum())} | self._do(change)

    def move(self, region: Region, T_world_world: Float64) -> dict[str, int]:
        """Take the points of a region elsewhere: ``p`` goes to ``T_world_world p``. What is in their way is replaced.

        Returns:
            Counts: moved (points), placed (voxels they fill there), keyframes and pixels (newly masked).

        Raises:
            SpatiaError: when nothing is there.
        """
        check_pose("T_world_world", T_world_world)
        found, before, chosen = self._find(region)
        gone = before.where(chosen)
        loose = {name: array for name, array in gone.fields.items() if name != "voxel"}
        came = rows.voxelised(loose | {"xyz": _moved(gone.fields["xyz"], T_world_world)}, self.memory.config.voxel_m)
        keys = np.union1d(before.key, came.key)
        kept = self._take(keys)
        left = kept.where(~np.isin(kept.ids, gone.among(keys).ids))
        change = self._change(f"move {region}", kept, came.among(keys).over(left), found, gone, came)
        return {"moved": len(gone), "placed": len(came)} | self._do(change)

    def add(
        self, points: Points, T_world_points: Float64 | None = None, name: str = "", names: Mapping[int, str] | None = None
    ) -> dict[str, int]:
        """Put points in, one a voxel; they replace what is there and count as measured.

        Args:
            points: metres, in axes of their own. T_world_points: where those stand; None: as they are.
            name: gives all of them this name. names: or: what their own labels stand for.

        Returns:
            Counts: added (voxels), keyframes and pixels (newly masked).

        Raises:
            SpatiaError: for no points, points that are not finite, a name that is too long, or past the point cap.
        """
        T = np.eye(4) if T_world_points is None else T_world_points
        check_pose("T_world_points", T)
        _check_points(points)
        label, named = self._labels(points.label, name, names or {})
        epoch = self.memory.epoch_ns if self.memory.epoch_ns is not None else int(points.last_seen_ns.min())
        came = rows.voxelised(self._fields(points, T, label, epoch), self.memory.config.voxel_m)
        before = self._take(came.key)
        said = f"add {len(came)} points" + (f" named {name!r}" if name else "")
        change = self._change(said, before, came.over(before), None, None, came, named, (self.memory.epoch_ns, epoch))
        return {"added": len(came)} | self._do(change)

    def middle_of(self, region: Region) -> Float64:
        """The middle of the bounds of a region's points, float64 [3], metres.

        Raises:
            SpatiaError: when nothing is there.
        """
        _, touched, chosen = self._find(region)
        mine = touched.fields["xyz"][chosen].astype(np.float64)
        return (mine.min(0) + mine.max(0)) / 2.0

    def undo(self) -> str:
        """Take the newest edit back; returns what it was, in words.

        Raises:
            SpatiaError: when there is none.
        """
        if not self._done:
            raise SpatiaError("undo: expected an edit to undo, got none (or it is older than what is remembered)")
        change = self._done.pop()
        self._undone.append(change)
        self._swap(change.after, change.before, [(new, old) for old, new in change.keyframes])
        self.memory.epoch_ns = change.epoch_ns[0] if self.memory.epoch_ns == change.epoch_ns[1] else self.memory.epoch_ns
        for label in change.named:
            self.memory.names.pop(label, None)
        return change.said

    def redo(self) -> str:
        """Do again what was undone last; returns what it was, in words.

        Raises:
            SpatiaError: when nothing was undone since the last edit.
        """
        if not self._undone:
            raise SpatiaError("redo: expected an edit that was undone, got none")
        change = self._undone.pop()
        self._done.append(change)
        self._apply(change)
        return change.said

    def _take(self, keys: Int64) -> Rows:
        """The points of some blocks, fetched from the memory's file first where only that has them."""
        if self.memory.pages:
            self.memory.pages.unpack_blocks(self.memory, keys)
        return rows.take(self.memory.store.blocks, keys)

    def _find(self, region: Region) -> tuple[Region, Rows, np.ndarray]:
        """The region found in memory, the blocks it touches that have points in it, and which points those are."""
        found = region.found_in(self.memory)
        touched = rows.take_within(self.memory, *found.bounds())
        chosen = found.contains(touched.fields["xyz"].astype(np.float64))
        if not chosen.any():
            raise SpatiaError(f"edit: expected points in {region}, got none")
        held = np.add.reduceat(chosen, np.cumsum(touched.size) - touched.size) > 0  # every block here has points
        keys = touched.key[held]
        return found, self._take(keys), chosen[np.repeat(held, touched.size)]

    def _change(
        self, said: str, before: Rows, after: Rows, region: Region | None, gone: Rows | None, came: Rows | None,
        named: dict[int, str] | None = None, epoch_ns: tuple[int | None, int | None] | None = None,
    ) -> Change:
        difference = Difference(region, self._apart(gone), self._apart(came))
        pairs = ((k, silenced(k, difference)) for k in self.memory.keyframes.keyframes)
        replaced = tuple((old, new) for old, new in pairs if new is not None)
        epoch_ns = epoch_ns or (self.memory.epoch_ns, self.memory.epoch_ns)
        return Change(said, before, after, replaced, named or {}, epoch_ns)

    def _apart(self, part: Rows | None) -> Memory | None:
        """Some points as a memory of their own."""
        if part is None:
            return None
        memory = Memory(self.memory.config)
        rows.put(memory.store, part)
        return memory

    def _do(self, change: Change) -> dict[str, int]:
        room = self.memory.config.max_points - len(self.memory)
        if len(change.after) - len(change.before) > room:
            raise SpatiaError(f"edit: expected at most {room} more points (memory.max_points), got {len(change.after)}")
        self._apply(change)
        self._undone.clear()
        self._done.append(change)
        while len(self._done) > 1 and (len(self._done) > self.limit or sum(c.nbytes for c in self._done) > self.max_bytes):
            del self._done[0]
        return {"keyframes": len(change.keyframes), "pixels": sum(_newly_masked(*pair) for pair in change.keyframes)}

    def _apply(self, change: Change) -> None:
        self._swap(change.before, change.after, change.keyframes)
        self.memory.epoch_ns = change.epoch_ns[1] if self.memory.epoch_ns == change.epoch_ns[0] else self.memory.epoch_ns
        self.memory.names.update(change.named)

    def _swap(self, expected: Rows, wanted: Rows, keyframes: Iterable[tuple[Keyframe, Keyframe]]) -> None:
        """Put the wanted blocks in; where others than the expected ones are found, only what differs between the two."""
        current = self._take(expected.key)
        if not current.equals(expected):
            ids = expected.differing(wanted)
            kept = current.where(~np.isin(current.ids, ids))
            wanted = wanted.where(np.isin(wanted.ids, ids)).over(kept)
        rows.put(self.memory.store, wanted)
        at = {id(k): i for i, k in enumerate(self.memory.keyframes.keyframes)}
        for old, new in keyframes:
            if id(old) in at:  # it may have made room for another meanwhile
                self.memory.keyframes.replace(at[id(old)], new)
        if self.memory.pages:
            self.memory.pages.make_room(self.memory)

    def _labels(self, label: UInt16, name: str, names: Mapping[int, str]) -> tuple[UInt16, dict[int, str]]:
        """The labels in this memory of points with labels of their own [N], and the names to be entered for them."""
        meant = {0: name} if name else {int(n): names[int(n)] for n in np.unique(label) if int(n) in names}
        known = {said: number for number, said in self.memory.names.items()}
        named: dict[int, str] = {}
        table = np.zeros(MAX_LABEL + 1, np.uint16)
        for own, said in meant.items():
            if not 0 < len(said) <= MAX_NAME:
                raise SpatiaError(f"name: expected 1..{MAX_NAME} characters, got {len(said)}")
            if said not in known:
                known[said] = _free_label(self.memory.names | named)
                named[known[said]] = said
            table[own] = known[said]
        return (np.full(len(label), table[0]) if name else table[label]), named

    def _fields(self, points: Points, T: Float64, label: UInt16, epoch_ns: int) -> dict[str, np.ndarray]:
        """The pool fields of points put in."""
        n, channels = len(points.xyz), self.memory.config.feature_channels
        given = points.features if points.features is not None else np.zeros((n, channels), np.float16)
        check_array("points.features", given, (n, channels), np.float16)
        return {
            "xyz": _moved(points.xyz, T), "rgb": points.rgb.astype(np.float32),
            "weight": points.confidence.clip(1.0, self.memory.config.max_weight).astype(np.float32),
            "seen_ms": ((points.last_seen_ns - epoch_ns) // 1_000_000).clip(-(2**31) + 1, 2**31 - 1).astype(np.int32),
            "sensed": np.ones(n, np.uint8), "label": label, "features": given.view(np.uint16),
        }


def things(memory: Memory) -> list[Thing]:
    """Everything with a name and points in a memory, by name."""
    found: dict[str, Thing] = {}
    for chunk in all_chunks(memory):
        for label in np.unique(chunk.label[chunk.label > 0]).tolist():
            mine, name = chunk.xyz[chunk.label == label].astype(np.float64), memory.names.get(label, f"label {label}")
            part = Thing(name, len(mine), mine.min(0), mine.max(0))
            found[name] = part.with_(found[name]) if name in found else part
    return [found[name] for name in sorted(found)]


def _moved(points: np.ndarray, T: Float64) -> np.ndarray:
    """World points float32 [N, 3] under a rigid transform."""
    return (points.astype(np.float64) @ T[:3, :3].T + T[:3, 3]).astype(np.float32)


def turned_about(centre: Float64, axis: Float64, angle_deg: float, by: Float64) -> Float64:
    """A turn about an axis through a centre [3], then a shift [3], metres: 4x4.

    Raises:
        SpatiaError: when the axis has no direction.
    """
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        raise SpatiaError(f"axis: expected a direction, got {axis.tolist()}")
    R = Rotation.from_rotvec(np.radians(angle_deg) * axis / length).as_matrix()
    return pose(R, centre - R @ centre + by)


def _newly_masked(old: Keyframe, new: Keyframe) -> int:
    return sum(0 if k.masked is None else sign * int(k.masked.sum()) for k, sign in ((new, 1), (old, -1)))


def _free_label(names: Mapping[int, str]) -> int:
    label = next((n for n in range(1, MAX_LABEL + 1) if n not in names), None)
    if label is None:
        raise SpatiaError(f"name: expected at most {MAX_LABEL} names in a memory, got one more")
    return label


def _check_points(points: Points) -> None:
    n = len(points.xyz)
    check_array("points.xyz", points.xyz, (n, 3), np.float32)
    check_array("points.rgb", points.rgb, (n, 3), np.uint8)
    if not n or not (np.isfinite(points.xyz).all() and np.isfinite(points.confidence).all()):
        raise SpatiaError(f"points: expected at least one, and finite numbers, got {n} points")

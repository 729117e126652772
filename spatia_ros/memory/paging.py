"""A memory attached to its file: chunks are unpacked when something is to change in them, and go back when others need room.

Looking costs no unpacking (:mod:`.file_view`). A chunk that a frame, points or an edit may touch is unpacked into the block
store first and counts from then on, until it is packed away: written if it changed, the least recently touched first.
What is written counts for good once :meth:`Pages.flush` has returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from spatia_ros.memory import chunks, keyframe_file, splat
from spatia_ros.memory.block_store import BlockStore
from spatia_ros.memory.blocks import MAX_POINTS, N_CHUNKS, chunk_key_of
from spatia_ros.memory.chunk_index import chunk_blocks, chunk_places, chunk_slot, drop_chunk, live_chunks
from spatia_ros.memory.chunks import CHUNK, ChunkPoints
from spatia_ros.memory.cull import rim_of, visible_chunks
from spatia_ros.memory.file_view import FileView, in_view
from spatia_ros.memory.index import Commit, Index
from spatia_ros.memory.keyframes import Keyframe, intrinsics_of
from spatia_ros.memory.log import Log
from spatia_ros.memory.mapped import Pieces, resolve_pieces
from spatia_ros.types import Camera, Float64, Int64, SpatiaError

if TYPE_CHECKING:
    from spatia_ros.memory.memory import Memory

KEPT_SHARE = 0.8
"""Of the points allowed, what is left unpacked once room was made."""


@dataclass(frozen=True, slots=True)
class PagesState:
    """What a snapshot keeps of the file; records are never changed, so the index is enough."""

    log: Log
    index: Index


def take_chunk(memory: Memory, slot: int) -> ChunkPoints:
    """The points of a chunk in the block store (a copy)."""
    b = memory.store.blocks
    at, inside = chunk_places(b, slot), chunk_blocks(b, slot)
    block = np.repeat(b.key[inside], b.size[inside])
    return ChunkPoints(
        int(b.chunk_key[slot]), block, b.voxel[at], b.xyz[at], b.rgb[at], b.weight[at], b.seen_ms[at],
        b.sensed[at].astype(bool), b.label[at], b.features[at],
    )  # fmt: skip


class Pages:
    """The file under a memory, and which chunks of it are unpacked.

    Args:
        log: the open file. commit: the state to start from.
    """

    def __init__(self, log: Log, commit: Commit) -> None:
        self.log, self.index, self.config = log, commit.index, commit.config
        self._held: WeakSet[Index] = WeakSet()
        self._view: FileView | None = None
        self._touched: dict[int, int] = {}
        self._clock = 0
        self._keyframes: dict[int, tuple[Keyframe, int]] = {}
        """By identity: a keyframe never changes, so its record is written once."""
        self.written: set[int] = set()
        """Chunks written since somebody took note of them (see :mod:`.updates`): writing rounds, and may empty the store."""

    def know_keyframe(self, keyframe: Keyframe, offset: int) -> None:
        """Note where a keyframe's record lies."""
        self._keyframes[id(keyframe)] = keyframe, offset

    @property
    def view(self) -> FileView:
        """What has been read of the index as it is now."""
        if self._view is None or self._view.index is not self.index:
            self._view = FileView(self.log, self.index, self.config, self._view)
        return self._view

    # Which chunks are unpacked

    def unpacked(self, memory: Memory) -> np.ndarray:
        """bool [C]: chunks of the index that the block store holds (its word counts, even if it says: empty)."""
        b = memory.store.blocks
        slots = live_chunks(b) if b.counts[N_CHUNKS] else np.empty(0, np.int64)
        rows = self.index.find(b.chunk_key[slots])
        hidden = np.zeros(len(self.index), np.bool_)
        hidden[rows[rows >= 0]] = True
        return hidden

    def packed_points(self, memory: Memory) -> int:
        """How many points only the file holds."""
        return int(self.index.points[~self.unpacked(memory)].sum())

    def unpack_blocks(self, memory: Memory, block_keys: Int64) -> None:
        """Make sure the chunks of these blocks (negative: none) are in the block store."""
        keys = block_keys[block_keys >= 0]
        if len(keys):
            keys = keys[np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))]
        self.unpack(memory, np.unique(chunk_key_of(keys)))

    def unpack_in_view(self, memory: Memory, camera: Camera, T_cam_world: Float64, far: float) -> None:
        """Make sure the chunks a camera can see up to ``far`` metres are in the block store."""
        rim = rim_of(intrinsics_of(camera), camera.width, camera.height)
        nothing = np.zeros(len(self.index), np.bool_)
        rows = in_view(self.view.low, self.view.high, nothing, T_cam_world, rim, far)
        self.unpack(memory, self.index.key[rows])

    def unpack(self, memory: Memory, keys: Int64) -> None:
        """Make sure that of these chunks those in the file are in the block store."""
        self._clock += 1
        self._touched.update(dict.fromkeys(keys.tolist(), self._clock))
        rows = self.index.find(keys)
        todo = rows[rows >= 0]
        todo = todo[~self.unpacked(memory)[todo]]
        # The cap counts what is packed away too.
        packed = self.packed_points(memory) - int(self.index.points[todo].sum())
        memory.store.blocks.counts[MAX_POINTS] = max(0, self.config.max_points - packed)
        for row in todo.tolist():
            self._put(memory, chunks.decode(self.log, self.view.record(row), self.config.voxel_m, self.config.feature_channels))

    def _put(self, memory: Memory, points: ChunkPoints) -> None:
        counts = memory.merge_unpacked(
            points.xyz, points.rgb, points.block, points.voxel, points.seen_ms, points.sensed, points.weight, points.label,
            points.features,
        )
        if counts["added"] != len(points):
            raise SpatiaError(f"{self.log.path}: expected room for {len(points)} points of a chunk, got it for {counts['added']}")
        b = memory.store.blocks
        b.changed[chunk_slot(b, points.key)] = 0

    def make_room(self, memory: Memory) -> None:
        """Pack chunks away until no more points than allowed are unpacked."""
        if len(memory.store) <= self.config.resident_points:
            return
        b = memory.store.blocks
        slots = live_chunks(b)
        keys = b.chunk_key[slots]
        ages = [self._touched.get(key, 0) for key in keys.tolist()]
        for slot in slots[np.lexsort((keys, ages))].tolist():
            if len(memory.store) <= KEPT_SHARE * self.config.resident_points:
                break
            self._pack(memory, slot)

    def _pack(self, memory: Memory, slot: int) -> None:
        b = memory.store.blocks
        if b.changed[slot] and not self.log.write:
            return  # the only copy there is
        self._touched.pop(int(b.chunk_key[slot]), None)
        self._write(memory, [slot])
        drop_chunk(b, slot)

    def pack_all(self, memory: Memory) -> None:
        """Write what changed and empty the block store."""
        self.require_writing()
        slots = live_chunks(memory.store.blocks)
        self._write(memory, slots.tolist())
        memory.store = BlockStore(self.config.max_points, self.config.feature_channels)
        self._touched.clear()

    # Writing

    def _write(self, memory: Memory, slots: list[int]) -> None:
        """Append the chunks that changed, by rising key."""
        b, changes = memory.store.blocks, {}
        for slot in sorted((s for s in slots if b.changed[s]), key=lambda s: int(b.chunk_key[s])):
            points = take_chunk(memory, slot)
            if len(points):
                record = self.log.append(CHUNK, chunks.encode(points, self.config.voxel_m))
                changes[points.key] = record.offset, record.length, len(points), chunks.box_of(points)
            else:
                changes[points.key] = 0, 0, 0, 0
            b.changed[slot] = 0
        self.written.update(changes)
        self.index = self.index.updated(changes)

    def _write_keyframes(self, keyframes: list[Keyframe]) -> tuple[int, ...]:
        for keyframe in keyframes:
            if id(keyframe) not in self._keyframes:
                record = self.log.append(keyframe_file.KEYFRAME, keyframe_file.encode(keyframe))
                self.know_keyframe(keyframe, record.offset)
        return tuple(self._keyframes[id(keyframe)][1] for keyframe in keyframes)

    def commit_of(self, memory: Memory) -> Commit:
        """The state as it would be committed now, everything that changed appended."""
        self._write(memory, live_chunks(memory.store.blocks).tolist())
        keyframes = self._write_keyframes(memory.keyframes.keyframes)
        return Commit(self.config, memory.epoch_ns, dict(memory.names), keyframes, self.index)

    def flush(self, memory: Memory) -> None:
        """Make everything so far survive: appended, committed, on disk. Clears out the file when half of it is dead."""
        self.require_writing()
        commit = self.commit_of(memory)
        self.log.commit(commit.parts())
        if self._dead_share(commit) > 0.5 and not len(self._held):
            self.compact(memory)

    def require_writing(self) -> None:
        """Raises: SpatiaError, when the file was opened for looking only."""
        if not self.log.write:
            raise SpatiaError(f"{self.log.path}: expected a memory opened for writing, got one opened for looking")

    def _dead_share(self, commit: Commit) -> float:
        keyframes = sum(self.log.record(at).length for at in commit.keyframes)
        return 1.0 - (float(commit.index.length.sum()) + keyframes + self._commit_bytes()) / self.log.end

    def _commit_bytes(self) -> int:
        return self.log.committed.length if self.log.committed else 0

    def compact(self, memory: Memory) -> None:
        """Write the live records to a new file and put it in this one's place."""
        from spatia_ros.memory.store import replaced_by

        commit = self.commit_of(memory)
        with replaced_by(self.log.path) as fresh:
            keyframes, index = copy_records(self.log, fresh, commit)
            fresh.commit(Commit(commit.config, commit.epoch_ns, commit.names, keyframes, index).parts())
        moved = dict(zip(commit.keyframes, keyframes, strict=True))
        self._keyframes = {i: (k, moved[at]) for i, (k, at) in self._keyframes.items() if at in moved}
        self.log.close()
        self.log, self.index, self._view = fresh, index, None

    # Snapshots

    def state(self) -> PagesState:
        """What a snapshot holds on to."""
        self._held.add(self.index)
        return PagesState(self.log, self.index)

    def return_to(self, index: Index) -> None:
        """Go back to an earlier index of this file."""
        self.index = index
        self._touched.clear()

    def require_few(self, memory: Memory) -> None:
        """Raises: SpatiaError, when there are more points in all than may be unpacked."""
        if len(memory) > self.config.resident_points:
            raise SpatiaError(
                f"{self.log.path}: expected at most {self.config.resident_points} points at a time "
                f"(memory.resident_points), got {len(memory)}; take them chunk by chunk"
            )

    # Looking

    def draw(self, memory: Memory, buffers: np.ndarray, camera: Camera, T_cam_world: Float64, far: float) -> Pieces:
        """Draw what is packed into packed z-buffers uint64 [threads, H * W] (see :meth:`.FileView.draw`)."""
        self._touch_in_view(memory, camera, T_cam_world, far)
        size = camera.width, camera.height
        return self.view.draw(buffers, self.unpacked(memory), T_cam_world, intrinsics_of(camera), *size, far)

    def resolve(
        self, memory: Memory, buffers: np.ndarray, pieces: Pieces, width: int, height: int, now_ms: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What :func:`.splat.resolve` gives, of blocks and pieces drawn into the same buffers."""
        drawn = resolve_pieces(buffers, *self.view.words(), pieces, width, height, now_ms)
        if len(memory.store) == 0:
            return drawn
        rgb, depth, sensed, age_s = splat.resolve(memory.store.blocks, buffers[:1], width, height, now_ms)
        for kept, shown in zip(drawn, (rgb, depth, sensed, age_s), strict=True):
            np.copyto(kept, shown, where=(depth > 0)[..., None] if kept.ndim == 3 else depth > 0)
        return drawn

    def _touch_in_view(self, memory: Memory, camera: Camera, T_cam_world: Float64, far: float) -> None:
        """Note that the unpacked chunks in view are being looked at."""
        b, self._clock = memory.store.blocks, self._clock + 1
        slots = visible_chunks(b, T_cam_world, intrinsics_of(camera), camera.width, camera.height, self.config.voxel_m, far)
        self._touched.update(dict.fromkeys(b.chunk_key[slots].tolist(), self._clock))


def points_of_chunk(memory: Memory, key: int) -> ChunkPoints | None:
    """The points of one chunk (a copy), wherever they are; None when there is no such chunk."""
    slot, pages = chunk_slot(memory.store.blocks, key), memory.pages
    if slot >= 0:
        return take_chunk(memory, slot)
    row = int(pages.index.find(np.array([key], np.int64))[0]) if pages else -1
    if pages is None or row < 0:
        return None
    return chunks.decode(pages.log, pages.view.record(row), pages.config.voxel_m, pages.config.feature_channels)


def go_back(pages: Pages | None, state: PagesState | None) -> None:
    """Return to what a snapshot kept of a file.

    Raises:
        SpatiaError: when the snapshot is not of a memory attached to the same file (or to none, either).
    """
    if pages is None and state is None:
        return
    if pages is None or state is None or state.log is not pages.log:
        here, there = (str(p.log.path) if p else "no file" for p in (pages, state))
        raise SpatiaError(f"restore: expected a snapshot of a memory attached to {here}, got one attached to {there}")
    pages.return_to(state.index)


def all_chunks(memory: Memory, low: Float64 | None = None, high: Float64 | None = None) -> Iterator[ChunkPoints]:
    """Every chunk of a memory that reaches into a box: those of the block store, then those only its file holds."""
    b, pages = memory.store.blocks, memory.pages
    slots = live_chunks(b)
    for slot in slots[_reaching(b.chunk_key[slots], memory.config.voxel_m, low, high)].tolist():
        if len(points := take_chunk(memory, slot)):
            yield points
    if pages:
        rows = ~pages.unpacked(memory) & _reaching(pages.index.key, memory.config.voxel_m, low, high)
        for row in np.flatnonzero(rows).tolist():
            yield chunks.decode(pages.log, pages.view.record(row), pages.config.voxel_m, pages.config.feature_channels)


def _reaching(keys: Int64, voxel_m: float, low: Float64 | None, high: Float64 | None) -> np.ndarray:
    """bool [C]: chunks that reach into a box."""
    corner = chunks.corner_of(keys) * voxel_m
    inside = np.ones(len(keys), np.bool_)
    if low is not None:
        inside &= (corner + chunks.SIDE_VOXELS * voxel_m >= low).all(1)
    if high is not None:
        inside &= (corner <= high).all(1)
    return inside


def copy_records(source: Log, target: Log, commit: Commit) -> tuple[tuple[int, ...], Index]:
    """Append the records a commit names to another log; returns where its keyframes and chunks lie there."""
    keyframes = tuple(target.copy(source, source.record(at)).offset for at in commit.keyframes)
    index = commit.index
    offset = [target.copy(source, source.record(at)).offset for at in index.offset.tolist()]
    return keyframes, Index(index.key, np.array(offset, np.int64), index.length, index.points, index.box)

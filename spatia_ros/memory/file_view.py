"""Looking at the part of a memory that lies in its file: which chunks, at which level, read when.

A frame wants of each chunk in view the level whose voxels are about a pixel. Chunks are asked from near to far, in rounds,
and those hidden behind what is drawn already are not touched. A part is checked against its digest when a frame first wants
it; a frame checks only so many bytes, and what it has no more time for is drawn from a coarser level that is there.
"""

from __future__ import annotations

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.kernels import njit
from spatia_ros.memory import chunks, mapped
from spatia_ros.memory.crew import desk
from spatia_ros.memory.cull import rim_of, touches
from spatia_ros.memory.index import Index
from spatia_ros.memory.levels import COARSE, LEVELS
from spatia_ros.memory.log import Log, Record
from spatia_ros.memory.mapped import Pieces
from spatia_ros.memory.occlude import box_bounds, may_show
from spatia_ros.types import Bool, Float64, Int64

ROUNDS = (0.1, 0.3, 0.6, 1.0)
"""Shares of the wanted points, nearest first, after which what is hidden is looked for."""
TOUCH_BYTES = 1 << 15
"""What reading a part costs apart from its bytes, in bytes."""


@njit(cache=True)
def in_view(
    low: np.ndarray, high: np.ndarray, hidden: np.ndarray, T: np.ndarray, rim: np.ndarray, far: float
) -> np.ndarray:
    """Rows int64 [V] of the boxes low..high, float64 [C, 3] each, not hidden, whose bounding sphere touches the frustum."""
    out, n = np.empty(hidden.size, np.int64), 0
    for i in range(hidden.size):
        X, Y, Z = 0.5 * (low[i, 0] + high[i, 0]), 0.5 * (low[i, 1] + high[i, 1]), 0.5 * (low[i, 2] + high[i, 2])
        radius = np.sqrt((high[i, 0] - X) ** 2 + (high[i, 1] - Y) ** 2 + (high[i, 2] - Z) ** 2)
        if not hidden[i] and touches(T, rim, X, Y, Z, radius, far):
            out[n] = i
            n += 1
    return out[:n].copy()


class FileView:
    """What of an index has been read so far, and drawing from it.

    Args:
        log, index: the file. config: of the memory. before: an earlier view of the same log, whose checks still hold.
    """

    def __init__(self, log: Log, index: Index, config: MemoryConfig, before: FileView | None = None) -> None:
        self.log, self.index, self.config = log, index, config
        n = len(index)
        self._corner = chunks.corner_of(index.key) * config.voxel_m
        low, high = chunks.box_corners(index.box)
        self.low, self.high = self._corner + low * config.voxel_m, self._corner + high * config.voxel_m
        """Corners, float64 [C, 3], metres, of what each chunk's points span."""
        self._at, self._count = np.full((n, LEVELS + 1), -1, np.int64), np.zeros((n, LEVELS + 1), np.int64)
        self._blocks, self._seen_base, self._seen_shift = (np.zeros(n, np.int64) for _ in range(3))
        self._records: dict[int, Record] = {}
        self._spent = 0
        if before is not None and len(before.index) and n:
            self._carry_over(before)

    def _carry_over(self, before: FileView) -> None:
        was = before.index.find(self.index.key)
        same = (was >= 0) & (before.index.offset[was] == self.index.offset)
        for name in ("_at", "_count", "_blocks", "_seen_base", "_seen_shift"):
            getattr(self, name)[same] = getattr(before, name)[was[same]]
        self._records = {at: before._records[at] for at in self.index.offset[same].tolist() if at in before._records}

    def record(self, row: int) -> Record:
        """The record of a chunk, its head checked and entered."""
        offset = int(self.index.offset[row])
        if offset not in self._records:
            record = self.log.record(offset)
            head, index = chunks.head_of(self.log, record), self.index
            if (head.key, head.points, record.length) != (index.key[row], index.points[row], index.length[row]):
                raise self.log.damaged(offset, "is not the one the index names")
            self._records[offset] = record
            self._count[row] = (head.points, *head.level_points)
            self._blocks[row], self._seen_base[row], self._seen_shift[row] = head.blocks, head.seen_base_ms, head.seen_shift
        return self._records[offset]

    def _read(self, row: int, level: int) -> None:
        """Check the part that holds a level of a chunk, so that it can be drawn."""
        record = self.record(row)
        part = chunks.POINTS if level == 0 else chunks.COARSE_LEVELS if level >= COARSE else chunks.FINEST_LEVEL + 1 - level
        self.log.part(record, part)
        self._spent += record.lengths[part] + TOUCH_BYTES
        start = record.starts[part] // 8
        if level < COARSE:
            self._at[row, level] = start
            return
        for coarse in range(LEVELS, COARSE - 1, -1):
            self._at[row, coarse] = start
            start += self._count[row, coarse]

    def _best(self, rows: Int64, levels: Int64) -> tuple[Int64, Int64]:
        """What can be drawn of the chunks wanted, nearest first: rows and levels, reading within the frame's budget."""
        budget = self.config.page_mb << 20
        missing = np.flatnonzero(self._at[rows, levels] < 0)
        for i in missing.tolist():
            if self._spent >= budget:
                break
            self._read(rows[i], levels[i])
        levels = levels.copy()
        for i in missing[self._at[rows[missing], levels[missing]] < 0].tolist():
            ready = np.flatnonzero(self._at[rows[i]] >= 0)
            coarser = ready[ready > levels[i]]
            levels[i] = coarser[0] if len(coarser) else ready[-1] if len(ready) else -1
        there = levels >= 0
        return rows[there], levels[there]

    def _pieces(self, rows: Int64, levels: Int64, first_id: int) -> Pieces:
        count = self._count[rows, levels]
        first = first_id + np.cumsum(count) - count
        return Pieces(
            rows, levels, self._at[rows, levels], count, self._blocks[rows], self._corner[rows],
            self._seen_base[rows], self._seen_shift[rows], first,
        )  # fmt: skip

    def words(self) -> tuple[np.ndarray, np.ndarray]:
        """The mapped file as uint64 and as uint16."""
        file = self.log.mapped(self.log.end)
        return file.view(np.uint64), file.view(np.uint16)

    def extras(self, pieces: Pieces, at: Int64, label: np.ndarray, features: np.ndarray) -> None:
        """Fill in label uint16 [N] and features uint16 [N, C] where ids int64 [N] name points of pieces; levels have neither."""
        of_file = np.flatnonzero(at >= mapped.MAPPED)
        place = at[of_file] - mapped.MAPPED
        piece = np.searchsorted(pieces.first, place, side="right") - 1
        for d in np.unique(piece[pieces.level[piece] == 0]).tolist():
            record, mine = self.record(int(pieces.chunk[d])), piece == d
            head = chunks.head_of(self.log, record)
            labels, vectors = chunks.extras(self.log, record, head, self.config.feature_channels)
            label[of_file[mine]] = labels[place[mine] - pieces.first[d]]
            features[of_file[mine]] = vectors[place[mine] - pieces.first[d]]

    def draw(
        self, buffers: np.ndarray, hidden: Bool, T_cam_world: Float64, intrinsics: Float64, width: int, height: int, far: float
    ) -> Pieces:
        """Draw what is in view into packed z-buffers uint64 [threads, H * W].

        Args:
            hidden: bool [C], chunks not to draw (those that are unpacked). far: farthest depth, metres.

        Returns:
            The pieces drawn, which the ids in the buffers refer to.
        """
        c, self._spent = self.config, 0
        rim, focal = rim_of(intrinsics, width, height), max(intrinsics[0], intrinsics[1])
        rows, splat_m = in_view(self.low, self.high, hidden, T_cam_world, rim, far), c.splat_scale * c.voxel_m
        view = (T_cam_world, intrinsics, width, height)
        near_m, tiles = box_bounds(self.low[rows], self.high[rows], *view, 2.0 * splat_m)
        order = np.argsort(near_m, kind="stable")
        rows, near_m, tiles = rows[order], near_m[order], tiles[order]
        levels = mapped.levels_for(near_m, focal, c.voxel_m, LEVELS)
        drawn = [self._pieces(rows[:0], levels[:0], 0)]
        for begin, end in _rounds(self.index.points[rows] >> (2 * levels)):
            farthest = mapped.farthest_drawn(buffers, width, height)
            these = begin + np.flatnonzero(may_show(near_m[begin:end], tiles[begin:end], farthest))
            pieces = self._pieces(*self._best(rows[these], levels[these]), sum(int(p.size.sum()) for p in drawn))
            mapped.splat_pieces(desk(1), buffers, *self.words(), pieces, farthest, *view, c.voxel_m, splat_m, far)
            drawn.append(pieces)
        return Pieces(*(np.concatenate(field) for field in zip(*drawn, strict=True)))


def _rounds(points: Int64) -> list[tuple[int, int]]:
    """Consecutive stretches of the chunks, nearest first, by the shares in ``ROUNDS`` of their points."""
    sums = np.cumsum(points)
    ends = [int(np.searchsorted(sums, share * sums[-1])) + 1 for share in ROUNDS] if len(sums) else []
    ends = [min(end, len(points)) for end in ends]
    return [(begin, end) for begin, end in zip([0, *ends], ends, strict=False) if end > begin]

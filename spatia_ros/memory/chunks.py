"""A chunk of the memory, 128 voxels a side, as the parts of a record, and back.

Points stand in Morton order, so the blocks of a chunk, and the cells of every coarser level (:mod:`.levels`), are runs of them,
and equal chunks are equal bytes. The parts, of which a view from afar reads the first two and one up close the sixth:

0. head: int64 [15], see ``Head``. 1. levels 7, 6, 5 and 4, coarsest first. 2, 3, 4. levels 3, 2 and 1.
5. points: words uint64 [N], blocks (Morton number and points less one, uint16 [B] each), last seen uint16 [N], weight uint8 [N].
6. labels uint16 [N] if the head says so, features uint16 [N, C] (bits of float16).
7. only in an exact file: xyz float32 [N, 3], rgb float32 [N, 3], weight float32 [N], last seen int32 [N].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spatia_ros.memory.blocks import BLOCK_SIDE, CHUNK_SIDE, KEY_BIAS, KEY_BITS
from spatia_ros.memory.levels import COARSE, LEVELS, build_levels
from spatia_ros.memory.log import Log, Record
from spatia_ros.memory.quantise import (
    pack_words,
    position_of,
    position_quanta,
    time_code,
    time_of,
    unpack_words,
    weight_code,
    weight_of,
)
from spatia_ros.types import Bool, Float32, Int64, UInt8

CHUNK = b"CHNK"
SIDE_VOXELS = CHUNK_SIDE * BLOCK_SIDE
CHUNK_BLOCKS = CHUNK_SIDE**3
HEAD, COARSE_LEVELS, FINEST_LEVEL, POINTS, EXTRAS, EXACT = 0, 1, 4, 5, 6, 7
FIELD = (1 << KEY_BITS) - 1
HEAD_BYTES = 8 * (8 + LEVELS)
MOST_CHANNELS = 1024
MOST_POINTS = CHUNK_BLOCKS * BLOCK_SIDE**3
MAX_COLOUR = 255.01
"""A running mean of white is rounded to a little more than white."""


def _spread(x: np.ndarray) -> np.ndarray:
    """Bits of 0..127 three places apart."""
    out = np.zeros_like(x)
    for bit in range(7):
        out |= (x >> bit & 1) << (3 * bit)
    return out


def _morton_of(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Morton numbers of cells counted x first, then y, then z, with so many bits an axis."""
    mask = (1 << bits) - 1
    x, y, z = (numbers >> shift & mask for shift in (0, bits, 2 * bits))
    return _spread(x) | _spread(y) << 1 | _spread(z) << 2


VOXEL_MORTON = _morton_of(np.arange(BLOCK_SIDE**3), 3)
BLOCK_MORTON = _morton_of(np.arange(CHUNK_BLOCKS), 4)
BLOCK_OF_MORTON = np.argsort(BLOCK_MORTON)


class Head(NamedTuple):
    """What part 0 of a chunk record says."""

    key: int
    points: int
    blocks: int
    labelled: int
    channels: int
    exact: int
    seen_base_ms: int
    seen_shift: int
    level_points: tuple[int, ...]  # of levels 1 to 7

    @classmethod
    def of(cls, part: UInt8) -> Head:
        """The head in a part of 8 * 15 bytes."""
        values = np.frombuffer(part, np.int64).tolist()
        return cls._make([*values[:8], tuple(values[8:])])

    def packed(self) -> np.ndarray:
        """int64 [15]."""
        return np.array([*self[:8], *self.level_points], np.int64)


@dataclass(frozen=True, slots=True)
class ChunkPoints:
    """The points of one chunk, in any order.

    Args:
        key: of the chunk. block: int64 [N], keys of the points' blocks. voxel: uint16 [N], in the block.
        xyz: float32 [N, 3], metres, world. rgb: float32 [N, 3], 0..255. weight: float32 [N]. seen_ms: int32 [N].
        sensed: bool [N]. label: uint16 [N]. features: uint16 [N, C], bits of float16.
    """

    key: int
    block: Int64
    voxel: np.ndarray
    xyz: Float32
    rgb: Float32
    weight: Float32
    seen_ms: np.ndarray
    sensed: Bool
    label: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.weight)


def axes_of(key: np.ndarray | int) -> np.ndarray:
    """The three packed, biased coordinates of block or chunk keys: int64 [..., 3]."""
    keys = np.asarray(key, np.int64)
    return np.stack([keys & FIELD, keys >> KEY_BITS & FIELD, keys >> 2 * KEY_BITS], -1)


def corner_of(key: np.ndarray | int) -> np.ndarray:
    """The lowest voxel of chunks: int64 [..., 3], in voxels."""
    return axes_of(key) * SIDE_VOXELS - KEY_BIAS * BLOCK_SIDE


def box_of(points: ChunkPoints) -> int:
    """The voxels of a chunk that its points span, packed: lowest x, y, z, then highest, 7 bits each."""
    cells = _cells(points.block, points.voxel) - corner_of(points.key)
    return sum(int(v) << 7 * k for k, v in enumerate([*cells.min(0), *cells.max(0)]))


def box_corners(box: Int64) -> tuple[Int64, Int64]:
    """Lowest voxels, and those just beyond the highest, of packed boxes int64 [C]: int64 [C, 3] each."""
    values = box[:, None] >> 7 * np.arange(6) & 127
    return values[:, :3], values[:, 3:] + 1


def _cells(block: Int64, voxel: np.ndarray) -> np.ndarray:
    """Voxel coordinates int64 [N, 3] of voxels in blocks."""
    v = voxel.astype(np.int64)
    return (axes_of(block) - KEY_BIAS) * BLOCK_SIDE + np.stack([v & 7, v >> 3 & 7, v >> 6], -1)


def encode(points: ChunkPoints, voxel_m: float, exact: bool = False) -> list[bytes | np.ndarray]:
    """The parts of a chunk's record; ``exact`` adds every number as it is."""
    axes = axes_of(points.block) & (CHUNK_SIDE - 1)
    block = BLOCK_MORTON[axes[:, 0] | axes[:, 1] << 4 | axes[:, 2] << 8]
    morton = block << 9 | VOXEL_MORTON[points.voxel]
    order = np.argsort(morton)
    morton, block, voxel, xyz = morton[order], block[order], points.voxel[order], points.xyz[order]
    quanta = position_quanta(xyz, _cells(points.block[order], voxel), voxel_m)
    rgb, sensed = (points.rgb[order] + np.float32(0.5)).astype(np.uint8), points.sensed[order]
    seen, base, shift = time_code(points.seen_ms[order])
    levels = build_levels(morton, quanta, rgb, seen, sensed)
    numbers, counts = np.unique(block, return_counts=True)
    labelled, channels = bool(points.label.any()), points.features.shape[1] if points.features.any() else 0
    head = Head(points.key, len(order), len(numbers), labelled, channels, exact, base, shift, tuple(map(len, levels)))
    body = [pack_words(quanta, rgb, voxel, sensed), numbers.astype(np.uint16), (counts - 1).astype(np.uint16), seen]
    parts: list[bytes | np.ndarray] = [head.packed(), np.concatenate(levels[: COARSE - 2 : -1]), *levels[COARSE - 2 :: -1]]
    parts.append(_joined([*body, weight_code(points.weight[order])]))
    parts.append(_joined([points.label[order]] * labelled + [points.features[order]] * bool(channels)))
    if exact:
        parts.append(_joined([xyz, points.rgb[order], points.weight[order], points.seen_ms[order]]))
    return parts


def _joined(arrays: list[np.ndarray]) -> bytes:
    return b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)


def head_of(log: Log, record: Record) -> Head:
    """The head of a chunk record, held against the lengths of its parts.

    Raises:
        SpatiaError: when it is no chunk record, or does not fit itself.
    """
    if record.kind != CHUNK or len(record.lengths) not in (EXACT, EXACT + 1) or record.lengths[HEAD] != HEAD_BYTES:
        raise log.damaged(record.offset, f"was to be a chunk, but is {record.kind!r} with parts of {record.lengths} bytes")
    head = Head.of(log.part(record, HEAD))
    if not _possible(head) or _lengths(head) != record.lengths:
        raise log.damaged(record.offset, f"says {head} of parts of {record.lengths} bytes")
    return head


def _possible(head: Head) -> bool:
    """Whether the numbers of a head are such as a chunk can have."""
    n = head.points
    return (
        0 < n <= MOST_POINTS
        and 0 < head.blocks <= min(n, CHUNK_BLOCKS)
        and all(0 < m <= n for m in head.level_points)
        and 0 <= head.channels <= MOST_CHANNELS
        and {head.labelled, head.exact} <= {0, 1}
        and 0 <= head.seen_shift <= 16
        and -(2**31) <= head.seen_base_ms < 2**31
        and head.key >= 0
        and bool((axes_of(head.key) < 2 * KEY_BIAS // CHUNK_SIDE).all())
    )


def _lengths(head: Head) -> tuple[int, ...]:
    """Bytes of the parts of a chunk with this head."""
    n, levels = head.points, head.level_points
    fine = [8 * levels[k] for k in range(COARSE - 2, -1, -1)]
    lengths = [HEAD_BYTES, 8 * sum(levels[COARSE - 1 :]), *fine, 11 * n + 4 * head.blocks]
    return (*lengths, 2 * n * (head.labelled + head.channels), *[32 * n] * head.exact)


def decode(log: Log, record: Record, voxel_m: float, channels: int) -> ChunkPoints:
    """The points of a chunk record, in Morton order.

    Raises:
        SpatiaError: when a part is damaged or means nothing.
    """
    head = head_of(log, record)
    n, b = head.points, head.blocks
    body = log.part(record, POINTS).tobytes()
    numbers = np.frombuffer(body, np.uint16, b, 8 * n)
    counts = np.frombuffer(body, np.uint16, b, 8 * n + 2 * b).astype(np.int64) + 1
    rising = (np.diff(numbers.astype(np.int64)) > 0).all() and numbers[-1] < CHUNK_BLOCKS
    quanta, rgb, voxel, sensed = unpack_words(np.frombuffer(body, np.uint64, n))
    if not rising or counts.sum() != n:
        raise log.damaged(record.offset, "has blocks that do not add up to its points")
    number = np.repeat(numbers.astype(np.int64), counts)
    if n > 1 and not (np.diff(number << 9 | VOXEL_MORTON[voxel]) > 0).all():
        raise log.damaged(record.offset, "has voxels that are not in order")
    block = _block_keys(head.key, number)
    seen = np.frombuffer(body, np.uint16, n, 8 * n + 4 * b)
    weight = weight_of(np.frombuffer(body, np.uint8, n, 10 * n + 4 * b))
    seen_ms = time_of(seen, head.seen_base_ms, head.seen_shift)
    xyz, colour = position_of(quanta, _cells(block, voxel), voxel_m), rgb.astype(np.float32)
    if head.exact:
        xyz, colour, weight, seen_ms = _exact(log, record, n)
    label, features = extras(log, record, head, channels)
    return ChunkPoints(head.key, block, voxel, xyz, colour, weight, seen_ms, sensed, label, features)


def _block_keys(chunk: int, number: np.ndarray) -> Int64:
    inside = BLOCK_OF_MORTON[number]
    x, y, z = axes_of(chunk) * CHUNK_SIDE
    return (x + (inside & 15)) | (y + (inside >> 4 & 15)) << KEY_BITS | (z + (inside >> 8)) << 2 * KEY_BITS


def _exact(log: Log, record: Record, n: int) -> tuple[Float32, Float32, Float32, np.ndarray]:
    raw = np.frombuffer(log.part(record, EXACT).tobytes(), np.float32)
    xyz, rgb, weight = raw[: 3 * n].reshape(n, 3), raw[3 * n : 6 * n].reshape(n, 3), raw[6 * n : 7 * n]
    if not (np.isfinite(raw[: 7 * n]).all() and (weight > 0).all() and (rgb >= 0).all() and (rgb <= MAX_COLOUR).all()):
        raise log.damaged(record.offset, "holds numbers that are no points")
    return xyz, rgb, weight, raw[7 * n :].view(np.int32)


def extras(log: Log, record: Record, head: Head, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels uint16 [N] and features uint16 [N, channels] (none stored: zeros; others stored: refused)."""
    n = head.points
    raw = np.frombuffer(log.part(record, EXTRAS).tobytes(), np.uint16)
    label = raw[:n] if head.labelled else np.zeros(n, np.uint16)
    if not head.channels:
        return label, np.zeros((n, channels), np.uint16)
    if head.channels != channels:
        raise log.damaged(record.offset, f"has {head.channels} feature channels, not {channels}")
    features = raw[n * head.labelled :].reshape(n, channels)
    if not np.isfinite(features.view(np.float16)).all():
        raise log.damaged(record.offset, "holds features that are not finite")
    return label, features

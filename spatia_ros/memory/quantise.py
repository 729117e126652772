"""Points as few bytes: 11 a point, with the error stated.

| What | Stored as | Largest error |
|---|---|---|
| position | voxel, and 8 bits an axis within it | half a quantum, ``voxel_m / 512`` an axis |
| colour | 8 bits a channel | 0.5 |
| weight | 4 bits exponent, 4 bits mantissa | ``WEIGHT_ERROR``, relative; whole numbers to 32 are exact |
| last seen | 16 bits from the chunk's first | less than ``range / 32768`` early; none when a chunk spans at most 65 s |
| sensed, label, features | as they are | none |
| normal | octahedral, 8 bits an axis | ``NORMAL_ERROR_DEG`` |

Quantising what was quantised changes nothing, as long as float32 still resolves a quantum: to ``voxel_m * 32768`` from the
origin (328 m for voxels of 1 cm). Beyond, position is as exact as float32.
"""

from __future__ import annotations

import numpy as np

from spatia_ros.types import Float32, Float64, UInt8

POSITION_STEPS = 256
"""Quanta a voxel is divided into along each axis."""
WEIGHT_LEAST, WEIGHT_MOST = 0.25, 0.25 * 2**15 * (31 / 16)
WEIGHT_ERROR = 1.0 / 32.0
NORMAL_ERROR_DEG = 0.95

# A point's word: x, y, z in its voxel, red, green, blue, voxel in its block, whether measured.
RGB_SHIFT, VOXEL_SHIFT, SENSED_SHIFT = 24, 48, 57
BYTE = np.uint64(0xFF)


def pack_words(fraction: UInt8, rgb: UInt8, voxel: np.ndarray, sensed: np.ndarray) -> np.ndarray:
    """uint64 [N] of: quanta in the voxel uint8 [N, 3], colour uint8 [N, 3], voxel uint16 [N] in 0..511, sensed bool [N]."""
    word = voxel.astype(np.uint64) << np.uint64(VOXEL_SHIFT)
    word |= sensed.astype(np.uint64) << np.uint64(SENSED_SHIFT)
    for k in range(3):
        word |= fraction[:, k].astype(np.uint64) << np.uint64(8 * k)
        word |= rgb[:, k].astype(np.uint64) << np.uint64(RGB_SHIFT + 8 * k)
    return word


def unpack_words(word: np.ndarray) -> tuple[UInt8, UInt8, np.ndarray, np.ndarray]:
    """The inverse of :func:`pack_words`."""
    octets = word.astype("<u8").view(np.uint8).reshape(-1, 8)
    voxel = ((word >> np.uint64(VOXEL_SHIFT)) & np.uint64(0x1FF)).astype(np.uint16)
    return octets[:, :3], octets[:, 3:6], voxel, (word >> np.uint64(SENSED_SHIFT) & np.uint64(1)).astype(bool)


def position_quanta(xyz: Float32, cell: np.ndarray, voxel_m: float) -> UInt8:
    """Where points float32 [N, 3] lie in their voxels int64 [N, 3]: uint8 [N, 3] of 1/256 of a voxel."""
    within = (xyz.astype(np.float64) / voxel_m - cell) * POSITION_STEPS
    return np.clip(np.floor(within), 0, POSITION_STEPS - 1).astype(np.uint8)


def position_of(quanta: UInt8, cell: np.ndarray, voxel_m: float) -> Float32:
    """The middle of the quantum: float32 [N, 3], metres."""
    return ((cell + (quanta + 0.5) / POSITION_STEPS) * voxel_m).astype(np.float32)


def weight_code(weight: Float32) -> UInt8:
    """Positive weights float32 [N] as uint8: the nearest of 16 octaves of 16 steps from ``WEIGHT_LEAST``."""
    scaled = np.clip(weight.astype(np.float64), WEIGHT_LEAST, WEIGHT_MOST) / WEIGHT_LEAST
    mantissa, exponent = np.frexp(scaled)  # scaled = mantissa * 2^exponent, 0.5 <= mantissa < 1
    code = (exponent - 1) * 16 + np.rint((2 * mantissa - 1) * 16)
    return np.clip(code, 0, 255).astype(np.uint8)


def weight_of(code: UInt8) -> Float32:
    """The weight a code stands for: float32 [N]."""
    exponent, step = code >> 4, code & 15
    return (WEIGHT_LEAST * np.exp2(exponent.astype(np.float64)) * (1 + step / 16)).astype(np.float32)


def time_code(seen_ms: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Times int32 [N] as uint16 [N] steps of ``2**shift`` ms from ``base``; returns ``(steps, base, shift)``."""
    if len(seen_ms) == 0:
        return np.empty(0, np.uint16), 0, 0
    base = int(seen_ms.min())
    since = seen_ms.astype(np.int64) - base
    shift = max(0, int(since.max()).bit_length() - 16)
    return (since >> shift).astype(np.uint16), base, shift


def time_of(steps: np.ndarray, base: int, shift: int) -> np.ndarray:
    """int32 [N], milliseconds since the memory's epoch."""
    return (base + (steps.astype(np.int64) << shift)).astype(np.int32)


def normal_code(normal: Float32) -> UInt8:
    """Unit normals float32 [N, 3] on the octahedron, unfolded to a square: uint8 [N, 2].

    After Cigolle et al., "A Survey of Efficient Representations for Independent Unit Vectors", JCGT 2014.
    """
    flat = normal / np.abs(normal).sum(1, keepdims=True)
    folded = (1.0 - np.abs(flat[:, 1::-1])) * np.where(flat[:, :2] >= 0, 1.0, -1.0)
    square = np.where(flat[:, 2:] >= 0, flat[:, :2], folded)
    return np.rint((square + 1.0) * 127.0).clip(0, 254).astype(np.uint8)


def normal_of(code: UInt8) -> Float64:
    """Unit normals float64 [N, 3] of codes uint8 [N, 2]."""
    square = code / 127.0 - 1.0
    z = 1.0 - np.abs(square).sum(1, keepdims=True)
    folded = (1.0 - np.abs(square[:, ::-1])) * np.where(square >= 0, 1.0, -1.0)
    normal = np.concatenate([np.where(z >= 0, square, folded), z], 1)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)

"""Which part of the map a camera can see: chunks first, then the blocks in them, so that asking costs the view."""

from __future__ import annotations

import numpy as np
from numba import njit

from spatia_ros.memory.blocks import BLOCK_SIDE, CHUNK_SIDE, EMPTY, KEY_BIAS, KEY_BITS, N_BLOCKS, N_CHUNKS, Blocks

HALF_DIAGONAL = 0.8661
"""Of a cube of side 1, rounded up."""


@njit(cache=True, inline="always")
def centre(key: int, bias: int, side: float) -> tuple[float, float, float]:
    """Middle, in metres, of a block or chunk whose coordinates are packed in ``key``."""
    field = (1 << KEY_BITS) - 1
    X = ((key & field) - bias + 0.5) * side
    Y = (((key >> KEY_BITS) & field) - bias + 0.5) * side
    Z = ((key >> (2 * KEY_BITS)) - bias + 0.5) * side
    return X, Y, Z


@njit(cache=True)
def rim_of(intrinsics: np.ndarray, width: int, height: int) -> np.ndarray:
    """float64 [2, 4]: slopes of the left, right, top and bottom side planes, and the length of their normals."""
    fx, fy, cx, cy = intrinsics
    rim = np.empty((2, 4))
    rim[0] = np.array([cx / fx, (width - cx) / fx, cy / fy, (height - cy) / fy])
    rim[1] = np.sqrt(1.0 + rim[0] ** 2)
    return rim


@njit(cache=True, inline="always")
def touches(T: np.ndarray, rim: np.ndarray, X: float, Y: float, Z: float, radius: float, far_m: float) -> bool:
    """Whether a sphere touches the frustum (the planes' slack makes the normals' lengths good)."""
    z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
    x = T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]
    y = T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]
    return (
        -radius <= z <= far_m + radius
        and -rim[0, 0] * z - rim[1, 0] * radius <= x <= rim[0, 1] * z + rim[1, 1] * radius
        and -rim[0, 2] * z - rim[1, 2] * radius <= y <= rim[0, 3] * z + rim[1, 3] * radius
    )


@njit(cache=True)
def visible_chunks(
    blocks: Blocks, T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, voxel_m: float, max_range_m: float
) -> np.ndarray:
    """Slots (int64 [C]) of the chunks whose bounding sphere touches the view frustum."""
    rim, side, n = rim_of(intrinsics, width, height), voxel_m * BLOCK_SIDE * CHUNK_SIDE, 0
    out = np.empty(blocks.counts[N_CHUNKS], np.int64)
    for chunk in range(blocks.counts[N_CHUNKS]):
        if blocks.chunk_key[chunk] == EMPTY:
            continue
        X, Y, Z = centre(blocks.chunk_key[chunk], KEY_BIAS // CHUNK_SIDE, side)
        if touches(T_cam_world, rim, X, Y, Z, HALF_DIAGONAL * side, max_range_m):
            out[n] = chunk
            n += 1
    return out[:n].copy()


@njit(cache=True)
def blocks_in_view(
    blocks: Blocks, chunks: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, voxel_m: float, max_range_m: float,
) -> np.ndarray:
    """Blocks (int64 [V]) with points, of the chunks given, whose bounding sphere touches the view frustum."""
    rim, side, n = rim_of(intrinsics, width, height), voxel_m * BLOCK_SIDE, 0
    out = np.empty(blocks.counts[N_BLOCKS], np.int64)  # what is not written costs nothing
    for chunk in chunks:
        block = np.int64(blocks.first_block[chunk])
        while block >= 0:
            if blocks.size[block] > 0:
                X, Y, Z = centre(blocks.key[block], KEY_BIAS, side)
                if touches(T_cam_world, rim, X, Y, Z, HALF_DIAGONAL * side, max_range_m):
                    out[n] = block
                    n += 1
            block = np.int64(blocks.next_block[block])
    return out[:n].copy()


def visible_blocks(
    blocks: Blocks, T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, voxel_m: float, max_range_m: float
) -> np.ndarray:
    """Blocks (int64 [V]) whose bounding sphere touches the view frustum."""
    view = (T_cam_world, intrinsics, width, height, voxel_m, max_range_m)
    return blocks_in_view(blocks, visible_chunks(blocks, *view), *view)

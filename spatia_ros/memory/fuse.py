"""Fusing an RGB-D frame into the blocks, and carving away what it sees through.

Every pixel that is in range and not on a depth edge is back-projected and merged into its voxel
by a running mean of position and colour. A measured
point replaces an invented one; an invention never alters a measured one.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from spatia_ros.memory.blocks import (
    DONE,
    EMPTY,
    MAX_POINTS,
    N_POINTS,
    N_REFUSED,
    NEED_BLOCKS,
    NEED_POOL,
    NO_POINT,
    Blocks,
    add_point,
    find_slot,
    insert_block,
    pack_look,
    remove_dead,
    voxel_key,
)
from spatia_ros.memory.half import from_half, to_half

# Places in the counts a fuse returns.
MERGED, ADDED, REPLACED, KEPT, REFUSED, OUT_OF_REACH = range(6)
COUNT_NAMES = ("merged", "added", "replaced", "kept", "refused", "out_of_reach")


def by_name(counts: np.ndarray) -> dict[str, int]:
    """Counts int64 [6] of a fuse, by name."""
    return dict(zip(COUNT_NAMES, counts.tolist(), strict=True))


@njit(cache=True, parallel=True)
def locate(
    depth: np.ndarray, accept: np.ndarray, intrinsics: np.ndarray, T_world_cam: np.ndarray,
    voxel_m: float, min_range_m: float, max_range_m: float, edge_ratio: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World point, block key and voxel of every pixel fit to be fused (key -1: not fit).

    Args:
        depth: float32 [H, W] metres. accept: bool [H, W]. intrinsics: float64 [4] fx fy cx cy.

    Returns:
        float32 [H, W, 3] metres, int64 [H, W], uint16 [H, W].
    """
    h, w = depth.shape
    xyz = np.empty((h, w, 3), np.float32)
    key = np.empty((h, w), np.int64)
    voxel = np.empty((h, w), np.uint16)
    fx, fy, cx, cy = intrinsics
    for row in prange(h):
        y = np.int64(row)
        for x in range(w):
            z = depth[y, x]
            key[y, x] = EMPTY
            if not accept[y, x] or z < min_range_m or z > max_range_m or z <= 0.0:
                continue
            step = edge_ratio * z
            edge = False
            if x > 0 and depth[y, x - 1] > 0 and abs(depth[y, x - 1] - z) > step:
                edge = True
            if x + 1 < w and depth[y, x + 1] > 0 and abs(depth[y, x + 1] - z) > step:
                edge = True
            if y > 0 and depth[y - 1, x] > 0 and abs(depth[y - 1, x] - z) > step:
                edge = True
            if y + 1 < h and depth[y + 1, x] > 0 and abs(depth[y + 1, x] - z) > step:
                edge = True
            if edge:
                continue
            px = (x + 0.5 - cx) / fx * z
            py = (y + 0.5 - cy) / fy * z
            for k in range(3):
                T = T_world_cam[k]
                xyz[y, x, k] = T[0] * px + T[1] * py + T[2] * z + T[3]
            X, Y, Z = xyz[y, x]
            block_key, v = voxel_key(int(np.floor(X / voxel_m)), int(np.floor(Y / voxel_m)), int(np.floor(Z / voxel_m)))
            key[y, x] = block_key if block_key != EMPTY else EMPTY - 1
            voxel[y, x] = v
    return xyz, key, voxel


@njit(cache=True)
def locate_points(xyz: np.ndarray, voxel_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Block key int64 [N] and voxel uint16 [N] of plain points float32 [N, 3]."""
    key = np.empty(xyz.shape[0], np.int64)
    voxel = np.empty(xyz.shape[0], np.uint16)
    for i in range(xyz.shape[0]):
        X, Y, Z = xyz[i]
        k, v = voxel_key(int(np.floor(X / voxel_m)), int(np.floor(Y / voxel_m)), int(np.floor(Z / voxel_m)))
        key[i] = k if k != EMPTY else EMPTY - 1
        voxel[i] = v
    return key, voxel


@njit(cache=True)
def mix_features(kept: np.ndarray, seen: np.ndarray, a: float, known: bool) -> None:
    """Move the features of a point (uint16 [C], bits of float16) by the share ``a`` towards new ones.

    A point that has none yet takes the new ones as they are.
    """
    if not (known and kept.any()):
        kept[:] = seen
        return
    for k in range(kept.size):
        was, now = from_half(kept[k]), from_half(seen[k])
        kept[k] = to_half(was + np.float32(a) * (now - was))


@njit(cache=True)
def merge(
    blocks: Blocks, begin: int, xyz: np.ndarray, rgb: np.ndarray, key: np.ndarray, voxel: np.ndarray,
    seen_ms: np.ndarray, sensed: np.ndarray, weight: np.ndarray, label: np.ndarray, features: np.ndarray,
    max_weight: float, counts: np.ndarray,
) -> tuple[int, int]:
    """Merge located observations from ``begin`` on; returns (where it stopped, what it lacked).

    The common case, a voxel already there in the block of the pixel before, is spelled out in the
    loop: calling a function with all of :class:`Blocks` costs ten times the merge itself.

    Args:
        xyz: float32 [N, 3] metres. rgb: uint8 [N, 3]. key: int64 [N], negative = not to be fused.
        voxel: uint16 [N]. seen_ms: int32, sensed: bool, weight: float32, label: uint16, each [N], or [1] for all.
            A label of 0 leaves the point's own.
        features: uint16 [N, C], bits of float16, or [0, C] when there are none.
        counts: int64 [6], added to.
    """
    last_key, block, each = EMPTY, np.int64(-1), weight.size > 1
    b_look, b_label, each_label, with_features = blocks.look, blocks.label, label.size > 1, features.size > 0
    hash_key, hash_block = blocks.hash_key, blocks.hash_block
    b_xyz, b_rgb, b_weight, b_seen, b_sensed = blocks.xyz, blocks.rgb, blocks.weight, blocks.seen_ms, blocks.sensed
    voxel_place, start = blocks.voxel_place, blocks.start
    for i in range(begin, key.size):
        if key[i] < 0:
            counts[OUT_OF_REACH] += key[i] != EMPTY
            continue
        if key[i] != last_key:
            found = np.int64(find_slot(hash_key, hash_block, key[i]))
            block = found if found >= 0 else insert_block(blocks, key[i])
            if block < 0:
                return i, NEED_BLOCKS
            last_key = key[i]
            blocks.changed[blocks.chunk[block]] = 1
        j = i if each else 0
        old = np.float32(0.0)
        place_in_run = voxel_place[block, voxel[i]]
        if place_in_run != NO_POINT:
            p = start[block] + np.int64(place_in_run)
            if b_sensed[p] and not sensed[j]:
                counts[KEPT] += 1
                continue
            if b_sensed[p] or not sensed[j]:
                old = b_weight[p]
                counts[MERGED] += 1
            else:
                counts[REPLACED] += 1
        elif blocks.counts[N_POINTS] >= blocks.counts[MAX_POINTS]:
            counts[REFUSED] += 1
            blocks.counts[N_REFUSED] += 1
            continue
        else:
            p = add_point(blocks, block, voxel[i])
            if p < 0:
                return i, NEED_POOL
            counts[ADDED] += 1
        a = weight[j] / (old + weight[j])  # 1 for a new or replaced point
        for k in range(3):
            b_xyz[p, k] = (np.float32(1.0) - a) * b_xyz[p, k] + a * xyz[i, k] if old > 0.0 else xyz[i, k]
            b_rgb[p, k] = (np.float32(1.0) - a) * b_rgb[p, k] + a * rgb[i, k] if old > 0.0 else rgb[i, k]
        b_seen[p] = max(seen_ms[j], b_seen[p]) if old > 0.0 else seen_ms[j]
        b_weight[p] = min(old + weight[j], np.float32(max_weight))
        b_sensed[p] = sensed[j]
        b_look[p] = pack_look(b_rgb[p, 0], b_rgb[p, 1], b_rgb[p, 2], b_sensed[p], b_seen[p])
        seen_as = label[i if each_label else 0]
        b_label[p] = seen_as if seen_as else b_label[p]
        if with_features:
            mix_features(blocks.features[p], features[i], a, old > 0.0)
    return key.size, DONE


@njit(cache=True, parallel=True)
def in_range(depth: np.ndarray, accept: np.ndarray, min_range_m: float, max_range_m: float) -> np.ndarray:
    """The depth image float32 [H, W] with 0 where it is not accepted (bool [H, W]) or out of range."""
    out = np.empty_like(depth)
    low, high = np.float32(min_range_m), np.float32(max_range_m)
    for row in prange(depth.shape[0]):
        _in_range(depth[row], accept[row], low, high, out[row])
    return out


@njit(cache=True)
def _in_range(depth: np.ndarray, accept: np.ndarray, low: float, high: float, out: np.ndarray) -> None:
    for x in range(depth.size):
        z = depth[x]
        out[x] = z if accept[x] & (z >= low) & (z <= high) else np.float32(0.0)


@njit(cache=True, parallel=True)
def nearest_around(depth: np.ndarray) -> np.ndarray:
    """Per pixel the smallest known depth of its 3x3 neighbourhood, 0 if any of it is unknown.

    Carving asks this and not the pixel itself: a point is seen through only where all the
    neighbourhood is known to lie behind it, so edges and holes never carve.
    """
    h, w = depth.shape
    out = np.zeros((h, w), np.float32)
    for row in prange(1, h - 1):
        y = np.int64(row)
        for x in range(1, w - 1):
            low = depth[y, x]
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    low = min(low, depth[y + dy, x + dx])
            out[y, x] = low
    return out


@njit(cache=True)
def _weaken_run(
    xyz: np.ndarray, weight: np.ndarray, sensed: np.ndarray, start: int, size: int, changed: np.ndarray, nearest: np.ndarray,
    intrinsics: np.ndarray, T: np.ndarray, margin_m: float, margin_ratio: float,
) -> int:
    """:func:`weaken_seen_through` for one block's run of points; returns how many died.

    Args:
        changed: uint8 [1], set when any point was weakened.
    """
    h, w = nearest.shape
    dead = 0
    for p in range(start, start + size):
        X, Y, Z = xyz[p]
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
        if z <= 0.0:
            continue
        u = intrinsics[0] * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) / z + intrinsics[2]
        v = intrinsics[1] * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) / z + intrinsics[3]
        if not (0.0 <= u < w and 0.0 <= v < h):
            continue
        d = nearest[int(v), int(u)]
        if d > 0.0 and z < d - margin_m - margin_ratio * d:
            changed[0] = 1
            weight[p] *= np.float32(0.25)
            if weight[p] < 1.0 or not sensed[p]:
                weight[p] = 0.0
                dead += 1
    return dead


@njit(cache=True, parallel=True)
def weaken_seen_through(
    blocks: Blocks, visible: np.ndarray, nearest: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray,
    margin_m: float, margin_ratio: float,
) -> np.ndarray:
    """Quarter the weight of points in front of what the frame measured; below 1 they die (weight 0).

    Inventions die at once. Returns per visible block the number of dead points.
    """
    f = intrinsics.astype(np.float32)
    T = T_cam_world.astype(np.float32)
    dead = np.zeros(visible.size, np.int32)
    for each in prange(visible.size):
        block = visible[each]
        dead[each] = _weaken_run(
            blocks.xyz, blocks.weight, blocks.sensed, blocks.start[block], blocks.size[block],
            blocks.changed[blocks.chunk[block] : blocks.chunk[block] + 1], nearest, f, T,
            np.float32(margin_m), np.float32(margin_ratio),
        )
    return dead


@njit(cache=True)
def remove_weakened(blocks: Blocks, visible: np.ndarray, dead: np.ndarray) -> int:
    """Remove the dead points :func:`weaken_seen_through` counted; returns how many."""
    removed = 0
    for j in range(visible.size):
        if dead[j]:
            removed += remove_dead(blocks, visible[j])
    return removed

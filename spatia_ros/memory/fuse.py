"""Fusing an RGB-D frame into the blocks, and carving away what it sees through.

Every pixel that is in range and not on a depth edge is back-projected and merged into its voxel
by a running mean of position and colour. A measured
point replaces an invented one; an invention never alters a measured one.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import (
    BLOCK_VOXELS,
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
from spatia_ros.memory.prefetch import prefetch
from spatia_ros.memory.splat import BATCH, BLOCKS_AHEAD, FLOATS_A_LINE, GROUP

# Places in the counts a fuse returns.
MERGED, ADDED, REPLACED, KEPT, REFUSED, OUT_OF_REACH = range(6)
COUNT_NAMES = ("merged", "added", "replaced", "kept", "refused", "out_of_reach")

SHARE = 512
"""Blocks a thread carves at a time."""


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
        in_range_row(depth[row], accept[row], low, high, out[row])
    return out


@njit(cache=True)
def in_range_row(depth: np.ndarray, accept: np.ndarray, low: float, high: float, out: np.ndarray) -> None:
    """:func:`in_range` of a row."""
    for x in range(depth.size):
        z = depth[x]
        out[x] = z if accept[x] & (z >= low) & (z <= high) else np.float32(0.0)


@njit(cache=True)
def nearest_in_row(depth: np.ndarray, y: int, out: np.ndarray) -> None:
    """:func:`nearest_around` of one row, into float32 [W]."""
    h, w = depth.shape
    out[:] = 0.0
    if 0 < y < h - 1:
        above, here, below = depth[y - 1], depth[y], depth[y + 1]
        for x in range(1, w - 1):
            low = min(min(above[x - 1], above[x]), min(above[x + 1], here[x - 1]))
            low = min(low, min(min(here[x], here[x + 1]), min(below[x - 1], min(below[x], below[x + 1]))))
            out[x] = low


@njit(cache=True, parallel=True)
def nearest_around(depth: np.ndarray) -> np.ndarray:
    """Per pixel the smallest known depth of its 3x3 neighbourhood, 0 if any of it is unknown.

    Carving asks this and not the pixel itself: a point is seen through only where all the
    neighbourhood is known to lie behind it, so edges and holes never carve.
    """
    out = np.empty(depth.shape, np.float32)
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        nearest_in_row(depth, y, out[y])
    return out


@njit(cache=True, error_model="numpy")
def _pixels_of(
    points: np.ndarray, count: int, T: np.ndarray, intrinsics: np.ndarray, width: int, height: int,
    pixel: np.ndarray, zs: np.ndarray,
) -> None:
    """Pixel (row by row) and depth of the first ``count`` points, rounded up to a GROUP; depth infinite: not in the picture.

    Args:
        points: float32 [3 N], x y z x y z .. in metres. pixel: int32 [N], zs: float32 [N], both filled.

    No branch and no call, so that it is vectorised.
    """
    fx, fy, cx, cy = intrinsics
    xx, xy, xz, xt = T[0]
    yx, yy, yz, yt = T[1]
    zx, zy, zz, zt = T[2]
    zero, nowhere = np.float32(0.0), np.float32(np.inf)
    w, h, across = np.float32(width), np.float32(height), np.int32(width)
    for i in range((count + GROUP - 1) // GROUP * GROUP):
        X, Y, Z = points[3 * i], points[3 * i + 1], points[3 * i + 2]
        z = zx * X + zy * Y + zz * Z + zt
        u = fx * (xx * X + xy * Y + xz * Z + xt) / z + cx
        v = fy * (yx * X + yy * Y + yz * Z + yt) / z + cy
        shown = (z > zero) & (u >= zero) & (u < w) & (v >= zero) & (v < h)
        u, v = u if shown else zero, v if shown else zero
        pixel[i] = np.int32(v) * across + np.int32(u)
        zs[i] = z if shown else nowhere


@njit(cache=True)
def _any_before(limit: np.ndarray, pixel: np.ndarray, zs: np.ndarray, count: int) -> np.bool_:
    """Whether any of the points lies before its pixel's limit, float32 [H * W]. Asked to the end: no branch."""
    before = np.int32(0)
    for i in range(count):
        before += np.int32(zs[i] < limit[np.uint32(pixel[i])])
    return before > 0


@njit(cache=True)
def _weaken_run(
    weight: np.ndarray, sensed: np.ndarray, start: int, size: int, limit: np.ndarray, pixel: np.ndarray, zs: np.ndarray
) -> tuple[int, int]:
    """Weaken the points of a run that lie before their pixels' limits; returns how many those are, and how many died."""
    weakened, dead = 0, 0
    for i in range(size):
        if zs[i] < limit[pixel[i]]:
            p = start + i
            weight[p] *= np.float32(0.25)
            weakened += 1
            if weight[p] < 1.0 or not sensed[p]:
                weight[p] = 0.0
                dead += 1
    return weakened, dead


@njit(cache=True)
def weaken_share(
    xyz: np.ndarray, weight: np.ndarray, sensed: np.ndarray, start: np.ndarray, size: np.ndarray, chunk: np.ndarray,
    changed: np.ndarray, visible: np.ndarray, limit: np.ndarray, width: int, intrinsics: np.ndarray, T: np.ndarray,
    dead: np.ndarray,
) -> None:
    """:func:`weaken_seen_through` for some of the blocks, so many at a time that BATCH points come together.

    Most of what is seen lies where it was: a batch is looked at one by one only if any point of it is seen through.
    """
    room, count, first = BATCH + BLOCK_VOXELS + GROUP, 0, 0
    points, pixel, zs = np.zeros(3 * room, np.float32), np.empty(room, np.int32), np.empty(room, np.float32)
    for k in range(visible.size):
        if k + BLOCKS_AHEAD < visible.size:
            ahead = visible[k + BLOCKS_AHEAD]
            for i in range(3 * start[ahead], 3 * (start[ahead] + size[ahead]), FLOATS_A_LINE):
                prefetch(xyz, i)
        begin, n = start[visible[k]], size[visible[k]]
        points[3 * count : 3 * (count + n)] = xyz[3 * begin : 3 * (begin + n)]
        count += n
        if count < BATCH and k + 1 < visible.size:
            continue
        _pixels_of(points, count, T, intrinsics, width, limit.size // width, pixel, zs)
        if _any_before(limit, pixel, zs, count):
            at = 0
            for j in range(first, k + 1):
                block = visible[j]
                weakened, dead[j] = _weaken_run(weight, sensed, start[block], size[block], limit, pixel[at:], zs[at:])
                if weakened:
                    changed[chunk[block]] = 1
                at += size[block]
        count, first = 0, k + 1


@njit(cache=True, parallel=True)
def _limits(nearest: np.ndarray, margin_m: float, margin_ratio: float) -> np.ndarray:
    """float32 [H * W]: what is nearer than this is seen through. Not positive, so that nothing is, where nothing is known."""
    out, margin, ratio = np.empty(nearest.shape, np.float32), np.float32(margin_m), np.float32(margin_ratio)
    for row in prange(nearest.shape[0]):
        limit_row(nearest[row], margin, ratio, out[row])
    return out.reshape(-1)


@njit(cache=True)
def limit_row(nearest: np.ndarray, margin_m: float, margin_ratio: float, out: np.ndarray) -> None:
    """A row of limits, float32 [W]: what is nearer is seen through. Not positive where nothing is known."""
    for x in range(nearest.size):
        out[x] = nearest[x] - margin_m - margin_ratio * nearest[x]


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
    limit, width, xyz = _limits(nearest, margin_m, margin_ratio), nearest.shape[1], blocks.xyz.reshape(-1)
    dead = np.zeros(visible.size, np.int32)
    for each in prange((visible.size + SHARE - 1) // SHARE):
        begin = np.int64(each) * SHARE
        weaken_share(
            xyz, blocks.weight, blocks.sensed, blocks.start, blocks.size, blocks.chunk, blocks.changed,
            visible[begin : begin + SHARE], limit, width, f, T, dead[begin : begin + SHARE],
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

"""Carving a frame's way through the map, in one go: blocks in view, points before what was seen, and those that died."""

from __future__ import annotations

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import Blocks, remove_dead
from spatia_ros.memory.crew import claim, desk, hand_in, wait_for
from spatia_ros.memory.cull import FIND_STEPS, PIECE, PIECES, InView, find_together, room_to_find
from spatia_ros.memory.fuse import weaken_share

_WEAKEN, _REMOVE = FIND_STEPS, FIND_STEPS + 1


@njit(cache=True)
def _share(
    thread: int, desk: np.ndarray, blocks: Blocks, view: InView, limit: np.ndarray, dead: np.ndarray, intrinsics: np.ndarray,
    T_cam_world: np.ndarray, width: int, height: int, voxel_m: float, reach_m: float,
) -> None:
    find_together(desk, thread, blocks, view, T_cam_world, intrinsics, width, height, voxel_m, reach_m)
    f, T, pieces = intrinsics.astype(np.float32), T_cam_world.astype(np.float32), view.counts[PIECES]
    xyz, weight, sensed, start, size = blocks.xyz.reshape(-1), blocks.weight, blocks.sensed, blocks.start, blocks.size
    counts = np.empty(PIECE, np.int32)
    while True:
        k = claim(desk, _WEAKEN, pieces)
        if k < 0:
            break
        whose, begin, end = view.piece[k]
        counts[:] = 0
        weaken_share(
            xyz, weight, sensed, start, size, blocks.chunk, blocks.changed, view.block[whose, begin:end], limit, width, f, T,
            counts,
        )
        dead[k] = counts.sum()
        hand_in(desk, _WEAKEN)
    wait_for(desk, _WEAKEN, pieces)
    if claim(desk, _REMOVE, 1) == 0:
        for k in range(pieces):
            whose, begin, end = view.piece[k]
            for i in range(begin, end if dead[k] else begin):
                remove_dead(blocks, view.block[whose, i])
        hand_in(desk, _REMOVE)


@njit(cache=True, parallel=True)
def _carve(
    threads: int, desk: np.ndarray, blocks: Blocks, view: InView, limit: np.ndarray, dead: np.ndarray, intrinsics: np.ndarray,
    T_cam_world: np.ndarray, width: int, height: int, voxel_m: float, reach_m: float,
) -> None:
    for each in prange(threads):
        _share(
            np.int64(each), desk, blocks, view, limit, dead, intrinsics, T_cam_world, width, height, voxel_m, reach_m
        )


def carve(
    blocks: Blocks, limit: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray, width: int, height: int,
    voxel_m: float, reach_m: float, threads: int,
) -> int:
    """Weaken what lies nearer than a limit, float32 [H * W], and remove what dies of it; returns how many points did.

    The same as :func:`.fuse.weaken_seen_through` and :func:`.fuse.remove_weakened` of all blocks in view up to ``reach_m``.
    """
    view = room_to_find(blocks, threads)
    dead = np.zeros(len(view.piece), np.int64)
    _carve(
        threads, desk(FIND_STEPS + 2), blocks, view, limit, dead, intrinsics, T_cam_world, width, height, voxel_m, reach_m
    )
    return int(dead.sum())

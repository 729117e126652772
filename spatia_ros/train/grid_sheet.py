"""A grid to look at: cameras downwards, animation times rightwards, the last camera's depth and object numbers below."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from spatia_ros.train.grid_file import Row
from spatia_ros.types import UInt8

TILE_WIDTH = 160
TIMES = 8


def sheet(rows: Sequence[Row]) -> UInt8:
    """uint8 [H, W, 3] of some cameras of a grid at up to eight times."""
    times = np.linspace(0, len(rows[0].times_s) - 1, min(TIMES, len(rows[0].times_s))).astype(int)
    lines = [[_tile(row.rgb[k], f"{row.times_s[k]:.2f} s") for k in times] for row in rows]
    last = rows[-1]
    far = float(np.percentile(last.depth, 98)) or 1.0
    grey = [(255 * np.clip(1 - last.depth[k] / far, 0, 1) * (last.depth[k] > 0)).astype(np.uint8) for k in times]
    lines.append([_tile(np.repeat(g[..., None], 3, -1)) for g in grey])
    lines.append([_tile(_coloured(last.ids[k])) for k in times])
    return np.concatenate([np.concatenate(line, 1) for line in lines])


def _coloured(ids: np.ndarray) -> UInt8:
    """A colour for each number, black for none."""
    turned = ids.astype(np.uint32)[..., None] * np.array((2654435761, 40503, 97), np.uint32)
    return (((turned >> 3) % 200 + 55) * (ids > 0)[..., None]).astype(np.uint8)


def _tile(rgb: UInt8, text: str = "") -> UInt8:
    height = max(1, TILE_WIDTH * rgb.shape[0] // rgb.shape[1])
    tile = cv2.resize(rgb, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)
    cv2.putText(tile, text, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 0), 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


def write_picture(path: Path, rgb: UInt8) -> None:
    """Write a PNG, all or nothing."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.png")
    cv2.imwrite(str(partial), rgb[..., ::-1])
    os.replace(partial, path)

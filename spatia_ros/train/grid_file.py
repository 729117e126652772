"""One camera of a full grid at all animation times, as a file: exact colour, depth and object numbers.

A camera that stands sees the same thing at nearly every pixel from one time to the next, so each picture is kept as its
difference (bits, exclusive or) from the one before: exact, and a whole row costs little more than its first picture.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatia_ros.types import Float32, Float64, SpatiaError, UInt8, UInt16, check_array

MAX_ROW_BYTES = 1 << 30
"""A row larger than this, unpacked, is refused."""
DAMAGED = (
    OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What the readers of a damaged file raise."""
_BYTES_A_PIXEL = 3 + 4 + 2
_SLACK = 1 << 16


@dataclass(frozen=True, slots=True)
class Row:
    """What one camera sees at T animation times.

    Args:
        times_s: float64 [T]. T_world_cam: float64 [4, 4].
        rgb: uint8 [T, H, W, 3]. depth: float32 [T, H, W], m, 0 where nothing is met. ids: uint16 [T, H, W], object numbers.
    """

    times_s: Float64
    T_world_cam: Float64
    rgb: UInt8
    depth: Float32
    ids: UInt16

    def __post_init__(self) -> None:
        check_array("row.times_s", self.times_s, (None,), np.float64)
        check_array("row.T_world_cam", self.T_world_cam, (4, 4), np.float64)
        check_array("row.rgb", self.rgb, (len(self.times_s), None, None, 3), np.uint8)
        check_array("row.depth", self.depth, self.rgb.shape[:3], np.float32)
        check_array("row.ids", self.ids, self.rgb.shape[:3], np.uint16)
        if not len(self.times_s) or not np.isfinite(self.depth).all() or not np.isfinite(self.times_s).all():
            raise SpatiaError("row: expected at least one time, and finite seconds and metres")


def row_bytes(times: int, width: int, height: int) -> int:
    """What a row takes up, unpacked."""
    return times * width * height * _BYTES_A_PIXEL


def write_row(path: Path, row: Row) -> None:
    """Write a row, all or nothing.

    Raises:
        SpatiaError: when it is too large.
    """
    times, height, width = row.depth.shape
    if row_bytes(times, width, height) > MAX_ROW_BYTES:
        raise SpatiaError(f"grid row {path}: expected at most {MAX_ROW_BYTES} bytes, got {row_bytes(times, width, height)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    try:
        np.savez_compressed(
            partial, times_s=row.times_s, T_world_cam=row.T_world_cam, rgb=_changes(row.rgb),
            depth=_changes(row.depth.view(np.uint32)), ids=_changes(row.ids),
        )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_row(path: Path) -> Row:
    """The row of a file.

    Raises:
        SpatiaError: when it is not one.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > MAX_ROW_BYTES + _SLACK:
            raise SpatiaError(f"grid row {path}: expected at most {MAX_ROW_BYTES} bytes, got {size}")
        with np.load(path, allow_pickle=False) as kept:
            rgb, depth, ids = (_summed(kept[name]) for name in ("rgb", "depth", "ids"))
            return Row(kept["times_s"], kept["T_world_cam"], rgb, np.ascontiguousarray(depth).view(np.float32), ids)
    except DAMAGED as error:
        raise SpatiaError(f"grid row {path}: cannot be read ({error}); delete it and write the grid again") from None


def _changes(images: np.ndarray) -> np.ndarray:
    """The first image, then for each the bits that differ from the one before."""
    out = images.copy()
    out[1:] ^= images[:-1]
    return out


def _summed(changes: np.ndarray) -> np.ndarray:
    if changes.dtype.kind != "u" or changes.ndim < 3:
        raise ValueError(f"expected images of whole numbers, got {changes.dtype} {list(changes.shape)}")
    return np.asarray(np.bitwise_xor.accumulate(changes, axis=0))

"""Reading files of version 1, which were written whole: a header as JSON, then sections, each with its checksum.

Layout: 8 bytes magic, 8 bytes header length (little endian), the header, 16 bytes digest of the header, then the sections one
after another as the header lists them. Loading one and saving it again migrates it.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.memory.keyframes import Keyframe
from spatia_ros.memory.log import DIGEST_BYTES, digest
from spatia_ros.memory.memory import Memory
from spatia_ros.types import Camera, SpatiaError, check_array, check_pose

MAGIC = b"SPATIA\x00\n"
VERSION = 1
MAX_HEADER_BYTES = 1 << 26
MAX_SECTION_BYTES = 1 << 36
UNUSABLE = (
    KeyError, TypeError, ValueError, OSError, OverflowError, AttributeError, IndexError, RecursionError, zlib.error,
)  # fmt: skip
"""What a header raises that means nothing."""
DTYPES = {"float32", "float64", "int32", "int64", "uint8", "uint16", "bool"}


def _read_header(file: BinaryIO, path: Path) -> dict[str, Any]:
    """The checked header; leaves the file at the first section."""
    size = os.fstat(file.fileno()).st_size
    if file.read(len(MAGIC)) != MAGIC:
        raise SpatiaError(f"{path}: expected a memory file (it begins with {MAGIC!r}), got something else")
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER_BYTES or len(MAGIC) + 8 + length + DIGEST_BYTES > size:
        raise SpatiaError(f"{path}: cut short or damaged: the header says {length} bytes, the file has {size}")
    data = file.read(length)
    if file.read(DIGEST_BYTES) != digest(data):
        raise SpatiaError(f"{path}: damaged: the header does not match its checksum")
    header = json.loads(data)
    if header["version"] != VERSION:
        raise SpatiaError(f"{path}: expected version {VERSION}, got {header['version']}; it was written by another release")
    expected = file.tell() + sum(s["bytes"] for s in header["sections"])
    if size != expected:
        raise SpatiaError(f"{path}: cut short or damaged: expected {expected} bytes, got {size}")
    return header


def _read_section(file: BinaryIO, section: dict[str, Any], path: Path) -> np.ndarray:
    name, shape = section["name"], section["shape"]
    if section["dtype"] not in DTYPES or any(s < 0 for s in shape):
        raise SpatiaError(f"{path}: section {name}: expected one of {sorted(DTYPES)}, got {section['dtype']} {shape}")
    raw_bytes = int(np.prod(shape, dtype=np.float64)) * np.dtype(section["dtype"]).itemsize
    if raw_bytes > MAX_SECTION_BYTES or section["bytes"] > MAX_SECTION_BYTES:
        raise SpatiaError(f"{path}: section {name}: expected at most {MAX_SECTION_BYTES} bytes, got {raw_bytes}")
    data = file.read(section["bytes"])
    if digest(data).hex() != section["digest"]:
        raise SpatiaError(f"{path}: damaged: section {name} does not match its checksum")
    if section["packed"]:
        data = zlib.decompressobj().decompress(data, raw_bytes + 1)
    if len(data) != raw_bytes:
        raise SpatiaError(f"{path}: section {name}: expected {raw_bytes} bytes, got {len(data)}")
    return np.frombuffer(data, section["dtype"]).reshape(shape)


def load_v1(path: Path) -> Memory:
    """The memory in a file of version 1, exactly as it was saved.

    Raises:
        SpatiaError: saying what is wrong with the file; the file is never changed.
    """
    try:
        with path.open("rb") as file:
            header = _read_header(file, path)
            arrays = {s["name"]: _read_section(file, s, path) for s in header["sections"]}
        return _rebuild(header, arrays)
    except UNUSABLE as error:
        if isinstance(error, SpatiaError):
            raise
        raise SpatiaError(f"{path}: not a usable memory file: {type(error).__name__}: {error}") from None


def _rebuild(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Memory:
    memory = Memory(MemoryConfig.model_validate(header["config"]))
    epoch_ns = header["epoch_ns"]
    if not (epoch_ns is None or (isinstance(epoch_ns, int) and abs(epoch_ns) < 2**63)):
        raise SpatiaError(f"memory file: epoch_ns: expected nanoseconds, got {epoch_ns!r:.80}")
    memory.epoch_ns = epoch_ns
    if not (np.isfinite(arrays["xyz"]).all() and np.isfinite(arrays["rgb"]).all() and (arrays["weight"] > 0).all()):
        raise SpatiaError("memory file: expected finite points with positive weights")
    memory.names = {int(label): str(name) for label, name in header.get("names", {}).items()}
    key = np.repeat(arrays["block_key"], arrays["block_size"])
    label, features = arrays.get("label", np.zeros(1, np.uint16)), arrays.get("features", np.empty((0, 0), np.uint16))
    memory.merge_located(
        arrays["xyz"], arrays["rgb"], key, arrays["voxel"], arrays["seen_ms"], arrays["sensed"].astype(bool), arrays["weight"],
        label, features,
    )
    for i, k in enumerate(header["keyframes"]):
        width, height, *intrinsics = k["camera"]
        rgb, depth, sensed = (arrays[f"keyframe.{i}.{part}"] for part in ("rgb", "depth", "sensed"))
        T, camera = np.array(k["T_world_cam"], np.float64), Camera(int(width), int(height), *map(float, intrinsics))
        check_pose(f"keyframe {i}", T)
        size = camera.height, camera.width
        check_array(f"keyframe {i}: rgb", rgb, (*size, 3), np.uint8)
        check_array(f"keyframe {i}: depth", depth, size, np.float32)
        if sensed.shape != size or not (np.isfinite(depth).all() and (depth >= 0).all()):
            raise SpatiaError(f"keyframe {i}: expected finite depth and provenance of {size}, got {list(sensed.shape)}")
        memory.keyframes.append(Keyframe(rgb, depth, sensed.astype(bool), camera, T, int(k["stamp_ns"])))
    return memory

"""Memory on disk: one file, versioned, every section checksummed, written whole or not at all.

Layout: 8 bytes magic, 8 bytes header length (little endian), the header as JSON, 16 bytes digest
of the header, then the sections one after another as the header lists them. A file cut short or
changed in any byte is refused with a sentence; nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.memory.blocks import N_BLOCKS, live_places
from spatia_ros.memory.keyframes import Keyframe
from spatia_ros.memory.memory import Memory, Points
from spatia_ros.types import Camera, SpatiaError, check_pose

MAGIC = b"SPATIA\x00\n"
VERSION = 1
MAX_HEADER_BYTES = 1 << 26
MAX_SECTION_BYTES = 1 << 36
DTYPES = {"float32", "float64", "int32", "int64", "uint8", "uint16", "bool"}
DIGEST_BYTES = 16


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _sections(memory: Memory) -> dict[str, np.ndarray]:
    """Every array that makes up a memory, by name."""
    b = memory.store.blocks
    at, n = live_places(b), int(b.counts[N_BLOCKS])
    filled = b.size[:n] > 0
    sections = {
        "block_key": b.key[:n][filled], "block_size": b.size[:n][filled], "voxel": b.voxel[at], "xyz": b.xyz[at],
        "rgb": b.rgb[at], "weight": b.weight[at], "seen_ms": b.seen_ms[at], "sensed": b.sensed[at],
        "label": b.label[at], "features": b.features[at],
    }
    for i, k in enumerate(memory.keyframes.keyframes):
        sections |= {f"keyframe.{i}.rgb": k.rgb, f"keyframe.{i}.depth": k.depth, f"keyframe.{i}.sensed": k.sensed}
    return sections


def save(memory: Memory, path: Path | str) -> None:
    """Write a memory to a file; an existing file is replaced only once the new one is complete on disk."""
    path = Path(path)
    listed, payloads = [], []
    for name, array in _sections(memory).items():
        raw = np.ascontiguousarray(array).tobytes()
        data = zlib.compress(raw, 1) if name.startswith("keyframe.") else raw
        payloads.append(data)
        listed.append({
            "name": name, "dtype": array.dtype.name, "shape": list(array.shape), "bytes": len(data),
            "packed": data is not raw, "digest": _digest(data).hex(),
        })
    header = json.dumps({
        "version": VERSION, "config": memory.config.model_dump(), "epoch_ns": memory.epoch_ns, "sections": listed,
        "names": {str(label): name for label, name in memory.names.items()},
        "keyframes": [
            {"camera": [k.camera.width, k.camera.height, k.camera.fx, k.camera.fy, k.camera.cx, k.camera.cy],
             "T_world_cam": k.T_world_cam.tolist(), "stamp_ns": k.stamp_ns}
            for k in memory.keyframes.keyframes
        ],
    }).encode()
    _write_whole(path, [MAGIC, len(header).to_bytes(8, "little"), header, _digest(header), *payloads])


def _write_whole(path: Path, parts: list[bytes]) -> None:
    """Write beside the target, force to disk, then rename over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _read_header(file: BinaryIO, path: Path) -> dict[str, Any]:
    """The checked header; leaves the file at the first section."""
    size = os.fstat(file.fileno()).st_size
    if file.read(len(MAGIC)) != MAGIC:
        raise SpatiaError(f"{path}: expected a memory file (it begins with {MAGIC!r}), got something else")
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER_BYTES or len(MAGIC) + 8 + length + DIGEST_BYTES > size:
        raise SpatiaError(f"{path}: cut short or damaged: the header says {length} bytes, the file has {size}")
    data = file.read(length)
    if file.read(DIGEST_BYTES) != _digest(data):
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
    if _digest(data).hex() != section["digest"]:
        raise SpatiaError(f"{path}: damaged: section {name} does not match its checksum")
    if section["packed"]:
        data = zlib.decompressobj().decompress(data, raw_bytes + 1)
    if len(data) != raw_bytes:
        raise SpatiaError(f"{path}: section {name}: expected {raw_bytes} bytes, got {len(data)}")
    return np.frombuffer(data, section["dtype"]).reshape(shape)


def load(path: Path | str) -> Memory:
    """The memory in a file, exactly as it was saved.

    Raises:
        SpatiaError: saying what is wrong with the file; the file is never changed.
    """
    path = Path(path)
    if not path.is_file():
        raise SpatiaError(f"memory: expected a file, {path} is not one")
    try:
        with path.open("rb") as file:
            header = _read_header(file, path)
            arrays = {s["name"]: _read_section(file, s, path) for s in header["sections"]}
        return _rebuild(header, arrays)
    except (KeyError, TypeError, ValueError, OSError, zlib.error) as error:
        if isinstance(error, SpatiaError):
            raise
        raise SpatiaError(f"{path}: not a usable memory file: {type(error).__name__}: {error}") from None


def _rebuild(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Memory:
    memory = Memory(MemoryConfig.model_validate(header["config"]))
    memory.epoch_ns = header["epoch_ns"]
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
        T = np.array(k["T_world_cam"], np.float64)
        check_pose(f"keyframe {i}", T)
        memory.keyframes.append(Keyframe(rgb, depth, sensed, Camera(int(width), int(height), *intrinsics), T, k["stamp_ns"]))
    return memory


def export_ply(points: Points, path: Path | str) -> None:
    """Write points as a binary PLY (x y z in metres, red green blue, confidence, sensed), whole or not at all."""
    fields = [(axis, "<f4") for axis in "xyz"] + [(colour, "u1") for colour in ("red", "green", "blue")]
    fields += [("confidence", "<f4"), ("sensed", "u1")]
    rows = np.empty(len(points.xyz), fields)
    for k, axis in enumerate("xyz"):
        rows[axis] = points.xyz[:, k]
    for k, colour in enumerate(("red", "green", "blue")):
        rows[colour] = points.rgb[:, k]
    rows["confidence"], rows["sensed"] = points.confidence, points.sensed
    kinds = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property {kinds[kind]} {name}" for name, kind in fields] + ["end_header", ""]
    _write_whole(Path(path), ["\n".join(header).encode(), rows.tobytes()])

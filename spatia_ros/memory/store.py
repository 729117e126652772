"""Memory on disk: saved whole or not at all, loaded, or opened and kept attached (see :mod:`.log` for the file itself)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.memory import chunks, keyframe_file, version1
from spatia_ros.memory.chunk_index import live_chunks
from spatia_ros.memory.chunks import CHUNK
from spatia_ros.memory.index import Commit, Index, read_commit, with_config
from spatia_ros.memory.log import Log
from spatia_ros.memory.memory import Memory, Points
from spatia_ros.memory.paging import Pages, take_chunk
from spatia_ros.types import SpatiaError


@contextmanager
def replaced_by(path: Path) -> Iterator[Log]:
    """A new log beside a file, put in its place at the end; whoever commits to it decides when it is on disk."""
    partial = _beside(path)
    log = Log(partial, write=True, new=True)
    try:
        yield log
        os.replace(partial, path)
        log.path = path
        _sync_folder(path.parent)
    except BaseException:
        log.close()
        raise
    finally:
        partial.unlink(missing_ok=True)


ABANDONED_S = 60.0
"""A file that nobody has written to for so long has no writer any more, on this machine or another."""


def _beside(path: Path) -> Path:
    """Where a file is written before it takes its place; what writers of it that were killed have left is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + f".{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    for left in path.parent.glob(f"{escape(path.name)}.*.partial"):
        if left.stat().st_mtime < time.time() - ABANDONED_S:
            left.unlink(missing_ok=True)
    return partial


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save(memory: Memory, path: Path | str, exact: bool = False) -> None:
    """Write a memory to a file; an existing file is replaced only once the new one is complete on disk.

    Args:
        exact: keep every number as it is, at three times the size; otherwise see :mod:`.quantise`.
    """
    path, pages = Path(path), memory.pages
    if pages is not None and path.exists() and path.samefile(pages.log.path):
        pages.flush(memory)
        return
    with replaced_by(path) as log:
        log.commit(_written(memory, log, exact).parts())
    log.close()


def _written(memory: Memory, log: Log, exact: bool) -> Commit:
    """Append all of a memory to a new log."""
    b, pages = memory.store.blocks, memory.pages
    where: dict[int, tuple[int, int, int, int]] = {}
    sources = {int(b.chunk_key[slot]): ("slot", slot) for slot in live_chunks(b).tolist()}
    if pages is not None:
        rows = np.flatnonzero(~pages.unpacked(memory)).tolist()
        sources |= {int(pages.index.key[row]): ("row", row) for row in rows}
    for key, (kind, at) in sorted(sources.items()):
        if kind == "row" and pages is not None:
            record = log.copy(pages.log, pages.view.record(at))
            where[key] = record.offset, record.length, int(pages.index.points[at]), int(pages.index.box[at])
        elif len(points := take_chunk(memory, at)):
            record = log.append(CHUNK, chunks.encode(points, memory.config.voxel_m, exact))
            where[key] = record.offset, record.length, len(points), chunks.box_of(points)
    kept = memory.keyframes.keyframes
    keyframes = tuple(log.append(keyframe_file.KEYFRAME, keyframe_file.encode(k)).offset for k in kept)
    return Commit(memory.config, memory.epoch_ns, dict(memory.names), keyframes, Index().updated(where))


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise SpatiaError(f"memory: expected a file, {path} is not one")
    return path


def is_version1(path: Path) -> bool:
    """Whether a file begins as those of version 1 do."""
    with path.open("rb") as file:
        return file.read(len(version1.MAGIC)) == version1.MAGIC


def load(path: Path | str) -> Memory:
    """The memory in a file, all of it unpacked and independent of the file.

    Raises:
        SpatiaError: saying what is wrong with the file, or that it is too large; the file is never changed.
    """
    path = _existing(path)
    if is_version1(path):
        return version1.load_v1(path)
    memory = attach(path, write=False)
    pages = memory.pages
    assert pages is not None
    total, most = int(pages.index.points.sum()), memory.config.resident_points
    if total > most:
        raise SpatiaError(f"{path}: holds {total} points, more than memory.resident_points ({most}): open it, do not load it")
    pages.unpack(memory, pages.index.key)
    memory.pages = None
    pages.log.close()
    return memory


def attach(path: Path | str, *, write: bool = True, config: MemoryConfig | None = None) -> Memory:
    """The memory in a file, left in the file and attached to it.

    Args:
        write: so that :meth:`Memory.flush` can be called; only one process may. config: in place of the stored one.

    Raises:
        SpatiaError: saying what is wrong with the file.
    """
    path = _existing(path)
    if is_version1(path):
        raise SpatiaError(f"{path}: is of version 1; load it and save it again (spatia memory migrate), then it can be opened")
    log = Log(path, write=write)
    try:
        commit = read_commit(log)
        if config is not None:
            commit = with_config(commit, config)
        memory = Memory(commit.config)
        memory.epoch_ns, memory.names, memory.pages = commit.epoch_ns, dict(commit.names), Pages(log, commit)
        for offset in commit.keyframes:
            keyframe = keyframe_file.decode(log, offset)
            memory.keyframes.append(keyframe)
            memory.pages.know_keyframe(keyframe, offset)
        return memory
    except BaseException:
        log.close()
        raise


def verify(memory: Memory) -> None:
    """Read every record of an attached memory's file.

    Raises:
        SpatiaError: at the first that is damaged.
    """
    pages = memory.pages
    assert pages is not None
    for row in range(len(pages.index)):
        record = pages.view.record(row)
        for part in range(len(record.starts)):
            pages.log.part(record, part)
        chunks.decode(pages.log, record, memory.config.voxel_m, memory.config.feature_channels)


def _write_whole(path: Path, parts: list[bytes]) -> None:
    """Write beside the target, force to disk, then rename over it."""
    partial = _beside(path)
    try:
        with partial.open("xb") as file:  # never through a link that somebody put there
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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

"""What a commit says: which chunk lies where in the file, which keyframes, and how to read them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from spatia_ros.config import MemoryConfig
from spatia_ros.memory.blocks import BLOCK_SIDE, KEY_BIAS
from spatia_ros.memory.chunks import MOST_POINTS, SIDE_VOXELS, axes_of
from spatia_ros.memory.log import MAGIC, Log, Record
from spatia_ros.types import Int64, SpatiaError

VERSION = 2
MOST_TEXT_BYTES = 1 << 26
ROW_BYTES = 5 * 8


@dataclass(frozen=True, eq=False)
class Index:
    """Chunks by rising key; never changed, only replaced, so whoever holds one sees the file as it was.

    Args:
        key, offset, length, points, box: int64 [C]: of the chunk, its record's first byte and bytes, its points, and the
            voxels they span (see :func:`.chunks.box_of`).
    """

    key: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    offset: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    length: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    points: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    box: Int64 = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.key)

    def find(self, keys: Int64) -> Int64:
        """Rows int64 [N] of chunk keys int64 [N], -1 for those that are not in the file."""
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self.key, keys), len(self) - 1)
        return np.where(self.key[at] == keys, at, -1)

    def updated(self, changes: dict[int, tuple[int, int, int, int]]) -> Index:
        """With the chunks given at ``(offset, length, points, box)``; one without points is left out."""
        if not changes:
            return self
        keys = np.fromiter(changes, np.int64, len(changes))
        kept = ~np.isin(self.key, keys)
        new = np.array([(key, *where) for key, where in changes.items() if where[2] > 0], np.int64).reshape(-1, 5)
        rows = np.concatenate([np.stack([self.key, self.offset, self.length, self.points, self.box], 1)[kept], new])
        return Index(*np.ascontiguousarray(rows[np.argsort(rows[:, 0])].T))


@dataclass(frozen=True, slots=True)
class Commit:
    """The state of a stored memory: the index, the keyframes' records, and what is needed to read them."""

    config: MemoryConfig
    epoch_ns: int | None
    names: dict[int, str]
    keyframes: tuple[int, ...]  # offsets
    index: Index

    def parts(self) -> list[bytes | np.ndarray]:
        """The parts of a commit record."""
        text = {
            "version": VERSION, "config": self.config.model_dump(), "epoch_ns": self.epoch_ns,
            "names": {str(label): name for label, name in self.names.items()}, "keyframes": list(self.keyframes),
        }  # fmt: skip
        i = self.index
        return [json.dumps(text).encode(), np.stack([i.key, i.offset, i.length, i.points, i.box], 1)]


def read_commit(log: Log) -> Commit:
    """The last complete commit of a log.

    Raises:
        SpatiaError: when it does not make sense.
    """
    record = log.committed
    if record is None or len(record.starts) != 2 or record.lengths[0] > MOST_TEXT_BYTES or record.lengths[1] % ROW_BYTES:
        raise SpatiaError(f"{log.path}: damaged: expected a commit of a text and an index")
    try:
        text = json.loads(log.part(record, 0).tobytes())
        version = text["version"]
        if version != VERSION:
            raise SpatiaError(f"{log.path}: expected version {VERSION}, got {version!r}; it was written by another release")
        config = MemoryConfig.model_validate(text["config"])
        names = {int(label): str(name) for label, name in text["names"].items()}
        keyframes, epoch_ns = tuple(int(at) for at in text["keyframes"]), _whole(text["epoch_ns"])
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError, RecursionError) as error:
        if isinstance(error, SpatiaError):
            raise
        raise SpatiaError(f"{log.path}: not a usable memory file: {type(error).__name__}: {error}") from None
    return Commit(config, epoch_ns, names, keyframes, _read_index(log, record))


def _whole(value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or abs(value) >= 2**63):
        raise ValueError(f"expected nanoseconds, got {value!r}")
    return value


def _read_index(log: Log, record: Record) -> Index:
    rows = np.frombuffer(log.part(record, 1).tobytes(), np.int64).reshape(-1, 5)
    key, offset, length, points, box = np.ascontiguousarray(rows.T)
    sound = (np.diff(key) > 0).all() and (key >= 0).all() and (axes_of(key) * SIDE_VOXELS < 2 * KEY_BIAS * BLOCK_SIDE).all()
    sound &= (offset >= len(MAGIC)).all() and (offset % 8 == 0).all() and (length > 0).all() and (length < 2**40).all()
    sound &= (offset <= record.offset - length).all() and (points > 0).all() and (points <= MOST_POINTS).all()
    if not sound:
        raise SpatiaError(f"{log.path}: damaged: the index names records that cannot be")
    return Index(key, offset, length, points, box)


def with_config(commit: Commit, config: MemoryConfig) -> Commit:
    """The same state under another configuration.

    Raises:
        SpatiaError: when the points could not be read by it.
    """
    fixed = ("voxel_m", "feature_channels")
    for name in fixed:
        if getattr(config, name) != getattr(commit.config, name):
            raise SpatiaError(f"memory file: expected {name} {getattr(commit.config, name)}, got {getattr(config, name)}")
    return replace(commit, config=config)

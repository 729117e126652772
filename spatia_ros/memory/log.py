"""An append-only file of checksummed records: what stands before the last complete commit is never touched again.

Layout, little endian, everything at multiples of 8 bytes: 8 bytes magic, then records. A record is its kind (4 bytes), the
number of its parts (4 bytes), a digest of both and of the table of parts (16 bytes), that table (per part 8 bytes length,
16 bytes digest), and the parts. A commit is a record followed by 32 bytes of trailer that point back at it, so the last
complete commit is found from the end: at once in a sound file, by searching backwards in one whose writer was killed.
Parts are checked against their digests when they are first read, so opening costs the index and not the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatia_ros.types import SpatiaError, UInt8

MAGIC = b"SPATIA\x00\x02"
COMMIT = b"CMIT"
TRAILER_MAGIC = b"SPATIAok"
DIGEST_BYTES = 16
TRAILER_BYTES = 8 + 8 + DIGEST_BYTES
HEAD_BYTES = 8 + DIGEST_BYTES
PART_BYTES = 8 + DIGEST_BYTES
MAX_PARTS = 64
SEARCH_BYTES = 8 << 20


def digest(*data: bytes | memoryview) -> bytes:
    """16 bytes that change when any byte of the data does."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for piece in data:
        state.update(piece)
    return state.digest()


def _padded(length: int) -> int:
    return (length + 7) & ~7


def bytes_of(part: bytes | np.ndarray) -> bytes | memoryview:
    """The raw bytes of a part, not copied where they lie together."""
    return part if isinstance(part, bytes) else np.ascontiguousarray(part).reshape(-1).view(np.uint8).data


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record's parts lie: bytes from the start of the file, lengths, digests."""

    kind: bytes
    offset: int
    length: int  # of the whole record, padding included
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    digests: tuple[bytes, ...]


def _head_of(kind: bytes, parts: Sequence[bytes | memoryview]) -> bytes:
    """Kind, part count, digest and table of a record to be written."""
    begin = kind + len(parts).to_bytes(4, "little")
    table = b"".join(len(part).to_bytes(8, "little") + digest(part) for part in parts)
    return begin + digest(begin, table) + table


class Log:
    """A file of records, open for reading, and for appending when ``write``.

    Raises:
        SpatiaError: when the file is not such a log, or holds no complete commit, or another process writes to it.
    """

    def __init__(self, path: Path, *, write: bool = False, new: bool = False) -> None:
        self.path, self.write = path, write
        try:
            self._file = path.open("x+b" if new else ("r+b" if write else "rb"))
        except OSError as error:
            raise SpatiaError(f"{path}: expected a memory file that can be opened, got {error.strerror}") from None
        try:
            if write or new:
                self._lock()
            self._mapped: UInt8 = np.empty(0, np.uint8)
            self._checked: set[int] = set()
            self.committed: Record | None = None
            if new:
                self._file.write(MAGIC)
                self.end, self.tail_bytes = len(MAGIC), 0
            else:
                self._find_last_commit()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SpatiaError(f"{self.path}: another process has this memory open for writing") from None

    def close(self) -> None:
        """Close the file; views of its parts stay valid."""
        self._file.close()

    def damaged(self, offset: int, what: str) -> SpatiaError:
        """The error to raise about the record at an offset."""
        return SpatiaError(f"{self.path}: damaged: the record at byte {offset} {what}")

    # Reading

    def _find_last_commit(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(0)
        magic = self._file.read(len(MAGIC))
        if magic != MAGIC:
            raise SpatiaError(f"{self.path}: expected a memory file (it begins with {MAGIC!r}), got {magic!r}")
        self.end = size & ~7
        at = self.end - TRAILER_BYTES
        while at >= len(MAGIC):
            at = self._last_trailer(at)
            if at >= 0 and (record := self._commit_before(at)) is not None:
                self.committed, self.end = record, at + TRAILER_BYTES
                self.tail_bytes = size - self.end
                return
            at -= 8
        raise SpatiaError(f"{self.path}: cut short or damaged: {size} bytes, and no complete commit among them")

    def _last_trailer(self, at: int) -> int:
        """Start of the last trailer magic that begins at or before ``at``, -1 without one."""
        while at >= 0:
            first = max(0, at + 8 - SEARCH_BYTES) & ~7
            block = self._bytes(first, at + 8 - first)
            found = block.rfind(TRAILER_MAGIC)
            while found >= 0 and found % 8:
                found = block.rfind(TRAILER_MAGIC, 0, found + 7)
            if found >= 0:
                return first + found
            at = first - 8
        return -1

    def _commit_before(self, at: int) -> Record | None:
        """The whole commit whose trailer stands at ``at``; None when trailer or record are not as written."""
        trailer = self._bytes(at, TRAILER_BYTES)
        offset = int.from_bytes(trailer[8:16], "little")
        if trailer[16:] != digest(trailer[:16]) or not len(MAGIC) <= offset < at:
            return None
        try:
            record = self.record(offset, at)
            for i in range(len(record.starts)):
                self.part(record, i)
        except SpatiaError:
            return None
        return record if record.kind == COMMIT and offset + record.length == at else None

    def _bytes(self, start: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, start)

    def record(self, offset: int, end: int | None = None) -> Record:
        """The record at an offset, its head checked; its parts end before ``end`` (default: the log's end)."""
        end = self.end if end is None else end
        head = self._bytes(offset, HEAD_BYTES) if len(MAGIC) <= offset <= end - HEAD_BYTES and offset % 8 == 0 else b""
        count = int.from_bytes(head[4:8], "little")
        table = self._bytes(offset + HEAD_BYTES, count * PART_BYTES) if head and count <= MAX_PARTS else b""
        if len(head) < HEAD_BYTES or head[8:] != digest(head[:8], table):
            raise self.damaged(offset, "does not match its checksum")
        lengths = tuple(int.from_bytes(table[i : i + 8], "little") for i in range(0, len(table), PART_BYTES))
        digests = tuple(table[i + 8 : i + PART_BYTES] for i in range(0, len(table), PART_BYTES))
        starts, at = [], offset + HEAD_BYTES + len(table)
        for length in lengths:
            starts.append(at)
            at += _padded(length)
        if at > end:
            raise self.damaged(offset, f"ends at byte {at}, past {end}")
        return Record(head[:4], offset, at - offset, tuple(starts), lengths, digests)

    def is_checked(self, record: Record, i: int) -> bool:
        """Whether a part was held against its digest already."""
        return record.starts[i] in self._checked

    def part(self, record: Record, i: int) -> UInt8:
        """The bytes of a part, uint8 [length], mapped and not copied; checked when first asked for."""
        start, length = record.starts[i], record.lengths[i]
        part = self.mapped(start + length)[start : start + length]
        if start not in self._checked:
            if digest(part.data) != record.digests[i]:
                raise self.damaged(record.offset, f"({record.kind!r}) does not match the checksum of its part {i}")
            self._checked.add(start)
        return part

    def mapped(self, reach: int) -> UInt8:
        """The file as it lies on disk, uint8 [at least ``reach``], a multiple of 8 bytes, read only."""
        if len(self._mapped) < reach:
            if self.write:
                self._file.flush()
            size = os.fstat(self._file.fileno()).st_size & ~7
            if size < reach:
                raise SpatiaError(f"{self.path}: cut short: expected at least {reach} bytes, got {size}")
            self._mapped = np.memmap(self._file, np.uint8, "r", shape=(size,)).view(np.ndarray)
        return self._mapped

    # Writing

    def append(self, kind: bytes, parts: Sequence[bytes | np.ndarray]) -> Record:
        """Write a record after the last one. It counts once :meth:`commit` has returned."""
        raw = [bytes_of(part) for part in parts]
        if len(raw) > MAX_PARTS:
            raise SpatiaError(f"{self.path}: expected a record of at most {MAX_PARTS} parts, got {len(raw)}")
        if self.tail_bytes:  # what an earlier writer left unfinished
            self._file.truncate(self.end)
            self.tail_bytes = 0
        offset = self.end
        self._file.seek(offset)
        self._file.write(_head_of(kind, raw))
        for part in raw:
            self._file.write(part)
            self._file.write(bytes(_padded(len(part)) - len(part)))
        self.end = self._file.tell()
        self._file.flush()
        return self.record(offset)

    def copy(self, other: Log, record: Record) -> Record:
        """Append another log's record, checked."""
        return self.append(record.kind, [other.part(record, i) for i in range(len(record.starts))])

    def commit(self, parts: Sequence[bytes | np.ndarray]) -> Record:
        """Make everything appended so far count: on disk, then a commit record, on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        record = self.append(COMMIT, parts)
        pointer = TRAILER_MAGIC + record.offset.to_bytes(8, "little")
        self._file.seek(self.end)
        self._file.write(pointer + digest(pointer))
        self.end = self._file.tell()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.committed = record
        return record

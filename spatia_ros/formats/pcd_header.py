"""The header of a PCD file, checked before Open3D reads the rest: its reader believes every number, and dies of wrong ones.

The format: https://pointclouds.org/documentation/tutorials/pcd_file_format.html, version 0.7 (0.6 has no VIEWPOINT).
"""

from __future__ import annotations

import re
from pathlib import Path

from spatia_ros.types import SpatiaError

HEAD_BYTES = 65_536
"""A header is at most so long."""
SIZES = {"F": (4, 8), "U": (1, 2, 4, 8), "I": (1, 2, 4, 8)}
"""Bytes a value of each type may have."""
MOST_FIELDS, MOST_COUNT = 256, 65_536
LZF_BYTES = 88.0
"""One byte of LZF becomes so many at most (264 bytes from 3)."""
NUMBER = re.compile(rb"[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|nan|inf(inity)?)", re.IGNORECASE)


def check_pcd(path: Path) -> None:
    """Refuse a PCD file whose header contradicts itself, or that is shorter than its header says.

    Raises:
        SpatiaError: naming the line that is wrong, or what the file is short of.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    lines, begin = _lines(head, path)
    fields = lines["FIELDS"]
    if not 1 <= len(fields) <= MOST_FIELDS or len(set(fields) - {"_"}) != len([f for f in fields if f != "_"]):
        raise _wrong(path, "FIELDS", f"1..{MOST_FIELDS} different names", lines)
    sizes = _numbers(path, "SIZE", lines, len(fields), 8)
    counts = _numbers(path, "COUNT", lines, len(fields), MOST_COUNT) if "COUNT" in lines else [1] * len(fields)
    types = lines["TYPE"]
    if len(types) != len(fields) or any(s not in SIZES.get(t, ()) for t, s in zip(types, sizes, strict=False)):
        raise _wrong(path, "TYPE", f"F, U or I for each of {len(fields)} fields, of a size it has", lines)
    (width,), (height,), (points,) = (_numbers(path, key, lines, 1, 2**40) for key in ("WIDTH", "HEIGHT", "POINTS"))
    if width * height != points:
        raise _wrong(path, "POINTS", f"WIDTH x HEIGHT, {width * height}", lines)
    _check_size(path, lines["DATA"], begin, points, sum(s * c for s, c in zip(sizes, counts, strict=True)), sum(counts))


def _lines(head: bytes, path: Path) -> tuple[dict[str, list[str]], int]:
    """The words of each line of the header by their keys, and where the data begin."""
    lines, begin = dict[str, list[str]](), 0
    while "DATA" not in lines:
        end = head.find(b"\n", begin)
        if end < 0:
            raise SpatiaError(f"cloud: {path}: expected a PCD header that ends with DATA, got {head[:80]!r}")
        words = head[begin:end].decode("latin-1").split()
        begin = end + 1
        if words and not words[0].startswith("#"):
            if words[0] in lines:
                raise SpatiaError(f"cloud: {path}: expected one line {words[0][:40]}, got two")
            lines[words[0]] = words[1:]
    missing = [key for key in ("FIELDS", "SIZE", "TYPE", "WIDTH", "HEIGHT", "POINTS") if key not in lines]
    if missing:
        raise SpatiaError(f"cloud: {path}: expected a PCD header with {', '.join(missing)}, got {', '.join(lines)[:200]}")
    return lines, begin


def _numbers(path: Path, key: str, lines: dict[str, list[str]], how_many: int, most: int) -> list[int]:
    """The whole numbers of a line, each at least 1."""
    words = lines[key]
    if len(words) != how_many or not all(re.fullmatch(r"\d{1,13}", w, re.ASCII) and 1 <= int(w) <= most for w in words):
        raise _wrong(path, key, f"{how_many} whole numbers of 1..{most}", lines)
    return [int(word) for word in words]


def _wrong(path: Path, key: str, expected: str, lines: dict[str, list[str]]) -> SpatiaError:
    return SpatiaError(f"cloud: {path}: {key}: expected {expected}, got {' '.join(lines[key])[:80]!r}")


def _check_size(path: Path, data: list[str], begin: int, points: int, bytes_each: int, values_each: int) -> None:
    """Whether the file holds as many points as its header says."""
    there = path.stat().st_size - begin
    if data == ["binary"]:
        if there < points * bytes_each:
            raise SpatiaError(f"cloud: {path}: cut short: expected {points} points of {bytes_each} bytes, got {there} bytes")
    elif data == ["binary_compressed"]:
        _check_compressed(path, begin, points * bytes_each)
    elif data == ["ascii"]:
        _check_text(path, begin, points, values_each)
    else:
        raise SpatiaError(f"cloud: {path}: DATA: expected ascii, binary or binary_compressed, got {' '.join(data)[:80]!r}")


def _check_compressed(path: Path, begin: int, size: int) -> None:
    with path.open("rb") as file:
        file.seek(begin)
        sizes = file.read(8)
    packed, unpacked = (int.from_bytes(sizes[k : k + 4], "little") for k in (0, 4))
    there = path.stat().st_size - begin - 8
    if unpacked != size or not 0 < packed <= there or size > LZF_BYTES * packed:
        said = f"{packed} bytes that unpack to {unpacked}"
        raise SpatiaError(f"cloud: {path}: expected compressed points that unpack to {size} bytes, got {said} in {there}")


def _check_text(path: Path, begin: int, points: int, values_each: int) -> None:
    found = 0
    with path.open("rb") as file:
        file.seek(begin)
        for line in file:
            words = line.split()
            if not words:
                continue
            if len(words) != values_each or not all(NUMBER.fullmatch(word) for word in words):
                raise SpatiaError(f"cloud: {path}: point {found + 1}: expected {values_each} numbers, got {line[:80]!r}")
            found += 1
            if found == points:
                return
    raise SpatiaError(f"cloud: {path}: cut short: expected {points} points, got {found} lines")

"""The sizes that a LAZ file says of itself, held against the file before the decompressor believes them.

The decompressor sets aside what the table of chunks asks for, and a failed allocation in it ends the process: no exception
could be caught. (LASzip: "LASzip: lossless compression of LiDAR data", Isenburg 2013; the layers: LAS 1.4 in LAZ 1.4.)
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from spatia_ros.types import SpatiaError

LAYERED = 3
"""The compressor whose chunks are divided in layers."""
LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
"""By kind of item: coordinates and the rest of a point 9, colour 1, colour and infrared 2, wave packet 1."""
BYTES_ITEM = 14
"""Each extra byte has a layer of its own."""
MAX_BYTES_A_POINT = 1 << 16
MAX_CHUNK_POINTS = 5_000_000
"""A chunk is unpacked in one piece; writers make them of 50000."""


def check_packed(path: Path) -> None:
    """Refuse a LAZ file whose chunks or layers cannot lie in it; a LAS file is not packed, and passes.

    Raises:
        SpatiaError: saying what does not fit.
    """
    import laspy
    import lazrs

    size = path.stat().st_size
    with path.open("rb") as file:
        header = laspy.LasHeader.read_from(file)
        packed = [vlr for vlr in header.vlrs if type(vlr).__name__ == "LasZipVlr"]
        if not (packed or header.are_points_compressed):
            return
        if not packed:
            raise SpatiaError(f"cloud: {path}: expected the description of its compression, found none")
        start = header.offset_to_point_data
        if not 0 < header.point_format.size <= MAX_BYTES_A_POINT:
            raise SpatiaError(f"cloud: {path}: expected points of 1..{MAX_BYTES_A_POINT} bytes, got {header.point_format.size}")
        _check_table(file, start, size, path)
        vlr = lazrs.LazVlr(packed[0].record_data)
        if vlr.item_size() != header.point_format.size:
            raise SpatiaError(f"cloud: {path}: expected packed points of {header.point_format.size} bytes, got {vlr.item_size()}")
        file.seek(start)
        chunks = lazrs.read_chunk_table(file, vlr)
        _check_chunks(file, start + 8, size, chunks or [], _layers(packed[0].record_data), vlr.item_size(), path)


def _check_table(file: BinaryIO, start: int, size: int, path: Path) -> None:
    """The table lies in the file, and is not said to be longer."""
    file.seek(start)
    at = int.from_bytes(file.read(8), "little", signed=True)
    if at == -1:  # written by a program that could not go back: the offset stands at the end
        file.seek(size - 8)
        at = int.from_bytes(file.read(8), "little", signed=True)
    if not start + 8 <= at <= size - 8:
        raise SpatiaError(f"cloud: {path}: expected its table of chunks within {size} bytes, got it at byte {at}")
    file.seek(at + 4)
    count = int.from_bytes(file.read(4), "little")
    if count > at - start:
        raise SpatiaError(f"cloud: {path}: expected at most {at - start} chunks, its table says {count}")


def _layers(record: bytes) -> int:
    """Layers a chunk is divided in; 0 for the older compressors."""
    if struct.unpack_from("<H", record)[0] != LAYERED:
        return 0
    count, out = struct.unpack_from("<H", record, 32)[0], 0
    for kind, size, _ in struct.iter_unpack("<HHH", record[34 : 34 + 6 * count]):
        out += size if kind == BYTES_ITEM else LAYERS.get(kind, 0)
    return out


def _check_chunks(
    file: BinaryIO, start: int, size: int, chunks: list[tuple[int, int]], layers: int, point_bytes: int, path: Path
) -> None:
    left: Any = size - start
    at = start
    for number, (points, length) in enumerate(chunks):
        if points > MAX_CHUNK_POINTS:
            raise SpatiaError(f"cloud: {path}: expected chunks of at most {MAX_CHUNK_POINTS} points, got one of {points}")
        if length > left:
            raise SpatiaError(f"cloud: {path}: expected chunk {number} within its {size} bytes, got one of {length}")
        if layers:
            file.seek(at + point_bytes + 4)
            sizes = struct.unpack(f"<{layers}I", file.read(4 * layers).ljust(4 * layers, b"\0"))
            if sum(sizes) > length:
                raise SpatiaError(f"cloud: {path}: expected the layers of chunk {number} within {length} bytes, got {sum(sizes)}")
        at, left = at + length, left - length

"""Point cloud files, read piece by piece: PLY, PCD, LAS, LAZ; and the fields of a PointCloud2 as plain arrays.

Pieces keep the file's own double-precision coordinates; :mod:`spatia_ros.seed.cloud` moves them near zero before they
become single precision.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatia_ros.formats.laz_sizes import check_packed
from spatia_ros.formats.pcd_header import check_pcd
from spatia_ros.types import Float32, Float64, SpatiaError, UInt8, UInt16

SUFFIXES = (".ply", ".pcd", ".las", ".laz")
MAX_WHOLE_BYTES = 1 << 33
"""PLY and PCD are read in one piece; LAS and LAZ of any size piece by piece."""
MAX_POINTS = 2_000_000_000
PIECE_POINTS = 2_000_000
HARMONIC = 0.28209479177387814
"""The constant spherical harmonic: Gaussian splat files store colour as (c - 0.5) / this."""

CLASSES = {
    2: "ground", 3: "low vegetation", 4: "medium vegetation", 5: "high vegetation", 6: "building", 7: "low noise", 9: "water",
    10: "rail", 11: "road", 13: "wire guard", 14: "wire", 15: "tower", 16: "wire connector", 17: "bridge", 18: "high noise",
}  # fmt: skip
"""LAS 1.4 R15, table 17."""


class Piece(NamedTuple):
    """Some points of a cloud."""

    xyz: Float64  # [N, 3], in the file's units, NaN where it has none
    rgb: UInt8 | None  # [N, 3]
    intensity: Float32 | None  # [N], any scale
    label: UInt16 | None  # [N], see CLASSES


def count_of(path: Path | str) -> int:
    """How many points a LAS or LAZ file says it has; 0 for other kinds, which are read in one piece."""
    import laspy

    if Path(path).suffix.lower() not in (".las", ".laz"):
        return 0
    try:
        with laspy.open(path) as file:
            return int(file.header.point_count)
    except Exception:  # whatever is wrong with the file, reading it will say
        return 0


def read_pieces(path: Path | str) -> Iterator[Piece]:
    """The points of a file, in its order, a piece at a time.

    Raises:
        SpatiaError: when the file is missing, too large, malformed or without points.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise SpatiaError(f"cloud: expected one of {', '.join(SUFFIXES)}, got {path.name!r}")
    if not path.is_file():
        raise SpatiaError(f"cloud: {path}: expected a file, found none")
    if kind in (".ply", ".pcd") and path.stat().st_size > MAX_WHOLE_BYTES:
        raise SpatiaError(f"cloud: {path}: expected at most {MAX_WHOLE_BYTES} bytes, got {path.stat().st_size}; LAZ has no limit")
    count = 0
    try:
        for piece in {".ply": _ply, ".pcd": _pcd, ".las": _las, ".laz": _las}[kind](path):
            count += len(piece.xyz)
            yield piece
    except (SpatiaError, GeneratorExit):
        raise
    except Exception as error:
        # The parsers raise whatever their parts raise on a malformed file.
        raise SpatiaError(f"cloud: {path}: not readable as {kind[1:]}: {type(error).__name__}: {error}") from error
    if not count:
        raise SpatiaError(f"cloud: {path}: expected points, got none")


def _ply(path: Path) -> Iterator[Piece]:
    from trimesh.exchange.ply import load_ply

    with path.open("rb") as file:
        elements = load_ply(file)["metadata"]["_ply_raw"]
    vertex = elements.get("vertex", {}).get("data")
    if vertex is None:
        raise SpatiaError(f"cloud: {path}: expected vertices, got {', '.join(elements) or 'nothing'}")
    names = vertex.dtype.names if isinstance(vertex, np.ndarray) else tuple(vertex)
    fields = {str(name): np.asarray(vertex[name]).reshape(-1) for name in names}
    said = int(elements["vertex"]["length"])
    if any(len(column) != said for column in fields.values()):
        raise SpatiaError(f"cloud: {path}: cut short: expected {said} vertices, got {min(map(len, fields.values()))}")
    yield piece_of_fields(fields, str(path))


def _pcd(path: Path) -> Iterator[Piece]:
    check_pcd(path)
    from spatia_ros.o3d import o3d

    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        points = o3d.t.io.read_point_cloud(path).point
    if "positions" not in points or not len(points["positions"]):
        raise SpatiaError(f"cloud: {path}: expected complete points with x, y and z, got none that can be read")
    fields = {axis: points["positions"].numpy()[:, k] for k, axis in enumerate("xyz")}
    if "colors" in points:
        fields |= {name: points["colors"].numpy()[:, k] for k, name in enumerate(("red", "green", "blue"))}
    fields |= {n: points[n].numpy().reshape(-1) for n in ("intensity",) if n in points}
    yield piece_of_fields(fields, str(path))


def _check_las_header(path: Path) -> None:
    """Refuse a header whose parts lie beyond its file (LAS 1.4 R15, table 3), before anything is set aside for them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(375)
    if head[:4] != b"LASF" or len(head) < 227:
        raise SpatiaError(f"cloud: {path}: expected a LAS header, got {head[:8]!r}")
    header_bytes, offset, records = struct.unpack_from("<HII", head, 94)
    extended = struct.unpack_from("<QI", head, 235) if head[25] >= 4 and len(head) == 375 else (0, 0)
    ends = {"header": header_bytes, "points": offset, "records": 54 * records, "extended records": extended[0] + 60 * extended[1]}
    for part, end in ends.items():
        if end > size:
            raise SpatiaError(f"cloud: {path}: cut short: expected {part} within its {size} bytes, got {end}")


def _las(path: Path) -> Iterator[Piece]:
    import laspy

    _check_las_header(path)
    check_packed(path)
    with laspy.open(path) as file:
        header = file.header
        if header.point_count > MAX_POINTS:
            raise SpatiaError(f"cloud: {path}: expected at most {MAX_POINTS} points, got {header.point_count}")
        names, wide = set(header.point_format.dimension_names), None
        for points in file.chunk_iterator(PIECE_POINTS):
            xyz = np.stack([np.asarray(points.x), np.asarray(points.y), np.asarray(points.z)], -1).astype(np.float64)
            rgb = None
            if {"red", "green", "blue"} <= names:
                raw = np.stack([np.asarray(points[c]) for c in ("red", "green", "blue")], -1)
                # The standard wants 16 bits; many writers leave 8-bit values in them. The first piece decides.
                wide = bool(raw.max(initial=0) > 255) if wide is None else wide
                rgb = (raw >> 8 if wide else np.minimum(raw, 255)).astype(np.uint8) if raw.any() else None
            intensity = np.asarray(points["intensity"], np.float32) if "intensity" in names else None
            classes = np.asarray(points["classification"]).astype(np.uint16)
            label = np.where(np.isin(classes, list(CLASSES)), classes, 0).astype(np.uint16)
            yield Piece(xyz, rgb, intensity, label)


def piece_of_fields(fields: dict[str, np.ndarray], name: str) -> Piece:
    """Points from named columns [N], as PLY, PCD and PointCloud2 have them.

    Known: x y z; red green blue, r g b, diffuse_red .. (integers, or floats of 0..1); rgb or rgba packed as
    PointCloud2 has it (0x00RRGGBB, as an integer or in the bits of a float32); f_dc_0 .. of Gaussian splats;
    intensity, scalar_Intensity, reflectance, i.

    Raises:
        SpatiaError: when x, y or z is missing, or columns differ in length.
    """
    if not {"x", "y", "z"} <= fields.keys():
        raise SpatiaError(f"cloud: {name}: expected x, y and z, got {', '.join(fields) or 'no fields'}")
    if len({len(column) for column in fields.values()}) != 1:
        raise SpatiaError(f"cloud: {name}: expected columns of one length, got { {n: len(c) for n, c in fields.items()} }")
    xyz = np.stack([fields[axis].astype(np.float64) for axis in "xyz"], -1)
    known = ("intensity", "scalar_Intensity", "reflectance", "i")
    intensity = next((fields[n].astype(np.float32) for n in known if n in fields), None)
    return Piece(xyz, _colours(fields), intensity, None)


def _colours(fields: dict[str, Any]) -> UInt8 | None:
    for prefix, names in (("", ("red", "green", "blue")), ("diffuse_", ("red", "green", "blue")), ("", ("r", "g", "b"))):
        if all(prefix + n in fields for n in names):
            raw = np.stack([fields[prefix + n] for n in names], -1)
            if raw.dtype.kind == "f":
                raw = np.nan_to_num(raw) * (255 if np.nanmax(raw, initial=0) <= 1 else 1)
                return np.clip(raw + 0.5, 0, 255).astype(np.uint8)
            return (raw >> 8 if raw.dtype == np.uint16 and raw.max(initial=0) > 255 else np.clip(raw, 0, 255)).astype(np.uint8)
    if all(f"f_dc_{k}" in fields for k in range(3)):
        raw = np.stack([fields[f"f_dc_{k}"] for k in range(3)], -1)
        return np.clip(255 * (0.5 + HARMONIC * np.nan_to_num(raw)) + 0.5, 0, 255).astype(np.uint8)
    packed = fields.get("rgb", fields.get("rgba"))
    if packed is None:
        return None
    bits = np.ascontiguousarray(packed)
    bits = bits.astype(np.float32).view(np.uint32) if bits.dtype.kind == "f" else bits.astype(np.uint32)
    return np.stack([(bits >> shift) & 255 for shift in (16, 8, 0)], -1).astype(np.uint8)

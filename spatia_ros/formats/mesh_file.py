"""Mesh files as triangles: GLB, glTF, OBJ, COLLADA, PLY and STL through trimesh, every object by its name.

What comes out is in metres with z up. Colour is a texture times a colour per vertex: a material without
texture is one texel, a mesh without vertex colours has white ones. Light, shine and transparency are left out.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.geometry import pose
from spatia_ros.types import Float64, SpatiaError, UInt8

MAX_FILE_BYTES = 1 << 31
MAX_TRIANGLES = 50_000_000
MAX_TEXTURE_SIDE_PX = 16384
MAX_LABELS = 65535
SUFFIXES = (".glb", ".gltf", ".obj", ".dae", ".ply", ".stl")
Z_UP_SUFFIXES = (".ply", ".stl")
"""Formats whose makers mostly have z up; the others say it, or mean y."""
UPS = ("x", "y", "z", "-x", "-y", "-z")


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles with colours and names, in metres, z up.

    Args:
        vertices: float64 [V, 3]. uv: float64 [V, 2], v upwards, repeating.
        tint: uint8 [V, 3], what the texture is multiplied by.
        faces: int64 [F, 3]. material: int64 [F], index into textures. label: uint16 [F], from 1.
        textures: uint8 [H, W, 3] each, row 0 at the top.
        names: what each label is called.
        dropped: triangles left out because a corner was not finite.
    """

    vertices: Float64
    uv: Float64
    tint: UInt8
    faces: np.ndarray
    material: np.ndarray
    label: np.ndarray
    textures: tuple[UInt8, ...]
    names: dict[int, str]
    dropped: int = 0

    def corners(self) -> Float64:
        """float64 [F, 3, 3], the corner points of every triangle."""
        return self.vertices[self.faces]

    def bounds(self) -> dict[str, tuple[list[float], list[float]]]:
        """Lowest and highest corner of every object by name, metres."""
        out = {}
        for label, name in self.names.items():
            points = self.vertices[np.unique(self.faces[self.label == label])]
            out[name] = (points.min(0).tolist(), points.max(0).tolist())
        return out


def upright(up: str) -> Float64:
    """Rotation [3, 3] that turns the named axis of a file onto z.

    Raises:
        SpatiaError: when ``up`` names no axis.
    """
    if up not in UPS:
        raise SpatiaError(f"up: expected one of {', '.join(UPS)}, got {up!r}")
    axis = "xyz".index(up[-1])
    # A cyclic change of axes is a rotation; the sign is then a half turn about x.
    R = np.roll(np.eye(3), (2 - axis), axis=0) if axis != 1 else np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return np.diag([1.0, -1.0, -1.0]) @ R if up[0] == "-" else R


def read_mesh(path: Path | str, up: str = "", unit_m: float = 0.0) -> Mesh:
    """The triangles of a GLB, glTF, OBJ, DAE, PLY or STL file.

    Args:
        up: which axis of the file points up (x, y, z, -x, -y, -z); empty: what the file says
            (``asset.extras.up_axis`` of glTF, ``up_axis`` of COLLADA), else y; z for PLY and STL.
        unit_m: metres per unit of the file; 0: what the file says, else 1.

    Raises:
        SpatiaError: when the file is missing, too large, malformed, or holds no triangles.
    """
    import trimesh

    from spatia_ros.formats.mesh_resolver import Beside, check_document

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise SpatiaError(f"mesh: expected one of {', '.join(SUFFIXES)}, got {path.name!r}")
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        got = f"one of {path.stat().st_size} bytes" if path.is_file() else "none"
        raise SpatiaError(f"mesh: {path}: expected a file of at most {MAX_FILE_BYTES} bytes, got {got}")
    try:
        if path.suffix.lower() == ".dae":
            check_document(path)
        whole: dict[str, Any] = {"split_objects": True} if path.suffix.lower() == ".obj" else {}
        loaded = trimesh.load_scene(path, resolver=Beside(str(path)), **whole)
        names = _object_names(path, loaded)
        said_up, said_unit = _said(path)
        return _assembled(path, loaded, names, pose(upright(up or said_up), np.zeros(3)), unit_m or said_unit)
    except SpatiaError:
        raise
    except ImportError as error:
        raise SpatiaError(f"mesh: {path}: reading it needs a package that is not installed: {error}") from error
    except Exception as error:
        # The parsers raise whatever their parts raise on a malformed file.
        raise SpatiaError(f"mesh: {path}: not readable as {path.suffix[1:]}: {type(error).__name__}: {error}") from error


def _assembled(path: Path, scene: Any, names: dict[str, str], T_up: Float64, unit_m: float) -> Mesh:
    """All parts of a loaded scene as one mesh."""
    nodes = [n for n in scene.graph.nodes_geometry if len(getattr(scene.geometry[scene.graph[n][1]], "faces", ()))]
    total = sum(len(scene.geometry[scene.graph[n][1]].faces) for n in nodes)
    if not 0 < total <= MAX_TRIANGLES:
        raise SpatiaError(f"mesh: {path}: expected 1..{MAX_TRIANGLES} triangles, got {total}")
    if not (np.isfinite(unit_m) and 0 < unit_m <= 1e6):
        raise SpatiaError(f"mesh: unit: expected metres per unit in 0..1e6, got {unit_m}")
    labels: dict[str, int] = {}
    for node in sorted(nodes, key=lambda n: names[n]):
        labels.setdefault(names[node], len(labels) + 1)
    if len(labels) > MAX_LABELS:
        raise SpatiaError(f"mesh: {path}: expected at most {MAX_LABELS} objects, got {len(labels)}")
    textures: list[UInt8] = []
    numbers: dict[int, int] = {}
    columns, parts, at = [], [], 0
    for node in sorted(nodes):
        T, geometry = scene.graph[node]
        part = scene.geometry[geometry]
        vertices, uv, tint, faces, texture = _part(part)
        key = id(getattr(part.visual, "material", part))
        if key not in numbers:
            numbers[key] = len(textures)
            textures.append(texture)
        vertices = (vertices @ T[:3, :3].T + T[:3, 3]) @ T_up[:3, :3].T * unit_m
        columns.append((vertices, uv, tint))
        parts.append((faces + at, np.full(len(faces), numbers[key]), np.full(len(faces), labels[names[node]], np.uint16)))
        at += len(vertices)
    vertices, uv, tint = (np.concatenate(c) for c in zip(*columns, strict=True))
    faces, material, label = (np.concatenate(c) for c in zip(*parts, strict=True))
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise SpatiaError(f"mesh: {path}: expected corners among {len(vertices)} vertices, got {faces.min()}..{faces.max()}")
    fit = np.asarray(np.isfinite(vertices[faces]).all((1, 2)))
    if not fit.any():
        raise SpatiaError(f"mesh: {path}: expected triangles with finite corners, got none of {total}")
    uv = np.where(np.isfinite(uv), uv, 0.0)
    used = {label: name for name, label in labels.items()}
    return Mesh(vertices, uv, tint, faces[fit], material[fit], label[fit], tuple(textures), used, int((~fit).sum()))


def _part(part: Any) -> tuple[Float64, Float64, UInt8, np.ndarray, UInt8]:
    """Vertices, uv, tint, faces and texture of one part as its file has it."""
    vertices, faces = np.asarray(part.vertices, np.float64), np.asarray(part.faces, np.int64)
    visual, white = part.visual, np.full((1, 1, 3), 255, np.uint8)
    if visual.kind == "face":
        # A colour per face: corners are no longer shared.
        tint = np.repeat(np.asarray(visual.face_colors, np.uint8)[:, :3], 3, 0)
        return vertices[faces].reshape(-1, 3), np.zeros((len(tint), 2)), tint, np.arange(len(tint)).reshape(-1, 3), white
    uv = getattr(visual, "uv", None)
    uv = np.zeros((len(vertices), 2)) if uv is None or len(uv) != len(vertices) else np.asarray(uv, np.float64)[:, :2]
    attributes = getattr(visual, "vertex_attributes", {})
    colours = visual.vertex_colors if visual.kind == "vertex" else attributes.get("color") if attributes else None
    tint = np.full((len(vertices), 3), 255, np.uint8) if colours is None else _bytes(np.asarray(colours)[:, :3])
    return vertices, uv, tint, faces, _texture(visual.material) if hasattr(visual, "material") else white


def _bytes(colours: np.ndarray) -> UInt8:
    """Colours as uint8: floats are 0..1, wider integers lose their low bits."""
    if colours.dtype.kind == "f":
        return (np.clip(np.nan_to_num(colours), 0, 1) * 255 + 0.5).astype(np.uint8)
    return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8)


def _texture(material: Any) -> UInt8:
    """What a material looks like lit evenly: its base colour texture times its base colour."""
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    factor = getattr(material, "baseColorFactor", None)
    if factor is not None:
        tint = np.asarray(factor, np.float64)[:3] / (255 if np.asarray(factor).dtype.kind in "iu" else 1)
        tint = np.where(tint <= 0.0031308, 12.92 * tint, 1.055 * np.maximum(tint, 1e-9) ** (1 / 2.4) - 0.055)
    elif image is None:
        diffuse = getattr(material, "main_color", None)
        tint = np.asarray((255, 255, 255) if diffuse is None else diffuse, np.float64)[:3] / 255
    else:
        tint = np.ones(3)
    if image is None:
        return _bytes(tint)[None, None]
    if max(image.size) > MAX_TEXTURE_SIDE_PX:
        raise SpatiaError(f"texture: expected sides of at most {MAX_TEXTURE_SIDE_PX} px, got {image.size}")
    return (np.asarray(image.convert("RGB"), np.float32) * tint.astype(np.float32) + 0.5).astype(np.uint8)


def _object_names(path: Path, scene: Any) -> dict[str, str]:
    """What each node with triangles is called: by its own name in the file, not by its materials'."""
    nodes, suffix = list(scene.graph.nodes_geometry), path.suffix.lower()
    if suffix == ".obj":
        text = path.read_text(errors="replace")
        known = re.findall(r"^o[ \t]+(.+?)[ \t]*$", text, re.MULTILINE)
        return {n: max((k for k in known if n == k or n.startswith(f"{k}_")), key=len, default=n) for n in nodes}
    if suffix == ".dae":
        named = _collada_names(path)
        return {n: named.get(n, n) for n in nodes}
    # A node of several materials is split by trimesh into children with random endings.
    parents = scene.graph.transforms.parents
    return {n: parents[n] if re.fullmatch(re.escape(str(parents.get(n))) + r"_[0-9a-f]+", n) else n for n in nodes}


def _collada_names(path: Path) -> dict[str, str]:
    """Name of the node that places it, for every geometry as trimesh numbers them."""
    import collada
    from trimesh.util import unique_name

    out: dict[str, str] = {}
    counts: dict[str | None, int] = {}

    def visit(node: Any, name: str) -> None:
        if isinstance(node, collada.scene.GeometryNode):
            kinds = (collada.polylist.Polylist, collada.triangleset.TriangleSet)
            for primitive in node.geometry.primitives:
                if isinstance(primitive, kinds) and primitive.vertex is not None:
                    out[unique_name(node.geometry.id, contains=out, counts=counts)] = name or node.geometry.id
        for child in getattr(node, "children", None) or ():
            visit(child, getattr(node, "name", None) or getattr(node, "id", None) or name)

    document = collada.Collada(str(path), ignore=[collada.common.DaeError])
    for node in document.scene.nodes:
        visit(node, "")
    return out


def _said(path: Path) -> tuple[str, float]:
    """The up axis and the metres per unit a file states, with its format's own defaults."""
    suffix = path.suffix.lower()
    if suffix == ".dae":
        with path.open(errors="replace") as file:
            head = file.read(1 << 16)
        up = re.search(r"<up_axis>\s*([XYZ])_UP", head)
        metres = re.search(r"<unit[^>]*\bmeter\s*=\s*[\"']([0-9.eE+-]+)", head)
        return (up.group(1).lower() if up else "y"), (float(metres.group(1)) if metres else 1.0)
    if suffix in (".glb", ".gltf"):
        extras = _gltf_json(path).get("asset", {}).get("extras")
        said = str(extras.get("up_axis", "y")).strip().lower() if isinstance(extras, dict) else "y"
        if said not in UPS:
            raise SpatiaError(f"mesh: {path}: asset.extras.up_axis: expected one of {', '.join(UPS)}, got {said!r}")
        return said, 1.0
    return ("z" if suffix in Z_UP_SUFFIXES else "y"), 1.0


def ply_has_faces(path: Path) -> bool:
    """Whether a PLY is a mesh and no point cloud, by its header."""
    with path.open("rb") as file:
        header = file.read(1 << 14).split(b"end_header")[0]
    found = re.search(rb"element\s+face\s+(\d+)", header)
    return found is not None and int(found.group(1)) > 0


def _gltf_json(path: Path) -> dict[str, Any]:
    """The document of a .gltf, or the JSON chunk of a .glb (glTF 2.0, section 4.4)."""
    data = path.read_bytes()
    if data[:4] == b"glTF":
        length = struct.unpack_from("<I", data, 12)[0]
        data = data[20 : 20 + length]
    document = json.loads(data)
    return document if isinstance(document, dict) else {}

"""A scene from a binary glTF file with its textures (z up, metres)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import Material, Mesh, subdivided
from spatia_ros.train.scene_path import Walk
from spatia_ros.types import Float64, SpatiaError, UInt8

MAX_FILE_BYTES = 1 << 29
LONGEST_EDGE_M = 0.5
LAMP_SPACING_M = 5.0


def load(path: Path | str) -> Mesh:
    """Every object of the file as one mesh, in file order, large triangles split so that light can be baked.

    Raises:
        SpatiaError: when the file is missing, too large, not glTF, or holds no triangles.
    """
    document, nodes = _document(Path(path))
    materials: dict[int, tuple[int, Material]] = {}
    columns, faces, material, obj = [], [], [], []
    for number, node in enumerate(nodes, 1):
        T, name = document.graph[node]
        part = document.geometry[name]
        vertices, own = _vertices(part, T)
        index, _ = materials.setdefault(id(part.visual.material), (len(materials), _material(part.visual.material)))
        vertices, own, _ = subdivided(vertices, own, LONGEST_EDGE_M)
        faces.append(own + sum(map(len, columns)))
        columns.append(vertices)
        material.append(np.full(len(own), index))
        obj.append(np.full(len(own), number))
    table = np.concatenate(columns)
    return Mesh(
        table[:, :3],
        table[:, 3:6],
        table[:, 6:8],
        np.concatenate(faces),
        np.concatenate(material),
        np.concatenate(obj),
        tuple(m for _, m in materials.values()),
        two_sided=True,
    )


def _document(path: Path) -> tuple[trimesh.Scene, list[str]]:
    """A file's scene, and its nodes with triangles in file order."""
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise SpatiaError(f"glb_scene: expected a .glb file of at most {MAX_FILE_BYTES} bytes, got {path}")
    try:
        document = trimesh.load_scene(path)
    except Exception as error:
        # The parser raises whatever its parts raise on a malformed file.
        raise SpatiaError(f"glb_scene: {path}: expected binary glTF, got {type(error).__name__}: {error}") from error
    nodes = [name for name in document.graph.nodes_geometry if len(document.geometry[document.graph[name][1]].faces)]
    if not nodes:
        raise SpatiaError(f"glb_scene: {path}: expected triangles, got none")
    return document, nodes


def object_names(path: Path | str) -> dict[int, str]:
    """What the object numbers of :func:`load` are called; one thing of several materials has several numbers and one name.

    Raises:
        SpatiaError: as :func:`load`.
    """
    document, nodes = _document(Path(path))
    parents = document.graph.transforms.parents
    # A node of several materials is split by trimesh into children with random endings.
    split = (re.fullmatch(re.escape(str(parents.get(node))) + r"_[0-9a-f]+", node) for node in nodes)
    return {number: parents[node] if part else node for number, (node, part) in enumerate(zip(nodes, split, strict=True), 1)}


def _vertices(part: trimesh.Trimesh, T: Float64) -> tuple[Float64, np.ndarray]:
    """Columns position, normal, uv of a part under its node's transform, and its faces."""
    uv = getattr(part.visual, "uv", None)
    uv = np.zeros((len(part.vertices), 2)) if uv is None else np.asarray(uv, np.float64)
    normals = part.vertex_normals @ np.linalg.inv(T[:3, :3])
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return np.concatenate([part.vertices @ T[:3, :3].T + T[:3, 3], normals, uv], 1), np.asarray(part.faces)


def _material(material: Any) -> Material:
    factor = getattr(material, "baseColorFactor", None)
    tint = np.array([255, 255, 255] if factor is None else factor[:3], np.float64) / 255
    image = getattr(material, "baseColorTexture", None)
    texture: UInt8 = np.full((4, 4, 3), 255, np.uint8) if image is None else np.asarray(image.convert("RGB"))
    # The factor is linear, the texture's bytes are gamma-coded.
    return Material((texture * np.sqrt(tint)).astype(np.uint8), specular=0.05)


def lighting(mesh: Mesh, rng: np.random.Generator) -> Lighting:
    """Lamps on a grid at two metres: a house's own lamps are not in the file."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    xs, ys = (np.arange(a + LAMP_SPACING_M / 2, b, LAMP_SPACING_M) for a, b in zip(low[:2], high[:2], strict=True))
    warm = np.array((1.0, 0.93, 0.82))
    lamps = [
        Lamp((x + rng.normal(0, 0.3), y + rng.normal(0, 0.3), low[2] + 2.0), tuple(warm * rng.uniform(1, 3)))
        for x in xs
        for y in ys
    ]
    return Lighting(tuple(lamps), (0.8, 0.8, 0.85))


def walk(mesh: Mesh, rng: np.random.Generator) -> Walk:
    """Eye heights anywhere inside the bounds, looking at points on the surfaces."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    area = np.array([[low + (0.3, 0.3, 0.6), (*(high[:2] - 0.3), low[2] + 1.8)]])
    heights = mesh.vertices[:, 2] - low[2]
    candidates = mesh.vertices[(heights > 0.3) & (heights < 1.8)]
    return Walk(area, candidates[rng.integers(len(candidates), size=200)], np.eye(4), 0.25)

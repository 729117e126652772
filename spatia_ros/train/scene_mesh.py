"""Shapes of procedural scenes: surfaces as grids of points, so that light can be baked at their vertices.

Scene frame: z up, metres. Texture coordinates are metres along the surface, v upwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from spatia_ros.geometry import pose
from spatia_ros.types import Float64, UInt8


@dataclass(frozen=True, slots=True)
class Material:
    """What a surface is made of.

    Args:
        texture: uint8 [H, W, 3], sRGB-like (gamma 2).
        size_m: width and height one repeat covers; (0, 0) stretches it over each patch.
        specular: strength of the highlight, 0..1.
        shininess: exponent of the highlight.
        emission: radiance factor of the texture itself, for screens, lamps and windows.
        grain: the texture runs along its u axis and is turned to a patch's longer side.
    """

    texture: UInt8
    size_m: tuple[float, float] = (1.0, 1.0)
    specular: float = 0.0
    shininess: float = 16.0
    emission: float = 0.0
    grain: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """A grid of surface points.

    Args:
        points: float64 [n, m, 3].
        normals: float64 [n, m, 3], unit, outwards.
        uv: float64 [n, m, 2], metres.
    """

    points: Float64
    normals: Float64
    uv: Float64


@dataclass(frozen=True, slots=True)
class Piece:
    """A patch and what it is made of."""

    patch: Patch
    material: Material


def at(x: float, y: float, z: float, yaw: float = 0.0, pitch: float = 0.0) -> Float64:
    """Transform that turns about x by ``pitch``, about z by ``yaw`` (radians), then moves."""
    c, s, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return pose(turn, np.array([x, y, z], np.float64))


def placed(pieces: Iterable[Piece], T: Float64) -> list[Piece]:
    """The pieces under a rigid transform."""
    R, t = T[:3, :3], T[:3, 3]
    return [replace(p, patch=Patch(p.patch.points @ R.T + t, p.patch.normals @ R.T, p.patch.uv)) for p in pieces]


def quad(corner: Iterable[float], along_u: Iterable[float], along_v: Iterable[float], cell_m: float = 0.25) -> Patch:
    """A flat rectangle from a corner and two edges; its normal is along_u x along_v."""
    o, (a, b, c), (d, e, f) = (tuple(float(value) for value in x) for x in (corner, along_u, along_v))
    width, height = (a * a + b * b + c * c) ** 0.5, (d * d + e * e + f * f) ** 0.5
    s, t = _fractions(2 + int(width / cell_m)), _fractions(2 + int(height / cell_m))[:, None]
    # Scenes are thousands of these: written out, for NumPy's general functions cost more than the numbers.
    points, normals, uv = (np.empty((len(t), len(s), k)) for k in (3, 3, 2))
    points[:] = np.array(o) + s[:, None] * np.array((a, b, c)) + t[..., None] * np.array((d, e, f))
    normals[:] = np.array((b * f - c * e, c * d - a * f, a * e - b * d)) / (width * height)
    uv[..., 0], uv[..., 1] = s * width, t * height
    return Patch(points, normals, uv)


@lru_cache(maxsize=256)
def _fractions(n: int) -> Float64:
    """0 to 1 in n steps."""
    return np.linspace(0, 1, n)


def box(size: tuple[float, float, float], cell_m: float = 0.25) -> list[Patch]:
    """Six faces of a box standing on z = 0, centred in x and y."""
    w, d, h = size
    x, y = w / 2, d / 2
    return [
        quad((-x, -y, 0), (w, 0, 0), (0, 0, h), cell_m),
        quad((x, y, 0), (-w, 0, 0), (0, 0, h), cell_m),
        quad((x, -y, 0), (0, d, 0), (0, 0, h), cell_m),
        quad((-x, y, 0), (0, -d, 0), (0, 0, h), cell_m),
        quad((-x, -y, h), (w, 0, 0), (0, d, 0), cell_m),
        quad((-x, y, 0), (w, 0, 0), (0, -d, 0), cell_m),
    ]


def surface(points: Float64, flip: bool = False) -> Patch:
    """A patch through a grid of points, normals and arc lengths by differences (rows v, columns u)."""
    du, dv = np.gradient(points, axis=1), np.gradient(points, axis=0)
    n = np.cross(du, dv) * (-1.0 if flip else 1.0)
    n /= np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-12)
    step_u = np.linalg.norm(np.diff(points, axis=1, prepend=points[:, :1]), axis=-1)
    step_v = np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=-1)
    # One row's (column's) arc length for all keeps the texture from shearing.
    u, v = np.cumsum(step_u.mean(0)), np.cumsum(step_v.mean(1))
    return Patch(points, n, np.stack(np.meshgrid(u, v), -1))


def lathe(profile: Iterable[tuple[float, float]], sectors: int = 20) -> Patch:
    """The surface a profile of (radius, z), listed upwards, sweeps about the z axis."""
    r, z = np.array(list(profile), np.float64).T
    angle = np.linspace(0, 2 * np.pi, sectors + 1)
    points = np.stack([r[:, None] * np.cos(angle), r[:, None] * np.sin(angle), np.repeat(z[:, None], sectors + 1, 1)], -1)
    patch = surface(points)
    # Differences are one-sided at the seam; both ends of the circle share one normal.
    patch.normals[:, 0] = patch.normals[:, -1] = _unit(patch.normals[:, 0] + patch.normals[:, -1])
    return patch


def cylinder(radius: float, height: float, sectors: int = 20) -> list[Patch]:
    """A closed cylinder standing on z = 0."""
    wall = lathe([(radius, z) for z in np.linspace(0, height, 2 + int(height / 0.25))], sectors)
    return [wall, disc(radius, height, sectors), disc(radius, 0.0, sectors, up=False)]


def disc(radius: float, z: float, sectors: int = 20, up: bool = True) -> Patch:
    """A flat round plate facing up or down."""
    angle = np.linspace(0, 2 * np.pi, sectors + 1)
    rings = np.array([radius, radius * 0.5, 1e-6])[:, None]
    points = np.stack([rings * np.cos(angle), rings * np.sin(angle), np.full((3, sectors + 1), z)], -1)
    normals = np.zeros_like(points)
    normals[..., 2] = 1.0 if up else -1.0
    return Patch(points, normals, points[..., :2] + radius)


def pillow(size: tuple[float, float, float], roundness: float = 0.35, sectors: int = 20) -> Patch:
    """A superellipsoid standing on z = 0: 1 is an ellipsoid, towards 0 a box."""
    a = np.linspace(-np.pi / 2, np.pi / 2, sectors // 2 + 1)[:, None]
    b = np.linspace(-np.pi, np.pi, sectors + 1)[None, :]
    ca, sa, cb, sb = (_power(f(angle), roundness) for f, angle in ((np.cos, a), (np.sin, a), (np.cos, b), (np.sin, b)))
    unit = np.stack([ca * cb, ca * sb, np.broadcast_to(sa, (ca * cb).shape)], -1)
    points = unit * (np.array(size) / 2) + (0, 0, size[2] / 2)
    # The gradient of the implicit form: exact also where the grid pinches together.
    n = _power(unit, (2 - roundness) / roundness) / (np.array(size) / 2)
    # A slanted projection has no poles and stretches no face of a boxy pillow away.
    return Patch(points, _unit(n), points[..., :2] + 0.7 * points[..., 2:])


def subdivided(vertices: Float64, faces: np.ndarray, longest_m: float) -> tuple[Float64, np.ndarray, np.ndarray]:
    """Triangles split at their longest edge until none is longer than ``longest_m``.

    Args:
        vertices: [V, 3 + k], positions and whatever is to be interpolated along.
        faces: [F, 3].

    Returns:
        vertices, faces, and for each face the index of the one it came from.
    """
    source = np.arange(len(faces))
    done = []
    while len(faces):
        edges = np.linalg.norm(vertices[faces][:, [1, 2, 0], :3] - vertices[faces][:, :, :3], axis=-1)
        long = edges.max(1) > longest_m
        done.append((faces[~long], source[~long]))
        faces, source, worst = faces[long], source[long], edges[long].argmax(1)
        rows = np.arange(len(faces))
        a, b, c = faces[rows, worst], faces[rows, (worst + 1) % 3], faces[rows, (worst + 2) % 3]
        middle = len(vertices) + rows
        vertices = np.concatenate([vertices, (vertices[a] + vertices[b]) / 2])
        faces = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
        source = np.concatenate([source, source])
    return vertices, np.concatenate([f for f, _ in done]), np.concatenate([s for _, s in done])


@dataclass(slots=True)
class MeshBuilder:
    """Collects pieces into one triangle mesh with a material and an object number per face."""

    materials: list[Material] = field(default_factory=list)
    parts: list[tuple[Float64, Float64, Float64, np.ndarray, int, int]] = field(default_factory=list)
    objects: int = 0
    names: dict[int, str] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)
    _kinds: dict[str, int] = field(default_factory=dict)

    def add(self, pieces: Iterable[Piece], T: Float64 | None = None, kind: str = "") -> int:
        """Add pieces as one object, placed by ``T``; returns its number (from 1). It is named by its kind: "chair 2"."""
        self.objects += 1
        if kind:
            self._kinds[kind] = self._kinds.get(kind, 0) + 1
            self.names[self.objects] = f"{kind} {self._kinds[kind]}"
        for piece in placed(pieces, np.eye(4) if T is None else T):
            patch, material = piece.patch, piece.material
            self.parts.append(
                (
                    patch.points.reshape(-1, 3),
                    patch.normals.reshape(-1, 3),
                    _texture_uv(patch, material).reshape(-1, 2),
                    _grid_faces(*patch.points.shape[:2]),
                    self._number(material),
                    self.objects,
                )
            )
        return self.objects

    def _number(self, material: Material) -> int:
        if id(material) not in self._numbers:
            self._numbers[id(material)] = len(self.materials)
            self.materials.append(material)
        return self._numbers[id(material)]

    def mesh(self) -> Mesh:
        """Everything added so far."""
        starts = np.cumsum([0] + [len(p[0]) for p in self.parts[:-1]])
        counts = [len(p[3]) for p in self.parts]
        return Mesh(
            np.concatenate([p[0] for p in self.parts]),
            np.concatenate([p[1] for p in self.parts]),
            np.concatenate([p[2] for p in self.parts]),
            np.concatenate([p[3] + s for p, s in zip(self.parts, starts, strict=True)]),
            np.repeat([p[4] for p in self.parts], counts),
            np.repeat([p[5] for p in self.parts], counts),
            tuple(self.materials),
            names=dict(self.names),
        )


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles ready to render.

    Args:
        vertices, normals: float64 [V, 3].
        uv: float64 [V, 2], in repeats of the texture.
        faces: int [F, 3].
        material, obj: int [F], index into materials; object number from 1.
        two_sided: faces are seen and lit from both sides.
        names: what the objects are called that have a name.
    """

    vertices: Float64
    normals: Float64
    uv: Float64
    faces: np.ndarray
    material: np.ndarray
    obj: np.ndarray
    materials: tuple[Material, ...]
    two_sided: bool = False
    names: dict[int, str] = field(default_factory=dict)

    def placed(self, T: Float64) -> Mesh:
        """The mesh under a rigid transform."""
        R = T[:3, :3]
        return replace(self, vertices=self.vertices @ R.T + T[:3, 3], normals=self.normals @ R.T)


def _texture_uv(patch: Patch, material: Material) -> Float64:
    uv = patch.uv
    if material.size_m == (0.0, 0.0):
        return uv / np.maximum(uv.reshape(-1, 2).max(0), 1e-9)
    if material.grain and uv[..., 1].max() > uv[..., 0].max():
        uv = uv[..., ::-1]
    return uv / np.array(material.size_m)


@lru_cache(maxsize=1024)
def _grid_faces(rows: int, columns: int) -> np.ndarray:
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    a, b, c, d = first, first + 1, first + columns + 1, first + columns
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _power(x: Float64, exponent: float) -> Float64:
    return np.sign(x) * np.abs(x) ** exponent


def _unit(v: Float64) -> Float64:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)

"""Simple solids as coloured meshes: what the bodies of the library are put together from.

A part is a list of solids in the part's own frame, x forward, y left, z up, metres. Colours are 0..255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spatia_ros.actors.body import BodyPoints
from spatia_ros.actors.surface_points import coloured, lit, surface_points
from spatia_ros.types import Float64

Colour = tuple[float, float, float]
Paint = Callable[[Float64], Float64]
"""Colours [N, 3] of places [N, 3] in the solid's own frame."""
COLOURS: dict[str, Colour] = {
    "red": (186, 40, 36), "orange": (222, 122, 34), "yellow": (226, 188, 52), "green": (54, 128, 66), "blue": (44, 82, 168),
    "purple": (112, 58, 142), "pink": (218, 120, 150), "white": (226, 226, 222), "grey": (128, 130, 132), "black": (38, 38, 42),
    "brown": (128, 84, 50), "silver": (176, 180, 184),
}


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """A closed surface.

    Args:
        vertices: float64 [V, 3], m. faces: int64 [F, 3], counter-clockwise from outside.
        paint: its colours.
    """

    vertices: Float64
    faces: np.ndarray
    paint: Paint

    def turned(self, axis: str, angle_rad: float) -> Solid:
        """Turned about an axis of its frame; the paint turns along."""
        k = "xyz".index(axis)
        c, s = np.cos(angle_rad), np.sin(angle_rad)
        R = np.eye(3)
        i, j = (k + 1) % 3, (k + 2) % 3
        R[i, i], R[i, j], R[j, i], R[j, j] = c, -s, s, c
        paint = self.paint
        return Solid(self.vertices @ R.T, self.faces, lambda xyz: paint(xyz @ R))

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Moved; the paint moves along."""
        offset, paint = np.array([x, y, z]), self.paint
        return Solid(self.vertices + offset, self.faces, lambda xyz: paint(xyz - offset))


def plain(colour: Colour, grain: float = 0.05, pitch_m: float = 0.03) -> Paint:
    """One colour, with a faint grain of blotches about ``pitch_m`` large."""
    tone = np.array(colour, np.float64)

    def paint(xyz: Float64) -> Float64:
        p = xyz / pitch_m
        # A sum of waves in directions of no common period looks like chance and is the same every time.
        waves = sum(np.sin(p @ d + k) for k, d in enumerate(_DIRECTIONS)) / len(_DIRECTIONS)
        return tone * (1.0 + grain * np.asarray(waves)[:, None])

    return paint


_DIRECTIONS = np.array([(1.9, 0.7, -0.4), (-0.6, 2.3, 0.9), (0.5, -0.8, 2.1), (1.3, 1.6, 1.1), (-3.1, 0.9, 2.7)])


def painted(base: Paint, *layers: tuple[Callable[[Float64], Any], Colour]) -> Paint:
    """A paint with other colours over it, each where its condition of the places [N, 3] holds."""

    def paint(xyz: Float64) -> Float64:
        out = base(xyz)
        for where, colour in layers:
            out[where(xyz)] = colour
        return out

    return paint


def pillow(size: tuple[float, float, float], paint: Paint, roundness: float = 1.0) -> Solid:
    """An ellipsoid (roundness 1) to a box with rounded edges (towards 0) of a size, around the origin."""
    from trimesh.creation import icosphere

    ball = icosphere(subdivisions=4)
    v = np.asarray(ball.vertices)
    v = np.sign(v) * np.abs(v) ** roundness
    if roundness < 1.0:
        # Radially out to the superellipsoid |x|^p + |y|^p + |z|^p = 1.
        p = 2.0 / roundness
        v /= (np.abs(v) ** p).sum(1, keepdims=True) ** (1.0 / p)
    return Solid(v * np.array(size) / 2.0, np.asarray(ball.faces, np.int64), paint)


def tapered(bottom: tuple[float, float], top: tuple[float, float], height: float, paint: Paint, lean: float = 0.0) -> Solid:
    """A block from z = 0 to ``height`` whose x and y sizes change from bottom to top, the top shifted by ``lean`` in x."""
    corners = np.array([(sx * a / 2 + dx, sy * b / 2, z) for (a, b), z, dx in ((bottom, 0.0, 0.0), (top, height, lean))
                        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))])  # fmt: skip
    quads = [(3, 2, 1, 0), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int64)
    return Solid(corners, faces, paint)


def cylinder(radius: float, height: float, paint: Paint) -> Solid:
    """Around z, from z = 0 to ``height``."""
    from trimesh.creation import cylinder as make

    mesh = make(radius, height, sections=48)
    return Solid(np.asarray(mesh.vertices) + (0, 0, height / 2), np.asarray(mesh.faces, np.int64), paint)


def limb(length: float, thick_top: float, thick_bottom: float, paint: Paint) -> Solid:
    """Hangs from the origin down to -length, with a round end on either side."""
    a = np.linspace(0.0, np.pi / 2, 9)
    low = np.stack([np.sin(a) * thick_bottom / 2, -length - np.cos(a) * thick_bottom / 2], -1)
    high = np.stack([np.cos(a) * thick_top / 2, np.sin(a) * thick_top / 2], -1)
    return _revolved(np.concatenate([low, high]), paint)


def _revolved(profile: Float64, paint: Paint) -> Solid:
    """A profile [K, 2] of (radius, z), bottom to top, turned about z."""
    from trimesh.creation import revolve

    mesh = revolve(profile, sections=36)
    return Solid(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64), paint)


PAIRS_AT_ONCE = 1 << 20
"""Pairs of a place and a face that are looked at together: 8 MB."""


def shape_of(solids: list[Solid], spacing_m: float, scale: float = 1.0) -> BodyPoints:
    """Solids as points ``spacing_m`` apart, painted and lit; the whole made larger by ``scale`` first.

    What lies inside another solid of the list is left out: it can never be seen.
    """
    parts = []
    for k, solid in enumerate(solids):
        white = np.full((len(solid.vertices), 3), 255, np.uint8)
        xyz, _, normal = surface_points(coloured(solid.vertices * scale, solid.faces, white), spacing_m)
        places = xyz.astype(np.float64) / scale
        hidden = np.zeros(len(xyz), bool)
        for other in solids[:k] + solids[k + 1 :]:
            hidden |= _inside(other, places, spacing_m / scale)
        rgb = lit(np.clip(solid.paint(places), 0, 255).astype(np.uint8), normal)
        parts.append((xyz[~hidden], rgb[~hidden]))
    return BodyPoints(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), spacing_m)


def _inside(solid: Solid, places: Float64, margin_m: float) -> np.ndarray:
    """Which places [N, 3] lie deeper than a margin within a convex solid."""
    corner = solid.vertices[solid.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area = np.linalg.norm(normal, axis=1)
    fit = area > 1e-12
    normal, on = normal[fit] / area[fit, None], corner[fit, 0]
    low, high = solid.vertices.min(0) + margin_m, solid.vertices.max(0) - margin_m
    near = np.flatnonzero(((places > low) & (places < high)).all(1))
    out = np.zeros(len(places), bool)
    for chunk in np.array_split(near, max(1, len(near) * len(normal) // PAIRS_AT_ONCE)):
        out[chunk] = (places[chunk] @ normal.T < (normal * on).sum(1) - margin_m).all(1)
    return out

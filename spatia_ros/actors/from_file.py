"""Actors from mesh and point cloud files: the surface as points, standing on z = 0 of the actor's frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from spatia_ros.actors.actor import Actor
from spatia_ros.actors.body import MAX_POINTS, BodyPoints, RigidBody
from spatia_ros.actors.surface_points import body_points, thinned
from spatia_ros.actors.track import PoseTrack
from spatia_ros.formats import cloud_file, mesh_file
from spatia_ros.formats.mesh_file import Mesh, read_mesh, upright
from spatia_ros.types import SpatiaError, UInt8

SUFFIXES = tuple(dict.fromkeys((*mesh_file.SUFFIXES, *cloud_file.SUFFIXES)))
USUAL_POINTS = 40_000
"""About how many points a mesh becomes when no spacing is asked for."""
USUAL_SPACING_M = (0.002, 0.2)
MAX_SPAN_M = 1000.0
"""A larger thing is taken for one in other units."""
SCALES = (1e-6, 1e6)
GREY = 150


def shape_from_file(
    path: Path | str, scale: float = 1.0, spacing_m: float | None = None, up: str = "", colour: UInt8 | None = None
) -> tuple[BodyPoints, bool]:
    """What a file shows, the middle of its box over the origin and its lowest point on z = 0.

    Args:
        path: a mesh (GLB, glTF, OBJ, DAE, PLY, STL) or a point cloud (PLY, PCD, LAS, LAZ).
        scale: metres per unit of the file, times what the file says.
        spacing_m: distance of the points; None: what makes about forty thousand of a mesh; a cloud's own.
        up: axis of the file that points up; empty: what the file says, or its format's custom.
        colour: uint8 [3], in place of the file's own; None: the file's (grey where it has none).

    Returns:
        The points, and whether they come from a mesh, which is taken to be closed.

    Raises:
        SpatiaError: when the file is no usable mesh or cloud, or larger than a kilometre.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise SpatiaError(f"actor file: expected one of {', '.join(SUFFIXES)}, got {path.name!r}")
    if not path.is_file():
        raise SpatiaError(f"actor file: {path}: expected a file, found none")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise SpatiaError(f"actor file: expected a scale of {SCALES[0]}..{SCALES[1]}, got {scale}")
    meshed = path.suffix.lower() in mesh_file.SUFFIXES and (path.suffix.lower() != ".ply" or mesh_file.ply_has_faces(path))
    points = _from_mesh(path, scale, spacing_m, up, colour) if meshed else _from_cloud(path, scale, spacing_m, up, colour)
    low, high = points.bounds()
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    return BodyPoints(points.xyz - middle, points.rgb, points.spacing_m), meshed


def actor_file(
    path: Path | str, name: str = "", scale: float = 1.0, track: PoseTrack | None = None, kind: str = "",
    spacing_m: float | None = None, up: str = "",
) -> Actor:
    """A file's thing as an actor, on a track or at rest in the origin; its kind is the file's name if it has no other."""
    shape, closed = shape_from_file(path, scale, spacing_m, up)
    track = PoseTrack.still(np.eye(4)) if track is None else track
    return Actor(name, kind or Path(path).stem or "thing", RigidBody(shape, track, closed))


def _from_mesh(path: Path, scale: float, spacing_m: float | None, up: str, colour: UInt8 | None) -> BodyPoints:
    mesh = read_mesh(path, up)
    # The middle first: single precision is for what is left.
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    _check_span(path, float(np.ptp(mesh.vertices, axis=0).max()) * scale)
    textures, tint = mesh.textures, mesh.tint
    if colour is not None:
        textures = tuple(np.full((1, 1, 3), 255, np.uint8) for _ in textures)
        tint = np.broadcast_to(colour, tint.shape).astype(np.uint8)
    mesh = Mesh((mesh.vertices - middle) * scale, mesh.uv, tint, mesh.faces, mesh.material, mesh.label, textures, mesh.names)
    if spacing_m is None:
        corners = mesh.corners()
        area = float(np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()) / 2
        spacing_m = float(np.clip(np.sqrt(4.0 * area / USUAL_POINTS), *USUAL_SPACING_M))
    # Textures have their light in them; plain colours need some to show a shape.
    return body_points(mesh, spacing_m, shaded=max(t.shape[0] * t.shape[1] for t in mesh.textures) == 1)


def _from_cloud(path: Path, scale: float, spacing_m: float | None, up: str, colour: UInt8 | None) -> BodyPoints:
    xyz, rgb, count = [], [], 0
    for piece in cloud_file.read_pieces(path):
        fit = np.isfinite(piece.xyz).all(1)
        count += int(np.count_nonzero(fit))
        if count > MAX_POINTS:
            raise SpatiaError(f"actor file: {path}: expected at most {MAX_POINTS} points, got more")
        own = np.full(piece.xyz.shape, GREY, np.uint8) if piece.rgb is None else piece.rgb
        xyz.append(piece.xyz[fit])
        rgb.append(own[fit] if colour is None else np.broadcast_to(colour, own[fit].shape).astype(np.uint8))
    if count < 2:
        raise SpatiaError(f"actor file: {path}: expected at least two points with finite places, got {count}")
    places = np.concatenate(xyz) @ upright(up or "z").T
    _check_span(path, float(np.ptp(places, axis=0).max()) * scale)
    points = ((places - (places.min(0) + places.max(0)) / 2) * scale).astype(np.float32)
    own_m = _spacing(points)
    colours = np.concatenate(rgb)
    if spacing_m is not None and spacing_m > own_m:
        kept = thinned(points, 0.7 * spacing_m)
        return BodyPoints(points[kept], colours[kept], spacing_m)
    return BodyPoints(points, colours, own_m)


def _spacing(xyz: np.ndarray) -> float:
    """Side of the grid a surface's points [N, 3] would lie on: half of them have four others nearer than this."""
    some = xyz[:: max(1, len(xyz) // 5000)]
    found, _ = cKDTree(xyz).query(some, k=min(5, len(xyz)))
    return float(np.clip(np.median(found[:, -1]), 1e-4, 1.0))


def _check_span(path: Path, span_m: float) -> None:
    if not 0 < span_m <= MAX_SPAN_M:
        raise SpatiaError(f"actor file: {path}: expected a thing of at most {MAX_SPAN_M:g} m, got {span_m:.4g} m: other units?")

"""A scene with things that move: exact colour, depth, object numbers and boxes for any camera at any animation time.

Movers are posed for a time, put into a ray caster of their own (a few thousand triangles, rebuilt in about a
millisecond), and every ray that passes near one meets the nearer of the two casters. So a scene's own caster and
baked light serve any number of runs with other movers. They are lit by the scene's lamps where they are, and throw
the shadow of the brightest lamp; the light they throw back is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatia_ros.o3d import o3d
from spatia_ros.train.scene import Hits, Scene
from spatia_ros.train.scene_actors import Actor
from spatia_ros.train.scene_air import CLEAR, Air
from spatia_ros.train.scene_light import light_on, lit, share_of
from spatia_ros.train.scene_mesh import Mesh
from spatia_ros.train.scene_shade import TextureStore, texel_density
from spatia_ros.types import Camera, Float32, Float64, Frame, Int64

SHADE_FLOOR = 0.25
"""Share of a surface's light that a mover's shadow leaves at least."""
SHADOW_LIFT = 0.995
"""Shadow rays start this share of the way to the surface."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a camera sees at one animation time.

    Args:
        frame: the picture. ids: int32 [H, W], object numbers, 0 for none; movers' are :attr:`SceneAt.numbers`.
        boxes: float64 [A, 4], left, top, right and bottom of each mover's visible pixels, px; NaN where none is visible.
    """

    frame: Frame
    ids: np.ndarray
    boxes: Float64


class SceneAt(Scene):
    """A scene and its movers.

    Args:
        scene: stays usable. actors: what moves in it. air: what lies between, and how the camera sees.

    Attributes:
        numbers: int64 [A], what movers are called in ``ids``. first_faces: number of each mover's first face.
    """

    def __init__(self, scene: Scene, actors: Sequence[Actor], air: Air = CLEAR) -> None:
        self.__dict__.update(scene.__dict__)
        self.actors, self.air = tuple(actors), air
        first = int(self._object.max()) + 1
        self.numbers: Int64 = np.arange(first, first + len(actors))
        self._still_faces, self._vertices = len(self._faces), len(self._normals)
        self._mover_faces = np.zeros((0, 3), np.uint32)
        counts = [len(actor.body.mesh.faces) for actor in actors]
        self.first_faces = [self._still_faces + sum(counts[:k]) for k in range(len(counts))]
        for number, actor in zip(self.numbers, self.actors, strict=True):
            self._append(actor.body.mesh, int(number))
        self._spheres = np.zeros((0, 4))
        self._mover_caster: o3d.t.geometry.RaycastingScene | None = None
        self._tau_s: float | None = None

    def _append(self, mesh: Mesh, number: int) -> None:
        """Room for a mover's vertices and faces behind everything else."""
        added, start = len(mesh.vertices), len(self._normals)
        self._mover_faces = np.concatenate([self._mover_faces, (mesh.faces + start - self._vertices).astype(np.uint32)])
        self._faces = np.concatenate([self._faces, mesh.faces + start])
        self._normals = np.concatenate([self._normals, mesh.normals.astype(np.float32)])
        self._uv = np.concatenate([self._uv, mesh.uv.astype(np.float32)])
        self._material = np.concatenate([self._material, mesh.material + len(self._textures.levels)])
        self._object = np.concatenate([self._object, np.full(len(mesh.faces), number, np.int32)])
        self._face_normals = np.concatenate([self._face_normals, np.zeros((len(mesh.faces), 3), np.float32)])
        self._density = np.concatenate([self._density, texel_density(mesh)])
        dark = np.zeros((added, 3), np.float32)
        self._light_front, self._light_back = (np.concatenate([x, dark]) for x in (self._light_front, self._light_back))
        self._textures = self._textures.joined(TextureStore.of(mesh))

    def look_at(self, camera: Camera, T_world_cam: Float64, tau_s: float, stamp_ns: int = 0) -> Seen:
        """What a camera sees when the movers are where they are at ``tau_s`` (0..TAU_S)."""
        self.pose(tau_s)
        frame, ids = self.render_with_ids(camera, T_world_cam, stamp_ns)
        boxes = np.full((len(self.actors), 4), np.nan)
        for k, number in enumerate(self.numbers):
            rows, cols = np.nonzero(ids == number)
            if len(rows):
                boxes[k] = cols.min(), rows.min(), cols.max() + 1, rows.max() + 1
        return Seen(frame, ids, boxes)

    def pose(self, tau_s: float) -> None:
        """Put every mover where it is at an animation time."""
        if self._tau_s == tau_s or not self.actors:
            return
        points, normals = (np.concatenate(x) for x in zip(*(a.posed(tau_s) for a in self.actors), strict=True))
        mesh, self._tau_s = slice(self._vertices, None), tau_s
        self._normals[mesh] = normals
        self._light_front[mesh] = self._light_back[mesh] = light_on(points, normals, self._caster, self.lighting)
        corners = points[self._mover_faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        unit = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-12)
        self._face_normals[self._still_faces :] = unit
        self._mover_caster = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._mover_caster.add_triangles(
            o3d.core.Tensor(points.astype(np.float32)), o3d.core.Tensor(np.ascontiguousarray(self._mover_faces))
        )
        ends = np.cumsum([len(a.body.part) for a in self.actors])
        self._spheres = np.stack([_sphere(p) for p in np.split(points, ends[:-1])])

    def _cast(self, origin: Float64, rays: Float32) -> Hits:
        hits = super()._cast(origin, rays)
        near = _passing(origin, rays, self._spheres)
        if self._mover_caster is None or not len(near):
            return hits
        both = np.empty((len(near), 6), np.float32)
        both[:, :3], both[:, 3:] = origin, rays[near]
        found = self._mover_caster.cast_rays(o3d.core.Tensor(both))
        depth = found["t_hit"].numpy()
        nearer = np.flatnonzero(depth < hits.depth[near])
        at = near[nearer]
        prim, bary, z = hits.prim.copy(), hits.bary.copy(), hits.depth.copy()
        prim[at] = found["primitive_ids"].numpy()[nearer] + np.uint32(self._still_faces)
        bary[at], z[at] = found["primitive_uvs"].numpy()[nearer], depth[nearer]
        return Hits(prim, bary, z)

    def _shade(
        self, colour: Float64, pixels: np.ndarray, hits: Hits, rays: Float32, camera: Camera, T_world_cam: Float64
    ) -> None:
        super()._shade(colour, pixels, hits, rays, camera, T_world_cam)
        if self._mover_caster is not None:
            at, share = self._shadows(hits, rays, T_world_cam[:3, 3])
            colour[pixels[at]] *= np.sqrt(share)[:, None]
        if self.air.haze_per_m:
            distance = hits.depth * np.linalg.norm(rays, axis=1)
            colour[pixels] = self.air.through(colour[pixels], distance)

    def shade_hits(self, colour: Float64, hits: Hits, rays: Float32, camera: Camera, T_world_cam: Float64) -> None:
        """Write to ``colour`` [N, 3] (0..1, gamma 2) what the movers' surfaces look like where these rays are said to meet them.

        Args:
            hits: N places on faces (a mover's are counted from its :attr:`first_faces`). rays: float32 [N, 3] from the camera.
        """
        super()._shade(colour, np.arange(len(hits.prim)), hits, rays, camera, T_world_cam)

    def _shadows(self, hits: Hits, rays: Float32, origin: Float64) -> tuple[np.ndarray, Float64]:
        """Rays that end in a mover's shadow, and the share [N] of their light that is left."""
        key, nothing = self._key, (np.zeros(0, np.int64), np.zeros(0))
        still = np.flatnonzero(hits.prim < self._still_faces)
        points = origin + SHADOW_LIFT * hits.depth[still, None] * rays[still].astype(np.float64)
        way = np.array(key.position) - (0 if key.sun else points)
        near = _between(points, np.broadcast_to(way, points.shape), self._spheres)
        if not len(near) or self._mover_caster is None:
            return nothing
        at, points = still[near], points[near]
        corners, (b, c) = self._faces[hits.prim[at]], hits.bary[at].T
        weights = np.stack([1 - b - c, b, c], -1)
        normals = np.einsum("nk,nkj->nj", weights, self._normals[corners])
        light = np.einsum("nk,nkj->nj", weights, self._light_front[corners]).max(-1)
        normals *= -np.sign(np.einsum("nj,nj->n", normals, rays[at]))[:, None]
        share, way = share_of(points, normals, key, np.zeros(3))
        direct = share * max(key.colour)
        # Where less arrives than the lamp alone would send, something still hides it already.
        shadowed = (direct > 0.05 * light) & (direct <= 1.05 * light)
        shadowed[shadowed] = ~lit(points[shadowed], way[shadowed], self._mover_caster)
        left = np.clip(1 - direct[shadowed] / light[shadowed], SHADE_FLOOR, 1.0)
        return at[shadowed], left


def _sphere(points: Float64) -> Float64:
    """Middle and radius [4] of a sphere around points."""
    middle = 0.5 * (points.min(0) + points.max(0))
    return np.append(middle, np.linalg.norm(points - middle, axis=1).max())


def _passing(origin: Float64, rays: Float32, spheres: Float64) -> np.ndarray:
    """Numbers of the rays that pass through any of the spheres [A, 4]."""
    square = np.einsum("ij,ij->i", rays, rays)
    near = np.zeros(len(rays), bool)
    for x, y, z, r in spheres:
        way = (np.array((x, y, z)) - origin).astype(np.float32)
        along = rays @ way
        far = float(way @ way)
        near |= (along > 0) & ((far - r * r) * square < along * along) if far > r * r else True
    return np.flatnonzero(near)


def _between(points: Float64, way: Float64, spheres: Float64) -> np.ndarray:
    """Numbers of the points from which the way [N, 3] to the lamp leads through any of the spheres."""
    square = np.einsum("ij,ij->i", way, way)
    near = np.zeros(len(points), bool)
    for x, y, z, r in spheres:
        to = np.array((x, y, z)) - points
        along = np.einsum("ij,ij->i", to, way)
        gap = np.einsum("ij,ij->i", to, to) - r * r
        near |= (gap <= 0) | ((along > 0) & (gap * square < along * along))
    return np.flatnonzero(near)

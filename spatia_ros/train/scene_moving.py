"""A scene one object of which stands elsewhere in each frame: exact colour, depth and object numbers."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from spatia_ros.geometry import inverse, pixel_rays
from spatia_ros.o3d import o3d
from spatia_ros.train.scene import Hits, Scene
from spatia_ros.train.scene_mesh import Mesh
from spatia_ros.train.scene_shade import MISS
from spatia_ros.types import Camera, Float32, Float64, Frame, SpatiaError, check_pose


class MovingScene(Scene):
    """A scene with one object (of one or more parts) that can be displaced, or left out.

    The object keeps the light that was baked into it where it stood: it takes no shadows along. Every
    ray meets the nearer of two casters, one of the rest of the scene and one of the object alone,
    asked in the object's own frame, so that moving it rebuilds nothing.

    Args:
        scene: stays usable.
        numbers: object numbers (as :meth:`Scene.render_ids` gives them) of the parts that move.

    Raises:
        SpatiaError: when no face, or every face, belongs to those numbers.
    """

    def __init__(self, scene: Scene, numbers: Collection[int]) -> None:
        self.__dict__.update(scene.__dict__)
        moves = np.isin(self.mesh.obj, list(numbers))
        if not moves.any() or moves.all():
            raise SpatiaError(f"moving scene: expected numbers of some objects, got {sorted(numbers)}: {moves.sum()} faces")
        self._rest_faces, self._object_faces = np.flatnonzero(~moves), np.flatnonzero(moves)
        self._caster, self._object_caster = _caster(self.mesh, self._rest_faces), _caster(self.mesh, self._object_faces)
        self._object_vertices = np.unique(self._faces[self._object_faces])
        self._home_normals, self._home_face_normals = self._normals.copy(), self._face_normals.copy()
        self._normals, self._face_normals = self._normals.copy(), self._face_normals.copy()
        self._T_object_world: Float64 | None = np.eye(4)

    def place(self, displacement: Float64 | None) -> None:
        """Displace the object from where the scene has it, or leave it out.

        Args:
            displacement: float64 [4, 4] rigid, world to world: what was at x is at ``displacement`` x. None: no object.
        """
        if displacement is None:
            self._T_object_world = None
            return
        check_pose("moving scene: displacement", displacement)
        R = displacement[:3, :3].astype(np.float32)
        v, f = self._object_vertices, self._object_faces
        self._normals[v], self._face_normals[f] = self._home_normals[v] @ R.T, self._home_face_normals[f] @ R.T
        self._T_object_world = inverse(displacement)

    def render_at(self, camera: Camera, T_world_cam: Float64, displacement: Float64 | None, stamp_ns: int = 0) -> Frame:
        """:meth:`place`, then :meth:`render`."""
        self.place(displacement)
        return self.render(camera, T_world_cam, stamp_ns)

    def object_mask(self, camera: Camera, T_world_cam: Float64) -> np.ndarray:
        """bool [H, W], the pixels whose centres see the object where it was placed."""
        ids = self.render_ids(camera, T_world_cam)
        return np.isin(ids, np.unique(self._object[self._object_faces]))

    def object_alone(self, camera: Camera, T_world_cam: Float64) -> np.ndarray:
        """bool [H, W], the pixels that would see the object if nothing else were there; all false when it is left out."""
        if self._T_object_world is None:
            return np.zeros((camera.height, camera.width), bool)
        rays = pixel_rays(camera).reshape(-1, 3) @ T_world_cam[:3, :3].T
        hits = self._hits_of_object(T_world_cam[:3, 3], rays, self._T_object_world)
        return (hits.prim != MISS).reshape(camera.height, camera.width)

    def object_surface(self, spacing_m: float, rng: np.random.Generator) -> Float64:
        """Points [N, 3] all over the object as the scene has it, on average four to a square of this side (m)."""
        corners = self.mesh.vertices[self._faces[self._object_faces]]
        area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        n = int(np.ceil(4 * area.sum() / spacing_m**2))
        chosen = corners[rng.choice(len(area), size=n, p=area / area.sum())]
        a, b = rng.random((2, n, 1))
        a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
        return chosen[:, 0] + a * (chosen[:, 1] - chosen[:, 0]) + b * (chosen[:, 2] - chosen[:, 0])

    def rest_distance(self, points: Float64) -> Float32:
        """Distance [N], m, of world points to the nearest surface that is not the object's."""
        return self._caster.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy()

    def _cast(self, origin: Float64, rays: Float32) -> Hits:
        hits = _hits(self._caster, self._rest_faces, origin, rays)
        if self._T_object_world is None:
            return hits
        there = self._hits_of_object(origin, rays, self._T_object_world)
        nearer = there.depth < hits.depth
        return Hits(
            np.where(nearer, there.prim, hits.prim), np.where(nearer[:, None], there.bary, hits.bary),
            np.where(nearer, there.depth, hits.depth),
        )

    def _hits_of_object(self, origin: Float64, rays: Float32 | Float64, T_object_world: Float64) -> Hits:
        R, t = T_object_world[:3, :3], T_object_world[:3, 3]
        return _hits(self._object_caster, self._object_faces, R @ origin + t, (rays @ R.T).astype(np.float32))


def _caster(mesh: Mesh, faces: np.ndarray) -> o3d.t.geometry.RaycastingScene:
    used, at = np.unique(mesh.faces[faces], return_inverse=True)
    caster = o3d.t.geometry.RaycastingScene(nthreads=1)
    caster.add_triangles(
        o3d.core.Tensor(mesh.vertices[used].astype(np.float32)), o3d.core.Tensor(at.reshape(-1, 3).astype(np.uint32))
    )
    return caster


def _hits(caster: o3d.t.geometry.RaycastingScene, faces: np.ndarray, origin: Float64, rays: Float32) -> Hits:
    """What rays meet in a caster of some faces, with those faces' numbers in the whole mesh."""
    both = np.empty((len(rays), 6), np.float32)
    both[:, :3], both[:, 3:] = origin, rays
    found = caster.cast_rays(o3d.core.Tensor(both))
    prim = found["primitive_ids"].numpy()
    hit = prim != MISS
    whole = np.full(len(prim), MISS, np.uint32)
    whole[hit] = faces[prim[hit]]
    return Hits(whole, found["primitive_uvs"].numpy(), found["t_hit"].numpy())

"""A scene of triangles with exact geometry: colour, z-depth and object numbers at any camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.geometry import pixel_rays
from spatia_ros.o3d import o3d
from spatia_ros.train.scene_light import Lighting, bake
from spatia_ros.train.scene_mesh import Mesh
from spatia_ros.train.scene_path import Walk, random_path
from spatia_ros.train.scene_shade import MISS, Look, TextureStore, edges, gamma_bytes, shade, texel_density
from spatia_ros.types import Camera, Float32, Float64, Frame, SpatiaError, UInt8, check_pose

_SUBPIXELS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))


@dataclass(frozen=True, slots=True)
class Hits:
    """What rays meet: face numbers uint32 [N] (MISS for none), barycentric [N, 2], z-depth [N] (inf for none)."""

    prim: np.ndarray
    bary: Float32
    depth: Float32


class Scene:
    """A static scene; world frame z up, metres.

    Args:
        mesh: the surfaces.
        lighting: what lights them; baked into the vertices here.
        walk: where a camera may be and what it looks at.
        rng: randomness of the baked soft shadows and of the camera's response.
        sky: uint8 [H, W, 3] panorama of open sky, see :class:`Look`.
        threads: CPU threads of the ray caster.
    """

    def __init__(
        self, mesh: Mesh, lighting: Lighting, walk: Walk, rng: np.random.Generator, sky: UInt8 | None = None, threads: int = 1
    ) -> None:
        self.mesh, self.lighting, self.walk = mesh, lighting, walk
        self._caster = o3d.t.geometry.RaycastingScene(nthreads=threads)
        self._caster.add_triangles(
            o3d.core.Tensor(mesh.vertices.astype(np.float32)), o3d.core.Tensor(mesh.faces.astype(np.uint32))
        )
        self._faces = mesh.faces.astype(np.int64)
        self._normals, self._uv = mesh.normals.astype(np.float32), mesh.uv.astype(np.float32)
        self._material, self._object = mesh.material.astype(np.int64), mesh.obj.astype(np.int32)
        self._face_normals = _face_normals(mesh)
        self._textures, self._density = TextureStore.of(mesh), texel_density(mesh)
        front, back = bake(mesh, self._caster, lighting, rng)
        self._light_front, self._light_back = front.astype(np.float32), back.astype(np.float32)
        self._key = lighting.lamps[0]
        self.look = self._metered(rng, np.zeros((2, 2, 3), np.uint8) if sky is None else sky)

    def render(self, camera: Camera, T_world_cam: Float64, stamp_ns: int = 0, *, antialias: bool = True) -> Frame:
        """Colour and exact z-depth at pixel centres; depth is 0 where a ray meets nothing.

        Colour on edges is averaged over four points of a pixel unless ``antialias`` is false.
        """
        return self.render_with_ids(camera, T_world_cam, stamp_ns, antialias=antialias)[0]

    def render_with_ids(
        self, camera: Camera, T_world_cam: Float64, stamp_ns: int = 0, *, antialias: bool = True
    ) -> tuple[Frame, np.ndarray]:
        """:meth:`render` and :meth:`render_ids` at the price of the first."""
        check_pose("scene.render: T_world_cam", T_world_cam)
        height, width = camera.height, camera.width
        rays = (pixel_rays(camera).reshape(-1, 3) @ T_world_cam[:3, :3].T).astype(np.float32)
        hits = self._cast(T_world_cam[:3, 3], rays)
        colour = np.zeros((height * width, 3))
        self._shade(colour, np.arange(height * width), hits, rays, camera, T_world_cam)
        if antialias:
            self._smooth_edges(colour, hits, rays, camera, T_world_cam)
        depth = np.where(hits.prim == MISS, np.float32(0), hits.depth).reshape(height, width)
        rgb = gamma_bytes(colour).reshape(height, width, 3)
        return Frame(rgb, depth, camera, T_world_cam, stamp_ns), self._ids(hits).reshape(height, width)

    def render_ids(self, camera: Camera, T_world_cam: Float64) -> np.ndarray:
        """int32 [H, W], the number (from 1) of the object seen at each pixel centre; 0 for none."""
        check_pose("scene.render_ids: T_world_cam", T_world_cam)
        rays = (pixel_rays(camera).reshape(-1, 3) @ T_world_cam[:3, :3].T).astype(np.float32)
        return self._ids(self._cast(T_world_cam[:3, 3], rays)).reshape(camera.height, camera.width)

    def _ids(self, hits: Hits) -> np.ndarray:
        hit = hits.prim != MISS
        ids = np.zeros(len(hit), np.int32)
        ids[hit] = self._object[hits.prim[hit]]
        return ids

    def distance(self, points: Float64) -> Float32:
        """float32 [N], metres from each world point [N, 3] to the nearest surface."""
        return self._caster.compute_distance(o3d.core.Tensor(np.ascontiguousarray(points, np.float32))).numpy()

    def sees(self, eye: Float64, point: Float64) -> bool:
        """Whether nothing lies between two points [3]."""
        ray = np.concatenate([eye, point - eye]).astype(np.float32)[None]
        return not bool(self._caster.test_occlusions(o3d.core.Tensor(ray), tnear=0.0, tfar=1.0).numpy()[0])

    def below(self, point: Float64) -> float | None:
        """Height (world z) of the level ground below a point [3]; None where there is none, or it slopes."""
        ray = np.concatenate([point, (0, 0, -1)]).astype(np.float32)[None]
        found = self._caster.cast_rays(o3d.core.Tensor(ray))
        fall, up = float(found["t_hit"].numpy()[0]), abs(float(found["primitive_normals"].numpy()[0, 2]))
        return float(point[2]) - fall if np.isfinite(fall) and up > 0.99 else None

    def random_path(self, rng: np.random.Generator, n: int) -> Float64:
        """``T_world_cam`` [n, 4, 4] of a smooth path through free space that sees some places twice.

        Raises:
            SpatiaError: when no free path is found.
        """
        if n < 1:
            raise SpatiaError(f"scene.random_path: expected at least one pose, got {n}")
        return random_path(self._caster, self.walk, rng, n)

    def _cast(self, origin: Float64, rays: Float32) -> Hits:
        both = np.empty((len(rays), 6), np.float32)
        both[:, :3], both[:, 3:] = origin, rays
        found = self._caster.cast_rays(o3d.core.Tensor(both))
        return Hits(found["primitive_ids"].numpy(), found["primitive_uvs"].numpy(), found["t_hit"].numpy())

    def _shade(
        self, colour: Float64, pixels: np.ndarray, hits: Hits, rays: Float32, camera: Camera, T_world_cam: Float64
    ) -> None:
        key = self._key
        to_key = np.array(key.position) - (0 if key.sun else T_world_cam[:3, 3])
        shade(
            colour, pixels, hits.prim, hits.bary, hits.depth, rays, camera.fx,
            self._faces, self._normals, self._uv, self._light_front, self._light_back, self._material, self._density,
            self._textures.texels, self._textures.levels, self._textures.finish,
            to_key / np.linalg.norm(to_key), self.look.exposure * np.array(self.look.cast), self.look.white, self.look.sky,
        )

    def _smooth_edges(self, colour: Float64, hits: Hits, rays: Float32, camera: Camera, T_world_cam: Float64) -> None:
        shape = (camera.height, camera.width)
        pixels = np.flatnonzero(edges(hits.prim.reshape(shape), self._face_normals, self._object, hits.depth.reshape(shape)))
        if not len(pixels):
            return
        right, down = T_world_cam[:3, 0] / camera.fx, T_world_cam[:3, 1] / camera.fy
        moved = np.concatenate([rays[pixels] + (du * right + dv * down).astype(np.float32) for du, dv in _SUBPIXELS])
        samples = np.zeros((len(moved), 3))
        self._shade(samples, np.arange(len(moved)), self._cast(T_world_cam[:3, 3], moved), moved, camera, T_world_cam)
        # A sensor adds light, not gamma-coded values.
        colour[pixels] = np.sqrt((samples.reshape(len(_SUBPIXELS), -1, 3) ** 2).mean(0))

    def _metered(self, rng: np.random.Generator, sky: UInt8) -> Look:
        """A response whose mid grey suits the scene's own brightness, with a slight colour cast."""
        mean_albedo = np.array([((m.texture.reshape(-1, 3) / 255.0) ** 2).mean() for m in self.mesh.materials])
        corners = self.mesh.vertices[self._faces]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
        light = self._light_front[self._faces].mean((1, 2)) * mean_albedo[self._material]
        typical = (light * area).sum() / area.sum()
        target = np.exp(rng.uniform(*np.log((0.12, 0.5))))
        return Look(target / max(float(typical), 1e-6), tuple(rng.normal(1.0, 0.03, 3)), rng.uniform(1.2, 2.5), sky)


def _face_normals(mesh: Mesh) -> Float32:
    corners = mesh.vertices[mesh.faces]
    n = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return (n / np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-12)).astype(np.float32)

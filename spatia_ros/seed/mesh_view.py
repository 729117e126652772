"""Exact pictures of a mesh from anywhere: rays cast by Open3D, colours by the mesh's own textures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from spatia_ros.formats.mesh_file import Mesh
from spatia_ros.formats.surface import Paint, shade
from spatia_ros.geometry import pixel_rays
from spatia_ros.types import Camera, Float32, Float64, Frame, check_pose

NOTHING = np.uint32(0xFFFFFFFF)
FAR_M = np.float32(1e5)
OFF_SURFACE_M = 2e-4
EDGE_VOXELS = 1.5
MOST_WIDENED_PX = 6
MIXED_RATIO = 0.03
"""A pixel whose rays end at depths farther apart than this, relative to the nearer, shows more than one surface."""


class MeshView:
    """A mesh that can be looked at.

    Args:
        mesh: the triangles. paint: its textures. threads: CPU threads of the ray caster; 0: all.
    """

    def __init__(self, mesh: Mesh, paint: Paint, threads: int = 0) -> None:
        from spatia_ros.o3d import o3d

        self.mesh, self.paint = mesh, paint
        self._o3d: Any = o3d
        self._caster = o3d.t.geometry.RaycastingScene(nthreads=threads)
        vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32)
        self._caster.add_triangles(self._o3d.core.Tensor(vertices), self._o3d.core.Tensor(faces))

    def render(self, camera: Camera, T_world_cam: Float64, stamp_ns: int = 0, *, fine: int = 2, voxel_m: float = 0.0) -> Frame:
        """Colour averaged over ``fine`` x ``fine`` rays a pixel, and the z-depth of pixels that show one surface.

        Depth is 0 where nothing is, and where a pixel mixes two surfaces: its colour is neither's. As a keyframe of
        voxels of ``voxel_m``, also where pixels are coarser than voxels, and beside an edge as far as voxels
        may be off: voxels at an edge must not take the colour of what is behind it.
        """
        check_pose("T_world_cam", T_world_cam)
        height, width = camera.height, camera.width
        finer = camera.resized(fine * width, fine * height)
        prim, bary, depth = self._cast(finer, T_world_cam)
        rgb = cv2.resize(self._shade(prim, bary, depth, finer), (width, height), interpolation=cv2.INTER_AREA)
        of_pixel = np.minimum(depth, FAR_M).reshape(height, fine, width, fine)
        near, far = of_pixel.min((1, 3)), of_pixel.max((1, 3))
        unfit = (far - near > MIXED_RATIO * near) | (far >= FAR_M)
        if voxel_m:
            around = np.ones((3, 3), np.uint8)
            front = cv2.erode(near, around)
            edge = cv2.dilate(far, around) - front > MIXED_RATIO * front
            unfit |= _widened(edge, front, EDGE_VOXELS * voxel_m * camera.fx) | (near > camera.fx * voxel_m)
        middle = 2.0 / (1.0 / np.maximum(near, 1e-6) + 1.0 / np.maximum(far, 1e-6))
        known = np.where(unfit, np.float32(0.0), middle.astype(np.float32))
        return Frame((rgb + 0.5).astype(np.uint8), known, camera, T_world_cam, stamp_ns)

    def labels(self, camera: Camera, T_world_cam: Float64) -> np.ndarray:
        """uint16 [H, W], the label of the object at each pixel centre, 0 for none."""
        prim, _, _ = self._cast(camera, T_world_cam)
        known = prim != NOTHING
        out = np.zeros(prim.shape, np.uint16)
        out[known] = self.mesh.label[prim[known]]
        return out

    def gap(self, xyz: Float32, normal: Float32) -> Float32:
        """float32 [N] metres of free way before surface points [N, 3] along their normals [N, 3]; infinite if unbounded."""
        rays = np.concatenate([xyz + np.float32(OFF_SURFACE_M) * normal, normal], 1)
        return np.asarray(self._caster.cast_rays(self._o3d.core.Tensor(rays))["t_hit"].numpy(), np.float32)

    def _cast(self, camera: Camera, T_world_cam: Float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Triangle met uint32 [H, W], where on it float32 [H, W, 2], and z-depth float32 [H, W]."""
        rays = np.empty((camera.height, camera.width, 6), np.float32)
        # Directions with z = 1 make the distance along a ray the z-depth.
        rays[..., :3], rays[..., 3:] = T_world_cam[:3, 3], pixel_rays(camera) @ T_world_cam[:3, :3].T
        hit = self._caster.cast_rays(self._o3d.core.Tensor(rays))
        return hit["primitive_ids"].numpy(), hit["primitive_uvs"].numpy(), hit["t_hit"].numpy()

    def _shade(self, prim: np.ndarray, bary: np.ndarray, depth: np.ndarray, camera: Camera) -> np.ndarray:
        m, p = self.mesh, self.paint
        return shade(prim, bary, depth, camera.fx, m.faces, m.uv, m.tint, p.levels, m.material, p.density, p.texels)


def _widened(edges: np.ndarray, near: np.ndarray, reach: float) -> np.ndarray:
    """bool [H, W] edges, each grown by ``reach / near`` px (the nearer, the wider), at most 6."""
    radius = np.clip(np.ceil(reach / np.maximum(near, 1e-3)), 1, MOST_WIDENED_PX).astype(int)
    out = edges.copy()
    for r in np.unique(radius[edges]):
        side = np.ones((2 * r + 1, 2 * r + 1), np.uint8)
        out |= cv2.dilate((edges & (radius == r)).astype(np.uint8), side).astype(bool)
    return out

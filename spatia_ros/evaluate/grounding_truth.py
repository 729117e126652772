"""What a scene really holds, for grounding: exact boxes, colours of its textures, and who sees what from where.

Nothing here knows of memory, labels or the words of :mod:`spatia_ros.ground`: an answer is held against triangles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from scipy.spatial import cKDTree

from spatia_ros.geometry import pixel_rays
from spatia_ros.o3d import o3d
from spatia_ros.train.scene_mesh import Mesh
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8

PROTOTYPES = {
    "red": (190, 30, 35), "orange": (230, 120, 25), "yellow": (225, 195, 45), "green": (50, 130, 55), "blue": (40, 70, 175),
    "purple": (110, 45, 140), "white": (235, 235, 230), "grey": (125, 125, 127), "black": (22, 22, 24), "brown": (105, 65, 35),
}  # fmt: skip
"""One plain colour for each word; a surface has the word whose colour is nearest in CIELAB."""
SAMPLES = 600


@dataclass(frozen=True, slots=True)
class TrueThing:
    """An object as it really is.

    Args:
        name: its own. kind: the group it belongs to. words: what people call it; the first also names its group.
        low, high: float64 [3], its exact box, m. colours: share of its surface by :data:`PROTOTYPES`.
        numbers: object numbers of its triangles; none for an actor. actor_id: of an actor, else 0.
    """

    name: str
    kind: str
    words: tuple[str, ...]
    low: Float64
    high: Float64
    colours: dict[str, float]
    numbers: tuple[int, ...] = ()
    actor_id: int = 0

    @property
    def middle(self) -> Float64:
        """float64 [3], m."""
        return (self.low + self.high) / 2

    @property
    def size(self) -> Float64:
        """float64 [3], m."""
        return self.high - self.low


@dataclass(frozen=True)
class TrueRoom:
    """The triangles of a scene.

    Args:
        mesh: all of them. extra: points (float32 [N, 3]) of what stands there and is no triangle: actors at rest.
    """

    mesh: Mesh
    extra: Float32 = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    @cached_property
    def _all(self) -> Any:
        return _caster(self.mesh, np.arange(len(self.mesh.faces)))

    def distance(self, points: Float64) -> Float32:
        """float32 [N], metres from world points [N, 3] to the nearest surface."""
        near: Float32 = self._all.compute_distance(_tensor(points.astype(np.float32))).numpy()
        if len(self.extra):
            near = np.minimum(near, cKDTree(self.extra).query(points)[0].astype(np.float32))
        return near

    def crosses(self, way: Float64) -> bool:
        """Whether any piece between neighbouring points of a way [N, 3] goes through a surface."""
        moved = np.linalg.norm(np.diff(way, axis=0), axis=1) > 1e-6
        if not moved.any():
            return False
        rays = np.concatenate([way[:-1][moved], np.diff(way, axis=0)[moved]], 1).astype(np.float32)
        return bool(self._all.test_occlusions(_tensor(rays), tnear=0.0, tfar=1.0).numpy().any())

    def depth(self, camera: Camera, T_world_cam: Float64) -> tuple[Float32, np.ndarray]:
        """z-depth [H, W], 0 for nothing, and object numbers int [H, W], 0 for none."""
        depth, prim = _cast(self._all, camera, T_world_cam)
        ids = np.zeros(prim.shape, np.int64)
        ids[depth > 0] = self.mesh.obj[prim[depth > 0]]
        return depth, ids

    def outline(self, thing: TrueThing, camera: Camera, T_world_cam: Float64) -> tuple[Bool, Bool]:
        """Pixels of a wider picture that the thing alone would cover, and those of the camera's own that show it.

        The wider picture is the camera's with half its size added on every side; both are bool [2H, 2W].
        """
        h, w = camera.height, camera.width
        wide = Camera(2 * w, 2 * h, camera.fx, camera.fy, camera.cx + w / 2, camera.cy + h / 2)
        faces = np.flatnonzero(np.isin(self.mesh.obj, thing.numbers))
        alone = _cast(_caster(self.mesh, faces), wide, T_world_cam)[0] > 0
        shown = np.zeros(alone.shape, bool)
        shown[h // 2 : h // 2 + h, w // 2 : w // 2 + w] = np.isin(self.depth(camera, T_world_cam)[1], thing.numbers)
        return alone, shown


def _tensor(array: np.ndarray) -> Any:
    """As Open3D takes it; its own declarations know no arrays."""
    return o3d.core.Tensor(array)  # type: ignore[call-overload]


def _caster(mesh: Mesh, faces: np.ndarray) -> Any:
    used, at = np.unique(mesh.faces[faces], return_inverse=True)
    caster = o3d.t.geometry.RaycastingScene(nthreads=1)
    caster.add_triangles(_tensor(mesh.vertices[used].astype(np.float32)), _tensor(at.reshape(-1, 3).astype(np.uint32)))
    return caster


def _cast(caster: Any, camera: Camera, T_world_cam: Float64) -> tuple[Float32, np.ndarray]:
    rays = pixel_rays(camera).reshape(-1, 3) @ T_world_cam[:3, :3].T
    both = np.concatenate([np.broadcast_to(T_world_cam[:3, 3], rays.shape), rays], 1).astype(np.float32)
    found = caster.cast_rays(_tensor(both))
    depth = found["t_hit"].numpy().reshape(camera.height, camera.width)
    return np.where(np.isfinite(depth), depth, np.float32(0)), found["primitive_ids"].numpy().reshape(depth.shape)


def true_things(
    mesh: Mesh, names: dict[int, str], words_of: dict[str, tuple[str, ...]], kind_of: dict[str, str]
) -> list[TrueThing]:
    """Every named object that there are words for, by name.

    Args:
        names: by object number; several numbers may share a name. words_of, kind_of: by name.
    """
    numbers: dict[str, list[int]] = {}
    for number, name in names.items():
        numbers.setdefault(name, []).append(number)
    rng, out = np.random.default_rng(0), []
    for name in sorted(numbers.keys() & words_of.keys()):
        faces = np.flatnonzero(np.isin(mesh.obj, numbers[name]))
        if len(faces):
            corners = mesh.vertices[mesh.faces[faces]].reshape(-1, 3)
            colours = shares_of(texels(mesh, faces, rng))
            low, high = corners.min(0), corners.max(0)
            out.append(TrueThing(name, kind_of[name], words_of[name], low, high, colours, tuple(numbers[name])))
    return out


def texels(mesh: Mesh, faces: np.ndarray, rng: np.random.Generator) -> UInt8:
    """Colours [SAMPLES, 3] of textures at places spread evenly over the area of some faces."""
    corners = mesh.vertices[mesh.faces[faces]]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = faces[rng.choice(len(faces), SAMPLES, p=area / area.sum())]
    a, b = rng.random((2, SAMPLES, 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    uv = mesh.uv[mesh.faces[chosen]]
    at = (1 - a - b) * uv[:, 0] + a * uv[:, 1] + b * uv[:, 2]
    out = np.zeros((SAMPLES, 3), np.uint8)
    for material in np.unique(mesh.material[chosen]):
        mine = mesh.material[chosen] == material
        texture = mesh.materials[material].texture
        h, w = texture.shape[:2]
        x, y = (at[mine, 0] % 1.0 * w).astype(int).clip(0, w - 1), ((1.0 - at[mine, 1]) % 1.0 * h).astype(int).clip(0, h - 1)
        out[mine] = texture[y, x]
    return out


def shares_of(rgb: UInt8) -> dict[str, float]:
    """Share of colours [N, 3] nearest to each of :data:`PROTOTYPES` in CIELAB."""
    def lab(colours: UInt8) -> Float32:
        return cv2.cvtColor(colours[None].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)[0]

    plain = lab(np.array(list(PROTOTYPES.values()), np.uint8))
    nearest = np.linalg.norm(lab(rgb)[:, None] - plain[None], axis=-1).argmin(1)
    return {word: float((nearest == k).mean()) for k, word in enumerate(PROTOTYPES)}

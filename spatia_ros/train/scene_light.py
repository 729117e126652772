"""Light: lamps, sun and sky, and the irradiance they leave at every vertex (shadowed, with soft corners)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.o3d import o3d
from spatia_ros.train.scene_mesh import Mesh
from spatia_ros.types import Float64

SHADOW_SAMPLES = 6
AMBIENT_SAMPLES = 32
FAINTEST = 0.02
"""Irradiance that is not worth a shadow ray."""
LIFT_M = 2e-3
"""Rays leave a surface this far above it, so that it does not shadow itself."""


@dataclass(frozen=True, slots=True)
class Lamp:
    """A round light.

    Args:
        position: [3] metres; for the sun, the direction to it times a large number.
        colour: [3] radiant intensity: irradiance at 1 m (for the sun: everywhere).
        radius_m: half its size; larger lights throw softer shadows.
        sun: parallel light that does not fall off with distance.
    """

    position: tuple[float, float, float]
    colour: tuple[float, float, float]
    radius_m: float = 0.15
    sun: bool = False


@dataclass(frozen=True, slots=True)
class Lighting:
    """Every light of a scene.

    Args:
        lamps: direct lights, brightest first (it gives the highlights).
        ambient: [3] irradiance from nearby walls or, outdoors, reflected by the ground.
        sky: [3] irradiance from open sky.
        reach_m: corners darken surfaces within about this distance.
    """

    lamps: tuple[Lamp, ...]
    ambient: tuple[float, float, float]
    sky: tuple[float, float, float] = (0.0, 0.0, 0.0)
    reach_m: float = 0.6


def bake(
    mesh: Mesh, caster: o3d.t.geometry.RaycastingScene, lighting: Lighting, rng: np.random.Generator
) -> tuple[Float64, Float64]:
    """Irradiance [V, 3] at the front and at the back of every vertex (the same where one-sided)."""
    front = _irradiance(mesh.vertices, mesh.normals, caster, lighting, rng)
    back = _irradiance(mesh.vertices, -mesh.normals, caster, lighting, rng) if mesh.two_sided else front
    return front, back


def _irradiance(
    points: Float64, normals: Float64, caster: o3d.t.geometry.RaycastingScene, lighting: Lighting, rng: np.random.Generator
) -> Float64:
    start = points + normals * LIFT_M
    total = _ambient(start, normals, caster, lighting, rng)
    for lamp in lighting.lamps:
        total += _direct(start, normals, caster, lamp, rng)
    return total


def _ambient(
    start: Float64, normals: Float64, caster: o3d.t.geometry.RaycastingScene, lighting: Lighting, rng: np.random.Generator
) -> Float64:
    """Cosine-weighted rays: open ones bring sky light, others ambient light that near walls keep out."""
    # One set of directions for all vertices: neighbours then err alike, and the light stays smooth.
    v = rng.normal(size=(AMBIENT_SAMPLES // 2, 3))
    v /= np.linalg.norm(v, axis=-1, keepdims=True)
    near, open_share = np.zeros((2, len(start)))
    rays = np.empty((len(start), 6), np.float32)
    rays[:, :3] = start
    for way in np.concatenate([v, -v]):
        # A point on the unit sphere plus the normal is cosine-distributed about it; of any length.
        rays[:, 3:] = way + normals * 1.001
        length = np.sqrt((rays[:, 3:] ** 2).sum(1))
        distance = caster.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy() * length
        # Near walls are lit too, so a corner keeps a part of its light.
        near += np.where(np.isinf(distance), 0.0, 1.0 - 0.6 * np.exp(-distance / lighting.reach_m))
        open_share += np.isinf(distance)
    return (near[:, None] * np.array(lighting.ambient) + open_share[:, None] * np.array(lighting.sky)) / AMBIENT_SAMPLES


def _direct(
    start: Float64, normals: Float64, caster: o3d.t.geometry.RaycastingScene, lamp: Lamp, rng: np.random.Generator
) -> Float64:
    source = lamp.position + rng.normal(scale=lamp.radius_m / 2, size=(SHADOW_SAMPLES, 3))
    way = source - start[:, None]
    distance = np.linalg.norm(way, axis=-1)
    cosine = np.maximum((way * normals[:, None]).sum(-1) / distance, 0.0)
    share = cosine if lamp.sun else cosine / (distance**2 + 4 * lamp.radius_m**2)
    # Rays only where the lamp would be noticed, and up to just short of it: its own shade must not hide it.
    lit = share * max(lamp.colour) > FAINTEST
    rays = np.concatenate([np.repeat(start[:, None], SHADOW_SAMPLES, 1), way], -1)[lit].astype(np.float32)
    share[lit] *= ~caster.test_occlusions(o3d.core.Tensor(rays), tnear=0.0, tfar=0.98).numpy()
    return share.mean(1)[:, None] * np.array(lamp.colour)

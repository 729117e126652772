"""Light: lamps, sun and sky, and the irradiance they leave at every vertex (shadowed, with soft corners)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.o3d import o3d
from spatia_ros.train.scene_mesh import Mesh
from spatia_ros.types import Float64

SHADOW_SAMPLES = 6
AMBIENT_SAMPLES = 32
FAINTEST = 0.03
"""Irradiance that is not worth shadow rays."""
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


def light_on(
    points: Float64, normals: Float64, caster: o3d.t.geometry.RaycastingScene, lighting: Lighting
) -> Float64:
    """Irradiance [N, 3] on things that move, at a price that can be paid in every frame.

    Direct light is hidden by the still surroundings alone, and comes from the middle of each lamp; what
    comes from walls and sky is that of an open place, of which a face sees more the more it looks up.
    """
    start = points + normals * LIFT_M
    up = 0.5 + 0.5 * normals[:, 2:]
    total = 0.8 * np.array(lighting.ambient) + up * np.array(lighting.sky)
    for lamp in lighting.lamps:
        share, way = share_of(start, normals, lamp, np.zeros(3))
        noticed = share * max(lamp.colour) > FAINTEST
        if noticed.any():
            total[noticed] += lit(start[noticed], way[noticed], caster)[:, None] * share[noticed, None] * np.array(lamp.colour)
    return total


def lit(start: Float64, way: Float64, caster: o3d.t.geometry.RaycastingScene) -> np.ndarray:
    """bool [N], whether nothing lies on the ways [N, 3] from these points, up to just short of their ends."""
    rays = np.concatenate([start, way], -1).astype(np.float32)
    return ~caster.test_occlusions(o3d.core.Tensor(rays), tnear=0.0, tfar=0.98).numpy()


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
    total = np.zeros((len(start), 3))
    noticed = share_of(start, normals, lamp, np.zeros(3))[0] * max(lamp.colour) > FAINTEST
    start, normals = start[noticed], normals[noticed]
    sum_of_shares = np.zeros(len(start))
    for offset in rng.normal(scale=lamp.radius_m / 2, size=(SHADOW_SAMPLES, 3)):
        share, way = share_of(start, normals, lamp, offset)
        # Up to just short of the lamp: its own shade must not hide it.
        sum_of_shares += share * lit(start, way, caster)
    total[noticed] = (sum_of_shares / SHADOW_SAMPLES)[:, None] * np.array(lamp.colour)
    return total


def share_of(start: Float64, normals: Float64, lamp: Lamp, offset: Float64) -> tuple[Float64, Float64]:
    """Part [N] of a lamp's intensity that would arrive unshadowed from a point of it, and the way there [N, 3]."""
    way = lamp.position + offset - start
    square = np.einsum("ij,ij->i", way, way)
    cosine = np.maximum(np.einsum("ij,ij->i", way, normals), 0.0) / np.sqrt(square)
    return (cosine if lamp.sun else cosine / (square + 4 * lamp.radius_m**2)), way

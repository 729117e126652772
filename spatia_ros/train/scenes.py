"""Scenes to learn from: procedural rooms, corridors, desks and streets, and glTF files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from spatia_ros.train import scene_glb, scene_picture
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_air import Air
from spatia_ros.train.scene_furniture import Palette, chair
from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import MeshBuilder, at
from spatia_ros.train.scene_moving import MovingScene
from spatia_ros.train.scene_path import Walk
from spatia_ros.train.scene_room import corridor, desk, room
from spatia_ros.train.scene_street import street
from spatia_ros.types import Float64, SpatiaError

__all__ = ["KINDS", "MovingScene", "Scene", "glb_scene", "random_scene", "room_with_chair"]

KINDS: dict[str, Callable[[np.random.Generator], tuple[MeshBuilder, Lighting, Walk]]] = {
    "room": room,
    "corridor": corridor,
    "desk": desk,
    "street": street,
}


def random_scene(rng: np.random.Generator, kind: str = "room", *, air: Air | None = None, threads: int = 1) -> Scene:
    """A scene drawn from ``rng``: the same generator state gives the same scene.

    Args:
        kind: "room", "corridor", "desk" or "street".
        air: time of day and weather, which change its light and sky (haze is :class:`.scene_at.SceneAt`'s); None: as drawn.
        threads: CPU threads of the ray caster.

    Raises:
        SpatiaError: for an unknown kind.
    """
    if kind not in KINDS:
        raise SpatiaError(f"random_scene: expected a kind of {', '.join(KINDS)}, got {kind!r}")
    builder, lighting, walk = KINDS[kind](rng)
    # Turned and shifted, so that walls do not line up with the voxels of a map.
    T = at(*rng.uniform(-5, 5, 2), rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi))
    sky = scene_picture.sky(rng) if kind == "street" else None
    if air is not None:
        lighting = air.lit(lighting, _lanterns(walk, rng) if kind == "street" else ())
    scene = Scene(builder.mesh().placed(T), _lit_from(lighting, T), _walked_in(walk, T), rng, sky, threads)
    if air is not None:
        scene.look = air.seen(scene.look)
    return scene


def _lanterns(walk: Walk, rng: np.random.Generator) -> tuple[Lamp, ...]:
    """Street lamps of one warmth along both sides of a street's area."""
    low, high = walk.areas[0]
    warm, strength = np.array((1.0, rng.uniform(0.7, 0.95), rng.uniform(0.35, 0.8))), rng.uniform(3, 7)
    xs = np.arange(low[0] + rng.uniform(0, 6), high[0], max(8.0, (high[0] - low[0]) / 4))
    return tuple(
        Lamp((float(x), float(low[1] + 1.5 if k % 2 else high[1] - 1.5), 4.3), tuple(strength * warm), 0.1)
        for k, x in enumerate(xs)
    )


def room_with_chair(rng: np.random.Generator, *, threads: int = 1) -> MovingScene:
    """A furnished room with one more chair, which can be moved; z up, floor at 0."""
    builder, lighting, walk = room(rng)
    number = builder.add(chair(Palette(rng)).pieces, np.eye(4))
    return MovingScene(Scene(builder.mesh(), lighting, walk, rng, None, threads), [number])


def glb_scene(path: Path | str, rng: np.random.Generator | None = None, *, threads: int = 1) -> Scene:
    """The scene of a .glb file (z up, metres) with its textures, lit by lamps of our own.

    Raises:
        SpatiaError: when the file is missing, too large, or not glTF with triangles.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    mesh = scene_glb.load(path)
    return Scene(mesh, scene_glb.lighting(mesh, rng), scene_glb.walk(mesh, rng), rng, None, threads)


def _lit_from(lighting: Lighting, T: Float64) -> Lighting:
    def moved(lamp: Lamp) -> Lamp:
        position = T[:3, :3] @ np.array(lamp.position) + (0 if lamp.sun else T[:3, 3])
        return replace(lamp, position=tuple(position))

    return replace(lighting, lamps=tuple(moved(lamp) for lamp in lighting.lamps))


def _walked_in(walk: Walk, T: Float64) -> Walk:
    return replace(walk, focus=walk.focus @ T[:3, :3].T + T[:3, 3], T_world_area=T @ walk.T_world_area)

"""The built-in room and its scan by a simulated RGB-D camera: what the demo starts from without data."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from spatia_ros.geometry import look_at
from spatia_ros.sequence import Sequence
from spatia_ros.train import scene_furniture as furniture
from spatia_ros.train import scene_texture as textures
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_furniture import Palette
from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import Material, Piece, at, quad
from spatia_ros.train.scene_room import Interior, Plan, ceiling_lamp, picture, rectangle, walk, wall_frame, window
from spatia_ros.train.sensor import Sensor, observe
from spatia_ros.types import Camera, Float64, Frame, SpatiaError

FRAME_NS = 100_000_000
CAMERA = Camera.from_fov(320, 240, 1.2)
DEPTH_CAMERA = Sensor(noise_per_m=0.001, step_per_m=0.0, thin_holes=0.04, blobs=0.0, exposure=0.0, vignette=0.0)
WIDTH_M, LENGTH_M, HEIGHT_M = 5.4, 4.4, 2.6
_ROOM_SEED, _SCAN_SEED = 22, 7
"""Chosen by eye: a red sofa before a blue wall, warm wood, brick."""


def builtin_room() -> Scene:
    """A living room of 5.4 x 4.4 m, always the same: sofa, shelf, desk, window, table and plants. z up, origin in a corner."""
    rng = np.random.default_rng(_ROOM_SEED)
    plan = Plan(
        np.array([(0, 0), (WIDTH_M, 0), (WIDTH_M, LENGTH_M), (0, LENGTH_M)]), rectangle(0, 0, WIDTH_M, LENGTH_M)[None], HEIGHT_M
    )
    interior = Interior(plan, Palette(rng))
    _surfaces(interior)
    _furnish(interior)
    lamps = (*interior.lamps, Lamp((1.2, 3.2, 2.0), (0.8, 0.7, 0.55)))
    return Scene(interior.builder.mesh(), Lighting(lamps, (0.9, 0.88, 0.84)), walk(interior), rng)


def _surfaces(interior: Interior) -> None:
    rng, plan = interior.palette.rng, interior.plan
    floor = Material(textures.planks(rng, np.array((0.62, 0.43, 0.27))), (1.6, 1.6), specular=0.15, shininess=40)
    ceiling = Material(textures.paint(rng, np.ones(3) * 0.93))
    interior.builder.add([Piece(quad((0, 0, 0), (WIDTH_M, 0, 0), (0, LENGTH_M, 0)), floor)])
    interior.builder.add([Piece(quad((0, LENGTH_M, HEIGHT_M), (WIDTH_M, 0, 0), (0, -LENGTH_M, 0)), ceiling)])
    cream, blue = np.array((0.9, 0.86, 0.78)), np.array((0.42, 0.55, 0.66))
    walls = (
        textures.paint(rng, blue),
        textures.paint(rng, cream),
        textures.brick(rng, np.array((0.62, 0.36, 0.28))),
        textures.wallpaper(rng, cream),
    )
    strip = Material(textures.paint(rng, np.ones(3) * 0.9))
    for k, texture in enumerate(walls):
        T, length = wall_frame(plan, k)
        interior.builder.add(
            [Piece(quad((length / 2, 0, 0), (-length, 0, 0), (0, 0, HEIGHT_M)), Material(texture, (2.0, 2.0)))], T
        )
        interior.builder.add(furniture.block((length, 0.015, 0.08), strip, y=0.0075), T)


def _furnish(interior: Interior) -> None:
    palette, plan = interior.palette, interior.plan
    front, right, back, left = (wall_frame(plan, k)[0] for k in range(4))
    interior.put(furniture.sofa(palette), front @ at(-0.6, 0.05, 0))
    interior.put(furniture.floor_lamp(palette), front @ at(1.3, 0.1, 0))
    picture(interior, front @ at(-1.2, 0, 0), 0.7, 0.5)
    picture(interior, front @ at(-0.1, 0, 0), 0.5, 0.65)
    window(interior, right @ at(0.0, 0, 0), 1.7)
    interior.put(furniture.desk(palette), right @ at(0.1, 0.25, 0))
    interior.put(furniture.plant(palette), right @ at(1.6, 0.1, 0))
    for x in (-1.4, -0.2, 1.4):
        interior.put(furniture.shelf(palette), back @ at(x, 0.03, 0))
    interior.put(furniture.cabinet(palette), left @ at(0.4, 0.03, 0))
    picture(interior, left @ at(0.4, 0, 0), 0.9, 0.6)
    rug = Material(textures.rug(palette.rng, np.array((0.55, 0.2, 0.18))), (0.0, 0.0))
    interior.builder.add([Piece(quad((-1.1, -0.8, 0.008), (2.2, 0, 0), (0, 1.6, 0)), rug)], at(2.4, 1.9, 0))
    interior.put(furniture.table(palette, 0.95, 0.55, 0.42), at(2.3, 1.55, 0))
    interior.put(furniture.chair(palette), at(3.9, 2.1, 0, -np.pi / 2))
    ceiling_lamp(interior, WIDTH_M / 2, LENGTH_M / 2)


def builtin_path(n: int) -> Float64:
    """``T_world_cam`` [n, 4, 4] through the built-in room: from the sofa's wall to the window and on to the shelves."""
    t = np.linspace(0, 1, 5)
    eye = CubicSpline(t, [(1.5, 3.4, 1.45), (1.8, 3.2, 1.5), (2.1, 2.8, 1.5), (2.0, 2.5, 1.45), (1.7, 2.3, 1.45)])
    target = CubicSpline(t, [(1.6, 0.3, 0.8), (3.2, 0.6, 0.9), (5.0, 1.8, 0.95), (4.4, 3.9, 1.0), (3.0, 4.2, 1.0)])
    s = np.linspace(0, 1, n)
    return np.stack([look_at(e, g, np.array((0.0, 0.0, 1.0))) for e, g in zip(eye(s), target(s), strict=True)])


def scan(
    scene: Scene, camera: Camera, n: int, rng: np.random.Generator, *, path: Float64 | None = None, sensor: Sensor = DEPTH_CAMERA
) -> list[Frame]:
    """What a moving RGB-D camera records of a scene at 10 Hz: ``n`` frames with their true poses.

    Args:
        path: ``T_world_cam`` [n, 4, 4]; a random one of the scene's when None.

    Raises:
        SpatiaError: when the path has another length.
    """
    poses = scene.random_path(rng, n) if path is None else path
    if len(poses) != n:
        raise SpatiaError(f"scan: expected a path of {n} poses, got {len(poses)}")
    return [observe(scene.render(camera, T, k * FRAME_NS), sensor, rng) for k, T in enumerate(poses)]


def builtin_scan(n: int = 40, camera: Camera = CAMERA) -> Sequence:
    """The built-in room as a recording of ``n`` frames: the same, bit for bit, every time."""
    frames = scan(builtin_room(), camera, n, np.random.default_rng(_SCAN_SEED), path=builtin_path(n))
    stamps = np.arange(n, dtype=np.int64) * FRAME_NS
    return Sequence("builtin_room", camera, stamps, builtin_path(n), lambda i: (frames[i].rgb, frames[i].depth))

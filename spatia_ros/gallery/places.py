"""The places of the gallery: each is scanned once by a simulated camera, into a memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatia_ros.config import WorldConfig, override
from spatia_ros.geometry import look_at
from spatia_ros.memory import Memory
from spatia_ros.types import Camera, Float64, Frame

Each = Callable[[Iterable[Frame], str, int], Iterable[Frame]]
"""Passes frames on and may show how far it is: the frames, what is being done, how many."""
DATA = "../shared/data"
HOUSE = "small_house/small_house.glb"
PERIOD_NS = 100_000_000
SCANNER = Camera.from_fov(480, 272, 1.5)
STREET_SEED = 9
"""Chosen by eye: bright, few cars, and trees on one side only."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place.

    Args:
        said: what it is. settings: what it needs of the configuration, as ``--set`` takes it.
        frames: what its scan saw, and how many frames that is. needs: a file in the folder of data; empty: none.
    """

    said: str
    settings: tuple[str, ...]
    frames: Callable[[], tuple[Iterator[Frame], int]]
    needs: str = ""

    @property
    def there(self) -> bool:
        """Whether it can be made here."""
        return not self.needs or (data_folder() / self.needs).is_file()

    def config(self, config: WorldConfig) -> WorldConfig:
        """A configuration with what this place needs."""
        return override(config, list(self.settings))

    def memory(self, config: WorldConfig, each: Each) -> Memory:
        """The place as a memory."""
        frames, count = self.frames()
        memory = Memory(self.config(config).memory)
        for frame in each(frames, "scanning", count):
            memory.integrate(frame)
        return memory


def data_folder() -> Path:
    """Where meshes and recordings are looked for: ``SPATIA_DATA``, or beside the repository."""
    return Path(os.environ.get("SPATIA_DATA", DATA))


def around(eyes: Float64, views: int, pitch_rad: float) -> Float64:
    """``T_world_cam`` [N, 4, 4] that look all around from each of some eyes [E, 3] (z up), every other one half a step on."""
    poses = []
    for k, eye in enumerate(eyes):
        for yaw in 2 * np.pi * (np.arange(views) + 0.5 * (k % 2)) / views:
            way = np.array((np.cos(yaw) * np.cos(pitch_rad), np.sin(yaw) * np.cos(pitch_rad), np.sin(pitch_rad)))
            poses.append(look_at(eye, eye + way, np.array((0.0, 0.0, 1.0))))
    return np.stack(poses)


def _room() -> tuple[Iterator[Frame], int]:
    from spatia_ros.train.scan import builtin_room

    eyes = np.array([(2.7, 2.2, 1.5), (1.2, 3.2, 1.5), (4.2, 3.2, 1.5), (4.1, 1.2, 1.4), (1.3, 1.6, 1.5)])
    poses, scene = around(eyes, 7, -0.3), builtin_room()
    return (scene.render(SCANNER, T, k * PERIOD_NS) for k, T in enumerate(poses)), len(poses)


def _street() -> tuple[Iterator[Frame], int]:
    from spatia_ros.train.scene import Scene
    from spatia_ros.train.scene_picture import sky
    from spatia_ros.train.scene_street import street

    rng = np.random.default_rng(STREET_SEED)
    builder, lighting, walk = street(rng)
    scene = Scene(builder.mesh(), lighting, walk, rng, sky(rng))
    road = np.array([(x, 0.0, 1.7) for x in np.arange(9.0, 40.0, 5.0)])
    left, right = np.array([(x, 4.6, 1.7) for x in np.arange(13.0, 29.0, 5.0)]), np.array([(24.0, -4.6, 1.7)])
    poses = np.concatenate([around(road, 7, -0.1), around(left, 5, -0.1), around(right, 5, -0.1)])
    return (scene.render(SCANNER, T, k * PERIOD_NS) for k, T in enumerate(poses)), len(poses)


def _house() -> tuple[Iterator[Frame], int]:
    from spatia_ros.train.scenes import glb_scene

    scene = glb_scene(data_folder() / HOUSE)
    eyes = np.array([(3.5, -3.8, 1.5), (3.4, -1.0, 1.5), (1.7, -4.2, 1.5), (2.8, 1.6, 1.5), (4.3, -2.4, 1.5), (0.3, 0.6, 1.5)])
    poses = around(eyes, 7, -0.2)
    return (scene.render(SCANNER, T, k * PERIOD_NS) for k, T in enumerate(poses)), len(poses)


PLACES: dict[str, Place] = {
    "room": Place("the built-in room of spatia demo", (), _room),
    "street": Place("a procedural street", ("memory.voxel_m=0.03", "memory.max_range_m=40"), _street),
    "house": Place("a house of textured meshes", (), _house, needs=HOUSE),
}

"""Two rooms joined by a door, of points alone, with a few named things: z up, floor at 0."""

from __future__ import annotations

import numpy as np

from spatia_ros.config import GroundConfig, MemoryConfig, WorldConfig
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.ground.thing import Thing
from spatia_ros.memory import Memory, Points
from spatia_ros.types import Camera
from spatia_ros.world import World

VOXEL_M = 0.05
CAMERA = Camera.from_fov(160, 120, 1.2)
RED, BLUE, GREEN, WOOD, WALL = (200, 30, 30), (30, 60, 190), (40, 140, 50), (110, 70, 40), (230, 230, 226)
THINGS = {
    "sofa_1": ((1.0, 0.2, 0.0), (2.6, 1.0, 0.8), BLUE), "chair_1": ((3.0, 0.3, 0.0), (3.5, 0.8, 0.9), RED),
    "chair_2": ((0.3, 3.2, 0.0), (0.8, 3.7, 0.9), WOOD), "table_1": ((6.0, 1.0, 0.0), (7.2, 2.0, 0.7), WOOD),
    "vase_1": ((6.5, 1.4, 0.72), (6.7, 1.6, 1.05), GREEN),
}  # fmt: skip
"""Low and high corner, m, and colour. The wall stands at x = 4.5; its door is at y = 2.8..3.8."""


def box_points(low, high, spacing_m: float = VOXEL_M / 2) -> np.ndarray:
    """Points float32 [N, 3] on the six sides of a box."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    axes = [np.linspace(a, b, max(int(np.ceil((b - a) / spacing_m)), 1) + 1) for a, b in zip(low, high, strict=True)]
    out = []
    for k in range(3):
        u, v = (axes[i] for i in range(3) if i != k)
        grid = np.stack(np.meshgrid(u, v, indexing="ij"), -1).reshape(-1, 2)
        for end in (low[k], high[k]):
            out.append(np.insert(grid, k, end, axis=1))
    return np.concatenate(out).astype(np.float32)


def thing(name: str, low, high, rgb=WOOD) -> Thing:
    """A thing that is a box of one colour."""
    xyz = box_points(low, high, 0.1)
    kind = name.split("_")[0]
    return Thing(name, kind, "memory", xyz, np.tile(np.uint8(rgb), (len(xyz), 1)), np.array(low, float), np.array(high, float))


def house_memory(door: bool = True) -> Memory:
    """The two rooms, 9 x 4 x 2.5 m; without the door they are two."""
    memory = Memory(MemoryConfig(voxel_m=VOXEL_M, max_unknown_ray=1.0, max_range_m=30.0))
    parts = [((0, 0, 0), (9, 4, 2.5), WALL, 0), ((4.45, 0, 0), (4.55, 2.8 if door else 4, 2.5), WALL, 0)]
    if door:
        parts.append(((4.45, 3.8, 0), (4.55, 4, 2.5), WALL, 0))
    for label, (name, (low, high, rgb)) in enumerate(THINGS.items(), 1):
        memory.names[label] = name
        parts.append((low, high, rgb, label))
    for low, high, rgb, label in parts:
        xyz = box_points(low, high)
        n = len(xyz)
        memory.add_points(Points.measured(xyz, np.tile(np.uint8(rgb), (n, 1)), 0, np.full(n, label, np.uint16)))
    return memory


def house_world(door: bool = True) -> World:
    """A world over it that only projects, and whose camera hurries."""
    memory = house_memory(door)
    hurry = GroundConfig(speed_m_s=2.0, turn_deg_s=180.0)
    return World(WorldConfig(memory=memory.config, ground=hurry), memory, ProjectionGenerator(), CAMERA)

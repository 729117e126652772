"""A city without end, tile by tile: streets around blocks of houses with yards, trees, cars and lamp posts, as points.

A tile is 64 m square, and depends on the seed and its own place alone, so tiles can be made in any order, again, or not at
all. Surfaces are sampled once a voxel. World frame: metres, z up, streets along x and y at the tiles' rims.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, Points
from spatia_ros.memory.blocks import chunk_key_of
from spatia_ros.memory.fuse import locate_points
from spatia_ros.train import scene_picture as pictures
from spatia_ros.types import Float32, Float64, UInt8

TILE_M = 64.0
ROAD_M, PAVEMENT_M, KERB_M = 6.0, 3.0, 0.15
"""Half the width of a road, the width of a pavement beside it, and its height."""
DEPTH_M = 11.0
"""Of a house, from the street to the yard."""
FRONTS, STOREY_M, BAY_M = 24, 3.2, 2.6
MOST_TILES = 32
"""Along each side of a city."""
TILE_POINTS = 4_000_000
"""Fewer than a tile has at 5 cm."""
SUN = np.array([0.5, 0.3, 0.8])


class Patch(NamedTuple):
    """Some of a tile's points."""

    xyz: Float32  # [N, 3]
    rgb: UInt8  # [N, 3]


def tile(seed: int, column: int, row: int, spacing_m: float) -> Points:
    """The points of one tile, a sample a ``spacing_m`` each way on every surface, all measured, seen at time 0."""
    rng = np.random.default_rng([seed, column & 0xFFFF, row & 0xFFFF])
    patches = [*_ground(rng, spacing_m), *_houses(rng, seed, spacing_m)]
    for _ in range(int(rng.integers(8, 16))):
        patches += _tree(rng, *rng.uniform(TILE_M / 2 - 9, TILE_M / 2 + 9, 2), 0.0, spacing_m)
    for along in np.arange(8.0, TILE_M - 8, 8.0):
        patches += _beside_the_road(rng, along, spacing_m)
    xyz = np.concatenate([p.xyz for p in patches]) + np.array([column * TILE_M, row * TILE_M, 0.0], np.float32)
    return Points.measured(xyz, np.concatenate([p.rgb for p in patches]))


def street_walk(poses: int, step_m: float, at: tuple[float, float] = (0.3, 4.0)) -> Float64:
    """Eyes and targets float64 [2, N, 3] of a walk in x along the street at y = 0, 1.7 m up, looking ahead and about."""
    x = at[1] + step_m * np.arange(poses)
    eyes = np.stack([x, np.full(poses, at[0]), np.full(poses, 1.7)], 1)
    turn = 0.5 * np.sin(0.11 * np.arange(poses))
    return np.stack([eyes, eyes + np.stack([np.cos(turn), np.sin(turn), np.full(poses, 0.05)], 1)])


@lru_cache(maxsize=2)
def _fronts(seed: int) -> tuple[UInt8, ...]:
    """Pictures of house fronts, to choose from."""
    rng = np.random.default_rng(seed)
    return tuple(pictures.facade(rng, 6, 5) for _ in range(FRONTS))


def _grid(corner: Float64, along_u: Float64, along_v: Float64, spacing_m: float) -> tuple[Float32, Float64, Float64]:
    """Samples of a rectangle in the middle of their cells: xyz float32 [V, U, 3], and metres along it, [U] and [V]."""
    length_u, length_v = np.linalg.norm(along_u), np.linalg.norm(along_v)
    u, v = (np.arange(round(float(length) / spacing_m)) * spacing_m + spacing_m / 2 for length in (length_u, length_v))
    xyz = corner + u[None, :, None] * (along_u / length_u) + v[:, None, None] * (along_v / length_v)
    return xyz.astype(np.float32), u, v


def _lit(rgb: Float64, normal: Float64, rng: np.random.Generator) -> UInt8:
    """Colours 0..255 [..., 3] under the sun, with a little grain."""
    light = 0.55 + 0.5 * max(0.0, float(normal @ SUN))
    grain = rng.normal(1.0, 0.03, rgb.shape[:-1])[..., None]
    return np.clip(rgb * light * grain, 0, 255).astype(np.uint8)


def _plane(
    rng: np.random.Generator, corner: tuple[float, ...], along_u: tuple[float, ...], along_v: tuple[float, ...],
    rgb: Float64 | UInt8, spacing_m: float,
) -> list[Patch]:
    """A rectangle of one colour [3], or with a picture [h, w, 3] (top row at the far end of v) stretched over it."""
    p, a, b = (np.array(w, float) for w in (corner, along_u, along_v))
    xyz, u, v = _grid(p, a, b, spacing_m)
    if xyz.size == 0:
        return []
    colour = np.broadcast_to(rgb if rgb.ndim == 1 else 0.0, xyz.shape)
    if rgb.ndim == 3:
        rows = (rgb.shape[0] * (1.0 - v / np.linalg.norm(b))).astype(int).clip(0, rgb.shape[0] - 1)
        columns = (rgb.shape[1] * u / np.linalg.norm(a)).astype(int).clip(0, rgb.shape[1] - 1)
        colour = rgb[rows[:, None], columns[None]]
    normal = np.cross(a, b)
    return [Patch(xyz.reshape(-1, 3), _lit(colour, normal / np.linalg.norm(normal), rng).reshape(-1, 3))]


def _ground(rng: np.random.Generator, spacing_m: float) -> list[Patch]:
    """Road at the tile's rim, then pavement, kerb and, inside, the yard."""
    xyz, u, v = _grid(np.zeros(3), np.array([TILE_M, 0, 0]), np.array([0, TILE_M, 0]), spacing_m)
    x, y = np.broadcast_arrays(u[None], v[:, None])
    edge = np.minimum(np.minimum(x, TILE_M - x), np.minimum(y, TILE_M - y))
    inner = ROAD_M + PAVEMENT_M
    rgb = np.empty((*edge.shape, 3))
    rgb[:] = (70, 72, 76)
    along = np.where(np.minimum(x, TILE_M - x) < np.minimum(y, TILE_M - y), y, x)
    rgb[(edge < 0.12) & (along % 6 < 3) & (along > inner) & (along < TILE_M - inner)] = (225, 225, 215)
    crossing = (edge < ROAD_M) & (np.abs(along - inner - 1.5) < 1.4) & (edge % 1.0 < 0.5)
    rgb[crossing] = (225, 225, 215)
    pavement = (edge >= ROAD_M) & (edge < inner + DEPTH_M)
    odd = ((x / 0.4).astype(int) + (y / 0.4).astype(int)) % 2 == 1
    rgb[pavement & odd], rgb[pavement & ~odd] = (150, 146, 140), (138, 135, 130)
    yard = edge >= inner + DEPTH_M
    rgb[yard] = (86, 118, 60)
    rgb *= 1.0 + 0.06 * np.sin(0.7 * x + 1.3 * np.sin(0.31 * y))[..., None]
    xyz[..., 2] = np.where(pavement, KERB_M, 0.0) + 0.4 * spacing_m
    under_a_house = pavement & (edge > inner + 0.5) & (edge < inner + DEPTH_M - 0.5)
    shown = ~under_a_house
    kerb = _kerb(rng, spacing_m)
    return [Patch(xyz[shown], _lit(rgb[shown], np.array([0.0, 0.0, 1.0]), rng)), *kerb]


def _kerb(rng: np.random.Generator, spacing_m: float) -> list[Patch]:
    low, high = ROAD_M, TILE_M - ROAD_M
    ends = [(low, low), (high, low), (high, high), (low, high)]
    patches: list[Patch] = []
    for (x0, y0), (x1, y1) in zip(ends, ends[1:] + ends[:1], strict=True):
        patches += _plane(rng, (x0, y0, 0), (x1 - x0, y1 - y0, 0), (0, 0, KERB_M), np.array([165.0, 162, 155]), spacing_m)
    return patches


def _houses(rng: np.random.Generator, seed: int, spacing_m: float) -> list[Patch]:
    """A ring of houses, side by side, with fronts to the streets and backs to the yard."""
    low = ROAD_M + PAVEMENT_M
    side = TILE_M - 2 * low
    patches: list[Patch] = []
    for turn in range(4):
        # The first and third side reach round the corners, the others fit in between.
        begin, length = (0.0, side) if turn % 2 == 0 else (DEPTH_M, side - 2 * DEPTH_M)
        # What stands beside the first house of a row: nothing at a corner, else a house of the row before.
        before = STOREY_M * 6 if turn % 2 else 0.0
        lots = _lots(rng, begin, begin + length)
        for k, (x0, x1) in enumerate(lots):
            height = STOREY_M * int(rng.integers(3, 7))
            end_wall = k + 1 == len(lots) and turn % 2 == 0
            house = _house(rng, seed, (x0, x1, height), before, end_wall, spacing_m)
            patches += [_turned(patch, turn, low, side) for patch in house]
            before = height
    return patches


def _lots(rng: np.random.Generator, begin: float, end: float) -> list[tuple[float, float]]:
    count = max(1, round((end - begin) / rng.uniform(9, 14)))
    cuts = np.linspace(begin, end, count + 1)
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def _house(
    rng: np.random.Generator, seed: int, lot: tuple[float, float, float], before: float, end_wall: bool, spacing_m: float
) -> list[Patch]:
    """A house whose front faces -y along x0..x1, with the wall that shows above (or below) the one of height ``before``.

    Args:
        lot: x0, x1 and the house's height. end_wall: whether its side at x1 is seen.
    """
    fronts, (x0, x1, height) = _fronts(seed), lot
    front, back = fronts[int(rng.integers(FRONTS))], fronts[int(rng.integers(FRONTS))]
    tint, width = rng.uniform(0.75, 1.15, 3), x1 - x0
    storeys, bays = round(height / STOREY_M), max(2, round(width / BAY_M))
    front, back = (_cut(picture, storeys, bays) * tint for picture in (front, back))
    patches = _plane(rng, (x0, 0, KERB_M), (width, 0, 0), (0, 0, height), front, spacing_m)
    patches += _plane(rng, (x1, DEPTH_M, KERB_M), (-width, 0, 0), (0, 0, height), back, spacing_m)
    roof = rng.uniform(70, 140) * np.array([1.0, 0.8, 0.7])
    patches += _plane(rng, (x0, 0, height + KERB_M), (width, 0, 0), (0, DEPTH_M, 0), roof, spacing_m)
    wall = rng.uniform(110, 190) * tint
    low, high = sorted((before, height))
    way = (0, DEPTH_M, 0) if height < before else (0, -DEPTH_M, 0)
    start = (x0, 0 if height < before else DEPTH_M, low + KERB_M)
    patches += _plane(rng, start, way, (0, 0, high - low), wall, spacing_m) if high - low > spacing_m else []
    return patches + (_plane(rng, (x1, 0, KERB_M), (0, DEPTH_M, 0), (0, 0, height), wall, spacing_m) if end_wall else [])


def _cut(picture: UInt8, storeys: int, bays: int) -> UInt8:
    """So many storeys (the lowest ones, repeated above the sixth) and bays of a front of six by five."""
    h, w = picture.shape[0] // 6, picture.shape[1] // 5
    rows = [5 - k if k < 6 else 1 + k % 4 for k in range(storeys)][::-1]
    cells = [[picture[r * h : (r + 1) * h, c % 5 * w : (c % 5 + 1) * w] for c in range(bays)] for r in rows]
    return np.concatenate([np.concatenate(row, 1) for row in cells])


def _turned(patch: Patch, quarters: int, low: float, side: float) -> Patch:
    """A patch of the southern side, turned about the middle of the block and moved into the tile."""
    xyz = patch.xyz.copy()
    for _ in range(quarters):
        xyz[:, 0], xyz[:, 1] = side - xyz[:, 1], xyz[:, 0].copy()
    xyz[:, :2] += low
    return Patch(xyz, patch.rgb)


def _ball(rng: np.random.Generator, centre: Float64, radius: Float64, spacing_m: float) -> Float32:
    """A leafy ball's surface, float32 [N, 3]: as dense as voxels, roughly round."""
    n = int(4 * np.pi * float(np.prod(radius)) ** (2 / 3) / spacing_m**2)
    way = rng.normal(size=(n, 3)).astype(np.float32)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    bumps = 1.0 + 0.12 * np.sin(9 * way[:, :1]) * np.sin(8 * way[:, 1:2] + 2) + rng.normal(0, 0.04, (n, 1))
    return (centre + way * radius * bumps).astype(np.float32)


def _tree(rng: np.random.Generator, x: float, y: float, z: float, spacing_m: float) -> list[Patch]:
    height, r = rng.uniform(2.2, 4.0), rng.uniform(1.0, 1.9)
    crown = _ball(rng, np.array([x, y, z + height + 0.7 * r]), np.array([r, r, 1.1 * r]), spacing_m)
    green = np.array([rng.uniform(50, 100), rng.uniform(95, 135), 45.0])
    shade = 0.7 + 0.3 * (crown[:, 2:] - crown[:, 2].min()) / (2.2 * r) + rng.normal(0, 0.1, (len(crown), 1))
    bark = np.array([92.0, 72, 55])
    trunk = _tube(x, y, z, 0.16, height + 0.3 * r, spacing_m)
    leaves = Patch(crown, np.clip(green * shade, 0, 255).astype(np.uint8))
    return [leaves, Patch(trunk, _lit(np.tile(bark, (len(trunk), 1)), SUN, rng))]


def _tube(x: float, y: float, z: float, radius: float, height: float, spacing_m: float) -> Float32:
    """The side of an upright cylinder, float32 [N, 3]."""
    angle = np.linspace(0, 2 * np.pi, max(6, int(2 * np.pi * radius / spacing_m)), endpoint=False)
    up = np.arange(0, height, spacing_m)
    a, h = (g.ravel() for g in np.meshgrid(angle, up))
    return np.stack([x + radius * np.cos(a), y + radius * np.sin(a), z + h], 1).astype(np.float32)


def _beside_the_road(rng: np.random.Generator, along: float, spacing_m: float) -> list[Patch]:
    """A tree or a lamp post, and perhaps a parked car, at each of the four roads."""
    patches: list[Patch] = []
    for turn in range(4):
        kerb = ROAD_M + 0.6
        if rng.random() < 0.5:
            things = _tree(rng, along, kerb, KERB_M, spacing_m)
        else:
            post = _tube(along, kerb, KERB_M, 0.08, 4.5, spacing_m)
            lamp = _ball(rng, np.array([along, kerb, 4.8]), np.full(3, 0.25), spacing_m)
            things = [Patch(post, np.full((len(post), 3), 60, np.uint8)), Patch(lamp, np.full((len(lamp), 3), 235, np.uint8))]
        if rng.random() < 0.6:
            things += _car(rng, along + 1.5, spacing_m)
        patches += [_turned(p, turn, 0.0, TILE_M) for p in things]
    return patches


def _car(rng: np.random.Generator, x: float, spacing_m: float) -> list[Patch]:
    """A parked car, two boxes: body and cabin."""
    paint, glass = rng.uniform(20, 230, 3), np.array([35.0, 40, 45])
    y = ROAD_M - 2.0
    patches = _box(rng, (x, y, 0.25), (4.2, 1.75, 0.65), paint, spacing_m)
    return patches + _box(rng, (x + 0.9, y + 0.1, 0.9), (2.2, 1.55, 0.55), glass, spacing_m)


def _box(
    rng: np.random.Generator, low: tuple[float, float, float], size: tuple[float, float, float], rgb: Float64, spacing_m: float
) -> list[Patch]:
    """The sides and the top of a box."""
    (x, y, z), (a, b, c) = low, size
    up, colour = (0.0, 0.0, c), rgb
    sides = [((x, y, z), (a, 0, 0)), ((x + a, y, z), (0, b, 0)), ((x + a, y + b, z), (-a, 0, 0)), ((x, y + b, z), (0, -b, 0))]
    patches = [p for corner, along in sides for p in _plane(rng, corner, along, up, colour, spacing_m)]
    return patches + _plane(rng, (x, y, z + c), (a, 0, 0), (0, b, 0), colour, spacing_m)


def city_config(voxel_m: float) -> MemoryConfig:
    """The configuration of a city's memory: 100 m of range, and a working set of a tile or two."""
    return MemoryConfig(voxel_m=voxel_m, max_range_m=100.0, max_points=500_000_000, resident_points=8_000_000)


def tiles_of(side: int) -> list[tuple[int, int]]:
    """Columns and rows of so many tiles squared, outwards from the street at y = 0."""
    rows = [(k + 1) // 2 * (1 if k % 2 == 0 else -1) for k in range(side)]
    return [(column, row) for row in rows for column in range(side)]


def build_city(memory: Memory, points: int, seed: int) -> Iterator[int]:
    """Fill an attached memory tile by tile, each flushed before the next, until it has so many points.

    Tiles the file holds already are left as they are, so that whatever was stopped goes on.

    Yields:
        How many points are safe, after each tile.
    """
    side = min(MOST_TILES, round(np.ceil(np.sqrt(points / (TILE_POINTS * (0.05 / memory.config.voxel_m) ** 2)))))
    for column, row in tiles_of(side):
        if len(memory) >= points:
            break
        if not _is_there(memory, column, row):
            memory.add_points(tile(seed, column, row, memory.config.voxel_m))
            memory.pack()
            memory.flush()
        yield len(memory)


def _is_there(memory: Memory, column: int, row: int) -> bool:
    """Whether the chunk at a tile's corner, which is no other tile's, is in the file."""
    inside = np.array([[column * TILE_M + 1.0, row * TILE_M + 1.0, 0.5 * memory.config.voxel_m]], np.float32)
    block, _ = locate_points(inside, memory.config.voxel_m)
    return memory.pages is not None and bool(memory.pages.index.find(chunk_key_of(block))[0] >= 0)

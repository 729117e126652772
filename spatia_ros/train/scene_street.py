"""Outdoor scenes: a street between house fronts, with kerbs, cars, trees and lamp posts under a sky."""

from __future__ import annotations

import numpy as np

from spatia_ros.train import scene_picture as pictures
from spatia_ros.train import scene_texture as textures
from spatia_ros.train.scene_furniture import Palette, block, solid
from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import (
    Material,
    MeshBuilder,
    Patch,
    Piece,
    at,
    box,
    cylinder,
    lathe,
    pillow,
    placed,
    quad,
    surface,
)
from spatia_ros.train.scene_path import Walk
from spatia_ros.types import Float64

CELL_M = 0.8
KERB_M = 0.13


def street(rng: np.random.Generator) -> tuple[MeshBuilder, Lighting, Walk]:
    """A straight street along x, closed at both ends by houses."""
    builder, palette = MeshBuilder(), Palette(rng)
    length, road, pavement = rng.uniform(25, 50), rng.uniform(5, 8), rng.uniform(2, 4)
    half = road / 2 + pavement
    _ground(builder, palette, length, road, pavement)
    for side in (-1, 1):
        _front(builder, palette, length, at(length / 2, side * half, 0, 0 if side < 0 else np.pi))
        _furniture(builder, palette, length, side, road, pavement)
    for x, yaw in ((0.0, -np.pi / 2), (length, np.pi / 2)):
        _front(builder, palette, 2 * half, at(x, 0, 0, yaw))
    focus = np.stack(
        [rng.uniform(2, length - 2, 40), rng.choice((-1, 1), 40) * rng.uniform(road / 2, half, 40), rng.uniform(0.3, 4, 40)], -1
    )
    areas = np.array([[(2, -half + 0.6, 1.0), (length - 2, half - 0.6, 2.2)]])
    walk = Walk(areas, focus, np.eye(4), 0.35, (0.03, 0.3), (-0.35, 0.3), 1.8)
    return builder, _daylight(rng), walk


def _daylight(rng: np.random.Generator) -> Lighting:
    height, azimuth = rng.uniform(0.35, 1.3), rng.uniform(0, 2 * np.pi)
    way = 1000 * np.array((np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)))
    sun = np.array((1.0, rng.uniform(0.8, 1.0), rng.uniform(0.6, 1.0))) * rng.choice((0.0, 1.0, 2.0, 3.0))
    blue = np.array((rng.uniform(0.7, 1.0), rng.uniform(0.85, 1.0), 1.0))
    return Lighting((Lamp(tuple(way), tuple(sun), 15.0, sun=True),), tuple(0.3 * blue), tuple(blue * rng.uniform(0.6, 1.2)), 2.0)


def _ground(builder: MeshBuilder, palette: Palette, length: float, road: float, pavement: float) -> None:
    rng = palette.rng
    tar = Material(textures.ground(rng, np.ones(3) * rng.uniform(0.2, 0.5)), (3.0, 3.0))
    slabs = Material(
        (textures.tiles if rng.random() < 0.7 else textures.brick)(rng, np.ones(3) * rng.uniform(0.35, 0.75)),
        (rng.uniform(1.2, 3),) * 2,
    )
    stone = Material(textures.speckle(rng, np.ones(3) * 0.6))
    builder.add([Piece(quad((0, -road / 2, 0), (length, 0, 0), (0, road, 0), CELL_M), tar)], kind="road")
    line = Material(textures.paint(rng, np.ones(3) * 0.9, 0.05))
    for x in np.arange(1, length - 2, 4.0):
        builder.add([Piece(quad((x, -0.06, 0.004), (2, 0, 0), (0, 0.12, 0)), line)])
    for side in (-1, 1):
        low = side * (road / 2 + pavement / 2)
        builder.add(solid(box((length, pavement, KERB_M), CELL_M), slabs, at(length / 2, low, 0)), kind="pavement")
        builder.add(solid(box((length, 0.15, KERB_M + 0.01), CELL_M), stone, at(length / 2, side * road / 2, 0)))


def _front(builder: MeshBuilder, palette: Palette, length: float, T: Float64) -> None:
    """Houses in a row; local x along the street, y towards it."""
    rng, x = palette.rng, -length / 2
    while x < length / 2:
        width, storeys = min(rng.uniform(5, 13), length / 2 - x + 0.01), int(rng.integers(2, 7))
        height, back = storeys * 3.0 + KERB_M, -rng.choice((0.0, 0.0, rng.uniform(0.2, 1.0)))
        bays = max(1, round(width / rng.uniform(1.8, 3.2)))
        front = Material(pictures.facade(rng, storeys, bays), (0.0, 0.0), specular=0.05)
        wall = Material(textures.speckle(rng, textures.colour(rng, (0, 0.4), (0.3, 0.8))))
        middle = x + width / 2
        pieces = [Piece(quad((middle + width / 2, back, 0), (-width, 0, 0), (0, 0, height), CELL_M), front)]
        for side in (-1, 1):
            pieces += solid(
                [quad((middle - side * width / 2, back - (side > 0) * 4, 0), (0, 4 * side, 0), (0, 0, height), CELL_M)], wall
            )
        pieces += solid(box((width + 0.2, 0.4, 0.25), CELL_M), wall, at(middle, back + 0.05, height - 0.25))
        pieces += _ledges(palette, middle, width, back, storeys, bays)
        builder.add(pieces, T, "house")
        x += width


def _ledges(palette: Palette, middle: float, width: float, back: float, storeys: int, bays: int) -> list[Piece]:
    rng, stone, pieces = palette.rng, palette.wood(), []
    if rng.random() < 0.6:
        for i in range(1, storeys):
            for j in range(bays):
                x = middle - width / 2 + (j + 0.5) * width / bays
                pieces += block((width / bays * 0.6, 0.18, 0.08), stone, x, back + 0.09, i * 3.0 + 0.68)
                if rng.random() < 0.1:
                    pieces += _balcony(palette, x, back, i * 3.0 + 0.3)
    if rng.random() < 0.4:
        cloth = palette.cloth()
        slope = quad((middle + width * 0.45, back, 2.8), (-width * 0.9, 0, 0), (0, 1.0, -0.5))
        pieces += solid([slope], cloth)
    return pieces


def _balcony(palette: Palette, x: float, back: float, z: float) -> list[Piece]:
    metal = palette.metal()
    pieces = block((1.6, 0.9, 0.12), palette.wood(), x, back + 0.45, z) + block((1.6, 0.05, 0.05), metal, x, back + 0.87, z + 1.0)
    for dx in np.linspace(-0.78, 0.78, 9):
        pieces += block((0.02, 0.02, 0.95), metal, x + dx, back + 0.87, z + 0.1)
    return pieces


def _furniture(builder: MeshBuilder, palette: Palette, length: float, side: int, road: float, pavement: float) -> None:
    rng = palette.rng
    x = rng.uniform(1, 4)
    while x < length - 3:
        if rng.random() < 0.6:
            car, turn = _car(palette), rng.choice((0, np.pi)) + rng.normal(0, 0.03)
            builder.add(car, at(x + 2, side * (road / 2 - 1.0), 0, turn), "car")
        x += rng.uniform(5, 9)
    tree, post = rng.random() < 0.7, rng.uniform(3, 7)
    kerb = side * (road / 2 + 0.45)
    for k, x in enumerate(np.arange(rng.uniform(1, 4), length - 1, post)):
        is_tree = bool(tree and k % 2)
        pieces = _tree(palette) if is_tree else _post(palette, side)
        builder.add(pieces, at(x, kerb, KERB_M), "tree" if is_tree else "post")
    for _ in range(int(rng.integers(1, 8))):
        builder.add(
            _small(palette),
            at(rng.uniform(1, length - 1), side * (road / 2 + pavement - rng.uniform(0.3, 0.8)), KERB_M, rng.choice((0, np.pi))),
        )


def _car(palette: Palette) -> list[Piece]:
    rng = palette.rng
    paint = Material(textures.paint(rng, textures.colour(rng, (0, 0.9), (0.05, 0.95))), specular=0.5, shininess=40)
    glass = palette.pick("glass", lambda: Material(textures.paint(rng, np.ones(3) * 0.08), specular=0.6, shininess=60), 1)
    rubber = palette.pick("rubber", lambda: Material(textures.paint(rng, np.ones(3) * 0.12)), 1)
    length, cabin = rng.uniform(3.8, 4.8), rng.uniform(0.45, 0.65)
    pieces = solid([pillow((length, 1.75, 0.62), 0.25, 28)], paint, at(0, 0, 0.28))
    shift = rng.uniform(-0.35, 0.1)
    pieces += solid([pillow((length * cabin, 1.55, 1.0), 0.45, 28)], glass, at(shift, 0, 0.45))
    pieces += solid([pillow((length * cabin * 0.75, 1.3, 0.1), 0.4)], paint, at(shift, 0, 1.37))
    wheel = placed(solid(cylinder(0.31, 0.2), rubber), at(0, 0.1, 0.31, 0, np.pi / 2))
    for x in (-0.31 * length, 0.31 * length):
        for y in (-0.78, 0.78):
            pieces += placed(wheel, at(x, y, 0))
    light = Material(textures.paint(rng, np.array((0.9, 0.85, 0.7))), emission=0.3)
    tail = Material(textures.paint(rng, np.array((0.8, 0.05, 0.05))), emission=0.2)
    for y in (-0.6, 0.6):
        pieces += block((0.1, 0.3, 0.12), light, length / 2 - 0.06, y, 0.62) + block(
            (0.1, 0.3, 0.12), tail, -length / 2 + 0.06, y, 0.66
        )
    return pieces


def _tree(palette: Palette) -> list[Piece]:
    rng = palette.rng
    bark = palette.pick("bark", lambda: Material(textures.wood(rng, np.array((0.35, 0.27, 0.2))), (0.5, 0.5)), 1)
    hue = np.array((rng.uniform(0.15, 0.5), rng.uniform(0.35, 0.5), 0.12))
    green = palette.pick("crown", lambda: Material(textures.leaves(rng, hue), (0.8, 0.8)), 2)
    height, r = rng.uniform(2.2, 3.2), rng.uniform(0.8, 1.5)
    pieces = solid([lathe([(0.16, 0), (0.11, height / 2), (0.08, height + 0.4)], 10)], bark)
    for _ in range(int(rng.integers(3, 7))):
        centre = rng.normal(0, 0.35 * r, 3) + (0, 0, height + 0.5 * r)
        pieces.append(Piece(_crown(rng, centre, r * rng.uniform(0.5, 0.9)), green))
    for _ in range(60):
        way = rng.normal(size=3)
        o = way / np.linalg.norm(way) * r * rng.uniform(0.8, 1.15) + (0, 0, height + 0.5 * r)
        a, b = rng.normal(0, 0.12, (2, 3))
        pieces.append(Piece(quad(o, a, np.cross(a, b) / np.linalg.norm(a) + 0.02 * way), green))
    return pieces


def _crown(rng: np.random.Generator, centre: Float64, radius: float) -> Patch:
    a, b = np.linspace(-np.pi / 2, np.pi / 2, 10)[:, None], np.linspace(-np.pi, np.pi, 19)[None]
    lump = 1 + 0.15 * np.sin(3 * b + rng.uniform(0, 6)) * np.cos(4 * a + rng.uniform(0, 6))
    unit = np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a) + 0 * b], -1)
    return surface(centre + unit * (lump * radius)[..., None])


def _post(palette: Palette, side: int) -> list[Piece]:
    rng, metal = palette.rng, palette.metal()
    if rng.random() < 0.5:
        lamp = Material(np.full((4, 4, 3), 230, np.uint8), emission=0.5)
        pieces = solid([lathe([(0.09, 0), (0.05, 1.0), (0.04, 4.5)], 10)], metal)
        return pieces + block((0.1, 0.9, 0.06), metal, 0, -side * 0.4, 4.5) + block((0.2, 0.4, 0.08), lamp, 0, -side * 0.8, 4.43)
    sign = palette.printed(pictures.page, "sign", 4)
    return solid(cylinder(0.03, 2.4, 8), metal) + block((0.05, 0.6, rng.uniform(0.4, 0.8)), sign, 0.05, 0, 1.7)


def _small(palette: Palette) -> list[Piece]:
    rng = palette.rng
    match rng.integers(4):
        case 0:
            return solid([lathe([(0.22, 0), (0.25, 0.8), (0.2, 0.95), (0.02, 1.0)])], palette.plastic())
        case 1:
            wood, metal = palette.wood(), palette.metal()
            return (
                block((1.6, 0.45, 0.05), wood, 0, 0, 0.42)
                + block((1.6, 0.05, 0.4), wood, 0, -0.2, 0.5)
                + block((0.06, 0.4, 0.42), metal, -0.6)
                + block((0.06, 0.4, 0.42), metal, 0.6)
            )
        case 2:
            hedge = Material(textures.leaves(rng, np.array((0.2, 0.4, 0.15))), (0.6, 0.6))
            return block((rng.uniform(0.8, 2.5), 0.5, 0.5), palette.wood()) + solid(
                [pillow((rng.uniform(0.8, 2), 0.6, 0.7), 0.5)], hedge, at(0, 0, 0.4)
            )
        case _:
            return block((0.5, 0.4, 1.0), palette.plastic())

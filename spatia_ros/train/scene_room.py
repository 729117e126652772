"""Indoor scenes: rooms with one corner cut off or not, corridors, and desks seen from near."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatia_ros.train import scene_furniture as furniture
from spatia_ros.train import scene_picture as pictures
from spatia_ros.train import scene_texture as textures
from spatia_ros.train.scene_furniture import Furniture, Palette, block, scattered, solid
from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import Material, MeshBuilder, Patch, Piece, at, cylinder, disc, lathe, pillow, quad, surface
from spatia_ros.train.scene_path import Walk
from spatia_ros.types import Float64

SKIRTING_M = 0.08


@dataclass(frozen=True, slots=True)
class Plan:
    """A floor plan: corners [N, 2] counter-clockwise, rectangles [R, 2, 2] that cover it, and the ceiling's height."""

    corners: Float64
    rects: Float64
    height: float


@dataclass(slots=True)
class Interior:
    """A room being furnished: what is placed so far and the floor it takes."""

    plan: Plan
    palette: Palette
    builder: MeshBuilder = field(default_factory=MeshBuilder)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    focus: list[Float64] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)

    def put(self, thing: Furniture, T: Float64, gap: float = 0.03) -> bool:
        """Place furniture if its floor is free and inside; says whether it was."""
        corners = np.array([(x, y, 0, 1) for x in (-thing.width / 2, thing.width / 2) for y in (0.0, thing.depth)]) @ T.T
        x0, y0, x1, y1 = *corners[:, :2].min(0), *corners[:, :2].max(0)
        inside = any(
            r[0, 0] <= x0 + 0.01 and r[0, 1] <= y0 + 0.01 and x1 <= r[1, 0] + 0.01 and y1 <= r[1, 1] + 0.01
            for r in self.plan.rects
        )
        if not inside or any(x0 < b[2] + gap and b[0] < x1 + gap and y0 < b[3] + gap and b[1] < y1 + gap for b in self.taken):
            return False
        self.taken.append((x0, y0, x1, y1))
        self.builder.add(thing.pieces, T, thing.kind)
        self.focus.append((T @ (0, thing.depth / 2, min(thing.height * 0.7, 1.4), 1))[:3])
        rng = self.palette.rng
        for top in thing.tops:
            for kind, pieces in scattered(self.palette, top, int(rng.integers(0, 8))):
                self.builder.add(pieces, T, kind)
        return True


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Float64:
    """Low and high corner [2, 2]."""
    return np.array([[x0, y0], [x1, y1]])


def room(rng: np.random.Generator) -> tuple[MeshBuilder, Lighting, Walk]:
    """A living room, bedroom, office or kitchen."""
    interior = Interior(_room_plan(rng), Palette(rng))
    shell(interior)
    for _ in range(int(rng.integers(4, 14))):
        _along_wall(interior)
    _centre(interior)
    lights(interior)
    return interior.builder, _lighting(interior), walk(interior)


def corridor(rng: np.random.Generator) -> tuple[MeshBuilder, Lighting, Walk]:
    """A long passage with a side arm, doors on both sides and lamps in a row."""
    length, width, arm = rng.uniform(8, 20), rng.uniform(1.5, 2.8), rng.uniform(3, 8)
    plan = Plan(
        np.array([(0, 0), (length, 0), (length, arm), (length - width, arm), (length - width, width), (0, width)], np.float64),
        np.stack([rectangle(0, 0, length, width), rectangle(length - width, 0, length, arm)]),
        rng.uniform(2.4, 3.2),
    )
    interior = Interior(plan, Palette(rng))
    shell(interior, doors=int(rng.integers(4, 12)))
    for _ in range(int(rng.integers(2, 9))):
        _along_wall(interior, 0.5)
    for x in np.arange(1.2, length, rng.uniform(2, 4)):
        ceiling_lamp(interior, x, width / 2)
    return interior.builder, _lighting(interior), walk(interior)


def desk(rng: np.random.Generator) -> tuple[MeshBuilder, Lighting, Walk]:
    """A cluttered table in a room, seen from within reach."""
    interior = Interior(_room_plan(rng), Palette(rng))
    shell(interior)
    rect = interior.plan.rects[0]
    base = furniture.table(interior.palette, rng.uniform(1.2, 2.2), rng.uniform(0.7, 1.1), rng.uniform(0.7, 0.8))
    T = at(rng.uniform(rect[0, 0] + 1.4, rect[1, 0] - 1.4), 0.05 if rng.random() < 0.6 else 0.9, 0)
    interior.put(Furniture(base.pieces, base.width, base.depth, base.height, kind="desk"), T)
    top = T @ base.tops[0][0]
    interior.focus.clear()
    if rng.random() < 0.8:
        screen = furniture.monitor(interior.palette)
        spot = at(rng.uniform(-0.4, 0.4), rng.uniform(-0.25, -0.1), 0, rng.normal(0, 0.3))
        interior.builder.add(screen, top @ spot, "monitor")
    for kind, pieces in scattered(interior.palette, (top, base.width, base.depth), int(rng.integers(8, 28))):
        interior.builder.add(pieces, kind=kind)
    interior.focus += [(top @ (*rng.uniform(-0.4, 0.4, 2) * (base.width, base.depth), 0.08, 1))[:3] for _ in range(12)]
    for _ in range(int(rng.integers(3, 9))):
        _along_wall(interior)
    lights(interior)
    x, y = top[:2, 3]
    area = np.array([[(x - 1.0, y - 0.1, base.height + 0.25), (x + 1.0, y + base.depth / 2 + 0.7, base.height + 0.9)]])
    walk = Walk(area, np.array(interior.focus[:12]), np.eye(4), 0.15, (0.002, 0.04), (-1.1, -0.1), 0.35)
    return interior.builder, _lighting(interior), walk


def _room_plan(rng: np.random.Generator) -> Plan:
    w, d, height = rng.uniform(3.2, 7.5), rng.uniform(3.0, 6.0), rng.uniform(2.3, 3.1)
    if rng.random() < 0.6:
        return Plan(np.array([(0, 0), (w, 0), (w, d), (0, d)], np.float64), rectangle(0, 0, w, d)[None], height)
    a, b = rng.uniform(0.35, 0.7) * w, rng.uniform(0.4, 0.7) * d
    return Plan(
        np.array([(0, 0), (w, 0), (w, b), (a, b), (a, d), (0, d)], np.float64),
        np.stack([rectangle(0, 0, w, b), rectangle(0, 0, a, d)]),
        height,
    )


def shell(interior: Interior, doors: int | None = None) -> None:
    """Floor, ceiling, walls with doors, windows, pictures, and skirting."""
    rng, plan = interior.palette.rng, interior.plan
    white = rng.random() < 0.25
    pale = np.ones(3) * rng.uniform(0.8, 0.97) if white or rng.random() < 0.4 else textures.colour(rng, (0.0, 0.35), (0.55, 0.97))
    main = Material(
        textures.paint(rng, pale) if white or rng.random() < 0.55 else _wall_texture(rng, pale), (rng.uniform(1, 2.5),) * 2
    )
    accent = (
        main
        if white or rng.random() < 0.4
        else Material(_wall_texture(rng, textures.colour(rng, (0.0, 0.7), (0.2, 0.95))), (rng.uniform(1, 2.5),) * 2)
    )
    _floor_and_ceiling(interior)
    strip = Material(textures.paint(rng, np.ones(3) * rng.choice((0.9, 0.25))), specular=0.1) if rng.random() < 0.7 else None
    walls = len(plan.corners)
    chosen = rng.integers(walls)
    for k in range(walls):
        T, length = wall_frame(plan, k)
        # The wall stands across local y = 0, facing +y into the room.
        face = quad((length / 2, 0, 0), (-length, 0, 0), (0, 0, plan.height))
        interior.builder.add([Piece(face, accent if k == chosen else main)], T, "wall")
        if strip is not None:
            interior.builder.add(block((length, 0.015, SKIRTING_M), strip, y=0.0075), T, "skirting")
        _openings(interior, T, length, doors)


def _wall_texture(rng: np.random.Generator, base: Float64) -> np.ndarray:
    return rng.choice(np.array(textures.WALLS), p=(0.25, 0.2, 0.25, 0.12, 0.1, 0.08))(rng, base)


def _floor_and_ceiling(interior: Interior) -> None:
    rng, plan = interior.palette.rng, interior.plan
    make = rng.choice(np.array(textures.FLOORS), p=(0.4, 0.2, 0.15, 0.1, 0.1, 0.05))
    base = (
        textures.colour(rng, (0.2, 0.6), (0.25, 0.85))
        if make is not textures.planks
        else np.array((1, rng.uniform(0.65, 0.85), rng.uniform(0.35, 0.65))) * rng.uniform(0.3, 0.9)
    )
    floor = Material(make(rng, base), (rng.uniform(0.8, 2.0),) * 2, specular=rng.choice((0.0, 0.1, 0.3)), shininess=40)
    top = Material(
        textures.paint(rng, np.ones(3) * rng.uniform(0.8, 0.97))
        if rng.random() < 0.75
        else textures.tiles(rng, np.ones(3) * 0.85),
        (1.8, 1.8),
    )
    for k, ((x0, y0), (x1, y1)) in enumerate(plan.rects):
        # Overlapping rectangles of an L leave the earlier one's surface on top.
        drop = 0.0005 * k
        interior.builder.add([Piece(quad((x0, y0, -drop), (x1 - x0, 0, 0), (0, y1 - y0, 0)), floor)], kind="floor")
        interior.builder.add([Piece(quad((x0, y1, plan.height + drop), (x1 - x0, 0, 0), (0, y0 - y1, 0)), top)], kind="ceiling")


def wall_frame(plan: Plan, k: int) -> tuple[Float64, float]:
    """Frame of wall ``k`` (origin mid-foot, x along it, y into the room) and its length in metres."""
    a, b = plan.corners[k], plan.corners[(k + 1) % len(plan.corners)]
    way = b - a
    return at(*(a + b) / 2, 0, float(np.arctan2(way[1], way[0]))), float(np.linalg.norm(way))


def _openings(interior: Interior, T: Float64, length: float, doors: int | None) -> None:
    rng, plan = interior.palette.rng, interior.plan
    x = -length / 2 + rng.uniform(0.2, 0.8)
    kinds = ("door", "window", "picture", "board", "gap") if doors is None else ("door", "door", "picture", "board", "gap")
    while x < length / 2 - 0.6:
        kind = rng.choice(kinds, p=(0.14, 0.2, 0.36, 0.05, 0.25))
        room_left = length / 2 - 0.15 - x
        width = min(
            {
                "door": 0.95,
                "window": rng.uniform(0.8, 2.0),
                "picture": rng.uniform(0.25, 1.1),
                "board": rng.uniform(0.8, 1.6),
                "gap": 0.7,
            }[kind],
            room_left,
        )
        middle = T @ at(x + width / 2, 0, 0)
        if kind == "door" and width > 0.9:
            _door(interior, middle)
        elif kind == "window" and width > 0.7:
            window(interior, middle, width)
        elif kind in ("picture", "board"):
            content = interior.palette.printed(pictures.page, "notice", 4) if kind == "board" else None
            picture(interior, middle, width, rng.uniform(0.2, min(1.2, plan.height - 1.6)), content)
        x += width + rng.uniform(0.1, 1.0)


def _door(interior: Interior, T: Float64) -> None:
    palette = interior.palette
    leaf = palette.printed(pictures.door, "door", 2)
    frame, metal = palette.pick("door frame", palette.wood, 1), palette.metal()
    pieces = solid([quad((0.42, 0.02, 0.01), (-0.84, 0, 0), (0, 0, 2.03))], leaf)
    for x in (-0.46, 0.46):
        pieces += block((0.08, 0.05, 2.1), frame, x, 0.025)
    pieces += block((1.0, 0.05, 0.08), frame, 0, 0.025, 2.04) + block((0.12, 0.05, 0.02), metal, 0.33, 0.05, 1.0)
    interior.builder.add(pieces, T, "door")
    centre = (T @ (0, 0.4, 0, 1))[:2]
    interior.taken.append((centre[0] - 0.4, centre[1] - 0.4, centre[0] + 0.4, centre[1] + 0.4))


def window(interior: Interior, T: Float64, width: float) -> None:
    """A window with frame, sill, perhaps curtains, and the daylight it brings, in the wall whose frame is ``T``."""
    rng, palette = interior.palette.rng, interior.palette
    low, high = rng.uniform(0.4, 1.0), interior.plan.height - rng.uniform(0.15, 0.4)
    view = palette.printed(pictures.outside, "outside", 2, emission=rng.uniform(0.5, 3.0))
    frame = palette.pick("window frame", lambda: Material(textures.paint(rng, np.ones(3) * rng.choice((0.92, 0.9, 0.2)))), 1)
    pieces = solid([quad((width / 2, 0.004, low), (-width, 0, 0), (0, 0, high - low))], view)
    for x in np.linspace(-width / 2, width / 2, int(rng.integers(2, 4))):
        pieces += block((0.05, 0.05, high - low), frame, x, 0.025, low)
    for z in (low, high, *([] if rng.random() < 0.6 else [(low + high) / 2])):
        pieces += block((width + 0.05, 0.05, 0.05), frame, 0, 0.025, z - 0.025)
    pieces += block((width + 0.2, 0.16, 0.03), frame, 0, 0.08, low - 0.05)
    if rng.random() < 0.5:
        cloth = palette.cloth()
        for side in (-1, 1):
            pieces += solid([_curtain(rng, 0.28 * width, high + 0.1 - 0.05)], cloth, at(side * width * 0.5, 0.12, 0.05))
    interior.builder.add(pieces, T, "window")
    day = np.array((1.0, 1.0, 1.1)) * rng.uniform(0.5, 3.0) * width
    interior.lamps.append(Lamp(tuple((T @ (0, 0.5, (low + high) / 2, 1))[:3]), tuple(day), 0.35))


def _curtain(rng: np.random.Generator, width: float, height: float) -> Patch:
    x, z = np.meshgrid(np.linspace(-width / 2, width / 2, 40), np.linspace(0, height, 8))
    fold = 0.04 * np.sin(x * rng.uniform(25, 60) + 0.3 * np.sin(3 * z)) * (0.6 + 0.4 * z / height)
    return surface(np.stack([-x, fold, z], -1))


def picture(interior: Interior, T: Float64, width: float, height: float, content: Material | None = None) -> None:
    """A framed picture (or ``content``) at eye height on the wall whose frame is ``T``."""
    rng, palette = interior.palette.rng, interior.palette
    z = 1.55 - height / 2 + rng.normal(0, 0.12)
    kind = "picture" if content is None else "board"
    content = palette.printed(pictures.picture, "wall picture", 8) if content is None else content
    depth = 0.004 if rng.random() < 0.4 else rng.uniform(0.015, 0.04)
    pieces = block((width, depth, height), palette.wood(), 0, depth / 2, z)
    edge = rng.uniform(0.0, 0.05) * min(width, height)
    pieces += [
        Piece(quad((width / 2 - edge, depth + 0.001, z + edge), (2 * edge - width, 0, 0), (0, 0, height - 2 * edge)), content)
    ]
    interior.builder.add(pieces, T, kind)
    interior.focus.append((T @ (0, 0, z + height / 2, 1))[:3])


def _along_wall(interior: Interior, largest_depth: float = 3.0) -> None:
    rng, palette, plan = interior.palette.rng, interior.palette, interior.plan
    makers = (
        furniture.sofa,
        furniture.shelf,
        furniture.cabinet,
        furniture.desk,
        furniture.bed,
        furniture.floor_lamp,
        furniture.plant,
        furniture.chair,
    )
    thing = rng.choice(np.array(makers), p=(0.13, 0.22, 0.2, 0.13, 0.06, 0.08, 0.1, 0.08))(palette)
    if thing.depth > largest_depth:
        return
    for _ in range(6):
        T, length = wall_frame(plan, int(rng.integers(len(plan.corners))))
        reach = (length - thing.width) / 2 - 0.05
        if reach > 0 and interior.put(thing, T @ at(rng.uniform(-reach, reach), 0.03, 0)):
            return


def _centre(interior: Interior) -> None:
    rng, palette = interior.palette.rng, interior.palette
    rect = interior.plan.rects[rng.integers(len(interior.plan.rects))]
    x, y = rng.uniform(0.35, 0.65, 2) * (rect[1] - rect[0]) + rect[0]
    T = at(x, y, 0, rng.choice((0.0, np.pi / 2)))
    if rng.random() < 0.5:
        size = rng.uniform(1.2, 2.4, 2)
        carpet = Material(
            rng.choice(np.array([textures.rug, textures.fabric, textures.speckle]))(
                rng, textures.colour(rng, (0.1, 0.8), (0.2, 0.8))
            ),
            (0.0, 0.0),
        )
        rug = quad((-size[0] / 2, -size[1] / 2, 0.008), (size[0], 0, 0), (0, size[1], 0))
        interior.builder.add([Piece(rug, carpet)], T, "carpet")
    kind = rng.random()
    if kind < 0.4:
        interior.put(furniture.table(palette, rng.uniform(0.6, 1.2), rng.uniform(0.5, 0.8), rng.uniform(0.35, 0.5)), T)
    elif kind < 0.75:
        board = furniture.table(palette, rng.uniform(1.0, 1.8), rng.uniform(0.7, 1.0), rng.uniform(0.7, 0.78))
        if interior.put(board, T):
            for k in range(int(rng.integers(1, 5))):
                side = 1 if k % 2 else -1
                shift = rng.uniform(-0.3, 0.3) * board.width
                interior.put(
                    furniture.chair(palette),
                    T @ at(shift, board.depth / 2 + side * (board.depth / 2 + 0.55), 0, 0 if side < 0 else np.pi),
                    -0.2,
                )


def lights(interior: Interior) -> None:
    """One to three lamps under the ceiling."""
    rng = interior.palette.rng
    for _ in range(int(rng.integers(1, 4))):
        rect = interior.plan.rects[rng.integers(len(interior.plan.rects))]
        ceiling_lamp(interior, *(rng.uniform(0.25, 0.75, 2) * (rect[1] - rect[0]) + rect[0]))


def ceiling_lamp(interior: Interior, x: float, y: float) -> None:
    """One of three kinds of lamp under the ceiling at (x, y)."""
    rng, top = interior.palette.rng, interior.plan.height
    warm = np.array((1.0, rng.uniform(0.8, 1.0), rng.uniform(0.6, 1.0)))
    glow = Material(np.full((4, 4, 3), 250, np.uint8), emission=rng.uniform(1.5, 4))
    drop = rng.choice((0.06, 0.06, 0.5))
    kind = rng.random()
    if kind < 0.4:
        pieces = solid([pillow((0.3, 0.3, 0.16), 1.0)], glow, at(0, 0, top - drop - 0.1))
    elif kind < 0.7:
        pieces = block((rng.uniform(0.3, 1.2), rng.uniform(0.15, 0.6), 0.05), glow, 0, 0, top - drop)
    else:
        pieces = solid([lathe([(0.2, top - drop - 0.15), (0.06, top - drop)])], interior.palette.plastic()) + solid(
            [disc(0.17, top - drop - 0.12, up=False)], glow
        )
    if drop > 0.1:
        pieces += solid(cylinder(0.008, drop, 6), interior.palette.metal(), at(0, 0, top - drop))
    interior.builder.add(pieces, at(x, y, 0), "ceiling lamp")
    interior.lamps.append(Lamp((x, y, top - drop - 0.2), tuple(warm * rng.uniform(1.5, 4)), 0.12))


def _lighting(interior: Interior) -> Lighting:
    rng = interior.palette.rng
    lamps = sorted(interior.lamps, key=lambda lamp: -sum(lamp.colour))
    # Beyond half a dozen lights the baking costs more than it shows.
    return Lighting(
        tuple(lamps[:6]),
        tuple(rng.uniform(0.3, 1.6) * np.array((1.0, rng.uniform(0.9, 1.0), rng.uniform(0.8, 1.05)))),
        reach_m=rng.uniform(0.3, 0.9),
    )


def walk(interior: Interior) -> Walk:
    """Anywhere inside at camera heights, looking at what was placed."""
    top = min(interior.plan.height - 0.3, 1.9)
    areas = np.stack([np.array([(*(r[0] + 0.3), 0.5), (*(r[1] - 0.3), top)]) for r in interior.plan.rects])
    middle = np.append(interior.plan.rects[0].mean(0), 1.2)
    return Walk(areas, np.array(interior.focus or [middle]), np.eye(4), 0.25)

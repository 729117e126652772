"""Furniture and clutter from boxes, turned forms and pillows, each about its own origin.

Furniture stands on z = 0 with its back at y = 0, facing +y, centred in x. Metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from spatia_ros.train import scene_picture as pictures
from spatia_ros.train import scene_texture as textures
from spatia_ros.train.scene_mesh import Material, Patch, Piece, at, box, cylinder, disc, lathe, pillow, placed, quad, surface
from spatia_ros.types import Float64, UInt8


@dataclass(frozen=True, slots=True)
class Furniture:
    """Pieces with the floor they take: width x depth, and their height; ``tops`` are (T, width, depth) to put things on.

    ``kind`` is the word for it.
    """

    pieces: list[Piece]
    width: float
    depth: float
    height: float
    tops: tuple[tuple[Float64, float, float], ...] = ()
    kind: str = ""


@dataclass(slots=True)
class Palette:
    """A scene's materials: a few of each kind, shared, so that things belong together."""

    rng: np.random.Generator
    shelves: dict[str, list[Material]] = field(default_factory=dict)

    def pick(self, kind: str, make: Callable[[], Material], count: int = 3) -> Material:
        """One of up to ``count`` materials of a kind, made when first needed."""
        shelf = self.shelves.setdefault(kind, [])
        if len(shelf) < count and (not shelf or self.rng.random() < 0.5):
            shelf.append(make())
        return shelf[self.rng.integers(len(shelf))]

    def wood(self) -> Material:
        """Furniture board: stained wood, or painted white or black."""
        rng = self.rng
        if rng.random() < 0.3:
            return self.pick(
                "board", lambda: Material(textures.paint(rng, np.ones(3) * rng.choice((0.06, 0.5, 0.85, 0.92))), specular=0.1), 2
            )
        hue = np.array((rng.uniform(0.3, 0.8), 0.0, 0.0))
        base = hue[0] * np.array((1.0, rng.uniform(0.6, 0.8), rng.uniform(0.3, 0.6)))
        return self.pick(
            "wood",
            lambda: Material(textures.wood(rng, base), (1.0, 0.6), specular=rng.choice((0.0, 0.15)), shininess=30, grain=True),
        )

    def cloth(self) -> Material:
        """Upholstery, curtains, bedding."""
        rng = self.rng
        make = rng.choice(
            np.array([textures.fabric, textures.speckle, textures.paint, textures.wallpaper]), p=(0.4, 0.3, 0.2, 0.1)
        )
        return self.pick(
            "cloth",
            lambda: Material(make(rng, textures.colour(rng, (0, 0.7), (0.1, 0.9))), (rng.uniform(0.2, 1), rng.uniform(0.2, 1))),
            4,
        )

    def metal(self) -> Material:
        """Legs, lamps, frames: grey or black, shining."""
        rng = self.rng
        return self.pick(
            "metal", lambda: Material(textures.paint(rng, np.ones(3) * rng.uniform(0.05, 0.8)), specular=0.4, shininess=40), 2
        )

    def plastic(self) -> Material:
        """Things of one strong colour."""
        rng = self.rng
        return self.pick(
            "plastic",
            lambda: Material(textures.paint(rng, textures.colour(rng, (0.1, 0.95), (0.1, 0.95))), specular=0.25, shininess=25),
            10,
        )

    def printed(self, make: Callable[[np.random.Generator], UInt8], kind: str, count: int = 8, emission: float = 0.0) -> Material:
        """A texture stretched over each patch: pages, screens, spines, pictures."""
        return self.pick(kind, lambda: Material(make(self.rng), (0.0, 0.0), emission=emission), count)


def solid(patches: list[Patch], material: Material, T: Float64 | None = None) -> list[Piece]:
    """Patches of one material, placed."""
    return placed([Piece(p, material) for p in patches], np.eye(4) if T is None else T)


def block(size: tuple[float, float, float], material: Material, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> list[Piece]:
    """A box whose middle front-to-back is at y, standing on z."""
    return solid(box(size), material, at(x, y, z))


def table(palette: Palette, width: float, depth: float, height: float) -> Furniture:
    """A plate on four legs, one foot, or two side panels."""
    rng, top = palette.rng, palette.wood()
    thick = rng.uniform(0.018, 0.05)
    leg = palette.metal() if rng.random() < 0.4 else top
    pieces = block((width, depth, thick), top, y=depth / 2, z=height - thick)
    kind = rng.random()
    if kind < 0.65:
        a = rng.uniform(0.03, 0.07)
        round_leg = rng.random() < 0.4
        for x in (-width / 2 + a, width / 2 - a):
            for y in (a, depth - a):
                shape = cylinder(a / 2, height - thick, 10) if round_leg else box((a, a, height - thick))
                pieces += solid(shape, leg, at(x, y, 0))
    elif kind < 0.8:
        pieces += solid(
            [lathe([(0.3 * depth, 0), (0.28 * depth, 0.03), (0.04, 0.08), (0.04, height - thick)])], leg, at(0, depth / 2, 0)
        )
    else:
        for x in (-width / 2 + 0.015, width / 2 - 0.015):
            pieces += block((0.03, depth, height - thick), top, x, depth / 2)
    return Furniture(pieces, width, depth, height, ((at(0, depth / 2, height), width, depth),), "table")


def chair(palette: Palette) -> Furniture:
    """A seat on legs or a swivel foot, with a back."""
    rng = palette.rng
    frame = palette.metal() if rng.random() < 0.5 else palette.wood()
    cover = palette.cloth() if rng.random() < 0.6 else frame
    w, d, seat = rng.uniform(0.4, 0.55), rng.uniform(0.4, 0.5), rng.uniform(0.42, 0.5)
    pieces = (
        solid([pillow((w, d, 0.07), 0.2)], cover, at(0, d / 2, seat - 0.07))
        if rng.random() < 0.6
        else block((w, d, 0.03), cover, y=d / 2, z=seat - 0.03)
    )
    if rng.random() < 0.35:
        pieces += solid(cylinder(0.03, seat - 0.05, 10), frame, at(0, d / 2, 0))
        spoke = block((0.28, 0.04, 0.03), frame, 0.14, 0.0, 0.04)
        for k in range(5):
            pieces += placed(spoke, at(0, d / 2, 0, k * 2 * np.pi / 5))
    else:
        for x in (-w / 2 + 0.03, w / 2 - 0.03):
            for y in (0.03, d - 0.03):
                pieces += block((0.03, 0.03, seat - 0.03), frame, x, y)
    rise = rng.uniform(0.3, 0.55)
    if rng.random() < 0.4:
        for x in (-w / 2 + 0.03, w / 2 - 0.03):
            pieces += block((0.03, 0.03, rise), frame, x, 0.02, seat)
        for z in np.linspace(0.1, rise - 0.05, int(rng.integers(2, 5))):
            pieces += block((w, 0.02, 0.05), frame, 0, 0.02, seat + z)
    else:
        pieces += solid([pillow((w, 0.06, rise), 0.25)], cover, at(0, 0.03, seat + 0.06))
    return Furniture(pieces, w, d, seat + rise, kind="chair")


def sofa(palette: Palette) -> Furniture:
    """A couch or armchair with cushions."""
    rng, cloth = palette.rng, palette.cloth()
    seats = int(rng.choice((1, 2, 3)))
    each, d, arm, seat = rng.uniform(0.55, 0.7), rng.uniform(0.8, 0.95), rng.uniform(0.12, 0.22), rng.uniform(0.38, 0.46)
    w = seats * each + 2 * arm
    pieces = block((w, d, seat - 0.15), cloth, y=d / 2, z=0.05)
    pieces += solid([pillow((w, 0.24, rng.uniform(0.7, 0.9)), 0.2)], cloth, at(0, 0.12, 0.05))
    for side in (-1, 1):
        pieces += solid([pillow((arm, d, rng.uniform(0.5, 0.62)), 0.3)], cloth, at(side * (w - arm) / 2, d / 2, 0.05))
    for k in range(seats):
        x = (k - (seats - 1) / 2) * each
        pieces += solid([pillow((each, d - 0.25, 0.18), 0.25)], cloth, at(x, d / 2 + 0.1, seat - 0.15))
        if rng.random() < 0.6:
            pieces += solid([pillow((0.42, 0.16, 0.42), 0.5)], palette.cloth(), at(x, 0.36, seat, rng.normal(0, 0.2), -0.35))
    return Furniture(pieces, w, d, 0.9, kind="sofa" if seats > 1 else "armchair")


def bed(palette: Palette) -> Furniture:
    """A mattress with a blanket, pillows and a headboard."""
    rng, wood = palette.rng, palette.wood()
    w, length = rng.choice((0.95, 1.45, 1.65)), 2.05
    pieces = block((w, length, 0.25), wood, y=length / 2, z=0.05) + block((w, 0.05, rng.uniform(0.7, 1.2)), wood, y=0.03)
    pieces += solid([pillow((w - 0.04, length - 0.06, 0.25), 0.12)], palette.cloth(), at(0, length / 2 + 0.03, 0.28))
    pieces += solid([pillow((w + 0.04, length * 0.65, 0.2), 0.15)], palette.cloth(), at(0, length * 0.66, 0.36))
    for x in np.linspace(-w / 4, w / 4, 2 if w > 1 else 1):
        pieces += solid([pillow((0.6, 0.4, 0.16), 0.5)], palette.cloth(), at(x if w > 1 else 0, 0.35, 0.48))
    return Furniture(pieces, w, length, 0.6, kind="bed")


def shelf(palette: Palette) -> Furniture:
    """A bookcase: boards with books, boxes and gaps."""
    rng, wood = palette.rng, palette.wood()
    w, d, h, rows = rng.uniform(0.6, 1.4), rng.uniform(0.25, 0.38), rng.uniform(0.8, 2.2), int(rng.integers(2, 7))
    pieces = block((0.03, d, h), wood, -w / 2, d / 2) + block((0.03, d, h), wood, w / 2, d / 2)
    if rng.random() < 0.7:
        pieces += block((w, 0.01, h), wood, 0, 0.005)
    gap = h / rows
    for k in range(rows + 1):
        pieces += block((w, d, 0.025), wood, 0, d / 2, min(k * gap, h - 0.025))
        if k < rows and rng.random() < 0.85:
            pieces += placed(_books(palette, w - 0.06, gap - 0.06), at(0, d * rng.uniform(0.4, 0.55), k * gap + 0.025))
    return Furniture(pieces, w, d, h, ((at(0, d / 2, h), w, d),), "shelf")


def _books(palette: Palette, width: float, room: float) -> list[Piece]:
    rng, pieces, x = palette.rng, [], -width / 2
    end = width / 2 - rng.random() ** 2 * width * 0.6
    while x < end - 0.06:
        if rng.random() < 0.06:
            x += rng.uniform(0.05, 0.2)
            continue
        thick, height = rng.uniform(0.012, 0.055), min(room, rng.uniform(0.16, 0.3))
        spine = palette.printed(pictures.spine, "spine", 14)
        pieces += solid(box((thick, rng.uniform(0.12, 0.2), height)), spine, at(x + thick / 2, 0, 0, rng.normal(0, 0.02)))
        x += thick + 0.002
    return pieces


def cabinet(palette: Palette) -> Furniture:
    """A sideboard, wardrobe or kitchen unit: a body with doors or drawers and handles."""
    rng, wood = palette.rng, palette.wood()
    w, d = rng.uniform(0.6, 2.0), rng.uniform(0.35, 0.62)
    h = rng.choice((0.5, 0.75, 0.9, 2.0)) * rng.uniform(0.9, 1.1)
    pieces = block((w, d, h - 0.06), wood, y=d / 2, z=0.06)
    front, metal = (wood if rng.random() < 0.5 else palette.wood()), palette.metal()
    columns, rows = max(1, round(w / rng.uniform(0.4, 0.6))), (1 if rng.random() < 0.5 else int(rng.integers(2, 5)))
    for i in range(columns):
        for k in range(rows):
            x, z = (i + 0.5) * w / columns - w / 2, 0.07 + k * (h - 0.08) / rows
            pieces += block((w / columns - 0.012, 0.02, (h - 0.08) / rows - 0.012), front, x, d + 0.008, z)
            knob = (0.12, 0.025, 0.012) if rows > 1 else (0.012, 0.025, 0.12)
            pieces += block(knob, metal, x + (0 if rows > 1 else 0.3 * w / columns), d + 0.03, z + 0.6 * (h - 0.08) / rows)
    return Furniture(pieces, w, d + 0.03, h, ((at(0, d / 2, h), w, d),) if h < 1.4 else (), "cabinet")


def desk(palette: Palette) -> Furniture:
    """A table with a monitor and what lies about on desks."""
    rng = palette.rng
    base = table(palette, rng.uniform(1.0, 1.8), rng.uniform(0.6, 0.8), rng.uniform(0.7, 0.76))
    pieces = base.pieces + placed(monitor(palette), at(rng.uniform(-0.2, 0.2), 0.18, base.height, rng.normal(0, 0.15)))
    return Furniture(pieces, base.width, base.depth, base.height + 0.5, base.tops, "desk")


def monitor(palette: Palette) -> list[Piece]:
    """A screen on a foot, facing +y."""
    rng, case = palette.rng, palette.metal()
    w = rng.uniform(0.4, 0.75)
    h, lift = w * 0.58, rng.uniform(0.08, 0.18)
    glow = palette.printed(pictures.screen, "screen", 3, emission=rng.uniform(0.5, 1.5))
    pieces = (
        block((w, 0.04, h), case, 0, 0, lift)
        + block((0.05, 0.04, lift + 0.05), case, 0, -0.03)
        + block((0.22, 0.18, 0.012), case)
    )
    face = quad((w / 2 - 0.012, 0.0215, lift + 0.012), (-w + 0.024, 0, 0), (0, 0, h - 0.024))
    return pieces + [Piece(face, glow)]


def floor_lamp(palette: Palette) -> Furniture:
    """A foot, a pole and a shade."""
    rng, metal, h = palette.rng, palette.metal(), palette.rng.uniform(1.3, 1.7)
    pieces = solid(cylinder(0.14, 0.02), metal, at(0, 0.2, 0)) + solid(cylinder(0.012, h, 8), metal, at(0, 0.2, 0))
    shade = Material(textures.paint(rng, textures.colour(rng, (0, 0.3), (0.7, 1))), emission=rng.uniform(0.2, 1.5))
    pieces += solid([lathe([(rng.uniform(0.14, 0.22), h - 0.12), (rng.uniform(0.08, 0.18), h + 0.16)])], shade, at(0, 0.2, 0))
    return Furniture(pieces, 0.4, 0.4, h + 0.2, kind="floor lamp")


def plant(palette: Palette) -> Furniture:
    """A pot with leaves on bent stems: thin things at many depths."""
    rng, size = palette.rng, palette.rng.uniform(0.3, 1.0)
    pot = 0.12 + 0.1 * size
    pieces = solid(
        [lathe([(pot * 0.7, 0), (pot, pot * 1.4), (pot * 1.05, pot * 1.6), (pot * 0.85, pot * 1.6)]), disc(pot * 0.9, pot * 1.4)],
        palette.plastic() if rng.random() < 0.5 else palette.wood(),
        at(0, pot + 0.05, 0),
    )
    green = palette.pick(
        "leaf",
        lambda: Material(textures.leaves(rng, np.array((0.2, 0.5, 0.15)) * rng.uniform(0.5, 1.5)), (0.3, 0.3), specular=0.1),
        2,
    )
    pieces += placed([Piece(_leaf(rng, size), green) for _ in range(int(rng.integers(10, 32)))], at(0, pot + 0.05, pot * 1.4))
    return Furniture(pieces, 2.4 * pot, 2.4 * pot, pot * 1.5 + size, kind="plant")


def _leaf(rng: np.random.Generator, size: float) -> Patch:
    t = np.linspace(0, 1, 6)[:, None]
    length, lean, angle = size * rng.uniform(0.4, 1), rng.uniform(0.2, 1.2), rng.uniform(0, 2 * np.pi)
    out, up = length * np.sin(lean * t) * 0.8, length * np.cos(lean * t * 1.6) * t
    across = np.linspace(-1, 1, 3)[None] * rng.uniform(0.02, 0.06) * np.sin(np.pi * np.clip(t, 0.02, 0.98)) ** 0.6
    c, s = np.cos(angle), np.sin(angle)
    return surface(np.stack(np.broadcast_arrays(c * out - s * across, s * out + c * across, up), -1))


def clutter(palette: Palette) -> tuple[str, list[Piece]]:
    """One small thing that stands on z = 0, and the word for it."""
    kinds = ("book", "book", "box", "cup", "vase", "paper", "bottle", "ball", "photo", "plant")
    kind = str(palette.rng.choice(kinds))
    return kind, _small_thing(palette, kind)


def _small_thing(palette: Palette, kind: str) -> list[Piece]:
    rng = palette.rng
    match kind:
        case "book":
            size, cover = (
                (rng.uniform(0.12, 0.25), rng.uniform(0.15, 0.3), rng.uniform(0.01, 0.05)),
                palette.printed(pictures.page, "page"),
            )
            return solid(box(size), cover)
        case "box":
            return solid(
                box(tuple(rng.uniform(0.04, 0.3, 3))),
                palette.printed(pictures.page, "page") if rng.random() < 0.5 else palette.plastic(),
            )
        case "cup":
            r, h = rng.uniform(0.03, 0.05), rng.uniform(0.07, 0.12)
            return solid([lathe([(r * 0.8, 0), (r, h), (r * 0.9, h), (r * 0.75, 0.01)]), disc(r * 0.8, 0.012)], palette.plastic())
        case "vase" | "bottle":
            h = rng.uniform(0.15, 0.4)
            z = np.linspace(0, h, 12)
            r = 0.02 + 0.06 * np.abs(np.interp(z, np.linspace(0, h, 5), rng.random(5)))
            return solid([lathe(zip(r, z, strict=True)), disc(float(r[-1]), h)], palette.plastic())
        case "paper":
            return solid([quad((-0.105, -0.15, 0.002), (0.21, 0, 0), (0, 0.3, 0))], palette.printed(pictures.page, "page"))
        case "ball":
            r = rng.uniform(0.03, 0.12)
            return solid([pillow((2 * r, 2 * r, 2 * r), 1.0)], palette.cloth() if rng.random() < 0.5 else palette.plastic())
        case "photo":
            h = rng.uniform(0.12, 0.3)
            picture = Piece(
                quad((0.4 * h, 0.012, 0.02), (-0.8 * h, 0, 0), (0, 0, h)), palette.printed(pictures.picture, "picture", 6)
            )
            return placed(block((0.9 * h, 0.02, h + 0.04), palette.wood()) + [picture], at(0, 0, 0, 0, 0.25))
    small = plant(palette)
    return [Piece(Patch(p.patch.points * 0.35, p.patch.normals, p.patch.uv * 0.35), p.material) for p in small.pieces]


def scattered(palette: Palette, top: tuple[Float64, float, float], count: int) -> list[tuple[str, list[Piece]]]:
    """Up to ``count`` small things on a table top, each with the word for it and its own list, apart from each other."""
    rng, (T, width, depth) = palette.rng, top
    things: list[tuple[str, list[Piece]]] = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(count):
        kind, pieces = clutter(palette)
        reach = max(float(np.hypot(*np.abs(p.patch.points[..., :2]).reshape(-1, 2).max(0))) for p in pieces)
        x, y = rng.uniform(-0.5, 0.5, 2) * np.maximum((width - reach, depth - reach), 0.02)
        if all(np.hypot(x - a, y - b) > 0.8 * (reach + r) for a, b, r in taken):
            taken.append((x, y, reach))
            turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.normal(0, 0.3)
            things.append((kind, placed(pieces, T @ at(x, y, 0.001, turn))))
    return things

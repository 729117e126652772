"""Things that move: bodies of rigid parts, and the way each takes, both functions of animation time alone.

So any camera can look at any time: nothing is simulated, nothing depends on what was asked before. A body
stands on z = 0 of its own frame and goes along +x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spatia_ros.train import scene_texture as textures
from spatia_ros.train.scene_furniture import block, solid
from spatia_ros.train.scene_mesh import Material, Mesh, MeshBuilder, Patch, Piece, at, cylinder, pillow, placed
from spatia_ros.types import Float64, UInt8

TAU_S = 3.0
"""Animation time runs from 0 to this; outside, everything stands as at the nearer end."""
COLOURS = {
    "red": (0.75, 0.08, 0.08), "orange": (0.9, 0.42, 0.06), "yellow": (0.88, 0.75, 0.12), "green": (0.12, 0.5, 0.16),
    "blue": (0.1, 0.2, 0.7), "purple": (0.42, 0.14, 0.55), "white": (0.9, 0.9, 0.88), "grey": (0.45, 0.45, 0.46),
    "black": (0.07, 0.07, 0.08), "brown": (0.38, 0.22, 0.11),
}
"""What the colour words stand for (0..1, as textures are)."""


@dataclass(frozen=True, slots=True)
class Way:
    """An arc on level ground.

    Args:
        x, y, z, yaw: where it starts and which way, m and rad. speed_m_s, turn_rad_s: along it.
    """

    x: float
    y: float
    z: float
    yaw: float
    speed_m_s: float
    turn_rad_s: float = 0.0

    def at(self, tau_s: float) -> Float64:
        """``T_world_body`` [4, 4] at an animation time."""
        turned = self.turn_rad_s * tau_s
        chord = self.travelled(tau_s) * np.sinc(turned / (2 * np.pi))
        way = self.yaw + turned / 2
        return at(self.x + chord * np.cos(way), self.y + chord * np.sin(way), self.z, self.yaw + turned)

    def travelled(self, tau_s: float) -> float:
        """Metres gone since time 0."""
        return self.speed_m_s * tau_s


@dataclass(frozen=True, slots=True)
class Body:
    """A thing of rigid parts.

    Args:
        kind, colour: words for it.
        mesh: all parts, each in its own frame. part: int [V], which part a vertex belongs to.
        joints: ``T_body_part`` [P, 4, 4] at (animation time s, metres travelled).
        height_m, radius_m: of the upright cylinder all its motion on the spot stays in.
    """

    kind: str
    colour: str
    mesh: Mesh
    part: np.ndarray
    joints: Callable[[float, float], Float64]
    height_m: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Actor:
    """A body on its way."""

    body: Body
    way: Way

    def posed(self, tau_s: float) -> tuple[Float64, Float64]:
        """World positions and normals [V, 3] at an animation time."""
        tau = float(np.clip(tau_s, 0.0, TAU_S))
        T = self.way.at(tau) @ self.body.joints(tau, self.way.travelled(tau))
        R = T[self.body.part, :3, :3]
        points = np.einsum("nij,nj->ni", R, self.body.mesh.vertices) + T[self.body.part, :3, 3]
        return points, np.einsum("nij,nj->ni", R, self.body.mesh.normals)

    def middle(self, tau_s: float) -> Float64:
        """float64 [3], half-way up its axis, m."""
        return self.way.at(float(np.clip(tau_s, 0.0, TAU_S)))[:3, 3] + (0.0, 0.0, self.body.height_m / 2)


def body(kind: str, rng: np.random.Generator) -> Body:
    """A random body of a kind of :data:`KINDS`."""
    return KINDS[kind](rng)


def _assembled(
    kind: str, colour: str, parts: list[list[Piece]], joints: Callable[[float, float], Float64], height_m: float, radius_m: float
) -> Body:
    builder = MeshBuilder()
    numbers = [np.full(sum(p.patch.points[..., 0].size for p in pieces), k) for k, pieces in enumerate(parts)]
    builder.add([piece for pieces in parts for piece in pieces])
    return Body(kind, colour, builder.mesh(), np.concatenate(numbers), joints, height_m, radius_m)


def _paint(rng: np.random.Generator, words: tuple[str, ...] = tuple(COLOURS)) -> tuple[str, Float64]:
    """A colour's word, and one such colour."""
    word = str(rng.choice(words))
    return word, np.clip(np.array(COLOURS[word]) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02, 3), 0.02, 0.97)


def _about_y(angle: float, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Float64:
    """Turn about the y axis (a hanging limb swings forward for positive angles), then move."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, -s, x], [0, 1, 0, y], [s, 0, c, z], [0, 0, 0, 1.0]])


def _limb(length: float, thick: float) -> Patch:
    """Hangs from the origin."""
    patch = pillow((thick, thick, length + thick * 0.6), 0.6, 10)
    return Patch(patch.points - (0, 0, length + thick * 0.3), patch.normals, patch.uv)


def pedestrian(rng: np.random.Generator) -> Body:
    """Somebody walking: arms and legs swing with the way made, knees and elbows bend."""
    word, shirt = _paint(rng)
    scale, swing, phase = rng.uniform(0.88, 1.08), rng.uniform(0.35, 0.6), rng.uniform(0, 2 * np.pi)
    cloth = Material(rng.choice(np.array([textures.fabric, textures.paint, textures.speckle]))(rng, shirt), (0.3, 0.3))
    dark = Material(textures.fabric(rng, textures.colour(rng, (0, 0.5), (0.05, 0.45))), (0.3, 0.3))
    skin = Material(textures.paint(rng, np.array((0.85, 0.62, 0.5)) * rng.uniform(0.35, 1.1)))
    hair = Material(textures.paint(rng, textures.colour(rng, (0.2, 0.7), (0.04, 0.5))))
    thigh, shin, upper, fore, hip = 0.44 * scale, 0.46 * scale, 0.3 * scale, 0.28 * scale, 0.92 * scale
    shoulder, wide = hip + 0.5 * scale, rng.uniform(0.36, 0.46)
    trunk = solid([pillow((0.23, wide, shoulder - hip + 0.16), 0.45, 16)], cloth, at(0, 0, hip - 0.1))
    trunk += solid([pillow((0.2, 0.17, 0.25), 0.9, 14)], skin, at(0.01, 0, shoulder + 0.06))
    trunk += solid([pillow((0.21, 0.19, 0.15), 0.9, 14)], hair, at(-0.02, 0, shoulder + 0.19))
    shoe = block((0.26, 0.1, 0.08), hair, 0.05, 0, -shin - 0.06)
    parts = [
        trunk, solid([_limb(thigh, 0.16)], dark), solid([_limb(thigh, 0.16)], dark),
        solid([_limb(shin, 0.12)], dark) + shoe, solid([_limb(shin, 0.12)], dark) + shoe,
        solid([_limb(upper, 0.1)], cloth), solid([_limb(upper, 0.1)], cloth),
        solid([_limb(fore, 0.085)], skin), solid([_limb(fore, 0.085)], skin),
    ]

    def joints(tau_s: float, travelled_m: float) -> Float64:
        # Somebody who stands still sways and waves a little.
        p = phase + 2 * np.pi * (travelled_m / (1.4 * scale) + 0.25 * tau_s)
        T = [at(0, 0, 0.025 * np.cos(2 * p))]
        legs = [T[0] @ _about_y(s * swing * np.sin(p), 0, s * 0.1, hip) for s in (1, -1)]
        T += legs + [leg @ _about_y(-0.7 * max(0.0, s * np.cos(p)), 0, 0, -thigh) for leg, s in zip(legs, (1, -1), strict=True)]
        arms = [T[0] @ _about_y(-s * 0.9 * swing * np.sin(p), 0, s * (wide / 2 + 0.04), shoulder) for s in (1, -1)]
        T += arms + [arm @ _about_y(0.35 + 0.2 * np.sin(p), 0, 0, -upper) for arm in arms]
        return np.stack(T)

    return _assembled("pedestrian", word, parts, joints, shoulder + 0.34, 0.45)


def car(rng: np.random.Generator) -> Body:
    """A car whose wheels turn with the way made."""
    word, tone = _paint(rng)
    paint = Material(textures.paint(rng, tone), specular=0.5, shininess=40)
    glass = Material(textures.paint(rng, np.ones(3) * 0.08), specular=0.6, shininess=60)
    rubber = Material(textures.paint(rng, np.ones(3) * 0.1))
    rim = Material(textures.paint(rng, np.ones(3) * 0.65), specular=0.4)
    lamp = Material(textures.paint(rng, np.array((0.95, 0.9, 0.75))), emission=0.8)
    tail = Material(textures.paint(rng, np.array((0.8, 0.05, 0.05))), emission=0.4)
    length, high, shift = rng.uniform(3.6, 4.7), rng.uniform(0.9, 1.3), rng.uniform(-0.35, 0.1)
    cabin = length * rng.uniform(0.45, 0.7)
    shell = solid([pillow((length, 1.75, 0.66), 0.25, 24)], paint, at(0, 0, 0.27))
    shell += solid([pillow((cabin, 1.55, high), 0.4, 24)], glass, at(shift, 0, 0.45))
    shell += solid([pillow((cabin * 0.78, 1.35, 0.12), 0.4)], paint, at(shift, 0, 0.41 + high))
    for y in (-0.6, 0.6):
        shell += block((0.1, 0.3, 0.12), lamp, length / 2 - 0.06, y, 0.6)
        shell += block((0.1, 0.3, 0.12), tail, -length / 2 + 0.06, y, 0.64)
    wheel = placed(solid(cylinder(0.32, 0.2, 14), rubber), at(0, 0.1, 0, 0, np.pi / 2))
    wheel += block((0.46, 0.22, 0.07), rim, 0, 0, -0.035) + block((0.07, 0.22, 0.46), rim, 0, 0, -0.23)
    feet = [(x, y, 0.32) for x in (-0.31 * length, 0.31 * length) for y in (-0.8, 0.8)]

    def joints(_tau_s: float, travelled_m: float) -> Float64:
        return np.stack([np.eye(4)] + [_about_y(-travelled_m / 0.32, *foot) for foot in feet])

    return _assembled("car", word, [shell, *([wheel] * 4)], joints, 0.55 + high, length / 2)


def box(rng: np.random.Generator) -> Body:
    """A crate that slides, and turns or rises and sinks as it goes."""
    word, tone = _paint(rng)
    size = rng.uniform(0.25, 0.6, 3)
    make = rng.choice(np.array([textures.paint, textures.wood, textures.speckle, textures.wallpaper]))
    side, band = Material(make(rng, tone), (0.6, 0.6)), Material(textures.paint(rng, tone * 0.45))
    pieces = block(tuple(size), side) + block((size[0] + 0.01, 0.06, size[2] + 0.01), band, 0, 0, -0.004)
    spin, rise, beat = rng.choice((0.0, rng.uniform(-2.5, 2.5))), rng.choice((0.0, rng.uniform(0.1, 0.6))), rng.uniform(0.3, 0.9)

    def joints(tau_s: float, _travelled_m: float) -> Float64:
        return at(0, 0, 0.5 * rise * (1 - np.cos(2 * np.pi * beat * tau_s)) + 0.005, spin * tau_s)[None]

    return _assembled("box", word, [pieces], joints, size[2] + rise, float(np.hypot(size[0], size[1])) / 2)


def ball(rng: np.random.Generator) -> Body:
    """A striped ball that rolls, or bounces."""
    word, tone = _paint(rng)
    r, bounce, beat = rng.uniform(0.11, 0.28), rng.choice((0.0, rng.uniform(0.3, 1.0))), rng.uniform(0.7, 1.4)
    skin = Material(_striped(rng, tone), (0.0, 0.0), specular=0.2)
    pieces = solid([pillow((2 * r, 2 * r, 2 * r), 1.0, 20)], skin, at(0, 0, -r))
    offset = rng.random()

    def joints(tau_s: float, travelled_m: float) -> Float64:
        return _about_y(-travelled_m / r, 0, 0, r + bounce * abs(np.sin(np.pi * (beat * tau_s + offset))))[None]

    return _assembled("ball", word, [pieces], joints, 2 * r + bounce, r)


def _striped(rng: np.random.Generator, tone: Float64) -> UInt8:
    image = textures.paint(rng, tone)
    other = textures.paint(rng, np.ones(3) * rng.choice((0.93, 0.1)))
    bands = (np.arange(image.shape[1]) * int(rng.integers(2, 4)) * 2 // image.shape[1]) % 2 == 1
    image[:, bands] = other[:, bands]
    return image


def arm(rng: np.random.Generator) -> Body:
    """A robot arm of three joints on a pedestal, each swinging at its own pace."""
    word, tone = _paint(rng)
    paint, grey = Material(textures.paint(rng, tone), specular=0.3), Material(textures.paint(rng, np.ones(3) * 0.2), specular=0.3)
    foot, low, high, hand = rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.55), rng.uniform(0.3, 0.5), 0.16
    parts = [
        solid(cylinder(0.2, 0.06), grey) + solid(cylinder(0.11, foot, 14), grey),
        solid([pillow((0.16, 0.14, low + 0.12), 0.4, 14)], paint, at(0, 0, -0.05)),
        solid([pillow((0.12, 0.11, high + 0.1), 0.4, 14)], paint, at(0, 0, -0.05)),
        block((0.05, 0.12, 0.05), grey) + block((0.03, 0.02, hand), grey, 0, 0.05) + block((0.03, 0.02, hand), grey, 0, -0.05),
    ]
    pace, start = rng.uniform(0.2, 0.6, 4), rng.uniform(0, 2 * np.pi, 4)
    reach = rng.uniform((0.6, 0.4, 0.5, 0.3), (1.8, 0.9, 1.0, 0.9))

    def joints(tau_s: float, _travelled_m: float) -> Float64:
        a = reach * np.sin(start + 2 * np.pi * pace * tau_s)
        first = at(0, 0, foot, float(a[0])) @ _about_y(-0.5 - float(a[1]))
        second = first @ _about_y(-0.9 - float(a[2]), 0, 0, low)
        return np.stack([np.eye(4), first, second, second @ _about_y(float(a[3]), 0, 0, high)])

    return _assembled("arm", word, parts, joints, foot + low + high + hand, low + high + hand)


KINDS: dict[str, Callable[[np.random.Generator], Body]] = {
    "pedestrian": pedestrian, "car": car, "box": box, "ball": ball, "arm": arm,
}

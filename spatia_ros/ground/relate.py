"""Relations between things, as numbers: 0 does not hold, up to 1 holds plainly. All in axes with z up, metres.

Left, right, behind and in front are as seen from the camera: along the level way from it to the thing related to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.ground.thing import Thing
from spatia_ros.types import Float64

ASIDE_M = 0.05
"""Shifts smaller than this are neither left nor right, neither before nor behind."""
CONE = 0.7
"""At least this part of the level distance must be a shift to the side (or forwards) for a thing to stand there."""
NEAR_M = 1.0
"""Gap between boxes up to which things are near each other; for large things a quarter of their size more."""
TOUCH_M = 0.12
"""What is nearer to a surface than this lies on it, or hangs on it."""
SUPPORT_M = 0.06
"""Sideways slack in looking for what is below a thing."""
WALLS = frozenset({"wall", "ceiling"})
"""What things hang on."""


@dataclass(frozen=True, slots=True)
class Eye:
    """The camera, for relations that depend on it: where it is, and the level direction it looks in, [3] each, z up."""

    position: Float64
    forward: Float64

    @classmethod
    def of(cls, T_level_cam: Float64) -> Eye:
        """Of a pose; looking down, forward is where the picture's upper edge points, looking up, where its lower one does."""
        forward = T_level_cam[:3, 2]
        if np.hypot(*forward[:2]) < 0.2:
            forward = T_level_cam[:3, 1] * np.sign(forward[2])
        return cls(T_level_cam[:3, 3], _level(forward))

    def bearing(self, thing: Thing) -> float:
        """How far to the right of the direction of view a thing's middle lies, radians, -pi..pi."""
        way = thing.middle - self.position
        return float(np.arctan2(way @ _right(self.forward), way @ self.forward))


def _level(direction: Float64) -> Float64:
    flat = np.array([direction[0], direction[1], 0.0])
    length = np.linalg.norm(flat)
    return flat / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])


def _right(forward: Float64) -> Float64:
    return np.array([forward[1], -forward[0], 0.0])


def gap(a: Thing, b: Thing) -> float:
    """Distance between two boxes, m."""
    apart = np.maximum(0.0, np.maximum(a.low - b.high, b.low - a.high))
    return float(np.linalg.norm(apart))


def holds(kind: str, thing: Thing, others: tuple[Thing, ...], eye: Eye) -> float:
    """How plainly a relation of a thing to others (to the camera, if there is none) holds, 0..1."""
    if kind == "between":
        return _between(thing, *others)
    if not others:
        return _to_eye(kind, thing, eye)
    other = others[0]
    if kind in _SIDES:
        return _aside(kind, thing, other, eye)
    return {"near": _near, "on": _on, "under": _under, "above": _above, "in": _in}[kind](thing, other)


_SIDES = {"left of": (-1, 0), "right of": (1, 0), "behind": (0, 1), "in front of": (0, -1)}
"""Sign of the shift to the right, and of the shift away from the camera."""


def _aside(kind: str, thing: Thing, other: Thing, eye: Eye) -> float:
    way = other.middle - eye.position
    forward = _level(way) if np.hypot(*way[:2]) > 0.3 else eye.forward
    shift = thing.middle - other.middle
    right, away = float(shift @ _right(forward)), float(shift @ forward)
    x, y = _SIDES[kind]
    there, across = (x * right, away) if x else (y * away, right)
    level = float(np.hypot(there, across))
    if there < ASIDE_M or there < CONE * level:
        return 0.0
    # The nearer the plainer: nobody says "left of the sofa" of what is two rooms on.
    return (there / level) / (1.0 + 0.2 * gap(thing, other))


def _to_eye(kind: str, thing: Thing, eye: Eye) -> float:
    if kind not in _SIDES:
        return float(kind == "near") / (1.0 + float(np.linalg.norm(thing.middle - eye.position)))
    way = thing.middle - eye.position
    right, away = float(way @ _right(eye.forward)), float(way @ eye.forward)
    x, y = _SIDES[kind]
    # "In front of me" is where the camera looks: towards it, unlike "in front of the table".
    there = x * right if x else -y * away
    level = float(np.hypot(right, away))
    return 0.0 if there < max(ASIDE_M, CONE * level) else (there / level) / (1.0 + 0.1 * level)


def _near(thing: Thing, other: Thing) -> float:
    reach = NEAR_M + 0.25 * min(float(np.linalg.norm(other.size)), 4.0)
    return max(0.0, 1.0 - gap(thing, other) / reach)


def _between(thing: Thing, a: Thing, b: Thing) -> float:
    way = (b.middle - a.middle)[:2]
    length = float(np.linalg.norm(way))
    if length < 1e-6:
        return 0.0
    shift = (thing.middle - a.middle)[:2]
    aside = abs(float(way[0] * shift[1] - way[1] * shift[0])) / length
    along = float(shift @ way) / length**2
    room = 0.25 * length + 0.25
    if not 0.1 < along < 0.9 or aside > room:
        return 0.0
    return 1.0 - aside / room * 0.8


def _over(thing: Thing, other: Thing, slack_m: float = 0.0) -> float:
    """Share of a thing's floor that another's covers, seen from above."""
    size = np.maximum(thing.size[:2], 1e-3)
    both = np.minimum(thing.high[:2], other.high[:2] + slack_m) - np.maximum(thing.low[:2], other.low[:2] - slack_m)
    return float(np.prod(np.clip(both, 0.0, size)) / np.prod(size))


def _on(thing: Thing, other: Thing) -> float:
    if other.concepts and other.concepts[-1] in WALLS:
        return float(_distance(thing, other) <= TOUCH_M and thing.low[2] > other.low[2] + 0.1)
    covered = _over(thing, other)
    if covered < 0.4 or thing.middle[2] < other.low[2]:
        return 0.0
    top = _top_below(thing, other)
    return covered if top is not None and abs(thing.low[2] - top) <= TOUCH_M else 0.0


def _distance(thing: Thing, other: Thing) -> float:
    """From the points of one thing to those of another, m; from its box where the other is large and its points sparse."""
    near = ((other.xyz >= thing.low - 1.0) & (other.xyz <= thing.high + 1.0)).all(1)
    if not near.any():
        return gap(thing, other)
    apart = np.maximum(0.0, np.maximum(thing.low - other.xyz[near], other.xyz[near] - thing.high))
    # A sparse wall's nearest point may lie beside the thing: what counts is the least shift along one of the axes.
    return float(min(np.linalg.norm(apart, axis=1).min(), np.abs(apart[:, :2]).max(1).min()))


def _top_below(thing: Thing, other: Thing) -> float | None:
    """Height of the other's highest points below a thing's middle, within its floor; None where there are none."""
    inside = ((other.xyz[:, :2] >= thing.low[:2] - SUPPORT_M) & (other.xyz[:, :2] <= thing.high[:2] + SUPPORT_M)).all(1)
    below = inside & (other.xyz[:, 2] <= max(float(thing.middle[2]), float(thing.low[2]) + TOUCH_M))
    return float(other.xyz[below, 2].max()) if below.any() else (float(other.high[2]) if not inside.any() else None)


def _under(thing: Thing, other: Thing) -> float:
    covered = max(_over(thing, other), _over(other, thing))
    lower = thing.high[2] <= other.low[2] + 0.75 * other.size[2] and thing.middle[2] < other.middle[2]
    return covered if covered >= 0.4 and lower else 0.0


def _above(thing: Thing, other: Thing) -> float:
    covered = _over(thing, other, 0.3)
    return covered if covered >= 0.4 and thing.low[2] >= other.high[2] - TOUCH_M else 0.0


def _in(thing: Thing, other: Thing) -> float:
    inside = ((thing.middle >= other.low - 0.05) & (thing.middle <= other.high + 0.05)).all()
    return float(inside and np.prod(thing.size + 0.01) < np.prod(other.size + 0.01))

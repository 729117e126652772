"""What can be found: named objects of the memory, actors of the cast, and what a detector saw."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from spatia_ros.actors.actor import Posed
from spatia_ros.ground import colour
from spatia_ros.ground.words import COLOUR_OF, concepts, words_of
from spatia_ros.memory import Memory
from spatia_ros.types import Float32, Float64, SpatiaError, UInt8, check_array

MOST_POINTS = 4000
"""Points kept of each thing."""
STRAY_SHARE, STRAY_M = 0.003, 0.04
"""A side of the box that holds no more of the points than this, and ends this much farther in without them, ends there."""


@dataclass(frozen=True)
class Thing:
    """Something that can be found.

    Args:
        name: its own. kind: what it is, in words. source: "memory", "actor" or "detector". actor_id: of an actor, else 0.
        xyz: float32 [N, 3], some of its points, world, m. rgb: uint8 [N, 3].
        low, high: float64 [3], world-axis box, m.
        velocity: float64 [3], m/s.
        score: how sure it is that it is there, 0..1.
        known_colour: a colour word that is known, or empty.
    """

    name: str
    kind: str
    source: str
    xyz: Float32
    rgb: UInt8
    low: Float64
    high: Float64
    actor_id: int = 0
    velocity: Float64 = field(default_factory=lambda: np.zeros(3))
    score: float = 1.0
    known_colour: str = ""

    def __post_init__(self) -> None:
        check_array("thing.xyz", self.xyz, (None, 3), np.float32)
        check_array("thing.rgb", self.rgb, (len(self.xyz), 3), np.uint8)
        if not len(self.xyz):
            raise SpatiaError(f"thing {self.name!r}: expected at least one point, got none")

    @property
    def middle(self) -> Float64:
        """float64 [3], middle of its box, m."""
        return (self.low + self.high) / 2

    @property
    def size(self) -> Float64:
        """float64 [3], sides of its box, m."""
        return self.high - self.low

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """What it is called, as :func:`.words.concepts`."""
        return concepts(words_of(self.kind))

    @cached_property
    def colours(self) -> dict[str, float]:
        """Share of its points that each colour word suits; a colour that is known suits all of it."""
        seen = colour.shares(self.rgb)
        return seen | {self.known_colour: 1.0} if self.known_colour in seen else seen

    @cached_property
    def plain_name(self) -> str:
        """Its name in small letters, with one blank wherever there is none but letters and digits."""
        return plain(self.name)

    def levelled(self, R_level_world: Float64) -> Thing:
        """The same in axes turned so that z is up (shifted by nothing)."""
        if np.array_equal(R_level_world, np.eye(3)):
            return self
        xyz = (self.xyz @ R_level_world.T.astype(np.float32)).astype(np.float32)
        corners = np.stack(np.meshgrid(*np.stack([self.low, self.high], 1)), -1).reshape(-1, 3) @ R_level_world.T
        # Turned by right angles a box stays a box; otherwise that of the points is tighter than that of the turned corners.
        right = np.allclose(np.abs(R_level_world).max(1), 1.0)
        low, high = (corners.min(0), corners.max(0)) if right else (xyz.min(0).astype(float), xyz.max(0).astype(float))
        velocity = R_level_world @ self.velocity
        return Thing(
            self.name, self.kind, self.source, xyz, self.rgb, low, high, self.actor_id, velocity, self.score, self.known_colour
        )


def plain(name: str) -> str:
    """A name as two names are compared."""
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))


def things_in(memory: Memory) -> list[Thing]:
    """Everything with a name in a memory, by name; several labels of one name are one thing."""
    parts: dict[str, list[tuple[Float32, UInt8]]] = {}
    for chunk in memory.chunks():
        named = np.flatnonzero(chunk.label)
        if not len(named):
            continue
        order = named[np.argsort(chunk.label[named], kind="stable")]
        labels, starts = np.unique(chunk.label[order], return_index=True)
        for label, at in zip(labels.tolist(), np.split(order, starts[1:]), strict=True):
            if label in memory.names:
                parts.setdefault(memory.names[label], []).append((chunk.xyz[at], chunk.rgb[at]))
    return [_thing(name, *(np.concatenate(x) for x in zip(*parts[name], strict=True))) for name in sorted(parts)]


def _thing(name: str, xyz: Float32, rgb: UInt8) -> Thing:
    low, high = box_of(xyz)
    inside = ((xyz >= low - 1e-6) & (xyz <= high + 1e-6)).all(1)
    some = np.flatnonzero(inside)
    some = some[np.linspace(0, len(some) - 1, min(len(some), MOST_POINTS)).astype(int)]
    kind = " ".join(concepts(words_of(name))) or name
    return Thing(name, kind, "memory", np.ascontiguousarray(xyz[some]), np.ascontiguousarray(rgb[some]), low, high)


def box_of(xyz: Float32) -> tuple[Float64, Float64]:
    """Low and high corner [3] of points [N, 3] without the few that stray: pixels at a rim that were given a neighbour's name."""
    low, high = xyz.min(0).astype(np.float64), xyz.max(0).astype(np.float64)
    if len(xyz) < 50:
        return low, high
    inner_low, inner_high = (np.quantile(xyz, q, axis=0).astype(np.float64) for q in (STRAY_SHARE, 1 - STRAY_SHARE))
    return np.where(inner_low - low > STRAY_M, inner_low, low), np.where(high - inner_high > STRAY_M, inner_high, high)


def things_of(posed: Iterable[Posed]) -> list[Thing]:
    """Actors at a moment."""
    out = []
    for each in posed:
        points = each.points
        some = np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int)
        out.append(Thing(
            each.name, each.kind, "actor", points.xyz[some], points.rgb[some], each.low, each.high, each.id,
            each.velocity, known_colour=COLOUR_OF.get(each.colour or "", ""),
        ))  # fmt: skip
    return out

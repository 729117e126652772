"""An actor: a body with a number, a name and a clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spatia_ros.actors.body import Body, BodyPoints
from spatia_ros.actors.clock import Clock
from spatia_ros.types import Float64, SpatiaError, check_pose

MAX_ID = 65535
"""Segmentation is uint16, 0 the static world."""
MAX_NAME = 200
INF = float("inf")
Fact = str | int | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """A moving thing.

    Args:
        id: 1..65535; 0: whatever number is free when it joins a cast.
        name: unique in its cast; empty: its kind and number.
        kind: what it is, in a word ("pedestrian"). colour: in a word, if known.
        body: what it looks like and where it is over animation time.
        clock: its own, from the cast's animation time to the body's.
        T_world_placed: float64 [4, 4], moves the whole of it, path and all.
        facts: anything else known of it, as plain values.
    """

    name: str
    kind: str
    body: Body
    id: int = 0
    clock: Clock = Clock.REAL
    T_world_placed: Float64 = field(default_factory=lambda: np.eye(4))
    colour: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.id, bool) or not isinstance(self.id, int) or not 0 <= self.id <= MAX_ID:
            raise SpatiaError(f"actor.id: expected 0..{MAX_ID}, got {self.id!r}")
        for name, value in (("name", self.name), ("kind", self.kind), ("colour", self.colour or "")):
            if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
                raise SpatiaError(f"actor.{name}: expected at most {MAX_NAME} printable characters, got {value!r:.80}")
        if not self.kind:
            raise SpatiaError("actor.kind: expected a word, got none")
        for key, fact in self.facts.items():
            if not isinstance(key, str) or not isinstance(fact, str | int | float | bool) or fact != fact or fact in (INF, -INF):
                raise SpatiaError(f"actor.facts: expected words, finite numbers and truths by name, got {key!r}: {fact!r:.80}")
        check_pose("actor.T_world_placed", self.T_world_placed)

    def tau(self, cast_tau_s: float) -> float:
        """The body's time at an animation time of the cast, s."""
        return self.clock.at(cast_tau_s)


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """An actor at a moment, in the world.

    Args:
        id, name, kind, colour: the actor's. complete: whether its points close its surface from all sides.
        T_world_actor: float64 [4, 4].
        points: in the world.
        low, high: float64 [3], its world-axis box, m.
        velocity: float64 [3], of its origin, m/s of the world's time (0 when its clock stands).
        tau_s: the body's time.
    """

    id: int
    name: str
    kind: str
    colour: str | None
    complete: bool
    T_world_actor: Float64
    points: BodyPoints
    low: Float64
    high: Float64
    velocity: Float64
    tau_s: float


def pose_actor(actor: Actor, cast_tau_s: float, cast_rate: float) -> Posed | None:
    """An actor when its cast shows a time and goes at a pace; None when it is not there then."""
    tau = actor.tau(cast_tau_s)
    if not actor.body.present(tau):
        return None
    T = actor.T_world_placed
    points = actor.body.points(tau).moved(T)
    low, high = points.bounds()
    velocity = T[:3, :3] @ actor.body.velocity(tau) * (actor.clock.rate(cast_tau_s) * cast_rate)
    T_world_actor = T @ actor.body.pose(tau)
    complete = actor.body.complete
    return Posed(actor.id, actor.name, actor.kind, actor.colour, complete, T_world_actor, points, low, high, velocity, tau)

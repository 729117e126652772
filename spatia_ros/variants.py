"""Counterfactuals: the same moments again, with one thing changed.

A variant begins from the very state of the world it is a variant of, seed and all, so its frames differ only where
what was changed is seen, or was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from spatia_ros.actors import Actor, Cast, Clock
from spatia_ros.types import SpatiaError, Step, Trajectory
from spatia_ros.world import World

Edit = Callable[[Cast], None]


def variants(world: World, trajectory: Trajectory, edits: Mapping[str, Edit]) -> dict[str, Step]:
    """A path once for each edit of the cast, by the names given; the world is left as it was.

    Raises:
        SpatiaError: when an edit does not fit; the world is then left as it was, too.
    """
    before, steps = world.snapshot(), dict[str, Step]()
    try:
        for name, edit in edits.items():
            world.restore(before)
            edit(world.cast)
            steps[name] = world.advance(trajectory)
    finally:
        world.restore(before)
    return steps


def unchanged(cast: Cast) -> None:
    """The edit that changes nothing: what the others are held against."""


def earlier(which: int | str, seconds: float) -> Edit:
    """An actor (by number or name) as it was so many seconds of its own time before, all along."""

    def edit(cast: Cast) -> None:
        actor = cast.find(which)
        cast.replace(replace(actor, clock=_mapped(actor.clock, 1.0, -seconds)))

    return edit


def faster(which: int | str, factor: float, from_s: float) -> Edit:
    """An actor (by number or name) so many times as fast (1.2: a fifth faster), from a time of the cast's clock on.

    Raises:
        SpatiaError: unless the factor is finite and above 0.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise SpatiaError(f"variant: expected a finite factor above 0, got {factor}")

    def edit(cast: Cast) -> None:
        actor = cast.find(which)
        tau_s = actor.clock.at(from_s)
        quicker = _mapped(actor.clock, factor, tau_s * (1.0 - factor))
        cast.replace(replace(actor, clock=actor.clock.replaced(from_s, quicker)))

    return edit


def placed(actor: Actor) -> Edit:
    """An actor put in the place of the one with its number: another path, another body."""
    return lambda cast: cast.replace(actor)


def _mapped(clock: Clock, scale: float, offset_s: float) -> Clock:
    """The clock that shows ``scale * tau + offset_s`` where this one shows tau."""
    knots = clock.knots_s * (1.0, scale)
    changes = tuple(
        c._replace(clock=_mapped(c.clock, scale, 0.0), offset_s=scale * c.offset_s + offset_s) for c in clock.changes
    )
    return Clock(knots + (0.0, offset_s), clock.before, clock.after, changes)

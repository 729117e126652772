"""Counterfactuals: the same moments again, with one thing changed.

A variant begins from the very state of the world it is a variant of, seed and all, so its frames differ only where
what was changed is seen, or was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spatia_ros.actors import Actor, Cast
from spatia_ros.types import Step, Trajectory
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


def changed(which: int | str, how: Callable[[Actor], Actor]) -> Edit:
    """The edit of one actor, by number or name (:mod:`spatia_ros.actors.edits`): ``changed(1, lambda a: earlier(a, 1.0))``."""

    def edit(cast: Cast) -> None:
        cast.replace(how(cast.find(which)))

    return edit

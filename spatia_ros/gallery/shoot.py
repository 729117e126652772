"""Shooting a film: its takes flown through a world, each from the same state and the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spatia_ros.actors import Cast
from spatia_ros.gallery.film import Film
from spatia_ros.types import ActorState, SpatiaError, Trajectory, UInt8, UInt16
from spatia_ros.world import World

Change = Callable[[World, str], None]
"""Makes one edit of the place, given what ``spatia edit`` is told."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame of a take.

    Args:
        rgb: uint8 [H, W, 3]. segmentation: uint16 [H, W], actors by number. at_s: seconds since the film began.
        animation_s: what the cast's clock shows then. actors: everybody's state.
    """

    rgb: UInt8
    segmentation: UInt16
    at_s: float
    animation_s: float
    actors: tuple[ActorState, ...]


def shoot(world: World, film: Film, casts: list[Cast], trajectory: Trajectory, change: Change) -> Iterator[tuple[int, Shot]]:
    """The frames of a film, take after take, each with the number of its take; the world is left as it was.

    Args:
        casts: who plays, for each take. trajectory: of the camera. change: makes the film's edits.

    Raises:
        SpatiaError: unless there is a cast for every take.
    """
    if len(casts) != len(film.takes):
        raise SpatiaError(f"film {film.name}: expected {len(film.takes)} casts, got {len(casts)}")
    before = world.snapshot()
    try:
        for take, cast in enumerate(casts):
            world.restore(before)
            world.cast.restore(cast.snapshot())
            for shot in _take(world, film, trajectory, change):
                yield take, shot
    finally:
        world.restore(before)


def _take(world: World, film: Film, trajectory: Trajectory, change: Change) -> Iterator[Shot]:
    edits, at_s = list(film.edits), (trajectory.stamps_ns - trajectory.stamps_ns[0]) * 1e-9
    for k, clip in enumerate(trajectory.clips(1)):
        while edits and edits[0].at_s <= at_s[k]:
            change(world, edits.pop(0).words)
        step = world.advance(clip)
        yield Shot(step.rgb[0], step.segmentation[0], float(at_s[k]), float(step.animation_s[0]), step.actors[0])

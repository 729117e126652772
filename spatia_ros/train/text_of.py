"""What a procedural scene is called: the prompt of a clip, in words of the generator's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from spatia_ros.train.scene_actors import Actor
from spatia_ros.train.scene_air import Air

MOST_WORDS = 14
"""A prompt has room for 16 tokens."""


def prompt(kind: str, air: Air, actors: Sequence[Actor], named: int | None) -> str:
    """Words, separated by spaces: the mover named first (if any), the place, its light and weather, the other movers.

    Args:
        kind: of the place. named: number of the mover whose box is told.
    """
    order = ([] if named is None else [named]) + [k for k in range(len(actors)) if k != named]
    things = [[actors[k].body.colour, actors[k].body.kind] for k in order]
    first, others = (things[:1], things[1:]) if named is not None else ([], things)
    words = [*sum(first, []), kind, *air.words, *sum(others, [])]
    return " ".join(words[:MOST_WORDS])

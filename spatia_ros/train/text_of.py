"""What a procedural scene is called: the prompt of a clip, in words of the generator's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from spatia_ros.train.scene_actors import Body
from spatia_ros.train.scene_air import Air

MOST_WORDS = 14
"""A prompt has room for 16 tokens."""


def prompt(kind: str, air: Air, named: Body | None, others: Sequence[Body]) -> str:
    """Words, separated by spaces: the mover whose box is told (if any), the place, its light and weather, other movers in sight.

    Args:
        kind: of the place, as :data:`.scene_crowd.SHARES` has it.
    """
    words = [] if named is None else [named.colour, named.kind]
    words += [kind, *air.words]
    for body in others:
        words += [body.colour, body.kind]
    return " ".join(words[:MOST_WORDS])

"""The second layer of a world: actors over the finished static picture, which knows nothing of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from spatia_ros.actors.actor import Posed
from spatia_ros.actors.complete import completed
from spatia_ros.actors.draw import Drawn, Layer, compose, draw_layer
from spatia_ros.config import ActorsConfig
from spatia_ros.generator.generators import Generator
from spatia_ros.memory import Keyframe
from spatia_ros.types import ActorState, Frame


class Stage(NamedTuple):
    """A frame with actors in it."""

    drawn: Drawn
    actors: tuple[ActorState, ...]  # by number
    counts: dict[str, int]


def staged(
    posed: Sequence[Posed], frame: Frame, references: Sequence[Keyframe], generator: Generator, start_s: float, seed: int,
    config: ActorsConfig,
) -> Stage:
    """Draw actors over a finished static picture, each alone and its gaps completed, then all by depth.

    Args:
        references: keyframes that saw the same space as the frame. start_s: world's start; animation times count from it.
        seed: the world's.
    """
    layers = list[Layer]()
    for each in (by_number := sorted(posed, key=lambda p: p.id)):
        layer = draw_layer(each, frame.camera, frame.T_world_cam)
        if layer is not None and config.complete and not each.complete:
            layer = completed(layer, frame, references, generator, start_s + each.tau_s, seed)
        if layer is not None:
            layers.append(layer)
    drawn = compose(frame.rgb, frame.depth, layers)
    counts = {"actors": len(posed), "actors_in_view": len(layers)}
    counts |= {"actor_pixels": int((drawn.ids > 0).sum()), "completed_pixels": int(drawn.invented.sum())}
    return Stage(drawn, tuple(state_of(each) for each in by_number), counts)


def state_of(posed: Posed) -> ActorState:
    """An actor's state without its points."""
    return ActorState(posed.id, posed.name, posed.kind, posed.T_world_actor, posed.low, posed.high, posed.velocity, posed.tau_s)

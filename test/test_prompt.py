"""Prompts while a world runs: what is asked for is seen from the next frame on, in this world alone; and frames apart."""

from __future__ import annotations

import numpy as np
import pytest
from test_world import CONFIG, PERIOD_NS, path
from test_world_clips import world_of
from tiny_networks import TinyNetworks

from spatia_ros.generator import ProjectionGenerator
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.generator.text import NUMBER_OF
from spatia_ros.types import SpatiaError
from spatia_ros.world import Asked, World

OUT, ON = [0.3, 0.4], [0.5, 0.6, 0.7]


def reading() -> World:
    """A world whose holes show the prompt, and noise."""
    world = world_of(SpaceTimeGenerator("tiny", TinyNetworks(push=0.01, noisy=0.1), CONFIG.generator), CONFIG)
    world.frozen = True
    return world


def seen(world: World, xs: list[float]) -> np.ndarray:
    return world.advance(path(xs, world.time_ns + PERIOD_NS)).rgb


def words_told(world: World) -> list[int]:
    tokens = world.generator.engine.last["text"]["tokens"]
    return [int(t) for t in tokens.ravel() if t]


def test_a_prompt_is_followed_from_the_next_frame_on() -> None:
    world, plain = reading(), reading()
    assert np.array_equal(seen(world, OUT), seen(plain, OUT))
    world.ask("a red room")
    assert world.prompt == "a red room"
    assert not np.array_equal(seen(world, ON), seen(plain, ON))
    assert words_told(world) == [NUMBER_OF["red"], NUMBER_OF["room"]]
    assert words_told(plain) == []


def test_worlds_that_share_a_generator_do_not_share_a_prompt() -> None:
    one = reading()
    other = world_of(one.generator, CONFIG)
    one.ask("red room")
    seen(other, OUT)
    assert words_told(other) == []
    seen(one, OUT)
    assert words_told(one) == [NUMBER_OF["red"], NUMBER_OF["room"]]


def test_what_is_not_understood_leaves_the_prompt_as_it_was() -> None:
    world = reading()
    world.ask("red room")
    with pytest.raises(SpatiaError, match=r"'roon' \(nearest: room"):
        world.ask("a blue roon")
    assert world.prompt == "red room"
    seen(world, OUT)
    assert words_told(world) == [NUMBER_OF["red"], NUMBER_OF["room"]]
    projecting = world_of(ProjectionGenerator(), CONFIG)
    projecting.ask("")
    with pytest.raises(SpatiaError, match="generator 'projection' reads no text, got 'red room'"):
        projecting.ask("red room")


def test_a_prompt_is_part_of_a_snapshot() -> None:
    world = reading()
    world.ask("red room")
    seen(world, OUT)
    kept = world.snapshot()
    onward = seen(world, ON)
    world.ask("blue wall")
    assert not np.array_equal(seen(world, ON), onward)
    world.restore(kept)
    assert world.prompt == "red room"
    assert np.array_equal(seen(world, ON), onward)


@pytest.mark.parametrize("asked", [{"seed": 7}, {"prompt": "", "seed": 7}, {"prompt": "blue wall", "seed": 7}])
def test_frames_asked_for_apart_leave_the_others_as_they_would_have_been(asked: dict) -> None:
    """With memory frozen and no recent frames to look at, what comes after is what would have come without them."""
    without = CONFIG.generator.model_copy(update={"context_frames": 0})
    worlds = [world_of(SpaceTimeGenerator("tiny", TinyNetworks(push=0.01, noisy=0.1), without), CONFIG) for _ in range(2)]
    for world in worlds:
        world.frozen = True
        world.ask("red room")
        seen(world, OUT)
    there, apart = worlds[0], Asked(**asked)
    with there.asked(apart):
        first = seen(there, [0.41])
    between = there.snapshot()
    with there.asked(apart):
        second = seen(there, [0.41])
    assert (there.prompt, there.seed) == ("red room", CONFIG.seed)
    worlds[1].time_ns = there.time_ns
    plain = seen(worlds[1], [0.42])
    assert np.array_equal(seen(there, [0.42]), plain)
    there.restore(between)
    with there.asked(Asked(**asked)):
        assert np.array_equal(seen(there, [0.41]), first), "the same seed, the same frames"
    assert not np.array_equal(second, plain)


def test_a_seed_is_told_with_the_frames_it_made() -> None:
    world = reading()
    with world.asked(Asked(seed=7)):
        assert world.advance(path(OUT)).seed == 7
    assert world.advance(path(ON, world.time_ns + PERIOD_NS)).seed == CONFIG.seed


def test_a_prompt_that_cannot_be_followed_changes_nothing() -> None:
    world = reading()
    seen(world, OUT)
    held = world.stream.held
    with pytest.raises(SpatiaError, match="roon"), world.asked(Asked(prompt="roon", seed=3)):
        pass
    assert (world.stream.held, world.seed) == (held, CONFIG.seed)

"""Frames of one clip handed out one by one: the same as the clip, and none from a way that was not gone."""

from __future__ import annotations

import numpy as np
from test_world import CONFIG, PERIOD_NS, path
from test_world_clips import OUT, clips_of, world_of
from tiny_networks import TinyNetworks

from spatia_ros.ahead import ClipAhead, Coming
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.world import World


def learning(frames: int, frozen: bool) -> World:
    world = world_of(SpaceTimeGenerator("tiny", TinyNetworks(noisy=0.1), CONFIG.generator), clips_of(frames))
    world.frozen = frozen
    return world


def one_by_one(world: World, xs: list[float], known: list[float] | None = None) -> tuple[list[np.ndarray], ClipAhead]:
    """Frames along a way of which ``known`` is told ahead."""
    way, done = path(known or xs), [0]

    def coming() -> Coming:
        left = way.stamps_ns[done[0] + 1 :] - way.stamps_ns[done[0]]
        return Coming(left, way.T_world_cam[done[0] + 1 :])

    ahead, seen = ClipAhead(world, world.generator, coming), []
    for k, x in enumerate(xs):
        done[0] = k
        with world.drawn_by(ahead):
            seen.append(world.advance(path([x], PERIOD_NS * (k + 1))).rgb[0])
    return seen, ahead


def test_the_frames_are_those_of_the_clip() -> None:
    together = learning(4, frozen=True)
    expected = together.advance(path([*OUT, 0.9]))
    single = learning(4, frozen=True)
    seen, _ = one_by_one(single, [*OUT, 0.9])
    assert np.array_equal(seen, expected.rgb)
    assert single.generator.engine.asked == together.generator.engine.asked, "as often asked"
    alone, _ = one_by_one(learning(1, frozen=True), [*OUT, 0.9])
    assert not np.array_equal(alone, seen), "each by itself is something else"


def test_what_is_shown_enters_memory_and_what_waits_does_not() -> None:
    world = learning(4, frozen=False)
    before = len(world.memory)
    _, ahead = one_by_one(world, OUT[:2], OUT)
    assert ahead.ready == 2
    after = len(world.memory)
    assert after > before
    whole = learning(4, frozen=False)
    one_by_one(whole, OUT)
    assert len(whole.memory) > after


def test_another_way_than_was_told_is_made_anew() -> None:
    world = learning(4, frozen=True)
    seen, ahead = one_by_one(world, [0.3, 0.35], OUT)
    expected, _ = one_by_one(learning(4, frozen=True), [0.3, 0.35])
    assert seen[0].shape == expected[0].shape
    assert ahead.ready == 2, "the clip that begins where it went"
    assert world.generator.name == "tiny"

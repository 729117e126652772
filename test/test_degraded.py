"""Frames that are shown before memory takes them up, and frames made by less than the whole generator."""

from __future__ import annotations

import numpy as np
import pytest
from test_world import CONFIG, PERIOD_NS, OracleGenerator, path, wall_frame
from test_world_clips import clips_of, world_of
from tiny_networks import TinyNetworks

from spatia_ros.config import from_dict
from spatia_ros.generator.generators import MemoryAlone
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.types import UNJUDGED, Step
from spatia_ros.world import World

XS = [0.3, 0.6, 0.9, 1.2]


def learned(steps: int) -> World:
    config = clips_of(1, steps=steps)
    return world_of(SpaceTimeGenerator("tiny", TinyNetworks(noisy=0.1), config.generator), config)


def ahead(world: World, xs: list[float]) -> Step:
    return world.advance(path(xs, world.time_ns + PERIOD_NS))


@pytest.mark.parametrize("clip", [1, 2])
def test_a_frame_is_shown_before_it_is_remembered(clip: int) -> None:
    world = world_of(OracleGenerator(), clips_of(clip))
    early: list[Step] = []
    points: list[int] = []

    def shown(step: Step) -> None:
        early.append(step)
        points.append(len(world.memory))

    before = len(world.memory)
    step = world.advance(path(XS), shown=shown)
    assert points[0] == before
    assert points == sorted(set(points)), "each frame enters after it was shown"
    assert len(world.memory) > points[-1]
    assert [each.index for each in early] == list(range(len(XS)))
    for t, each in enumerate(early):
        for name in ("rgb", "depth", "coverage", "provenance", "segmentation", "animation_s"):
            np.testing.assert_array_equal(getattr(each, name)[0], getattr(step, name)[t], name)
        assert set(np.unique(each.verdict)) <= {0, UNJUDGED}
        np.testing.assert_array_equal(each.verdict == UNJUDGED, ~each.coverage)
        assert {"render_ms", "generate_ms", "actors_ms", "remembered_ratio"} <= set(each.figures)
    assert UNJUDGED not in step.verdict
    with pytest.raises(ValueError, match="read-only"):
        early[0].rgb[:] = 0


def test_showing_changes_nothing() -> None:
    shown, plain = learned(2), learned(2)
    a, b = shown.advance(path(XS), shown=lambda step: None), plain.advance(path(XS))
    np.testing.assert_array_equal(a.rgb, b.rgb)
    np.testing.assert_array_equal(shown.memory.points().xyz, plain.memory.points().xyz)


def test_fewer_steps_are_the_same_networks_and_the_same_stream() -> None:
    """Asked in 2 of its 4 steps, a world is the world that was configured with 2."""
    four, two = learned(4), learned(2)
    fewer = four.generator.in_steps(2)
    assert (four.generator.steps, fewer.steps) == (4, 2)
    assert fewer.engine is four.generator.engine
    with four.drawn_by(fewer):
        assert four.stream is not None
        a = ahead(four, XS)
    np.testing.assert_array_equal(a.rgb, ahead(two, XS).rgb)
    assert four.generator.steps == 4
    assert four.snapshot().stream.recent == four.stream.recent
    assert len(four.stream.recent) == len(XS), "what it made is what the world's own stream goes on from"


def test_memory_alone_adds_nothing_to_memory_and_leaves_the_stream_where_it_was() -> None:
    loose = from_dict({**CONFIG.model_dump(), "verify": {"max_spread": 10.0, "depth_ratio": 1.0, "colour_error": 1.0}})
    world = world_of(SpaceTimeGenerator("tiny", TinyNetworks(noisy=0.1), loose.generator), loose)
    ahead(world, [0.1])
    before, recent, state = len(world.memory), world.stream.recent, world.rng.bit_generator.state
    with world.drawn_by(MemoryAlone()):
        step = ahead(world, XS)
    assert len(world.memory) == before
    assert step.figures["accepted"] == 0
    assert step.figures["new"] > 0
    assert world.stream.recent is recent
    assert world.rng.bit_generator.state == state
    covered = step.coverage[0]
    shown = world.memory.render(world.camera, step.trajectory.T_world_cam[0], 0)
    assert np.abs(step.rgb[0].astype(int) - shown.rgb)[covered & shown.coverage].mean() < 2.0
    world.observe(wall_frame(0.0))
    assert ahead(world, [0.2]).figures["new"] > 0


def test_the_generator_comes_back_when_a_frame_fails() -> None:
    world = learned(2)
    own = world.generator, world.stream
    with pytest.raises(RuntimeError, match="no"), world.drawn_by(MemoryAlone()):
        raise RuntimeError("no")
    assert (world.generator, world.stream) == own

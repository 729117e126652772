"""The deadline policy applied to a world: what it makes frames with, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from test_world import PERIOD_NS, OracleGenerator, path
from test_world_clips import clips_of, world_of
from tiny_networks import TinyNetworks

from spatia_ros.generator import ProjectionGenerator
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.nodes.deadline import Quality
from spatia_ros.nodes.relief import Relief, steps_of
from spatia_ros.nodes.settings import DeadlineSettings
from spatia_ros.world import World

PERIOD_S = 0.1


@dataclass
class Told:
    """A world of four steps, its policy, and what was said."""

    world: World
    settings: DeadlineSettings
    lines: list[tuple[str, bool]]
    relief: Relief

    def frame(self, cost_s: float) -> tuple[Quality, int, str]:
        """Make a frame that takes so long; how it was made, in how many steps, and by which generator."""
        rung = self.relief.prepare(self.world)
        with self.relief.drawing(self.world, rung):
            made = rung.quality, rung.steps, self.world.generator.name
            assert steps_of(self.world.generator) == rung.steps
            self.world.advance(path([0.3], self.world.time_ns + PERIOD_NS))
        self.relief.took(cost_s, PERIOD_S)
        return made


def told(generator: object = None, **settings: object) -> Told:
    config = clips_of(1, steps=4)
    world = world_of(generator or SpaceTimeGenerator("tiny", TinyNetworks(noisy=0.1), config.generator), config)
    lines: list[tuple[str, bool]] = []
    policy = {"policy": "degrade", "late_frames": 1, "climb_frames": 2, "slowest": 3} | settings
    it = Told(world, DeadlineSettings(**policy), lines, None)  # type: ignore[arg-type]
    it.relief = Relief(lambda: it.settings, lambda line, warning: lines.append((line, warning)))
    return it


def test_each_rung_is_what_frames_are_made_with_and_each_change_is_said() -> None:
    it = told()
    made = [it.frame(9.0) for _ in range(6)]
    assert made == [
        (Quality.FULL, 4, "tiny"), (Quality.FEWER_STEPS, 2, "tiny"), (Quality.FEWER_STEPS, 1, "tiny"),
        (Quality.PROJECTION, 0, "memory-alone"), (Quality.LOWER_RATE, 0, "memory-alone"), (Quality.LOWER_RATE, 0, "memory-alone"),
    ]  # fmt: skip
    assert it.relief.rung.every == 3
    assert it.relief.concern == "deadline: memory alone is drawn, and frames come more rarely"
    assert [warning for _, warning in it.lines] == [True] * 5
    assert it.lines[0][0] == "deadline: fewer sampling steps, sampling steps 2"
    assert it.lines[-1][0].endswith("one frame every 3 periods")
    while it.relief.rung.quality is not Quality.FULL:
        it.frame(0.001)
    assert it.lines[-1] == ("deadline: every frame as configured, sampling steps 4", False)
    assert it.relief.concern == ""


def test_kept_frames_are_late_and_nothing_else() -> None:
    it = told(policy="keep")
    assert {it.frame(9.0) for _ in range(5)} == {(Quality.FULL, 4, "tiny")}
    assert it.lines == []


def test_a_policy_that_is_taken_back_begins_at_the_top() -> None:
    it = told()
    for _ in range(4):
        it.frame(9.0)
    it.settings = it.settings.model_copy(update={"policy": "keep"})
    assert it.frame(9.0) == (Quality.FULL, 4, "tiny")
    assert it.lines[-1][0].startswith("deadline: every frame as configured")


def test_another_generator_has_a_ladder_of_its_own() -> None:
    it = told()
    for _ in range(4):
        it.frame(9.0)
    it.world = world_of(ProjectionGenerator(), clips_of(1))
    assert [it.frame(9.0)[:2] for _ in range(2)] == [(Quality.FULL, 0), (Quality.LOWER_RATE, 0)]
    it.world = world_of(OracleGenerator(), clips_of(1))
    assert it.relief.prepare(it.world).quality is Quality.FULL
    assert steps_of(it.world.generator) == 1


def test_what_is_made_when_the_load_is_gone_is_what_would_have_been_made() -> None:
    """Frames of memory alone leave the networks' own past and randomness as they were: only memory's views went by."""
    it, plain = told(), told()
    for _ in range(3):
        it.frame(9.0)
    state = it.world.rng.bit_generator.state
    points = len(it.world.memory)
    assert it.frame(9.0)[0] is Quality.PROJECTION
    assert it.world.rng.bit_generator.state == state
    assert len(it.world.memory) == points
    a, b = told(policy="keep"), plain
    b.settings = a.settings
    for _ in range(3):
        a.frame(0.01), b.frame(9.0)
    np.testing.assert_array_equal(a.world.memory.points().xyz, b.world.memory.points().xyz)


def test_a_frame_that_does_not_give_way_is_as_configured() -> None:
    it = told()
    for _ in range(4):
        it.frame(9.0)
    rung = it.relief.prepare(it.world, gives_way=False)
    assert (rung.quality, rung.steps, rung.every) == (Quality.FULL, 4, 1)
    with it.relief.drawing(it.world, rung):
        assert it.world.generator.name == "tiny"
    assert it.relief.rung.quality is Quality.LOWER_RATE

"""Clips: several frames generated together, then admitted to memory one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_world import CAMERA, CONFIG, PERIOD_NS, OracleGenerator, path, psnr, wall_depth, wall_frame
from tiny_networks import TinyNetworks

from spatia_ros.config import WorldConfig, from_dict
from spatia_ros.generator import Generated
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.generator.stream import Stream
from spatia_ros.memory import Memory
from spatia_ros.pixels import trusted_depth
from spatia_ros.slam import REASONS, verify
from spatia_ros.types import Frame, SpatiaError, View
from spatia_ros.world import World, open_generator

OUT = [0.3, 0.6, 0.9, 1.2]
"""Four poses that leave what was seen."""


def clips_of(frames: int, **generator: object) -> WorldConfig:
    values = CONFIG.model_dump()
    values["generator"] |= {"clip": frames} | generator
    return from_dict(values)


def world_of(generator: object, config: WorldConfig) -> World:
    world = World(config, Memory(config.memory), generator, CAMERA)
    world.observe(wall_frame(0.0))
    return world


class StretchingGenerator(OracleGenerator):
    """Knows the wall in the first frame of a clip, and has it ever farther away in the others; notes what it is shown."""

    def __init__(self, stretch: float = 1.0) -> None:
        self.stretch, self.shown = stretch, list[ClipView]()

    def condition(self, shown: ClipView, stream: Stream) -> ClipView:
        self.shown.append(shown)
        return shown

    def sample(self, told: ClipView, stream: Stream, rng: np.random.Generator) -> list[Generated]:
        frames = super().sample(told, stream, rng)
        pairs = enumerate(zip(frames, told.views, strict=True))
        return [replace(each, depth=self.stretched(each, view, t)) for t, (each, view) in pairs]

    def stretched(self, made: Generated, view: View, t: int) -> np.ndarray:
        return np.where(view.coverage, made.depth, made.depth * np.float32(self.stretch**t))


def test_one_frame_at_a_time_is_what_it_always_was() -> None:
    """The world, against the loop written out plainly: frame, memory, next frame."""
    generator = SpaceTimeGenerator("tiny", TinyNetworks(noisy=0.1), CONFIG.generator)
    world = world_of(generator, CONFIG)
    step, stream, rng = world.advance(path(OUT)), generator.stream(), np.random.default_rng(CONFIG.seed)
    memory = Memory(CONFIG.memory)
    memory.integrate(wall_frame(0.0))
    for t, T in enumerate(path(OUT).T_world_cam):
        stamp_ns = PERIOD_NS * (t + 1)
        view = memory.render(CAMERA, T, stamp_ns)
        references = (tuple(memory.retrieve(view, CAMERA, T, generator.references)),)
        now = np.array([stamp_ns * 1e-9])
        told = generator.condition(ClipView((view,), references, CAMERA, T[None], now, now), stream)
        (made,) = generator.sample(told, stream, rng)
        witnesses = memory.retrieve(view, CAMERA, T, CONFIG.verify.keyframes)
        verdict = verify(made, view, CAMERA, T, witnesses, CONFIG.verify)
        frame = Frame(made.rgb, trusted_depth(made, view), CAMERA, T, stamp_ns)
        memory.integrate(frame, sensed=False, mask=verdict.accepted)
        stream.follow([frame], now)
        assert np.array_equal(step.rgb[t], made.rgb)
        assert np.array_equal(step.depth[t], trusted_depth(made, view))
        assert np.array_equal(step.verdict[t], verdict.reasons)
    assert np.array_equal(memory.points().xyz, world.memory.points().xyz)


def test_a_clip_is_rendered_before_any_of_it_is_remembered() -> None:
    world = world_of(OracleGenerator(), clips_of(4))
    shown = [world.memory.render(CAMERA, T, 0).coverage for T in path(OUT).T_world_cam]
    step = world.advance(path(OUT))
    assert step.index == 0
    assert world.index == 4
    assert world.time_ns == path(OUT).stamps_ns[-1]
    assert np.array_equal(step.coverage, np.stack(shown))
    assert {"render_ms", "generate_ms", "verify_ms", "integrate_ms", "accepted"} <= step.figures.keys()
    single = world_of(OracleGenerator(), CONFIG).advance(path(OUT))
    assert (~step.coverage[3]).mean() > (~single.coverage[3]).mean(), "a clip knows of its own inventions by sampling alone"
    back = world.advance(path(OUT[::-1], 10 * PERIOD_NS))
    assert back.coverage.mean() > step.coverage.mean() + 0.1, "afterwards they are remembered"
    assert psnr(back.rgb[0], step.rgb[3]) > 30


def test_a_path_is_cut_into_clips_and_the_rest_is_a_shorter_one() -> None:
    generator = StretchingGenerator()
    world_of(generator, clips_of(3)).advance(path([0.1 * i for i in range(7)]))
    assert [len(shown) for shown in generator.shown] == [3, 3, 1]
    np.testing.assert_allclose(np.concatenate([s.times_s for s in generator.shown]), 0.1 * np.arange(1, 8))
    assert all(len(references) == 1 for s in generator.shown for references in s.references)


def test_inventions_that_agree_enter_once_and_those_that_do_not_stay_out() -> None:
    """Where frames of a clip overlap, memory takes the first one's word; what stands beside it must agree with it."""
    agreeing, stretching = world_of(StretchingGenerator(1.0), clips_of(4)), world_of(StretchingGenerator(1.25), clips_of(4))
    good, bad = agreeing.advance(path(OUT)), stretching.advance(path(OUT))
    remembered, accepted, disagreeing = (REASONS.index(name) for name in ("remembered", "accepted", "disagreeing"))
    assert not good.coverage[1][:, 60:].any(), "neither clip was shown what it was to invent"
    # The first frame invents what the second shows in columns 60 to 70; that is memory's before the second enters.
    for step in (good, bad):
        assert (step.verdict[0][:, 64:] == accepted).all()
        assert (step.verdict[1][:, 60:70] == remembered).all()
        edge = step.verdict[1][:, 59]  # the edge of what the first invented
        assert (edge[1:-1] == remembered).all()
    # Beside it the second frame goes on as far away as the first, or else stays out.
    for columns in (slice(56, 59), slice(70, 74)):
        assert (good.verdict[1][:, columns] == accepted).all()
        assert (bad.verdict[1][:, columns] == disagreeing).all()
    assert not (good.verdict == disagreeing).any()
    T = path(OUT).T_world_cam[0]
    np.testing.assert_allclose(stretching.memory.render_depth(CAMERA, T)[1:-1, 64:-1], wall_depth(T)[1:-1, 64:-1], rtol=0.03)


def test_a_frozen_world_takes_no_clip_in() -> None:
    world = world_of(OracleGenerator(), clips_of(4))
    world.frozen = True
    before = len(world.memory)
    step = world.advance(path(OUT))
    assert len(world.memory) == before
    assert ((step.verdict == REASONS.index("remembered")) == step.coverage).all()


def test_animation_time_is_each_frame_s_own_unless_it_is_given() -> None:
    generator = StretchingGenerator()
    world = world_of(generator, clips_of(2))
    world.advance(path([0.0, 0.1, 0.2]))
    clock_s = np.array([7.0, 6.5, 6.5])
    world.advance(path([0.0, 0.1, 0.2], 10 * PERIOD_NS), clock_s)
    own, given = generator.shown[:2], generator.shown[2:]
    assert all(np.array_equal(s.animation_s, s.times_s) for s in own)
    assert [s.animation_s.tolist() for s in given] == [[7.0, 6.5], [6.5]]
    np.testing.assert_allclose(given[0].times_s, [1.0, 1.1])
    with pytest.raises(SpatiaError, match=r"animation_s: expected shape \[3\]"):
        world.advance(path([0.0, 0.1, 0.2], 20 * PERIOD_NS), clock_s[:2])
    with pytest.raises(SpatiaError, match="animation_s: expected finite"):
        world.advance(path([0.0], 20 * PERIOD_NS), np.array([np.nan]))


@pytest.mark.parametrize("frames", [1, 3])
def test_the_stream_is_part_of_a_world_s_state(frames: int) -> None:
    config = clips_of(frames, name="tiny", steps=2, context_frames=4)
    world = world_of(SpaceTimeGenerator("tiny", TinyNetworks(push=0.3, noisy=0.5), config.generator), config)
    world.advance(path(OUT))
    snapshot = world.snapshot()
    onward = [world.advance(path([1.2, 1.0, 0.8], (5 + 3 * i) * PERIOD_NS)) for i in range(2)]
    assert len(world.stream.recent) == 4 + 6
    for _ in range(2):
        world.restore(snapshot)
        assert len(world.stream.recent) == 4
        again = [world.advance(path([1.2, 1.0, 0.8], (5 + 3 * i) * PERIOD_NS)) for i in range(2)]
        assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(onward, again, strict=True))
    fresh = world_of(world.generator, config)
    assert fresh.stream.recent == (), "worlds share a generator, not what it carries"


def test_a_prompt_needs_a_generator_that_reads() -> None:
    with pytest.raises(SpatiaError, match=r"generator\.prompt: expected none, as generator 'projection'"):
        open_generator(clips_of(1, name="projection", prompt="a red room"))
    with pytest.raises(SpatiaError, match=r"generator\.clip.*less than or equal to 121"):
        clips_of(122)


def test_a_shipped_engine_opens_and_runtimes_see_the_same_world(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from spatia_ros.engine.ship import ship
    from spatia_ros.generator.network import ModelConfig, SpaceTimeNet

    torch.manual_seed(0)
    tiny = ModelConfig(4, 32, 4, 2, encoder=(4, 8, 8), painter=(4, 8, 8), decoder=(8, 8, 16))
    ship(SpaceTimeNet(tiny), tmp_path / "tiny", "tiny", "a test", 0, {})
    steps = []
    for runtime in ("onnxruntime", "torch"):
        config = clips_of(2, name=f"{tmp_path}/tiny", runtime=runtime, steps=2, guidance=1.5, prompt="a plain wall")
        world = world_of(open_generator(config), config)
        steps.append(world.advance(path([*OUT, 0.9])))
        assert world.generator.engine.runtime == runtime
        assert len(world.stream.recent) == 5
    difference = np.abs(steps[0].rgb.astype(int) - steps[1].rgb.astype(int))
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01

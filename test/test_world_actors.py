"""What moves in a world: it never enters memory, it leaves every other pixel alone, and its time is its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_world import CAMERA, CONFIG, PERIOD_NS, OracleGenerator, path, wall_colour, wall_depth, wall_frame
from tiny_networks import TinyNetworks

from spatia_ros.actors import Actor, BodyPoints, Cast, Clock, PoseTrack, RigidBody, pattern
from spatia_ros.actors.complete import gaps_of, window
from spatia_ros.actors.draw import Layer
from spatia_ros.actors.edits import earlier, faster, moved
from spatia_ros.config import from_dict
from spatia_ros.generator import Generated
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.memory import Memory
from spatia_ros.types import Camera, SpatiaError, Step, View
from spatia_ros.variants import changed, unchanged, variants
from spatia_ros.world import World, open_generator

OUT = [0.0, 0.3, 0.6, 0.9]
PARTS = ("rgb", "depth", "provenance", "segmentation")


def ball(radius_m: float = 0.25, rgb=(220, 60, 30), torn: bool = False) -> BodyPoints:
    """A ball, striped; ``torn``: its far side, and a belt of its near side, never seen."""
    n = 9000 if torn else 1500
    z = 1 - 2 * (np.arange(n) + 0.5) / n
    turn = np.pi * (1 + 5**0.5) * np.arange(n)
    xyz = radius_m * np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], -1)
    colours = np.where(xyz[:, :1] > 0, np.array(rgb), 255 - np.array(rgb)).astype(np.uint8)
    seen = (xyz[:, 2] < 0.1 * radius_m) & (np.abs(xyz[:, 1]) > 0.1 * radius_m) if torn else np.ones(n, bool)
    return BodyPoints(xyz[seen].astype(np.float32), colours[seen], 3.6 * radius_m / n**0.5)


def rolling(x: float, speed: float, z: float = 1.2, complete: bool = True, **more: object) -> Actor:
    """A ball that crosses the view at a height of 0, ``speed`` m/s."""
    ends = np.tile(np.eye(4), (2, 1, 1))
    ends[:, 0, 3], ends[:, 2, 3] = (x - 100 * speed, x + 100 * speed), z
    track = PoseTrack(np.array([-100.0, 100.0]), ends)
    return Actor("", "ball", RigidBody(ball(torn=not complete), track, complete), **more)


def cast_of(*actors: Actor) -> Cast:
    cast = Cast()
    for actor in actors:
        cast.add(actor)
    return cast


class WallGenerator(OracleGenerator):
    """Knows the wall, in windows of a picture too."""

    def sample(self, told: ClipView, stream: object, rng: np.random.Generator) -> list[Generated]:
        return [self.in_window(view, told.camera, T) for view, T in zip(told.views, told.T_world_cams, strict=True)]

    def in_window(self, view: View, camera: Camera, T: np.ndarray) -> Generated:
        left, top = round(CAMERA.cx - camera.cx), round(CAMERA.cy - camera.cy)
        cut = np.s_[top : top + camera.height, left : left + camera.width]
        rgb = np.where(view.coverage[..., None], view.rgb, wall_colour(T)[cut])
        return Generated(rgb, wall_depth(T)[cut], np.full(view.depth.shape, 0.01, np.float32))


def generator_of(kind: str) -> object:
    if kind == "nano":
        return open_generator(from_dict({"generator": {"name": "nano", "threads": 1}}))
    if kind == "space-time":
        config = from_dict({"generator": {"name": "tiny", "steps": 2, "context_frames": 4}}).generator
        return SpaceTimeGenerator("tiny", TinyNetworks(push=0.3, noisy=0.5), config)
    return WallGenerator()


def world_of(cast: Cast | None = None, kind: str = "oracle", **actors: object) -> World:
    config = from_dict(CONFIG.model_dump() | {"actors": actors})
    world = World(config, Memory(config.memory), generator_of(kind), CAMERA, cast)
    world.observe(wall_frame(0.0))
    return world


def same(a: Step, b: Step, where: np.ndarray) -> bool:
    return all(np.array_equal(getattr(a, name)[where], getattr(b, name)[where]) for name in PARTS)


@pytest.mark.parametrize("kind", ["oracle", "nano", "space-time"])
@pytest.mark.parametrize("clip", [1, 3])
def test_no_ghost_enters_memory(kind: str, clip: int) -> None:
    """Memory, coverage and verdicts are to the bit those of a world in which nothing moves, and so is what follows."""
    still, lively = world_of(kind=kind), world_of(cast_of(rolling(0.0, 0.4), rolling(0.4, -0.3, complete=False)), kind)
    for world in (still, lively):
        values = world.config.model_dump()
        values["generator"]["clip"] = clip
        world.config = from_dict(values)
    for k in range(2):
        plain, moving = (world.advance(path(OUT, (1 + 4 * k) * PERIOD_NS)) for world in (still, lively))
        assert (moving.segmentation > 0).any((1, 2)).all()
        static = moving.segmentation == 0
        assert not same(plain, moving, ~static)
        assert same(plain, moving, static)
        for name in ("coverage", "verdict"):
            assert np.array_equal(getattr(plain, name), getattr(moving, name))
    a, b = still.memory.points(), lively.memory.points()
    assert all(np.array_equal(x, y) for x, y in zip(a[:6], b[:6], strict=True))
    lively.cast.restore(Cast().snapshot())
    plain, emptied = (world.look(path([0.5]).T_world_cam[0]) for world in (still, lively))
    assert np.array_equal(plain.rgb, emptied.rgb)


@pytest.mark.parametrize("kind", ["oracle", "nano", "space-time"])
def test_rewinding_one_actor_leaves_every_other_pixel_as_it_was(kind: str) -> None:
    """Bit-identical where it is in neither version, in the frames of the rewind and in all later ones; another actor with
    gaps of its own, which the generator completes, is among them."""
    actors = rolling(-0.2, 0.5, complete=False), rolling(0.5, -0.5, 1.0, complete=False), rolling(0.0, 0.1, 1.6)
    world = world_of(cast_of(*actors), kind)
    back = Clock.REAL.switched(0.2, -1.0)
    before, steps = world.snapshot(), list[list[Step]]()
    for clock in (Clock.REAL, back):
        world.restore(before)
        world.cast.set_clock(clock, 1)
        steps.append([world.advance(path(OUT, first * PERIOD_NS)) for first in (1, 5, 9)])
    moved = 0
    for forward, rewound in zip(*steps, strict=True):
        moved += int((forward.segmentation != rewound.segmentation).sum())
        neither = (forward.segmentation != 1) & (rewound.segmentation != 1)
        assert neither.mean() > 0.5
        assert (forward.segmentation[neither] == 2).any()
        assert same(forward, rewound, neither)
        assert np.array_equal(forward.animation_s, rewound.animation_s)
    assert moved > 200
    assert np.array_equal(steps[0][0].rgb[:2], steps[1][0].rgb[:2]), "up to the rewind they are the same"
    completed = [step.figures["completed_pixels"] for step in steps[0]]
    assert min(completed) > 0 or kind == "oracle", "gaps were completed"


def test_variants_keep_their_seed_and_differ_only_where_they_must() -> None:
    world = world_of(cast_of(rolling(-0.3, 0.5), rolling(0.5, -0.2, 0.9)), "space-time")
    points = len(world.memory)
    up = np.eye(4)
    up[1, 3] = -0.4
    edits = {
        "as it was": unchanged, "earlier": changed(1, lambda a: earlier(a, 1.0)),
        "faster": changed("ball_1", lambda a: faster(a, 1.2, 0.0)), "higher": changed(1, lambda a: moved(a, up)),
    }  # fmt: skip
    steps = variants(world, path(OUT), edits)
    assert (world.index, len(world.memory)) == (0, points)
    assert world.cast.find(1).clock == Clock.REAL
    was = steps["as it was"]
    assert {step.seed for step in steps.values()} == {world.config.seed}
    for name, step in steps.items():
        neither = (step.segmentation != 1) & (was.segmentation != 1)
        assert same(step, was, neither), name
        assert same(step, was, np.full(neither.shape, True)) == (name == "as it was")
    x = {name: [step.actors[t][0].T_world_actor[0, 3] for t in range(4)] for name, step in steps.items()}
    np.testing.assert_allclose(np.array(x["earlier"]) - x["as it was"], 0.5)
    np.testing.assert_allclose(np.array(x["faster"]), -0.3 + 1.2 * 0.5 * 0.1 * np.arange(1, 5))
    assert [step.actors[0][0].velocity[0] for step in steps.values()] == pytest.approx([0.5, 0.5, 0.6, 0.5])
    again = world.advance(path(OUT))
    assert same(again, was, np.full(was.segmentation.shape, True))


def test_a_variant_of_nobody_leaves_the_world_as_it_was() -> None:
    world = world_of(cast_of(rolling(0.0, 1.0)))
    with pytest.raises(SpatiaError, match="actor: expected one of 1 ball_1"):
        variants(world, path(OUT), {"slower": changed(1, lambda a: faster(a, 0.5)), "x": changed("nobody", lambda a: a)})
    assert world.index == 0
    assert world.cast.find(1).clock == Clock.REAL


def test_a_snapshot_holds_the_cast() -> None:
    world = world_of(cast_of(rolling(0.0, 0.4), rolling(0.3, 0.1, complete=False)), "nano")
    world.advance(path(OUT[:2]))
    world.cast.set_clock(Clock.REAL.switched(0.3, 2.0))
    snapshot = world.snapshot()
    onward = world.advance(path(OUT, 3 * PERIOD_NS))
    world.cast.remove(1)
    world.cast.set_clock(Clock.REAL)
    world.cast.add(rolling(-0.3, 0.0))
    world.advance(path(OUT, 7 * PERIOD_NS))
    for _ in range(2):
        world.restore(snapshot)
        assert [actor.id for actor in world.cast] == [1, 2]
        again = world.advance(path(OUT, 3 * PERIOD_NS))
        assert same(onward, again, np.full(onward.segmentation.shape, True))
        assert np.array_equal(onward.animation_s, again.animation_s)


def test_actors_hide_and_are_hidden() -> None:
    """The wall stands at z = 2 m: before it a ball is seen, behind it not, and through it half."""
    step = world_of(cast_of(rolling(0.0, 0.0, 1.0), rolling(0.0, 0.0, 1.7), rolling(0.5, 0.0, 3.0))).advance(path([0.0]))
    seen, depth = step.segmentation[0], step.depth[0]
    assert set(np.unique(seen)) == {0, 1}, "the second is behind the first, the third behind the wall"
    assert abs(depth[24, 40] - 0.75) < 0.02
    np.testing.assert_allclose(depth[seen == 0], 2.0, atol=0.02)
    through = world_of(cast_of(rolling(0.0, 0.0, 2.1))).advance(path([0.0]))
    assert 0 < (through.segmentation[0] == 1).sum() < (seen == 1).sum()
    assert through.depth.max() < 2.02
    aside = world_of(cast_of(rolling(0.0, 0.0, 1.7), rolling(0.25, 0.0, 1.0))).advance(path([0.0]))
    assert set(np.unique(aside.segmentation)) == {0, 1, 2}, "one hides part of the other"


def test_a_step_says_who_is_where_and_when() -> None:
    world = world_of(cast_of(rolling(0.0, 0.5), rolling(50.0, 0.0), clock_half := rolling(0.0, 1.0, clock=Clock.line(0, 0, 0.5))))
    assert clock_half.id == 0
    step = world.advance(path([0.0, 0.0]))
    assert step.animation_s.tolist() == [0.1, 0.2]
    for t, states in enumerate(step.actors):
        assert [(s.id, s.name, s.kind) for s in states] == [(k, f"ball_{k}", "ball") for k in (1, 2, 3)]
        assert [s.tau_s for s in states] == pytest.approx([0.1 * (t + 1), 0.1 * (t + 1), 0.05 * (t + 1)])
        assert states[0].velocity.tolist() == pytest.approx([0.5, 0, 0])
        np.testing.assert_allclose(states[0].high - states[0].low, 0.5, atol=0.03)
        np.testing.assert_allclose(0.5 * (states[0].low + states[0].high), states[0].T_world_actor[:3, 3], atol=0.01)
    assert (step.provenance[step.segmentation > 0] == 255).all()
    assert step.figures["actors"] == 6
    assert step.figures["actors_in_view"] == 4
    assert step.figures["actor_pixels"] == (step.segmentation > 0).sum()
    assert [frame.depth.min() for frame in step.frames()] == [d.min() for d in step.depth]
    assert world_of().advance(path([0.0])).actors == ((),)


def test_time_is_the_clock_s_or_what_is_asked_for() -> None:
    """The whole world freezes while the camera goes on; the world's seconds count from its start."""
    world = world_of(cast_of(rolling(0.0, 0.5)))
    world.time_ns = world.start_ns = 100 * PERIOD_NS
    world.cast.set_clock(pattern("bullet-time", 0.0, 0.6))
    step = world.advance(path([0.0] * 6, 101 * PERIOD_NS))
    np.testing.assert_allclose(step.animation_s, [0.15, 0.3, 0.3, 0.3, 0.45, 0.6], atol=1e-9)
    x = [states[0].T_world_actor[0, 3] for states in step.actors]
    np.testing.assert_allclose(x, 0.5 * step.animation_s, atol=1e-9)
    given = world.advance(path([0.0] * 3, 107 * PERIOD_NS), np.array([0.3, 0.15, 9.0]))
    assert given.animation_s.tolist() == [0.3, 0.15, 9.0]
    assert np.array_equal(given.segmentation[:2], step.segmentation[[1, 0]])


class KnowingGenerator(OracleGenerator):
    """Takes what is open for a green thing at 1 m; notes what it is shown."""

    def __init__(self) -> None:
        self.shown = list[ClipView]()

    def condition(self, shown: ClipView, stream: object) -> ClipView:
        self.shown.append(shown)
        return shown

    def invented(self, view, T) -> Generated:
        rgb = np.where(view.coverage[..., None], view.rgb, (0, 255, 0)).astype(np.uint8)
        depth = np.where(view.coverage, view.depth, 1.0).astype(np.float32)
        return Generated(rgb, depth, np.full(depth.shape, 0.01, np.float32))


def test_gaps_are_completed_where_they_are_the_actor_s() -> None:
    whole, torn, aside = rolling(0.0, 0.0, complete=True), rolling(0.0, 0.0, complete=False), np.eye(4)
    aside[0, 3] = 9.0
    full = world_of(cast_of(whole)).advance(path([0.0]))
    world = world_of(cast_of(replace(torn, clock=Clock.line(0, 7, 1)), replace(torn, T_world_placed=aside)))
    world.generator = generator = KnowingGenerator()
    step = world.advance(path([0.0]))
    made = (step.segmentation == 1) & (step.provenance == 0)
    assert made.sum() == step.figures["completed_pixels"] > 20
    assert (step.rgb[made] == (0, 255, 0)).all()
    assert abs(int((step.segmentation > 0).sum()) - int((full.segmentation > 0).sum())) < 12, "as round as it is"
    assert len(generator.shown) == 2, "the static pass, and one for the actor in view"
    second = generator.shown[1]
    assert (~second.views[0].coverage).sum() >= made.sum()
    assert second.animation_s.tolist() == [7.1], "the actor's own time"
    plain = world_of(cast_of(torn), complete=False).advance(path([0.0]))
    assert plain.figures["completed_pixels"] == 0
    assert (plain.segmentation > 0).sum() < (step.segmentation > 0).sum() - 20


def test_a_second_pass_sees_a_window_around_the_gaps() -> None:
    uncovered = np.zeros((200, 400), bool)
    uncovered[100:110, 300] = True
    left, top, right, bottom = window(uncovered)
    assert (bottom - top, right - left) == (64, 64)
    assert left <= 276 < 325 <= right
    assert top <= 76 < 134 <= bottom
    uncovered[199, 0] = True
    assert window(uncovered) == (0, 200 - 160, 352, 200)
    assert window(np.ones((48, 80), bool)) == (0, 0, 80, 48)


def test_gaps_are_narrow_openings_that_nothing_nearer_hides() -> None:
    depth = np.full((60, 60), 1.0, np.float32)
    depth[30:33, 5:50] = 0  # a crack
    depth[5:25, 20:40] = 0  # an opening that belongs to the shape
    depth[50:, :25] = 0
    layer = Layer(1, 0, 0, np.zeros((60, 60, 3), np.uint8), depth, (depth > 0).astype(np.float32), np.zeros((60, 60), bool))
    gaps, there = gaps_of(layer, np.zeros((60, 60), np.float32))
    assert gaps[30:33, 5:50].all()
    assert gaps.sum() == 3 * 45
    np.testing.assert_allclose(there[gaps], 1.0, rtol=1e-5)
    for k in range(12):  # a wedge, as between two legs, is the outline's
        depth[59 - k, 44 + k : 56] = 0
    wedge = gaps_of(layer, np.zeros((60, 60), np.float32))[0]
    assert np.array_equal(wedge, gaps)
    static = np.full((60, 60), 2.0, np.float32)
    static[:, 30:] = 0.5
    assert np.array_equal(gaps_of(layer, static)[0], gaps & (static > 1))


def test_what_the_generator_puts_behind_stays_the_static_world_s() -> None:
    """The oracle knows the wall and no actor: in the gaps it sees the wall, and the frame keeps it."""
    static, step = (world.advance(path([0.0])) for world in (world_of(), world_of(cast_of(rolling(0.0, 0.0, complete=False)))))
    assert step.figures["completed_pixels"] == 0
    assert same(static, step, step.segmentation == 0)


def test_complete_actors_never_cost_a_second_pass() -> None:
    world = world_of(cast_of(rolling(0.0, 0.0), rolling(0.3, 0.0)))
    world.generator = generator = KnowingGenerator()
    world.advance(path([0.0, 0.1]))
    assert len(generator.shown) == 2

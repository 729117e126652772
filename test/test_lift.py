"""A recording taken apart, against a procedural scene of which everything is known: a crate slides over a desk."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.actors import BodyPoints
from spatia_ros.config import WorldConfig, override
from spatia_ros.evaluate.measures import psnr
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.record.lifted_folder import load_lifted, save_lifted
from spatia_ros.slam import both_ways, fuller, recorded_body
from spatia_ros.slam.kind import colour_of, kind_of
from spatia_ros.slam.lift import lift
from spatia_ros.slam.rigid import Surface, register
from spatia_ros.slam.sightings import Patch, Sighting, Thing, _found_again, _grown_together, has_double
from spatia_ros.spacetime import clock_of, nearest_frame, path_of, spacetime, timed, world_of
from spatia_ros.train.scene_take import TakePlan, procedural_take
from spatia_ros.types import Camera, Frame, SpatiaError

PLAN = TakePlan(size=(128, 80), frames=16)
CONFIG = override(WorldConfig(), ["memory.voxel_m=0.02", "actors.points=4000", "actors.complete=false"])
UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def take():
    return procedural_take("desk", 2, PLAN)


@pytest.fixture(scope="module")
def seen(take):
    return [take.look("source", k, take.times_s[k], round(1e9 * (1 + take.times_s[k]))) for k in range(PLAN.frames)]


@pytest.fixture(scope="module")
def frames(seen):
    return [s.frame for s in seen]


@pytest.fixture(scope="module")
def lifted(frames):
    return lift(frames, CONFIG)


def moving(take, seen):
    return np.isin(seen.ids, take.scene.numbers)


def test_what_moves_is_found_and_nothing_else(take, seen, frames):
    looks = [both_ways.look_of(frame, k) for k, frame in enumerate(frames)]
    found = [both_ways.divide(frame, k, looks, CONFIG.dynamics).moving for k, frame in enumerate(frames)]
    true = [moving(take, s) for s in seen]
    both = sum(int((a & b).sum()) for a, b in zip(found, true, strict=True))
    assert both > 0.85 * sum(int(t.sum()) for t in true)
    assert both > 0.97 * sum(int(f.sum()) for f in found)


def test_the_fast_answers_are_the_slow_ones(frames):
    this, other = frames[2], both_ways.look_of(frames[9], 9)
    answers = both_ways.Answers(*(np.zeros(this.depth.shape, np.int32) for _ in range(3)))
    light = both_ways.light_of(this)
    both_ways.ask(this, light, other, answers, 0.03, 0.005)
    points, known = geometry.backproject(this.depth, this.camera, this.T_world_cam)
    pixels, z = geometry.project(points, this.camera, other.T_world_cam)
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < this.camera.width) & (pixels[:, 1] < this.camera.height)
    u, v = np.where(inside[:, None], pixels, 0).astype(int).T
    margin = 0.03 + 0.005 * z * z
    through = inside & (other.lowest[v, u] > z + margin)
    same = inside & ~through & (other.depth[v, u] > 0) & (np.abs(other.depth[v, u] - z) < margin)
    lit = same & (other.light[v, u] > both_ways.LIGHTER * light[known] + 2.0)
    for name, true in (("through", through), ("same", same), ("lit", lit)):
        counted = getattr(answers, name)
        assert not counted[~known].any()
        assert (counted[known] != true).mean() < 2e-3, "but for what rounding puts into the next pixel"


def test_one_actor_comes_of_it_and_goes_as_the_crate_went(take, lifted):
    (actor,) = (a for a in lifted.cast if a.kind != "shadow")
    assert actor.name == f"{actor.kind}_1"
    assert actor.facts["sights"] == PLAN.frames
    assert actor.body.span_s == (0.0, pytest.approx(3.0))
    crate = take.scene.actors[0]
    off = []
    for tau in take.times_s:
        motion = actor.body.pose(tau) @ geometry.inverse(actor.body.pose(0.0))
        off.append(np.linalg.norm(motion[:3, :3] @ crate.middle(0.0) + motion[:3, 3] - crate.middle(tau)))
    assert np.linalg.norm(crate.middle(3.0) - crate.middle(0.0)) > 0.3
    assert np.mean(off) < 0.05, "though it spins by 40 degrees from frame to frame"
    low, high = actor.body.box(1.5)
    assert (low - 0.03 < crate.middle(1.5)).all()
    assert (crate.middle(1.5) < high + 0.03).all()


def test_memory_holds_no_ghost_of_it(take, lifted):
    numbers, taus = take.scene.numbers, (0.0, 1.5, 3.0)
    for tau in taus:
        view = lifted.memory.render(take.camera, take.paths["source"][8], 0)
        there = take.look("source", 8, tau)
        crate = np.isin(there.ids, numbers)
        ghost = crate & (view.depth > 0) & (np.abs(view.depth - there.frame.depth) < 0.02)
        assert ghost.sum() < 0.06 * crate.sum(), "but where it stands on the desk"


def test_its_shadow_passes_with_it(take, lifted):
    shadows = lifted.cast.find("shadows")
    assert (shadows.kind, shadows.body.complete) == ("shadow", True)
    assert not shadows.body.present(-1.0)
    tau = take.times_s[8]
    assert shadows.body.present(tau)
    points = shadows.body.points(tau)
    pixels, z = geometry.project(points.xyz.astype(np.float64), take.camera, take.paths["source"][8])
    u, v = np.clip(pixels, 0, (PLAN.size[0] - 1, PLAN.size[1] - 1)).astype(int).T
    seen = take.look("source", 8, tau)
    assert (z < seen.frame.depth[v, u]).mean() > 0.9, "just in front of where it lies"
    lit = lifted.memory.render(take.camera, take.paths["source"][8], 0).rgb[v, u].astype(float)
    assert points.rgb.mean() < 0.93 * lit[lit.any(1)].mean()


def test_other_cameras_see_other_moments(take, lifted):
    taus = take.times_s[::-5].copy()
    poses = take.paths["target"][::5]
    shown = np.concatenate([s.rgb for s in spacetime(lifted, CONFIG, ProjectionGenerator(), take.camera, poses, taus)])
    frozen = np.concatenate(
        [s.rgb for s in spacetime(lifted, CONFIG, ProjectionGenerator(), take.camera, poses, np.full_like(taus, taus[0]))]
    )
    assert len(shown) == len(poses) == 4
    gains, right = [], []
    for k, tau in enumerate(taus):
        true = take.look("target", 5 * k, tau)
        before = np.isin(take.look("target", 5 * k, taus[0]).ids, take.scene.numbers)
        where = moving(take, true) | before
        right.append(psnr(shown[k], true.frame.rgb, where))
        gains.append(right[-1] - psnr(frozen[k], true.frame.rgb, where))
    assert np.mean(right) > 15
    assert np.mean(gains[1:]) > 3
    assert gains[0] == pytest.approx(0.0, abs=1e-6)


def test_what_was_taken_apart_comes_back_from_its_folder(lifted, tmp_path):
    save_lifted(lifted, tmp_path / "map", {"sequence": "desk"})
    again = load_lifted(tmp_path / "map", {"sequence": "desk"})
    assert again is not None
    assert load_lifted(tmp_path / "map", {"sequence": "other"}) is None
    assert load_lifted(tmp_path / "nothing") is None
    assert (again.camera, again.figures, again.span_s) == (lifted.camera, lifted.figures, lifted.span_s)
    np.testing.assert_array_equal(again.trajectory.T_world_cam, lifted.trajectory.T_world_cam)
    before, after = (next(iter(each.cast)).body.points(0.7) for each in (lifted, again))
    np.testing.assert_array_equal(before.xyz, after.xyz)
    view, same = (each.memory.render(each.camera, each.trajectory.T_world_cam[3], 0) for each in (lifted, again))
    np.testing.assert_array_equal(view.rgb, same.rgb)
    (tmp_path / "map" / "recording.json").write_text('{"camera": 3}')
    with pytest.raises(SpatiaError, match="facts of a recording"):
        load_lifted(tmp_path / "map")


def test_a_world_of_it_begins_with_the_recording_and_its_clock_plays_patterns(lifted):
    world = world_of(lifted, CONFIG, ProjectionGenerator(), lifted.camera)
    assert (world.start_ns, world.time_ns) == (1_000_000_000, 4_000_000_000)
    path = timed(np.repeat(np.eye(4)[None], 7, 0), 2.0, world.time_ns)
    world.cast.clock = clock_of("reverse", (0.5, 2.5), 3.0, 3.5)
    times = (path.stamps_ns - world.start_ns) * 1e-9
    np.testing.assert_allclose(world.cast.clock.at(times), np.linspace(2.5, 0.5, 7), atol=1e-9)
    assert nearest_frame(lifted, 1.27) == 6


def test_turns_keep_to_what_is_known(lifted):
    start = lifted.trajectory.T_world_cam[8]
    poses = path_of(lifted, [("orbit", 1.0), ("dolly", 4.0)], start, lifted.camera, 6)
    assert poses.shape == (11, 4, 4)
    np.testing.assert_array_equal(poses[0], start)
    shares = [(lifted.memory.render_depth(lifted.camera, T) > 0).mean() for T in poses]
    assert min(shares) > 0.5
    with pytest.raises(SpatiaError, match="at least one turn"):
        path_of(lifted, [], start, lifted.camera, 6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: f[:1], "at least two frames"),
        (lambda f: [f[1], f[0]], "a time after"),
        (lambda f: [f[0], replace(f[1], camera=replace(f[1].camera, fx=9.0))], "one camera"),
    ],
)
def test_what_is_no_recording_is_refused(frames, make, words):
    with pytest.raises(SpatiaError, match=words):
        lift(make(frames), CONFIG)


def test_a_still_place_has_no_cast(take):
    still = [take.look("source", k, 0.0, 10**8 * (k + 1)).frame for k in range(0, PLAN.frames, 3)]
    lifted = lift(still, CONFIG)
    assert len(lifted.cast) == 0
    assert lifted.figures["moving_share"] == 0.0


def test_wrong_poses_and_a_worse_sensor_widen_the_margins_of_everything(take):
    rng, still = np.random.default_rng(0), []
    for k in range(0, PLAN.frames, 2):
        frame = take.look("source", k, 0.0, 10**8 * (k + 1)).frame
        depth = frame.depth * (1 + 0.004 * rng.normal(size=frame.depth.shape)).astype(np.float32)
        off = geometry.pose(np.eye(3), 0.01 * rng.normal(size=3))
        still.append(replace(frame, depth=depth, T_world_cam=off @ frame.T_world_cam))
    lifted = lift(still, CONFIG)
    assert lifted.figures["excess"] > 1.2
    assert lifted.figures["moving_share"] < 0.02
    assert lifted.figures["shaded_share"] == 0.0, "where edges do not meet, nothing is said of shadows"
    exact = [both_ways.look_of(take.look("source", k, 0.0).frame, k) for k in range(4)]
    assert both_ways.excess(exact, CONFIG.dynamics) == 1.0


def patterned(rng, n=700):
    """A box's surface with a pattern of colours."""
    face, uv = rng.integers(0, 5, n), rng.uniform(-0.5, 0.5, (n, 2))
    xyz, normal = np.empty((n, 3)), np.zeros((n, 3))
    for k in range(n):
        axis, side = face[k] // 2, 1 - 2 * (face[k] % 2)
        xyz[k, axis], normal[k, axis] = 0.5 * side, side
        xyz[k, [a for a in range(3) if a != axis]] = uv[k]
    lab = 128 + 100 * np.sin(6 * xyz + [0, 1, 2])
    return Surface(xyz * (0.6, 0.4, 0.5), normal, lab)


@pytest.mark.parametrize("up", [UP, None])
def test_a_motion_is_found_again(up):
    rng = np.random.default_rng(3)
    shape, again = patterned(rng), patterned(rng)
    c, s = np.cos(0.25), np.sin(0.25)
    true = geometry.pose(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), np.array([0.04, -0.03, 0.02]))
    found = register(again.moved(geometry.inverse(true)), shape, np.eye(4), 0.9, up)
    assert found.fitting > 0.8
    assert np.linalg.norm(found.T_target_source[:3, 3] - true[:3, 3]) < 0.01
    assert geometry.rotation_error_deg(found.T_target_source[:3, :3], true[:3, :3]) < 1.0


def test_far_apart_surfaces_are_not_forced_together():
    shape = patterned(np.random.default_rng(3), 200)
    far = shape.moved(geometry.pose(np.eye(3), np.array([5.0, 0, 0])))
    found = register(far, shape, np.eye(4), 0.9, UP)
    assert found.fitting == 0.0
    np.testing.assert_array_equal(found.T_target_source, np.eye(4))


def sight(index, x, colour=0, wide=0.3, column=0, points=60):
    sample = np.random.default_rng(index).uniform(-wide / 2, wide / 2, (points, 3)) + (x, 0, 0)
    colours = np.eye(4)[colour]
    return Sighting(index, 0.1 * index, Patch(np.ones((4, 4), bool), 0, column), 16, sample, colours)


def test_a_thing_keeps_its_number_through_an_absence():
    before, after = Thing([sight(k, 0.1 * k) for k in range(6)]), Thing([sight(k, 0.1 * k) for k in range(16, 20)])
    (one,) = _found_again([before, after])
    assert [s.index for s in one.seen] == [*range(6), *range(16, 20)]
    other = Thing([sight(k, 0.1 * k, colour=2) for k in range(16, 20)])
    assert len(_found_again([Thing([sight(k, 0.1 * k) for k in range(6)]), other])) == 2, "it looks different"
    away = Thing([sight(k, 30.0) for k in range(16, 20)])
    assert len(_found_again([Thing([sight(k, 0.1 * k) for k in range(6)]), away])) == 2, "nothing is that fast"


def test_a_thing_that_comes_out_of_another_is_one_with_it():
    whole = Thing([sight(k, 0.0, wide=1.0, points=2000) for k in (0, 1, 2, 6, 7, 8, 9)])
    piece = Thing([sight(k, 0.2, wide=0.3, column=30) for k in range(3, 6)])
    assert len(_grown_together([whole, piece])) == 1
    assert not has_double(whole, [whole])
    twin = Thing([sight(k, 3.0) for k in range(12)])
    assert has_double(piece, [piece, twin])
    assert not has_double(piece, [piece, Thing([sight(k, 3.0, colour=3) for k in range(12)])])


def test_a_part_that_is_always_beside_a_thing_is_of_it():
    body = Thing([sight(k, 0.0, wide=1.0) for k in range(5)])
    hand = Thing([sight(k, 0.6, wide=0.2, column=4) for k in range(2, 5)])
    (one,) = _grown_together([body, hand])
    assert len(one.seen) == 5
    assert one.seen[3].pixels == 32
    stranger = Thing([sight(k, 2.0, column=30) for k in range(5)])
    assert len(_grown_together([Thing([sight(k, 0.0, wide=1.0) for k in range(5)]), stranger])) == 2


def test_other_views_are_believed_only_where_nothing_speaks_against_them():
    camera = Camera.from_fov(40, 40, 1.0)
    depth = np.full((40, 40), 3.0, np.float32)
    depth[10:30, 10:30] = 2.0
    frame, mask = Frame(np.full((40, 40, 3), 90, np.uint8), depth, camera, np.eye(4)), depth == 2.0
    points = np.array([[0, 0, 2.0], [0, 0, 1.0], [0, 0, 2.5], [1.0, 0, 2.0], [9.0, 0, 2.0]], np.float32)
    denied, shown = fuller.verdicts(points, frame, mask)
    assert denied.tolist() == [False, True, False, True, False], "what is seen through, and it alone, is denied"
    assert shown.tolist() == [True, False, False, False, False]


def test_surfaces_seen_aslant_are_drawn_as_close_together_as_others():
    camera = Camera.from_fov(40, 40, 1.0)
    columns = geometry.pixel_rays(camera)[..., 0]
    depth = (1.0 / (0.5 - 0.85 * columns)).astype(np.float32)  # a wall that recedes to the right
    depth[depth > 5.0] = 0.0
    mask = depth > 0
    side = fuller.side_of(Frame(np.full((40, 40, 3), 90, np.uint8), depth, camera, np.eye(4)), mask, 0.0, 5000)
    assert len(side.fine) > 2 * len(side.points)
    assert side.of.max() == len(side.points) - 1
    own = side.points.xyz[side.of]
    assert np.linalg.norm(side.fine.xyz - own, axis=1).max() < 0.6, "a fine point lies by its own"


def observation(tau, x):
    points = BodyPoints(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8), 0.01)
    return recorded_body.Observation(tau, geometry.pose(np.eye(3), np.array([x, 0.0, 0.0])), points)


def test_a_thing_goes_on_unseen_as_it_went():
    seen = [observation(t, 2.0 * t) for t in (1.0, 1.1, 1.2, 1.3, 3.3, 3.4, 3.5)]
    all_of_them = recorded_body._continued(seen, (0.0, 4.0))
    assert all_of_them[0].tau_s == pytest.approx(0.0)
    assert all_of_them[-1].tau_s == pytest.approx(4.0)
    assert all(b.tau_s - a.tau_s < 1.0 + 1e-9 for a, b in pairwise(all_of_them))
    for each in all_of_them:
        assert each.T_world_actor[0, 3] == pytest.approx(2.0 * each.tau_s)


def cloud(xyz):
    xyz = np.asarray(xyz, np.float32)
    return BodyPoints(xyz, np.zeros((len(xyz), 3), np.uint8), 0.02)


def test_kinds_are_told_by_size_and_shape():
    rng = np.random.default_rng(0)
    ways = rng.normal(size=(2000, 3))
    ball = 0.2 * ways / np.linalg.norm(ways, axis=1, keepdims=True)
    box = patterned(rng, 2000).xyz
    assert kind_of(cloud(ball), UP, True) == "ball"
    assert kind_of(cloud(box), UP, True) == "box"
    assert kind_of(cloud(box * (0.7, 0.9, 3.6)), UP, False) == "pedestrian"
    assert kind_of(cloud(box * (7, 4, 3)), UP, True) == "car"
    assert kind_of(cloud(box), UP, False) == "thing"


@pytest.mark.parametrize(
    ("rgb", "word"), [((200, 25, 30), "red"), ((140, 18, 20), "red"), ((40, 60, 170), "blue"), ((128,) * 3, "grey")]
)
def test_colours_have_words(rgb, word):
    assert colour_of(np.tile(np.array(rgb, np.uint8), (9, 1))) == word

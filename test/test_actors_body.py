"""Bodies with known answers: rigid, jointed, observed; the library; things from files; variants."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from spatia_ros import geometry
from spatia_ros.actors import Actor, BodyPoints, Cast, Clock, JointedBody, Part, PoseTrack, RigidBody, bending, edits, shapes
from spatia_ros.actors.from_file import actor_file
from spatia_ros.actors.jointed import rolling
from spatia_ros.actors.library import LIBRARY, STRIDE_M, WHEEL_M, library_actor, make
from spatia_ros.actors.observed import Observation, ObservedBody
from spatia_ros.actors.surface_points import coloured, surface_points, thinned
from spatia_ros.types import SpatiaError

POINT = BodyPoints(np.float32([[1, 0, 0]]), np.uint8([[9, 8, 7]]), 0.1)
QUARTER = PoseTrack.path([[0, 0, 0, 0, 0], [2, 4, 0, 0, 90]])


def test_a_rigid_body_moves_and_turns_between_its_poses():
    body = RigidBody(POINT, QUARTER)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(body.points(1.0).xyz, [[2 + half, half, 0]], atol=1e-6)
    np.testing.assert_array_equal(body.points(1.0).rgb, POINT.rgb)
    np.testing.assert_allclose(body.pose(2.0)[:3, :3] @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(body.velocity(0.0), (2, 0, 0))
    np.testing.assert_array_equal(body.velocity(2.0), 0)
    np.testing.assert_allclose(body.points(9.0).xyz, [[4, 1, 0]], atol=1e-6)  # held
    np.testing.assert_allclose(body.box(2.0), [(4, 1, 0), (4, 1, 0)], atol=1e-6)
    assert body.span_s == (0.0, 2.0)
    assert body.present(9.0)
    assert not RigidBody(POINT, QUARTER, outside="absent").present(2.1)


def test_a_track_that_loops_begins_again():
    track = PoseTrack(QUARTER.times_s, QUARTER.T, loop=True)
    np.testing.assert_allclose(track.at(5.0), QUARTER.at(1.0))
    np.testing.assert_allclose(track.at(-0.5), QUARTER.at(1.5))
    np.testing.assert_allclose(track.velocity(7.0), (2, 0, 0))
    np.testing.assert_allclose(QUARTER.travelled_m(), (0, 4))


def test_parts_follow_the_way_gone():
    still, turn = PoseTrack.still(np.eye(4)), PoseTrack.path([[0, 0, 0, 0, 0], [2, 0, 0, 0, 90], [4, 0, 0, 0, 180]])
    body = JointedBody((Part(POINT, still), Part(POINT, turn)), QUARTER, rolling(QUARTER))
    # 4 m on, the second part is turned by 180 degrees against a body turned by 90.
    np.testing.assert_allclose(body.points(2.0).xyz, [[4, 1, 0], [4, -1, 0]], atol=1e-6)
    np.testing.assert_allclose(body.points(1.0).xyz[1], (2 - np.sqrt(0.5), np.sqrt(0.5), 0), atol=1e-6)
    assert body.size == 2


def test_an_observed_body_shows_the_nearest_sight_where_the_thing_is():
    other = BodyPoints(np.float32([[0, 0, 1]]), np.uint8([[1, 1, 1]]), 0.2)
    ahead = geometry.pose(np.eye(3), np.array([4.0, 0, 0]))
    body = ObservedBody((Observation(0.0, np.eye(4), POINT), Observation(2.0, ahead, other)))
    np.testing.assert_allclose(body.points(0.9).xyz, [[2.8, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(body.points(1.1).xyz, [[2.2, 0, 1]], atol=1e-6)
    assert not body.complete
    assert body.present(2.5)
    assert not body.present(2.6)
    assert not body.present(1.0)  # a second from either
    shaped = ObservedBody(body.observations, shape=POINT, reach_s=5.0)
    np.testing.assert_allclose(shaped.points(2.0).xyz, [[4, 0, 1], [5, 0, 0]], atol=1e-6)
    assert shaped.points(2.0).spacing_m == 0.2
    assert shaped.present(1.0)


def test_what_bends_is_bent_between_its_sights():
    walker = make("pedestrian", PoseTrack.path([[0, 0, 0, 0, 0], [2, 2 * STRIDE_M, 0, 0, 0]]), spacing_m=0.06)

    def seen(t: float) -> Observation:
        return Observation(t, walker.pose(t), walker.points(t).moved(geometry.inverse(walker.pose(t))))

    sights = tuple(seen(0.1 * k) for k in range(6))
    stiff, soft = ObservedBody(sights), ObservedBody(sights, rigid=False)
    np.testing.assert_array_equal(soft.points(0.2).xyz, stiff.points(0.2).xyz)
    errors = {True: list[float](), False: list[float]()}
    for t in (0.14, 0.26, 0.34, 0.46):
        for body in (stiff, soft):
            # Every point has its number, so the truth of each is known.
            errors[body.rigid].append(float(np.linalg.norm(body.points(t).xyz - walker.points(t).xyz, axis=1).mean()))
    assert np.mean(errors[False]) < 0.65 * np.mean(errors[True])
    assert np.mean(errors[True]) > 0.01
    far = ObservedBody((sights[0], sights[5]._replace(tau_s=5.0)), rigid=False, reach_s=9.0)
    np.testing.assert_allclose(far.points(1.0).moved(geometry.inverse(far.pose(1.0))).xyz, sights[0].points.xyz, atol=1e-5)


def test_a_displacement_of_all_is_found_exactly():
    shape = make("box", PoseTrack.still(np.eye(4)), spacing_m=0.1).points(0.0)
    shifted = shape.moved(geometry.pose(np.eye(3), np.array([0.004, -0.003, 0.0])))
    np.testing.assert_allclose(bending.bent(shape, shifted, 0.5).xyz, shape.xyz + np.float32([0.002, -0.0015, 0]), atol=2e-4)
    assert bending.bent(shape, shape, 0.5) is shape


@pytest.mark.parametrize("kind", LIBRARY)
def test_a_thing_of_the_library_stays_in_its_box_and_on_the_ground(kind):
    known = LIBRARY[kind]
    body = make(kind, PoseTrack.path([[0, 0, 0, 0, 0], [8, 8, 0, 0, 0]]), spacing_m=4 * known.spacing_m)
    assert body.complete
    for tau in np.linspace(0, 8, 15):
        low, high = body.box(tau)
        assert (low >= np.add(known.low, (tau, 0, 0)) - 0.02).all()
        assert (high <= np.add(known.high, (tau, 0, 0)) + 0.02).all()
        assert abs(low[2]) < 0.015
    small = make(kind, PoseTrack.still(np.eye(4)), "green", 0.5, 2 * known.spacing_m)
    np.testing.assert_allclose(small.box(0.0)[1][2], body.box(0.0)[1][2] / 2, atol=0.05)


def test_wheels_and_legs_go_with_the_way():
    car = make("car", PoseTrack.path([[0, 0, 0, 0, 0], [1, 2 * np.pi * WHEEL_M, 0, 0, 0]]), spacing_m=0.2)
    wheel = car.parts[1]
    T = car.pose(0.25) @ wheel.track.at(car.gait.at(0.25))
    np.testing.assert_allclose(T[:3, :3] @ (0, 0, 1), (1, 0, 0), atol=1e-6)  # a quarter on, its top points forward
    way = PoseTrack.path([[0, 0, 0, 0, 0], [2, 2 * STRIDE_M, 0, 0, 0], [3, 2 * STRIDE_M, 0, 0, 0]])
    walker = make("pedestrian", way, spacing_m=0.1)
    first, half, whole = (walker.points(t).xyz - walker.pose(t)[:3, 3].astype(np.float32) for t in (0.1, 0.6, 1.1))
    np.testing.assert_allclose(first, whole, atol=1e-4)  # two steps later
    assert np.abs(first - half).max() > 0.3  # one step later the other foot is in front
    np.testing.assert_array_equal(walker.points(2.2).xyz, walker.points(2.9).xyz)  # it rests


def test_no_place_of_a_surface_is_far_from_its_points():
    ball = trimesh.creation.icosphere(3, 0.5)
    mesh = coloured(ball.vertices, ball.faces, np.full((len(ball.vertices), 3), 200, np.uint8))
    xyz, rgb, normal = surface_points(mesh, 0.05, shaded=True)
    places = trimesh.sample.sample_surface(ball, 5000, seed=0)[0]
    assert cKDTree(xyz).query(places)[0].max() < 0.7 * 0.05
    assert cKDTree(xyz).query(xyz, k=2)[0][:, 1].min() > 0.02
    assert rgb[normal[:, 2] > 0.9].mean() > rgb[normal[:, 2] < -0.9].mean() + 40  # light comes from above


def test_thinning_against_the_slow_truth():
    xyz = np.random.default_rng(3).uniform(0, 1, (400, 3)).astype(np.float32)
    kept: list[int] = []
    for n in range(len(xyz)):
        if all(((xyz[n] - xyz[k]) ** 2).sum() >= np.float32(0.15) ** 2 for k in kept):
            kept.append(n)
    np.testing.assert_array_equal(np.flatnonzero(thinned(xyz, 0.15)), kept)


def test_a_mesh_from_a_file_stands_on_the_ground(tmp_path):
    mesh = trimesh.creation.box((2.0, 1.0, 4.0))  # y up in the file: 1 m high, 4 m deep
    mesh.apply_translation((50.0, 7.0, -3.0))
    mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=np.tile(np.uint8([200, 30, 30, 255]), (8, 1)))
    mesh.export(tmp_path / "crate.glb")
    actor = actor_file(tmp_path / "crate.glb", scale=0.5, spacing_m=0.05)
    assert actor.kind == "crate"
    assert actor.body.complete
    np.testing.assert_allclose(actor.body.box(0.0), [(-0.5, -1, 0), (0.5, 1, 0.5)], atol=1e-4)
    rgb = actor.body.points(0.0).rgb
    assert (rgb[:, 0] > 4 * rgb[:, 1]).all()
    assert len(np.unique(rgb[:, 0])) >= 4  # plain colours are lit


def test_a_cloud_from_a_file_keeps_its_spacing(tmp_path):
    x, y = np.meshgrid(np.arange(20) * 0.1, np.arange(10) * 0.1)
    places = np.stack([x.ravel(), y.ravel(), np.full(200, 5.0)], -1)
    trimesh.PointCloud(places, np.tile(np.uint8([1, 2, 3, 255]), (200, 1))).export(tmp_path / "sheet.ply")
    body = actor_file(tmp_path / "sheet.ply").body
    assert not body.complete
    assert body.points(0.0).spacing_m == pytest.approx(0.1, rel=1e-4)
    np.testing.assert_allclose(body.box(0.0), [(-0.95, -0.45, 0), (0.95, 0.45, 0)], atol=1e-5)
    assert len(actor_file(tmp_path / "sheet.ply", spacing_m=0.3).body.points(0.0)) < 100


def test_variants_are_ahead_faster_or_elsewhere():
    actor = Actor("a", "thing", RigidBody(POINT, PoseTrack.path([[1, 0, 0, 0, 0], [11, 10, 0, 0, 0]])))

    def x(each: Actor, t: float) -> float:
        return float(each.body.points(each.tau(t)).moved(each.T_world_placed).xyz[0, 0])

    assert x(actor, 4.0) == pytest.approx(4.0)
    assert x(edits.earlier(actor, 1.0), 4.0) == pytest.approx(5.0)
    assert x(edits.faster(actor, 1.2), 1.0) == pytest.approx(1.0)
    assert x(edits.faster(actor, 1.2), 6.0) == pytest.approx(7.0)
    assert x(edits.faster(actor, 1.2, since_s=6.0), 8.5) == pytest.approx(9.0)
    assert x(edits.stopped(actor, 3.0), 9.0) == pytest.approx(3.0)
    assert x(edits.rewound(actor, 5.0), 8.0) == pytest.approx(2.0)
    T = geometry.pose(np.eye(3), np.array([0.5, 0, 0]))
    assert x(edits.moved(edits.moved(actor, T), T), 4.0) == pytest.approx(5.0)


def test_a_moment_of_a_cast():
    placed = geometry.pose(np.eye(3), np.ones(3))
    actor = Actor("a", "thing", RigidBody(POINT, QUARTER), clock=Clock.line(0, 2, -1), T_world_placed=placed)
    cast = Cast(Clock.line(0, 0, 0.5))
    cast.add(actor)
    (posed,) = cast.at(2.0)
    assert posed.tau_s == 1.0
    np.testing.assert_allclose(posed.T_world_actor[:3, 3], (3, 1, 1))
    np.testing.assert_allclose(posed.velocity, (-1, 0, 0))  # backwards, at half the pace
    np.testing.assert_allclose(posed.low, posed.points.xyz[0])
    (frozen,) = cast.at(2.0, cast_tau=0.5, cast_rate=0.0)
    assert frozen.tau_s == 1.5
    np.testing.assert_array_equal(frozen.velocity, 0)


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: BodyPoints(np.float32([[np.nan, 0, 0]]), np.zeros((1, 3), np.uint8), 0.1), "finite metres"),
        (lambda: BodyPoints(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8), 0.0), "spacing_m: expected 0..10"),
        (lambda: RigidBody(BodyPoints(POINT.xyz[:0], POINT.rgb[:0], 0.1), QUARTER), "at least one point"),
        (lambda: RigidBody(POINT, QUARTER, outside="gone"), "hold or absent"),
        (lambda: PoseTrack(np.zeros(2), np.stack([np.eye(4)] * 2)), "strictly rising"),
        (lambda: PoseTrack(np.zeros(1), 2 * np.eye(4)[None]), "expected a rotation"),
        (lambda: PoseTrack.path([[0, 0, 0, 0, np.inf]]), "finite numbers"),
        (lambda: PoseTrack.path([]), "path: expected"),
        (lambda: JointedBody((), QUARTER), "1..256 parts"),
        (lambda: ObservedBody(()), "1..100000 observations"),
        (lambda: make("dog", QUARTER), "expected one of pedestrian"),
        (lambda: make("car", QUARTER, "mauve"), "expected one of red"),
        (lambda: make("car", QUARTER, scale=1e3), "actor.scale"),
        (lambda: make("car", QUARTER, spacing_m=1e-5), "coarser"),
        (lambda: actor_file("a.txt"), "expected one of .glb"),
        (lambda: actor_file("a.glb"), "found none"),
        (lambda: edits.faster(library_actor("ball", spacing_m=0.1), 0.0), "factor > 0"),
        (lambda: Actor("a\n", "b", RigidBody(POINT, QUARTER)), "printable"),
        (lambda: Actor("a", "", RigidBody(POINT, QUARTER)), "expected a word"),
        (lambda: Actor("a", "b", RigidBody(POINT, QUARTER), 65536), "0..65535"),
        (lambda: Actor("a", "b", RigidBody(POINT, QUARTER), facts={"x": float("nan")}), "finite numbers"),
    ],
)  # fmt: skip
def test_what_is_no_body_is_refused(make_it, message):
    with pytest.raises(SpatiaError, match=message):
        make_it()


def test_what_is_hidden_does_not_depend_on_how_much_is_looked_at_together(monkeypatch):
    whole = LIBRARY["car"].parts((200, 20, 20), 0.5, 0.05)
    monkeypatch.setattr(shapes, "PAIRS_AT_ONCE", 1000)
    for a, b in zip(whole, LIBRARY["car"].parts((200, 20, 20), 0.5, 0.05), strict=True):
        np.testing.assert_array_equal(a.shape.xyz, b.shape.xyz)

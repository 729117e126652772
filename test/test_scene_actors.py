"""Things that move: rigid parts, ways with known answers, and pictures that depend on camera and time alone."""

from __future__ import annotations

import numpy as np
import pytest

from spatia_ros.geometry import look_at
from spatia_ros.train import scene_texture as textures
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_actors import KINDS, TAU_S, Actor, Way, body
from spatia_ros.train.scene_air import CLEAR, Air, outdoors
from spatia_ros.train.scene_at import SceneAt
from spatia_ros.train.scene_crowd import CLEAR_M, MOMENTS, SHARES, TOUCH_M, crowd, scaled
from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import Material, MeshBuilder, Piece, quad
from spatia_ros.train.scene_path import Walk
from spatia_ros.types import Camera

CAMERA = Camera.from_fov(64, 48, 1.2)
EYE = look_at(np.array([-4.0, 0.0, 1.6]), np.array([0.0, 0.0, 0.6]), np.array([0.0, 0.0, 1.0]))


@pytest.fixture(scope="module")
def floor() -> Scene:
    """Bare ground under a low sun."""
    rng = np.random.default_rng(0)
    builder = MeshBuilder()
    builder.add([Piece(quad((-8, -8, 0), (16, 0, 0), (0, 16, 0)), Material(textures.tiles(rng, np.ones(3) * 0.6)))])
    sun = Lamp((0.0, -800.0, 600.0), (2.0, 2.0, 2.0), 1.0, sun=True)
    walk = Walk(np.array([[(-5, -5, 1.0), (5, 5, 2.0)]]), np.zeros((1, 3)), np.eye(4))
    return Scene(builder.mesh(), Lighting((sun,), (0.3,) * 3, (0.4,) * 3), walk, rng, np.full((4, 8, 3), 150, np.uint8))


def walking(floor: Scene, kind: str = "pedestrian", speed: float = 0.8) -> SceneAt:
    return SceneAt(floor, [Actor(body(kind, np.random.default_rng(1)), Way(-1.0, 0.0, 0.0, 0.0, speed))])


def test_way_is_an_arc() -> None:
    half_round = Way(0.0, 0.0, 0.5, 0.0, np.pi, np.pi)  # radius 1 m, half a turn in a second
    T = half_round.at(1.0)
    assert np.allclose(T[:3, 3], (0.0, 2.0, 0.5), atol=1e-9)
    assert np.allclose(T[:3, 0], (-1.0, 0.0, 0.0), atol=1e-9)
    assert np.allclose(Way(1.0, 2.0, 0.0, np.pi / 2, 3.0).at(2.0)[:3, 3], (1.0, 8.0, 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_are_rigid_parts_that_stay_in_their_cylinder(kind: str) -> None:
    thing = body(kind, np.random.default_rng(3))
    for tau in (0.0, 0.7, 2.9):
        T = thing.joints(tau, 1.3 * tau)
        assert np.allclose(T[:, :3, :3] @ T[:, :3, :3].swapaxes(1, 2), np.eye(3), atol=1e-9)
        points, normals = Actor(thing, Way(0.0, 0.0, 0.0, 0.0, 0.0)).posed(tau)
        assert np.allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-6)
        assert points[:, 2].min() > -0.06
        assert points[:, 2].max() < thing.height_m + 0.1
        assert np.hypot(points[:, 0], points[:, 1]).max() < thing.radius_m + 0.25
    half = scaled(thing, 0.5)
    assert half.joints(1.0, 0.4)[:, :3, 3] == pytest.approx(0.5 * thing.joints(1.0, 0.8)[:, :3, 3])


def test_wheels_and_balls_roll_without_slipping() -> None:
    ball = next(b for b in (body("ball", np.random.default_rng(s)) for s in range(20)) if b.height_m < 2.01 * b.radius_m)
    T = ball.joints(0.0, np.pi * ball.radius_m / 2)[0]
    assert np.allclose(T[:3, :3] @ (0, 0, 1), (1, 0, 0), atol=1e-9)  # a quarter turn: the top has come to the front


def test_a_picture_depends_on_camera_and_time_alone(floor: Scene) -> None:
    scene = walking(floor)
    first = scene.look_at(CAMERA, EYE, 1.0)
    other = scene.look_at(CAMERA, EYE, 2.0)
    again = scene.look_at(CAMERA, EYE, 1.0)
    assert np.array_equal(first.frame.rgb, again.frame.rgb)
    assert np.array_equal(first.frame.depth, again.frame.depth)
    assert not np.array_equal(first.frame.rgb, other.frame.rgb)
    late = scene.look_at(CAMERA, EYE, TAU_S + 5.0)  # after the end everything stands
    assert np.array_equal(late.ids, scene.look_at(CAMERA, EYE, TAU_S).ids)


def test_movers_stand_before_what_is_still_and_leave_it_alone(floor: Scene) -> None:
    scene, still = walking(floor), floor.render(CAMERA, EYE)
    seen = scene.look_at(CAMERA, EYE, 1.0)
    moving = seen.ids == scene.numbers[0]
    assert 40 < moving.sum() < 1500
    behind = np.where(still.depth > 0, still.depth, np.inf)
    assert (seen.frame.depth[moving] < behind[moving]).all()
    assert np.array_equal(seen.frame.depth[~moving], still.depth[~moving])
    darker = seen.frame.rgb.astype(int).sum(-1) < still.rgb.astype(int).sum(-1) - 30
    shadow = darker & ~moving
    assert shadow.sum() > 10  # the sun is low: a long shadow
    assert (floor.mesh.vertices[:, 2] == 0).all()
    assert len(floor._faces) == len(floor.mesh.faces)
    left, top, right, bottom = seen.boxes[0].astype(int)
    rows, cols = np.nonzero(moving)
    assert (left, top, right, bottom) == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)


def test_what_is_out_of_sight_has_no_box(floor: Scene) -> None:
    scene = SceneAt(floor, [Actor(body("box", np.random.default_rng(0)), Way(-7.0, 0.0, 0.0, 0.0, 0.0))])
    seen = scene.look_at(CAMERA, EYE, 0.0)
    assert np.isnan(seen.boxes).all()
    assert not np.isin(seen.ids, scene.numbers).any()


def test_a_crowd_is_seen_and_touches_nothing(floor: Scene) -> None:
    rng = np.random.default_rng(4)
    actors = crowd(floor, "room", CAMERA, EYE[None], rng, 3)
    assert len(actors) >= 2
    for actor in actors:
        for tau in MOMENTS:
            points, _ = actor.posed(tau)
            raised = points[points[:, 2] > TOUCH_M][::7]
            assert len(raised) == 0 or floor.distance(raised).min() >= CLEAR_M
        assert np.linalg.norm(actor.middle(0.0) - EYE[:3, 3]) > 0.3


def test_cars_keep_to_the_lane(floor: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHARES, "street", {"car": 1.0})
    cars = [a for seed in range(2) for a in crowd(floor, "street", CAMERA, EYE[None], np.random.default_rng(seed), 1)]
    assert cars
    for car in cars:
        assert car.body.kind == "car"
        assert abs(np.sin(car.way.yaw)) < 0.2
        assert max(abs(car.way.at(tau)[1, 3]) for tau in MOMENTS) < 2.5


def test_haze_takes_the_place_of_what_is_far() -> None:
    fog = Air(haze_per_m=0.1, haze=(0.5, 0.6, 0.7))
    colours = np.array([[1.0, 0.0, 0.0]] * 3)
    seen = fog.through(colours, np.array([0.0, 10.0, np.inf]))
    assert np.allclose(seen[0], colours[0])
    assert np.allclose(seen[2], fog.haze)
    kept = np.exp(-1.0)
    assert np.allclose(seen[1], np.sqrt(kept * colours[1] ** 2 + (1 - kept) * np.square(fog.haze)))
    assert CLEAR.through(colours, np.full(3, np.inf)) is colours


def test_weather_has_words_and_night_is_dark() -> None:
    drawn = [outdoors(np.random.default_rng(s)) for s in range(40)]
    assert {w for air in drawn for w in air.words} >= {"noon", "night", "fog", "clear"}
    noon = next(a for a in drawn if a.words == ("noon", "clear"))
    night = next(a for a in drawn if a.words[0] == "night")
    sun = Lighting((Lamp((0.0, 500.0, 500.0), (2.0, 2.0, 2.0), 1.0, sun=True),), (0.3,) * 3, (0.5,) * 3)
    assert max(night.lit(sun).lamps[0].colour) < 0.2 * max(noon.lit(sun).lamps[0].colour)
    assert max(night.lit(sun).sky) < 0.5 * max(noon.lit(sun).sky)

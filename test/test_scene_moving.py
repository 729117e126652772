"""A scene with one object elsewhere: the same picture as if it had been built there."""

import numpy as np
import pytest

from spatia_ros.geometry import look_at
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import Material, MeshBuilder, Piece, at, box, quad
from spatia_ros.train.scene_moving import MovingScene
from spatia_ros.train.scene_path import Walk
from spatia_ros.train.scene_stage import stage
from spatia_ros.types import Camera, SpatiaError

CAMERA = Camera.from_fov(64, 48, 1.1)
Z = np.array((0.0, 0.0, 1.0))
VIEW = look_at(np.array((0.0, -3.0, 1.5)), np.array((0.0, 0.0, 0.3)), Z)


def scene_with_box(T: np.ndarray) -> tuple[Scene, int]:
    """A floor 8 m wide and a box of half a metre; nothing but ambient light, so that light does not depend on place."""
    builder = MeshBuilder()
    builder.add([Piece(quad((-4, -4, 0), (8, 0, 0), (0, 8, 0)), Material(np.full((4, 4, 3), 150, np.uint8)))])
    number = builder.add([Piece(p, Material(np.full((4, 4, 3), 90, np.uint8))) for p in box((0.5, 0.5, 0.5))], T)
    walk = Walk(np.array([[(-2, -2, 1), (2, 2, 2)]], np.float64), np.array([(0.0, 0.0, 0.3)]), np.eye(4))
    lighting = Lighting((Lamp((0, 0, 3), (0.0, 0.0, 0.0)),), (0.3, 0.3, 0.3), (0.3, 0.3, 0.3))
    return Scene(builder.mesh(), lighting, walk, np.random.default_rng(0)), number


def test_a_moved_object_is_where_a_scene_built_there_has_it() -> None:
    there = at(0.6, 0.4, 0.2, 0.7)
    built, number = scene_with_box(there)
    scene, _ = scene_with_box(np.eye(4))
    moving = MovingScene(scene, [number])
    moved, expected = moving.render_at(CAMERA, VIEW, there), built.render(CAMERA, VIEW)
    np.testing.assert_allclose(moved.depth, expected.depth, atol=1e-5)
    np.testing.assert_array_equal(moving.render_ids(CAMERA, VIEW), built.render_ids(CAMERA, VIEW))
    np.testing.assert_array_equal(moving.object_mask(CAMERA, VIEW), built.render_ids(CAMERA, VIEW) == number)
    np.testing.assert_array_equal(moving.object_alone(CAMERA, VIEW), moving.object_mask(CAMERA, VIEW))
    at_home = moving.render_at(CAMERA, VIEW, np.eye(4))
    np.testing.assert_array_equal(at_home.rgb, scene.render(CAMERA, VIEW).rgb)


def test_an_object_left_out_is_nowhere_and_comes_back() -> None:
    scene, number = scene_with_box(np.eye(4))
    moving = MovingScene(scene, [number])
    before = moving.render(CAMERA, VIEW)
    empty = moving.render_at(CAMERA, VIEW, None)
    assert not moving.object_mask(CAMERA, VIEW).any()
    assert not moving.object_alone(CAMERA, VIEW).any()
    assert (empty.depth > before.depth).any()
    np.testing.assert_array_equal(moving.render_at(CAMERA, VIEW, np.eye(4)).rgb, before.rgb)
    np.testing.assert_array_equal(scene.render(CAMERA, VIEW).rgb, before.rgb)


def test_the_surface_is_sampled_all_over_and_its_distance_to_the_rest_is_known() -> None:
    scene, number = scene_with_box(at(1.0, 0.0, 0.5))
    moving = MovingScene(scene, [number])
    points = moving.object_surface(0.05, np.random.default_rng(0))
    assert len(points) == pytest.approx(4 * 1.5 / 0.05**2, abs=1)
    np.testing.assert_allclose(points.min(0), (0.75, -0.25, 0.5), atol=0.01)
    np.testing.assert_allclose(points.max(0), (1.25, 0.25, 1.0), atol=0.01)
    np.testing.assert_allclose(moving.rest_distance(points), points[:, 2], atol=1e-5)


def test_a_stage_is_free_and_seen_and_goes_from_start_to_end() -> None:
    scene, number = scene_with_box(np.eye(4))
    moving = MovingScene(scene, [number])
    found = stage(moving, CAMERA, np.random.default_rng(0), 1.0)
    assert np.linalg.norm(found.end - found.start) == pytest.approx(1.0)
    for progress, place in ((0.0, found.start), (1.0, found.end)):
        T = found.displacement(progress)
        np.testing.assert_allclose((T @ np.append(found.pivot, 1.0))[:3], place, atol=1e-12)
        moving.place(T)
        assert moving.object_mask(CAMERA, found.view(progress, progress)).mean() > 0.01


def test_no_object_is_refused() -> None:
    scene, number = scene_with_box(np.eye(4))
    with pytest.raises(SpatiaError, match="expected numbers of some objects"):
        MovingScene(scene, [99])
    with pytest.raises(SpatiaError, match="expected numbers of some objects"):
        MovingScene(scene, [1, number])

"""Frames recognised by their look, and posters that are not places."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from speckled_room import CAMERA, frame_at

from spatia_ros import geometry
from spatia_ros.slam import features
from spatia_ros.types import SpatiaError


def described(frame, depth=None):
    return features.describe(frame.rgb, frame.depth if depth is None else depth, frame.camera)


def placed(x, z, yaw_deg):
    return geometry.pose(Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix(), np.array([x, 0.1, z]))


@pytest.fixture(scope="module")
def pair():
    T_a, T_b = placed(0.3, -3.0, 4.0), placed(-0.2, -2.8, -8.0)
    return frame_at(T_a), frame_at(T_b), geometry.inverse(T_a) @ T_b


def test_the_motion_between_two_views(pair):
    a, b, T_a_b = pair
    found = features.align(described(a), described(b))
    assert found is not None
    assert np.linalg.norm(found.T_a_b[:3, 3] - T_a_b[:3, 3]) < 0.02
    assert geometry.rotation_error_deg(found.T_a_b[:3, :3], T_a_b[:3, :3]) < 0.5
    assert found.inliers >= 20
    assert found.overlap.agreeing > 0.9


def test_the_same_frames_give_the_same_answer(pair):
    a, b = described(pair[0]), described(pair[1])
    assert np.array_equal(features.align(a, b).T_a_b, features.align(a, b).T_a_b)


def test_points_of_features_lie_where_they_are_seen(pair):
    f = described(pair[0])
    pixels, z = geometry.project(f.points_cam, CAMERA, np.eye(4))
    assert len(f) > 50
    assert np.allclose(pixels, f.pixels, atol=1e-3)
    u, v = f.pixels.astype(int).T
    assert np.allclose(z, pair[0].depth[v, u], rtol=0.06)


def test_other_places_are_not_recognised(pair):
    away = frame_at(placed(0.0, 2.5, 170.0))
    assert features.align(described(pair[0]), described(away)) is None


def test_a_poster_on_another_wall_is_no_place(pair):
    """The features agree on a motion, but around them one view looks through what the other measured."""
    a, b, _ = pair
    nearer = b.depth.copy()
    nearer[:, : CAMERA.width // 2] *= 0.8
    assert features.align(described(a), described(b)) is not None
    assert features.align(described(a), described(b, nearer)) is None


def test_nothing_to_see():
    blank = features.describe(np.full((120, 160, 3), 90, np.uint8), np.full((120, 160), 2.0, np.float32), CAMERA)
    assert len(blank) == 0
    assert features.align(blank, blank) is None


def test_the_coarse_depth_map_has_the_right_camera(pair):
    frame = pair[0]
    grid, camera = features.coarse(frame.depth, CAMERA)
    points, _ = geometry.backproject(grid, camera, np.eye(4))
    full, _ = geometry.backproject(frame.depth, CAMERA, np.eye(4))
    full = full.reshape(CAMERA.height, CAMERA.width, 3)[1::2, 1::2].reshape(-1, 3)
    assert np.allclose(points, full, atol=1e-6)


def test_images_of_another_size_are_refused():
    with pytest.raises(SpatiaError, match=r"describe: depth.*\[120, 160\]"):
        features.describe(np.zeros((120, 160, 3), np.uint8), np.zeros((60, 80), np.float32), CAMERA)

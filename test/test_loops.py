"""Loops that are there are found; places that only look alike are not closed."""

import numpy as np
import pytest
from speckled_room import CAMERA, frame_at

from spatia_ros import geometry
from spatia_ros.config import LoopsConfig, TrackingConfig
from spatia_ros.slam import features
from spatia_ros.slam.loops import Loop, LoopCloser, Place, cautious
from spatia_ros.slam.pose_graph import information
from spatia_ros.slam.pyramid import build_pyramid


def shifted(x):
    return geometry.pose(np.eye(3), np.array([x, 0.0, 0.0]))


def seen_at(T):
    frame = frame_at(T)
    pyramid = build_pyramid(frame.rgb, frame.depth, CAMERA, width_px=160)
    return Place(features.describe(frame.rgb, frame.depth, CAMERA), pyramid)


@pytest.fixture(scope="module")
def views():
    """Three neighbouring views of a wall of the room: their poses, and what is seen there."""
    poses = [geometry.pose(np.eye(3), np.array([0.3 + 0.15 * k, 0.1, -2.8])) for k in range(3)]
    return poses, [seen_at(T) for T in poses]


def walked(views, believed_shift, way, closer=None):
    """The three views, then after a long way the same three again, where they are believed to be: loops of each."""
    poses, places = views
    closer = closer or LoopCloser(LoopsConfig(), TrackingConfig())
    believed, found = [], []
    for turn in range(2):
        for k, (T, place) in enumerate(zip(poses, places, strict=True)):
            believed.append((shifted(believed_shift) if turn else np.eye(4)) @ T)
            found.append(closer.add(place, turn * way + 0.15 * k, np.stack(believed)))
    return closer, found


def test_a_place_seen_again_after_a_drift(views):
    closer, found = walked(views, 0.3, way=15.0)
    assert [len(loops) for loops in found[:4]] == [0, 0, 0, 0], "one keyframe alone is not believed"
    loops = [loop for each in found for loop in each]
    assert {loop.j for loop in loops} == {3, 4, 5}
    for loop in loops:
        true = geometry.inverse(views[0][loop.i]) @ views[0][loop.j - 3]
        assert np.linalg.norm(loop.T_i_j[:3, 3] - true[:3, 3]) < 0.01
        assert geometry.rotation_error_deg(loop.T_i_j[:3, :3], true[:3, :3]) < 0.3
    assert closer.counts.believed == len(loops)


def test_a_place_that_looks_alike_far_away_is_not_closed(views):
    """The same room again, 6 m on, after a way of 15 m: no camera drifts that much."""
    closer, found = walked(views, 6.0, way=15.0)
    assert not any(found)
    assert closer.counts.implausible > 0


def test_of_two_places_that_look_alike_neither_is_closed(views):
    """Two equal niches 1.2 m apart were seen; the camera, drifted, comes back between them."""
    poses, places = views
    closer = LoopCloser(LoopsConfig(), TrackingConfig())
    believed, found = [], []
    for x, way in ((0.0, 0.0), (1.2, 1.5), (0.6, 20.0)):
        for k, (T, place) in enumerate(zip(poses, places, strict=True)):
            believed.append(shifted(x) @ T)
            found.append(closer.add(place, way + 0.15 * k, np.stack(believed)))
    assert not any(found)
    assert closer.counts.ambiguous > 0


def test_neighbours_are_no_loops(views):
    closer, found = walked(views, 0.0, way=1.0)
    assert not any(found)
    assert closer.counts.candidates == 0


def test_a_loop_needs_confirmation(views):
    closer = LoopCloser(LoopsConfig(confirmations=3), TrackingConfig())
    _, found = walked(views, 0.3, 15.0, closer)
    assert [bool(loops) for loops in found] == [False] * 5 + [True]


def test_looks_are_thinned_when_there_are_too_many(views):
    closer = LoopCloser(LoopsConfig(keyframes=4), TrackingConfig())
    for k in range(12):
        closer.add(views[1][k % 3], 0.1 * k, np.stack([np.eye(4)] * (k + 1)))
    assert len(closer.places) <= 4
    assert 11 in closer.places
    assert len(closer.ways) == 12


def test_information_is_never_beyond_what_a_sensor_knows():
    sure = cautious(information(1e-6, 1e-6))
    assert np.allclose(np.sqrt(1 / np.diag(sure))[:3], 0.004, rtol=0.01)
    blind = information(1e-6, 1e-6)
    blind[0, :] = blind[:, 0] = 0.0
    assert cautious(blind)[0, 0] < 1.0, "along a bare corridor a registration knows nothing"


def test_a_loop_names_the_earlier_keyframe_first(views):
    _, found = walked(views, 0.2, 15.0)
    assert all(isinstance(loop, Loop) and loop.i < loop.j for each in found for loop in each)

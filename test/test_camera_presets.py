"""Camera presets: where they start, how gently, how large, and that they are moves of the kind their names say."""

from __future__ import annotations

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.sequence.camera_presets import PRESETS, Stage, camera_path, chained, eased, parsed, stage_of, within
from spatia_ros.types import SpatiaError, Trajectory

UP = np.array([0.0, 0.0, 1.0])
START = geometry.look_at(np.array([1.0, -2.0, 1.4]), np.array([1.5, 1.0, 1.0]), UP)
FRAMES = 49


def stage(distance_m: float = 3.0, near_m: float = 2.0) -> Stage:
    return Stage(START, UP, distance_m, near_m)


def turned_rad(T: np.ndarray) -> np.ndarray:
    """Angle of each pose's rotation from the first, rad."""
    return np.radians([geometry.rotation_error_deg(T[0][:3, :3], t[:3, :3]) for t in T])


def test_there_are_ten():
    assert len(PRESETS) == 10


@pytest.mark.parametrize("name", PRESETS)
def test_a_path_starts_at_its_stage_and_is_made_of_poses(name):
    T = camera_path(name, stage(), FRAMES)
    np.testing.assert_array_equal(T[0], START)
    Trajectory(np.arange(FRAMES, dtype=np.int64), T)  # checks every pose
    moved = np.linalg.norm(T[:, :3, 3] - T[0, :3, 3], axis=1).max()
    assert moved > 0.1 or turned_rad(T).max() > 0.15


@pytest.mark.parametrize("name", PRESETS)
def test_a_path_sets_out_and_stops_gently_and_never_jerks(name):
    T = camera_path(name, stage(), 200)
    # The eye, and what is in the middle of the picture.
    points = np.concatenate([T[:, :3, 3], T[:, :3, 3] + 3.0 * T[:, :3, 2]], 1)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert max(speed[0], speed[-1]) < 0.01 * speed.max()
    bend = np.linalg.norm(np.diff(points, 2, axis=0), axis=1)
    assert bend.max() < 0.15 * speed.max()


@pytest.mark.parametrize("name", [n for n in PRESETS if n not in ("pan", "tilt")])
def test_a_path_is_as_large_as_the_scene(name):
    near, far = (camera_path(name, stage(d, d), FRAMES)[:, :3, 3] - START[:3, 3] for d in (1.5, 3.0))
    np.testing.assert_allclose(far, 2.0 * near, atol=1e-9)


@pytest.mark.parametrize("name", ["dolly", "push-pull", "spiral"])
def test_forward_moves_stop_short_of_what_is_near(name):
    T = camera_path(name, stage(3.0, 0.5), FRAMES)
    assert ((T[:, :3, 3] - START[:3, 3]) @ START[:3, 2]).max() <= 0.6 * 0.5 + 1e-9


@pytest.mark.parametrize("name", ["orbit", "crane", "figure-eight", "spiral"])
def test_these_keep_looking_at_one_point(name):
    s = stage()
    for T in camera_path(name, s, FRAMES):
        way = s.pivot - T[:3, 3]
        np.testing.assert_allclose(T[:3, 2], way / np.linalg.norm(way), atol=1e-6)


@pytest.mark.parametrize("name", ["figure-eight", "push-pull"])
def test_these_come_back(name):
    np.testing.assert_allclose(camera_path(name, stage(), FRAMES)[-1], START, atol=1e-9)


def test_directions_are_what_the_names_say():
    ends = {name: camera_path(name, stage(), FRAMES)[-1] for name in PRESETS}
    moved = {name: T[:3, 3] - START[:3, 3] for name, T in ends.items()}
    assert moved["dolly"] @ START[:3, 2] > 0.5
    assert moved["truck"] @ START[:3, 0] > 0.5
    assert moved["pedestal"] @ UP > 0.3
    assert moved["crane"] @ UP > 0.5
    assert ends["pan"][:3, 2] @ START[:3, 0] > 0.3, "to the right"
    assert ends["tilt"][2, 2] < START[2, 2] - 0.1, "down"
    other_way = camera_path("truck", stage(), FRAMES, -1.0)[-1][:3, 3] - START[:3, 3]
    np.testing.assert_allclose(other_way, -moved["truck"], atol=1e-12)


def test_the_ease_goes_from_0_to_1_with_no_speed_at_its_ends():
    t = np.linspace(0, 1, 1001)
    s = eased(t)
    assert (s[0], s[-1]) == (0.0, 1.0)
    assert (np.diff(s) >= 0).all()
    assert max(s[1], 1 - s[-2]) < 1e-7


def test_turns_chain_without_a_gap():
    turns = parsed("orbit:0.5, dolly,pan:-1")
    assert turns == [("orbit", 0.5), ("dolly", 1.0), ("pan", -1.0)]
    T = chained(turns, stage(), 10)
    assert len(T) == 3 * 9 + 1
    np.testing.assert_array_equal(T[:10], camera_path("orbit", stage(), 10, 0.5))
    np.testing.assert_array_equal(T[9:19], camera_path("dolly", Stage(T[9], UP, 3.0, 2.0), 10))


def test_the_stage_is_what_the_middle_shows_and_what_is_near():
    depth = np.full((40, 60), 4.0, np.float32)
    depth[10:30, 15:45] = 2.5
    depth[:, :4] = 0.7
    depth[0, :] = 0.0
    found = stage_of(depth, START, 3.0 * UP)
    assert (found.distance_m, found.near_m) == (2.5, pytest.approx(0.7))
    blind = stage_of(np.zeros((4, 4), np.float32), START, UP)
    assert blind.distance_m == blind.near_m == 2.0


def test_a_path_is_made_smaller_until_it_is_clear():
    limit = 0.5

    def clear(T: np.ndarray) -> bool:
        return bool(np.linalg.norm(T[:3, 3] - START[:3, 3]) < limit)

    poses, size = within(lambda share: camera_path("truck", stage(), FRAMES, share), clear)
    assert 0.4 < size < 0.7
    assert all(map(clear, poses))
    limit = 0.0
    assert within(lambda share: camera_path("truck", stage(), FRAMES, share), clear)[1] == 0.15


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: camera_path("wobble", stage(), 9), "expected one of dolly"),
        (lambda: camera_path("dolly", stage(), 1), "expected 2.."),
        (lambda: camera_path("dolly", stage(), 9, 0.0), "a size"),
        (lambda: camera_path("dolly", stage(), 9, float("nan")), "a size"),
        (lambda: parsed("dolly,wobble"), "'wobble'"),
        (lambda: parsed("dolly:much"), "'much'"),
        (lambda: chained([], stage(), 9), "at least one turn"),
        (lambda: Stage(START, 2.0 * UP), "unit vector"),
        (lambda: Stage(START, UP, 0.0), "above 0"),
    ],
)
def test_what_is_wrong_is_said(make, words):
    with pytest.raises(SpatiaError, match=words):
        make()

"""Camera paths: ends are exact, paces even, and a flight really leaves what was seen."""

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.cli import flight
from spatia_ros.types import SpatiaError

Z = np.array([0.0, 0.0, 1.0])


def walk(n: int = 30, jitter: float = 0.0) -> np.ndarray:
    """Along x at head height, looking along y and slowly to the left."""
    rng = np.random.default_rng(0)
    poses = []
    for k in range(n):
        eye = np.array([0.1 * k, 0.0, 1.6]) + rng.normal(0, jitter, 3)
        angle = np.pi / 2 + 0.02 * k
        poses.append(geometry.look_at(eye, eye + (np.cos(angle), np.sin(angle), -0.1), Z))
    return np.stack(poses)


def shown_until(x: float):
    """An outlook over a memory of all that lies behind a line: the farther on, the less is shown."""
    return lambda T: (float(np.clip(1.0 - (T[0, 3] - x), 0, 1)), 2.0)


def test_resampled_keeps_the_ends_and_an_even_pace():
    path = flight.resampled(walk(), 61)
    assert (path[0] == walk()[0]).all()
    assert (path[-1] == walk()[-1]).all()
    steps = np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1)
    middle = steps[12:-12]
    assert middle.max() < 1.05 * middle.min()
    assert steps[0] < 0.25 * middle.mean(), "it starts gently"
    assert steps[-1] < 0.25 * middle.mean(), "and stops gently"


def test_smoothed_takes_out_jitter_and_keeps_the_ends():
    rough = walk(jitter=0.02)
    calm = flight.smoothed(rough)
    wobble = [np.abs(np.diff(path[:, :3, 3], 2, axis=0)).mean() for path in (rough, calm)]
    assert wobble[1] < wobble[0] / 3
    assert (calm[[0, -1]] == rough[[0, -1]]).all()
    for T in calm:
        np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9)


def test_smoothing_does_not_mind_the_sign_of_quaternions():
    turning = np.stack([flight.swung(walk(1)[0], Z, 0.0, 0.3 * k) for k in range(25)])
    for a, b in zip(flight.smoothed(turning), turning, strict=True):
        assert geometry.rotation_error_deg(a[:3, :3], b[:3, :3]) < 3


@pytest.mark.parametrize("n", [8, 61, 160])
def test_out_and_back_goes_past_the_seed_and_ends_where_it_began(n):
    path = flight.out_and_back(walk(), 10, shown_until(1.0), n)
    assert path.shape == (n, 4, 4)
    assert (path[0] == walk()[0]).all()
    assert (path[-1] == path[0]).all()
    np.testing.assert_allclose(path, path[::-1], atol=1e-12)
    assert path[:, 0, 3].max() > 1.25, "past the line by the share that EDGE asks for"


def test_out_and_back_looks_aside_where_nothing_is_in_the_way():
    def outlook(T):
        """Memory shows less the more one looks to the right; a wall stands close on the left."""
        left = np.arctan2(T[1, 2], T[0, 2]) - np.pi / 2
        return float(np.clip(0.5 + left, 0, 1)), 0.1 if left > 0.05 else 2.0

    still = np.repeat(geometry.look_at(np.zeros(3), np.array([0.0, 1.0, 0.0]), Z)[None], 4, 0)
    path = flight.out_and_back(still, 4, outlook, 40)
    aside = path[20]
    assert aside[0, 2] > 0.2, "it looks to the right"
    assert aside[0, 3] < -0.1, "and moves to the left, around what is ahead"


def test_out_and_back_from_a_single_pose():
    path = flight.out_and_back(walk(1), 1, lambda _: (0.5, 2.0), 20)
    assert (path[0] == path[-1]).all()
    assert geometry.rotation_error_deg(path[0][:3, :3], path[10][:3, :3]) > 10


def test_too_short_a_flight_is_refused():
    with pytest.raises(SpatiaError, match="at least 8"):
        flight.out_and_back(walk(), 5, shown_until(0), 7)


def test_orbit_keeps_looking_at_the_middle():
    start = walk(1)[0]
    centre = start[:3, 3] + 2.0 * start[:3, 2]
    path = flight.orbit(start, Z, 2.0, 41)
    towards = centre - path[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(towards, axis=1), 2.0, atol=1e-9)
    np.testing.assert_allclose((towards / 2.0 * path[:, :3, 2]).sum(1), 1.0, atol=1e-9)
    assert (path[-1] == start).all()


@pytest.mark.parametrize(("axis", "name"), [((0, 0, 1), "z"), ((0, 1, 0), "y"), ((0, -1, 0), "-y"), ((0.5, 0.5, 0.7), "z")])
def test_up_is_what_is_up_in_the_pictures(axis, name):
    from spatia_ros.cli.performance import up_axis

    up = np.array(axis, np.float64)
    ahead = np.array([1.0, -0.3, 0.2]) if abs(up[0]) < 0.1 else np.array([1.0, -1.0, 0.0])
    poses = np.stack([geometry.look_at(np.zeros(3), ahead + 0.1 * k * np.array([0, 1, 0.5]), up) for k in range(3)])
    assert up_axis(poses) == name
    found = flight.up_of(poses)
    assert found @ up / np.linalg.norm(up) / np.linalg.norm(found) > 0.9


def test_timed_begins_a_period_after_the_start():
    path = flight.timed(walk(3), 10.0, 5)
    assert path.stamps_ns.tolist() == [100_000_005, 200_000_005, 300_000_005]

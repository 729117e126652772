"""Actors: kept by time, placed between observations, bounded."""

import numpy as np
import pytest

from spatia_ros.actors import Actors, Mover
from spatia_ros.config import ActorsConfig
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera(8, 6, 8.0, 8.0, 4.0, 3.0)


def frame(stamp_ns: int, z: float = 2.0) -> Frame:
    return Frame(np.full((6, 8, 3), 90, np.uint8), np.full((6, 8), z, np.float32), CAMERA, np.eye(4), stamp_ns)


def mover(x: float, state: str = "moving", number: int = 1) -> Mover:
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:5] = True
    return Mover(number, mask, np.array([x - 0.5, -0.5, 1.5]), np.array([x + 0.5, 0.5, 2.5]), np.zeros(3), state)


def test_an_actor_is_where_it_was_seen_and_between_in_between() -> None:
    actors = Actors(ActorsConfig())
    actors.observe(frame(0), [mover(0.0)])
    actors.observe(frame(1000), [mover(1.0)])
    assert actors.ids() == [1]
    assert actors.span(1) == (0, 1000)
    first, near_first, last = actors.at(1, 0), actors.at(1, 400), actors.at(1, 1000)
    assert first.xyz.shape == (4, 3)
    assert (first.rgb == 90).all()
    np.testing.assert_allclose(first.xyz[:, 2], 2.0)
    np.testing.assert_allclose(near_first.xyz, first.xyz + np.float32([0.4, 0, 0]), atol=1e-6)
    assert near_first.observed_ns == 0
    assert last.observed_ns == 1000
    np.testing.assert_allclose(actors.pose(1, 250)[:3, 3], (0.25, 0.0, 2.0))
    low, high = actors.box(1, 5000)  # held after the last
    np.testing.assert_allclose((low, high), [(0.5, -0.5, 1.5), (1.5, 0.5, 2.5)])


def test_what_does_not_move_is_no_actor() -> None:
    actors = Actors(ActorsConfig())
    actors.observe(frame(0), [mover(0.0, "tentative"), mover(0.0, "resting", 2)])
    assert len(actors) == 0
    with pytest.raises(SpatiaError, match="actor: expected one of"):
        actors.at(1, 0)


def test_actors_are_bounded() -> None:
    actors = Actors(ActorsConfig(actors=2, observations=3, points=2))
    for i in range(5):
        actors.observe(frame(i), [mover(float(i))])
    assert actors.span(1) == (2, 4)
    assert len(actors.at(1, 4).xyz) == 2
    actors.observe(frame(5), [mover(0.0, number=2)])
    actors.observe(frame(6), [mover(0.0, number=3)])
    assert actors.ids() == [2, 3]  # the one not seen longest made room


def test_bad_observations_are_refused() -> None:
    actors = Actors(ActorsConfig())
    actors.observe(frame(10), [mover(0.0)])
    with pytest.raises(SpatiaError, match="expected a time after 10 ns, got 10"):
        actors.observe(frame(10), [mover(0.0)])
    wide = Camera(16, 6, 8.0, 8.0, 8.0, 3.0)
    flat = Frame(np.zeros((6, 16, 3), np.uint8), np.ones((6, 16), np.float32), wide, np.eye(4), 11)
    with pytest.raises(SpatiaError, match="expected masks"):
        actors.observe(flat, [mover(0.0)])
    with pytest.raises(SpatiaError, match="low <= high"):
        Mover(1, np.zeros((2, 2), bool), np.ones(3), np.zeros(3), np.zeros(3), "moving")

"""Movers of a stream: kept by time, placed between observations, bounded."""

import numpy as np
import pytest

from spatia_ros.actors import Mover, MoverLog
from spatia_ros.config import ActorsConfig
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera(8, 6, 8.0, 8.0, 4.0, 3.0)
S = 1_000_000_000


def frame(stamp_ns: int, z: float = 2.0) -> Frame:
    return Frame(np.full((6, 8, 3), 90, np.uint8), np.full((6, 8), z, np.float32), CAMERA, np.eye(4), stamp_ns)


def mover(x: float, state: str = "moving", number: int = 1) -> Mover:
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:5] = True
    return Mover(number, mask, np.array([x - 0.5, -0.5, 1.5]), np.array([x + 0.5, 0.5, 2.5]), np.zeros(3), state)


def test_a_mover_is_where_it_was_seen_and_between_in_between() -> None:
    log = MoverLog(ActorsConfig())
    log.observe(frame(5 * S), [mover(0.0)])
    log.observe(frame(6 * S), [mover(1.0)])
    actor = log.cast(5 * S).find("mover_1")
    assert actor.id == 1
    assert actor.body.span_s == (0.0, 1.0)
    assert not actor.body.complete
    first, near_first = actor.body.points(0.0), actor.body.points(0.4)
    assert first.xyz.shape == (4, 3)
    assert (first.rgb == 90).all()
    np.testing.assert_allclose(first.xyz[:, 2], 2.0)
    assert first.spacing_m == pytest.approx(0.25)  # a pixel at 2 m with a focal length of 8 px
    np.testing.assert_allclose(near_first.xyz, first.xyz + np.float32([0.4, 0, 0]), atol=1e-6)
    np.testing.assert_allclose(actor.body.pose(0.25)[:3, 3], (0.25, 0.0, 2.0))
    np.testing.assert_allclose(actor.body.velocity(0.5), (1.0, 0.0, 0.0))


def test_a_mover_is_absent_long_after_it_was_seen() -> None:
    log = MoverLog(ActorsConfig())
    log.observe(frame(0), [mover(0.0)])
    cast = log.cast(0, reach_s=0.5)
    assert [posed.name for posed in cast.at(0.4)] == ["mover_1"]
    assert cast.at(0.6) == []


def test_what_does_not_move_is_no_actor() -> None:
    log = MoverLog(ActorsConfig())
    unseen = frame(0, z=0.0)
    log.observe(unseen, [mover(0.0)])  # moves, but has no depth anywhere
    log.observe(frame(1), [mover(0.0, "tentative"), mover(0.0, "resting", 2)])
    assert len(log) == len(log.cast(0)) == 0


def test_movers_are_bounded() -> None:
    log = MoverLog(ActorsConfig(actors=2, observations=3, points=2))
    for i in range(5):
        log.observe(frame(i * S), [mover(float(i))])
    body = log.cast(0).find(1).body
    assert body.span_s == (2.0, 4.0)
    assert len(body.points(4.0)) == 2
    log.observe(frame(5 * S), [mover(0.0, number=2)])
    log.observe(frame(6 * S), [mover(0.0, number=3)])
    assert [actor.id for actor in log.cast(0)] == [2, 3]  # the one not seen longest made room


def test_bad_observations_are_refused() -> None:
    log = MoverLog(ActorsConfig())
    log.observe(frame(10), [mover(0.0)])
    with pytest.raises(SpatiaError, match="expected a time after 10 ns, got 10"):
        log.observe(frame(10), [mover(0.0)])
    wide = Camera(16, 6, 8.0, 8.0, 8.0, 3.0)
    flat = Frame(np.zeros((6, 16, 3), np.uint8), np.ones((6, 16), np.float32), wide, np.eye(4), 11)
    with pytest.raises(SpatiaError, match="expected masks"):
        log.observe(flat, [mover(0.0)])
    with pytest.raises(SpatiaError, match="low <= high"):
        Mover(1, np.zeros((2, 2), bool), np.ones(3), np.zeros(3), np.zeros(3), "moving")

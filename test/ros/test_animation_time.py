"""The service set_animation_time: every kind of clock, of the whole cast and of one actor; refusals change nothing."""

import numpy as np
import pytest

from spatia_ros.actors import Actor, BodyPoints, Cast, Clock, PoseTrack, RigidBody
from spatia_ros.nodes import clocks
from spatia_ros.srv import SetAnimationTime
from spatia_ros.types import SpatiaError

Ask = SetAnimationTime.Request
NOW_S = 10.0


@pytest.fixture
def cast():
    points = BodyPoints(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8), 0.1)
    track = PoseTrack.path([[0, 0, 0, 0, 0], [100, 100, 0, 0, 0]])
    out = Cast()
    for name in ("one", "two"):
        out.add(Actor(name, "ball", RigidBody(points, track)))
    return out


def ask(cast, now_s=NOW_S, **values):
    response = SetAnimationTime.Response()
    clocks.answer(Ask(**values), response, cast, now_s)
    return response


def places(cast, t_s):
    return [round(float(posed.T_world_actor[0, 3]), 9) for posed in cast.at(t_s)]


def test_what_is_in_force_is_told_and_not_changed(cast):
    told = ask(cast, mode=Ask.GET)
    assert (told.time_s, told.animation_s, told.before, told.after) == (NOW_S, NOW_S, "continue", "continue")
    assert cast.clock == Clock.REAL
    ask(cast, mode=Ask.RATE, rate=0.5)
    told = ask(cast, mode=Ask.GET, actor="two", now_s=14.0)
    assert (told.time_s, told.animation_s) == (12.0, 12.0)  # an actor's clock reads what the world's shows


def test_a_pace_is_taken_up_without_a_jump(cast):
    told = ask(cast, mode=Ask.RATE, rate=-2.0)
    assert told.animation_s == NOW_S
    np.testing.assert_allclose([cast.clock.at(t) for t in (9.0, 10.0, 11.0, 13.0)], [9.0, 10.0, 8.0, 4.0])
    ask(cast, now_s=11.0, mode=Ask.RATE, rate=0.0)
    assert [cast.clock.at(t) for t in (11.0, 50.0)] == [8.0, 8.0]


def test_an_instant_is_shown_and_stays_or_goes_on(cast):
    ask(cast, mode=Ask.TAU, tau_s=3.0)
    assert places(cast, 12.0) == [3.0, 3.0]
    ask(cast, now_s=12.0, mode=Ask.TAU, tau_s=50.0, rate=1.0)
    assert places(cast, 13.5) == [51.5, 51.5]


def test_one_actor_goes_its_own_way_also_when_the_world_runs_backwards(cast):
    ask(cast, mode=Ask.RATE, rate=-1.0)
    ask(cast, mode=Ask.RATE, rate=0.0, actor="one")
    assert places(cast, 12.0) == [10.0, 8.0]
    ask(cast, now_s=12.0, mode=Ask.REAL, actor="one")
    assert places(cast, 13.0) == [7.0, 7.0]


@pytest.mark.parametrize(
    ("asked", "at", "shown"),
    [
        ({"pattern": "bullet-time", "duration_s": 6.0}, (10, 12, 13, 14, 16, 17), (10, 13, 13, 13, 16, 17)),
        ({"pattern": "reverse", "duration_s": 4.0}, (10, 12, 14, 20), (14, 12, 10, 10)),
        ({"pattern": "reverse", "duration_s": 4.0, "from_s": -4.0, "to_s": 0.0}, (10, 12, 14), (10, 8, 6)),
        ({"pattern": "forward", "duration_s": 2.0, "absolute": True, "at_s": 20.0, "from_s": 1.0}, (20, 21, 22), (1, 2, 3)),
    ],
)
def test_a_pattern_plays_from_now_unless_its_times_are_absolute(cast, asked, at, shown):
    ask(cast, mode=Ask.PATTERN, **asked)
    np.testing.assert_allclose([cast.clock.at(float(t)) for t in at], shown, atol=1e-9)


def test_knots_are_a_clock_and_come_back_in_the_answer(cast):
    knots = [0.0, 0.0, 2.0, 6.0, 4.0, 0.0]
    told = ask(cast, mode=Ask.KNOTS, knots_s=knots, after="loop")
    np.testing.assert_allclose(list(told.knots_s), np.reshape(knots, (-1, 2)).ravel() + 10.0)
    assert (told.before, told.after, told.animation_s) == ("hold", "loop", 10.0)
    np.testing.assert_allclose([cast.clock.at(t) for t in (11.0, 13.0, 15.0)], [13.0, 13.0, 13.0])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"mode": 9}, "expected a mode of 0..5"),
        ({"mode": Ask.RATE, "rate": float("nan")}, "rate: expected a finite number"),
        ({"mode": Ask.RATE, "rate": 1e300}, "seconds within 1e+09"),
        ({"mode": Ask.TAU, "tau_s": float("inf")}, "tau_s: expected a finite number"),
        ({"mode": Ask.PATTERN, "pattern": "sideways", "duration_s": 1.0}, "expected one of forward, reverse"),
        ({"mode": Ask.PATTERN, "pattern": "loop", "duration_s": 0.0}, "length_s > 0"),
        ({"mode": Ask.KNOTS, "knots_s": [0.0, 0.0, 1.0]}, "pairs of t and tau"),
        ({"mode": Ask.KNOTS, "knots_s": [1.0, 0.0, 1.0, 5.0]}, "strictly rising"),
        ({"mode": Ask.KNOTS, "knots_s": [0.0, float("nan")]}, "finite seconds"),
        ({"mode": Ask.KNOTS, "knots_s": [0.0, 0.0, 1.0, 1.0], "after": "stop"}, "clock.after: expected one of"),
        ({"mode": Ask.RATE, "actor": "three"}, "expected one of 1 one, 2 two; got 'three'"),
    ],
)
def test_what_is_no_clock_is_refused_and_changes_nothing(cast, asked, says):
    with pytest.raises(SpatiaError) as refused:
        ask(cast, **asked)
    assert says in str(refused.value)
    assert cast.clock == Clock.REAL
    assert all(actor.clock == Clock.REAL for actor in cast)

"""Clocks: exact at their knots, what ends do, changes without jumps, and the ten patterns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatia_ros.actors import PATTERNS, Clock, pattern
from spatia_ros.actors.clock import ENDS, Change
from spatia_ros.actors.edits import retimed
from spatia_ros.types import SpatiaError

seconds = st.floats(-50, 50, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def clocks(draw, changes: int = 2) -> Clock:
    steps = draw(st.lists(st.floats(0.01, 5.0), min_size=2, max_size=6))
    t = draw(seconds) + np.cumsum(steps)
    tau = np.array([draw(seconds) for _ in steps])
    clock = Clock(np.stack([t, tau], -1), draw(st.sampled_from(ENDS)), draw(st.sampled_from(ENDS)))
    if changes and draw(st.booleans()):
        return clock.switched(draw(seconds), draw(st.one_of(st.floats(-3, 3), clocks(changes - 1))))
    return clock


@given(seconds)
def test_real_time_is_the_time_to_the_bit(t):
    assert Clock.REAL.at(t) == t
    assert Clock.REAL.rate(t) == 1.0


@given(clocks(0))
def test_knots_are_met_exactly(clock):
    np.testing.assert_array_equal(clock.at(clock.knots_s[:, 0]), clock.knots_s[:, 1])


@given(clocks(), st.lists(seconds, min_size=1, max_size=8))
def test_an_array_of_times_reads_as_one_by_one(clock, times):
    np.testing.assert_array_equal(clock.at(np.array(times)), [clock.at(t) for t in times])
    np.testing.assert_array_equal(clock.rate(np.array(times)), [clock.rate(t) for t in times])


@given(clocks(), seconds)
def test_the_rate_is_what_the_clock_does_next(clock, t):
    step = 1e-6
    ahead = clock.at(t + 2 * step) - clock.at(t + step)
    parts = (clock, *(c.clock for c in clock.changes))
    bends = np.concatenate([each.knots_s[:, 0] for each in parts])
    folds = {end for each in parts for end in (each.before, each.after)} & {"loop", "ping-pong"}
    changes = np.array([c.at_s for c in clock.changes])
    if not folds and (np.abs(bends - t) > 1e-5).all() and (np.abs(changes - t) > 1e-5).all():
        assert clock.rate(t) == pytest.approx(ahead / step, abs=1e-2)


@given(clocks(), seconds, st.one_of(st.floats(-3, 3), clocks(1)))
def test_a_switch_keeps_the_past_and_never_jumps(clock, at, other):
    switched = clock.switched(at, other)
    past = at - np.linspace(1e-3, 60, 37)
    np.testing.assert_array_equal(switched.at(past), clock.at(past))
    assert switched.at(at) == pytest.approx(clock.at(at), abs=1e-9)
    later = at + np.linspace(0, 60, 37)
    pace = other if isinstance(other, Clock) else Clock.line(at, 0.0, other)
    np.testing.assert_allclose(switched.at(later) - switched.at(at), pace.at(later) - pace.at(at), atol=1e-8)


@given(clocks())
def test_a_clock_written_down_reads_the_same(clock):
    again = Clock.from_dict(clock.as_dict())
    assert again == clock
    assert hash(again) == hash(clock)
    times = np.linspace(-70, 70, 101)
    np.testing.assert_array_equal(again.at(times), clock.at(times))


@settings(max_examples=50)
@given(clocks(), st.floats(0.2, 5.0), seconds, st.floats(-5, 5), seconds)
def test_a_clock_retimed_shows_the_same_at_other_times(clock, factor, about, earlier, t):
    when = about + factor * (t - about) + earlier
    # Beside a bend or the seam of a loop rounding decides which side is read.
    near = clock.at(when + np.linspace(-1e-7, 1e-7, 5))
    if np.ptp(near) < 1e-3:
        assert retimed(clock, factor, about, earlier).at(t) == pytest.approx(clock.at(when), abs=1e-3)


def test_ends():
    knots = np.array([[1.0, 10.0], [3.0, 14.0]])
    t = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    known = {
        "hold": [10, 10, 10, 12, 14, 14, 14, 14],
        "continue": [6, 8, 10, 12, 14, 16, 18, 20],
        "loop": [10, 12, 10, 12, 14, 12, 10, 12],
        "ping-pong": [14, 12, 10, 12, 14, 12, 10, 12],
    }
    for end, tau in known.items():
        np.testing.assert_allclose(Clock(knots, end, end).at(t), tau, atol=1e-12)
    np.testing.assert_array_equal(Clock(knots, "ping-pong", "ping-pong").rate(t + 0.5), [-2, -2, 2, 2, -2, -2, 2, 2])
    np.testing.assert_array_equal(Clock(knots, "hold", "hold").rate(t), [0, 0, 2, 2, 0, 0, 0, 0])


def test_only_so_many_changes_are_remembered(monkeypatch):
    monkeypatch.setattr("spatia_ros.actors.clock.MAX_CHANGES", 8)
    clock = Clock.REAL
    for k in range(50):
        clock = clock.switched(float(k), 0.5 if k % 2 else 2.0)
    assert len(clock.changes) == 8
    assert clock.at(49.0) == pytest.approx(sum(0.5 if k % 2 else 2.0 for k in range(49)))
    assert clock.at(42.0) == pytest.approx(sum(0.5 if k % 2 else 2.0 for k in range(42)))


PLAYED = {
    "forward": [0, 0.5, 1, 1.5, 2, 2.5, 3], "reverse": [3, 2.5, 2, 1.5, 1, 0.5, 0], "ping-pong": [0, 1, 2, 3, 2, 1, 0],
    "slow": [0, 1, 1.6667, 2, 2.3333, 2.6667, 3], "fast": [0, 0.25, 0.5, 0.75, 1.5, 2.25, 3], "freeze": [0] * 7,
    "ramp-freeze": [0, 1, 2, 3, 3, 3, 3], "bullet-time": [0, 0.75, 1.5, 1.5, 1.5, 2.25, 3], "loop": [0, 0.5, 1, 1.5, 2, 2.5, 3],
    "zigzag": [0, 1, 2, 1.5, 1, 2, 3],
}  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_plays_its_piece(name):
    clock = pattern(name, 0.0, 3.0, length_s=6.0, at_s=0.0)
    np.testing.assert_allclose(clock.at(np.arange(7.0)), PLAYED[name], atol=1e-4)


def test_around_a_pattern_time_runs_on_without_a_jump():
    for name in PATTERNS:
        clock = pattern(name, 2.0, 5.0, 4.0, at_s=10.0)
        assert clock.rate(3.0) == 1.0
        for t in (10.0, 14.0) if name != "loop" else (10.0,):
            assert clock.at(t + 1e-9) == pytest.approx(clock.at(t - 1e-9), abs=1e-6)
    assert pattern("freeze", 2.0, 2.0, 4.0).at(9.0) == pytest.approx(5.0)  # four seconds were lost
    assert pattern("reverse", 0.0, 2.0).at(9.0) == 0.0
    assert pattern("loop", 0.0, 2.0).at(9.0) == pytest.approx(1.0)
    assert PATTERNS["ping-pong"](0.0, 2.0).at(2.5) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Clock(np.array([[0.0, 0.0], [0.0, 1.0]])), "strictly rising"),
        (lambda: Clock(np.array([[0.0, np.nan], [1.0, 1.0]])), "finite seconds"),
        (lambda: Clock(np.array([[0.0, 0.0], [2e9, 1.0]])), "finite seconds within"),
        (lambda: Clock(np.zeros((0, 2))), "1..100000 knots"),
        (lambda: Clock(np.zeros((1, 2)), "hold", "loop"), "hold with a single knot"),
        (lambda: Clock(np.array([[0.0, 0.0], [1.0, 1.0]]), "stop"), "clock.before: expected one of hold"),
        (lambda: Clock(np.zeros((1, 2)), "hold", "hold", (Change(0.0, Clock.REAL.switched(1.0, 2.0), 0.0),)), "without changes"),
        (lambda: Clock.REAL.at(float("nan")), "finite seconds"),
        (lambda: Clock.from_dict({"knots": [[0, 0], [1]]}), "pairs"),
        (lambda: Clock.from_dict({"knots": [[0, 0], [1, True]]}), "pairs"),
        (lambda: Clock.from_dict({"knots": [[0, 0], [1, 1]], "speed": 2}), r"unknown \['speed'\]"),
        (lambda: Clock.from_dict([]), "expected a mapping"),
        (lambda: pattern("backwards", 0, 1), "expected one of forward, reverse"),
        (lambda: pattern("loop", 1, 0), "start_s <= end_s"),
    ],
)  # fmt: skip
def test_what_is_no_clock_is_refused(make, message):
    with pytest.raises(SpatiaError, match=message):
        make()

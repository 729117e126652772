"""What gives way when frames are late: tiny worlds whose frames cost what they cost, and what must come of it."""

from types import SimpleNamespace

import pytest

from spatia_ros.nodes.deadline import MOST_PATIENCE, Deadline, Quality, Rung, ladder

FULL, FEWER, PROJECTION, LOWER = Quality
RULES = SimpleNamespace(late_frames=3, room=0.7, climb_frames=10)
PERIOD = 0.1


def flown(deadline, cost_s, frames):
    """The rungs of so many frames, each costing what its rung costs."""
    rungs = []
    for _ in range(frames):
        rungs.append(deadline.rung)
        deadline.took(cost_s(deadline.rung), PERIOD)
    return rungs


def stepped(per_step, drawn):
    """A world in which a frame takes so much to draw, and so much for each sampling step."""
    return lambda rung: drawn + per_step * rung.steps


@pytest.mark.parametrize(
    ("steps", "slowest", "expected"),
    [
        (4, 3, [(FULL, 4, 1), (FEWER, 2, 1), (FEWER, 1, 1), (PROJECTION, 0, 1), (LOWER, 0, 2), (LOWER, 0, 3)]),
        (5, 1, [(FULL, 5, 1), (FEWER, 2, 1), (FEWER, 1, 1), (PROJECTION, 0, 1)]),
        (1, 2, [(FULL, 1, 1), (PROJECTION, 0, 1), (LOWER, 0, 2)]),
        (0, 2, [(FULL, 0, 1), (LOWER, 0, 2)]),
        (0, 1, [(FULL, 0, 1)]),
    ],
)
def test_the_order_is_steps_then_invention_then_rate(steps, slowest, expected):
    assert list(ladder(steps, slowest)) == [Rung(*each) for each in expected]


@pytest.mark.parametrize(
    ("cost_s", "ends_at"),
    [
        (stepped(0.01, 0.02), (FULL, 4, 1)),
        (stepped(0.03, 0.02), (FEWER, 2, 1)),
        (stepped(0.06, 0.03), (FEWER, 1, 1)),
        (stepped(0.50, 0.09), (PROJECTION, 0, 1)),
        (stepped(0.50, 0.15), (LOWER, 0, 2)),
        (stepped(0.50, 0.29), (LOWER, 0, 3)),
        (stepped(0.50, 9.00), (LOWER, 0, 4)),
    ],
)
def test_it_comes_to_rest_on_the_best_rung_that_is_in_time(cost_s, ends_at):
    rungs = flown(Deadline(ladder(4, 4), RULES), cost_s, 21)
    assert rungs[-1] == Rung(*ends_at)
    assert rungs == sorted(rungs, key=ladder(4, 4).index), "never up on the way down"


def test_it_waits_for_several_late_frames_in_a_row():
    deadline = Deadline(ladder(4, 4), RULES)
    for cost in (0.2, 0.2, 0.05) * 10:
        assert deadline.took(cost, PERIOD).quality is FULL
    assert [deadline.took(0.2, PERIOD).quality for _ in range(3)] == [FULL, FULL, FEWER]


def test_a_frame_that_takes_its_whole_period_is_in_time_and_leaves_no_room():
    deadline = Deadline(ladder(1, 2), RULES)
    flown(deadline, lambda rung: 0.2, 3)
    assert {rung.quality for rung in flown(deadline, lambda rung: PERIOD, 200)} == {PROJECTION}


def test_it_climbs_back_when_the_load_is_gone():
    """3 late frames a rung down; 10 with room a rung up: 4 rungs each."""
    deadline = Deadline(ladder(2, 3), RULES)
    down = [rung.quality for rung in flown(deadline, lambda rung: 9.0, 12)]
    assert down == [quality for quality in Quality for _ in range(3)]
    assert deadline.rung == Rung(LOWER, 0, 3)
    back = flown(deadline, stepped(0.01, 0.02), 50)
    assert back == [rung for rung in reversed(ladder(2, 3)) for _ in range(10)]


def test_the_rate_comes_back_only_where_frames_fit_it():
    """A frame of 0.15 s never fits 0.7 of one period; one of 0.13 fits 0.7 of two."""
    for cost, every in ((0.15, 3), (0.13, 2)):
        deadline = Deadline(ladder(0, 3), RULES)
        flown(deadline, lambda rung: 9.0, 6)
        assert deadline.rung.every == 3
        assert flown(deadline, lambda rung, cost=cost: cost, 300)[-1].every == every


def test_trials_that_fail_grow_rarer_and_are_forgiven():
    """Projection is quick and the network never in time: trials after 10, 20, 40 .. frames, MOST_PATIENCE times 10 at most."""
    deadline = Deadline(ladder(1, 1), RULES)
    costs = stepped(0.5, 0.01)
    waits, wait = [], 0
    for rung in flown(deadline, costs, 2000)[3:]:
        if rung.quality is PROJECTION:
            wait += 1
        elif wait:
            waits.append(wait)
            wait = 0
    assert waits[:6] == [10, 20, 40, 80, 160, 320]
    assert set(waits[5:]) == {10 * MOST_PATIENCE}
    flown(deadline, stepped(0.01, 0.01), 400)
    assert deadline.rung.quality is FULL
    fallen = flown(deadline, costs, 20)
    assert [rung.quality for rung in fallen].count(FULL) == 6, "3 until it gives way, 10 later the first trial: 3 more"
    assert [rung.quality for rung in fallen[3:13]] == [PROJECTION] * 10


def test_reset_begins_at_the_top():
    deadline = Deadline(ladder(4, 4), RULES)
    flown(deadline, lambda rung: 9.0, 30)
    deadline.reset()
    assert deadline.rung.quality is FULL
    assert flown(deadline, lambda rung: 9.0, 4)[-1].quality is FEWER


def test_the_last_rung_is_kept_however_late():
    assert flown(Deadline(ladder(0, 1), RULES), lambda rung: 9.0, 50)[-1].quality is FULL

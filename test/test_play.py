"""The simulation's state and the gate before its frames, without ROS: a worker of two lines makes the frames."""

import threading

import pytest

from spatia_ros.nodes.simulation.play import AlreadyThere, Interrupted, NotPaused, NoTransition, Play, State

ALL = list(State)


def work(play, frames=1):
    """So many frames, or as many of them as may begin."""
    made = 0
    while made < frames and play.may_start():
        play.made()
        made += 1
    return made


@pytest.mark.parametrize("here", ALL)
@pytest.mark.parametrize("target", ALL)
def test_every_transition_is_allowed_or_refused_as_the_standard_has_it(here, target):
    with_world = {State.STOPPED, State.PLAYING, State.PAUSED}
    allowed = target is State.QUITTING or {here, target} <= with_world
    play = Play(here)
    if here is target:
        with pytest.raises(AlreadyThere, match=target.word):
            play.check(target)
    elif allowed:
        play.check(target)
        play.become(target)
        assert play.state is target
    else:
        with pytest.raises(NoTransition, match=f"{here.word} leads to, got {target.word}"):
            play.check(target)
    assert play.has_world == (play.state in with_world)


def test_only_playing_starts_frames_by_itself():
    assert [state for state in ALL if Play(state).may_start()] == [State.PLAYING]
    assert not Play(State.PLAYING, stepped=lambda: True).may_start()


def test_steps_are_exactly_as_many_as_asked_for():
    play = Play(State.PAUSED)
    with play.steps(3) as steps:
        assert work(play, 10) == 3
        assert list(steps) == [1, 2, 3]
        assert not play.may_start()
    assert work(play, 10) == 0


def test_a_step_is_told_as_soon_as_it_is_made():
    play, told, go = Play(State.PAUSED), [], threading.Semaphore(0)
    play.on_change = go.release

    def worker():
        go.acquire()
        while play.may_start():
            go.acquire()
            play.made()

    thread = threading.Thread(target=worker)
    thread.start()
    with play.steps(3) as steps:
        go.release()
        for k in steps:
            told.append((k, steps.left))
            go.release()
    thread.join()
    assert told == [(1, 2), (2, 1), (3, 0)]


def test_leaving_early_leaves_the_rest_undone_and_counts_the_frame_in_progress():
    play = Play(State.PAUSED)
    with play.steps(5) as steps:
        work(play, 2)
        assert play.may_start()  # a frame begins
        steps.end()
        play.made()
        assert not play.may_start()
        assert (list(steps), steps.made) == ([1, 2, 3], 3)
    assert not play.stepping


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda play: play.become(State.PLAYING), Interrupted),
        (lambda play: play.given_up(MemoryError("no room")), MemoryError),
        (lambda play: play.close(), Interrupted),
    ],
)
def test_what_ends_the_steps_is_told(end, error):
    play = Play(State.PAUSED)
    with play.steps(2) as steps:
        work(play, 1)
        end(play)
        told = iter(steps)
        assert next(told) == 1
        with pytest.raises(error):
            next(told)


def test_steps_are_for_a_paused_simulation_and_one_client():
    for state in set(ALL) - {State.PAUSED}:
        with pytest.raises(NotPaused, match=state.word), Play(state).steps(1):
            pass
    play = Play(State.PAUSED)
    for count in (0, 2**60):
        with pytest.raises(NotPaused, match=f"expected 1..1000000 steps at a time, got {count}"), play.steps(count):
            pass
    with pytest.raises(NotPaused, match="got -1"), play.steps(-1):
        pass
    with play.steps(1), pytest.raises(NotPaused, match="1 are still to do"), play.steps(1):
        pass
    with play.steps(1):
        assert play.stepping
    with Play(State.PLAYING, stepped=lambda: True).steps(1):
        pass


def test_whoever_waits_for_frames_is_woken_by_changes():
    play, woken = Play(State.PAUSED), []
    play.on_change = lambda: woken.append(play.may_start())
    play.become(State.PLAYING)
    play.become(State.PAUSED)
    with play.steps(1):
        pass
    assert woken == [True, False, True]

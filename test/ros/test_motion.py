"""Commands as poses in time, and the thread that carries them out."""

import gc
import threading
import weakref
from functools import partial

import numpy as np
import pytest
from harness import wait

from spatia_ros import geometry
from spatia_ros.nodes.motion import Drive, Exposures, Follow, Pace, Stand, exponential
from spatia_ros.nodes.rig.frames import Rig, logarithm
from spatia_ros.nodes.settings import FrameSettings, MotionSettings
from spatia_ros.nodes.simulation.play import Play, State
from spatia_ros.nodes.worker import Worker
from spatia_ros.types import SpatiaError

SECOND = 1_000_000_000
LATER_S = 1e12


def at(x, y=0.0, yaw=0.0):
    c, s = np.cos(yaw), np.sin(yaw)
    return geometry.pose(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]), np.array([x, y, 0.0]))


def path(*poses, frame="map"):
    return Follow(frame, np.arange(len(poses), dtype=np.int64) * SECOND, np.stack(poses))


# Velocities


@pytest.mark.parametrize("turn", [0.0, 1e-6, 0.3, 3.1])
def test_the_velocity_of_a_motion_is_the_one_that_made_it(turn):
    twist = np.array([1.0, -0.2, 0.3, 0.1 * turn, 0.0, turn])
    np.testing.assert_allclose(logarithm(exponential(twist)), twist, atol=1e-9)


def test_a_turning_car_goes_round_a_circle():
    """1 m/s and 90 degrees/s: a circle of radius 2/pi; a quarter of it in a second, in one step or in ten."""
    twist = np.array([1.0, 0, 0, 0, 0, np.pi / 2])
    quarter = at(2 / np.pi, 2 / np.pi, np.pi / 2)
    np.testing.assert_allclose(exponential(twist), quarter, atol=1e-12)
    np.testing.assert_allclose(np.linalg.matrix_power(exponential(twist / 10), 10), quarter, atol=1e-12)


def test_straight_and_nearly_straight_agree():
    straight, nearly = np.array([1.0, 2.0, 3.0, 0, 0, 0]), np.array([1.0, 2.0, 3.0, 1e-9, 1e-9, 1e-9])
    np.testing.assert_allclose(exponential(straight)[:3, 3], (1, 2, 3))
    np.testing.assert_allclose(exponential(nearly), exponential(straight), atol=1e-8)


def test_wheels_go_forward_and_yaw_only():
    rig, sideways = Rig(FrameSettings()), Drive(np.array([1.0, 5.0, 5.0, 5.0, 5.0, 0.0]), LATER_S)
    move = sideways.next(rig, MotionSettings(twist_model="unicycle"), SECOND)
    np.testing.assert_allclose(move.T_map_base, at(1.0))


def test_an_old_or_zero_velocity_makes_no_frame():
    rig = Rig(FrameSettings())
    assert Drive(np.ones(6), 0.0).next(rig, MotionSettings(), SECOND) is None
    assert Drive(np.zeros(6), LATER_S).next(rig, MotionSettings(), SECOND) is None
    assert Stand().next(rig, MotionSettings(), SECOND) is None
    assert Stand().next(rig, MotionSettings(stream=True), SECOND) is not None


def test_a_velocity_may_last_by_the_time_of_the_frames():
    """0.35 s in frames of 0.1 s: the fourth begins before it is over."""
    rig, drive = Rig(FrameSettings()), Drive(np.ones(6), lasts_ns=350_000_000)
    moves = [drive.next(rig, MotionSettings(), SECOND // 10) for _ in range(6)]
    assert [move is not None for move in moves] == [True] * 4 + [False] * 2


def test_standing_so_many_frames():
    rig, stand = Rig(FrameSettings()), Stand(frames=2)
    assert [stand.next(rig, MotionSettings(), SECOND) is not None for _ in range(3)] == [True, True, False]


# Paths and frames


def test_a_path_is_one_frame_a_pose_with_its_own_timing():
    motion, rig = Follow("map", np.array([0, 5, 20]), np.stack([at(0.0), at(0.1), at(0.2)])), Rig(FrameSettings())
    moves, ahead = [], []
    while (ahead.append(motion.ahead_ns) or True) and (move := motion.next(rig, MotionSettings(), 7)):
        moves.append(move)
    assert ahead == [0, 5, 15, 0]
    assert [(m.dt_ns, m.index, m.length, m.jump) for m in moves] == [(None, 0, 3, False), (5, 1, 3, False), (15, 2, 3, False)]
    assert not motion.unfinished


def test_a_path_may_be_thinned_and_takes_as_long():
    """Every third pose of eight, by their own times; the first and the last are never left out."""
    rig, offsets = Rig(FrameSettings()), np.array([0, 1, 3, 6, 10, 15, 21, 28])
    motion = Follow("map", offsets, np.stack([at(0.1 * i) for i in range(8)]))
    motion.skip(2)  # not begun: the rig goes to where the path begins
    moves = []
    while move := motion.next(rig, MotionSettings(), 7):
        moves.append(move)
        motion.skip(2)
    assert [(m.index, m.dt_ns) for m in moves] == [(0, None), (3, 6), (6, 15), (7, 7)]


def test_a_path_in_the_rigs_own_frame_starts_where_the_rig_is():
    rig = Rig(FrameSettings())
    rig.move(at(1.0, 1.0, np.pi / 2), 1.0, jump=True)
    motion = path(at(0.1), at(0.2), frame="base_link")
    for x in (0.1, 0.2):
        rig.move(motion.next(rig, MotionSettings(), SECOND).T_map_base, 1.0, jump=False)
        np.testing.assert_allclose(rig.pose.T_map_base, at(1.0, 1.0 + x, np.pi / 2), atol=1e-12)


def test_the_pose_button_knows_no_height():
    rig, high = Rig(FrameSettings()), at(1.0)
    high[2, 3] = 1.4
    rig.move(high, 1.0, jump=True)
    for z, kept in ((0.0, 1.4), (0.3, 0.3)):
        target = at(5.0)
        target[2, 3] = z
        move = Follow("map", np.zeros(1, np.int64), target[None], keep_height=True).next(rig, MotionSettings(), SECOND)
        assert move.T_map_base[2, 3] == kept
        assert target[2, 3] == z


def test_odom_never_jumps():
    """A step of the motion moves odom -> base_link, a jump moves map -> odom; their product is always the command."""
    rig, settings = Rig(FrameSettings()), MotionSettings(jump_m=0.5)
    for target, jumps in ((at(0.3), False), (at(5.0, 2.0, 3.0), True), (at(5.2, 2.0, 3.0), False), (at(5.2, 2.0, 1.0), True)):
        before = rig.pose
        jump = path(target).next(rig, settings, SECOND).jump
        assert jump == jumps
        rig.move(target, 0.5, jump)
        np.testing.assert_allclose(rig.pose.T_map_base, target, atol=1e-12)
        unchanged = ("T_odom_base", "T_map_odom")[not jump]
        np.testing.assert_array_equal(getattr(rig.pose, unchanged), getattr(before, unchanged))
    assert Follow("map", np.zeros(1, np.int64), at(5.2, 2.0, 1.0)[None], teleport=True).next(rig, settings, SECOND).jump


def test_the_odometrys_velocity_is_in_the_rigs_axes():
    rig = Rig(FrameSettings())
    rig.move(at(0.0, 0.0, np.pi / 2), 1.0, jump=True)
    rig.move(at(0.0, 0.2, np.pi / 2), 0.1, jump=False)
    np.testing.assert_allclose(rig.pose.twist, (2.0, 0, 0, 0, 0, 0), atol=1e-12)


# Time


def test_stamps_are_uniform_and_increasing():
    exposures = Exposures(100, 1000)
    assert [exposures.next(None) for _ in range(3)] == [1100, 1200, 1300]
    assert exposures.next(30) == 1330


def test_stamps_follow_a_clock_on_the_same_grid():
    exposures = Exposures(100, 1000)
    assert [exposures.next(None, now) for now in (1050, 1555, 1560, 1600)] == [1100, 1500, 1600, 1700]
    assert exposures.next(30, 9999) == 1730


def test_frames_are_paced_and_a_late_one_does_not_make_others_hurry():
    clock = [100.0]
    pace = Pace(lambda: clock[0])
    assert pace.pause_s(0.1) <= 0
    pace.begin(0.0)
    assert pace.pause_s(0.1) == pytest.approx(0.1)
    clock[0] = 100.13
    pace.begin(0.1)  # 30 ms late: the next is due on time
    assert pace.pause_s(0.1) == pytest.approx(0.07)
    clock[0] = 101.0
    pace.begin(0.1)  # late by many periods: start over
    assert pace.pause_s(0.1) == pytest.approx(0.1)
    clock[0] = 5.0  # a simulated clock jumped back
    assert pace.pause_s(0.1) == pytest.approx(0.1)


def test_lateness_is_measured_from_when_the_next_frame_may_begin():
    """A period of 0.1 s: frames that take 0.04, 0.06, 0.105 and 0.13 s; the last alone is late by more than a tenth."""
    clock = [100.0]
    pace, due = Pace(lambda: clock[0]), 100.0
    for cost in (0.04, 0.06, 0.105, 0.13):
        clock[0] = max(due, clock[0])
        pace.begin(0.1)
        clock[0] += cost
        pace.published(0.1)
        due += 0.1
    late = np.array([-0.06, -0.04, 0.005, 0.005 + 0.03])
    assert pace.late == 1
    assert pace.jitter_s == pytest.approx(late.std())


# The worker


class Hands:
    """A worker whose frames are made one by one, when the test lets them."""

    def __init__(self, play=None, pause_s=lambda motion: 0.0):
        self.made, self.failures, self.gate = [], [], threading.Semaphore(0)
        self.worker = Worker(self.frame, lambda: None, self.failures.append, pause_s, lambda: None, play)
        self.worker.start()

    def frame(self, motion):
        self.gate.acquire()
        if motion.next(Rig(FrameSettings()), MotionSettings(), SECOND) is None:
            return False
        self.made.append(motion)
        return True


class Counted:
    """A motion of some frames."""

    ahead_ns = 0

    def __init__(self, n, error=None):
        self.left, self.error = n, error

    @property
    def unfinished(self):
        return self.left > 0

    def next(self, rig, settings, period_ns):
        if self.error:
            raise self.error
        self.left -= 1
        return self.left + 1 or None


@pytest.fixture
def hands():
    it = Hands()
    yield it
    it.gate.release(1000)
    it.worker.close()


def let(hands, frames):
    before = len(hands.made)
    hands.gate.release(frames)
    wait(lambda: len(hands.made) == before + frames, f"{frames} frames")


def test_the_newest_command_wins_and_drops_are_counted(hands):
    first, second, third = Counted(5), Counted(5), Counted(1)
    hands.worker.follow(first)
    let(hands, 2)
    hands.worker.follow(second)  # waits for the frame in progress
    hands.worker.follow(third)  # takes its place
    let(hands, 2)  # the frame of the first that was in progress, then the third
    assert hands.made == [first, first, first, third]
    assert hands.worker.dropped == 2  # the second before it began, the first before it ended


def test_jobs_come_before_the_next_frame_and_keep_their_order(hands):
    order, motion = [], Counted(2)
    hands.worker.follow(motion)
    wait(lambda: hands.worker.busy, "the motion")
    futures = [hands.worker.submit(lambda i=i: order.append((i, len(hands.made)))) for i in range(3)]
    let(hands, 1)
    for future in futures:
        future.result(10.0)
    assert [i for i, _ in order] == [0, 1, 2]
    assert all(made <= 1 for _, made in order)


def test_a_failing_frame_ends_its_motion_only(hands):
    hands.worker.follow(Counted(3, MemoryError("no room")))
    hands.gate.release()
    wait(lambda: hands.failures, "the failure")
    assert str(hands.failures[0]) == "no room"
    good = Counted(1)
    hands.worker.follow(good)
    let(hands, 1)
    assert hands.made == [good]


def test_a_jobs_error_goes_to_who_asked(hands):
    with pytest.raises(ZeroDivisionError):
        hands.worker.submit(lambda: 1 / 0).result(10.0)
    assert hands.worker.submit(lambda: 7).result(10.0) == 7


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_job_held_is_free_once_it_is_done(hands, fails):
    """Without the collector, and although no other job comes: an error does not hold itself by its traceback."""

    def job(large):
        if fails:
            raise SpatiaError("no")
        return len(large)

    large = np.zeros(3)
    held = weakref.ref(large)
    gc.disable()
    try:
        future = hands.worker.submit(partial(job, large))
        wait(future.done, "the job")
        del future, large
        wait(lambda: held() is None, "what the job held to be free", 20.0)
    finally:
        gc.enable()


def test_after_close_jobs_are_cancelled(hands):
    hands.worker.close()
    assert hands.worker.submit(lambda: 1).cancelled()


# The gate


@pytest.fixture
def play():
    return Play(State.PAUSED)


@pytest.fixture
def stepped(play):
    """Hands that are never in the way, behind a gate; no frame would ever be due."""
    it = Hands(play, pause_s=lambda motion: np.inf)
    play.on_change = it.worker.wake
    it.gate.release(1000)
    yield it
    it.worker.close()


def test_paused_commands_wait_and_jobs_do_not(stepped):
    motion = Counted(2)
    stepped.worker.follow(motion)
    assert stepped.worker.submit(lambda: len(stepped.made)).result(10.0) == 0
    assert stepped.worker.follows(motion)
    assert not stepped.worker.busy


def test_so_many_steps_are_so_many_frames_of_the_motion_and_then_standing_ones(stepped, play):
    motion = Counted(2)
    stepped.worker.follow(motion)
    with play.steps(5) as steps:
        assert list(steps) == [1, 2, 3, 4, 5]
    assert stepped.worker.submit(lambda: len(stepped.made)).result(10.0) == 5
    assert stepped.made[:2] == [motion, motion]
    assert all(isinstance(each, Stand) for each in stepped.made[2:])


def test_a_failing_frame_ends_the_steps_with_its_error(stepped, play):
    stepped.worker.follow(Counted(3, MemoryError("no room")))
    with play.steps(2) as steps, pytest.raises(MemoryError, match="no room"):
        list(steps)


def test_playing_on_opens_the_gate():
    play = Play(State.PAUSED)
    other = Hands(play)
    play.on_change = other.worker.wake
    other.gate.release(1000)
    try:
        other.worker.follow(Counted(3))
        assert other.worker.submit(lambda: len(other.made)).result(10.0) == 0
        play.become(State.PLAYING)
        wait(lambda: len(other.made) == 3, "the frames that waited")
    finally:
        other.worker.close()

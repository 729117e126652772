"""Checkpoints of a world node: after a crash or a stop it goes on where it was: the same frames, and later stamps."""

import shutil
import threading

import pytest
from geometry_msgs.msg import PoseStamped
from harness import START, wait, walled_world
from nav_msgs.msg import Path
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from spatia_ros.actors import PoseTrack
from spatia_ros.actors.library import library_actor
from spatia_ros.checkpoint import Checkpoints
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import convert
from spatia_ros.nodes.checkpoint import AHEAD_NS
from spatia_ros.srv import SetMode
from spatia_ros.types import SpatiaError

PERIOD_NS = 10_000_000


@pytest.fixture
def make(graph, tmp_path):
    """Nodes with a data folder each, taken down after the test."""
    nodes = []

    def node(namespace, data=None, start=True, **values):
        data = data or tmp_path / namespace.strip("/")
        data.mkdir(exist_ok=True)
        settings = {"frame_rate_hz": 100.0, "checkpoint__folder": "kept", "checkpoint__every_s": 0.0, **values}
        nodes.append(walled_world(graph, data, namespace, start=False, **settings))
        if start:
            nodes[-1].start()
        return nodes[-1]

    yield node
    for each in nodes:
        graph.remove(each)


class Flight:
    """Flies a world a few frames at a time."""

    def __init__(self, graph, namespace, node):
        self.node, self.images = node, graph.collect(Image, f"{namespace}/camera/color/image_raw")
        self._path = graph.publisher(Path, f"{namespace}/cmd_trajectory")

    def fly(self, first, count=4):
        """The images of the next poses, as (stamp, bytes)."""
        before, path = len(self.images), Path(header=convert.to_header(0, "map"))
        start = self.node.rig.base_of(START)
        for i in range(first, first + count):
            moved = start.copy()
            moved[:3, 3] += (0.03 * i, 0.05 * i, 0.0)
            path.poses.append(PoseStamped(header=convert.to_header(0, ""), pose=convert.to_pose(moved)))
        self._path.publish(path)
        wait(lambda: len(self.images) >= before + count, "the frames of a path")
        wait(lambda: not self.node.worker.busy, "the end of a path")
        return [(convert.time_ns(image.header.stamp), bytes(image.data)) for image in self.images[before:]]


def pixels(frames):
    return [data for _, data in frames]


def test_after_a_crash_the_same_commands_give_the_same_frames_and_stamps_do_not_go_back(graph, make, tmp_path):
    """The folder as it lay on disk at the crash is all that the second node gets."""
    first = make("/first")
    walker = library_actor("ball", track=PoseTrack.still(START), spacing_m=0.02)
    first.worker.submit(lambda: first.cast.add(walker)).result()
    flight = Flight(graph, "/first", first)
    flight.fly(0)
    assert graph.call(SetMode, "/first/memory/set_mode", mode=SimStatus.FROZEN).success
    answer = graph.call(Trigger, "/first/checkpoint")
    assert (answer.success, answer.message) == (True, "checkpoint 1")
    expected = flight.fly(4)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = make("/second")
    assert [actor.name for actor in second.cast] == [actor.name for actor in first.cast]
    assert (second.mode, second.status().frames, len(second.memory)) == (SimStatus.FROZEN, 0, len(first.memory))
    again = Flight(graph, "/second", second).fly(4)
    assert pixels(again) == pixels(expected)
    assert again[0][0] > expected[-1][0]
    assert again[0][0] <= expected[-1][0] + AHEAD_NS + PERIOD_NS


def test_a_stop_and_a_start_leave_no_trace(graph, make):
    """Configured again, a world makes the frames, at the stamps, that its twin makes without a stop."""
    stopped, twin = make("/stopped"), make("/twin", checkpoint__folder="")
    flights = [Flight(graph, "/stopped", stopped), Flight(graph, "/twin", twin)]
    before, other = (flight.fly(0) for flight in flights)
    assert pixels(before) == pixels(other)
    stopped.trigger_deactivate()
    stopped.trigger_cleanup()
    stopped.start()
    assert stopped.health.failed == 0
    after, other = Flight(graph, "/stopped", stopped).fly(4), flights[1].fly(4)
    assert pixels(after) == pixels(other)
    assert after[0][0] == before[-1][0] + PERIOD_NS


def test_checkpoints_are_written_by_themselves_and_only_when_something_changed(graph, make):
    node = make("/timed", checkpoint__every_s=0.05)
    keeper = node._parts[0]
    flight = Flight(graph, "/timed", node)
    for _ in range(2):
        flight.fly(0)
        index = node.world.index
        wait(lambda index=index: keeper._last and keeper._last[0][0] == index, "a checkpoint of the last frame")
    assert node.worker.submit(keeper.state).result() is None, "nothing changed since"
    assert keeper.held_ms > 0
    status = SimStatus()

    def newest():
        keeper.fill(status)
        return status.checkpoint

    wait(lambda: newest() >= 2, "the second to be on disk")


class Slow:
    """A disk that takes what is written beside the frames only once it is let, or until that is given up."""

    def __init__(self, monkeypatch):
        self.begun, self.let, self.given_up = threading.Event(), threading.Event(), 0
        write = Checkpoints.write

        def slow(folder, saved, needless=lambda: False):
            if threading.current_thread().name != "checkpoint":
                return write(folder, saved, needless)
            self.begun.set()
            wait(lambda: self.let.is_set() or needless(), "to be let, or given up")
            self.given_up += needless()
            return write(folder, saved, needless)

        monkeypatch.setattr(Checkpoints, "write", slow)


def test_who_stops_writes_one_checkpoint_more_and_gives_up_an_older_one(graph, make, monkeypatch):
    node, slow = make("/stopping"), Slow(monkeypatch)
    keeper, flight = node._parts[0], Flight(graph, "/stopping", node)
    flight.fly(0)
    node.worker.submit(keeper._begin).result()
    assert slow.begun.wait(10.0)
    flight.fly(4)
    index = node.world.index
    node.trigger_deactivate()
    assert slow.given_up == 1
    saved, wrong = keeper._kept.read()
    assert (saved.world.index, wrong, keeper._kept.number) == (index, [], 1)
    assert node.health.failed == 0


def test_what_is_being_written_is_given_up_while_a_newer_frame_is_made(graph, make, monkeypatch):
    node, slow = make("/framing"), Slow(monkeypatch)
    keeper, go_on = node._parts[0], threading.Event()
    Flight(graph, "/framing", node).fly(0)
    node.worker.submit(keeper._begin).result()
    assert slow.begun.wait(10.0)
    node.worker.submit(go_on.wait)
    wait(lambda: node.worker.at_it_s, "the worker to be at it")
    stopping = threading.Thread(target=node.trigger_deactivate)
    stopping.start()
    wait(lambda: slow.given_up, "it to be given up, while the worker is at it still")
    assert node.worker.at_it_s
    go_on.set()
    stopping.join(30.0)
    saved, wrong = keeper._kept.read()
    assert (saved.world.index, wrong, keeper._kept.number) == (node.world.index, [], 1)


def test_who_stops_waits_for_the_last_state_where_that_is_being_written(graph, make, monkeypatch):
    node, slow = make("/waiting"), Slow(monkeypatch)
    keeper = node._parts[0]
    Flight(graph, "/waiting", node).fly(0)
    node.worker.submit(keeper._begin).result()
    assert slow.begun.wait(10.0)
    slow.let.set()
    wait(lambda: not node.worker.at_it_s, "the worker to rest")
    node.trigger_deactivate()
    assert slow.given_up == 0
    assert keeper._kept.number == 1
    assert keeper._kept.read()[0].world.index == node.world.index


def test_a_damaged_newest_state_is_told_and_the_one_before_is_taken(graph, make, tmp_path):
    node = make("/torn")
    flight = Flight(graph, "/torn", node)
    for first in (0, 4):
        flight.fly(first)
        assert graph.call(Trigger, "/torn/checkpoint").success
    kept = tmp_path / "torn" / "kept"
    shutil.copytree(tmp_path / "torn", tmp_path / "mended")
    newest = tmp_path / "mended" / "kept" / "00000002.checkpoint"
    newest.write_bytes(newest.read_bytes()[:-100])
    mended = make("/mended")
    assert mended.world.index == 4
    assert "00000002.checkpoint" in mended.health.message
    assert len(list(kept.glob("*.checkpoint"))) == 2


def test_what_does_not_fit_is_refused_in_words(graph, make, tmp_path):
    node = make("/fit")
    Flight(graph, "/fit", node).fly(0)
    with pytest.raises(SpatiaError, match="another node keeps its state"):
        make("/rival", data=tmp_path / "fit")
    node.trigger_deactivate()
    node.trigger_cleanup()
    other = make("/other", data=tmp_path / "fit", start=False, camera__width_px=128)
    with pytest.raises(SpatiaError, match=r"checkpoint 1: expected camera.width_px to be 96 as it was then, got 128"):
        other.start()
    anew = make("/anew", data=tmp_path / "fit", camera__width_px=128, checkpoint__resume=False)
    assert anew.world.index == 0

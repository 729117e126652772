"""The recorder and the pilot, one at a time."""

import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (make test sets it up)")

import rclpy
from geometry_msgs.msg import PoseStamped
from harness import Background, wait
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from spatia_ros.msg import GeneratedFrame, MemoryUpdate, SimStatus
from spatia_ros.nodes import qos
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import FrameSettings
from spatia_ros.nodes.tools import pilot
from spatia_ros.nodes.tools.recorder import Definitions, record
from spatia_ros.sequence.bag_file import BagFile
from spatia_ros.types import SpatiaError, Trajectory

PATH = "0.1 0 0 0 0 0 0 1\n0.2 0 0 0.1 0 0 0 1\n"


def test_messages_of_all_topics_are_kept_in_order(graph, publisher, tmp_path):
    images = publisher(Image, "/rec/image")
    with Background(record, tmp_path / "run.mcap", ["/rec/image"]) as recording:
        wait(lambda: images.get_subscription_count() == 1, "the recorder")
        for k in range(20):
            images.publish(Image(height=2, width=k + 1, encoding="mono8", step=k + 1, data=bytes(2 * (k + 1))))
        late = publisher(GeneratedFrame, "/rec/late")
        wait(lambda: late.get_subscription_count() == 1, "the recorder")
        late.publish(GeneratedFrame(step=7, model="nano", synthetic=True))
    bag = BagFile(tmp_path / "run.mcap")
    assert [message.width for _, message in bag.messages("/rec/image")] == list(range(1, 21))
    (_, frame), *more = bag.messages("/rec/late")
    assert (frame.step, frame.model, frame.synthetic) == (7, "nano", True)
    assert not more
    assert recording.counts["/rec/image"] == 20
    assert [path.name for path in tmp_path.iterdir()] == ["run.mcap"], "nothing half-written is left"


def test_what_was_said_before_and_what_is_said_once(graph, publisher, tmp_path):
    latched = publisher(String, "/rec/latched", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    latched.publish(String(data="long ago"))
    best_effort = publisher(String, "/rec/hasty", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    listener = graph.client.create_subscription(PoseStamped, "/rec/command", lambda _: None, qos.COMMAND)
    with Background(record, tmp_path / "run.mcap", ["/rec/latched", "/rec/hasty"]):
        wait(lambda: best_effort.get_subscription_count() == 1, "the recorder")
        command = publisher(PoseStamped, "/rec/command", qos.COMMAND)
        wait(lambda: command.get_subscription_count() == 2, "its listener and the recorder, which came first")
        command.publish(PoseStamped())
        best_effort.publish(String(data="now"))
    graph.client.destroy_subscription(listener)
    bag = BagFile(tmp_path / "run.mcap")
    assert [message.data for _, message in bag.messages("/rec/latched")] == ["long ago"]
    assert [message.data for _, message in bag.messages("/rec/hasty")] == ["now"]
    assert len(list(bag.messages("/rec/command"))) == 1


@pytest.mark.parametrize("kind", [GeneratedFrame, MemoryUpdate, SimStatus])
def test_definitions_are_those_ros_knows(graph, publisher, kind):
    name, topic = f"spatia_ros/msg/{kind.__name__}", f"/rec/hash_of_{kind.__name__}"  # DDS is slow to forget a topic's type
    definitions = Definitions()
    definitions.learn(name)
    publisher(kind, topic)
    wait(lambda: graph.client.get_publishers_info_by_topic(topic), "the topic")
    infos = graph.client.get_publishers_info_by_topic(topic)
    digest = definitions.store.hash_rihs01(name)
    assert str(infos[0].topic_type_hash).removeprefix("RIHS01_") == digest.removeprefix("RIHS01_")


def test_an_unknown_type_is_told():
    with pytest.raises(LookupError, match="no_such_package/msg/Thing"):
        Definitions().learn("no_such_package/msg/Thing")


def test_a_recording_is_not_overwritten(tmp_path):
    path = tmp_path / "run.mcap"
    path.write_bytes(b"years of work")
    with pytest.raises(SpatiaError, match="not overwritten"):
        record(path, [], threading.Event(), lambda: None)
    assert path.read_bytes() == b"years of work"


@pytest.mark.parametrize(("path", "says"), [(PATH, "expected a world node within 1 s"), ("nonsense", "path.txt:1")])
def test_a_flight_that_cannot_be_says_why(tmp_path, path, says):
    (tmp_path / "path.txt").write_text(path)
    program = [sys.executable, "-m", "spatia_ros.nodes.tools.tool"]
    command = [*program, "fly", "--patience-s", "1", "--trajectory", tmp_path / "path.txt"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_pilot_asks_again_where_an_answer_was_lost(graph, monkeypatch):
    """As Fast DDS drops it for a client that the server has not found yet: waiting for it would be waiting for ever."""
    asked, over = [], threading.Event()

    def state(_, answer):
        asked.append(1)
        if len(asked) == 1:
            over.wait(60.0)
        answer.current_state.id = State.PRIMARY_STATE_ACTIVE
        return answer

    service = graph.client.create_service(GetState, "world/get_state", state, callback_group=ReentrantCallbackGroup())
    monkeypatch.setattr(pilot, "ASK_AGAIN_S", 0.1)
    rclpy.init()
    try:
        path = Trajectory(np.array([0], np.int64), np.eye(4)[None])
        flying = pilot.Pilot(path, Rig(FrameSettings()), 30.0, lambda _: None)
        flying._wait(flying._is_active, "an active world node")
    finally:
        over.set()
        rclpy.try_shutdown()
        graph.client.destroy_service(service)
    assert len(asked) >= 2

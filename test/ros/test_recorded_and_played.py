"""Bags recorded as ros2 bag would, and played again; killed recorders; what others' writers say of the same topics."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from harness import Background, wait
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from spatia_ros.nodes import qos
from spatia_ros.nodes.tools.definitions import Definitions
from spatia_ros.nodes.tools.player import Playing, play
from spatia_ros.nodes.tools.recorder import Limits, offer_of, record
from spatia_ros.types import SpatiaError

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HASTY = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
PATIENT = QoSProfile(depth=10_000, reliability=ReliabilityPolicy.RELIABLE)
"""Keeps what a recorder on a busy machine asks for again."""
NEVER = QosTime(9223372036, 854775807)


def raw(path):
    """``(topic, bytes)`` in the order logged, as another reader finds them."""
    with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        return [(connection.topic, bytes(data)) for connection, _, data in reader.messages()]


@pytest.fixture(scope="module")
def recorded(graph, tmp_path_factory):
    """A folder with three topics, what was said on them, by whom, and the bytes that another listener got."""
    path = tmp_path_factory.mktemp("bag") / "run"
    offers = {"/bag/once": (String, LATCHED), "/bag/pose": (PoseStamped, qos.SENSOR_OUT), "/bag/hasty": (String, HASTY)}
    senders = [graph.client.create_publisher(kind, topic, profile) for topic, (kind, profile) in offers.items()]
    latched, reliable, hasty = senders
    said, names = [("/bag/once", String(data="long ago"))], list(offers)
    latched.publish(said[0][1])
    heard = {topic: [] for topic in names}
    listeners = []
    for topic, (kind, offer) in offers.items():
        patient = QoSProfile(depth=100, reliability=offer.reliability, durability=offer.durability)
        listeners.append(graph.client.create_subscription(kind, topic, heard[topic].append, patient, raw=True))
    with Background(record, path, names, limits=Limits(split_mb=0.002, compressed=False), topics=names):
        wait(lambda: all(sender.get_subscription_count() == 2 for sender in senders), "the recorder and the listener")
        for k in range(12):
            for sender, message in ((reliable, PoseStamped()), (hasty, String(data=f"{k} " + 100 * "x"))):
                if isinstance(message, PoseStamped):
                    message.header.stamp.sec, message.pose.position.x = k, 0.1 * k
                sender.publish(message)
                said.append((sender.topic, message))
        wait(lambda: sum(map(len, heard.values())) == len(said), "all of it", 20.0)
    infos = {topic: graph.client.get_publishers_info_by_topic(topic) for topic in names}
    for sender in senders:  # who spoke then is silent when it is played
        graph.client.destroy_publisher(sender)
    for listener in listeners:
        graph.client.destroy_subscription(listener)
    return path, said, infos, heard


def test_a_folder_has_the_bytes_and_the_offers_of_the_publishers(recorded, tmp_path):
    folder, said, infos, heard = recorded
    found = raw(folder)
    for topic, listened in heard.items():
        sent = [message for name, message in said if name == topic]
        kept = [data for name, data in found if name == topic]
        assert kept == [bytes(data) for data in listened], "to the last byte of padding, which nobody initialises"
        assert [deserialize_message(data, type(sent[0])) for data in kept] == sent
    told = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert len(told["files"]) > 1, "split"
    assert sum(each["message_count"] for each in told["files"]) == told["message_count"] == len(said)
    topics = {t["topic_metadata"]["name"]: t for t in told["topics_with_message_count"]}
    assert {name: t["message_count"] for name, t in topics.items()} == {"/bag/once": 1, "/bag/pose": 12, "/bag/hasty": 12}
    reference = reference_of(tmp_path / "theirs", infos, topics)
    for name, topic in topics.items():
        assert topic["topic_metadata"] == reference[name], "as rosbags' writer says it of the same publishers"


def reference_of(folder, infos, topics):
    """What rosbags' writer says of topics offered like this."""
    store = Definitions()
    for kind in ("std_msgs/msg/String", "geometry_msgs/msg/PoseStamped"):
        store.learn(kind)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for name, topic in topics.items():
            (end,) = infos[name]
            profile = end.qos_profile
            offered = Qos(
                QosHistory[profile.history.name], profile.depth, QosReliability[profile.reliability.name],
                QosDurability[profile.durability.name], NEVER, NEVER, QosLiveliness[profile.liveliness.name], NEVER, False,
            )  # fmt: skip
            writer.add_connection(name, topic["topic_metadata"]["type"], typestore=store.store, offered_qos_profiles=[offered])
    told = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    return {t["topic_metadata"]["name"]: t["topic_metadata"] for t in told["topics_with_message_count"]}


def test_an_offer_in_the_words_of_rosbag2():
    told = offer_of(LATCHED)
    assert (told["history"], told["depth"]) == ("keep_last", 1)
    assert (told["reliability"], told["durability"]) == ("reliable", "transient_local")
    assert told["deadline"] == {"sec": 9223372036, "nsec": 854775807}


def test_played_again_it_is_what_was_recorded(graph, recorded):
    folder = recorded[0]
    heard, ticks = [], []
    subscriptions = [
        graph.client.create_subscription(kind, topic, lambda data, at=topic: heard.append((at, data)), profile, raw=True)
        for topic, kind, profile in (("/bag/pose", PoseStamped, qos.SENSOR_OUT), ("/bag/hasty", String, HASTY))
    ]
    subscriptions.append(graph.client.create_subscription(Clock, "/clock", ticks.append, 10))
    playing = Playing(rate=0.5, clock_hz=200.0, wait_for=("/bag/pose", "/bag/hasty"))
    with Background(play, folder, playing) as player:
        wait(lambda: sum(topic == "/bag/pose" for topic, _ in heard) == 12, "every pose")
        late = graph.client.create_subscription(String, "/bag/once", lambda m: heard.append(("/bag/once", m)), LATCHED)
        wait(lambda: any(topic == "/bag/once" for topic, _ in heard) or not player.thread.is_alive(), "the latched one")
    for subscription in [*subscriptions, late]:
        graph.client.destroy_subscription(subscription)
    poses = [data for topic, data in raw(folder) if topic == "/bag/pose"]
    assert [bytes(data) for topic, data in heard if topic == "/bag/pose"] == poses
    assert player.counts == {"/bag/once": 1, "/bag/pose": 12, "/bag/hasty": 12}
    times = [t.clock.sec * 10**9 + t.clock.nanosec for t in ticks]
    assert times == sorted(times)
    with AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        assert abs(times[-1] - reader.end_time) <= 10, "the last tick is the end of the bag"


@pytest.mark.parametrize(
    ("playing", "says"),
    [
        (Playing(rate=0.0), "rate: expected a number of at least 0.001"),
        (Playing(topics=("/nobody",)), r"expected one of the topics \['/nobody'\]"),
        (Playing(wait_for=("/nobody",)), "topics of the bag to wait for"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(recorded, playing, says):
    with pytest.raises(SpatiaError, match=says):
        play(recorded[0], playing, threading.Event(), lambda _: None)


def test_a_bag_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.mcap").write_bytes(b"no bag")
    with pytest.raises(SpatiaError, match="expected a readable rosbag2 recording"):
        play(tmp_path / "x.mcap", Playing(), threading.Event(), lambda _: None)


def tool(*words):
    return [sys.executable, "-m", "spatia_ros.nodes.tools.tool", *map(str, words)]


@pytest.mark.parametrize("name", ["run.mcap", "folder"])
def test_a_killed_recorder_leaves_what_can_be_mended(graph, publisher, tmp_path, name):
    topic = f"/bag/killed_{name.partition('.')[-1] or name}"  # a killed reader stays on its topic for a while
    out = publisher(String, topic, PATIENT)
    command = tool("record", "--out", tmp_path / name, "--topics", topic, "--wait-for", topic)
    partial = tmp_path / f"{name}.partial" if name.endswith(".mcap") else tmp_path / name / f"{name}_0.mcap.partial"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as recorder:
        assert json.loads(recorder.stdout.readline()) == {"ready": [topic]}
        wait(lambda: out.get_subscription_count() == 1, "the recorder")
        sent = []

        def flushed():
            sent.append(f"message {len(sent)}")
            out.publish(String(data=sent[-1]))
            return partial.is_file() and partial.stat().st_size > 1000

        wait(flushed, "what is on disk")
        recorder.send_signal(signal.SIGKILL)
    mended = subprocess.run(tool("mend", partial if name.endswith(".mcap") else tmp_path / name), capture_output=True, text=True)
    assert mended.returncode == 0, mended.stderr
    count = json.loads(mended.stdout)["messages"][topic]
    store = get_typestore(Stores.ROS2_JAZZY)
    told = [store.deserialize_cdr(data, "std_msgs/msg/String").data for _, data in raw(tmp_path / name)]
    assert 0 < len(told) == count
    assert told == sent[:count]


def test_ctrl_c_ends_a_recording_well(graph, publisher, tmp_path):
    out = publisher(String, "/bag/stopped")
    command = tool("record", "--out", tmp_path / "run.mcap", "--topics", "/bag/stopped", "--wait-for", "/bag/stopped")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as recorder:
        recorder.stdout.readline()

        def flushed():
            out.publish(String(data="again"))
            return (tmp_path / "run.mcap.partial").stat().st_size > 1000

        wait(flushed, "what is on disk")
        recorder.send_signal(signal.SIGINT)
        told = json.loads(recorder.stdout.readline())
        assert recorder.wait(30) == 0
    assert told["messages"] == {"/bag/stopped": len(raw(tmp_path / "run.mcap"))}
    assert told["messages"]["/bag/stopped"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["run.mcap"]

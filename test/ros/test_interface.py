"""The interface, row by row: type, quality of service as the graph has it and by override, frame, stamp, laziness, namespaces."""

from collections import Counter

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, Twist, TwistStamped
from harness import START, parameters, wait, walled_world
from nav_msgs.msg import Odometry, Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from spatia_ros.msg import ActorStates, GeneratedFrame, MemoryUpdate, SimStatus
from spatia_ros.nodes import convert, convert_camera, frame_loop, qos
from spatia_ros.nodes.actor_outputs import ActorOutputs
from spatia_ros.nodes.cloud import CloudOutput
from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.memory_update import MemoryUpdates
from spatia_ros.nodes.rig import outputs
from spatia_ros.srv import (
    EditMemory,
    GetRegion,
    LoadMemory,
    Restore,
    SaveMemory,
    SavePly,
    SetAnimationTime,
    SetMode,
    SetPrompt,
    Snapshot,
)

RIG = """
cameras:
  - {name: camera, width_px: 96, height_px: 64, hfov_deg: 69}
  - {name: bent, width_px: 80, height_px: 60, hfov_deg: 60, distortion: {coefficients: [-0.2, 0.04]}}
"""
SETTINGS = {"frame_rate_hz": 100.0, "rig__file": "rig.yaml", "publish_clock": True}

SENSOR, LATCHED, ONE, MANY = ("RELIABLE", "VOLATILE", 10), ("RELIABLE", "TRANSIENT_LOCAL", 1), ("RELIABLE", "VOLATILE", 1), None
CAMERA = {  # topic of a camera: type, and what converts it
    "color/image_raw": (Image, "to_image"),
    "color/image_raw/compressed": (CompressedImage, "to_compressed"),
    "color/camera_info": (CameraInfo, "to_lens_info"),
    "color/metadata": (GeneratedFrame, "metadata_of"),
    "depth/image_rect": (Image, "to_depth"),
    "depth/image_rect/compressedDepth": (CompressedImage, "to_compressed_depth"),
    "depth/camera_info": (CameraInfo, "to_camera_info"),
    "points": (PointCloud2, "to_frame_cloud"),
    "provenance": (Image, "to_image"),
    "segmentation": (Image, "to_labels"),
}
BEHIND_A_LENS = {"color/image_rect": (Image, "to_image"), "depth/image_raw": (Image, "to_depth")}
LAZY = {
    **{f"camera/{topic}": row for topic, row in CAMERA.items()},
    **{f"bent/{topic}": row for topic, row in (CAMERA | BEHIND_A_LENS).items()},
    "odom": (Odometry, "odometry"),
    "path": (Path, "PathMessage"),
    "actors/states": (ActorStates, "_states_of"),
    "actors/markers": (MarkerArray, "_markers_of"),
}
PUBLISHED = {
    **{topic: (kind, *SENSOR) for topic, (kind, _) in LAZY.items()},
    "pose": (PoseStamped, *SENSOR),
    "/tf": (TFMessage, "RELIABLE", "VOLATILE", 100),
    "/tf_static": (TFMessage, *LATCHED),
    "/clock": (Clock, *SENSOR),
    "/diagnostics": (DiagnosticArray, *SENSOR),
    "world/status": (SimStatus, *LATCHED),
    "world/memory/points": (PointCloud2, *LATCHED),
    "world/memory/update": (MemoryUpdate, "RELIABLE", "VOLATILE", 100),
}
COMMANDS = {"cmd_pose": PoseStamped, "cmd_trajectory": Path, "cmd_vel": TwistStamped, "initialpose": PoseWithCovarianceStamped}
SENSORS = {
    "color/image_raw": (Image, "BEST_EFFORT", "VOLATILE", 10),
    "color/camera_info": (CameraInfo, "BEST_EFFORT", "VOLATILE", 10),
    "depth/image_rect": (Image, "BEST_EFFORT", "VOLATILE", 10),
    "/tf": (TFMessage, "RELIABLE", "VOLATILE", 100),
    "/tf_static": (TFMessage, "RELIABLE", "TRANSIENT_LOCAL", 100),
}
SERVICES = {
    "memory/save": SaveMemory, "memory/load": LoadMemory, "memory/save_ply": SavePly, "memory/edit": EditMemory,
    "memory/get_region": GetRegion, "memory/set_mode": SetMode, "snapshot": Snapshot, "restore": Restore,
    "set_animation_time": SetAnimationTime, "set_prompt": SetPrompt,
}  # fmt: skip
ACTIONS = ("navigate_to_object", "generate_trajectory", "export_dataset", "build_engine", "simulate_steps")


def resolved(namespace, topic):
    return topic if topic.startswith("/") else f"{namespace}/{topic}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    (path / "rig.yaml").write_text(RIG)
    return path


@pytest.fixture(scope="module")
def make(graph, folder):
    return lambda namespace, **changes: walled_world(graph, folder, namespace, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def world(make):
    return make("/row")


@pytest.fixture(scope="module")
def go(graph, world):
    return graph.publisher(PoseStamped, "/row/cmd_pose")


def command(world, y=0.0):
    T = world.rig.base_of(START)
    T[1, 3] += y
    return PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(T))


def reliability_and_durability(infos, node):
    (info,) = [i for i in infos if (i.node_name, i.node_namespace) == (node.get_name(), node.get_namespace())]
    return info.topic_type, info.qos_profile.reliability.name, info.qos_profile.durability.name


def type_name(kind):
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


@pytest.mark.parametrize("topic", PUBLISHED)
def test_a_published_topic_is_as_declared(graph, world, topic):
    kind, *wanted = PUBLISHED[topic]
    name = resolved("/row", topic)
    infos = graph.client.get_publishers_info_by_topic
    wait(lambda: any(i.node_namespace == "/row" for i in infos(name)), f"a publisher of {name}")
    assert reliability_and_durability(infos(name), world) == (type_name(kind), *wanted[:2])
    (publisher,) = [p for p in world.publishers if p.topic_name == name]
    assert publisher.qos_profile.depth == wanted[2]  # the graph does not tell


def test_nothing_else_is_published(world):
    """So that whoever adds a topic adds its row."""
    rows = {resolved("/row", topic) for topic in PUBLISHED} | {"/parameter_events", "/rosout", "/row/world/heartbeat"}
    names = {p.topic_name for p in world.publishers}
    assert {n for n in names if "transition_event" not in n and "_action/" not in n} <= rows


@pytest.mark.parametrize("topic", COMMANDS)
def test_a_command_is_as_declared(graph, world, topic):
    infos = graph.client.get_subscriptions_info_by_topic
    name = f"/row/{topic}"
    wait(lambda: infos(name), f"a subscriber of {name}")
    assert reliability_and_durability(infos(name), world) == (type_name(COMMANDS[topic]), *ONE[:2])
    (subscription,) = [s for s in world.subscriptions if s.topic_name == name]
    assert subscription.qos_profile.depth == 1


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_as_declared(world, service):
    types = dict(world.get_service_names_and_types_by_node("world", "/row"))
    assert types[f"/row/{service}"] == [f"spatia_ros/srv/{SERVICES[service].__name__}"]


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_there(world, action):
    types = dict(world.get_service_names_and_types_by_node("world", "/row"))
    assert f"/row/{action}/_action/send_goal" in types


def test_the_mapper_listens_to_a_sensor_as_declared(graph, folder):
    values = parameters(data_dir=str(folder))
    node = graph.add(MapperNode(context=graph.context, namespace="/m", parameter_overrides=values))
    for topic, (kind, *wanted) in SENSORS.items():
        name = resolved("/m", topic)
        wait(lambda name=name: node.get_subscriptions_info_by_topic(name), f"a subscriber of {name}")
        assert reliability_and_durability(node.get_subscriptions_info_by_topic(name), node) == (type_name(kind), *wanted[:2])
        (subscription,) = [s for s in node.subscriptions if s.topic_name == name]
        assert subscription.qos_profile.depth == wanted[2]
    published = {"memory/points": PointCloud2, "memory/update": MemoryUpdate, "status": SimStatus}
    kinds = {p.topic_name: p.msg_type for p in node.publishers}
    assert {f"/m/mapper/{topic}": kind for topic, kind in published.items()}.items() <= kinds.items()
    assert kinds["/m/pose"] is PoseStamped
    graph.remove(node)


def test_every_topics_quality_of_service_can_be_overridden(graph, make):
    """All rows at once, both ways: reliability by parameter, and depth."""
    ours = [t for t in PUBLISHED if t not in ("/tf", "/tf_static", "/diagnostics")]
    changes = {f"qos_overrides.{resolved('/other', t)}.publisher.reliability": "best_effort" for t in ours}
    changes |= {f"qos_overrides./other/{t}.subscription.reliability": "best_effort" for t in COMMANDS}
    changes["qos_overrides./other/cmd_pose.subscription.depth"] = 3
    node = make("/other", **{name.replace(".", "__"): value for name, value in changes.items()})
    for topic in ours:
        infos = node.get_publishers_info_by_topic(resolved("/other", topic))
        assert reliability_and_durability(infos, node)[1] == "BEST_EFFORT", topic
    for topic in COMMANDS:
        infos = node.get_subscriptions_info_by_topic(f"/other/{topic}")
        assert reliability_and_durability(infos, node)[1] == "BEST_EFFORT", topic
    (subscription,) = [s for s in node.subscriptions if s.topic_name == "/other/cmd_pose"]
    assert subscription.qos_profile.depth == 3
    graph.remove(node)


def test_everything_of_a_frame_carries_its_stamp(graph, world, go):
    wait(lambda: not world.worker.busy, "rest")
    sensed = {t: graph.collect(kind, f"/row/{t}") for t, (kind, *_) in PUBLISHED.items() if t in LAZY or t == "pose"}
    clock, transforms = graph.collect(Clock, "/clock"), graph.collect(TFMessage, "/tf", qos.TF)
    go.publish(command(world, 0.1))
    wait(lambda: all(sensed.values()) and not world.worker.busy, "one of each")
    stamps = {t: convert.time_ns(messages[-1].header.stamp) for t, messages in sensed.items() if t != "actors/markers"}
    assert set(stamps.values()) == {world.stamp_ns}
    assert clock[-1].clock == convert.to_time(world.stamp_ns)
    assert any(convert.time_ns(t.header.stamp) == world.stamp_ns for m in transforms for t in m.transforms)
    frames = {t: messages[-1].header.frame_id for t, messages in sensed.items() if t != "actors/markers"}
    optical = {t: f"{t.split('/')[0]}_color_optical_frame" for t in sensed if t.startswith(("camera/", "bent/"))}
    assert frames == optical | {"odom": "odom", "path": "map", "pose": "map", "actors/states": "map"}


@pytest.fixture(scope="module")
def lazy(make):
    return make("/lazy")


@pytest.fixture
def made(lazy, monkeypatch):
    """How often each conversion was done, once the node's topics are there."""
    counts = Counter()

    def watch(owner, name):
        original = getattr(owner, name)

        def counted(*arguments, **named):
            counts[name] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)

    for name in ("to_image", "to_depth", "to_compressed", "to_camera_info", "to_labels"):
        watch(convert, name)
    for name in ("to_lens_info", "to_compressed_depth", "to_frame_cloud"):
        watch(convert_camera, name)
    for owner, name in (
        (frame_loop, "metadata_of"), (outputs, "PathMessage"), (ActorOutputs, "_states_of"), (ActorOutputs, "_markers_of"),
        (CloudOutput, "publish"), (MemoryUpdates, "_tell"),
    ):  # fmt: skip
        watch(owner, name)
    return counts


def test_what_nobody_listens_to_is_not_converted(graph, lazy, made, monkeypatch):
    """Nothing for nobody; then topic by topic, what each listener costs, and nothing more."""
    node = lazy
    odometry = node.rig.odometry
    monkeypatch.setattr(node.rig, "odometry", lambda stamp_ns: (made.update(["odometry"]), odometry(stamp_ns))[1])
    go = graph.publisher(PoseStamped, "/lazy/cmd_pose")

    def frame():
        before = node.frames.made
        go.publish(command(node))
        wait(lambda: node.frames.made > before and not node.worker.busy, "a frame")

    frame()
    assert made == {}
    for topic, (kind, conversion) in LAZY.items():
        got = []
        subscription = graph.client.create_subscription(kind, f"/lazy/{topic}", got.append, qos.SENSOR_OUT)
        (publisher,) = [p for p in node.publishers if p.topic_name == f"/lazy/{topic}"]
        wait(publisher.get_subscription_count, f"a match on {topic}")
        made.clear()
        frame()
        wait(lambda got=got: got, topic)
        assert made == {conversion: 1}, topic
        graph.client.destroy_subscription(subscription)
        wait(lambda publisher=publisher: not publisher.get_subscription_count(), f"the end of {topic}")
    made.clear()
    frame()
    assert made == {}
    graph.remove(node)


def test_two_namespaces_do_not_hear_each_other(graph, make):
    """Same node names, same topics, side by side; frames told apart by their prefix."""
    left, right = make("/left", frames__prefix="left/"), make("/right", frames__prefix="right/", publish_clock=False)
    shared = {"/tf", "/tf_static", "/clock", "/diagnostics", "/rosout", "/parameter_events"}
    for node, own in ((left, "/left/"), (right, "/right/")):
        for endpoint in (*node.publishers, *node.subscriptions):
            assert endpoint.topic_name in shared or endpoint.topic_name.startswith(own)
        names = dict(node.get_service_names_and_types_by_node("world", own.rstrip("/")))
        assert names
        assert all(name.startswith(own) for name in names)
    images = {side: graph.collect(Image, f"/{side}/camera/color/image_raw") for side in ("left", "right")}
    transforms = graph.collect(TFMessage, "/tf", qos.TF)
    go = graph.publisher(PoseStamped, "/left/cmd_pose")
    assert go.get_subscription_count() == 1
    go.publish(command(left, 0.2))
    wait(lambda: images["left"] and not left.worker.busy, "an image on the left")
    assert (left.frames.made, right.frames.made, images["right"]) == (1, 0, [])
    snapshot = graph.call(Snapshot, "/left/snapshot", name="mine")
    assert snapshot.success
    assert not graph.call(Restore, "/right/restore", name="mine").success
    graph.publisher(PoseStamped, "/right/cmd_pose").publish(command(right, -0.2))
    wait(lambda: images["right"], "an image on the right")

    def children():
        return {t.child_frame_id for m in list(transforms) for t in m.transforms}

    wait(lambda: {"left/base_link", "right/base_link"} <= children(), "both on tf")
    assert images["left"][0].header.frame_id == "left/camera_color_optical_frame"


def test_who_says_where_the_rig_is_may_be_somebody_else(graph, make):
    """publish_tf and publish_map_tf, while the node runs."""
    node = make("/quiet", frames__prefix="q/")
    transforms, told = graph.collect(TFMessage, "/tf", qos.TF), graph.collect(GeneratedFrame, "/quiet/camera/color/metadata")
    go = graph.publisher(PoseStamped, "/quiet/cmd_pose")

    def children(**switches):
        assert all(r.successful for r in node.set_parameters(parameters(**switches)))
        wait(lambda: not node.worker.busy, "rest")
        before = len(told)
        go.publish(command(node))
        wait(lambda: len(told) > before, "a frame")
        now = convert.time_ns(told[-1].header.stamp)

        def said():
            every = [t for m in list(transforms) for t in m.transforms]
            return {t.child_frame_id for t in every if convert.time_ns(t.header.stamp) == now}

        wait(lambda: said() or not any(switches.values()), "tf")
        return said()

    assert children(frames__publish_tf=True, frames__publish_map_tf=True) == {"q/base_link", "q/odom"}
    assert children(frames__publish_tf=True, frames__publish_map_tf=False) == {"q/base_link"}
    assert children(frames__publish_tf=False, frames__publish_map_tf=True) == {"q/odom"}
    assert children(frames__publish_tf=False, frames__publish_map_tf=False) == set()
    graph.remove(node)


def test_velocities_may_come_without_a_stamp(graph, make):
    node = make("/plain", motion__twist_stamped=False)
    (subscription,) = [s for s in node.subscriptions if s.topic_name == "/plain/cmd_vel"]
    assert subscription.msg_type is Twist
    drive = graph.publisher(Twist, "/plain/cmd_vel")
    before = node.rig.pose.T_map_base
    drive.publish(convert.to_twist(np.array([0.5, 0, 0, 0, 0, 0])))
    wait(lambda: node.frames.made > 2, "frames")
    forward = np.linalg.inv(before) @ node.rig.pose.T_map_base
    assert forward[0, 3] > 0.004
    assert abs(forward[1:3, 3]).max() < 1e-9
    graph.remove(node)


def test_depth_may_be_in_millimetres(graph, make):
    node = make("/mm", rig__depth_encoding="16UC1")
    depth = graph.collect(Image, "/mm/camera/depth/image_rect")
    packed = graph.collect(CompressedImage, "/mm/camera/depth/image_rect/compressedDepth")
    graph.publisher(PoseStamped, "/mm/cmd_pose").publish(command(node))
    wait(lambda: depth and packed, "depth")
    metres, again = convert.from_depth(depth[0]), convert_camera.from_compressed_depth(packed[0])
    assert (depth[0].encoding, depth[0].step, packed[0].format) == ("16UC1", 192, "16UC1; compressedDepth png")
    assert abs(np.median(metres[metres > 0]) - 2.0) < 0.01
    np.testing.assert_allclose(metres, again, atol=1e-6)
    far = convert_camera.millimetres(np.array([[0.0, 0.0004, 0.0006, 65.535, 65.536, 80.0]], np.float32))
    assert far.tolist() == [[0, 0, 1, 65535, 0, 0]]
    graph.remove(node)

"""What the world node publishes of its actors: which pixels are whose, where they are, boxes for rviz, frames in tf; lazily."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import START, parameters, wait, wall_memory
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from spatia_ros.actors import Actor, BodyPoints, PoseTrack, RigidBody
from spatia_ros.msg import ActorStates, GeneratedFrame
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import SetAnimationTime

Ask = SetAnimationTime.Request
SETTINGS = {
    "generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64, "frame_rate_hz": 10.0,
    "motion__pace": "fast", "source__memory": "wall.spatia", "frames__map_up": "z",
}  # fmt: skip
SIDE_M, RED = 0.3, (220, 20, 30)


def crate(name, x, y):
    """A red cube on a path along y, 0.5 m/s, that is at (x, y, 1) when the animation begins."""
    line = np.arange(0, SIDE_M + 1e-9, 0.01) - SIDE_M / 2
    xyz = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)
    xyz = xyz[np.abs(xyz).max(1) > SIDE_M / 2 - 1e-6].astype(np.float32)
    shape = BodyPoints(xyz, np.full(xyz.shape, RED, np.uint8), 0.01)
    return Actor(name, "crate", RigidBody(shape, PoseTrack.path([[0, x, y, 1, 0], [100, x, y + 50, 1, 0]])))


@pytest.fixture(scope="module")
def node(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    wall_memory().save(folder / "wall.spatia")
    values = parameters(**SETTINGS, data_dir=str(folder))
    made = graph.add(WorldNode(context=graph.context, namespace="/moving", parameter_overrides=values))
    for actor in (crate("near", 1.2, 0.0), crate("behind the wall", 3.0, 0.0), crate("behind the camera", -1.0, 0.0)):
        made.worker.submit(lambda actor=actor: made.cast.add(actor)).result()
    yield made
    graph.remove(made)


@pytest.fixture(scope="module")
def frame(graph, node):
    """Makes a frame from where the camera stands, and gives it back with what was said of it."""
    go = graph.publisher(PoseStamped, "/moving/cmd_pose")
    told = graph.collect(GeneratedFrame, "/moving/camera/color/metadata")

    def made(**topics):
        before = {topic: len(messages) for topic, messages in topics.items()}
        frames = len(told)
        base = node.rig.base_of(START)
        go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(base)))
        wait(lambda: len(told) > frames and all(len(topics[t]) > n for t, n in before.items()), "a frame of the actors")
        return told[-1]

    return made


def box_of(state):
    return np.array([[p.x, p.y, p.z] for p in (state.low, state.high)])


def test_pixels_states_and_boxes_are_of_one_frame_and_agree(graph, node, frame):
    segmentation = graph.collect(Image, "/moving/camera/segmentation")
    states = graph.collect(ActorStates, "/moving/actors/states")
    boxes = graph.collect(MarkerArray, "/moving/actors/markers")
    colour = graph.collect(Image, "/moving/camera/color/image_raw")
    told = frame(segmentation=segmentation, states=states, boxes=boxes, colour=colour)
    image, said, drawn = segmentation[-1], states[-1], boxes[-1].markers
    assert image.encoding == "16UC1"
    assert image.header == told.header
    assert said.header.stamp == told.header.stamp
    assert said.header.frame_id == "map"
    labels = np.frombuffer(image.data, np.uint16).reshape(64, 96)
    near, hidden, away = said.actors
    assert [s.name for s in said.actors] == ["near", "behind the wall", "behind the camera"]
    assert [s.id for s in said.actors] == [1, 2, 3]
    assert (labels == near.id).sum() == near.pixels > 100
    assert (hidden.pixels, away.pixels) == (0, 0)
    assert set(np.unique(labels)) == {0, near.id}
    np.testing.assert_array_equal(np.median(convert.from_image(colour[-1])[labels == near.id], 0), RED)
    y = 0.5 * said.animation_s
    np.testing.assert_allclose(convert.from_pose(near.pose)[:3, 3], (1.2, y, 1.0), atol=1e-6)
    np.testing.assert_allclose(box_of(near), np.array([[1.2, y, 1.0]] * 2) + [[-SIDE_M / 2], [SIDE_M / 2]], atol=1e-5)
    np.testing.assert_allclose((near.velocity.x, near.velocity.y, near.velocity.z), (0, 0.5, 0), atol=1e-9)
    assert near.animation_s == said.animation_s == told.animation_s
    assert told.actors == 3
    cubes = [m for m in drawn if m.type == Marker.CUBE and m.action == Marker.ADD]
    np.testing.assert_allclose([cubes[0].scale.x, cubes[0].scale.y, cubes[0].scale.z], SIDE_M, atol=1e-5)
    np.testing.assert_allclose(cubes[0].pose.position.y, y, atol=1e-5)
    assert [m.text.split(" ")[0] for m in drawn if m.type == Marker.TEXT_VIEW_FACING] == ["near", "behind", "behind"]


def test_what_is_frozen_stands_still_and_who_leaves_is_taken_off_the_screen(graph, node, frame):
    states = graph.collect(ActorStates, "/moving/actors/states")
    boxes = graph.collect(MarkerArray, "/moving/actors/markers")
    answer = graph.call(SetAnimationTime, "/moving/set_animation_time", mode=Ask.TAU, tau_s=0.4)
    assert answer.success, answer.message
    for _ in range(2):
        assert frame(states=states, boxes=boxes).animation_s == pytest.approx(0.4)
        near = states[-1].actors[0]
        assert near.pose.position.y == pytest.approx(0.2)
        assert near.velocity.y == 0.0
    wrong = graph.call(SetAnimationTime, "/moving/set_animation_time", mode=Ask.RATE, rate=float("nan"))
    assert not wrong.success
    assert "rate: expected a finite number" in wrong.message
    assert wrong.animation_s == pytest.approx(0.4)  # what is in force is told all the same
    gone = node.worker.submit(lambda: node.cast.remove("behind the camera")).result()
    frame(states=states, boxes=boxes)
    assert [m.id // 2 for m in boxes[-1].markers if m.action == Marker.DELETE] == [gone.id, gone.id]
    assert [s.name for s in states[-1].actors] == ["near", "behind the wall"]


def test_actors_have_frames_in_tf_when_asked(graph, node, frame):
    transforms = graph.collect(TFMessage, "/tf", qos.TF)
    frame()
    named = {t.child_frame_id for m in transforms for t in m.transforms}
    assert "near" not in named
    from rclpy.parameter import Parameter

    assert node.set_parameters([Parameter("frames.publish_actor_tf", value=True)])[0].successful
    told = frame()
    found = []

    def look():
        found[:] = [t for m in transforms for t in m.transforms if t.child_frame_id == "near"]
        return found

    wait(look, "the frame of an actor")
    assert found[-1].header.frame_id == "map"
    assert found[-1].header.stamp == told.header.stamp
    assert found[-1].transform.translation.y == pytest.approx(0.2)


def test_what_nobody_wants_of_the_actors_is_not_made(graph, node, monkeypatch):
    """In a node of its own, whose topics nobody has ever asked for."""
    values = parameters(**SETTINGS, data_dir=str(node.files.root))
    quiet = graph.add(WorldNode(context=graph.context, namespace="/unwatched", parameter_overrides=values))
    quiet.worker.submit(lambda: quiet.cast.add(crate("near", 1.2, 0.0))).result()
    told = graph.collect(GeneratedFrame, "/unwatched/camera/color/metadata")
    made = []
    monkeypatch.setattr(convert, "to_labels", lambda *a: made.append("labels"))
    monkeypatch.setattr(type(quiet.frames._actor_out), "_states_of", lambda *a: made.append("states"))
    monkeypatch.setattr(type(quiet.frames._actor_out), "_markers_of", lambda *a: made.append("markers"))
    monkeypatch.setattr(type(quiet.frames._actor_out), "transforms", lambda *a: made.append("transforms"))
    go = graph.publisher(PoseStamped, "/unwatched/cmd_pose")
    go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(quiet.rig.base_of(START))))
    wait(lambda: told, "a frame")
    assert told[0].actors == 1
    assert made == []
    graph.remove(quiet)

"""Grounding: what phrases mean, which thing fits them, and a way to it that touches nothing."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree
from test_edit import room_memory
from tiny_house import CAMERA, GREEN, RED, THINGS, WOOD, box_points, house_memory, house_world, thing

from spatia_ros import cli
from spatia_ros.actors.library import library_actor
from spatia_ros.actors.track import PoseTrack
from spatia_ros.geometry import look_at, pose, project, quat_xyzw, rotation_error_deg
from spatia_ros.ground import colour, find, navigate, parse
from spatia_ros.ground.match import match
from spatia_ros.ground.pace import gaze_along, timed
from spatia_ros.ground.plan import is_clear, reach_from
from spatia_ros.ground.relate import Eye
from spatia_ros.ground.room import Room
from spatia_ros.ground.thing import box_of, things_in
from spatia_ros.ground.view import seen
from spatia_ros.ground.words import concepts, fits, words_of
from spatia_ros.memory import Keyframe, Memory, Points
from spatia_ros.types import SpatiaError

UP = np.array([0.0, 0.0, 1.0])
START = look_at(np.array([2.2, 3.0, 1.3]), np.array([2.2, 0.0, 1.0]), UP)
"""In the first room, looking towards the sofa: x grows to the left of the picture, so right is towards x = 0."""


@pytest.mark.parametrize(
    ("phrase", "noun", "rest"),
    [
        ("go to the red couch", ("sofa",), {"colour": "red"}),
        ("Find the trash can!", ("bin",), {}),
        ("the second largest box", ("box",), {"order": ("largest", 2, None)}),
        ("the chair nearest to the fridge", ("chair",), {"order": ("nearest", 1, "refrigerator")}),
        ("the nearest chair to the door", ("chair",), {"order": ("nearest", 1, "door")}),
        ("the third chair from the left", ("chair",), {"order": ("leftmost", 3, None)}),
        ("the last plant", ("plant",), {"order": ("nearest", -1, None)}),
        ("the ball between the sofa and the tv", ("ball",), {"relations": [("between", ["sofa", "television"])]}),
        ("the chair near the door and behind the table", ("chair",), {"relations": [("near", ["door"]), ("behind", ["table"])]}),
        ("the thing on top of the cabinet", ("thing",), {"relations": [("on", ["cabinet"])]}),
        ("the light blue armchair in front of me", ("armchair",), {"colour": "blue", "relations": [("in front of", [])]}),
        ("the light", ("lamp",), {}),
        ("the coffee table", ("coffee", "table"), {}),
        ("the sheet of paper on the desk", ("paper",), {"relations": [("on", ["desk"])]}),
    ],
)
def test_a_phrase_is_read(phrase, noun, rest):
    query = parse(phrase)
    assert query.noun == noun
    assert query.colour == rest.get("colour", "")
    order = query.order and (query.order.by, query.order.rank, query.order.to.noun[-1] if query.order.to else None)
    assert order == rest.get("order")
    assert [(r.kind, [q.noun[-1] for q in r.of]) for r in query.relations] == rest.get("relations", [])


def test_a_nested_phrase_binds_to_the_noun_before_it():
    (under,) = parse("the ball under the table near the door").relations
    assert under.kind == "under"
    assert [r.kind for r in under.of[0].relations] == ["near"]


@pytest.mark.parametrize("phrase", ["", "   ", "go to the", "x" * 500, "the chair between the sofa", "the chair left of", "a\nb"])
def test_what_names_nothing_is_refused(phrase):
    with pytest.raises(SpatiaError, match="phrase"):
        parse(phrase)


def test_names_become_concepts():
    assert concepts(words_of("KitchenTable_01_001")) == ("kitchen", "table")
    assert concepts(words_of("TV_02")) == ("television",)
    assert concepts(words_of("night stand 3")) == ("nightstand",)
    for name in ("FitnessEquipment_01", "KitchenTable_01", "AirconditionerA_01", "NightStand_02", "TVCabinet", "SeasoningBox_01"):
        once = concepts(words_of(name))
        assert concepts(words_of(" ".join(once))) == once, "what is read once is read the same again"
    assert fits(concepts(["exercise", "machine"]), concepts(words_of("FitnessEquipment_01"))) == 1.0
    assert fits(("table",), ("kitchen", "table")) == 1.0
    assert fits(("television",), ("television", "cabinet")) == 0.0, "a TV cabinet is no TV"
    assert fits(("seat",), ("sofa",)) == 0.5
    assert fits(("sofa",), ("seat",)) == 0.0


@pytest.mark.parametrize(
    ("word", "rgb"),
    [("red", RED), ("green", GREEN), ("brown", WOOD), ("white", (235, 235, 230)), ("black", (20, 20, 22)),
     ("grey", (128, 128, 130)), ("yellow", (225, 195, 45)), ("orange", (230, 120, 25)), ("purple", (110, 45, 140)),
     ("blue", (40, 70, 175))],
)  # fmt: skip
def test_colours_are_measured(word, rgb):
    shares = colour.shares(np.tile(np.uint8(rgb), (50, 1)))
    assert shares[word] == 1.0
    assert colour.said(shares).split()[0] in (word, "brown")


def test_stray_points_do_not_widen_a_box():
    xyz = np.random.default_rng(0).uniform(0, 1, (2000, 3)).astype(np.float32)
    low, high = box_of(np.concatenate([xyz, [[5, 0.5, 0.5]]]).astype(np.float32))
    np.testing.assert_allclose(high, 1.0, atol=0.05)
    np.testing.assert_allclose(low, 0.0, atol=0.05)


SHOWN = [thing(name, low, high, rgb) for name, (low, high, rgb) in THINGS.items()]


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("the couch", "sofa_1"), ("the red chair", "chair_1"), ("the wooden chair", "chair_2"), ("chair_2", "chair_2"),
        ("the chair left of the sofa", "chair_1"), ("the sofa to the right of the red chair", "sofa_1"),
        ("the chair next to the sofa", "chair_1"), ("the nearest chair", "chair_2"), ("the chair farthest from me", "chair_1"),
        ("the chair farthest from the table", "chair_2"), ("the vase on the table", "vase_1"),
        ("the table under the vase", "table_1"),
        ("the leftmost chair", "chair_1"), ("the second chair", "chair_1"), ("the largest thing", "sofa_1"),
        ("the furniture in front of me", "sofa_1"), ("the smallest object", "vase_1"),
        ("the chair between the sofa and the table", "chair_1"), ("the green thing", "vase_1"),
    ],
)  # fmt: skip
def test_a_phrase_finds_its_thing(phrase, name):
    found = match(parse(phrase), SHOWN, Eye.of(START))
    assert found.fitting, found.why
    assert found.fitting[0].thing.name == name


@pytest.mark.parametrize(
    ("phrase", "why", "nearest"),
    [
        ("the piano", "nothing here is called 'piano'", None), ("the purple sofa", "blue, not purple", "sofa_1"),
        ("the third chair", "only 2", "chair_2"), ("the chair on the table", "not on the table", "chair_1"),
        ("the chair near the piano", "nothing here is called 'piano'", "chair_2"), ("chair_7", "nothing here is called", None),
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(phrase, why, nearest):
    found = match(parse(phrase), SHOWN, Eye.of(START))
    assert not found.fitting
    assert why in " ".join([found.why, *(lack for miss in found.misses for lack in miss.lacks)])
    assert found.misses
    if nearest:
        assert nearest in [miss.thing.name for miss in found.misses[:2]]


def test_sides_turn_with_the_camera():
    behind = look_at(np.array([2.2, -3.0, 1.3]), np.array([2.2, 0.0, 1.0]), UP)
    for T, side, other in ((START, "right", "left"), (behind, "left", "right")):
        assert match(parse(f"the sofa to the {side} of the red chair"), SHOWN, Eye.of(T)).fitting[0].thing.name == "sofa_1"
        assert not match(parse(f"the sofa to the {other} of the red chair"), SHOWN, Eye.of(T)).fitting


def test_labels_of_memory_become_things():
    found = {t.name: t for t in things_in(house_memory())}
    assert found.keys() == THINGS.keys()
    for name, (low, high, _) in THINGS.items():
        np.testing.assert_allclose(found[name].low, low, atol=0.04)
        np.testing.assert_allclose(found[name].high, high, atol=0.04)


def test_a_way_leads_through_the_door_and_keeps_clear():
    room = Room.of(house_memory(), np.eye(3), np.array([-0.2, -0.2, 0.2]), np.array([9.2, 4.2, 2.4]), 0.1)
    reach = reach_from(room, START[:3, 3], 0.2, 0.5)
    goal = np.array([8.0, 3.0, 1.2])
    assert np.isfinite(reach.cost_at(goal[None])[0])
    way = reach.way_to(goal)
    np.testing.assert_allclose(way[[0, -1]], [START[:3, 3], goal])
    assert is_clear(room, way, 0.2)
    crossing = way[np.abs(way[:, 0] - 4.5) < 0.05]
    assert ((crossing[:, 1] > 2.95) & (crossing[:, 1] < 3.65)).all(), "20 cm from both sides of the door"
    assert np.linalg.norm(np.diff(way, axis=0), axis=1).sum() < 1.15 * np.linalg.norm(goal - START[:3, 3])


def test_clearance_is_never_overstated():
    memory = house_memory()
    room = Room.of(memory, np.eye(3), np.array([-0.2, -0.2, 0.0]), np.array([9.2, 4.2, 2.4]), 0.1)
    at = np.random.default_rng(0).uniform((0.1, 0.1, 0.1), (8.9, 3.9, 2.3), (300, 3))
    true, _ = cKDTree(memory.points().xyz).query(at)
    # A place may lie half a cell's diagonal nearer to things than the middle of its cell.
    assert (room.clearance_at(at) <= true + 0.087).all()


def test_no_way_through_a_wall():
    answer = navigate(house_world(door=False), "the vase", START)
    assert answer.found
    assert answer.trajectory is None
    assert "no collision-free way" in answer.reason


def test_unseen_space_is_not_free():
    memory = room_memory(4)
    corner = np.array([2.9, 1.9, 3.9])
    room = Room.of(memory, np.eye(3), -corner, corner, 0.2)
    assert 0.02 < room.known.mean() < 0.98
    seen_cell, ball = room.cells(np.array([[0.0, -0.3, 1.8]])), room.cells(np.zeros((1, 3)))
    assert room.known[tuple(seen_cell[0])]
    assert not room.known[tuple(ball[0])], "nobody looked into the ball"


def test_the_camera_is_never_faster_than_it_may_be():
    way = np.array([[0.0, 0, 1], [1, 0, 1], [2, 0, 1], [2, 1, 1], [2, 2, 1]])
    dense = np.concatenate([np.linspace(a, b, 20, endpoint=False) for a, b in pairwise(way)] + [way[-1:]])
    start = look_at(np.array([0.0, 0, 1]), np.array([-1.0, 0.2, 0.8]), UP)
    poses = gaze_along(dense, start, np.array([4.0, 2.0, 0.5]))
    np.testing.assert_allclose(poses[0], start, atol=1e-9)
    path = timed(poses, 5_000_000_000, 10.0, 0.6, np.radians(50.0), 0.5)
    assert path.stamps_ns[0] == 5_100_000_000
    every = np.concatenate([poses[:1], path.T_world_cam])
    speed = np.linalg.norm(np.diff(every[:, :3, 3], axis=0), axis=1) * 10.0
    turn = [rotation_error_deg(a[:3, :3], b[:3, :3]) * 10.0 for a, b in pairwise(every)]
    assert speed.max() < 0.6 * 1.01
    assert max(turn) < 50.0 * 1.02
    u, v = project(np.array([[4.0, 2.0, 0.5]]), CAMERA, path.T_world_cam[-1])[0][0]
    np.testing.assert_allclose((u, v), (CAMERA.cx, CAMERA.cy), atol=1e-6)


def test_navigate_frames_the_thing():
    world = house_world()
    answer = navigate(world, "the vase on the table", START)
    assert answer.found
    assert answer.target.name == "vase_1"
    assert answer.trajectory is not None, answer.reason
    low, high, _ = THINGS["vase_1"]
    np.testing.assert_allclose(answer.target.position, (np.array(low) + high) / 2, atol=0.03)
    np.testing.assert_allclose(answer.target.distance_m, np.linalg.norm((np.array(low) + high) / 2 - START[:3, 3]), atol=0.03)
    corners = np.stack(np.meshgrid(*np.stack([low, high], 1)), -1).reshape(-1, 3)
    uv, z = project(corners, CAMERA, answer.trajectory.T_world_cam[-1])
    assert (z > 0).all()
    np.testing.assert_allclose(answer.target.box_px, [*uv.min(0), *uv.max(0)], atol=6)
    assert answer.target.visible > 0.9
    surface = world.memory.points().xyz
    way = answer.trajectory.T_world_cam[:, :3, 3]
    assert np.linalg.norm(surface[None, ::4] - way[:, None], axis=-1).min() >= world.config.ground.clearance_m
    json.dumps(answer.as_dict())
    assert find(world, "the vase", START).trajectory is None
    assert len(world.advance(answer.trajectory).rgb) == len(answer.trajectory)


def test_a_thing_under_the_ceiling_is_looked_at_from_below():
    world = house_world()
    label, xyz = 9, box_points((6.5, 2.8, 2.3), (6.8, 3.1, 2.4))
    world.memory.names[label] = "lamp_1"
    colour_of_all = np.tile(np.uint8(RED), (len(xyz), 1))
    world.memory.add_points(Points.measured(xyz, colour_of_all, 0, np.full(len(xyz), label, np.uint16)))
    answer = navigate(world, "the lamp", START)
    assert answer.trajectory is not None, answer.reason
    assert answer.target.visible > 0.5
    assert answer.trajectory.T_world_cam[-1, 2, 3] < 2.2


def test_what_moves_is_met_where_it_will_be():
    world = house_world()
    track = PoseTrack.path([(0.0, 1.0, 2.2, 0.0, 0.0), (6.0, 3.6, 2.2, 0.0, 0.0)])
    world.cast.add(library_actor("ball", "toy", track, "yellow"))
    now = find(world, "the yellow ball", START).target
    np.testing.assert_allclose(now.position[:2], (1.0, 2.2), atol=0.05)
    answer = navigate(world, "the yellow ball", START)
    assert answer.trajectory is not None, answer.reason
    (then,) = world.cast.at(float(answer.trajectory.stamps_ns[-1] - world.start_ns) * 1e-9)
    assert answer.target.actor_id == then.id
    assert np.linalg.norm(answer.target.position - (then.low + then.high) / 2) < 0.3
    assert np.linalg.norm(answer.target.position - now.position) > 0.15


def test_a_thing_behind_a_wall_is_not_visible():
    world = house_world()
    (vase,) = (t for t in things_in(world.memory) if t.name == "vase_1")
    through_wall = look_at(np.array([2.0, 1.5, 1.0]), vase.middle, UP)
    assert seen(vase, world.memory, CAMERA, through_wall).visible == 0.0
    assert seen(vase, Memory(world.memory.config), CAMERA, through_wall).visible > 0.9, "with nothing between"


def test_another_way_up_makes_no_difference():
    """The same house with y down, as recordings have it: keyframes say which way is up."""
    R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    memory, turned = house_memory(), Memory(house_memory().config)
    turned.names.update(memory.names)
    points = memory.points()
    turned.add_points(points._replace(xyz=(points.xyz @ R.T).astype(np.float32)))
    T = pose(R, np.zeros(3)) @ START
    world = house_world()
    world.memory = turned
    view = turned.render(CAMERA, T, 0)
    turned.keyframes.append(Keyframe(view.rgb, view.depth, view.sensed > 0.5, CAMERA, T, 0))
    answer = navigate(world, "the chair left of the sofa")
    assert answer.target.name == "chair_1"
    assert answer.trajectory is not None, answer.reason
    assert (answer.trajectory.T_world_cam[:, :3, 1] @ R @ UP < -0.5).all(), "upright all the way"


def test_find_on_the_command_line(tmp_path, capsys):
    memory = house_memory()
    view = memory.render(CAMERA, START, 0)
    memory.keyframes.append(Keyframe(view.rgb, view.depth, view.sensed > 0.5, CAMERA, START, 0))
    memory.save(tmp_path / "house.spatia")
    where = ["--memory", str(tmp_path / "house.spatia"), "--set", "generator.name=projection"]
    size = ["--set", "camera.width_px=160", "--set", "camera.height_px=120"]
    left = ["--json", str(tmp_path / "a.json"), "--picture", str(tmp_path / "a.png")]
    assert cli.main(["find", "the red chair", *where, *left]) == 0
    answer = json.loads((tmp_path / "a.json").read_text())
    assert answer["target"]["name"] == "chair_1"
    assert (tmp_path / "a.png").is_file()
    assert cli.main(["find", "the purple chair", *where]) == 1
    assert "not purple" in capsys.readouterr().out
    pose_text = "2.2 3.0 1.3 " + " ".join(str(v) for v in quat_xyzw(START))
    fast = ["--set", "ground.speed_m_s=3", "--set", "ground.turn_deg_s=300"]
    out = tmp_path / "out"
    assert cli.main(["goto", "the red chair", *where, *size, *fast, "--pose", pose_text, "--out", str(out)]) == 0
    for name in ("grounding.json", "framed.png", "above.png", "video.mp4", "poses.txt"):
        assert (out / name).is_file(), name

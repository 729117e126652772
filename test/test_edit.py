"""Editing: what is taken away is gone in every later view, what is put in shows, and undoing is exact."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tiny_room import CAMERA, room_depth, room_rgb

from spatia_ros import cli, geometry
from spatia_ros.config import MemoryConfig, WorldConfig
from spatia_ros.evaluate.measures import psnr
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.generator.anchor import Anchor
from spatia_ros.generator.condition import ClipView, ContextFrame, context_in, images_of
from spatia_ros.generator.recall import recall
from spatia_ros.memory import Memory, Points, rows
from spatia_ros.memory.edit import Editor, things
from spatia_ros.memory.regions import Both, Box, Component, HalfSpace, Object, Region, Sphere
from spatia_ros.slam.verify import in_seen_space
from spatia_ros.types import Frame, SpatiaError, Trajectory
from spatia_ros.world import World

CONFIG = MemoryConfig(voxel_m=0.04, keyframe_gain=0.02)
RED = np.array([230, 20, 20])
BALL = Sphere((0, 0, 0), 0.85)


def pose_at(angle: float, radius_m: float = 2.4, height_m: float = -0.3) -> np.ndarray:
    """A camera on a circle around the ball, looking at it."""
    eye = np.array([radius_m * np.sin(angle), height_m, radius_m * np.cos(angle)])
    return geometry.look_at(eye, np.zeros(3), np.array([0.0, -1.0, 0.0]))


def ball_pixels(T: np.ndarray, depth: np.ndarray) -> np.ndarray:
    points, _ = geometry.backproject(depth, CAMERA, T)
    return BALL.contains(points).reshape(depth.shape)


def room_frame(T: np.ndarray, stamp_ns: int = 0) -> tuple[Frame, np.ndarray]:
    """The painted room, nothing in it red but the ball, and its labels: ball 7, room 3."""
    depth, rgb = room_depth(T), room_rgb(T)
    ball = ball_pixels(T, depth)
    rgb[..., 0] //= 2
    rgb[ball] = RED
    return Frame(rgb, depth, CAMERA, T, stamp_ns), np.where(ball, 7, 3).astype(np.uint16)


def room_memory(angles: int = 8) -> Memory:
    memory = Memory(CONFIG)
    memory.names.update({3: "room", 7: "ball"})
    for i in range(angles):
        frame, label = room_frame(pose_at(2 * np.pi * i / angles), i * 100_000_000)
        memory.integrate(frame, label=label)
    return memory


def content(memory: Memory) -> tuple:
    """Everything a memory is, to the bit: points in their order, keyframes by identity, names, epoch."""
    blocks = memory.store.blocks
    every = rows.take(blocks, rows.keys_within(blocks, np.full(3, -np.inf), np.full(3, np.inf), CONFIG.voxel_m))
    held = every.size > 0
    points = (every.key[held].tobytes(), every.size[held].tobytes(), *(a.tobytes() for a in every.fields.values()))
    return points, [id(k) for k in memory.keyframes.keyframes], dict(memory.names), memory.epoch_ns, len(memory)


def redness(rgb: np.ndarray) -> np.ndarray:
    return (np.abs(rgb.astype(int) - RED).max(-1) < 60) & (rgb[..., 0] > 150)


def cube(side_m: float = 0.4, level: int = 40) -> Points:
    """The faces of a cube around the origin, green."""
    n = int(side_m / CONFIG.voxel_m * 2)
    line = np.linspace(-side_m / 2, side_m / 2, n)
    xyz = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)
    xyz = xyz[(np.abs(xyz) > side_m / 2 - 1e-6).any(1)].astype(np.float32)
    return Points.measured(xyz, np.tile(np.array([[level, 220, level]], np.uint8), (len(xyz), 1)))


@pytest.mark.parametrize("region", [Object("ball"), Sphere((0, 0, 0), 0.9), Box((-0.9, -0.9, -0.9), (0.9, 0.9, 0.9))], ids=str)
def test_what_is_removed_is_gone_from_every_view(region: Region) -> None:
    memory = room_memory()
    views = [pose_at(0.1 + 0.7 * i, 2.0 + 0.1 * i, -0.2) for i in range(5)]
    before = [memory.render(CAMERA, T, 0) for T in views]
    assert all(redness(v.rgb).sum() > 800 for v in before)
    counts = Editor(memory).remove(region)
    assert counts["removed"] > 500
    assert counts["keyframes"] == len(memory.keyframes)
    for T, old in zip(views, before, strict=True):
        view = memory.render(CAMERA, T, 0)
        ball = ball_pixels(T, room_depth(T))
        assert not redness(view.rgb).any()
        points, _ = geometry.backproject(view.depth, CAMERA, T)
        assert np.linalg.norm(points, axis=1).min() > 1.0, "no surface where the ball was"
        assert view.coverage[ball].mean() > 0.5, "other keyframes saw the walls behind, past the ball"
        far = ~np.asarray(ball_grown(ball, 12))
        assert psnr(view.rgb, old.rgb, far) > 35, "elsewhere next to nothing changes, though half the picture did"


def ball_grown(mask: np.ndarray, px: int) -> np.ndarray:
    import cv2

    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * px + 1, 2 * px + 1), np.uint8)).astype(bool)


def test_no_frame_of_the_world_shows_what_was_removed() -> None:
    """References, recall and the network's input included: nothing red is left to be had."""
    memory = room_memory(4)
    Editor(memory).remove(Object("ball"))
    world = World(WorldConfig(memory=CONFIG), memory, ProjectionGenerator(), CAMERA)
    poses = np.stack([pose_at(0.4 * i, 2.2, 0.1) for i in range(4)])
    step = world.advance(Trajectory(10**9 + 10**8 * np.arange(4), poses))
    assert not redness(step.rgb).any()
    for T in poses:
        view = memory.render(CAMERA, T, 0)
        references = memory.retrieve(view, CAMERA, T, 4)
        blank = np.ones(view.depth.shape, bool)
        for guess in (1.0, 1.6, 2.4, 4.0):
            lent = recall(np.full(view.depth.shape, guess, np.float32), blank, CAMERA, T, references)
            assert not redness(lent.rgb[lent.known]).any()
        anchor = Anchor.of(images_of(ClipView.still(view, references, CAMERA, T))[0], T, 0.0, 0.0)
        told = context_in(anchor, [ContextFrame.of_keyframe(each) for each in references])
        colour = told.frames[:, :3] * anchor.colour_scale + anchor.colour_mean[:, None, None]
        assert not redness(np.clip(colour * 255, 0, 255).transpose(0, 2, 3, 1)).any()


def test_unknown_depth_in_the_outline_falls_silent_too() -> None:
    """The ball's middle returned no depth; its colour was seen all the same, and would be recalled."""
    memory = Memory(CONFIG)
    frame, label = room_frame(pose_at(0.0))
    depth = frame.depth.copy()
    depth[52:62, 72:86] = 0.0
    memory.integrate(replace(frame, depth=depth), label=label)
    Editor(memory).remove(BALL)
    (keyframe,) = memory.keyframes.keyframes
    assert keyframe.masked is not None
    assert keyframe.masked[52:62, 72:86].all()
    assert keyframe.masked[ball_pixels(frame.T_world_cam, frame.depth)].all()
    assert not keyframe.masked[ball_grown(keyframe.masked, 0) & ~ball_grown(ball_pixels(frame.T_world_cam, frame.depth), 4)].any()


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_what_is_added_shows_although_every_keyframe_looked_through_its_place(angle: float) -> None:
    memory = room_memory()
    editor = Editor(memory)
    editor.remove(Object("ball"))
    at = geometry.pose(Rotation.from_euler("y", 0.4).as_matrix(), np.array([0.9, 0.3, 0.6]))
    counts = editor.add(cube(), at, name="cube")
    assert counts["added"] > 200
    assert counts["keyframes"] > 0
    assert [t.name for t in things(memory)] == ["cube", "room"]
    T = pose_at(angle)
    view = memory.render(CAMERA, T, 0)
    centre, z = geometry.project(at[None, :3, 3], CAMERA, T)
    u, v = centre[0].astype(int)
    patch = (slice(v - 6, v + 7), slice(u - 6, u + 7))
    assert (np.abs(view.rgb[patch].astype(int) - (40, 220, 40)).max(-1) < 8).all(), "no keyframe paints the wall over it"
    assert view.coverage[patch].all(), "the way to it is known to be empty"
    assert (np.abs(view.depth[patch] - z[0]) < 0.3).all()
    assert (view.sensed[patch] == 1.0).all()
    inside = at[None, :3, 3] + np.zeros((1, 3))
    assert not in_seen_space(inside, memory.keyframes.keyframes, 0.05).any(), "free space seen before it was put there"
    in_front = inside + 0.6 * (T[:3, 3] - inside) / np.linalg.norm(T[:3, 3] - inside)
    assert in_seen_space(in_front, memory.keyframes.keyframes, 0.05).all(), "before it, space stays known to be empty"


def test_a_moved_thing_is_there_and_no_longer_here() -> None:
    memory = room_memory()
    T = geometry.pose(np.eye(3), np.array([0.0, -0.9, 1.5]))
    counts = Editor(memory).move(Object("ball"), T)
    assert 0.6 * counts["moved"] < counts["placed"] <= counts["moved"]
    (ball, _) = things(memory)
    np.testing.assert_allclose((ball.low + ball.high) / 2, T[:3, 3], atol=0.1)
    view = memory.render(CAMERA, pose_at(np.pi), 0)
    points, _ = geometry.backproject(np.where(redness(view.rgb), view.depth, 0.0), CAMERA, pose_at(np.pi))
    assert len(points) > 300
    np.testing.assert_allclose(np.linalg.norm(points - T[:3, 3], axis=1), 0.8, atol=0.1)


def test_recolouring_keeps_the_shape() -> None:
    memory = room_memory()
    depth = memory.render(CAMERA, pose_at(0.2), 0).depth
    Editor(memory).recolour(Object("ball"), (0, 0, 255), 1.0)
    view = memory.render(CAMERA, pose_at(0.2), 0)
    blue = (view.rgb == (0, 0, 255)).all(-1)
    ball = ball_pixels(pose_at(0.2), room_depth(pose_at(0.2)))
    assert blue[ball].mean() > 0.97
    assert not redness(view.rgb).any()
    assert np.median(np.abs(view.depth - depth)[ball]) < CONFIG.voxel_m
    with pytest.raises(SpatiaError, match=r"blend of 0\.\.1"):
        Editor(memory).recolour(BALL, (0, 0, 255), 1.5)


def test_regions_meet_and_say_what_they_are() -> None:
    memory = room_memory(4)
    upper = Both([Object("ball"), HalfSpace((0, 0, 0), (0, -2, 0))])
    assert str(upper) == "the object 'ball' and the side towards (0, -1, 0) of the plane through (0, 0, 0) m"
    found = upper.found_in(memory)
    points = memory.points()
    chosen = found.contains(points.xyz)
    assert (points.label[chosen] == 7).all()
    assert (points.xyz[chosen, 1] <= 0).all()
    assert 0.35 < chosen.sum() / (points.label == 7).sum() < 0.65
    turned = Box((0, 0, 0), (1, 1, 1), geometry.pose(Rotation.from_euler("z", 90, degrees=True).as_matrix(), np.zeros(3)))
    assert turned.contains(np.array([[-0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])).tolist() == [True, False]


def test_a_component_stops_at_what_it_stands_on() -> None:
    """A cube on the floor, beside another; the room's floor is y = 2."""
    memory = room_memory()
    editor = Editor(memory)
    editor.remove(Object("ball"))
    floor = 2.0 - 0.2
    for x, name in ((0.0, "left"), (0.8, "right")):
        editor.add(cube(), geometry.pose(np.eye(3), np.array([x, floor, 0.0])), name=name)
    points = memory.points()
    chosen = Component((0.0, floor - 0.2, 0.0), 1.5).found_in(memory).contains(points.xyz)
    left = [n for n, said in memory.names.items() if said == "left"]
    assert (points.label[chosen] == left[0]).all()
    above = points.xyz[:, 1] < 2.0 - 3 * CONFIG.voxel_m
    assert chosen[np.isin(points.label, left) & above].all()
    with pytest.raises(SpatiaError, match="expected a point there that is on no bounding plane"):
        Component((-0.9, 2.0, 0.0), 1.2).found_in(memory)
    with pytest.raises(SpatiaError, match=r"expected 1\.\.3000000 points around the seed, got 0"):
        Component((0, 0, 0), 0.1).found_in(memory)


def test_errors_name_what_there_is() -> None:
    memory = room_memory(2)
    editor = Editor(memory)
    before = content(memory)
    for bad, says in [
        (lambda: editor.remove(Object("bal")), "object 'bal': expected one of ball, room"),
        (lambda: editor.remove(Sphere((0, 0, 0), 0.2)), "expected points in the ball of 0.2 m"),
        (lambda: Sphere((0, 0, np.nan), 1.0), "finite metres"),
        (lambda: Box((0, 0, 0), (1, -1, 1)), "low <= high"),
        (lambda: HalfSpace((0, 0, 0), (0, 0, 0)), "expected a direction"),
        (lambda: editor.undo(), "expected an edit to undo"),
        (lambda: editor.redo(), "expected an edit that was undone"),
        (lambda: editor.add(cube(), name="x" * 201), "1..200 characters"),
        (lambda: editor.add(cube()._replace(xyz=np.full((len(cube().xyz), 3), np.inf, np.float32))), "finite"),
    ]:
        with pytest.raises(SpatiaError, match=says.replace("(", r"\(")):
            bad()
    assert content(memory) == before, "a refused edit changes nothing"


def random_edit(editor: Editor, rng: np.random.Generator) -> None:
    """One of the four edits, somewhere; a place without points is no edit."""
    centre, T = rng.uniform(-2, 2, 3), geometry.pose(Rotation.random(random_state=rng).as_matrix(), rng.uniform(-1, 1, 3))
    region: Region = Sphere(centre, rng.uniform(0.5, 2.0)) if rng.random() < 0.7 else Box(centre - 0.8, centre + 0.8, T)
    edits = (
        lambda: editor.remove(region), lambda: editor.move(region, T),
        lambda: editor.recolour(region, rng.uniform(0, 255, 3)), lambda: editor.add(cube(), T, f"cube {rng.integers(3)}"),
    )  # fmt: skip
    try:
        edits[rng.integers(4)]()
    except SpatiaError as error:
        assert "expected points in" in str(error)  # noqa: PT017  (nothing there is a fair answer)


@pytest.mark.parametrize("seed", range(4))
def test_undoing_everything_is_the_identity(seed: int) -> None:
    """Random edits; undo all: as at first, to the bit; redo all: as at last; undo all again."""
    rng = np.random.default_rng(seed)
    memory = room_memory(3)
    editor, states = Editor(memory), [content(memory)]
    first = memory.render(CAMERA, pose_at(0.4), 0)
    for _ in range(8):
        random_edit(editor, rng)
        if len(editor.history) == len(states):
            states.append(content(memory))
    assert len(states) > 3
    for _ in range(2):
        for state in reversed(states[:-1]):
            editor.undo()
            assert content(memory) == state
        again = memory.render(CAMERA, pose_at(0.4), 0)
        for name in ("rgb", "depth", "sensed", "age_s"):
            assert np.array_equal(getattr(again, name), getattr(first, name)), name
        for state in states[1:]:
            editor.redo()
            assert content(memory) == state


def test_history_is_bounded_and_ends_with_a_new_edit() -> None:
    memory = room_memory(2)
    editor = Editor(memory, limit=2)
    for k in range(4):
        editor.recolour(BALL, (10 * k, 0, 0))
    assert len(editor.history) == 2
    editor.undo()
    editor.recolour(BALL, (0, 200, 0))
    with pytest.raises(SpatiaError, match="redo"):
        editor.redo()
    tight = Editor(memory, max_bytes=1)
    tight.recolour(BALL, (1, 2, 3))
    tight.remove(BALL)
    assert tight.history == [f"remove {BALL}"], "the newest is always kept"


def test_undoing_later_keeps_what_came_in_between() -> None:
    memory = room_memory(4)
    editor = Editor(memory)
    editor.remove(Object("ball"))
    fresh = cube()._replace(xyz=(cube().xyz + (0, 0, -0.1)).astype(np.float32))
    memory.add_points(fresh)  # stands where the ball was, and within its blocks
    editor.undo()
    points = memory.points()
    green = (points.rgb[:, 1] > 200) & (points.rgb[:, 0] < 60)
    assert green.sum() > 150
    assert (points.label == 7).sum() > 500
    assert all(k.masked is None for k in memory.keyframes.keyframes)


def test_a_sensor_brings_back_what_is_really_there() -> None:
    memory = room_memory(4)
    Editor(memory).remove(Object("ball"))
    frame, _ = room_frame(pose_at(0.0), 10**10)
    memory.integrate(frame)
    view = memory.render(CAMERA, pose_at(0.0), 0)
    assert redness(view.rgb).sum() > 800


def test_masks_are_saved_with_the_memory(tmp_path) -> None:
    """And what a file packs away is edited like the rest: looked up, changed, drawn, flushed."""
    memory = room_memory(4)
    editor = Editor(memory)
    editor.remove(Object("ball"))
    editor.add(cube(), geometry.pose(np.eye(3), np.array([0.0, 0.9, 1.2])), "cube")
    memory.save(tmp_path / "room.spatia")
    back = Memory.load(tmp_path / "room.spatia")
    for mine, its in zip(memory.keyframes.keyframes, back.keyframes.keyframes, strict=True):
        assert mine.masked is not None
        assert np.array_equal(mine.masked, its.masked)
        assert np.abs(mine.empty_m - its.empty_m).max() < 0.01, "depths are kept to a part of a millimetre or a voxel"
    assert things(back)[0].points == things(memory)[0].points
    again = Editor(back)
    again.remove(Object("cube"))
    assert [t.name for t in things(back)] == ["room"]
    again.undo()
    assert [t.name for t in things(back)] == ["cube", "room"]


def test_a_memory_left_in_its_file_is_edited_there(tmp_path) -> None:
    """Attached, nothing unpacked: the edit fetches what it needs, and what is flushed is what a next one opens."""
    room_memory(4).save(tmp_path / "room.spatia")
    memory = Memory.open(tmp_path / "room.spatia")
    total, label = len(memory), 7
    removed = Editor(memory).remove(Object("ball"))["removed"]
    assert len(memory) == total - removed
    memory.flush()
    memory.close()
    back = Memory.open(tmp_path / "room.spatia", write=False)
    assert len(back) == total - removed
    assert [t.name for t in things(back)] == ["room"]
    assert label in back.names, "the name stays known; no point has it"
    assert all(k.masked is not None for k in back.keyframes.keyframes)
    T = pose_at(0.3)
    assert not redness(back.render(CAMERA, T, 0).rgb).any()
    back.close()


def test_the_command_line_edits_a_file_and_leaves_the_other_as_it_was(tmp_path, capsys) -> None:
    room, bare = tmp_path / "room.spatia", tmp_path / "bare.spatia"
    room_memory(3).save(room)
    words = [str(room), "--out", str(bare), "remove", "--object", "ball", "--picture", str(tmp_path / "p.png")]
    assert cli.main(["edit", *words, "--set", "generator.name=projection"]) == 0
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert cli.main(["edit", str(bare), "list", "--json", str(tmp_path / "l.json")]) == 0
    assert list(json.loads((tmp_path / "l.json").read_text())) == ["room"]
    assert cli.main(["edit", str(room), "list"]) == 0
    assert "ball" in capsys.readouterr().out
    assert cli.main(["edit", str(room), "remove", "--object", "ball"]) == 2
    assert cli.main(["edit", str(room), "--out", str(bare), "remove", "--box", "0 0 1"]) == 2
    assert "--box: expected 6 numbers" in capsys.readouterr().err

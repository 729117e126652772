"""Static and dynamic: a ball in an empty room, seen by a camera that moves too."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from spatia_ros import geometry
from spatia_ros.config import DynamicsConfig, MemoryConfig
from spatia_ros.evaluate.ghosts import ghosts, kept, voxel_centres
from spatia_ros.memory import Memory
from spatia_ros.slam.dynamics import Split, StaticDynamic
from spatia_ros.slam.free_space import Witness, add_freeness, connected, expanded, lowest_around
from spatia_ros.slam.trail import Trail, swept
from spatia_ros.types import Camera, Float32, Float64, Frame

CAMERA = Camera(96, 72, 80.0, 80.0, 48.0, 36.0)
HALF = np.array([2.5, 1.5, 2.5])
RADIUS = 0.35
NOWHERE = np.array([0.0, 0.0, -50.0])
MEMORY = MemoryConfig(voxel_m=0.04)
CONFIG = DynamicsConfig(margin_m=0.08, settle_s=1.0)
Path = Callable[[float], Float64]


def room_depth(T_world_cam: Float64, ball: Float64) -> Float32:
    """Exact depth of a 5 x 3 x 5 m room with a ball, metres."""
    R, eye = T_world_cam[:3, :3], T_world_cam[:3, 3]
    rays = geometry.pixel_rays(CAMERA) @ R.T
    with np.errstate(divide="ignore"):
        walls = np.where(rays > 0, (HALF - eye) / rays, (-HALF - eye) / rays).min(-1)
    to = eye - ball
    a, b, c = (rays**2).sum(-1), rays @ to, to @ to - RADIUS**2
    root = b**2 - a * c
    nearer = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    return np.minimum(walls, np.where(nearer > 0, nearer, np.inf)).astype(np.float32)


def camera_at(t: float) -> Float64:
    return geometry.pose(np.eye(3), np.array([0.15 * np.sin(1.3 * t), 0.1 * np.cos(t), -2.0]))


def frame_at(t: float, ball: Float64) -> Frame:
    T = camera_at(t)
    return Frame(np.full((72, 96, 3), 128, np.uint8), room_depth(T, ball), CAMERA, T, round(t * 1e9))


def run(path: Path, seconds: float, config: DynamicsConfig = CONFIG) -> tuple[Memory, list[Split], list[Frame]]:
    """A memory made at 10 Hz with the ball on a path."""
    memory, dynamics, splits, frames = Memory(MEMORY), StaticDynamic(config), [], []
    for t in np.arange(0, seconds, 0.1):
        frames.append(frame_at(t, path(t)))
        splits.append(dynamics.split(frames[-1], memory))
        memory.integrate(frames[-1], mask=splits[-1].static)
    return memory, splits, frames


def ball_pixels(t: float, ball: Float64) -> np.ndarray:
    return room_depth(camera_at(t), ball) < room_depth(camera_at(t), NOWHERE) - 1e-6


def points_of_ball(memory: Memory, ball: Float64, slack_m: float = 0.06) -> int:
    xyz = memory.points().xyz
    return int((np.abs(np.linalg.norm(xyz - ball, axis=1) - RADIUS) < slack_m).sum())


def across(t: float) -> Float64:
    return np.array([-0.9 + 0.45 * t, 0.2, 0.3])


def away(t: float) -> Float64:
    return np.array([0.1, 0.1, -0.6 + 0.4 * t])


def towards(t: float) -> Float64:
    return np.array([0.1, 0.1, 1.4 - 0.4 * t])


def leaving(t: float) -> Float64:
    return across(max(0.0, t - 1.5))


@pytest.mark.parametrize("path", [across, away, towards, leaving])
def test_a_moving_ball_leaves_nothing_and_costs_nothing(path: Path) -> None:
    seconds = 5.0
    memory, splits, frames = run(path, seconds)
    without, _, _ = run(path, seconds, CONFIG.model_copy(update={"enabled": False}))
    control, _, _ = run(lambda t: NOWHERE, seconds)
    sphere = np.random.default_rng(0).normal(size=(4000, 3))
    sphere *= RADIUS / np.linalg.norm(sphere, axis=1, keepdims=True)
    places = [sphere + path(t) for t in np.arange(0, seconds, 0.1)]
    empty = control.points().xyz.astype(np.float64)

    def left_in(which: Memory) -> float:
        xyz = which.points().xyz.astype(np.float64)
        return ghosts(xyz, places, np.zeros((0, 3)), empty, lambda p: (HALF - np.abs(p)).min(1), MEMORY.voxel_m)["ghosts"]

    assert left_in(memory) < 0.01 < left_in(without)
    assert kept(memory.points().xyz.astype(np.float64), empty, frames, MEMORY.voxel_m) > 0.98
    last = splits[-1]
    shown = ball_pixels(4.9, path(4.9))
    assert (~last.static & shown).sum() > 0.95 * shown.sum()
    (mover,) = [m for m in last.movers if m.state == "moving"]
    expected = (path(4.9) - path(4.8)) / 0.1
    np.testing.assert_allclose(mover.velocity, expected, atol=0.12)
    assert (mover.low < path(4.9)).all() or path is away  # only its near side is seen
    assert np.abs(mover.centre - path(4.9)).max() < RADIUS


def test_what_stops_becomes_part_of_the_place_after_a_while() -> None:
    def path(t: float) -> Float64:
        return across(min(t, 2.0))

    memory, splits, _ = run(path, 2.6)
    assert points_of_ball(memory, path(9.0)) == 0
    assert {m.state for m in splits[-1].movers} == {"moving"}
    memory, splits, _ = run(path, 4.5)
    assert points_of_ball(memory, path(9.0)) > 60
    shown = ball_pixels(4.4, path(4.4))
    assert (splits[-1].static & shown).sum() > 0.9 * shown.sum()
    assert points_of_ball(memory, across(0.0)) == 0


def test_a_thing_put_down_enters_after_a_while_and_one_first_seen_at_once() -> None:
    def put_down(t: float) -> Float64:
        return NOWHERE if t < 1.0 else across(2.0)

    memory, splits, _ = run(put_down, 1.3)
    assert splits[-1].movers[0].state == "tentative"
    assert points_of_ball(memory, across(2.0)) == 0
    memory, _, _ = run(put_down, 2.8)
    assert points_of_ball(memory, across(2.0)) > 60
    memory, splits, _ = run(lambda t: across(2.0), 0.1)
    assert splits[0].static.all()
    assert not splits[0].movers
    assert points_of_ball(memory, across(2.0)) > 60


def test_a_place_that_does_not_change_is_static_in_spite_of_noise() -> None:
    rng = np.random.default_rng(1)
    memory, dynamics = Memory(MEMORY), StaticDynamic(CONFIG)
    for t in np.arange(0, 3.0, 0.1):
        frame = frame_at(t, across(2.0))
        noisy = frame.depth + rng.normal(size=frame.depth.shape) * 0.0015 * frame.depth**2
        split = dynamics.split(Frame(frame.rgb, noisy.astype(np.float32), CAMERA, frame.T_world_cam, frame.stamp_ns), memory)
        assert split.static.all()
        assert split.carved == 0
        memory.integrate(frame, mask=split.static)


def test_poses_that_err_make_no_movers() -> None:
    rng = np.random.default_rng(2)
    memory, dynamics, held = Memory(MEMORY), StaticDynamic(CONFIG), []
    for t in np.arange(0, 4.0, 0.1):
        frame = frame_at(t, across(2.0))
        turn, _ = cv2.Rodrigues(rng.normal(0, 0.005, 3))
        T_pose_noise = geometry.pose(turn, rng.normal(0, 0.012, 3))
        frame = replace(frame, T_world_cam=frame.T_world_cam @ T_pose_noise)
        split = dynamics.split(frame, memory)
        held.append(1.0 - split.static.mean())
        memory.integrate(frame, mask=split.static)
    assert np.mean(held) < 0.005


def test_what_a_loaded_memory_shows_to_be_free_is_free_to_a_new_stream() -> None:
    memory, _, _ = run(lambda t: NOWHERE, 0.5)
    split = StaticDynamic(CONFIG).split(frame_at(1.0, across(2.0)), memory)
    shown = ball_pixels(1.0, across(2.0))
    assert (~split.static & shown).sum() > 0.9 * shown.sum()


def test_forgetting_what_was_free_lets_a_new_thing_in() -> None:
    memory, dynamics = Memory(MEMORY), StaticDynamic(CONFIG)
    for t in (0.0, 0.1, 0.2):
        dynamics.split(frame_at(t, NOWHERE), memory)
    assert not dynamics.split(frame_at(0.3, across(2.0)), memory).static.all()
    dynamics.forget()
    assert dynamics.split(frame_at(0.4, across(2.0)), memory).static.all()


def test_freeness_is_the_distance_in_margins_to_what_a_witness_saw_behind() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 3.0, (24, 32)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = 0
    camera = Camera(32, 24, 30.0, 30.0, 16.0, 12.0)
    intrinsics = np.array([30.0, 30.0, 16.0, 12.0])
    lowest = rng.uniform(0.5, 4.0, (24, 32)).astype(np.float32)
    lowest[:, 20:25] = 0
    T = geometry.pose(np.eye(3), np.array([0.2, -0.1, 0.3]))
    witness = Witness(lowest, intrinsics, T, 0)
    free = np.zeros_like(depth)
    add_freeness(free, depth, intrinsics, np.eye(4), witness, 0.05, 0.01)
    points, known = geometry.backproject(depth, camera, np.eye(4))
    expected = np.zeros(len(points))
    pixels, z = geometry.project(points, camera, T)
    for i, ((u, v), distance) in enumerate(zip(pixels, z, strict=True)):
        if distance > 0 and 0 <= u < 32 and 0 <= v < 24:
            low = float(lowest[int(v), int(u)])
            expected[i] = max(0.0, (low - distance) / (0.05 + 0.01 * low * low))
    assert (expected > 0).sum() > 50
    off = np.abs(free[known] - expected) > 1e-3 * (1 + expected)
    assert off.mean() < 0.01  # a pixel border falls differently in single precision
    assert (free[~known] == 0).all()


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_lowest_around_a_cell_is_that_of_its_window(stride: int) -> None:
    depth = np.random.default_rng(0).uniform(1, 2, (30, 41)).astype(np.float32)
    depth[7, 9] = 0
    low, reach = lowest_around(depth, stride), 1 + stride // 2
    assert low.shape == (30 // stride, 41 // stride)
    for y in range(low.shape[0]):
        for x in range(low.shape[1]):
            y0, y1, x0, x1 = y * stride - reach, (y + 1) * stride + reach, x * stride - reach, (x + 1) * stride + reach
            inside = y0 >= 0 and x0 >= 0 and y1 <= 30 and x1 <= 41
            assert low[y, x] == (depth[y0:y1, x0:x1].min() if inside else 0)


def test_groups_touch_without_a_step() -> None:
    chosen = np.random.default_rng(0).random((40, 50)) < 0.4
    flat = np.ones((40, 50), np.float32)
    label, groups = connected(chosen, flat, 0.1, 0.0)
    truth, count = ndimage.label(chosen, np.ones((3, 3)))
    assert groups == count
    assert len({(a, b) for a, b in zip(label.ravel(), truth.ravel(), strict=True)}) == count + 1
    stepped = flat.copy()
    stepped[:, 25:] = 1.2
    label, _ = connected(np.ones_like(chosen), stepped, 0.1, 0.05)
    assert (label[:, :25] == 1).all()
    assert (label[:, 25:] == 2).all()


def test_cells_become_pixels() -> None:
    cells = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(expanded(cells, 2, 5, 4)[:, 0], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(expanded(cells, 2, 5, 4)[4], [0, 0, 1, 1])


def test_a_trail_is_the_blocks_around_points_and_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    trail = Trail()
    trail.add(np.zeros((5, 3)) + 0.001, 0.01, 0)
    assert len(trail.keys) == 27
    assert (np.diff(trail.keys) > 0).all()
    trail.add(np.full((1, 3), 0.001), 0.01, 5)
    assert len(trail.keys) == 27
    monkeypatch.setattr("spatia_ros.slam.trail.MAX_BLOCKS", 30)
    first = trail.keys
    trail.add(np.full((1, 3), 7.0), 0.01, 9)
    assert len(trail.keys) == 30
    assert len(np.setdiff1d(trail.keys, first)) == 27


def test_sweeping_back_covers_where_a_thing_stood() -> None:
    thing = np.stack([np.linspace(0, 0.5, 40), np.zeros(40), np.zeros(40)], -1)
    back = swept(thing, np.array([0.2, 0.0, 0.0]), 0.01)
    assert back[:, 0].min() < -0.55
    assert back[:, 0].max() == 0.5
    assert swept(thing, np.zeros(3), 0.01) is thing


def test_ghosts_and_kept_of_known_clouds() -> None:
    floor = np.stack(np.meshgrid(np.arange(0.05, 2, 0.1), np.arange(0.05, 2, 0.1), [0.05]), -1).reshape(-1, 3)
    cube = np.array([0.55, 0.55, 0.0]) + floor[:25] * 0.2 + (0, 0, 1.0)
    places = [cube, cube + (0.5, 0, 0)]
    own = np.mean([len(voxel_centres(p, 0.1)) for p in places])
    measure = (places, np.zeros((0, 3)), floor, lambda p: np.abs(p[:, 2] - 0.05), 0.1)
    assert ghosts(floor, *measure) == {"ghosts": 0.0, "ghosts_swept": 0.0}
    left = np.concatenate([floor, cube[:1]])
    assert ghosts(left, *measure)["ghosts"] == pytest.approx(1 / own)
    assert ghosts(np.concatenate([floor, *places]), *measure)["ghosts_swept"] == 1.0
    rests = (places, places[1], floor, measure[3], 0.1)
    assert ghosts(np.concatenate([floor, places[1][:1]]), *rests)["ghosts"] == 0.0
    T = geometry.look_at(np.array([1.0, 1.0, 3.0]), np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    camera = Camera(60, 60, 60.0, 60.0, 30.0, 30.0)
    blank = np.zeros((60, 60, 3), np.uint8)
    looked = [Frame(blank, np.full((60, 60), 2.95, np.float32), camera, T)]
    assert kept(floor[: len(floor) // 2], floor, looked, 0.05) == pytest.approx(0.5)
    hidden = [Frame(blank, np.where(np.arange(60) < 30, np.float32(2.95), np.float32(1.0))[None].repeat(60, 0), camera, T)]
    seen = floor[floor[:, 0] < 1.0]
    assert kept(seen, floor, hidden, 0.05) == 1.0  # the other half is hidden in every frame

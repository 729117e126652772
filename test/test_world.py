"""The loop: tiny worlds with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.config import WorldConfig, dump, from_dict, load, override
from spatia_ros.generator import Generated
from spatia_ros.generator.stream import Stream
from spatia_ros.memory import Memory
from spatia_ros.pixels import provenance
from spatia_ros.slam import REASONS, verify
from spatia_ros.types import Camera, Frame, SpatiaError, Trajectory, View
from spatia_ros.world import World, open_world

CAMERA = Camera.from_fov(80, 48, np.radians(60))
CONFIG = from_dict({
    "generator": {"name": "projection"}, "memory": {"voxel_m": 0.02}, "camera": {"width_px": 80, "height_px": 48},
})
PERIOD_NS = 100_000_000


def wall_depth(T_world_cam: np.ndarray, distance_m: float = 2.0) -> np.ndarray:
    """Exact depth of the wall z = distance from a pose."""
    rays = geometry.pixel_rays(CAMERA) @ T_world_cam[:3, :3].T
    return ((distance_m - T_world_cam[2, 3]) / rays[..., 2]).astype(np.float32)


def wall_colour(T_world_cam: np.ndarray, distance_m: float = 2.0) -> np.ndarray:
    """A smooth pattern painted on the wall, in world coordinates."""
    rays = geometry.pixel_rays(CAMERA) @ T_world_cam[:3, :3].T
    p = T_world_cam[:3, 3] + rays * wall_depth(T_world_cam, distance_m)[..., None]
    pattern = np.stack([np.sin(3 * p[..., 0]), np.cos(4 * p[..., 1]), np.sin(2 * (p[..., 0] + p[..., 1]))], -1)
    return (127 + 100 * pattern).astype(np.uint8)


def wall_frame(x: float, stamp_ns: int = 0) -> Frame:
    T = np.eye(4)
    T[0, 3] = x
    return Frame(wall_colour(T), wall_depth(T), CAMERA, T, stamp_ns)


def path(xs: list[float], first_ns: int = PERIOD_NS) -> Trajectory:
    poses = np.tile(np.eye(4), (len(xs), 1, 1))
    poses[:, 0, 3] = xs
    return Trajectory(first_ns + PERIOD_NS * np.arange(len(xs)), poses)


class OracleGenerator:
    """Knows the wall: what memory does not show, it invents truthfully."""

    name, references = "oracle", 1

    def stream(self) -> Stream:
        return Stream(context_frames=0)

    def condition(self, shown, stream):
        return shown

    def sample(self, told, stream, rng) -> list[Generated]:
        return [self.invented(view, T) for view, T in zip(told.views, told.T_world_cams, strict=True)]

    def invented(self, view: View, T: np.ndarray) -> Generated:
        rgb = np.where(view.coverage[..., None], view.rgb, wall_colour(T))
        return Generated(rgb, wall_depth(T), np.full(view.depth.shape, 0.01, np.float32))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


def test_a_place_looked_at_again_is_the_same_place() -> None:
    """Out past the seen edge and back: invented once, remembered after, and the first view returns."""
    world = World(CONFIG, Memory(CONFIG.memory), OracleGenerator(), CAMERA)
    world.observe(wall_frame(0.0))
    xs = [0.0, 0.3, 0.6, 0.9, 1.2, 0.9, 0.6, 0.3, 0.0]
    step = world.advance(path(xs))
    remembered = step.coverage.mean((1, 2))
    assert remembered[0] > 0.99
    assert remembered[3] < 0.95, "the path must leave the seen region"
    assert remembered[5] > remembered[3] + 0.02, "what was invented is remembered on the way back"
    assert psnr(step.rgb[0], step.rgb[-1]) > 40
    assert psnr(step.rgb[3], step.rgb[5]) > 30
    assert step.figures["accepted"] > 0
    assert (step.verdict == REASONS.index("accepted")).sum() == step.figures["accepted"]
    # Provenance: a sensor's pixels are 255; what was invented on the way out is 96 on the way back.
    assert (step.provenance[0][step.coverage[0]] == 255).all()
    invented = ~step.coverage[4]
    assert (step.provenance[4][invented] == 0).all()
    assert (step.provenance[5] == 96).mean() > 0.02
    assert not world.memory.points().sensed.all()


def test_depth_of_remembered_pixels_is_memory_s() -> None:
    world = open_world(CONFIG, [wall_frame(0.0), wall_frame(0.5, PERIOD_NS)])
    step = world.advance(path([0.25], 3 * PERIOD_NS))
    covered = step.coverage[0]
    assert covered.mean() > 0.98
    np.testing.assert_allclose(step.depth[0][covered], 2.0, rtol=0.01)
    assert psnr(step.rgb[0], wall_frame(0.25).rgb) > 30


def test_same_seed_same_frames_and_snapshot_restores() -> None:
    def fly() -> World:
        world = World(CONFIG, Memory(CONFIG.memory), OracleGenerator(), CAMERA)
        world.observe(wall_frame(0.0))
        return world

    a, b = fly(), fly()
    first = a.advance(path([0.2, 0.5]))
    assert np.array_equal(first.rgb, b.advance(path([0.2, 0.5])).rgb)
    snapshot = a.snapshot()
    onward = a.advance(path([0.9, 1.2], 4 * PERIOD_NS))
    a.advance(path([2.0, 0.1], 8 * PERIOD_NS))
    for _ in range(2):  # a snapshot stays usable
        a.restore(snapshot)
        again = a.advance(path([0.9, 1.2], 4 * PERIOD_NS))
        assert again.index == onward.index == 2
        for field in ("rgb", "depth", "coverage", "provenance"):
            assert np.array_equal(getattr(onward, field), getattr(again, field)), field


def test_a_frozen_world_generates_and_forgets() -> None:
    world = World(CONFIG, Memory(CONFIG.memory), OracleGenerator(), CAMERA)
    world.observe(wall_frame(0.0))
    world.frozen = True
    before = len(world.memory)
    step = world.advance(path([0.8]))
    assert (~step.coverage).any()
    assert len(world.memory) == before


def test_look_steps_one_frame_period() -> None:
    world = open_world(CONFIG, [wall_frame(0.0)])
    step = world.look(np.eye(4))
    assert step.trajectory.stamps_ns.tolist() == [round(1e9 / CONFIG.frame_rate_hz)]
    bad = np.eye(4)
    bad[0, 3] = np.nan
    with pytest.raises(SpatiaError, match="T_world_cam: expected finite numbers"):
        world.look(bad)
    assert world.index == 1


def test_opening_a_world_of_nothing_says_so() -> None:
    with pytest.raises(SpatiaError, match="expected at least one frame"):
        open_world(CONFIG, [])


def seen(depth: np.ndarray) -> View:
    covered = depth > 0
    return View(np.zeros((*depth.shape, 3), np.uint8), depth, covered, covered.astype(np.float32), np.zeros_like(depth))


def test_verify_accepts_what_agrees_and_refuses_what_does_not() -> None:
    half = wall_depth(np.eye(4))
    half[:, 40:] = 0.0
    view, rgb, sure = seen(half), np.zeros((48, 80, 3), np.uint8), np.full((48, 80), 0.01, np.float32)
    truth = wall_depth(np.eye(4))

    def verdict(depth: np.ndarray, spread: np.ndarray, keyframes=()):
        return verify(Generated(rgb, depth, spread), view, CAMERA, np.eye(4), keyframes, CONFIG.verify)

    good = verdict(truth, sure)
    assert good.counts["new"] == good.counts["accepted"] == 48 * 40
    assert not good.accepted[:, :40].any(), "what memory shows is not new"
    wrong = verdict(truth * 1.3, sure)
    assert wrong.counts["disagreeing"] > 0
    assert not wrong.accepted[:, 40:45].any(), "next to remembered depth it contradicts, nothing is accepted"
    assert verdict(truth, sure * 100).counts["accepted"] == 0
    assert verdict(truth * 1.01 + 10, sure).counts["accepted"] == 0
    behind = Memory(CONFIG.memory)
    behind.integrate(wall_frame(0.0))
    intruding = np.where(np.arange(80) >= 60, truth * 0.5, truth).astype(np.float32)
    judged = verdict(intruding, sure, behind.keyframes.keyframes)
    assert judged.counts["in_seen_space"] == 48 * 20, "a sensor saw through there"
    reasons = np.array(REASONS)[judged.reasons]
    assert (reasons[:, :40] == "remembered").all()
    assert (reasons[:, 60:] == "in_seen_space").all()
    assert (judged.accepted == (reasons == "accepted")).all()
    assert (np.array(REASONS)[verdict(truth, sure * 100).reasons[:, 40:]] == "unsure").all()


def test_another_colour_than_is_remembered_is_refused() -> None:
    half, truth = wall_depth(np.eye(4)), wall_depth(np.eye(4))
    half[:, 40:] = 0.0
    sure = np.full((48, 80), 0.01, np.float32)
    judged = verify(
        Generated(np.full((48, 80, 3), 200, np.uint8), truth, sure), seen(half), CAMERA, np.eye(4), [], CONFIG.verify
    )
    assert judged.counts["discoloured"] > 0
    assert not judged.accepted[:, 40:44].any(), "next to remembered colour it contradicts, nothing is accepted"
    assert set(np.array(REASONS)[judged.reasons].ravel()) == {"remembered", "accepted", "discoloured"}


def test_provenance_values() -> None:
    depth = np.ones((2, 2), np.float32)
    depth[0, 0] = 0
    view = View(np.zeros((2, 2, 3), np.uint8), depth, depth > 0, np.array([[0, 1], [0, 1]], np.float32), depth * 0)
    assert provenance(view).tolist() == [[0, 255], [96, 255]]


def test_config_is_strict_and_round_trips(tmp_path: Path) -> None:
    config = override(WorldConfig(), ["memory.voxel_m=0.02", "generator.name=projection"])
    (tmp_path / "c.yaml").write_text(dump(config))
    assert load(tmp_path / "c.yaml") == config
    with pytest.raises(SpatiaError, match=r"memory\.voxle_m"):
        from_dict({"memory": {"voxle_m": 0.02}})
    with pytest.raises(SpatiaError, match=r"memory\.voxel_m.*got -1"):
        from_dict({"memory": {"voxel_m": -1}})
    with pytest.raises(SpatiaError, match="no section 'nonsense'"):
        override(WorldConfig(), ["nonsense.key=1"])
    with pytest.raises(SpatiaError, match=r"section\.key=value"):
        override(WorldConfig(), ["voxel"])
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SpatiaError, match="expected YAML"):
        load(tmp_path / "bad.yaml")

"""Time control: what each pattern asks for, the controls, and one flight for all patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from spatia_ros.actors import Actor, BodyPoints, Cast, PoseTrack, RigidBody
from spatia_ros.cli import main
from spatia_ros.config import WorldConfig, override
from spatia_ros.evaluate.footage import GridFootage, Shown, stamp_ns
from spatia_ros.evaluate.time_control import PATTERNS, animation_of, figures_of, film, pooled, pooled_camera
from spatia_ros.evaluate.time_pipelines import _flown_once, ours
from spatia_ros.evaluate.time_report import evaluate_time_control
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.geometry import pose
from spatia_ros.memory import Memory
from spatia_ros.train.grid import GridPlan, open_grids, write_grids
from spatia_ros.train.scene_take import TakePlan
from spatia_ros.types import Camera, Float64, Frame, Trajectory, UInt8
from spatia_ros.world import World

CAMERA = Camera.from_fov(64, 48, 1.0)
TIMES = np.linspace(0.0, 3.0, 7)


class Square:
    """A white square that crosses a grey wall, whose camera only stands."""

    name, kind, camera, times_s = "square", "room", CAMERA, TIMES
    paths: Mapping[str, Float64] = {name: np.tile(np.eye(4), (7, 1, 1)) for name in ("source", "target")}

    def known(self, tau_s: Float64) -> Float64:
        return tau_s

    def look(self, _path: str, index: int, tau_s: float) -> Shown:
        rgb, depth = np.full((48, 64, 3), 90, np.uint8), np.full((48, 64), 3, np.float32)
        left = round(15 * tau_s)
        moving = np.zeros((48, 64), bool)
        moving[10:30, left : left + 16] = True
        rgb[moving], depth[moving] = 250, 2
        return Shown(Frame(rgb, depth, CAMERA, np.eye(4), stamp_ns(tau_s)), moving)


def knowing(footage: Square, _source: Sequence[Shown]):
    def render(T_world_cam: Float64, animation_s: Mapping[str, Float64]) -> dict[str, UInt8]:
        return {
            name: np.stack([footage.look("target", k, tau_s[k]).frame.rgb for k in range(len(T_world_cam))])
            for name, tau_s in animation_s.items()
        }

    return render


def test_patterns_ask_for_times_of_the_recording():
    asked = {name: animation_of(name, TIMES) for name in PATTERNS}
    assert len(PATTERNS) == 10
    assert all(a.min() >= 0 and a.max() <= 3 for a in asked.values())
    np.testing.assert_allclose(asked["forward"], TIMES)
    np.testing.assert_allclose(asked["reverse"], TIMES[::-1])
    np.testing.assert_allclose(asked["freeze"], 1.5)
    np.testing.assert_allclose(asked["ramp-freeze"], [0, 1, 2, 3, 3, 3, 3])
    np.testing.assert_allclose(asked["loop"][:6], [0, 0.5, 1, 1.5, 0.5, 1], atol=1e-6)
    assert len({tuple(np.round(a, 3)) for a in asked.values()}) == 10


def test_who_knows_everything_is_right_and_the_controls_are_not():
    figures = pooled([figures_of(film(Square(), {"known": knowing}, 1), "known")])
    assert all(part["psnr"] == 100 and part["ssim"] == pytest.approx(1) for part in figures["patterns"].values())
    assert figures["camera_only"]["patterns"]["forward"]["psnr"] == 100
    assert figures["camera_only"]["patterns"]["reverse"]["psnr"] < 40
    assert figures["time_ignored"]["psnr"] < 40
    assert figures["above_time_ignored_db"] == pytest.approx(100 - figures["time_ignored"]["psnr"])
    assert figures["time_ignored"]["psnr_actors"] < figures["time_ignored"]["psnr_static"]
    assert figures["retimed"]["camera_only"]["psnr"] < figures["camera_only"]["psnr"]


def test_places_count_alike_and_what_nothing_defines_is_none():
    def place(db: float) -> dict:
        part = {name: {"psnr": [db], "ssim": [0.5], "psnr_actors": [float("nan")], "psnr_static": [db, db]} for name in PATTERNS}
        return dict.fromkeys(("ours", "camera_only", "time_ignored"), part)

    figures = pooled([place(20.0), place(30.0)])
    assert figures["mean"] == {"psnr": 25.0, "ssim": 0.5, "psnr_actors": None, "psnr_static": 25.0}
    none = {"rot_deg": None, "trans_m": None, "rot_deg_median": None, "trans_m_median": None}
    some = {"rot_deg": 0.25, "trans_m": 0.01, "rot_deg_median": 0.2, "trans_m_median": 0.01}
    shares = {"rta_15": 1.0, "rta_30": 1.0, "estimated": 1.0}
    camera = pooled_camera([none | shares, some | shares])
    assert (camera["rot_deg"], camera["trans_m"], camera["rta15"]) == (0.25, 0.01, 1.0)


def world_with_a_ball() -> World:
    config = override(WorldConfig(), ["generator.name=projection", "memory.voxel_m=0.05"])
    memory = Memory(config.memory)
    memory.integrate(Square().look("source", 0, 5.0).frame)
    rng = np.random.default_rng(0)
    points = BodyPoints(rng.normal(0, 0.1, (400, 3)).astype(np.float32), rng.integers(0, 255, (400, 3), np.uint8), 0.03)
    ends = np.stack([pose(np.eye(3), np.array([x, 0.0, 1.5])) for x in (-0.5, 0.5)])
    cast = Cast()
    cast.add(Actor("ball", "ball", RigidBody(points, PoseTrack(np.array([0.0, 3.0]), ends), complete=False)))
    return World(config, memory, ProjectionGenerator(), CAMERA, cast)


def test_one_flight_for_all_patterns_is_what_the_world_shows():
    world = world_with_a_ball()
    poses = np.stack([pose(np.eye(3), np.array([0.05 * k, 0.0, 0.0])) for k in range(4)])
    path = Trajectory(np.arange(1, 5, dtype=np.int64) * 100_000_000, poses)
    asked = {name: animation_of(name, np.linspace(0, 3, 4)) for name in ("forward", "reverse")}
    at_once, start = _flown_once(world, path, asked), world.snapshot()
    for name, tau_s in asked.items():
        np.testing.assert_array_equal(world.advance(path, tau_s).rgb, at_once[name])
        world.restore(start)
    assert (at_once["forward"][0] != at_once["reverse"][0]).any()


def test_from_a_written_grid_to_figures_and_pictures(tmp_path):
    write_grids(tmp_path / "grid", GridPlan(("room",), 1, 0, 4, TakePlan((96, 64), 4)), show=False)
    (grid,) = open_grids(tmp_path / "grid")
    footage = GridFootage(grid)
    np.testing.assert_allclose(footage.known(np.array([0.4, 2.9])), [0.0, 3.0])
    np.testing.assert_array_equal(footage.look("target", 1, 1.0).frame.rgb, grid.row("target", 1).rgb[1])
    config = override(WorldConfig(), ["generator.name=projection"])
    figures = evaluate_time_control([lambda: footage], {"ours": ours(config)}, config, tmp_path / "out", 2)
    assert set(figures["patterns"]) == set(PATTERNS)
    assert {"mean", "time_ignored", "camera_only", "camera", "places"} <= set(figures)
    assert {"rot_deg", "trans_m", "rta15", "rta30", "truth"} <= set(figures["camera"])
    assert 5 < figures["mean"]["psnr"] < 100
    assert 0 < figures["mean"]["ssim"] <= 1
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == {"figures.json", "places.json", "config.yaml", "room_0.png"}


def test_bad_arguments_are_said(capsys, tmp_path):
    assert main(["evaluate", "time-control", "--grid", str(tmp_path)]) == 2
    assert "grid.json" in capsys.readouterr().err
    assert main(["grid", "--size", "large", "--out", str(tmp_path)]) == 2
    assert "WIDTHxHEIGHT" in capsys.readouterr().err

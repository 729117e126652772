"""Full grids: takes, rows, sets, and the cast of a scene."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from spatia_ros.actors.draw import draw
from spatia_ros.evaluate.scene_cast import scene_cast, spread
from spatia_ros.train.grid import Grid, GridPlan, open_grids, row_name, row_of, write_grids
from spatia_ros.train.grid_file import Row, read_row, write_row
from spatia_ros.train.scene_actors import TAU_S
from spatia_ros.train.scene_take import Take, TakePlan, procedural_take
from spatia_ros.types import SpatiaError

SHOTS = TakePlan((64, 40), 2)
PLAN = GridPlan(("room",), 1, 0, 3, SHOTS)


@lru_cache(1)
def room() -> Take:
    return procedural_take("room", 0, SHOTS)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    write_grids(folder, PLAN, show=False)
    return folder


def row(times: int = 3) -> Row:
    rng = np.random.default_rng(0)
    return Row(
        np.linspace(0, 1, times), np.eye(4), rng.integers(0, 255, (times, 4, 6, 3), np.uint8),
        rng.random((times, 4, 6)).astype(np.float32), rng.integers(0, 9, (times, 4, 6)).astype(np.uint16),
    )


def test_rows_come_back_exactly(tmp_path):
    write_row(tmp_path / "a.npz", row())
    back = read_row(tmp_path / "a.npz")
    for name in ("times_s", "T_world_cam", "rgb", "depth", "ids"):
        np.testing.assert_array_equal(getattr(back, name), getattr(row(), name))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_standing_camera_costs_little_more_than_one_picture(tmp_path):
    one, many = row(1), row(40)
    many.rgb[:], many.depth[:], many.ids[:] = one.rgb, one.depth, one.ids
    many.rgb[20:, 1, 1] = 7
    write_row(tmp_path / "one.npz", one)
    write_row(tmp_path / "many.npz", many)
    assert (tmp_path / "many.npz").stat().st_size < 2 * (tmp_path / "one.npz").stat().st_size
    np.testing.assert_array_equal(read_row(tmp_path / "many.npz").rgb, many.rgb)


def test_what_is_no_row_is_refused(tmp_path):
    with pytest.raises(SpatiaError, match=r"a\.npz.*write the grid again"):
        read_row(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(SpatiaError, match="cannot be read"):
        read_row(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", rgb=np.zeros((2, 3)), depth=np.zeros((2, 3)), ids=np.zeros((2, 3)))
    with pytest.raises(SpatiaError, match="whole numbers"):
        read_row(tmp_path / "b.npz")
    with pytest.raises(SpatiaError, match="finite"):
        Row(row().times_s, np.eye(4), row().rgb, row().depth * np.float32(np.nan), row().ids)


def test_a_take_follows_from_its_seed_and_shows_what_moves():
    again = procedural_take("room", 0, SHOTS)
    for name, poses in room().paths.items():
        np.testing.assert_array_equal(poses, again.paths[name])
    first, last = (room().look("target", 0, tau) for tau in (0.0, TAU_S))
    np.testing.assert_array_equal(first.frame.rgb, again.look("target", 0, 0.0).frame.rgb)
    assert np.isin(first.ids, room().scene.numbers).mean() > 0.01
    assert (first.ids != last.ids).mean() > 0.01
    assert not np.allclose(room().paths["source"], room().paths["target"])


def test_kinds_and_sizes_of_takes_are_checked():
    with pytest.raises(SpatiaError, match="room, corridor, desk, street"):
        procedural_take("moon", 0, SHOTS)
    with pytest.raises(SpatiaError, match=r"2\.\.240 frames"):
        TakePlan(frames=1)
    with pytest.raises(SpatiaError, match="mesh"):
        GridPlan(("house",))


def test_a_set_is_completed_by_writing_it_again(written):
    place = written / "room-00000"
    before = {p.name: p.read_bytes() for p in place.iterdir()}
    assert set(before) == {"take.json", "sheet.png", *(row_name(p, k) for p in ("source", "target") for k in (0, 1))}
    (place / row_name("target", 1)).unlink()
    (place / "sheet.png").unlink()
    kept = (place / row_name("source", 0)).stat().st_mtime_ns
    write_grids(written, PLAN, show=False)
    after = read_row(place / row_name("target", 1))
    np.testing.assert_array_equal(after.rgb, row_of(room(), "target", 1, PLAN.times_s).rgb)
    assert (place / row_name("source", 0)).stat().st_mtime_ns == kept
    with pytest.raises(SpatiaError, match="other times; choose another folder"):
        write_grids(written, GridPlan(("room",), 1, 0, 4, SHOTS), show=False)


def test_the_reader_gives_what_the_scene_shows(written):
    (grid,) = open_grids(written)
    assert (grid.kind, grid.camera, grid.numbers) == ("room", room().camera, room().scene.numbers.tolist())
    seen, kept = room().look("source", 1, TAU_S), grid.row("source", 1)
    np.testing.assert_array_equal(kept.rgb[-1], seen.frame.rgb)
    np.testing.assert_array_equal(kept.depth[-1], seen.frame.depth)
    np.testing.assert_array_equal(kept.ids[-1], seen.ids)
    np.testing.assert_allclose(kept.T_world_cam, room().paths["source"][1])
    with pytest.raises(SpatiaError, match="source, target, got left 0"):
        grid.row("left", 0)


def test_a_set_that_was_tampered_with_is_refused(tmp_path):
    with pytest.raises(SpatiaError, match=r"grid\.json"):
        open_grids(tmp_path)
    (tmp_path / "grid.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(SpatiaError, match="version 1"):
        open_grids(tmp_path)
    (tmp_path / "take.json").write_text(json.dumps({"name": "x", "kind": "room"}))
    with pytest.raises(SpatiaError, match="write the grid again"):
        Grid.open(tmp_path)


def test_points_cover_a_triangle_evenly():
    corners = np.array([[[0, 0, 0], [1, 0, 0], [0, 0.3, 0]], [[5, 0, 0], [5.05, 0, 0], [5, 0.05, 0]]], float)
    prim, bary = spread(corners, 0.1)
    assert (prim == 1).sum() == 1
    weights = np.column_stack([1 - bary.sum(1), bary])
    points = np.einsum("nk,nkj->nj", weights, corners[prim])[prim == 0]
    asked = np.random.default_rng(0).dirichlet(np.ones(3), 500) @ corners[0]
    assert np.linalg.norm(asked[:, None] - points, axis=-1).min(1).max() < 0.07


def test_the_cast_of_a_scene_looks_like_its_movers():
    take = procedural_take("room", 0, TakePlan((160, 100), 3))
    T, tau = take.paths["target"][1], 1.3
    truth = take.look("target", 1, tau)
    moving = np.isin(truth.ids, take.scene.numbers)
    cast = scene_cast(take.scene, take.camera, T[:3, 3], 0.01)
    empty, far = np.zeros_like(truth.frame.rgb), np.where(moving, np.float32(0), truth.frame.depth)
    drawn = draw(empty, far, cast.at(tau), take.camera, T)
    there = drawn.ids > 0
    assert (there & moving).sum() > 0.9 * (there | moving).sum()
    both = there & moving
    assert np.median(np.abs(drawn.depth - truth.frame.depth)[both]) < 0.01
    assert np.median(np.abs(drawn.rgb.astype(int) - truth.frame.rgb)[both]) < 6

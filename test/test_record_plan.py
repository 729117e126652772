"""The map from above: which way is up, where the ceiling is, and that the picture is to scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.record.map_picture import LOOP, LOST, PATH, TRUE, Journey, draw_map
from spatia_ros.record.panels import BACKGROUND
from spatia_ros.record.plan import ceiling_of, draw_plan
from spatia_ros.record.upright import upright
from spatia_ros.types import SpatiaError

UP = np.array([0.0, 0.0, 1.0])
FLOOR, TABLE, CEILING, WALL = (200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 180)


def sheet(low, high, z, step=0.03):
    """Points on a horizontal rectangle."""
    x, y = np.meshgrid(np.arange(low[0], high[0], step), np.arange(low[1], high[1], step))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], -1)


def room(ceiling=True):
    """6 x 4 m, walls of 2.5 m, a table of 1 x 0.5 m at 0.8 m in the corner of small x and large y; z up."""
    wall = sheet((0, 0), (6, 2.5), 0.0)[:, [0, 2, 1]]
    side = sheet((0, 0), (4, 2.5), 0.0)[:, [2, 0, 1]]
    parts = [
        (sheet((0, 0), (6, 4), 0.0), FLOOR), (sheet((0.5, 3), (1.5, 3.5), 0.8), TABLE),
        (wall, WALL), (wall + (0, 4, 0), WALL), (side, WALL), (side + (6, 0, 0), WALL),
    ]  # fmt: skip
    if ceiling:
        parts.append((sheet((0, 0), (6, 4), 2.5), CEILING))
    return np.concatenate([p for p, _ in parts]), np.concatenate([np.full((len(p), 3), c, np.uint8) for p, c in parts])


def walk(pitch_deg=0.0, turn_deg=300.0, n=24):
    """A camera carried level at 1.5 m that turns while it goes."""
    eyes = np.stack([np.linspace(1, 5, n), np.full(n, 1.5), np.full(n, 1.5)], -1)
    yaw = np.radians(np.linspace(0, turn_deg, n))
    ahead = np.stack([np.cos(yaw), np.sin(yaw), np.full(n, -np.tan(np.radians(pitch_deg)))], -1)
    return np.stack([geometry.look_at(eye, eye + way, UP) for eye, way in zip(eyes, ahead, strict=True)])


@pytest.mark.parametrize(("pitch_deg", "turn_deg"), [(0, 300), (35, 300), (35, 0)])
def test_up_is_found_however_the_world_lies(pitch_deg, turn_deg):
    xyz, _ = room()
    R = Rotation.from_euler("xyz", [0.5, 2.0, -1.0]).as_matrix()
    T = geometry.pose(R, np.array([3.0, 1.0, 2.0])) @ walk(pitch_deg, turn_deg)
    up = upright(T, xyz @ R.T)
    assert np.degrees(np.arccos(up @ (R @ UP))) < 1.0


def test_without_points_the_camera_says_what_is_up():
    assert upright(walk(), np.empty((0, 3))) @ UP > 0.999


def test_the_ceiling_is_cut_away_and_walls_are_not_one():
    xyz, _ = room()
    assert ceiling_of(xyz, 1.5) == pytest.approx(2.45, abs=0.06)
    assert ceiling_of(room(ceiling=False)[0], 1.5) is None


def test_the_picture_is_to_scale_and_shows_what_lies_on_top():
    xyz, rgb = room()
    plan = draw_plan(xyz, rgb, 0.03, UP, walk()[:, :3, 3], side_px=400)
    assert plan.rgb.shape[1] == 400
    assert plan.cut_m == pytest.approx(2.45, abs=0.06)
    at = plan.pixels(np.array([[3.0, 2.0, 0.0], [1.0, 3.25, 0.8], [0.0, 0.0, 0.0], [6.0, 0.0, 0.0]]))
    columns, rows = np.floor(at).astype(int).T
    assert tuple(plan.rgb[rows[0], columns[0]]) == FLOOR
    assert tuple(plan.rgb[rows[1], columns[1]]) == TABLE
    assert np.linalg.norm(at[3] - at[2]) == pytest.approx(6.0 * plan.px_per_m)
    assert not (plan.rgb == CEILING).all(-1).any()
    assert tuple(plan.rgb[0, 0]) == BACKGROUND
    # Seen from above, not from below: x to the right leaves y pointing up the page.
    right, above = plan.pixels(np.array([[1.0, 0, 0], [0, 0, 0]])), plan.pixels(np.array([[0, 1.0, 0], [0, 0, 0]]))
    (a, b), (c, d) = right[0] - right[1], above[0] - above[1]
    assert a * d - b * c < 0


def test_an_empty_map_has_no_picture():
    with pytest.raises(SpatiaError, match="at least one point"):
        draw_plan(np.empty((0, 3)), np.empty((0, 3), np.uint8), 0.01, UP, np.zeros((1, 3)))


def test_a_single_point_has_one():
    plan = draw_plan(np.zeros((1, 3)), np.full((1, 3), 200, np.uint8), 0.01, UP, np.zeros((1, 3)), side_px=200)
    assert (plan.rgb == 200).any()


def has(picture, colour):
    return bool((np.abs(picture.astype(int) - colour).max(-1) <= 45).any())


def test_the_way_is_drawn_where_it_was():
    xyz, rgb = room()
    eyes = walk()[:, :3, 3]
    plan = draw_plan(xyz, rgb, 0.03, UP, eyes, side_px=600)
    bare = draw_map(plan, Journey(eyes), "a room")
    assert has(bare, PATH)
    assert not any(has(bare[60:-50], colour) for colour in (LOST, LOOP))
    lost = np.zeros(len(eyes), bool)
    lost[5:9] = True
    journey = Journey(eyes, lost, eyes[::6], np.stack([eyes[[0, -1]] + (0, 0.5, 0)]), eyes + (0.0, -0.4, 0.0))
    full = draw_map(plan, journey, "a room")
    assert all(has(full[60:-50], colour) for colour in (PATH, LOST, LOOP))
    row, column = np.floor(plan.pixels(eyes[12:13] + (0.0, -0.4, 0.0))[0][::-1] + (38, 0)).astype(int)
    around = slice(row - 2, row + 3), slice(column - 2, column + 3)
    assert has(full[around], TRUE)
    assert not has(bare[around], TRUE)
    row, column = np.floor(plan.pixels(eyes[7:8])[0][::-1] + (38, 0)).astype(int)
    assert tuple(full[row, column]) == LOST


def test_paths_of_the_wrong_shape_are_refused():
    with pytest.raises(SpatiaError, match=r"journey\.path"):
        Journey(np.zeros((4, 2)))

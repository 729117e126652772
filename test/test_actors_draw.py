"""Drawing actors: against the slow truth, by depth, closed from near by, and alone from one another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.actors import truth
from spatia_ros.actors.body import BodyPoints
from spatia_ros.actors.cast import Posed
from spatia_ros.actors.draw import Layer, compose, draw, draw_layer, in_view, splat_points
from spatia_ros.types import Camera, SpatiaError

CAMERA = Camera.from_fov(64, 48, np.radians(60))
EYE = np.eye(4)


def sheet(z: float = 2.0, side_m: float = 0.6, spacing_m: float = 0.02, rgb=(200, 40, 40), x: float = 0.0) -> BodyPoints:
    """A square that faces the camera, in a grid."""
    n = round(side_m / spacing_m)
    across = (np.arange(n) - (n - 1) / 2) * spacing_m
    xx, yy = np.meshgrid(across, across)
    xyz = np.stack([xx + x, yy, np.full_like(xx, z)], -1).reshape(-1, 3).astype(np.float32)
    return BodyPoints(xyz, np.tile(np.array(rgb, np.uint8), (len(xyz), 1)), spacing_m)


def posed(points: BodyPoints, number: int = 1, complete: bool = True) -> Posed:
    low, high = points.bounds()
    return Posed(number, f"actor_{number}", "sheet", None, complete, np.eye(4), points, low, high, np.zeros(3), 0.0)


def background(depth_m: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    return rgb, np.full((48, 64), depth_m, np.float32)


def cloud(seed: int, n: int = 160) -> BodyPoints:
    """Points of a ball at random, coloured at random: front, back, silhouette and holes."""
    rng = np.random.default_rng(seed)
    on = rng.normal(size=(n, 3))
    xyz = 0.4 * on / np.linalg.norm(on, axis=1, keepdims=True) + (0.1, 0.05, 1.6)
    return BodyPoints(xyz.astype(np.float32), rng.integers(0, 255, (n, 3)).astype(np.uint8), 0.1)


@pytest.mark.parametrize("back_m", [-6.0, 0.0, 0.9])
def test_a_layer_is_what_the_slow_truth_says(back_m: float) -> None:
    """From afar (points far smaller than a pixel), from near by, and from among the points."""
    for seed in range(4):
        points = cloud(seed)
        T = geometry.pose(Rotation.from_euler("xyz", [0.1 * seed, -0.05, 0.3]).as_matrix(), np.array([0.0, 0.0, back_m]))
        layer = splat_points(1, points.xyz, points.rgb, points.spacing_m, CAMERA, T)
        rgb, depth = truth.splat_points(points.xyz, points.rgb, points.spacing_m, CAMERA, T)
        assert layer is not None
        whole = compose(np.zeros_like(rgb), np.zeros_like(depth), [layer])
        assert np.array_equal(whole.depth > 0, depth > 0)
        assert (depth > 0).any()
        np.testing.assert_allclose(whole.depth, depth, rtol=1e-5)
        assert np.abs(whole.rgb.astype(int) - rgb).max() <= 1


def test_the_nearer_wins_both_ways_and_inputs_stay_as_they_are() -> None:
    rgb, depth = background()
    kept = rgb.copy(), depth.copy()
    depth[:, :10] = 0.0  # unknown is behind everything
    kept[1][:, :10] = 0.0
    front, behind = draw(rgb, depth, [posed(sheet(2.0))], CAMERA, EYE), draw(rgb, depth, [posed(sheet(4.0))], CAMERA, EYE)
    assert front.ids[24, 32] == 1
    np.testing.assert_allclose(front.depth[front.ids == 1], 2.0, rtol=1e-6)
    assert (front.rgb[front.ids == 1] == (200, 40, 40)).all()
    assert np.array_equal(front.rgb[front.ids == 0], rgb[front.ids == 0])
    assert not behind.ids.any()
    assert np.array_equal(behind.rgb, rgb)
    assert np.array_equal(behind.depth, depth)
    before_nothing = draw(rgb, depth, [posed(sheet(4.0, x=-2.0))], CAMERA, EYE)
    assert before_nothing.ids[:, :10].any()
    assert not before_nothing.ids[:, 10:].any()
    assert np.array_equal(rgb, kept[0])
    assert np.array_equal(depth, kept[1])


@pytest.mark.parametrize("z", [0.3, 1.0, 3.0, 12.0])
def test_a_surface_is_closed_and_no_wider_than_it_is(z: float) -> None:
    """From near by no pixel within is open; from afar the silhouette is that of the surface, within a pixel."""
    layer = splat_points(1, *_arrays(sheet(z)), CAMERA, EYE)
    assert layer is not None
    rows, columns = np.nonzero(layer.depth > 0)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert len(rows) == height * width, "closed"
    true_px = min(0.6 * CAMERA.fx / z, 64.0)
    assert abs(width - true_px) <= 1.25 + 0.25 * 0.02 * CAMERA.fx / z
    assert np.array_equal(layer.rgb[layer.depth > 0], np.tile((200, 40, 40), (len(rows), 1)))


def _arrays(points: BodyPoints) -> tuple[np.ndarray, np.ndarray, float]:
    return points.xyz, points.rgb, points.spacing_m


def test_points_smaller_than_a_pixel_are_averaged() -> None:
    points = sheet(20.0, spacing_m=0.02)
    stripes = points.rgb.copy()
    stripes[::2], stripes[1::2] = 0, 200
    layer = splat_points(1, points.xyz, stripes, points.spacing_m, CAMERA, EYE)
    assert layer is not None
    inside = layer.rgb[layer.depth > 0]
    assert np.abs(inside.astype(int) - 100).max() < 12


def test_what_is_out_of_view_is_not_drawn() -> None:
    def seen(x: float, y: float, z: float) -> bool:
        points = sheet(0.0)
        moved = BodyPoints(points.xyz + np.array([x, y, z], np.float32), points.rgb, points.spacing_m)
        layer = draw_layer(posed(moved), CAMERA, EYE)
        there = in_view(*moved.bounds(), CAMERA, EYE)
        assert there or layer is None
        return layer is not None

    assert seen(0, 0, 2)
    assert seen(1.3, 0, 2), "at the border"
    assert not seen(3.0, 0, 2)
    assert not seen(0, -3.0, 2)
    assert not seen(0, 0, -2)
    around = cloud(0, 400)
    beside = geometry.pose(np.eye(3), np.array([0.1, 0.05, 1.6]))
    assert draw_layer(posed(around), CAMERA, beside) is not None, "from within"


def test_a_layer_does_not_depend_on_the_others() -> None:
    """Pixels that one actor covers in neither version are the same to the bit, wherever it is."""
    rgb, depth = background()
    still = [posed(cloud(1), 2), posed(sheet(1.2, 0.2, rgb=(0, 0, 255), x=0.3), 7)]
    moved = BodyPoints(cloud(5).xyz + np.array([-0.5, 0.1, -0.3], np.float32), cloud(5).rgb, 0.1)
    here, there = posed(cloud(5), 4), posed(moved, 4)
    first, second = (draw(rgb, depth, [*still, mover], CAMERA, EYE) for mover in (here, there))
    neither = (first.ids != 4) & (second.ids != 4)
    assert not np.array_equal(first.rgb, second.rgb)
    for name in ("rgb", "depth", "ids"):
        assert np.array_equal(getattr(first, name)[neither], getattr(second, name)[neither])


def test_more_points_than_the_pixels_can_use_cost_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    points = sheet(8.0, 0.6, 0.002)
    layer = splat_points(1, *_arrays(points), CAMERA, EYE)
    monkeypatch.setattr("spatia_ros.actors.draw.LEAST_WORK", 64)
    thinned = splat_points(1, *_arrays(points), CAMERA, EYE)
    assert layer is not None
    assert thinned is not None
    assert len(points) * 9 > 128 * layer.depth.size, "there are too many"
    inside = np.s_[1:-1, 1:-1]
    whole, thin = (compose(*background(9.0), [each]) for each in (layer, thinned))
    assert np.abs((whole.ids > 0).sum(1) - (thin.ids > 0).sum(1)).max() <= 2, "but for the border"
    assert (layer.depth[inside] > 0).all()
    assert (thinned.depth[inside] > 0).all()
    assert np.abs(layer.rgb[inside].astype(int) - thinned.rgb[inside]).max() <= 1


def test_wrong_shapes_say_so() -> None:
    rgb, depth = background()
    with pytest.raises(SpatiaError, match="depth: expected shape"):
        draw(rgb, depth[1:], [], CAMERA, EYE)
    with pytest.raises(SpatiaError, match=r"points\.rgb: expected"):
        splat_points(1, sheet().xyz, sheet().rgb[1:], 0.02, CAMERA, EYE)


def test_a_tie_is_the_picture_s() -> None:
    rgb, depth = background(2.0)
    layer = Layer(3, 4, 5, np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 2.0, np.float32), np.zeros((2, 2), bool))
    assert not compose(rgb, depth, [layer]).ids.any()
    nearer = layer._replace(depth=np.full((2, 2), 1.9, np.float32))
    drawn = compose(rgb, depth, [nearer, nearer._replace(id=9)])
    assert (drawn.ids[5:7, 4:6] == 3).all()
    assert (drawn.ids > 0).sum() == 4

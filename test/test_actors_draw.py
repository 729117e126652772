"""Drawing actors: against the slow truth, by depth, closed from near by, and alone from one another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.actors import truth
from spatia_ros.actors.body import BodyPoints
from spatia_ros.actors.cast import Posed
from spatia_ros.actors.draw import Layer, compose, draw, draw_layer, in_view
from spatia_ros.actors.splat import splat
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
        layer = draw_layer(posed(points), CAMERA, T)
        rgb, depth, cover = truth.splat(points.xyz, points.rgb, points.spacing_m, CAMERA, T)
        assert layer is not None
        whole = compose(np.zeros_like(rgb), np.zeros_like(depth), [layer])
        got = np.zeros_like(cover)
        layer.of(got)[:] = layer.cover
        # A square that ends at the middle of a pixel to the last bit may go either way.
        apart = np.abs(got - cover) > 1e-4
        assert apart.mean() < 1e-3
        assert (depth > 0).any()
        np.testing.assert_allclose(whole.depth[~apart], depth[~apart], rtol=1e-5)
        mixed = depth > 0
        mixed[apart] = False
        expected = np.where(mixed[..., None], cover[..., None] * rgb, 0)
        assert np.abs(whole.rgb[~apart] - expected[~apart]).max() <= 1.5


def test_the_nearer_wins_both_ways_and_inputs_stay_as_they_are() -> None:
    rgb, depth = background()
    kept = rgb.copy(), depth.copy()
    depth[:, :10] = 0.0  # unknown is behind everything
    kept[1][:, :10] = 0.0
    front, behind = draw(rgb, depth, [posed(sheet(2.0))], CAMERA, EYE), draw(rgb, depth, [posed(sheet(4.0))], CAMERA, EYE)
    assert front.ids[24, 32] == 1
    np.testing.assert_allclose(front.depth[front.ids == 1], 2.0, rtol=1e-6)
    inside = cv2.erode((front.ids == 1).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert inside.sum() > 100
    assert (front.rgb[inside] == (200, 40, 40)).all()
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
def test_a_surface_is_closed_and_as_wide_as_it_is(z: float) -> None:
    """From near by no pixel within is open; its edges are where they are, to a fraction of a pixel."""
    layer = splat(*_arrays(sheet(z)), CAMERA, EYE)
    assert layer is not None
    true_px = min(0.6 * CAMERA.fx / z, 64.0)
    middle = layer.cover[layer.cover.shape[0] // 2]
    assert (middle[1:-1][middle[1:-1] < 1] == 0).sum() <= 4, "nothing open within"
    assert abs(middle.sum() - true_px) < 0.4 + 0.02 * CAMERA.fx / z, "its outermost points stand half a spacing inside its edges"
    assert np.array_equal(layer.rgb[layer.depth > 0], np.tile((200, 40, 40), (int((layer.depth > 0).sum()), 1)))


def _arrays(points: BodyPoints) -> tuple[np.ndarray, np.ndarray, float]:
    return points.xyz, points.rgb, points.spacing_m


def test_points_smaller_than_a_pixel_are_averaged() -> None:
    points = sheet(20.0, spacing_m=0.02)
    stripes = points.rgb.copy()
    stripes[::2], stripes[1::2] = 0, 200
    layer = splat(points.xyz, stripes, points.spacing_m, CAMERA, EYE)
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


def test_what_was_not_seen_from_all_sides_may_lie_farther_apart_than_it_says() -> None:
    sparse = sheet(2.0, spacing_m=0.05)
    points = BodyPoints(sparse.xyz, sparse.rgb, 0.025)
    open_one, filled = (draw_layer(posed(points, complete=complete), CAMERA, EYE) for complete in (True, False))
    assert open_one is not None
    assert filled is not None
    shown = [int((layer.cover > 0.5).sum()) for layer in (open_one, filled)]
    assert shown[0] < 0.6 * shown[1]
    assert abs(shown[1] - (0.6 * CAMERA.fx / 2.0) ** 2) < 50, "closed, and no wider"


def test_splats_that_overlap_too_often_are_drawn_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said to be far apart, points are large; when there are many of them all the same, size is saved, and no point left out."""
    points = sheet(2.0, 0.6, 0.005)
    two = np.where(points.xyz[:, :1] < 0, np.uint8(0), np.uint8(200)).repeat(3, 1)
    true, smaller = (splat(points.xyz, two, spacing, CAMERA, EYE) for spacing in (0.005, 0.2))
    monkeypatch.setattr("spatia_ros.actors.splat.WORK_A_PIXEL", 1e9)
    large = splat(points.xyz, two, 0.2, CAMERA, EYE)
    widths, mixed = list[int](), list[int]()
    for each in (true, smaller, large):
        assert each is not None
        widths.append(int((each.cover >= 0.5).any(0).sum()))
        colour = each.rgb[each.depth > 0][:, 0]
        mixed.append(int(((colour > 2) & (colour < 198)).sum()))
    assert np.ptp(widths) <= 2, "as wide as it is, and closed, whatever the size"
    assert mixed[0] <= mixed[1] < mixed[2]


def test_a_pixel_is_its_nearest_half_s_and_mixed_with_the_picture() -> None:
    rgb, depth = np.full((1, 4, 3), 100, np.uint8), np.full((1, 4), 5.0, np.float32)

    def layer(number: int, value: int, z: float, cover: list[float]) -> Layer:
        share = np.array([cover], np.float32)
        where = np.where(share > 0, np.float32(z), np.float32(0))
        return Layer(number, 0, 0, np.full((1, 4, 3), value, np.uint8), where, share, share > 2)

    near, far = layer(1, 200, 1.0, [1.0, 0.6, 0.2, 0.2]), layer(2, 0, 2.0, [1.0, 1.0, 1.0, 0.0])
    for order in ([near, far], [far, near]):
        drawn = compose(rgb, depth, order)
        assert drawn.ids.tolist() == [[1, 1, 2, 1]]
        assert drawn.rgb[0, :, 0].tolist() == [200, 160, 0, 120]
        np.testing.assert_array_equal(drawn.depth, np.float32([[1, 1, 2, 1]]))


def test_wrong_shapes_say_so() -> None:
    rgb, depth = background()
    with pytest.raises(SpatiaError, match="depth: expected shape"):
        draw(rgb, depth[1:], [], CAMERA, EYE)
    with pytest.raises(SpatiaError, match=r"points\.rgb: expected"):
        splat(sheet().xyz, sheet().rgb[1:], 0.02, CAMERA, EYE)


def test_a_tie_is_the_picture_s() -> None:
    rgb, depth = background(2.0)
    layer = Layer(3, 4, 5, np.zeros((2, 2, 3), np.uint8), *np.full((2, 2, 2), 2.0, np.float32), np.zeros((2, 2), bool))
    assert not compose(rgb, depth, [layer]).ids.any()
    nearer = layer._replace(depth=np.full((2, 2), 1.9, np.float32))
    drawn = compose(rgb, depth, [nearer, nearer._replace(id=9)])
    assert (drawn.ids[5:7, 4:6] == 3).all()
    assert (drawn.ids > 0).sum() == 4

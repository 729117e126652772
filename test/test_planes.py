"""Surfaces that go on past the rim of what is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.generator import image
from spatia_ros.generator.fill import membrane
from spatia_ros.generator.image import NEARER, guess_depth
from spatia_ros.generator.planes import RIDGE, WINDOW, carried_on, fitted
from spatia_ros.types import Bool, Camera, Doubted, Float32, View


def slowly_fitted(values: Float32, there: Bool) -> Float32:
    """The same, pixel by pixel: a regression on centred coordinates, beside whose mean squares stands the ridge."""
    h, w = there.shape
    out = np.zeros((h, w, 3))
    for y, x in np.ndindex(h, w):
        rows, columns = np.nonzero(there[max(0, y - WINDOW) : y + WINDOW + 1, max(0, x - WINDOW) : x + WINDOW + 1])
        if not len(rows):
            continue
        rows, columns = rows + max(0, y - WINDOW), columns + max(0, x - WINDOW)
        at, value = np.stack([columns, rows], -1).astype(np.float64), values[rows, columns].astype(np.float64)
        off = at - at.mean(0)
        slopes = np.linalg.solve(off.T @ off / len(off) + float(RIDGE) * np.eye(2), off.T @ (value - value.mean()) / len(off))
        out[y, x] = *slopes, value.mean() - slopes @ at.mean(0)
    return out


def test_planes_are_the_least_squares_ones() -> None:
    rng = np.random.default_rng(3)
    there = rng.random((23, 31)) < 0.3
    there[:, 20:] = False  # where windows are empty
    values = np.where(there, rng.uniform(0.1, 2.0, there.shape), 0.0).astype(np.float32)
    found, slow = fitted(values, there), slowly_fitted(values, there)
    row, column = np.mgrid[:23, :31]
    assert not found[:, 25:].any()
    np.testing.assert_allclose(found[..., :2], slow[..., :2], atol=1e-4)
    at = np.stack([column, row, np.ones_like(row)], -1)
    np.testing.assert_allclose((found * at).sum(-1), (slow * at).sum(-1), atol=1e-4)


CAMERA = Camera.from_fov(96, 64, 1.2)


def seen(depth: Float32, covered: Bool) -> View:
    return View(
        np.zeros((*depth.shape, 3), np.uint8), np.where(covered, depth, 0.0).astype(np.float32), covered,
        covered.astype(np.float32), np.zeros(depth.shape, np.float32),
    )  # fmt: skip


def of_plane(normal: tuple[float, float, float], camera: Camera = CAMERA) -> Float32:
    """Depth of a plane 2 m away along the optical axis."""
    return (2.0 / (geometry.pixel_rays(camera) @ np.array(normal))).astype(np.float32)


def off(guess: Float32, truth: Float32, where: Bool) -> float:
    return float((np.abs(guess - truth) / truth)[where].mean())


@pytest.mark.parametrize("size", [(96, 64), (97, 65)], ids=["even", "odd"])
def test_what_comes_nearer_goes_on_past_the_rim(size: tuple[int, int]) -> None:
    """A floor of which the far part was seen: the near part is where it would be, not where its rim is."""
    camera = Camera.from_fov(*size, 1.2)
    floor = of_plane((0.0, 1.0, 1.0), camera)
    covered = np.zeros(floor.shape, bool)
    covered[: size[1] // 2] = True
    view = seen(floor, covered)
    inverse = np.where(covered, 1.0 / floor, 0.0).astype(np.float32)
    flat = 1.0 / membrane(inverse[..., None], covered)[0][..., 0]
    guess = guess_depth(view)
    assert guess.dtype == np.float32
    assert off(guess, floor, ~covered) < 0.35 * off(flat, floor, ~covered)
    assert off(guess, floor, ~covered) < 0.06
    np.testing.assert_array_equal(guess[covered].round(4), floor[covered].round(4))


def test_what_recedes_is_not_followed() -> None:
    """It mostly meets something, and its horizon is no distance at all."""
    wall = of_plane((0.6, 0.0, 1.0))
    covered = np.zeros(wall.shape, bool)
    covered[:, 60:] = True  # the near end: it recedes to the left
    inverse = np.where(covered, 1.0 / wall, 0.0).astype(np.float32)
    flat = 1.0 / membrane(inverse[..., None], covered)[0][..., 0]
    np.testing.assert_allclose(guess_depth(seen(wall, covered)), np.where(covered, wall, flat), rtol=1e-3)


def test_a_thin_hole_is_the_membranes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As beside something that stands before a wall: what is seen there is the wall."""
    monkeypatch.setattr(image, "carried_on", lambda inverse, *_: np.full_like(inverse, 0.75))  # 1.33 m
    wall = np.full((64, 96), 2.0, np.float32)
    guesses = []
    for wide in (2, 40):
        covered = np.ones((64, 96), bool)
        covered[:, 30 : 30 + wide] = False
        guesses.append(guess_depth(seen(wall, covered))[32, 30 + wide // 2])
    assert guesses[0] > 1.7
    assert guesses[1] == pytest.approx(1 / 0.75, rel=1e-3)


def test_no_plane_is_carried_into_the_camera() -> None:
    """A stray point just before the lens tilts the planes about it as nothing else does."""
    wall = np.full((64, 96), 2.0, np.float32)
    covered = np.ones((64, 96), bool)
    covered[:, 50:] = False
    wall[28:34, 49] = 0.02
    view = seen(wall, covered)
    inverse = np.where(covered, 1.0 / wall, 0.0).astype(np.float32)
    flat = 1.0 / membrane(inverse[..., None], covered)[0][..., 0]
    assert (carried_on(inverse, covered)[~covered] > 3.0 / flat[~covered]).any(), "it asks for more"
    guess = guess_depth(view)[~covered]
    assert (guess >= flat[~covered] / NEARER * 0.999).all()


def test_of_nothing_nothing_is_carried_on() -> None:
    assert not carried_on(np.zeros((48, 80), np.float32), np.zeros((48, 80), bool)).any()


def test_doubted_surfaces_are_left_where_they_are_and_draw_planes_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A floor comes nearer under a doubted wall that stands across it: past the wall's foot it is the wall that goes on."""
    floor = of_plane((0.0, 1.0, 1.0))
    covered = np.zeros(floor.shape, bool)
    covered[:32] = True
    behind = np.zeros_like(floor)
    behind[40:52] = 2.0
    view = seen(floor, covered)
    told = replace(view, doubted=Doubted(np.zeros((64, 96, 3), np.uint8), behind))
    with_it, without = guess_depth(told), guess_depth(view)
    np.testing.assert_allclose(with_it[42:50], 2.0, rtol=0.05)
    assert (with_it[56:] > without[56:] + 0.1).all()
    monkeypatch.setattr(image, "carried_on", lambda inverse, *_: inverse)  # what is doubted lies where it lay
    np.testing.assert_array_equal(guess_depth(told)[40:52], with_it[40:52])

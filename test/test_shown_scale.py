"""True depth is moved to the scale of what a view shows: an invention too far is gone on from where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatia_ros.train.clip_scenes import Place, Plan, run_of
from spatia_ros.train.clips import Clip
from spatia_ros.train.example import example_of
from spatia_ros.train.scenes import random_scene
from spatia_ros.train.shown_scale import at_shown_scale, shown_error
from spatia_ros.types import View

H, W = 48, 80
LEFT = np.arange(W) < 32


def _shows(depth: np.ndarray, coverage: np.ndarray, sensed: np.ndarray) -> View:
    rgb = np.full((H, W, 3), 90, np.uint8) * coverage[..., None]
    return View(rgb, (depth * coverage).astype(np.float32), coverage, (sensed * coverage).astype(np.float32), 0.0 * depth)


def _plane(*, off: float, sensed: float, covered: np.ndarray) -> tuple[View, np.ndarray]:
    """A view of a tilted plane, on the left ``off`` times too far and sensed so much; and the true depth."""
    true = np.broadcast_to(np.linspace(2.0, 3.0, W), (H, W)).astype(np.float32)
    return _shows(np.where(LEFT, true * off, true), np.broadcast_to(covered, (H, W)), np.where(LEFT, sensed, 1.0)), true


NOTHING_MOVES = np.zeros((H, W), bool)


def test_what_is_shown_too_far_is_gone_on_from_and_what_was_measured_holds() -> None:
    covered = (np.arange(W) < 32) | (np.arange(W) >= 64)
    view, true = _plane(off=1.5, sensed=0.0, covered=covered)
    error = shown_error(view, true, NOTHING_MOVES)
    assert np.allclose(error[:, :24], 1.5, rtol=0.01)
    assert np.allclose(error[:, 72:], 1.0, rtol=0.01)
    middle = error[:, 32:64]
    assert (np.diff(middle, axis=1) <= 1e-6).all()
    assert middle.min() < 1.2 < 1.3 < middle.max(), "a bridge between both"


def test_measured_depth_is_corrected_as_ever() -> None:
    view, true = _plane(off=1.5, sensed=1.0, covered=np.ones(W, bool))
    assert (shown_error(view, true, NOTHING_MOVES) == 1.0).all()


def test_what_moves_before_memory_is_no_error_of_memory() -> None:
    view, true = _plane(off=1.0, sensed=0.0, covered=np.ones(W, bool))
    mover = np.zeros((H, W), bool)
    mover[:32, :32] = True
    nearer = np.where(mover, 0.5 * true, true)
    assert np.allclose(shown_error(view, nearer, mover), 1.0, atol=1e-5)
    assert shown_error(view, nearer, NOTHING_MOVES).max() > 1.9


def test_a_view_that_shows_nothing_true_tells_no_scale() -> None:
    view, true = _plane(off=1.5, sensed=0.0, covered=np.zeros(W, bool))
    assert shown_error(view, true, NOTHING_MOVES) is None
    view, true = _plane(off=1.5, sensed=0.0, covered=LEFT)
    assert shown_error(view, np.zeros_like(true), NOTHING_MOVES) is None


@pytest.fixture(scope="module")
def clip() -> Clip:
    """A clip of a room."""
    place = Place(random_scene(np.random.default_rng(1), "room"), "room")
    plan = Plan(size=(80, 48), frames=2, references=4, clips=1)
    return next(c for seed in range(20) for c in run_of(place, plan, np.random.default_rng(seed)))


def test_examples_are_told_so(clip: Clip) -> None:
    """The same room, remembered as it is and invented twice as far: the same is to be learned, relative to what is shown."""
    def invented(by: float) -> Clip:
        views = tuple(replace(v, depth=v.depth * np.float32(by), sensed=np.zeros_like(v.sensed)) for v in clip.views)
        return replace(clip, views=views, retrieved=((),) * len(views), context=())

    right, far = invented(1.0), invented(2.0)
    told = [example_of(each, None, np.random.default_rng(0)) for each in (right, far)]
    assert told[0].measured.any()
    assert np.allclose(told[0].log_depth, told[1].log_depth, atol=1e-4)
    moved = at_shown_scale(far)
    assert all((a.depth > 0).tolist() == (b.depth > 0).tolist() for a, b in zip(moved.targets, clip.targets, strict=True))


def test_without_a_scale_depth_is_not_judged(clip: Clip) -> None:
    blank = tuple(replace(v, coverage=np.zeros_like(v.coverage), depth=0.0 * v.depth, rgb=v.rgb * 0) for v in clip.views)
    assert not example_of(replace(clip, views=blank), None, np.random.default_rng(0)).measured.any()

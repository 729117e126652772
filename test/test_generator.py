"""The fill, the condition, the network and its engines."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from tiny_engine import tiny_engine

from spatia_ros import geometry
from spatia_ros.config import GeneratorConfig, from_dict
from spatia_ros.engine import open_engines
from spatia_ros.generator import Generated, Generator, ProjectionGenerator, truth
from spatia_ros.generator.condition import ClipView, images_of
from spatia_ros.generator.dropped import clip_without
from spatia_ros.generator.fill import HELD, membrane, trust_weight
from spatia_ros.generator.image import DOUBTED_COLOUR, ViewImage, guess_depth, lent_to
from spatia_ros.generator.recall import recall
from spatia_ros.generator.sample import compose
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.memory import Keyframe
from spatia_ros.types import Camera, Doubted, SpatiaError, View
from spatia_ros.world import open_generator


def random_view(seed: int, height: int = 48, width: int = 80, share: float = 0.6) -> View:
    rng = np.random.default_rng(seed)
    coverage = rng.random((height, width)) < share
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8) * coverage[..., None]
    depth = (rng.uniform(1, 4, (height, width)) * coverage).astype(np.float32)
    return View(rgb.astype(np.uint8), depth, coverage, coverage.astype(np.float32), np.zeros((height, width), np.float32))


@cache
def learned() -> Generator:
    """A small network with random weights."""
    return SpaceTimeGenerator("tiny", open_engines(str(tiny_engine()), "onnxruntime", 1), GeneratorConfig())


def image_of(view: View, camera: Camera, references: list[Keyframe]) -> ViewImage:
    """What a generator is told of one view, seen from the origin."""
    (image,) = images_of(ClipView.still(view, references, camera, np.eye(4)))
    return image


def keyframe(seed: int, T_world_cam: np.ndarray) -> Keyframe:
    rng = np.random.default_rng(seed)
    return Keyframe(
        rng.integers(0, 256, (60, 96, 3), dtype=np.uint8), rng.uniform(1, 3, (60, 96)).astype(np.float32),
        np.ones((60, 96), bool), Camera.from_fov(96, 60, 1.0), T_world_cam, 0,
    )


def one_frame(generator: Generator, view: View, camera: Camera, references: list[Keyframe]) -> Generated:
    """What a generator makes of one view, seen from the origin."""
    stream = generator.stream()
    told = generator.condition(ClipView.still(view, references, camera, np.eye(4)), stream)
    (generated,) = generator.sample(told, stream, np.random.default_rng(0))
    return generated


@pytest.mark.parametrize(("height", "width"), [(48, 80), (32, 64), (16, 112)])
def test_membrane_is_its_twin_in_torch(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    values = rng.standard_normal((height, width, 4)).astype(np.float32)
    known = rng.random((height, width)) < 0.2
    known[:, width // 2 :] = False
    trust = np.where(rng.random((height, width)) < 0.3, rng.random((height, width)), 0.0).astype(np.float32)
    filled, far = membrane(values, known)
    for soft, drawn in ((0.0 * trust, filled), (trust, membrane(values, known, trust)[0])):
        weight = np.where(known, HELD, trust_weight(soft))
        expected = truth.membrane(torch.from_numpy(values).double(), torch.from_numpy(weight))
        np.testing.assert_allclose(drawn, expected.numpy(), atol=1e-4)
    np.testing.assert_array_equal(filled[known], values[known])
    assert (far[known] == 0).all()
    assert far[height // 2, -1] > far[~known].mean() > 0


def test_membrane_comes_close_to_the_harmonic_fill() -> None:
    """Smooth data round a wide hole: within a few percent of its range, and never outside it."""
    y, x = np.mgrid[:24, :32] / 24.0
    values = (np.sin(3 * x) + y)[..., None].astype(np.float32)
    known = np.ones((24, 32), bool)
    known[4:20, 6:25] = False
    filled, _ = membrane(values, known)
    exact = truth.harmonic(torch.from_numpy(values).double(), torch.from_numpy(known), 1200).numpy()
    assert np.abs(filled - exact).max() < 0.06 * np.ptp(values)
    assert values[known].min() <= filled.min() <= filled.max() <= values[known].max()


def test_membrane_of_a_constant_is_that_constant_and_of_nothing_is_zero() -> None:
    known = np.zeros((24, 40), bool)
    known[3, 5] = known[20, 30] = True
    filled, _ = membrane(np.full((24, 40, 2), 0.7, np.float32), known)
    np.testing.assert_allclose(filled, 0.7, rtol=1e-5)
    nothing, _ = membrane(np.full((24, 40, 2), 0.7, np.float32), np.zeros((24, 40), bool))
    assert (nothing == 0).all()


def test_membrane_is_drawn_towards_what_is_trusted_and_held_by_it_at_the_limit() -> None:
    """A spot of 1 in a hole of 0: the more it is trusted the higher it stands, and the nearer the known it is held to be."""
    values, known, spot = np.zeros((32, 32, 1), np.float32), np.ones((32, 32), bool), (slice(14, 18), slice(14, 18))
    known[4:28, 4:28] = False
    values[spot] = 1.0
    heights, distances = [], []
    for trust in (0.0, 0.1, 1.0, float(HELD)):
        given = np.zeros((32, 32), np.float32)
        given[spot] = trust
        filled, far = membrane(values, known, given)
        heights.append(float(filled[16, 16, 0]))
        distances.append(float(far[16, 16]))
    assert heights[0] == 0.0 < heights[1] < heights[2] < heights[3] == 1.0
    assert distances[0] > distances[1] > distances[2] > distances[3] == 0.0


def test_depth_guessed_across_a_hole_in_a_plane_is_the_plane() -> None:
    camera = Camera.from_fov(80, 48, 1.0)
    plane = (2.0 / (geometry.pixel_rays(camera) @ np.array([0.3, 0.1, 1.0]))).astype(np.float32)
    covered = np.ones_like(plane, bool)
    covered[15:30, 30:50] = False
    view = View(np.zeros((48, 80, 3), np.uint8), plane * covered, covered, covered.astype(np.float32), np.zeros_like(plane))
    np.testing.assert_allclose(guess_depth(view), plane, rtol=0.01)


def test_recall_lends_the_colour_of_what_had_no_depth() -> None:
    """A wall with a black door the sensor got nothing from: the door's colour comes back from elsewhere."""
    camera = Camera.from_fov(80, 48, 1.0)
    rgb = np.full((48, 80, 3), 200, np.uint8)
    rgb[10:40, 30:50] = 15
    depth = np.full((48, 80), 2.0, np.float32)
    depth[10:40, 30:50] = 0.0
    key = Keyframe(rgb, depth, depth > 0, camera, np.eye(4), 0)
    T = np.eye(4)
    T[0, 3] = 0.25  # the door moves 0.25 * f / 2 px to the left
    shift = round(0.25 * camera.fx / 2.0)
    blank = np.zeros((48, 80), bool)
    blank[10:40, 30 - shift : 50 - shift] = True
    lent = recall(np.full((48, 80), 2.0, np.float32), blank, camera, T, [key])
    assert lent.known[blank].mean() > 0.95
    assert (lent.rgb[lent.known] == 15).all(-1).mean() > 0.9
    assert not lent.known[~blank].any()
    other = Keyframe(np.full_like(rgb, 90), np.zeros_like(depth), depth > 9, camera, np.eye(4), 0)
    doubted = recall(np.full((48, 80), 2.0, np.float32), blank, camera, T, [key, other])
    assert (doubted.trust[blank] < lent.trust[blank]).mean() > 0.9, "references that disagree are trusted less"
    supported = recall(np.full((48, 80), 2.0, np.float32), depth > 0, camera, np.eye(4), [key])
    assert (supported.trust[depth > 0] >= 1.0).all()
    assert lent.trust.max() < 0.5, "what no depth supports is trusted less"
    here = [recall(np.full((48, 80), 2.0, np.float32), depth == 0, camera, np.eye(4), keys) for keys in ([key], [key, other])]
    assert (here[0].trust[depth == 0] > 50.0).all(), "from where the reference stood no guess can be wrong"
    assert (here[1].trust[depth == 0] < 20.0).all(), "unless another that stood there saw another colour"
    nearer = recall(np.full((48, 80), 1.0, np.float32), np.ones((48, 80), bool), camera, np.eye(4), [key])
    assert not nearer.known[depth > 0].any(), "a reference that measured another depth there lends nothing"


def test_what_memory_doubts_to_be_in_sight_is_guessed_first() -> None:
    """A step that nothing in sight tells of: the surface behind the hole stands nearer, and has a colour of its own."""
    view, camera = random_view(7), Camera.from_fov(80, 48, 1.0)
    covered = np.ones((48, 80), bool)
    covered[10:30, 20:60] = False
    depth, behind = np.where(covered, 3.0, 0.0).astype(np.float32), np.where(covered, 0.0, 1.5).astype(np.float32)
    behind[10:30, 56:60] = 0.0  # a part of the hole of which nothing is known at all
    rgb = np.repeat(np.where(covered, 200, 0).astype(np.uint8)[..., None], 3, 2)
    near = np.repeat(np.where(behind > 0, 40, 0).astype(np.uint8)[..., None], 3, 2)
    view = View(rgb, depth, covered, covered.astype(np.float32), np.zeros_like(depth))
    told = replace(view, doubted=Doubted(near, behind))
    guess = guess_depth(told)
    np.testing.assert_array_equal(guess_depth(view)[~covered].round(3), 3.0)
    np.testing.assert_allclose(guess[12:28, 24:52], 1.5, rtol=0.05)
    np.testing.assert_allclose(guess[covered], 3.0, rtol=1e-5)
    assert ((guess[10:30, 56:60] > 1.4) & (guess[10:30, 56:60] < 3.0)).all(), "the rest lies in between"
    key = Keyframe(np.full((48, 80, 3), 90, np.uint8), np.zeros((48, 80), np.float32), covered, camera, np.eye(4), 0)
    lent = lent_to(told, guess, camera, np.eye(4), [key])
    assert (lent.trust[behind > 0] == DOUBTED_COLOUR).all()
    assert (lent.rgb[behind > 0] == 40).all()
    assert (lent.rgb[10:30, 56:60] == 90).all(), "references are asked for the rest alone"
    assert not lent.trust[covered].any()
    image = image_of(told, camera, [key])
    shown = image.image[:3] * image.colour_scale + image.colour_mean[:, None, None]
    np.testing.assert_allclose(shown[:, 14:26, 26:50] * 255, 40, atol=8)
    assert (image.image[7, behind > 0] == 1.0).all()
    assert not image.image[4][~covered].any(), "it counts as invented all the same"
    made = one_frame(learned(), told, camera, [key])  # a network of random weights changes the rest alone
    filled = compose(image, np.zeros((5, 48, 80), np.float32))
    np.testing.assert_array_equal(made.rgb[behind > 0], filled.rgb[behind > 0])
    np.testing.assert_array_equal(made.depth[behind > 0], filled.depth[behind > 0])
    assert (made.depth != filled.depth)[10:30, 56:60].any()
    stream = learned().stream()
    shown = learned().condition(ClipView.still(told, [key], camera, np.eye(4)), stream)
    (blind,) = clip_without(shown, frozenset({"memory_render"})).views
    assert blind.settled is None, "without memory's render nothing of it is settled"


def test_no_change_gives_memory_back() -> None:
    """Condition and compose are each other's inverse on what is remembered."""
    view, camera = random_view(1), Camera.from_fov(80, 48, 1.0)
    generated = one_frame(learned(), view, camera, [keyframe(0, np.eye(4))])
    np.testing.assert_allclose(generated.rgb[view.coverage].astype(int), view.rgb[view.coverage], atol=1)
    np.testing.assert_allclose(generated.depth[view.coverage], view.depth[view.coverage], rtol=1e-4)
    assert generated.rgb.shape == (48, 80, 3)
    assert (generated.depth > 0).all()


def test_null_generator_fills_holes_with_the_mean() -> None:
    view, camera = random_view(2), Camera.from_fov(80, 48, 1.0)
    generated = one_frame(ProjectionGenerator(), view, camera, [])
    np.testing.assert_allclose(generated.rgb[~view.coverage].mean(0), view.rgb[view.coverage].mean(0), atol=1.0)
    np.testing.assert_allclose(generated.rgb[view.coverage].astype(int), view.rgb[view.coverage], atol=1)


def test_an_empty_view_takes_its_colours_from_the_reference() -> None:
    view, camera = random_view(3, share=0.0), Camera.from_fov(80, 48, 1.0)
    reference = keyframe(1, np.eye(4))
    told = image_of(view, camera, [reference])
    np.testing.assert_allclose(told.colour_mean, reference.rgb.mean((0, 1)) / 255.0, atol=1e-3)
    assert np.isfinite(image_of(view, camera, []).image).all()


def test_colour_is_normalised_by_what_is_visible() -> None:
    """Brightness and contrast of the visible do not reach the network: plain rooms ask for plain changes."""
    view = random_view(5)
    dim = replace(view, rgb=(view.rgb // 4 + 20).astype(np.uint8) * view.coverage[..., None].astype(np.uint8))
    camera = Camera.from_fov(80, 48, 1.0)
    a, b = (image_of(v, camera, []).image[:3] for v in (view, dim))
    np.testing.assert_allclose(a, b, atol=0.05)


def test_a_generator_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpatiaError, match=r"expected one of \['nano'\] or a folder with manifest.json.*'projection'"):
        open_generator(from_dict({"generator": {"name": "no-such-generator"}}))


def test_padding_does_not_change_what_a_multiple_of_16_gives() -> None:
    """A frame whose size is no multiple of 16 is padded, generated and cropped back to its size."""
    view, camera = random_view(6, 40, 70), Camera.from_fov(70, 40, 1.0)
    told = image_of(view, camera, [keyframe(0, np.eye(4))])
    assert told.image.shape == (15, 48, 80)
    generated = one_frame(learned(), view, camera, [keyframe(0, np.eye(4))])
    assert generated.rgb.shape == (40, 70, 3)

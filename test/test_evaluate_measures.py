"""The measures against their plain definitions, and the baselines they judge."""

from __future__ import annotations

import numpy as np
import pytest

from spatia_ros.evaluate.baselines import BASELINES, mean_colour
from spatia_ros.evaluate.measures import (
    DepthErrors,
    brightened,
    depth_errors,
    gain,
    match_ratio,
    psnr,
    recoloured,
    ssim,
)
from spatia_ros.evaluate.pictures import strip


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth blobs that SIFT finds: noise, blurred at two scales."""
    rng = np.random.default_rng(3)
    image = rng.normal(size=(96, 128, 3))
    for axis in (0, 1):
        for _ in range(3):
            image = (np.roll(image, 1, axis) + 2 * image + np.roll(image, -1, axis)) / 4
    return np.clip(127 + 150 * image, 0, 255).astype(np.uint8)


def test_what_the_truth_tells_is_no_more_than_colours(picture) -> None:
    mask = np.zeros(picture.shape[:2], bool)
    mask[20:60, 30:90] = True
    flat = recoloured(np.zeros_like(picture), picture, mask)
    np.testing.assert_array_equal(np.unique(flat.reshape(-1, 3), axis=0), [np.round(picture[mask].mean(0))])
    # Dimmed, mixed among channels and shifted: brought back, inside the mask and by what suits it there.
    other = np.clip(picture @ np.array([[0.5, 0.2, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.4]]) + 9.0, 0, 255).astype(np.uint8)
    other[0] = 255
    assert psnr(recoloured(other, picture, mask), picture, mask) > 40.0 > psnr(other, picture, mask) + 15.0
    nothing = np.zeros_like(mask)
    np.testing.assert_array_equal(recoloured(other, picture, nothing), other)


def test_psnr_of_a_known_error() -> None:
    a = np.full((20, 20, 3), 100, np.uint8)
    b = a.copy()
    b[:10] = 110
    assert psnr(a, b) == pytest.approx(10 * np.log10(255**2 / 50))
    assert psnr(a, b, b[..., 0] == 110) == pytest.approx(10 * np.log10(255**2 / 100))
    assert psnr(a, b, b[..., 0] == 100) == 100.0
    assert np.isnan(psnr(a, b, np.zeros((20, 20), bool)))


def test_ssim_equals_its_definition(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    x = picture[:24, :30]
    y = np.clip(x + rng.normal(0, 20, x.shape), 0, 255).astype(np.uint8)
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(24 - 10):
        for col in range(30 - 10):
            for k in range(3):
                a, b = (image[row : row + 11, col : col + 11, k].astype(float) for image in (x, y))
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb, cov = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum(), (window * (a - ma) * (b - mb)).sum()
                values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert ssim(x, y) == pytest.approx(np.mean(values), abs=1e-9)
    assert ssim(x, x) == pytest.approx(1.0)


def test_gain_is_found_and_undone(picture: np.ndarray) -> None:
    dark = (picture * np.array([0.5, 0.8, 0.9])).astype(np.uint8)
    mask = np.zeros(picture.shape[:2], bool)
    mask[20:60, 30:90] = True
    factor = gain(dark, picture, mask)
    np.testing.assert_allclose(factor, [2.0, 1.25, 1 / 0.9], rtol=0.02)
    assert psnr(brightened(dark, factor), picture) > 40.0
    np.testing.assert_array_equal(gain(dark, picture, np.zeros_like(mask)), np.ones(3))


def test_depth_errors_count_what_both_know() -> None:
    truth = np.full((10, 20), 2.0, np.float32)
    truth[0] = 0.0
    depth = np.full_like(truth, 2.2)
    depth[5:] = 3.0
    errors = depth_errors(depth, truth, np.ones(truth.shape, bool))
    assert errors.pixels == 180
    assert errors.absrel == pytest.approx((80 * 0.1 + 100 * 0.5) / 180, rel=1e-6)
    assert errors.delta_125 == pytest.approx(80 / 180)
    assert (errors + errors).absrel == pytest.approx(errors.absrel)
    assert np.isnan(DepthErrors(0, 0.0, 0).absrel)


def test_matches_are_found_where_they_are(picture: np.ndarray) -> None:
    other = np.ascontiguousarray(picture[::-1, :, ::-1])
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    assert match_ratio(picture, picture) == 1.0
    assert 0.4 < match_ratio(picture, noisy) <= 1.0
    assert match_ratio(picture, np.full_like(picture, 90)) == 0.0
    assert match_ratio(picture, other) < 0.3
    assert np.isnan(match_ratio(np.full_like(picture, 90), picture))


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_change_holes_alone(name: str, picture: np.ndarray) -> None:
    known = np.ones(picture.shape[:2], bool)
    known[30:50, 40:70] = False
    filled = BASELINES[name](np.where(known[..., None], picture, 0), known)
    np.testing.assert_array_equal(filled[known], picture[known])
    assert filled[~known].min() > 0


def test_the_mean_fills_what_nothing_is_known_of(picture: np.ndarray) -> None:
    assert (mean_colour(picture, np.zeros(picture.shape[:2], bool)) == 127).all()


def test_a_strip_holds_every_picture(picture: np.ndarray) -> None:
    sheet = strip(["left", "right"], [[(picture, "a"), (picture // 2, "b")], [(picture // 3, "c"), (picture // 4, "d")]])
    assert sheet.shape == (28 + 2 * (96 + 30), 2 * (128 + 6), 3)
    np.testing.assert_array_equal(sheet[28 : 28 + 96, 134 : 134 + 128], picture // 2)
    np.testing.assert_array_equal(sheet[154 : 154 + 96, :128], picture // 3)

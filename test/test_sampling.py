"""Few-step sampling: an analytic case, and its twin in torch."""

from __future__ import annotations

import numpy as np
import pytest

from spatia_ros.generator import sampling
from spatia_ros.types import Float32, SpatiaError

MEAN, DEVIATION = 0.7, 0.5


def gaussian(z: Float32, t: float) -> Float32:
    """The exact denoiser of clean latents that are normal with MEAN and DEVIATION: E[z_0 | z_t]."""
    variance = (1 - t) ** 2 * DEVIATION**2 + t**2
    gain = (1 - t) * DEVIATION**2 / variance
    return (MEAN + gain * (z - (1 - t) * MEAN)).astype(np.float32)


def exact(noise: Float32) -> Float32:
    """Where the flow of :func:`gaussian` ends: it is affine, and carries one normal onto the other."""
    return (MEAN + DEVIATION * noise).astype(np.float32)


@pytest.fixture
def noise() -> Float32:
    return np.random.default_rng(0).standard_normal((3, 5, 4, 6), np.float32)


def test_times_go_from_noise_to_clean() -> None:
    for shift in (0.5, 1.0, 3.0):
        times = sampling.schedule(4, shift)
        assert times[0] == 1.0
        assert times[-1] == 0.0
        assert np.all(np.diff(times) < 0)
    assert sampling.schedule(2, 3.0)[1] == pytest.approx(0.75)
    with pytest.raises(SpatiaError, match=r"expected 1\.\.64 steps"):
        sampling.schedule(0, 1.0)


def test_many_steps_end_where_the_flow_ends(noise: Float32) -> None:
    off = [np.abs(sampling.sample(gaussian, noise, steps, 1.0) - exact(noise)).max() for steps in (1, 4, 16, 64)]
    assert off[0] > 0.5, "one step gives the mean"
    assert off == sorted(off, reverse=True)
    assert off[-1] < 0.04
    np.testing.assert_allclose(sampling.sample(gaussian, noise, 1, 3.0), MEAN, atol=1e-6)


def test_guidance_goes_beyond_what_is_told_and_is_off_at_one(noise: Float32) -> None:
    def told(z: Float32, t: float) -> Float32:
        return np.full_like(z, 2.0)

    def never(z: Float32, t: float) -> Float32:
        raise AssertionError("asked although guidance is off")

    assert sampling.guided(told, never, 1.0) is told
    np.testing.assert_allclose(sampling.sample(sampling.guided(told, lambda z, t: 0 * z, 1.5), noise, 3), 3.0, atol=1e-6)


def test_a_box_that_is_told_stays(noise: Float32) -> None:
    box = np.zeros((3, 1, 4, 6), np.float32)
    box[:, :, 1:3] = 1.0
    box[:, :, 3:] = -1.0
    asked = []

    def denoise(z: Float32, t: float) -> Float32:
        asked.append((z[:, -1:].copy(), t))
        return gaussian(z, t)

    z = sampling.sample(sampling.boxed(denoise, box, noise), noise, 4)
    assert np.array_equal(z[:, -1:][box != 0], box[box != 0])
    assert np.array_equal(z[:, :-1], sampling.sample(gaussian, noise, 4)[:, :-1])
    for at, t in asked:
        np.testing.assert_allclose(at[box != 0], ((1 - t) * box + t * noise[:, -1:])[box != 0], atol=1e-6)
    assert sampling.boxed(denoise, 0 * box, noise) is denoise


def test_nonsense_of_a_denoiser_is_refused(noise: Float32) -> None:
    with pytest.raises(SpatiaError, match="expected finite"):
        sampling.sample(lambda z, t: z * np.float32(np.nan), noise, 2)
    with pytest.raises(SpatiaError, match="expected shape"):
        sampling.sample(lambda z, t: z[:1], noise, 2)


@pytest.mark.parametrize(("steps", "shift"), [(1, 1.0), (4, 3.0), (9, 1.0)])
def test_it_walks_as_its_twin_in_torch_does(noise: Float32, steps: int, shift: float) -> None:
    torch = pytest.importorskip("torch")
    from spatia_ros.generator import flow

    def denoise(z: object, t: object) -> object:
        return torch.from_numpy(gaussian(z.numpy(), float(t[0])))

    assert sampling.schedule(steps, shift) == pytest.approx(flow.schedule(steps, shift))
    theirs = flow.sample(denoise, torch.from_numpy(noise), steps, shift).numpy()
    np.testing.assert_allclose(sampling.sample(gaussian, noise, steps, shift), theirs, atol=2e-6)
    told, bare = torch.from_numpy(noise), torch.from_numpy(noise[::-1].copy())
    ours = sampling.guided(lambda z, t: noise, lambda z, t: noise[::-1], 2.0)(noise, 1.0)
    np.testing.assert_allclose(ours, flow.guided(told, bare, 2.0).numpy(), atol=1e-6)

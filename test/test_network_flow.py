"""Flow matching on a field that is known: Gaussians, whose exact denoiser can be written down."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from spatia_ros.generator.flow import guided, interpolate, sample, schedule, velocity

MEAN, SPREAD = torch.tensor([1.5, -0.5, 0.0]), torch.tensor([0.5, 2.0, 1.0])


def exact(z: Tensor, t: Tensor) -> Tensor:
    """E[z_0 | z_t] where z_0 ~ N(MEAN, SPREAD^2): the regression of z_0 on (1 - t) z_0 + t eps."""
    t = t[:, None]
    gain = (1 - t) * SPREAD**2 / ((1 - t) ** 2 * SPREAD**2 + t**2)
    return MEAN + gain * (z - (1 - t) * MEAN)


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def test_the_line_has_its_ends_and_its_slope():
    z_0, eps = noise(5), noise(5, 1)
    torch.testing.assert_close(interpolate(z_0, eps, torch.zeros(5)), z_0)
    torch.testing.assert_close(interpolate(z_0, eps, torch.ones(5)), eps)
    t = torch.linspace(0.1, 1.0, 5)
    torch.testing.assert_close(velocity(interpolate(z_0, eps, t), z_0, t), eps - z_0)
    ahead = interpolate(z_0, eps, t + 1e-2) - interpolate(z_0, eps, t)
    torch.testing.assert_close(ahead / 1e-2, eps - z_0, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_sampling_reaches_the_mean_and_the_spread(shift: float):
    drawn = sample(exact, noise(4000), 100, shift)
    torch.testing.assert_close(drawn.mean(0), MEAN, atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.std(0), SPREAD, atol=0, rtol=0.06)


def test_more_steps_come_closer():
    errors = [float((sample(exact, noise(4000), steps, 1.0).std(0) - SPREAD).abs().max()) for steps in (1, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.4  # one step lands on the mean: it has no spread


def test_one_step_is_what_the_denoiser_says():
    start = noise(7)
    torch.testing.assert_close(sample(exact, start, 1, 5.0), exact(start, torch.ones(7)))


def test_a_straight_field_needs_one_step():
    target = torch.tensor([3.0, -1.0, 2.0])
    point = lambda z, t: target.expand_as(z)  # noqa: E731
    torch.testing.assert_close(sample(point, noise(4), 1, 1.0), sample(point, noise(4), 9, 3.0))


def test_the_schedule_ends_where_it_should_and_shifts_towards_noise():
    plain, shifted = schedule(4, 1.0), schedule(4, 3.0)
    assert plain == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert (shifted[0], shifted[-1]) == (1.0, 0.0)
    assert shifted[2] == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))
    assert all(a > b for a, b in pairwise(shifted))


def test_guidance_goes_through_both_and_beyond():
    told, untold = noise(3), noise(3, 1)
    torch.testing.assert_close(guided(told, untold, 1.0), told)
    torch.testing.assert_close(guided(told, untold, 0.0), untold)
    torch.testing.assert_close(guided(told, untold, 2.0) - told, told - untold)


def test_guidance_of_clean_latents_is_guidance_of_velocities():
    z, t = noise(3), torch.tensor([0.3, 0.6, 1.0])
    told, untold = exact(z, t), noise(3, 2)
    torch.testing.assert_close(
        velocity(z, guided(told, untold, 2.5), t), guided(velocity(z, told, t), velocity(z, untold, t), 2.5), atol=1e-4, rtol=1e-4
    )

"""What training makes small: each term on known answers, and the picture's loss of them together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_stand_ins import RandomClips

from spatia_ros.train.losses import (
    SEAM_FLOOR,
    depth_error,
    log_error,
    masked_mean,
    seam_error,
    spread_error,
    velocity_error,
)
from spatia_ros.train.objectives import picture_loss
from spatia_ros.train.validate import figures_of

CLIPS = RandomClips()


def noise_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_losses_on_known_answers() -> None:
    mask = torch.zeros(2, 1, 4, 4)
    mask[:, :, :2] = 1
    a, b = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.1)
    b[:, :, 2:] = 9.0  # outside the mask
    np.testing.assert_allclose(masked_mean((a - b) ** 2, mask), [0.01, 0.01], rtol=1e-5)
    psnr = -20 / np.log(10) * log_error(a, b, mask)
    np.testing.assert_allclose(psnr, [20.0, 20.0], atol=0.1)
    assert (masked_mean(a, mask * 0) == 0).all()
    depth, truth = torch.full((2, 1, 4, 4), 0.3), torch.full((2, 1, 4, 4), 0.1)
    for times, error in ((1.0, 0.0), (2.0, 1.0), (0.5, 0.5), (0.0, 1.0), (np.exp(3.0), 3 * np.e - 1)):
        away = truth + float(np.log(max(times, 1e-9)))
        np.testing.assert_allclose(depth_error(away, truth, mask), [error, error], rtol=1e-5, atol=1e-6)
    told = torch.log(torch.full((2, 1, 4, 4), 0.21))
    np.testing.assert_allclose(spread_error(told, depth, truth, mask), [0, 0], atol=1e-5)
    pulled = depth.clone().requires_grad_()
    assert not spread_error(told + 1, pulled, truth, mask).requires_grad, "the spread must not pull on the depth"


def test_steps_of_the_error_count_and_not_how_large_it_is() -> None:
    truth, everywhere = torch.rand(1, 3, 16, 16, generator=noise_of(0)), torch.ones(1, 1, 16, 16)
    least = 0.5 * np.log(SEAM_FLOOR)
    assert float(seam_error(truth + 0.2, truth, everywhere)) == pytest.approx(least, abs=1e-3), "too light as a whole"
    stepped = truth.clone()
    stepped[..., 8:] += 0.1  # one step: at pixels one pair of 15, at cells of four one of 3, along one axis of two
    by_hand = sum(0.5 * np.log(0.01 / n + SEAM_FLOOR) for n in (15, 3)) + 2 * least
    assert float(seam_error(stepped, truth, everywhere)) == pytest.approx(by_hand / 4, abs=1e-3)
    half = everywhere.clone()
    half[..., :8] = 0  # the step lies between what is in it and what is not
    assert float(seam_error(stepped, truth, half)) == pytest.approx(least, abs=1e-3)
    assert torch.isfinite(seam_error(stepped, truth, 0 * half)).all()


def test_velocity_error_is_that_of_the_velocity() -> None:
    truth, noise, guess = (torch.randn(2, 1, 3, 4, 4, generator=noise_of(i)) for i in range(3))
    t = torch.tensor([0.5, 0.8])
    at = t.view(2, 1, 1, 1, 1)
    z = (1 - at) * truth + at * noise
    by_hand = (((z - guess) / at - (noise - truth)) ** 2).flatten(1).mean(1)
    np.testing.assert_allclose(velocity_error(guess, truth, t, torch.ones(2, 1, 1, 4, 4)), by_hand, rtol=1e-4)


def test_the_truth_scores_best() -> None:
    batch = CLIPS.one_batch(2)
    perfect = torch.cat([batch.colour - batch.image[:, :, :3], batch.log_depth - batch.image[:, :, 3:4]], 2)
    perfect = torch.cat([perfect, torch.full_like(batch.log_depth, -4.6)], 2)
    assert picture_loss(perfect, batch)[0] < picture_loss(torch.zeros_like(perfect), batch)[0] - 1
    figures = figures_of(perfect, batch)
    assert float(figures["psnr_net"].min()) > 40 > float(figures["psnr_fill"].max())
    assert float(figures["absrel_net"].max()) < 1e-4 < float(figures["absrel_fill"].min())


def test_what_moves_in_invented_pixels_counts_beside_the_rest() -> None:
    batch = CLIPS.one_batch(2)
    hole, moving = 1.0 - batch.image[:, :, 4:5], torch.zeros_like(batch.moving)
    moving[..., :4] = moving[..., -4:] = 1.0
    assert 0 < float((moving * hole).mean()) < float(moving.mean()), "some of it is remembered"
    right = torch.cat([batch.colour - batch.image[:, :, :3], torch.zeros_like(batch.image[:, :, :2])], 2)

    def loss(wrong: torch.Tensor, moves: torch.Tensor) -> tuple[float, float]:
        total, parts = picture_loss(right + wrong * torch.tensor([1.0, 1, 1, 0, 0]).view(5, 1, 1), replace(batch, moving=moves))
        return float(total), float(parts["moving"])

    still = torch.zeros_like(moving)
    assert loss(moving * hole, moving)[1] > loss(still, moving)[1] + 1
    assert loss(moving * (1 - hole), moving)[1] == pytest.approx(loss(still, moving)[1]), "what is remembered does not count"
    assert loss(moving * hole, moving)[0] > loss(moving * hole, still)[0] + 0.1
    assert np.isfinite(loss(moving, still)).all()

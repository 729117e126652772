"""What each stage makes small: network and batch to a loss. Noise, network and loop are elsewhere.

1. ``Autoencoder``: the truth's latents, spoilt, must still help the decoder.
2. ``Flow``: the transformer learns to find clean latents behind noisy ones (flow matching).
3. Few steps: ``Direct`` (one step from pure noise, judged by the finished picture) or
   ``Consistency`` (every place on a path must lead to the same end, judged in latents).
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from spatia_ros.generator.flow import interpolate, per_entry, velocity
from spatia_ros.train import losses
from spatia_ros.train.conditions import Conditions, conditions_of, decode_frames, denoise, encode_frames, maps
from spatia_ros.train.noise import Corruption, Dropped, blanked, draw_dropped, drop, logit_normal, worn

if TYPE_CHECKING:
    from spatia_ros.generator.network import SpaceTimeNet
    from spatia_ros.train.example import Batch

DROP_ALONE, DROP_JOINTLY = 0.1, 0.1
FLOW_SHIFT = 2.0
"""How far flow times are pushed towards noise: our latents are few, and few need more noise to drown."""
COVERED_WEIGHT = 0.2
"""How much a latent place that memory covers counts beside one it does not."""
DEPTH_WEIGHT = 0.5
MOVING_WEIGHT = 0.25
"""How much what moves counts in invented pixels, beside all of them: it is small, and hardest to foretell."""
SEAM_WEIGHT = 0.25
"""How much steps count that nobody would draw, in invented pixels."""
BOX_WEIGHT = 0.1
ASIDE_WEIGHT = 0.2
"""Of the mean latent's square: what all latents have in common says nothing, and leaves less of their spread to say it with."""
CONSISTENCY_GRID = 8
"""Flow times a consistency step goes between."""

Parts = dict[str, Tensor]


def picture_loss(change: Tensor, batch: Batch) -> tuple[Tensor, Parts]:
    """The loss of decoded changes [B, T, 5, H, W] and its parts: colour where invented, everywhere and of what moves; depth."""
    flat = lambda x: x.flatten(0, 1)  # noqa: E731
    image, scale, change = flat(batch.image), flat(batch.scale), flat(change)
    colour, log_depth = (image[:, :3] + change[:, :3]) * scale, image[:, 3:4] + change[:, 3:4]
    truth, true_depth, measured = flat(batch.colour) * scale, flat(batch.log_depth), flat(batch.measured)
    hole = 1.0 - image[:, 4:5]
    parts = {
        "invented": losses.log_error(colour, truth, hole).mean(),
        "everywhere": losses.log_error(colour, truth, torch.ones_like(hole)).mean(),
        "moving": losses.log_error(colour, truth, hole * flat(batch.moving)).mean(),
        "seams": losses.seam_error(colour, truth, hole).mean(),
        "depth": losses.depth_error(log_depth, true_depth, measured).mean(),
        "depth_invented": losses.depth_error(log_depth, true_depth, measured * hole).mean(),
        "spread": losses.spread_error(change[:, 4:5], log_depth, true_depth, measured).mean(),
    }
    depth = 0.5 * (parts["depth"] + parts["depth_invented"]) + 0.1 * parts["spread"]
    total = parts["invented"] + 0.5 * parts["everywhere"] + MOVING_WEIGHT * parts["moving"] + SEAM_WEIGHT * parts["seams"]
    return total + DEPTH_WEIGHT * depth, parts


def clean_latents(network: SpaceTimeNet, batch: Batch) -> Tensor:
    """What flows end at: [B, T, C + 1, h, w], the truth's latents and the box (1 inside, -1 outside, 0 unknown)."""
    return torch.cat([encode_frames(network, batch.truth), batch.box], 2)


def paint_loss(painted: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of colour and log-depth read from latents alone, [N, 4, H, W], against frames [N, 5, H, W]."""
    error = (painted - truth[:, :4]).abs()
    return error[:, :3].mean() + losses.masked_mean(error[:, 3:], truth[:, 4:]).mean()


def spoilt(conditions: Conditions, dropped: Dropped, generator: torch.Generator) -> Conditions:
    """Conditions as training gives them: context worn, and some left out."""
    return drop(replace(conditions, context=worn(conditions.context, generator)), dropped, generator)


def place_weight(batch: Batch) -> Tensor:
    """How much each latent place counts: [B, T, 1, h, w]."""
    return COVERED_WEIGHT + (1.0 - COVERED_WEIGHT) * batch.uncovered


def latent_loss(
    z0: Tensor, truth: Tensor, flow_time: Tensor, batch: Batch, box_weight: float = BOX_WEIGHT
) -> tuple[Tensor, Parts]:
    """The loss of guessed clean latents: velocity, and the box where one is known."""
    velocity = losses.velocity_error(z0[:, :, :-1], truth[:, :, :-1], flow_time, place_weight(batch)).mean()
    box = (batch.boxed * ((z0[:, :, -1] - truth[:, :, -1]) ** 2).flatten(1).mean(1)).mean()
    return velocity + box_weight * box, {"velocity": velocity, "box": box}


class Objective(nn.Module):
    """A network and how to judge it; ``trained`` names the parts of the network that learn."""

    trained: tuple[str, ...]

    def __init__(self, network: SpaceTimeNet) -> None:
        super().__init__()
        self.network = network
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(self.trained))

    def after_step(self, decay: float) -> None:
        """What follows an optimiser step."""


class Autoencoder(Objective):
    """Truth to latents, spoilt, to a picture: encoder and decoder learn together."""

    trained = ("encode.", "decode.")

    def __init__(self, network: SpaceTimeNet, corruption: Corruption | None = None) -> None:
        super().__init__(network)
        self.corruption = corruption or Corruption()

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Parts]:
        """Loss and parts of a batch."""
        latents, memory = encode_frames(self.network, batch.truth), encode_frames(self.network, batch.memory)
        spoilt = self.corruption(latents, memory, generator)
        z = torch.cat([spoilt, torch.zeros_like(spoilt[:, :, :1])], 2)
        total, parts = picture_loss(decode_frames(self.network, z, batch).float(), batch)
        parts["paint"] = paint_loss(self.network.paint(maps(latents)).float(), batch.truth.flatten(0, 1))
        parts["aside"] = latents.float().mean((0, 1, 3, 4)).square().mean()
        return total + parts["paint"] + ASIDE_WEIGHT * parts["aside"], parts


class Flow(Objective):
    """Flow matching: clean latents behind noisy ones, any condition left out."""

    trained = ("text.", "transformer.")

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Parts]:
        """Loss and parts of a batch."""
        with torch.no_grad():
            truth, conditions = clean_latents(self.network, batch), conditions_of(self.network, batch)
        B = len(truth)
        conditions = spoilt(conditions, draw_dropped(B, DROP_ALONE, DROP_JOINTLY, generator), generator)
        t = logit_normal((B,), FLOW_SHIFT, generator).to(truth.device)
        noise = torch.randn(truth.shape, generator=generator).to(truth.device)
        z0 = denoise(self.network, interpolate(truth, noise, t), t, conditions)
        return latent_loss(z0.float(), truth.float(), t, batch)


class Direct(Objective):
    """One step from pure noise, judged by the finished picture.

    The least expected square error is the conditional mean's, which one step can say; this is the
    distillation for PSNR. The latent loss stays as a rail: latents must keep meaning what context latents mean.
    The encoder stands still: trained along, it makes all latents alike (their spread fell from .68 to .008 in 120
    steps), for latents that say nothing are foretold without error.
    """

    trained = ("decode.", "text.", "transformer.")
    rail, box_weight = 0.3, BOX_WEIGHT

    def left_out(self, batch: int, generator: torch.Generator) -> Dropped:
        """Which conditions are left out of so many clips."""
        return draw_dropped(batch, DROP_ALONE, DROP_JOINTLY, generator)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Parts]:
        """Loss and parts of a batch."""
        B = len(batch.truth)
        dropped = self.left_out(B, generator)
        conditions = spoilt(conditions_of(self.network, batch), dropped, generator)
        batch = replace(batch, image=blanked(batch.image, dropped.memory_render))
        with torch.no_grad():
            truth = clean_latents(self.network, batch)
        noise = torch.randn(truth.shape, generator=generator).to(truth.device)
        t = torch.ones(B, device=truth.device)
        z0 = denoise(self.network, noise, t, conditions)
        total, parts = picture_loss(decode_frames(self.network, z0, batch).float(), batch)
        latent, latent_parts = latent_loss(z0.float(), truth.float(), t, batch, self.box_weight)
        return total + self.rail * latent, parts | latent_parts


class Navigate(Direct):
    """As ``Direct``, on clips without a memory; in the untold branch of joint guidance the path is left out as well.

    Boxes count as much as latents here: what a prompt names is the other thing to steer by.
    """

    box_weight = 1.0

    def left_out(self, batch: int, generator: torch.Generator) -> Dropped:
        """Which conditions are left out of so many clips."""
        dropped = super().left_out(batch, generator)
        return replace(dropped, rays=dropped.rays | dropped.guidance)


class Consistency(Objective):
    """Consistency distillation (Song et al., arXiv 2303.01469, alg. 2): neighbours on a path of the teacher lead to one end.

    The teacher is the many-step network this stage starts from; the target is the running average of the student.
    """

    trained = ("text.", "transformer.")

    def __init__(self, network: SpaceTimeNet) -> None:
        super().__init__(network)
        self.teacher = copy.deepcopy(network).requires_grad_(False).eval()
        self.target = copy.deepcopy(network).requires_grad_(False).eval()

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Parts]:
        """Loss and parts of a batch."""
        with torch.no_grad():
            truth, conditions = clean_latents(self.network, batch), conditions_of(self.network, batch)
        B = len(truth)
        noise = torch.randn(truth.shape, generator=generator).to(truth.device)
        later = torch.randint(1, CONSISTENCY_GRID + 1, (B,), generator=generator).to(truth.device) / CONSISTENCY_GRID
        earlier = later - 1.0 / CONSISTENCY_GRID
        z_t = interpolate(truth, noise, later)
        with torch.no_grad():
            taught = velocity(z_t, denoise(self.teacher, z_t, later, conditions), later)
            z_s = z_t + per_entry(earlier - later, z_t) * taught
            end = torch.where(per_entry(earlier, z_s) > 0, denoise(self.target, z_s, earlier, conditions), z_s)
        z0 = denoise(self.network, z_t, later, conditions)
        return latent_loss(z0.float(), end.float(), torch.ones_like(later), batch)

    @torch.no_grad()
    def after_step(self, decay: float) -> None:
        """The target follows the student."""
        for target, value in zip(self.target.parameters(), self.network.parameters(), strict=True):
            target.lerp_(value, 1.0 - decay)


OBJECTIVES: dict[str, type[Objective]] = {
    "autoencoder": Autoencoder,
    "flow": Flow,
    "direct": Direct,
    "consistency": Consistency,
    "tune": Direct,
    "navigate": Navigate,
}

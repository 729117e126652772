"""The training loop of the fill network: the same command again resumes it.

Loss, network, data and loop are apart (see :mod:`.losses`, :mod:`spatia_ros.generator.model`,
:mod:`.batches`). Everything a step does follows from (seed, step), so an interrupted run goes on
as if it had not been interrupted.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spatia_ros.generator.model import FillNet, FillNetConfig
from spatia_ros.train import checkpoint
from spatia_ros.train.batches import Batch, PairSet, example, stack
from spatia_ros.train.losses import depth_error, log_error, masked_mean, spread_error

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run."""

    pairs: str
    out: str
    steps: int = 1200
    batch: int = 8
    references: int = 2
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    average_decay: float = 0.998
    depth_weight: float = 0.5
    seed: int = 0
    bfloat16: bool = True
    save_every_s: float = 120.0
    report_every: int = 250


SOURCES = {"scenes": 0.5, "recordings": 0.38, "mesh": 0.12}
"""How often a batch draws from each source."""


def predict(change: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Colour and truth-comparable log-depth in the condition's units, and the log of its spread."""
    return batch.image[:, :3] + change[:, :3], batch.image[:, 3:4] + change[:, 3:4], change[:, 4:5]


def loss(change: Tensor, batch: Batch, depth_weight: float) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts: colour where invented and everywhere, depth where measured."""
    colour, log_depth, log_spread = predict(change, batch)
    covered = batch.image[:, 4:5]
    invented = log_error(colour * batch.scale, batch.colour * batch.scale, 1.0 - covered).mean()
    everywhere = log_error(colour * batch.scale, batch.colour * batch.scale, torch.ones_like(covered)).mean()
    depth = depth_error(log_depth, batch.log_depth, batch.measured).mean()
    spread = spread_error(log_spread, log_depth, batch.log_depth, batch.measured).mean()
    total = invented + 0.5 * everywhere + depth_weight * (depth + 0.1 * spread)
    parts = {"invented": invented, "everywhere": everywhere, "depth": depth, "spread": spread}
    return total, {name: part.item() for name, part in parts.items()}


def rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate: linear warm-up, then a cosine down to a fiftieth."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return config.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + np.cos(np.pi * done)))


@torch.no_grad()
def validate(network: FillNet, batches: list[Batch]) -> dict[str, float]:
    """Mean PSNR over invented pixels of the network and of the bare fill, dB, on held-out scenes."""
    gains: dict[str, list[Tensor]] = {"network": [], "fill": []}
    for batch in batches:
        colour, _, _ = predict(network(batch.image, batch.references), batch)
        for name, guess in (("network", colour), ("fill", batch.image[:, :3])):
            error = masked_mean(((guess - batch.colour) * batch.scale) ** 2, 1.0 - batch.image[:, 4:5])
            gains[name].append(-10.0 * torch.log10(error.clamp(min=1e-5)))
    return {f"psnr_invented_{name}": float(torch.cat(values).mean()) for name, values in gains.items()}


def train(config: TrainConfig, network_config: FillNetConfig, data: PairSet, device: str = "cpu") -> FillNet:
    """Train, or go on training, until ``config.steps``; returns the averaged network.

    Leaves in ``config.out``: checkpoint.safetensors (resumes), log.jsonl, config.json.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps({"train": asdict(config), "network": network_config.as_dict()}, indent=1))
    torch.manual_seed(config.seed)
    network = FillNet(network_config).to(device, memory_format=torch.channels_last)
    average = {k: v.clone() for k, v in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
    state = checkpoint.load(out, network, average, optimiser) or {"step": 0, "seconds": 0.0}
    held_out = [example(pair, config.references) for pair in data.validation]
    validation = [stack(held_out[i : i + 8]) for i in range(0, len(held_out), 8)]
    begun, saved = time.monotonic() - state["seconds"], time.monotonic()
    recent: list[dict[str, float]] = []
    for step, batch in ahead(data, config, state["step"]):
        recent.append(_step(network, average, optimiser, batch, config, step, device))
        last = step + 1 == config.steps
        if (step + 1) % config.report_every == 0 or last:
            figures = {name: float(np.mean([r[name] for r in recent])) for name in recent[0]}
            figures |= validate(averaged(network, average), validation)
            _report(out, step + 1, time.monotonic() - begun, figures)
            recent = []
        if time.monotonic() - saved > config.save_every_s or last:
            checkpoint.save(out, network, average, optimiser, {"step": step + 1, "seconds": time.monotonic() - begun})
            saved = time.monotonic()
    return averaged(network, average)


def ahead(data: PairSet, config: TrainConfig, first: int) -> Iterator[tuple[int, Batch]]:
    """Steps from ``first`` on with their batches, the next one made while the last is learned from."""
    with ThreadPoolExecutor(1) as pool:
        def ask(step: int) -> Future[Batch]:
            return pool.submit(data.batch, config.seed, step, config.batch, config.references)

        coming = ask(first)
        for step in range(first, config.steps):
            batch = coming.result()
            coming = ask(step + 1)
            yield step, batch


def _step(
    network: FillNet, average: dict[str, Tensor], optimiser: torch.optim.Optimizer, drawn: Batch,
    config: TrainConfig, step: int, device: str,
) -> dict[str, float]:
    """One optimiser step on a batch; returns the parts of its loss."""
    batch = Batch(*(getattr(drawn, name).to(device) for name in Batch.__slots__))
    for group in optimiser.param_groups:
        group["lr"] = rate_at(step, config)
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16, enabled=config.bfloat16):
        change = network(batch.image.contiguous(memory_format=torch.channels_last), batch.references)
    total, parts = loss(change.float(), batch, config.depth_weight)
    total.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    decay = min(config.average_decay, (step + 1) / (step + 10))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1.0 - decay)
    return parts


def averaged(network: FillNet, average: dict[str, Tensor]) -> FillNet:
    """A twin of the network with the averaged weights."""
    twin = FillNet(network.config)
    twin.load_state_dict(average)
    return twin.to(next(network.parameters()).device).eval()


def _report(out: Path, step: int, seconds: float, figures: dict[str, Any]) -> None:
    line = {"step": step, "seconds": round(seconds, 1)} | {k: round(v, 4) for k, v in figures.items()}
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    _log.info("%s", line)

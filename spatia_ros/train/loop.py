"""The training loop of one stage: the same command again resumes it.

Everything a step does follows from (seed, stage, step, process), so an interrupted run goes on as
if it had not been interrupted, bit for bit on one machine's CPU.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from spatia_ros.train import checkpoint
from spatia_ros.train.objectives import Objective
from spatia_ros.train.presets import StagePlan
from spatia_ros.train.processes import Processes

if TYPE_CHECKING:
    from spatia_ros.generator.network import SpaceTimeNet
    from spatia_ros.train.example import Batch

_log = logging.getLogger(__name__)

Report = Callable[["SpaceTimeNet", int, float, dict[str, float]], None]
"""What is done every now and then: averaged network, steps made, seconds spent, mean loss parts since the last report."""


def never() -> bool:
    """A run that is not to stop before it is done."""
    return False


class Batches(Protocol):
    """Where batches come from: a pure function of the seeds."""

    def batch(self, seeds: tuple[int, ...], plan: StagePlan) -> Batch:
        """The batch of these seeds; the same seeds give the same batch."""


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How a stage is run, apart from its numbers.

    Args:
        folder: of the stage: checkpoint.safetensors (resumes) and, when done, weights.safetensors (the average).
        seed: of data and noise; ``stage`` is mixed into it, so that stages draw differently.
        stop: asked after every step, whether to save and stop.
        workers: processes that prepare batches ahead; 0: a thread does.
    """

    folder: Path
    seed: int
    stage: int
    bfloat16: bool
    save_every_s: float = 120.0
    report_every: int = 200
    stop: Callable[[], bool] = never
    workers: int = 0


def rate_at(step: int, plan: StagePlan) -> float:
    """Learning rate: linear warm-up, then a cosine down to a fiftieth."""
    if step < plan.warmup:
        return plan.learning_rate * (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(plan.steps - plan.warmup, 1)
    return plan.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + float(np.cos(np.pi * done))))


def run_stage(
    objective: Objective, plan: StagePlan, config: LoopConfig, data: Batches, processes: Processes, report: Report
) -> bool:
    """Train, or go on training, a stage; leaves the averaged weights in the objective's network.

    Returns:
        Whether the stage is done (False: asked to stop, saved).
    """
    network = objective.network
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
    state = checkpoint.load(config.folder, objective, average, optimiser) or {"step": 0, "seconds": 0.0}
    shared = processes.shared(objective)
    begun, saved, step = time.monotonic() - state["seconds"], time.monotonic(), int(state["step"])
    recent: list[dict[str, Tensor]] = []
    stopped = False
    for step, batch in ahead(data, plan, config, processes.rank, int(state["step"])):
        recent.append(_step(shared, optimiser, batch, plan, config, step, processes))
        _follow(average, network, min(plan.average_decay, (step + 1) / (step + 10)))
        objective.after_step(plan.average_decay)
        last = step + 1 == plan.steps
        stopped = processes.agree(config.stop()) and not last
        due = (step + 1) % config.report_every == 0 or last
        if processes.first and due:
            figures = {name: float(np.mean([float(r[name]) for r in recent])) for name in recent[0]}
            report(averaged(network, average), step + 1, time.monotonic() - begun, figures)
        recent = [] if due else recent
        if processes.first and (time.monotonic() - saved > config.save_every_s or last or stopped):
            checkpoint.save(config.folder, objective, average, optimiser, {"step": step + 1, "seconds": time.monotonic() - begun})
            saved = time.monotonic()
        if stopped:
            break
    network.load_state_dict(average)
    if processes.first and not stopped:
        checkpoint.save_tensors(config.folder / checkpoint.WEIGHTS, average)
    return not stopped


def ahead(data: Batches, plan: StagePlan, config: LoopConfig, rank: int, first: int) -> Iterator[tuple[int, Batch]]:
    """Steps from ``first`` on with their batches, the next ones made while the last is learned from."""
    # Processes start afresh: a forked parent's threads would be missing in them.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(config.workers, spawn, single_threaded) if config.workers else ThreadPoolExecutor(1) as pool:
        coming: deque[Future[Batch]] = deque()
        for step in range(first, plan.steps):
            while len(coming) < min(max(2 * config.workers, 1) + 1, plan.steps - step):
                coming.append(pool.submit(data.batch, (config.seed, config.stage, step + len(coming), rank), plan))
            yield step, coming.popleft().result()


def single_threaded() -> None:
    """Keep a process that prepares batches to one core."""
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)
    torch.set_num_threads(1)


def noise_of(config: LoopConfig, step: int, rank: int) -> torch.Generator:
    """The generator of a step's noise, on the CPU."""
    seed = np.random.SeedSequence([config.seed, config.stage, step, rank, 1]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> 1))


def _step(
    shared: nn.Module, optimiser: torch.optim.Optimizer, drawn: Batch, plan: StagePlan, config: LoopConfig, step: int,
    processes: Processes,
) -> dict[str, Tensor]:
    """One optimiser step on a batch; returns the parts of its loss."""
    for group in optimiser.param_groups:
        group["lr"] = rate_at(step, plan)
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(processes.device.partition(":")[0], torch.bfloat16, enabled=config.bfloat16):
        total, parts = shared(drawn.to(processes.device), noise_of(config, step, processes.rank))
    total.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    if torch.isfinite(norm):  # a step that overflowed teaches nothing
        optimiser.step()
    return {name: part.detach() for name, part in parts.items()} | {"loss": total.detach(), "gradient": norm}


@torch.no_grad()
def _follow(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    """Move the running average towards the network's weights."""
    for name, value in network.state_dict().items():
        if value.dtype.is_floating_point:
            average[name].lerp_(value, 1.0 - decay)
        else:
            average[name].copy_(value)


def averaged(network: SpaceTimeNet, average: dict[str, Tensor]) -> SpaceTimeNet:
    """A twin of the network with the averaged weights."""
    twin = type(network)(network.config)
    twin.load_state_dict(average)
    return twin.to(next(network.parameters()).device).eval()

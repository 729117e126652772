"""The processes of a training run: one, or as many as torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed import destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among ``count``: each makes its own share of every batch, and gradients are averaged."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def shared(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the processes when it is called through what is returned."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module)

    def agree(self, flag: bool) -> bool:
        """Whether any process says so (all must leave a loop at the same step)."""
        if self.count == 1:
            return flag
        told = torch.tensor([float(flag)], device=self.device)
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        return bool(told.item() > 0)


    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            torch.distributed.barrier()


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """The processes torchrun started (gloo on CPU, NCCL on GPUs, one GPU each), or this one alone.

    Args:
        device: "cpu" or "cuda"; with torchrun, each process takes the GPU of its local rank.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device=device)
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(int(os.environ["RANK"]), count, device)
    finally:
        destroy_process_group()

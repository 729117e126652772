"""Launches recorded once and replayed: a small network's time on a GPU is mostly the launching of its kernels.

A recording is of fixed shapes and fixed addresses: inputs are copied into its own tensors, and its
outputs are overwritten by the next replay (so they are copied out).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

WARM_UP = 3
MOST_SHAPES = 12
"""Recordings kept at most, the least lately used out first: each holds the memory of one run."""


class Recording(NamedTuple):
    """A recorded run: fill ``inputs``, call ``replay``, read ``outputs``."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    replay: Callable[[], object]


Forward = Callable[..., "tuple[Tensor, ...]"]
Recorder = Callable[[Forward, "tuple[Tensor, ...]"], Recording]


def record_on_cuda(forward: Forward, inputs: tuple[Tensor, ...]) -> Recording:
    """Record one run as a CUDA graph, after runs that let libraries choose and allocate what they need."""
    own = tuple(tensor.clone() for tensor in inputs)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            forward(*own)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = forward(*own)
    return Recording(own, outputs, graph.replay)


class CapturedFunction:
    """A function of tensors, recorded once for every combination of shapes it meets."""

    def __init__(self, forward: Forward, record: Recorder, most: int = MOST_SHAPES) -> None:
        self._forward, self._record, self._most = forward, record, most
        self._recordings: OrderedDict[tuple[tuple[int, ...], ...], Recording] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Replay (or first record) the run of these shapes; the outputs are the caller's own."""
        key = tuple(tuple(tensor.shape) for tensor in inputs)
        recording = self._recordings.get(key)
        if recording is None:
            recording = self._recordings[key] = self._record(self._forward, inputs)
            if len(self._recordings) > self._most:
                self._recordings.popitem(last=False)
        self._recordings.move_to_end(key)
        for own, given in zip(recording.inputs, inputs, strict=True):
            own.copy_(given)
        recording.replay()
        return tuple(output.clone() for output in recording.outputs)

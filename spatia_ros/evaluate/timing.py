"""Measuring speed on a machine that does other things too: interleaved repetitions, and their median."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

BURST = 4


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one piece of work: the median of its repetitions, and the fastest."""

    median_ms: float
    min_ms: float

    @property
    def noise(self) -> float:
        """How much slower the median was than the fastest: 1 on a quiet machine."""
        return self.median_ms / self.min_ms


def interleaved(name: str, work: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, Timing]:
    """Time several pieces of work in turn, so that what disturbs the machine disturbs them alike.

    Turns are bursts of BURST calls, the first of each unmeasured: the worker threads of one library go on
    spinning for a while after its call, and would be charged to the next. The first turn (compilation,
    caches) counts not at all.
    """
    laps: dict[str, list[float]] = {key: [] for key in work}
    for run in tqdm(range(1 + -(-repetitions // (BURST - 1))), desc=name, unit="round"):
        for key, function in work.items():
            for call in range(BURST):
                start = time.perf_counter()
                function()
                if run and call:
                    laps[key].append((time.perf_counter() - start) * 1e3)
    return {key: Timing(float(np.median(values)), float(np.min(values))) for key, values in laps.items()}

"""How far one runtime or precision is from another, on the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from spatia_ros.engine.engines import Call
from spatia_ros.engine.table import AnyArray, Graph, example

SHAPES: tuple[Mapping[str, int], ...] = (
    {"frames": 1, "context": 1, "words": 1, "rows": 2, "cols": 3},
    {"frames": 3, "context": 2, "words": 5, "rows": 4, "cols": 7},
    {"frames": 1, "context": 9, "words": 16, "rows": 10, "cols": 16},
)
"""The least of everything, something odd, and one frame of 256x160."""
PERFECT_DB = 200.0


class Difference(NamedTuple):
    """Of two sets of outputs: the largest absolute difference, and the PSNR in dB (peak: the truth's range)."""

    largest: float
    psnr_db: float


def psnr_db(truth: AnyArray, got: AnyArray) -> float:
    """Peak signal to noise ratio, dB; the peak is the truth's range, ``PERFECT_DB`` where both are equal."""
    error = float(np.mean((truth.astype(np.float64) - got) ** 2))
    peak = float(np.ptp(truth)) or 1.0
    return min(PERFECT_DB, float(10 * np.log10(peak**2 / error))) if error > 0 else PERFECT_DB


def difference(truth: Call, other: Call, batches: Iterable[Mapping[str, AnyArray]]) -> Difference:
    """The largest difference over all outputs and batches, and the lowest PSNR of an output over all batches."""
    largest = 0.0
    pairs: dict[str, list[tuple[AnyArray, AnyArray]]] = {}
    for inputs in batches:
        expected, got = truth(inputs), other(inputs)
        for name, array in expected.items():
            largest = max(largest, float(np.abs(array - got[name]).max()))
            pairs.setdefault(name, []).append((array.ravel(), got[name].ravel()))
    joined = ([np.concatenate(side) for side in zip(*taken, strict=True)] for taken in pairs.values())
    return Difference(largest, min(psnr_db(a, b) for a, b in joined))


def examples(graph: Graph, sizes: Mapping[str, int], seed: int = 1) -> list[dict[str, AnyArray]]:
    """Random inputs of a graph in a few shapes."""
    rng = np.random.default_rng(seed)
    return [example(graph, {**free, **sizes}, rng) for free in SHAPES]

"""What goes through the networks while a world runs: recorded, to find the scales of int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spatia_ros.engine.engines import Call, Engines
from spatia_ros.engine.table import AnyArray
from spatia_ros.types import Float32

Batches = dict[str, list[dict[str, AnyArray]]]
"""Recorded inputs by graph."""


class Recorder:
    """Engines that keep what they are given, spread over the run, ``most`` of each graph.

    Once full, every other batch is dropped and only every second call is kept from then on, so the
    kept ones stay evenly spread however long the run is.
    """

    def __init__(self, engines: Engines, most: int) -> None:
        self.batches: Batches = {name: [] for name in engines.calls()}
        self._most = most
        self._seen, self._every = dict.fromkeys(self.batches, 0), dict.fromkeys(self.batches, 1)
        kept = {name: self._kept(name, call) for name, call in engines.calls().items()}
        self.engines = Engines(**kept, sizes=engines.sizes, runtime=engines.runtime, sha256=engines.sha256)

    def _kept(self, name: str, call: Call) -> Call:
        def keep(inputs: Mapping[str, AnyArray]) -> dict[str, Float32]:
            if self._seen[name] % self._every[name] == 0:
                self.batches[name].append({key: np.array(value) for key, value in inputs.items()})
                if len(self.batches[name]) > self._most:
                    del self.batches[name][1::2]
                    self._every[name] *= 2
            self._seen[name] += 1
            return call(inputs)

        return keep


def split(batches: Batches) -> tuple[Batches, Batches]:
    """Batches to calibrate with (three of four), and the others, to measure what it costs."""

    def apart(taken: Sequence[dict[str, AnyArray]], *, held: bool) -> list[dict[str, AnyArray]]:
        return [batch for i, batch in enumerate(taken) if (i % 4 == 3) == held]

    return (
        {name: apart(taken, held=False) for name, taken in batches.items()},
        {name: apart(taken, held=True) or taken[-1:] for name, taken in batches.items()},
    )

"""A map while it is made: static memory, what moves through it, and the split between the two."""

from __future__ import annotations

import numpy as np

from spatia_ros.actors import MoverLog
from spatia_ros.config import WorldConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import evened
from spatia_ros.slam.correct import Correction, deform
from spatia_ros.slam.dynamics import StaticDynamic
from spatia_ros.types import Frame


class LiveMap:
    """Takes posed frames in order of time.

    Args:
        config: its memory, dynamics and actors sections.
    """

    def __init__(self, config: WorldConfig) -> None:
        self.memory, self.movers = Memory(config.memory), MoverLog(config.actors)
        self.held = 0
        """Pixels kept out so far because they move."""
        self._dynamics = StaticDynamic(config.dynamics)

    def integrate(self, frame: Frame) -> dict[str, int]:
        """Fold the static part of a frame into memory, in memory's exposure, and keep the rest as movers.

        Returns:
            The counts of :meth:`Memory.integrate`; ``held``: pixels kept out; ``evened``: 1 if the exposure was another one.
        """
        even = evened(frame, self.memory)
        split = self._dynamics.split(even, self.memory)
        self.movers.observe(even, split.movers)
        held = int(np.count_nonzero(~split.static))
        self.held += held
        return self.memory.integrate(even, mask=split.static) | {"held": held, "evened": int(even is not frame)}

    def correct(self, correction: Correction) -> None:
        """Bend the memory to corrected keyframes; what was seen to be free from uncorrected ones is forgotten."""
        self.memory = deform(self.memory, correction)
        self._dynamics.forget()

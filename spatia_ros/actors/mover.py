"""What moves, as one frame shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spatia_ros.types import Bool, Float64, SpatiaError, check_array

State = Literal["tentative", "moving", "resting"]


@dataclass(frozen=True, slots=True)
class Mover:
    """One thing that is not (yet) part of the static place.

    Args:
        id: the same number (from 1) for the same thing in every frame it is followed through.
        mask: bool [H, W], the pixels that show it.
        low, high: float64 [3], corners of the world-axis box around what is seen of it, m.
        velocity: float64 [3], of its middle, m/s in the world frame.
        state: "tentative" (appeared where space was seen to be free, not known to move yet), "moving", or
            "resting" (it stays: its pixels may enter static memory).
    """

    id: int
    mask: Bool
    low: Float64
    high: Float64
    velocity: Float64
    state: State

    def __post_init__(self) -> None:
        check_array("mover.mask", self.mask, (None, None), np.bool_)
        for name in ("low", "high", "velocity"):
            value = getattr(self, name)
            check_array(f"mover.{name}", value, (3,), np.float64)
            if not np.isfinite(value).all():
                raise SpatiaError(f"mover.{name}: expected finite numbers, got {value.tolist()}")
        if (self.high < self.low).any():
            raise SpatiaError(f"mover: expected low <= high, got {self.low.tolist()} and {self.high.tolist()}")

    @property
    def centre(self) -> Float64:
        """float64 [3], middle of the box, m."""
        return 0.5 * (self.low + self.high)

"""Camera paths round a place: pieces of a spiral about the vertical through it, gazing at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.geometry import look_at
from spatia_ros.types import Float64

Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Arc:
    """From one place to another, both given round a middle; eased at both ends.

    Args:
        middle: float64 [3], m: the axis goes through it, and it is gazed at.
        start, end: distance from the axis (m), angle round it (rad), height above the middle (m).
    """

    middle: Float64
    start: tuple[float, float, float]
    end: tuple[float, float, float]

    def poses(self, n: int) -> Float64:
        """``T_world_cam`` [n, 4, 4]."""
        s = np.linspace(0.0, 1.0, n)[:, None]
        # Half eased: a camera that starts and stops, yet at no time stands.
        s = 0.5 * s + 0.5 * s * s * (3 - 2 * s)
        radius, angle, height = (np.array(self.start) + s * (np.array(self.end) - self.start)).T
        eyes = self.middle + np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1)
        return np.stack([look_at(eye, self.middle, Z) for eye in eyes])


def source_arc(middle: Float64, radius_m: float, angle: float, height_m: float, rng: np.random.Generator) -> Arc:
    """The way of the camera that records: 45 to 65 degrees round, at one height."""
    sweep = rng.choice((-1, 1)) * np.radians(rng.uniform(45, 65)) / 2
    return Arc(middle, (radius_m, angle - sweep, height_m), (radius_m, angle + sweep, height_m))


def target_arc(source: Arc, rng: np.random.Generator) -> tuple[str, Arc]:
    """Another way, and its name: back and lower or higher, a dolly in, a crane up; never a pose of the source's."""
    (radius, first, height), last = source.start, source.end[1]
    middle, sweep, near = 0.5 * (first + last), 0.5 * (last - first), 0.95 * radius
    aside, other = middle + rng.uniform(-0.5, 0.5) * sweep, height + rng.choice((-1, 1)) * 0.08 * radius
    match rng.choice(("back", "dolly", "crane")):
        case "back":
            return "back", Arc(source.middle, (near, last - 0.2 * sweep, other), (near, first + 0.2 * sweep, other))
        case "dolly":
            return "dolly", Arc(source.middle, (radius, aside, height), (0.75 * radius, aside + 0.1 * sweep, 0.8 * height))
        case _:
            return "crane", Arc(source.middle, (near, aside, height), (near, aside, height + 0.2 * radius))

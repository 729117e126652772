"""What grounding answers: the thing a phrase means and a way to look at it, or what comes nearest to it and why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spatia_ros.types import Float64, Trajectory

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Sighting:
    """The thing that was found.

    Args:
        name, kind: what it is called, and what it is. source: "memory", "actor" or "detector". actor_id: of an actor, else 0.
        low, high: float64 [3], its world-axis box, m. position: float64 [3], the middle of it.
        distance_m: from the camera at the start to its middle.
        box_px: left, top, right, bottom of what is visible of it, px, in the last picture of the way (without one, in the
            first); None where nothing is.
        visible: the share of it that is visible there, 0..1.
    """

    name: str
    kind: str
    source: str
    actor_id: int
    low: Float64
    high: Float64
    position: Float64
    distance_m: float
    box_px: Box | None
    visible: float

    def as_dict(self) -> dict[str, Any]:
        """In plain values."""
        return {
            "name": self.name, "kind": self.kind, "source": self.source, "actor_id": self.actor_id,
            "low_m": self.low.tolist(), "high_m": self.high.tolist(), "position_m": self.position.tolist(),
            "distance_m": self.distance_m, "box_px": self.box_px, "visible": self.visible,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that is not what was asked for, or not the first of it.

    Args:
        position: float64 [3], middle of its box, world, m. distance_m: from the camera at the start. why: it is not the answer.
    """

    name: str
    kind: str
    position: Float64
    distance_m: float
    why: str

    def as_dict(self) -> dict[str, Any]:
        """In plain values."""
        position = self.position.tolist()
        return {"name": self.name, "kind": self.kind, "position_m": position, "distance_m": self.distance_m, "why": self.why}


@dataclass(frozen=True, slots=True)
class Grounded:
    """The answer to a phrase.

    Args:
        found: whether something is what the phrase says. target: that. candidates: the nearest misses, or further ones that fit.
        trajectory: a collision-free way that ends with the thing framed; None when none was asked for, or there is none.
        reason: why it was not found, or cannot be reached; empty when all went well.
        clearance_m: how close the way comes to anything, at the least; None without one.
        length_m: of the way.
    """

    phrase: str
    found: bool
    target: Sighting | None
    candidates: tuple[Candidate, ...]
    trajectory: Trajectory | None = None
    reason: str = ""
    clearance_m: float | None = None
    length_m: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """In plain values, the way by its length alone."""
        return {
            "phrase": self.phrase, "found": self.found, "target": self.target.as_dict() if self.target else None,
            "candidates": [c.as_dict() for c in self.candidates], "reason": self.reason,
            "poses": len(self.trajectory) if self.trajectory else 0, "length_m": self.length_m, "clearance_m": self.clearance_m,
        }  # fmt: skip

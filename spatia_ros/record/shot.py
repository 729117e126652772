"""One recorded moment: a frame, where its pixels come from, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spatia_ros.types import Float32, Float64, UInt8, UInt16, check_array, check_pose

SENSED_FROM = 176
"""Provenance from here on goes back to a sensor more than to the generator."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What a run, or a recorder of its topics, kept of one frame.

    Args:
        stamp_ns: simulated time of exposure.
        T_world_cam: float64 [4, 4].
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown.
        provenance: uint8 [H, W], 255 = from a sensor, 96 = an earlier invention, 0 = invented now.
        figures: scalar measures of this frame (milliseconds end in ``_ms``).
        verdict: uint8 [H, W], what became of each pixel (:data:`spatia_ros.slam.REASONS`); None: not known.
        segmentation: uint16 [H, W], the actor each pixel shows, 0 = the static world; None: there were none.
    """

    stamp_ns: int
    T_world_cam: Float64
    rgb: UInt8
    depth: Float32
    provenance: UInt8
    figures: Mapping[str, float] = field(default_factory=dict)
    verdict: UInt8 | None = None
    segmentation: UInt16 | None = None

    def __post_init__(self) -> None:
        check_pose("shot.T_world_cam", self.T_world_cam)
        check_array("shot.rgb", self.rgb, (None, None, 3), "uint8")
        check_array("shot.depth", self.depth, self.rgb.shape[:2], "float32")
        check_array("shot.provenance", self.provenance, self.rgb.shape[:2], "uint8")
        if self.verdict is not None:
            check_array("shot.verdict", self.verdict, self.rgb.shape[:2], "uint8")
        if self.segmentation is not None:
            check_array("shot.segmentation", self.segmentation, self.rgb.shape[:2], "uint16")

    def shares(self) -> tuple[float, float, float]:
        """Shares of pixels ``(from a sensor, from an earlier invention, invented now)``; they add up to 1."""
        sensed = float((self.provenance >= SENSED_FROM).mean())
        new = float((self.provenance == 0).mean())
        return sensed, max(0.0, 1.0 - sensed - new), new

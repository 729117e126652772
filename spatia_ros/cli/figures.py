"""What a run comes to in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spatia_ros.evaluate.measures import psnr
from spatia_ros.record.shot import Shot

SAME_PLACE_M, SAME_WAY = 1e-3, 1e-3
"""Poses nearer than this (metres, and as the largest difference of a rotation matrix) are one pose."""


def return_psnr(shots: Sequence[Shot]) -> float | None:
    """How alike first and last picture are, dB; None when they were not taken from one pose."""
    first, last = shots[0], shots[-1]
    apart = np.abs(first.T_world_cam - last.T_world_cam)
    if len(shots) < 2 or apart[:3, 3].max() > SAME_PLACE_M or apart[:3, :3].max() > SAME_WAY:
        return None
    return round(psnr(first.rgb, last.rgb), 2)


def run_figures(shots: Sequence[Shot]) -> dict[str, Any]:
    """Frames, shares of pixels by origin, return PSNR, and milliseconds a frame by stage (p50, p99).

    Each shot is read once.
    """
    shares, stages = [], []
    for shot in shots:
        shares.append(shot.shares())
        stages.append({name: value for name, value in shot.figures.items() if name.endswith("_ms")})
    sensed, remembered, invented = np.mean(shares, 0)
    names = sorted(set.intersection(*(set(stage) for stage in stages)))
    return {
        "frames": len(shots),
        "seen_share": round(float(sensed), 4),
        "seen_share_min": round(float(np.min(shares, 0)[0]), 4),
        "invented_earlier_share": round(float(remembered), 4),
        "invented_now_share": round(float(invented), 4),
        "invented_now_share_max": round(float(np.max(shares, 0)[2]), 4),
        "return_psnr_db": return_psnr(shots),
        "latency_ms": {name.removesuffix("_ms"): _spread([stage[name] for stage in stages]) for name in names},
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"p50": round(float(np.percentile(values, 50)), 2), "p99": round(float(np.percentile(values, 99)), 2)}

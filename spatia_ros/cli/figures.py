"""What a run comes to in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spatia_ros.evaluate.measures import psnr
from spatia_ros.record.panels import Film
from spatia_ros.record.report import latencies
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


def run_figures(film: Film) -> dict[str, Any]:
    """Frames, shares of pixels by origin, return PSNR, and milliseconds a frame by stage (p50, p99)."""
    sensed, remembered, invented = film.shares.mean(0)
    return {
        "frames": len(film.shots),
        "seen_share": round(float(sensed), 4),
        "seen_share_min": round(float(film.shares[:, 0].min()), 4),
        "invented_earlier_share": round(float(remembered), 4),
        "invented_now_share": round(float(invented), 4),
        "invented_now_share_max": round(float(film.shares[:, 2].max()), 4),
        "return_psnr_db": return_psnr(film.shots),
        "latency_ms": {stage: _spread(values) for stage, values in latencies(film).items()},
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": round(float(np.percentile(values, 50)), 2), "p99": round(float(np.percentile(values, 99)), 2)}

"""The recording an evaluation works on: its depth delay taken out, its size set."""

from __future__ import annotations

import logging
from collections.abc import Sequence as Indices
from typing import Literal

from spatia_ros.config import WorldConfig
from spatia_ros.sequence import Sequence
from spatia_ros.sequence.delay import estimate_depth_delay, with_depth_delay

DepthDelay = float | Literal["auto"]
"""Seconds that depth is exposed before colour, or "auto": estimated, and applied when clearly there."""

_log = logging.getLogger(__name__)


def prepared(
    sequence: Sequence, config: WorldConfig, depth_delay: DepthDelay, from_frames: Indices[int]
) -> tuple[Sequence, float]:
    """The recording without its depth delay, at the configured size; and the delay, seconds.

    Args:
        from_frames: the only frames an estimate may read.
    """
    delay_s = 0.0
    if depth_delay == "auto":
        found = estimate_depth_delay(sequence, from_frames)
        delay_s = found.delay_s if found.confident else 0.0
        _log.info(
            "%s: depth delay %.1f ms, residual %.4f -> %.4f: %s", sequence.name, found.delay_s * 1e3, found.residual_before,
            found.residual_after, "applied" if found.confident else "not applied",
        )
    else:
        delay_s = float(depth_delay)
    mended = with_depth_delay(sequence, delay_s)
    return mended.resized(config.camera.width_px, config.camera.height_px), delay_s


def still_there(before: Sequence, after: Sequence, indices: Indices[int]) -> list[int]:
    """Frames of one recording in the other, by their times; those dropped are left out."""
    at = {stamp: i for i, stamp in enumerate(after.stamps_ns.tolist())}
    return [at[stamp] for stamp in before.stamps_ns[list(indices)].tolist() if stamp in at]

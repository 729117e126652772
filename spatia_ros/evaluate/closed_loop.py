"""Out and back: how well a world remembers what it showed before, from a single real frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate import flights
from spatia_ros.evaluate.flights import Shown
from spatia_ros.evaluate.measures import match_ratio, psnr, ssim
from spatia_ros.evaluate.novel_view import known
from spatia_ros.evaluate.pictures import strip
from spatia_ros.evaluate.prepare import DepthDelay, prepared
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.sequence import Sequence
from spatia_ros.types import Int64, SpatiaError, Trajectory, UInt8

SHARE = 1.0 / 3.0
"""The path goes along this share of the recording, and back."""


@dataclass(frozen=True, slots=True)
class Loop:
    """The generated frames of one loop that are compared: uint8 [H, W, 3] each."""

    first: UInt8
    farthest: UInt8
    last: UInt8


def evaluate_closed_loop(
    sequence: Sequence, config: WorldConfig, out_dir: Path, depth_delay: DepthDelay = "auto"
) -> dict[str, Any]:
    """Leave from one real frame, go where the recording went, come back, and compare.

    Memory is made from the first frame alone. The control that stands beside it has no memory but
    the frame it generated last. Writes ``figures.json``, ``strip.png`` and ``config.yaml`` to ``out_dir``.

    Args:
        sequence: at its own size; it is resized to the config's.
        depth_delay: seconds, or "auto" (estimated from the frames beyond the path, which no figure is made from).

    Returns:
        The figures, as docs/evaluation.md names them: dB, SSIM and SIFT match ratio.

    Raises:
        SpatiaError: when the recording is too short to go anywhere.
    """
    turn = round(len(sequence) * SHARE)
    if turn < 2:
        raise SpatiaError(f"sequence {sequence.name}: expected at least 5 frames for a path out and back, got {len(sequence)}")
    resized, delay_s = prepared(sequence, config, depth_delay, range(turn, len(sequence)))
    seed, path = resized.frame(0), out_and_back(resized, min(turn, len(resized)), config.frame_rate_hz)
    ours, control = (
        _loop(fly(flights.world_of(config, [seed]), path), len(path)) for fly in (flights.with_memory, flights.without_memory)
    )
    figures = {"sequence": sequence.name, "generator": config.generator.name, "frames": len(path), **_figures(seed.rgb, ours)}
    figures |= {"no_memory": _figures(seed.rgb, control), "depth_delay_s": round(delay_s, 4)}
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    there = resized.frame(min(turn, len(resized)) - 1).rgb
    write_bytes(out_dir / "strip.png", encode_png(_strip(seed.rgb, there, ours, control)))
    return figures


def out_and_back(sequence: Sequence, turn: int, rate_hz: float) -> Trajectory:
    """The poses of the first ``turn`` frames and back again, one frame period apart, after the first frame's time."""
    order = list(range(turn)) + list(range(turn - 2, -1, -1))
    period_ns = round(1e9 / rate_hz)
    stamps_ns: Int64 = int(sequence.stamps_ns[0]) + period_ns * np.arange(1, len(order) + 1, dtype=np.int64)
    return Trajectory(stamps_ns, sequence.T_world_cam[order])


def _loop(flight: Iterator[Shown], frames: int) -> Loop:
    kept = {}
    for i, shown in enumerate(tqdm(flight, total=frames, desc="closed loop", unit="frame")):
        if i in (0, frames // 2, frames - 1):
            kept[i] = shown.rgb
    return Loop(kept[0], kept[frames // 2], kept[frames - 1])


def _figures(real: UInt8, loop: Loop) -> dict[str, Any]:
    return {
        "psnr_first_last": known(psnr(loop.first, loop.last)),
        "psnr_real_last": known(psnr(real, loop.last)),
        "ssim": known(ssim(loop.first, loop.last)),
        "match": known(match_ratio(loop.first, loop.last)),
        "matcher": "sift",
    }


def _strip(real: UInt8, there: UInt8, ours: Loop, control: Loop) -> UInt8:
    columns = ["recorded", "ours", "no memory"]
    rows = [
        [(real, "first frame: the only one given"), (ours.first, "first"), (control.first, "first")],
        [(there, "where the path turns"), (ours.farthest, "farthest"), (control.farthest, "farthest")],
        [(real, "first frame"), (ours.last, _return(ours)), (control.last, _return(control))],
    ]
    return strip(columns, rows)


def _return(loop: Loop) -> str:
    return f"last, {psnr(loop.first, loop.last):.1f} dB to the first"

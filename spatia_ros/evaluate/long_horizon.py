"""Long horizon: does a place stay itself over 2, 4, 6 and 60 clips, out and back to where it began?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate import flights
from spatia_ros.evaluate.flights import Shown
from spatia_ros.evaluate.measures import match_ratio, psnr, ssim
from spatia_ros.evaluate.novel_view import known, mean
from spatia_ros.evaluate.pictures import strip
from spatia_ros.evaluate.prepare import DepthDelay, prepared
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.sequence import Sequence as Recording
from spatia_ros.types import Frame, SpatiaError, Trajectory, UInt8

CLIPS = (2, 4, 6, 60)
LAP_CLIPS = 6
"""More clips than this walk its way again and again."""


@dataclass(frozen=True, slots=True)
class Returns:
    """The pictures of one flight that are compared.

    Args:
        first: uint8 [H, W, 3], the first generated. farthest: at the first turn. back: by clips flown, each at the first pose.
        way_db: by clips flown, mean PSNR over the poses of the way between the first time they were flown and the last.
    """

    first: UInt8
    farthest: UInt8
    back: dict[int, UInt8]
    way_db: dict[int, float | None]


def evaluate_long_horizon(
    sequence: Recording, config: WorldConfig, out_dir: Path, clips: Sequence[int] = CLIPS, depth_delay: DepthDelay = "auto"
) -> dict[str, Any]:
    """Leave from one real frame, fly out for half of the clips and back for the other half; compare the first and last picture.

    Up to 6 clips go as far as that takes them; more are that many laps of the 6-clip way. The control beside it has no memory but
    the frame it generated last. Writes ``figures.json``, ``strip.png`` and ``config.yaml`` to ``out_dir``.

    Args:
        sequence: at its own size; it is resized to the config's. Where it is shorter than the way, the way turns at its end.
        clips: even numbers; above 6 multiples of 6.

    Returns:
        The figures, as docs/evaluation.md names them: lists in the order of ``clips``.

    Raises:
        SpatiaError: on other numbers of clips, or a recording too short to go anywhere.
    """
    check_clips(clips)
    clip = flights.clip_frames(config)
    beyond = min(LAP_CLIPS * clip // 2, len(sequence))
    resized, delay_s = prepared(sequence, config, depth_delay, range(beyond, len(sequence)))
    if len(resized) < 3:
        raise SpatiaError(f"sequence {sequence.name}: expected at least 3 frames for a path out and back, got {len(resized)}")
    seed, ours, control = resized.frame(0), {}, {}
    for lap, laps in runs(clips):
        path = walk(resized, lap * clip, laps, config.frame_rate_hz)
        at = {lap * n: n * (len(path) - 1) // laps for n in range(1, laps + 1)}
        ours[lap] = _returns(flights.with_memory(flights.world_of(config, [seed]), path), at, f"{lap * laps} clips")
        control[lap] = _returns(flights.without_memory(flights.world_of(config, [seed]), path), at, f"{lap * laps}, no memory")
    figures: dict[str, Any] = {"sequence": sequence.name, "generator": config.generator.name, "clip_frames": clip}
    figures |= _figures(seed, ours, clips) | {"no_memory": _figures(seed, control, clips), "matcher": "sift"}
    figures["depth_delay_s"] = round(delay_s, 4)
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    write_bytes(out_dir / "strip.png", encode_png(_strip(ours, control, clips)))
    return figures


def check_clips(clips: Sequence[int]) -> None:
    """Raise unless every number of clips brings the camera back to its first pose."""
    wrong = [n for n in clips if n < 2 or n % 2 or (n > LAP_CLIPS and n % LAP_CLIPS)]
    if wrong or not clips:
        raise SpatiaError(f"clips: expected even numbers, above {LAP_CLIPS} multiples of {LAP_CLIPS}, got {list(clips)}")


def runs(clips: Sequence[int]) -> list[tuple[int, int]]:
    """(clips of a lap, laps) of the flights it takes: 6 clips are the first lap of 60."""
    laps = max([n // LAP_CLIPS for n in clips if n >= LAP_CLIPS], default=0)
    return [(n, 1) for n in sorted(set(clips)) if n < LAP_CLIPS] + ([(LAP_CLIPS, laps)] if laps else [])


def walk(recording: Recording, frames: int, laps: int, rate_hz: float) -> Trajectory:
    """Out and back ``laps`` times along the recorded poses: about ``frames`` a lap, each lap's last pose the next one's first."""
    turn = min(frames // 2, len(recording))
    lap = [*range(turn), *range(turn - 2, -1, -1)]
    order = lap + lap[1:] * (laps - 1)
    period_ns = round(1e9 / rate_hz)
    stamps_ns = int(recording.stamps_ns[0]) + period_ns * np.arange(1, len(order) + 1, dtype=np.int64)
    return Trajectory(stamps_ns, recording.T_world_cam[order])


def _returns(flight: Iterator[Shown], at: dict[int, int], name: str) -> Returns:
    """Keep what is compared: the first way out, and after so many clips (at frame number ``at[clips]``) the last way back."""
    wanted, frames = {frame: clips for clips, frame in at.items()}, max(at.values()) + 1
    turn = min(at.values()) // 2
    out: list[UInt8] = []
    latest: deque[UInt8] = deque(maxlen=turn)
    back, way_db = {}, {}
    for i, shown in enumerate(tqdm(flight, total=frames, desc=name, unit="frame")):
        latest.append(shown.rgb)
        if i <= turn:
            out.append(shown.rgb)
        if i in wanted:
            back[wanted[i]] = shown.rgb
            way_db[wanted[i]] = mean([psnr(a, b) for a, b in zip(out[:turn], reversed(latest), strict=True)])
    if len(out) <= turn:
        raise SpatiaError(f"long horizon: expected {frames} frames, got {len(out)}")
    return Returns(out[0], out[turn], back, way_db)


def _figures(seed: Frame, flown: dict[int, Returns], clips: Sequence[int]) -> dict[str, Any]:
    pairs = [(flown[_lap(n)].first, flown[_lap(n)].back[n]) for n in clips]
    figures: dict[str, Any] = {"clips": list(clips), **_compared(pairs)}
    figures["psnr_real"] = [known(psnr(seed.rgb, last)) for _, last in pairs]
    figures["psnr_way"] = [flown[_lap(n)].way_db[n] for n in clips]
    longest = flown[max(flown)]
    figures["laps"] = {"clips": list(longest.back), **_compared([(longest.first, last) for last in longest.back.values()])}
    figures["laps"]["psnr_way"] = list(longest.way_db.values())
    return figures


def _compared(pairs: list[tuple[UInt8, UInt8]]) -> dict[str, list[float | None]]:
    measures = {"psnr_c": psnr, "ssim_c": ssim, "match": match_ratio}
    return {name: [known(measure(a, b)) for a, b in pairs] for name, measure in measures.items()}


def _lap(clips: int) -> int:
    return min(clips, LAP_CLIPS)


def _strip(ours: dict[int, Returns], control: dict[int, Returns], clips: Sequence[int]) -> UInt8:
    rows = []
    for n in clips:
        mine, other = ours[_lap(n)], control[_lap(n)]
        rows.append([
            (mine.first, f"{n} clips: first"), (mine.farthest, "where it turned"), (mine.back[n], _caption(mine, n)),
            (other.back[n], _caption(other, n)),
        ])
    return strip(["first generated", "farthest", "back again", "back again, no memory"], rows)


def _caption(flown: Returns, clips: int) -> str:
    return f"last, {psnr(flown.first, flown.back[clips]):.1f} dB to the first"

"""Time control against full-grid truth: a recording goes in, and comes out at another camera's way under ten time patterns.

The measure of SpaceTimePilot (arXiv 2512.25075, section 5): each frame is compared with what that camera really sees at that
animation time. Two controls are made of the same pipeline's own frames: one that controls the camera alone and plays time as it
was recorded, and one in which time does not exist, and everything stands as it was first seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spatia_ros.actors import Clock
from spatia_ros.actors.patterns import SHAPES, pattern
from spatia_ros.evaluate.camera import Landmarks, errors, find_pose, landmarks
from spatia_ros.evaluate.footage import Footage, Shown, source_video
from spatia_ros.evaluate.measures import psnr, ssim
from spatia_ros.types import Float64, Frame, UInt8

Render = Callable[[Float64, Mapping[str, Float64]], Mapping[str, UInt8]]
"""``T_world_cam`` [N, 4, 4] and animation times [N], s, by pattern -> pictures uint8 [N, H, W, 3] by pattern."""
Pipeline = Callable[[Footage, Sequence[Shown]], Render]
"""A recording to what can be rendered of it. One that is honest reads the frames and nothing else of the footage."""

PATTERNS = tuple(SHAPES)
STAND_STILL = "time ignored"
CAMERA_EVERY = 3
"""Every third of those, of each pattern, has its camera's pose found."""
MATCHED, WITHIN_PX = 12, 1.5
"""Frames of the recording a pose is found from, and how near its features must be: pictures are small, and exact."""


def animation_of(name: str, times_s: Float64) -> Float64:
    """Animation times [N], s, that a pattern shows while a target camera goes along its way in the recording's time [N].

    Freeze shows the recording's middle; loop plays its first half twice.
    """
    end = float(times_s[-1])
    start, last = (end / 2, end) if name == "freeze" else (0.0, end / 2 if name == "loop" else end)
    clock: Clock = pattern(name, start, last, length_s=last if name == "loop" else end, at_s=0.0)
    return np.clip(np.asarray(clock.at(times_s), np.float64), 0.0, end)


@dataclass(frozen=True, slots=True)
class Filmed:
    """One place: truths and frames of its target way by pattern, N each.

    Args:
        T_world_cam: float64 [N, 4, 4]. animation_s: [N] by pattern. truth: by pattern.
        frames: uint8 [N, H, W, 3] by pipeline, then by pattern or STAND_STILL.
        source: the recording.
    """

    footage: Footage
    T_world_cam: Float64
    animation_s: Mapping[str, Float64]
    truth: Mapping[str, Sequence[Shown]]
    frames: Mapping[str, Mapping[str, UInt8]]
    source: Sequence[Shown]


def film(footage: Footage, pipelines: Mapping[str, Pipeline], every: int = 2) -> Filmed:
    """Run every pattern of a place through every pipeline, and look up the truth.

    Args:
        every: so-manieth poses of the target's way are looked at.
    """
    source, kept = source_video(footage), range(0, len(footage.paths["target"]), every)
    poses = footage.paths["target"][kept]
    moments = np.linspace(footage.times_s[0], footage.times_s[-1], len(poses), dtype=np.float64)
    asked = {name: np.round(footage.known(animation_of(name, moments)), 6) for name in PATTERNS}
    played = asked | {STAND_STILL: np.zeros(len(poses))}
    frames = {name: pipeline(footage, source)(poses, played) for name, pipeline in pipelines.items()}
    return Filmed(footage, poses, asked, _truths(footage, kept, asked), frames, source)


def _truths(footage: Footage, kept: Sequence[int], asked: Mapping[str, Float64]) -> dict[str, list[Shown]]:
    """What each frame of each pattern should show; patterns that show the same share it."""
    truth: dict[str, list[Shown]] = {name: [] for name in asked}
    for n, k in enumerate(kept):
        seen: dict[float, Shown] = {}
        for name, tau_s in asked.items():
            tau = float(tau_s[n])
            if tau not in seen:
                seen[tau] = footage.look("target", k, tau)
            truth[name].append(seen[tau])
    return truth


def figures_of(filmed: Filmed, name: str) -> dict[str, Any]:
    """The figures of one pipeline in one place: lists of a figure a frame, by method, pattern and measure."""
    frames = filmed.frames[name]
    shown = {
        "ours": {each: frames[each] for each in PATTERNS},
        "camera_only": dict.fromkeys(PATTERNS, frames["forward"]),
        "time_ignored": dict.fromkeys(PATTERNS, frames[STAND_STILL]),
    }
    return {
        method: {each: _compared(pictures[each], filmed.truth[each]) for each in PATTERNS} for method, pictures in shown.items()
    }


def _compared(frames: UInt8, truth: Sequence[Shown]) -> dict[str, list[float]]:
    """PSNR (whole, over the movers' true pixels, over all others) and SSIM of each frame."""
    each = list(zip(frames, truth, strict=True))
    return {
        "psnr": [psnr(rgb, t.frame.rgb) for rgb, t in each], "ssim": [ssim(rgb, t.frame.rgb) for rgb, t in each],
        "psnr_actors": [psnr(rgb, t.frame.rgb, t.moving) for rgb, t in each],
        "psnr_static": [psnr(rgb, t.frame.rgb, ~t.moving) for rgb, t in each],
    }


def pooled(places: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of several places as one: each place counts alike, as does each pattern in the mean."""

    def mean(method: str, name: str, measure: str) -> float | None:
        each = [place[method][name][measure] for place in places]
        means = [np.mean(known) for values in each if (known := [v for v in values if np.isfinite(v)])]
        return round(float(np.mean(means)), 4) if means else None

    def over(method: str, names: Iterable[str], measures: Iterable[str]) -> dict[str, float | None]:
        of = {m: [v for n in names if (v := mean(method, n, m)) is not None] for m in measures}
        return {m: round(float(np.mean(values)), 4) if values else None for m, values in of.items()}

    measures = ("psnr", "ssim", "psnr_actors", "psnr_static")
    retimed = [name for name in PATTERNS if name != "forward"]
    out: dict[str, Any] = {"patterns": {n: {m: mean("ours", n, m) for m in measures} for n in PATTERNS}}
    out["mean"] = over("ours", PATTERNS, measures)
    for control in ("time_ignored", "camera_only"):
        out[control] = over(control, PATTERNS, measures)
        out[control]["patterns"] = {n: {m: mean(control, n, m) for m in measures} for n in PATTERNS}
    out["retimed"] = {method: over(method, retimed, measures) for method in ("ours", "time_ignored", "camera_only")}
    out["above_time_ignored_db"] = round(out["mean"]["psnr"] - out["time_ignored"]["psnr"], 4)
    return out


def camera_errors(filmed: Filmed, name: str) -> dict[str, dict[str, Any]]:
    """From where a pipeline's frames were seen, beside the true pictures of the same cameras and times (the method's floor)."""
    seeds = [still_landmarks(shown) for shown in filmed.source]
    chosen = [(each, k) for each in PATTERNS for k in range(0, len(filmed.truth[each]), CAMERA_EVERY)]
    commanded = np.stack([filmed.T_world_cam[k] for _, k in chosen])

    def found(rgb: UInt8) -> Float64 | None:
        return find_pose(rgb, filmed.footage.camera, seeds, MATCHED, WITHIN_PX)

    return {
        "ours": errors([found(filmed.frames[name][each][k]) for each, k in chosen], commanded),
        "truth": errors([found(filmed.truth[each][k].frame.rgb) for each, k in chosen], commanded),
    }


def still_landmarks(shown: Shown) -> Landmarks:
    """Features of what stands still: of a mover, a feature says nothing of where the camera is."""
    frame = shown.frame
    depth = np.where(shown.moving, np.float32(0), frame.depth)
    return landmarks(Frame(frame.rgb, depth, frame.camera, frame.T_world_cam, frame.stamp_ns))


def pooled_camera(places: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Camera errors of several places: means over those where poses were found, each place counting alike."""
    names = {
        "rot_deg": "rot_deg", "trans_m": "trans_m", "rta15": "rta_15", "rta30": "rta_30", "rot_deg_median": "rot_deg_median",
        "trans_m_median": "trans_m_median", "estimated": "estimated",
    }
    out: dict[str, float | None] = {}
    for name, key in names.items():
        values = [place[key] for place in places if place[key] is not None]
        out[name] = round(float(np.mean(values)), 5) if values else None
    return out

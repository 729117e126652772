"""Scene navigation from video context alone: back along the way a video came, told its pictures and the path, and nothing else.

Of a stretch of a recording the generator is given K pictures, far apart, with their times: no depth, no poses, no
memory. It is to fly back from the last of them to the first; the frames to be drawn lie midway between the
pictures, so what they show was seen. The same is drawn with one thing other at a time, and by the world as it is
usually run, which has a memory made of the same frames with their depth and poses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros import geometry
from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.flights import with_memory, world_of
from spatia_ros.evaluate.measures import psnr, ssim
from spatia_ros.evaluate.novel_view import known
from spatia_ros.evaluate.pictures import strip
from spatia_ros.evaluate.scene_distance import DEFINITION, Scene, scene_distance
from spatia_ros.generator.navigation import INDEX_S, UNIT_M, Guidance, Indices, Path, Video, navigate
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.sequence import Sequence as Recording
from spatia_ros.types import Frame, SpatiaError, Trajectory, UInt8
from spatia_ros.world import open_generator

SPAN = 32
"""Frames of a stretch, from its first picture to its last."""
PICTURES = 9
"""Pictures of it that are given."""
WEIGHT = 1.5
"""Of joint guidance, unless told otherwise."""
SHOWN = 8
"""Stretches in the strip at most."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a recording: what is given, and what is to be drawn on the way back.

    Args:
        source: what it is of ("procedural", "recordings"). name: of the recording.
        spread, latest: frames to be given, far apart or the last ones; oldest first, and the last is the same.
        targets: the true frames, in the order they are flown.
    """

    source: str
    name: str
    spread: tuple[Frame, ...]
    latest: tuple[Frame, ...]
    targets: tuple[Frame, ...]

    @property
    def times_s(self) -> np.ndarray:
        """When the targets are to be seen: one after another from the last picture on, float64 [T]."""
        return self.spread[-1].stamp_ns * 1e-9 + INDEX_S * np.arange(1, len(self.targets) + 1)

    @property
    def path(self) -> Path:
        """The way back, from the last picture's camera."""
        back = geometry.inverse(self.spread[-1].T_world_cam)
        return Path(self.targets[0].camera, np.stack([back @ t.T_world_cam for t in self.targets]), self.times_s)


def stretches_of(recording: Recording, source: str, count: int, pictures: int = PICTURES, span: int = SPAN) -> list[Stretch]:
    """Stretches from all over a recording, as far apart as it is long.

    Raises:
        SpatiaError: when it is too short, or too few pictures are asked for.
    """
    span = min(span, len(recording) - 1)
    if pictures < 2 or span < 2 * (pictures - 1):
        wanted = f"{2 * pictures - 1} frames or more and 2 pictures or more"
        raise SpatiaError(f"navigation {recording.name}: expected {wanted}, got {len(recording)} and {pictures}")
    places = np.linspace(0, span, pictures).round().astype(int)
    midway = ((places[1:] + places[:-1]) // 2)[::-1]
    others = [i for i in range(span + 1) if i not in midway]
    starts = np.unique(np.linspace(0, len(recording) - 1 - span, count).round().astype(int))
    frames = lambda start, chosen: tuple(recording.frame(int(start + i)) for i in chosen)  # noqa: E731
    return [
        Stretch(source, recording.name, frames(start, places), frames(start, others[-pictures:]), frames(start, midway))
        for start in starts
    ]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to ask for it.

    Args:
        latest: the last pictures are given instead of some far apart. without: see :func:`.generator.navigation.navigate`.
    """

    guidance: Guidance
    indices: Indices = "true"
    latest: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ablations:
    """What is drawn beside the mode itself; each adds rows."""

    contiguous_indices: bool = False
    contiguous_frames: bool = False
    no_joint_guidance: bool = False
    weights: tuple[float, ...] = ()


def modes_of(weight: float, ablations: Ablations) -> dict[str, Mode]:
    """The mode by name, its ablations, and what becomes of it without the pictures and without the path."""
    joint = Guidance(weight)
    modes = {"navigation": Mode(joint)}
    if ablations.contiguous_indices:
        modes["contiguous_indices"] = Mode(joint, "contiguous")
    if ablations.contiguous_frames:
        modes["contiguous_frames"] = Mode(joint, latest=True)
    if ablations.no_joint_guidance:
        modes["no_guidance"] = Mode(Guidance(1.0))
        modes["instruction_guidance"] = Mode(Guidance(weight, jointly=False))
    modes |= {f"weight_{w:g}": Mode(Guidance(w)) for w in ablations.weights}
    return modes | {"no_context": Mode(joint, without=("references",)), "no_path": Mode(joint, without=("rays",))}


def evaluate_navigation(
    stretches: Sequence[Stretch], config: WorldConfig, out_dir: FilePath, weight: float = WEIGHT,
    ablations: Ablations = Ablations(), clip: int = 4,
) -> dict[str, Any]:
    """Draw every stretch in every way, and compare with what was really there.

    Returns:
        The figures, as docs/navigation.md names them.

    Raises:
        SpatiaError: when the generator cannot go by a context, or there is nothing to draw.
    """
    generator = open_generator(config)
    if not isinstance(generator, SpaceTimeGenerator):
        raise SpatiaError(f"navigation: expected a generator of space, time and context, got {config.generator.name!r}")
    if not stretches:
        raise SpatiaError("navigation: expected stretches of a recording or a scene, got none")
    draw = partial(_drawn, generator, config, modes_of(weight, ablations), clip)
    drawn = [draw(stretch) for stretch in tqdm(stretches, desc="navigation", unit="stretch")]
    scores = [_scores(stretch, ways) for stretch, ways in zip(stretches, drawn, strict=True)]
    figures: dict[str, Any] = {"generator": config.generator.name, "rows": _mean(scores), "margins": _margins(scores)}
    sources = [stretch.source for stretch in stretches]
    figures["by_source"] = {
        name: _mean([s for s, source in zip(scores, sources, strict=True) if source == name]) for name in dict.fromkeys(sources)
    }
    figures |= {
        "sd_definition": DEFINITION, "weight": weight, "stretches": [f"{s.source}: {s.name}" for s in stretches],
        "pictures": len(stretches[0].spread), "targets": sum(len(s.targets) for s in stretches), "unit_m": UNIT_M,
    }
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    write_bytes(out_dir / "strip.png", encode_png(_strip(stretches, drawn)))
    return figures


Drawn = dict[str, list[UInt8]]


def _drawn(generator: SpaceTimeGenerator, config: WorldConfig, modes: dict[str, Mode], clip: int, stretch: Stretch) -> Drawn:
    """The targets as drawn in each mode, by the world as usual, and by two that draw nothing."""
    drawn: Drawn = {}
    for name, mode in modes.items():
        given = stretch.latest if mode.latest else stretch.spread
        video = Video(tuple(f.rgb for f in given), np.array([f.stamp_ns * 1e-9 for f in given]))
        rng = np.random.default_rng(config.seed)
        drawn[name] = navigate(generator, video, stretch.path, rng, mode.guidance, mode.indices, clip, mode.without)
    stamps = np.round(stretch.times_s * 1e9).astype(np.int64)
    way = Trajectory(stamps, np.stack([t.T_world_cam for t in stretch.targets]))
    drawn["memory"] = [shown.rgb for shown in with_memory(world_of(config, stretch.spread), way)]
    last = stretch.spread[-1].rgb
    mean = np.broadcast_to(last.mean((0, 1)).round().astype(np.uint8), last.shape).copy()
    drawn |= {"last_picture": [last] * len(way), "mean_colour": [mean] * len(way)}
    return drawn


Scores = dict[str, np.ndarray]
"""Of each row: PSNR, SSIM and scene distance, means over the targets of a stretch."""
MEASURES = ("psnr", "ssim", "sd")


def _scores(stretch: Stretch, drawn: Drawn) -> Scores:
    of: dict[str, list[tuple[float, float, float]]] = {name: [] for name in drawn}
    for i, target in enumerate(stretch.targets):
        scene = Scene.of([*stretch.spread, target])
        for name, frames in drawn.items():
            rgb = frames[i]
            of[name].append((psnr(rgb, target.rgb), ssim(rgb, target.rgb), scene_distance(rgb, target, scene)))
    return {name: np.nanmean(np.array(rows), axis=0) for name, rows in of.items()}


def _mean(scores: Sequence[Scores]) -> dict[str, dict[str, float | None]]:
    over = {name: np.mean([s[name] for s in scores], axis=0) for name in scores[0]}
    return {name: {m: known(float(v)) for m, v in zip(MEASURES, values, strict=True)} for name, values in over.items()}


def _margins(scores: Sequence[Scores]) -> dict[str, dict[str, float | None]]:
    """What the mode itself is better by than each other row: PSNR in dB with its standard error over stretches, and SD."""
    out = {}
    for name in scores[0]:
        if name != "navigation":
            gains = np.array([s["navigation"] - s[name] for s in scores])
            error = gains[:, 0].std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
            gained, less = (known(float(v)) for v in (gains[:, 0].mean(), -gains[:, 2].mean()))
            out[name] = {"psnr": gained, "psnr_error": known(float(error)), "sd": less}
    return out


def _strip(stretches: Sequence[Stretch], drawn: Iterable[Drawn]) -> UInt8:
    rows, columns = [], ["last picture given", "truth"]
    for stretch, ways in list(zip(stretches, drawn, strict=True))[:SHOWN]:
        shown = {name: frames for name, frames in ways.items() if name not in ("last_picture", "mean_colour")}
        i = len(stretch.targets) // 2
        truth = stretch.targets[i].rgb
        columns = [*columns[:2], *(name.replace("_", " ") for name in shown)]
        pictures = [(frames[i], f"{psnr(frames[i], truth):.1f} dB") for frames in shown.values()]
        rows.append([(stretch.spread[-1].rgb, stretch.name), (truth, f"frame {i} of the way back"), *pictures])
    return strip(columns, rows)

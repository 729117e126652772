"""Ablation: what each condition, the number of references, and the point spacing are worth, in dB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate import flights
from spatia_ros.evaluate.deprived import CONDITIONS, Deprived, conditions_of
from spatia_ros.evaluate.held_out import draw, held_out_clips
from spatia_ros.evaluate.measures import psnr
from spatia_ros.evaluate.novel_view import known, mean
from spatia_ros.evaluate.pictures import strip
from spatia_ros.evaluate.prepare import DepthDelay, prepared, still_there
from spatia_ros.generator import Generator
from spatia_ros.memory.exposure import EvenFrames
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.sequence import Sequence as Recording
from spatia_ros.types import Frame, SpatiaError, Trajectory, UInt8
from spatia_ros.world import open_generator

REFERENCES = (1, 3, 5, 7)
VOXELS_M = (0.01, 0.03, 0.05, 0.07)
CLIPS = 4
"""Held-out clips that need each condition, a scene's seed giving them."""
WAY = 24
"""Poses of the way out, at most."""
SHOWN = 4
"""Frames of a flight drawn in the strip."""


@dataclass(frozen=True, slots=True)
class Flown:
    """What a flight out and back came to.

    Args:
        truth_db: mean PSNR over frames against what was recorded there. loop_db: PSNR between first and last frame.
        frames: uint8 [H, W, 3], some of its frames.
    """

    truth_db: float | None
    loop_db: float | None
    frames: list[UInt8]


def evaluate_ablation(
    sequence: Recording, config: WorldConfig, out_dir: Path, scene: int | None = None, depth_delay: DepthDelay = "auto",
    references: Sequence[int] = REFERENCES, voxels_m: Sequence[float] = VOXELS_M, clips: int = CLIPS,
) -> dict[str, Any]:
    """Fly on from the first half of a recording and back, and compare with the truth: as it is, and with one thing less or other.

    Memory is made from the first half; the way is along the second (its first WAY frames) and back, inventions entering memory.

    Where a procedural scene's seed is given, the conditions are also taken away one by one over held-out clips of procedural
    scenes with things that move, and the table's first part is that of the clips.

    Returns:
        The figures, as docs/evaluation.md names them; None for a condition the generator does not have.

    Raises:
        SpatiaError: when the recording is too short to go anywhere.
    """
    half = len(sequence) // 2
    if half < 4:
        raise SpatiaError(f"sequence {sequence.name}: expected at least 8 frames, got {len(sequence)}")
    resized, delay_s = prepared(sequence, config, depth_delay, range(half))
    seeds = still_there(sequence, resized, range(half))
    way = still_there(sequence, resized, range(half, len(sequence)))[:WAY]
    # The truth in the exposure of the world that is compared with it, as if the camera had gone on mapping along the way.
    seen = [resized.frame(i) for i in [*seeds, *way]]
    truths = EvenFrames(seen, config.memory)[len(seeds) :]
    fly = partial(_fly, seen[: len(seeds)], truths)
    generator = open_generator(config)
    flown = {"full": fly(config, ())}
    for name in conditions_of(generator):
        flown[f"no_{name}"] = fly(config, (name,))
    by_references = {str(n): fly(_with(config, "generator", references=n), ()) for n in references}
    by_voxel = {f"{v:g}": fly(_with(config, "memory", voxel_m=v), ()) for v in voxels_m}
    names = ["full", *(f"no_{name}" for name in CONDITIONS)]
    flights_db = {name: flown[name].truth_db if name in flown else None for name in names}
    figures: dict[str, Any] = {"sequence": sequence.name, "generator": config.generator.name}
    if scene is None:
        figures |= flights_db | {"conditions_over": "flight"}
    else:
        figures |= ablate_clips(generator, scene, config, clips) | {"conditions_over": "held-out clips", "flight": flights_db}
    figures["references"] = {n: f.truth_db for n, f in by_references.items()}
    figures["voxel_m"] = {v: f.truth_db for v, f in by_voxel.items()}
    figures["closed_loop"] = {name: f.loop_db for name, f in flown.items()} | {
        "references": {n: f.loop_db for n, f in by_references.items()}, "voxel_m": {v: f.loop_db for v, f in by_voxel.items()},
    }
    figures["depth_delay_s"] = round(delay_s, 4)
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    write_bytes(out_dir / "strip.png", encode_png(_strip(dict(zip(way, truths, strict=True)), flown | _worst(by_voxel))))
    return figures


def _with(config: WorldConfig, section: str, **values: object) -> WorldConfig:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})


def _fly(seeds: list[Frame], truths: list[Frame], config: WorldConfig, without: Sequence[str]) -> Flown:
    order = [*truths, *truths[-2::-1]]
    period_ns = round(1e9 / config.frame_rate_hz)
    stamps_ns = seeds[-1].stamp_ns + period_ns * np.arange(1, len(order) + 1, dtype=np.int64)
    path = Trajectory(stamps_ns, np.stack([truth.T_world_cam for truth in order]))
    world = flights.world_of(config, seeds, partial(_deprived, without))
    scores, first, last, kept = [], None, None, []
    shown_at = set(_shown_at(len(truths)))
    name = ", ".join(without) or "full"
    for i, shown in enumerate(tqdm(flights.with_memory(world, path), total=len(path), desc=f"without {name}", unit="frame")):
        scores.append(psnr(shown.rgb, order[i].rgb))
        first, last = shown.rgb if first is None else first, shown.rgb
        if i in shown_at:
            kept.append(shown.rgb)
    if first is None or last is None:
        raise SpatiaError("ablation: expected frames, got none")
    return Flown(mean(scores), known(psnr(first, last)), kept)


def _deprived(without: Sequence[str], generator: Generator) -> Generator:
    return Deprived(generator, without) if without else generator


def ablate_clips(generator: Generator, seed: int, config: WorldConfig, count: int) -> dict[str, Any]:
    """PSNR over held-out clips of procedural scenes, with each condition left out.

    Returns:
        "full" and "no_..." over all clips; "needed": the same, and full, over the clips that cannot be told right without it;
        "clips": how many there are.
    """
    size = (config.camera.width_px, config.camera.height_px)
    groups = held_out_clips(seed, count, size)
    there = conditions_of(generator)
    scores: dict[str, dict[str, list[float]]] = {name: {} for name in ("full", *there)}
    for name, of_group in scores.items():
        told = generator if name == "full" else Deprived(generator, (name,))
        for group, clips in groups.items():
            of_group[group] = [
                psnr(made.rgb, target.rgb)
                for clip in tqdm(clips, desc=f"clips, {group}, {name}", unit="clip")
                for made, target in zip(draw(told, clip, np.random.default_rng(seed)), clip.targets, strict=True)
            ]
    over_all = {name: mean([score for group in of_group.values() for score in group]) for name, of_group in scores.items()}
    figures: dict[str, Any] = {"full": over_all["full"], **{f"no_{name}": over_all.get(name) for name in CONDITIONS}}
    needed = {n: {"full": mean(scores["full"][n]), "without": mean(scores[n][n]) if n in there else None} for n in CONDITIONS}
    return figures | {"needed": needed, "clips": {name: len(clips) for name, clips in groups.items()}}


def _worst(by_voxel: dict[str, Flown]) -> dict[str, Flown]:
    """The coarsest memory, for the strip."""
    return {f"voxel_{name}_m": flown for name, flown in list(by_voxel.items())[-1:]}


def _shown_at(turn: int) -> list[int]:
    """Frames of the way drawn in the strip: on the way out, the last where it turns."""
    return [int(i) for i in np.unique(np.linspace(1, turn - 1, SHOWN).round())]


def _strip(truths: dict[int, Frame], flown: dict[str, Flown]) -> UInt8:
    rows, numbers = [], list(truths)
    for row, i in enumerate(_shown_at(len(truths))):
        truth = truths[numbers[i]].rgb
        pictures = [(f.frames[row], f"{psnr(f.frames[row], truth):.1f} dB") for f in flown.values()]
        rows.append([(truth, f"frame {numbers[i]}"), *pictures])
    return strip(["truth", *(name.replace("_", " ") for name in flown)], rows)

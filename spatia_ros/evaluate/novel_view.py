"""Novel views of a recording: seed memory from some frames, and draw others that it never saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.baselines import BASELINES
from spatia_ros.evaluate.measures import (
    MIN_PIXELS,
    DepthErrors,
    brightened,
    depth_errors,
    gain,
    psnr,
    recoloured,
    ssim,
)
from spatia_ros.evaluate.pictures import strip
from spatia_ros.evaluate.prepare import DepthDelay, prepared, still_there
from spatia_ros.generator import Generator
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import evened
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.sequence import Sequence
from spatia_ros.types import Bool, Float32, Frame, SpatiaError, Trajectory, UInt8
from spatia_ros.world import World, open_generator

METHODS = ("generated", "projection", "telea", "navier_stokes", "no_memory")
COVERAGE = (0.25, 0.9)
"""Targets of the protocol "half" are frames of which memory shows a share within these."""
PICTURES = 6
"""Targets drawn in the strip of pictures, at most."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which frames memory is made from, and which are drawn and compared.

    Args:
        seeds, targets: frame indices; none is both.
        coverage: least and largest share of a target that memory must show for it to count.
    """

    seeds: list[int]
    targets: list[int]
    coverage: tuple[float, float]


def half(frames: int) -> Protocol:
    """Memory from the first half; every third frame of the second half that memory shows in part."""
    return Protocol(list(range(frames // 2)), list(range(frames // 2, frames, 3)), COVERAGE)


def interpolate(frames: int) -> Protocol:
    """Memory from every 8th frame; the frames midway between them."""
    return Protocol(list(range(0, frames, 8)), list(range(4, frames - 4, 8)), (0.0, 1.0))


PROTOCOLS = {"half": half, "interpolate": interpolate}


@dataclass(frozen=True, slots=True)
class Compared:
    """One target, drawn by every method.

    Args:
        index: frame of the recording. truth: uint8 [H, W, 3].
        coverage: bool [H, W], what memory shows before anything is generated ("remembered").
        projection: uint8 [H, W, 3], memory's own picture, 0 where it shows nothing.
        methods: by name, uint8 [H, W, 3]; all gain-compensated alike, like ``projection``.
        depth: float32 [H, W], metres, of the generated frame. true_depth: the same, measured.
    """

    index: int
    truth: UInt8
    coverage: Bool
    projection: UInt8
    methods: dict[str, UInt8]
    depth: Float32
    true_depth: Float32


def evaluate_novel_view(
    sequence: Sequence, config: WorldConfig, out_dir: Path, protocol: str = "half", depth_delay: DepthDelay = "auto"
) -> dict[str, Any]:
    """Draw held-out frames of a recording and score them, beside the baselines and the no-memory control.

    Writes ``figures.json``, ``frames.json`` (the figures of each target), ``strip.png`` and
    ``config.yaml`` to ``out_dir``. Memory never takes in a target nor a generated frame.

    Args:
        sequence: at its own size; it is resized to the config's.
        protocol: "half" or "interpolate".
        depth_delay: seconds, or "auto" (estimated from the seed frames alone).

    Returns:
        The figures, as docs/evaluation.md names them: dB, SSIM and relative depth errors.

    Raises:
        SpatiaError: on an unknown protocol, or when no target qualifies.
    """
    if protocol not in PROTOCOLS:
        raise SpatiaError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    plan = PROTOCOLS[protocol](len(sequence))
    resized, delay_s = prepared(sequence, config, depth_delay, plan.seeds)
    seeds, targets = (still_there(sequence, resized, indices) for indices in (plan.seeds, plan.targets))
    trial = _Trial(config, resized, seeds)
    results = [r for r in (trial.draw(i) for i in tqdm(targets, desc="targets", unit="frame")) if _counts(r, plan)]
    if not results:
        low, high = plan.coverage
        among = f"none of {len(targets)}"
        raise SpatiaError(f"sequence {sequence.name}: expected targets that memory shows {low:.0%} to {high:.0%} of, got {among}")
    figures = {"sequence": sequence.name, "generator": config.generator.name, "protocol": protocol, **summary(results)}
    figures |= {"targets_in_training_half": sum(r.index < len(resized) // 2 for r in results), "depth_delay_s": round(delay_s, 4)}
    write_json(out_dir / "figures.json", figures)
    write_json(out_dir / "frames.json", [{"frame": r.index, **summary([r])} for r in results])
    write_text(out_dir / "config.yaml", dump(config))
    write_bytes(out_dir / "strip.png", encode_png(_strip(results)))
    return figures


def _counts(result: Compared, plan: Protocol) -> bool:
    low, high = plan.coverage
    return low <= float(result.coverage.mean()) <= high


class _Trial:
    """A memory made from the seed frames, and what it takes to draw a target by every method."""

    def __init__(self, config: WorldConfig, sequence: Sequence, seeds: list[int]) -> None:
        self.config, self.sequence, self.seeds = config, sequence, seeds
        self.generator: Generator = open_generator(config)
        self.world = self._world(sequence.frame(i) for i in tqdm(seeds, desc="seeding", unit="frame"))

    def _world(self, frames: Iterable[Frame]) -> World:
        memory = Memory(self.config.memory)
        for frame in frames:
            memory.integrate(evened(frame, memory))
        world = World(self.config, memory, self.generator, self.sequence.camera)
        world.frozen = True  # neither targets nor inventions enter memory
        return world

    def draw(self, index: int) -> Compared:
        """One target by every method."""
        frame = self.sequence.frame(index)
        path = Trajectory(np.array([frame.stamp_ns], np.int64), frame.T_world_cam[None])
        view = self.world.memory.render(frame.camera, frame.T_world_cam, frame.stamp_ns)
        factor = gain(view.rgb, frame.rgb, view.coverage)
        step = self.world.advance(path)
        last_seed = max((i for i in self.seeds if i < index), default=self.seeds[0])
        alone = self._world([self.sequence.frame(last_seed)]).advance(path)
        projection = brightened(view.rgb, factor)
        methods = {"generated": brightened(step.rgb[0], factor)}
        methods |= {name: fill(projection, view.coverage) for name, fill in BASELINES.items()}
        methods["no_memory"] = brightened(alone.rgb[0], factor)
        return Compared(index, frame.rgb, view.coverage, projection, methods, step.depth[0], frame.depth)


def summary(results: list[Compared]) -> dict[str, Any]:
    """The figures of some targets: dB and SSIM as the mean over frames, depth errors pooled over their pixels."""
    regions: dict[str, list[Bool | None]] = {
        "all": [None] * len(results),
        "remembered": [r.coverage for r in results],
        "invented": [~r.coverage for r in results],
    }
    figures: dict[str, Any] = {"frames": len(results)}
    for region, masks in regions.items():
        figures[region] = {
            name: mean([psnr(r.methods[name], r.truth, mask) for r, mask in zip(results, masks, strict=True)]) for name in METHODS
        }
    blank, ours = np.zeros_like(results[0].truth), "generated"
    figures["invented_if_told"] = {
        "mean_colour": mean([psnr(recoloured(blank, r.truth, ~r.coverage), r.truth, ~r.coverage) for r in results]),
        "recoloured": mean([psnr(recoloured(r.methods[ours], r.truth, ~r.coverage), r.truth, ~r.coverage) for r in results]),
    }
    figures["ssim"] = {name: mean([ssim(r.methods[name], r.truth) for r in results]) for name in METHODS}
    nothing = DepthErrors(0, 0.0, 0)
    remembered = sum((depth_errors(r.depth, r.true_depth, r.coverage) for r in results), nothing)
    invented = sum((depth_errors(r.depth, r.true_depth, ~r.coverage) for r in results), nothing)
    figures["depth"] = {
        "absrel_remembered": known(remembered.absrel), "absrel_invented": known(invented.absrel),
        "delta_125_remembered": known(remembered.delta_125), "delta_125_invented": known(invented.delta_125),
    }
    figures["coverage"] = mean([float(r.coverage.mean()) for r in results])
    return figures


def mean(values: list[float]) -> float | None:
    """Mean of the values that are defined; None when none is."""
    defined = [value for value in values if np.isfinite(value)]
    return round(float(np.mean(defined)), 4) if defined else None


def known(value: float) -> float | None:
    """A figure as JSON holds it."""
    return round(value, 5) if np.isfinite(value) else None


def _strip(results: list[Compared]) -> UInt8:
    chosen = np.unique(np.linspace(0, len(results) - 1, PICTURES).round().astype(int))
    columns = ["truth", "memory", "ours", "telea", "navier-stokes", "no memory"]
    names = ("generated", "telea", "navier_stokes", "no_memory")
    rows = []
    for result in (results[i] for i in chosen):
        captions = [f"frame {result.index}", f"{result.coverage.mean():.0%} remembered"]
        captions += [_caption(result, name) for name in names]
        pictures = [result.truth, result.projection, *(result.methods[name] for name in names)]
        rows.append(list(zip(pictures, captions, strict=True)))
    return strip(columns, rows)


def _caption(result: Compared, name: str) -> str:
    every = psnr(result.methods[name], result.truth)
    if (~result.coverage).sum() < MIN_PIXELS:
        return f"{every:.1f} dB"
    return f"{every:.1f} dB, invented {psnr(result.methods[name], result.truth, ~result.coverage):.1f} dB"

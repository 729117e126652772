"""How long a generator's networks take, runtime by runtime: what ``generator.runtime`` is chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from spatia_ros.engine.bundle import INT8, folder_of, read_bundle
from spatia_ros.engine.engines import Call
from spatia_ros.engine.runtimes import open_engines
from spatia_ros.engine.table import FREE, GRAPHS, LATENT_PX, AnyArray, example
from spatia_ros.evaluate.timing import Timing, interleaved

EVERY_FRAME = ("encode", "denoise", "decode")
"""Networks that run for every frame; text and context run when they change."""
Timings = dict[str, dict[str, Timing]]
"""By runtime, then by network."""


def runtimes_here(folder: Path) -> list[str]:
    """The runtimes on the CPU that can run an engine here."""
    found = [name for name in ("torch", "openvino") if find_spec(name) is not None]
    found.append("onnxruntime")
    if INT8 in read_bundle(folder).files:
        found.append("onnxruntime-int8")
    return sorted(found)


def frame_sizes(size: tuple[int, int], context: int) -> dict[str, int]:
    """The table's free sizes for one frame of ``size`` (width, height) with so many context frames."""
    return {
        "frames": 1, "context": max(1, context), "words": FREE["words"].most,
        "rows": -(-size[1] // LATENT_PX), "cols": -(-size[0] // LATENT_PX),
    }  # fmt: skip


def time_engines(
    name: str, size: tuple[int, int], runtimes: Sequence[str], threads: int, context: int, repetitions: int
) -> Timings:
    """Milliseconds of every network of an engine at one frame, runtimes taking turns.

    Args:
        name: of a shipped engine, or a folder. size: width and height, px. context: frames the network looks at.
    """
    folder, rng = folder_of(name), np.random.default_rng(0)
    opened = {runtime: open_engines(name, runtime, threads) for runtime in runtimes}
    sizes = {**frame_sizes(size, context), **read_bundle(folder).sizes}
    inputs: dict[str, dict[str, AnyArray]] = {part: example(graph, sizes, rng) for part, graph in GRAPHS.items()}
    calls: dict[str, Mapping[str, Call]] = {runtime: engines.calls() for runtime, engines in opened.items()}
    timings: Timings = {runtime: {} for runtime in runtimes}
    for part, given in inputs.items():
        work = {runtime: (lambda call=calls[runtime][part], given=given: call(given)) for runtime in runtimes}
        for runtime, timing in interleaved(f"{part}, {size[0]}x{size[1]}", work, repetitions).items():
            timings[runtime][part] = timing
    return timings


def frame_ms(networks: Mapping[str, Timing], steps: int) -> float:
    """Milliseconds of one frame of the generator: what runs for every frame, denoising ``steps`` times."""
    times = {part: steps if part == "denoise" else 1 for part in EVERY_FRAME}
    return sum(times[part] * networks[part].median_ms for part in EVERY_FRAME)


def engine_figures(timings: Timings, size: tuple[int, int], steps: int) -> dict[str, dict[str, float]]:
    """A frame by runtime under its published name, and every network by runtime."""
    name = f"generator_ms_{size[0]}x{size[1]}"
    figures = {name: {runtime: round(frame_ms(networks, steps), 3) for runtime, networks in timings.items()}}
    for part in next(iter(timings.values())):
        figures[f"{name}_{part}"] = {runtime: round(networks[part].median_ms, 3) for runtime, networks in timings.items()}
    return figures

"""What a TensorRT build would do, and what its engines would need and give: said before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import onnx
from pydantic import BaseModel, ConfigDict, Field

from spatia_ros.engine.bundle import FP16, FP32, INT8, Bundle, checked_graph
from spatia_ros.engine.devices import Device
from spatia_ros.engine.table import FREE, GRAPHS, LATENT_PX, Graph, Range, free_axes, shape_of
from spatia_ros.engine.work import Work, work_of

BYTES = {FP32: 4, FP16: 2, INT8: 1}
"""Of a weight. Activations of an int8 engine are float16 between its integer layers."""
REACHED = 0.4
"""Share of the smaller of both limits that is counted on; small networks on GPUs reach about this. An assumption."""
KERNEL_MS, KERNELS = 0.003, 2
"""What a kernel takes at least, also in a CUDA graph, and how many there are for every product. Assumptions."""
CONTEXT_BYTES = 600 << 20
"""What CUDA and TensorRT's libraries take once, roughly, on a Jetson. An assumption."""
FRAME_GRAPHS = ("encode", "denoise", "decode")
"""What runs for every frame; text and context run when they change."""

Profile = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Least, usual and largest shape of every input with free sizes, by name."""


class Options(BaseModel):
    """How engines are to be built.

    Args:
        precision: fp32, fp16, or int8 (with float16 between integer layers).
        width_px, height_px: the frame that is tuned for. most_width_px, most_height_px: the largest that is taken.
        clip: frames a clip has at most; attention over 16 frames of 1280x720 would not fit, so ask for what is used.
        steps: denoising steps a frame.
        workspace_mb: scratch memory the builder may plan with. level: TensorRT's optimisation level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    precision: str = Field(FP16, pattern=f"^({FP32}|{FP16}|{INT8})$")
    width_px: int = Field(256, ge=2 * LATENT_PX, le=4096)
    height_px: int = Field(160, ge=2 * LATENT_PX, le=4096)
    most_width_px: int = Field(1280, ge=2 * LATENT_PX, le=4096)
    most_height_px: int = Field(720, ge=2 * LATENT_PX, le=4096)
    clip: int = Field(1, ge=1, le=64)
    steps: int = Field(2, ge=1, le=64)
    workspace_mb: int = Field(1024, ge=64, le=1 << 17)
    level: int = Field(3, ge=0, le=5)

    def ranges(self) -> dict[str, Range]:
        """The free sizes: the table's, cut to what is asked for."""
        rows, cols = (-(-px // LATENT_PX) for px in (self.height_px, self.width_px))
        most_rows, most_cols = (-(-px // LATENT_PX) for px in (self.most_height_px, self.most_width_px))
        return {
            **FREE,
            "frames": Range(1, 1, self.clip),
            "rows": Range(FREE["rows"].least, rows, max(rows, most_rows)),
            "cols": Range(FREE["cols"].least, cols, max(cols, most_cols)),
        }

    def usual(self) -> dict[str, int]:
        """The free sizes that are tuned for."""
        return {name: size.usual for name, size in self.ranges().items()}


class Part(NamedTuple):
    """One graph of a plan: its profile, its work at the usual size, and the numbers alive at once at the largest."""

    graph: Graph
    profile: Profile
    work: Work
    most_alive: int


def profile_of(graph: Graph, sizes: Mapping[str, int], ranges: Mapping[str, Range]) -> Profile:
    """The optimisation profile of a graph."""
    least, usual, most = ({name: getattr(size, word) for name, size in ranges.items()} for word in Range._fields)
    return {
        port.name: (shape_of(port, {**least, **sizes}), shape_of(port, {**usual, **sizes}), shape_of(port, {**most, **sizes}))
        for port in graph.inputs if free_axes(port, sizes)
    }  # fmt: skip


def parts_of(folder: Path, bundle: Bundle, options: Options) -> list[Part]:
    """The plan of all graphs of an engine.

    Raises:
        SpatiaError: when a graph is not what the manifest names.
    """
    ranges, usual, parts = options.ranges(), options.usual(), []
    most = {name: size.most for name, size in ranges.items()}
    for name, graph in GRAPHS.items():
        model = onnx.load(str(checked_graph(folder, bundle, FP32, name)), load_external_data=False)
        work = work_of(model, graph, {**usual, **bundle.sizes})
        alive = work_of(model, graph, {**most, **bundle.sizes}).peak
        parts.append(Part(graph, profile_of(graph, bundle.sizes, ranges), work, alive))
    return parts


class Estimate(NamedTuple):
    """One run of a graph on a device, ms: what its products, its traffic and its kernels need, and what is counted on."""

    compute_ms: float
    memory_ms: float
    kernels_ms: float
    expected_ms: float


def estimate(work: Work, device: Device, precision: str) -> Estimate:
    """What a run should take: the larger of both limits at the share that is counted on, and its kernels."""
    rate = {FP32: device.fp16_tflops / 4, FP16: device.fp16_tflops, INT8: device.int8_tops}[precision]
    moved = BYTES[precision] * work.weights + max(BYTES[precision], 2) * (work.moved - work.weights)
    compute, memory = work.flops / rate / 1e9, moved / device.bandwidth_gbps / 1e6
    kernels = KERNELS * work.products * KERNEL_MS
    return Estimate(compute, memory, kernels, max(compute, memory) / REACHED + kernels)


def memory_bytes(parts: list[Part], precision: str, workspace_mb: int) -> dict[str, int]:
    """What engines take on a device: weights, activations (the largest graph's), scratch, libraries."""
    return {
        "weights": BYTES[precision] * sum(part.work.weights for part in parts),
        "activations": max(BYTES[precision], 2) * max(part.most_alive for part in parts),
        "workspace at most": workspace_mb << 20,
        "CUDA and TensorRT": CONTEXT_BYTES,
    }


def device_lines(parts: list[Part], device: Device, options: Options) -> list[str]:
    """The plan for a device, the arithmetic shown."""
    precision, total = options.precision, 0.0
    peak = device.int8_tops if precision == INT8 else device.fp16_tflops / (4 if precision == FP32 else 1)
    lines = [
        f"{device.title}, {precision}, frames of {options.width_px}x{options.height_px}, {options.steps} denoising steps a frame",
        f"  {device.fp16_tflops:.1f} dense float16 TFLOP/s ({device.arithmetic}); "
        f"{peak:.1f} in {precision}; {device.bandwidth_gbps:.0f} GB/s",
    ]
    for part in parts:
        work, found = part.work, estimate(part.work, device, precision)
        times = options.steps if part.graph.name == "denoise" else 1
        counted = part.graph.name in FRAME_GRAPHS
        total += times * found.expected_ms if counted else 0.0
        lines.append(
            f"  {part.graph.name:<8} {work.flops / 1e9:8.3f} GFLOP / {peak:.1f} T/s = {found.compute_ms:7.3f} ms, "
            f"traffic / {device.bandwidth_gbps:.0f} GB/s = {found.memory_ms:7.3f} ms; larger / {REACHED} "
            f"+ {found.kernels_ms:.3f} ms of kernels = {found.expected_ms:7.3f} ms"
            f"{f' x {times}' if times > 1 else ''}{'' if counted else ' (when it changes)'}"
        )
    lines.append(f"  a frame: {total:.2f} ms, {1e3 / total:.0f} frames a second of generation (estimated, not measured)")
    needs = memory_bytes(parts, precision, options.workspace_mb)
    amounts = " + ".join(f"{name} {amount / 1e6:.0f}" for name, amount in needs.items())
    share = sum(needs.values()) / (device.memory_gb * 1e9)
    kind = "shared with the CPU" if device.shared else "of its own"
    lines.append(f"  memory: {amounts} = {sum(needs.values()) / 1e6:.0f} MB, {share:.1%} of {device.memory_gb:.0f} GB {kind}")
    return lines

"""The generator's networks on a GPU: each path held against torch on the CPU, and how near they come to the card's limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spatia_ros.engine.bundle import Bundle, folder_of, read_bundle
from spatia_ros.engine.cuda_graph import CapturedFunction, record_on_cuda
from spatia_ros.engine.engines import Call
from spatia_ros.engine.table import GRAPHS, LATENT_PX, AnyArray, example
from spatia_ros.engine.torch_engine import halve_products, torch_calls
from spatia_ros.generator import cost
from spatia_ros.generator.network import ModelConfig, SpaceTimeNet
from spatia_ros.types import SpatiaError

ROUNDS = 11
TOLERANCE, HALF_TOLERANCE = 1e-2, 5e-2
"""Largest difference of an output, relative to 1 or to itself if that is more: a GPU multiplies in TF32, or in float16."""
CONTEXT = 5
CALL_ROUNDS = 3
"""Recordings begin at the first call, so the table's times leave out so many."""


Paths = dict[str, tuple[Call, float]]
"""Ways to run one network, with what each may differ by."""


class Row(NamedTuple):
    """One line of the table: a path beside its twin on the CPU."""

    name: str
    values: int
    differing: float
    allowed: float
    cpu_ms: float
    device_ms: float

    @property
    def good(self) -> bool:
        """Whether no more values differ than may."""
        return self.differing <= self.allowed


class Speed(NamedTuple):
    """One size of the network at one size of the image.

    Args:
        eager_ms, graph_ms: a frame with every kernel launched by itself, and replayed from a CUDA graph.
        flops_share, bandwidth_share: of what the card was measured to do, in the replayed frame.
    """

    name: str
    eager_ms: float
    graph_ms: float
    flops_share: float
    bandwidth_share: float


def synchronised(device: str) -> None:
    """Wait until the device has done what it was asked."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def median_ms(function: Callable[[], object], device: str) -> float:
    """Median milliseconds of a run, the device's queue emptied each time."""
    laps = []
    for _ in range(CALL_ROUNDS + ROUNDS):
        start = time.perf_counter()
        function()
        synchronised(device)
        laps.append((time.perf_counter() - start) * 1e3)
    return float(np.median(laps[CALL_ROUNDS:]))


def compared(name: str, truth: Call, paths: Paths, inputs: dict[str, AnyArray], device: str) -> list[Row]:
    """Every path of one network beside its twin on the CPU."""
    expected, cpu_ms = truth(inputs), median_ms(lambda: truth(inputs), "cpu")
    rows = []
    for path, (call, tolerance) in paths.items():
        got = call(inputs)
        wrong = sum(int((np.abs(a - got[k]) > tolerance * np.maximum(np.abs(a), 1.0)).sum()) for k, a in expected.items())
        values = sum(a.size for a in expected.values())
        rows.append(Row(f"{name} {path}", values, wrong / values, 0.0, cpu_ms, median_ms(lambda call=call: call(inputs), device)))
    return rows


def network_rows(name: str, device: str, sizes: list[tuple[int, int]]) -> Iterator[Row]:
    """Every path of an engine's networks on the device, at sizes (width, height)."""
    folder = folder_of(name)
    rng = np.random.default_rng(0)
    from spatia_ros.engine.ship import load_network

    bundle = read_bundle(folder)
    truths = torch_calls(load_network(folder), list(GRAPHS.values()), torch.device("cpu"))
    paths = engine_paths(name, bundle, load_network(folder), device)
    for width, height in sizes:
        free = {"frames": 1, "context": CONTEXT, "words": 16, "rows": height // LATENT_PX, "cols": width // LATENT_PX}
        for part, graph in GRAPHS.items():
            inputs = example(graph, {**bundle.sizes, **free}, rng)
            calls = {path: (calls[part], tolerance) for path, (calls, tolerance) in paths.items()}
            yield from compared(f"{part} {width}x{height}", truths[part], calls, inputs, device)


def engine_paths(name: str, bundle: Bundle, network: nn.Module, device: str) -> dict[str, tuple[dict[str, Call], float]]:
    """The ways an engine can run on the device, with what each may differ by."""
    from spatia_ros.engine.onnx_runtime import has_cuda
    from spatia_ros.engine.runtimes import open_engines

    graphs, there = list(GRAPHS.values()), torch.device(device)
    paths: dict[str, tuple[dict[str, Call], float]] = {
        "torch eager": (dict(torch_calls(network, graphs, there, capture=False)), TOLERANCE)
    }
    if device != "cpu":
        paths["torch CUDA graph"] = dict(torch_calls(network, graphs, there)), TOLERANCE
        paths["torch half, graph"] = dict(torch_calls(deepcopy(network), graphs, there, half=True)), HALF_TOLERANCE
    if device != "cpu" and has_cuda():
        paths["ONNX Runtime"] = open_engines(name, "onnxruntime").calls(), TOLERANCE
    try:
        paths["TensorRT"] = open_engines(name, "tensorrt").calls(), HALF_TOLERANCE
    except SpatiaError as error:
        print(f"TensorRT left out ({bundle.name}): {error}")
    return paths


def frame_function(network: SpaceTimeNet, steps: int, half: bool) -> Callable[..., tuple[Tensor, ...]]:
    """One frame of the generator as a function of tensors: encode, ``steps`` times denoise, decode."""

    def frame(frames: Tensor, image: Tensor, to_view: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        with torch.inference_mode(), torch.autocast(frames.device.type, torch.float16, enabled=half):
            z, flow_time, _, uncovered, rays, seconds, animation, text, keys, values = told
            memory = network.encode(frames).float()[None]
            for _ in range(steps):
                z = network.denoise(z, flow_time, memory, uncovered, rays, seconds, animation, text, keys, values).float()
            return (network.decode(z[0], image, to_view).float(),)

    return frame


def frame_inputs(config: ModelConfig, width: int, height: int, device: str) -> tuple[Tensor, ...]:
    """What a frame is a function of, random."""
    from spatia_ros.engine.ship import sizes_of

    free = {"frames": 1, "context": CONTEXT, "words": 16, "rows": height // LATENT_PX, "cols": width // LATENT_PX}
    sizes, rng = {**sizes_of(config), **free}, np.random.default_rng(0)
    encode, denoise, decode = (example(GRAPHS[part], sizes, rng) for part in ("encode", "denoise", "decode"))
    arrays = [encode["frames"], decode["image"], decode["to_view"], *denoise.values()]
    return tuple(torch.from_numpy(array).to(device) for array in arrays)


def speed(name: str, config: ModelConfig, size: tuple[int, int], device: str, steps: int, limits: tuple[float, float]) -> Speed:
    """How long a frame takes with random weights, and what share of the card that is.

    Args:
        size: width and height, px. limits: TFLOP/s and GB/s the card was measured to do.
    """
    network = SpaceTimeNet(config).eval().requires_grad_(False).to(device)
    on_gpu = device != "cpu"
    if on_gpu:
        halve_products(network)
    function, inputs = frame_function(network, steps, on_gpu), frame_inputs(config, *size, device)
    eager = median_ms(lambda: function(*inputs), device)
    replayed = CapturedFunction(function, record_on_cuda) if on_gpu else function
    graph = median_ms(lambda: replayed(*inputs), device)
    width, height = size
    flops = cost.encode(config, height, width) + cost.decode(config, height, width)
    flops += steps * cost.denoise(config, height, width, 1, CONTEXT, 16)
    moved = 2 * sum(parameter.numel() for parameter in network.parameters())
    return Speed(
        f"{name} {width}x{height}", eager, graph, flops / graph / 1e9 / limits[0], moved / graph / 1e6 / limits[1]
    )


def card_limits(device: str, side: int = 8192) -> tuple[float, float]:
    """What a card does: dense float16 TFLOP/s of a large product, and GB/s of a large copy (read and written)."""
    dtype = torch.float32 if device == "cpu" else torch.float16
    a = torch.randn(side, side, device=device, dtype=dtype)
    product_ms = median_ms(lambda: a @ a, device)
    copy_ms = median_ms(lambda: a.clone(), device)
    return 2 * side**3 / product_ms / 1e9, 2 * a.numel() * a.element_size() / copy_ms / 1e6


def speed_table(rows: list[Speed]) -> str:
    """The speeds as text."""
    lines = [f"{'one frame':<18}{'eager ms':>10}{'graph ms':>10}{'frames/s':>10}{'of FLOPs':>10}{'of GB/s':>10}"]
    for r in rows:
        times = f"{r.eager_ms:>10.2f}{r.graph_ms:>10.2f}{1e3 / r.graph_ms:>10.1f}"
        lines.append(f"{r.name:<18}{times}{r.flops_share:>10.1%}{r.bandwidth_share:>10.1%}")
    return "\n".join(lines)

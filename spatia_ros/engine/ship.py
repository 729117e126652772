"""From a trained network to an engine folder of format 3, with every runtime's answer checked against torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from safetensors.torch import load_file
from torch import nn

from spatia_ros.engine.bundle import (
    FORMAT,
    FP16,
    FP32,
    INT8,
    WEIGHTS,
    Bundle,
    checked_file,
    checked_graph,
    describe,
    read_bundle,
    write_bundle,
)
from spatia_ros.engine.calibration import Batches, split
from spatia_ros.engine.compare import Difference, difference, examples
from spatia_ros.engine.onnx_export import graph_model, halves, write_graphs
from spatia_ros.engine.onnx_runtime import OnnxRuntimeEngine
from spatia_ros.engine.quantise import quantised
from spatia_ros.engine.table import GRAPHS
from spatia_ros.engine.torch_engine import TorchEngine
from spatia_ros.generator.network import ModelConfig, SpaceTimeNet, graphs
from spatia_ros.types import SpatiaError

FP32_TOLERANCE = 1e-3
"""Largest difference between torch and ONNX Runtime in float32 that is let pass, in the outputs' own units."""
FP16_LEAST_DB = 40.0
"""Lowest PSNR of float16 against torch in float32 that is let pass."""


def sizes_of(config: ModelConfig) -> dict[str, int]:
    """What the table calls a model's sizes."""
    head = config.width // config.heads
    return {"channels": config.latent, "width": config.width, "depth": config.depth, "heads": config.heads, "head": head}


def ship(
    network: SpaceTimeNet, folder: Path, name: str, command: str, steps: int, figures: Mapping[str, Any],
    precisions: Sequence[str] = (FP32,),
) -> Bundle:  # fmt: skip
    """Leave ``folder`` holding the graphs, weights and manifest of a network.

    Args:
        network: on the CPU, float32.
        command, steps: how it was trained. figures: what was measured.
        precisions: ``fp32`` and, if wanted, ``fp16``; TensorRT's builder makes the latter itself where it is missing.

    Raises:
        SpatiaError: when ONNX Runtime does not compute what torch computes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sizes, parts = sizes_of(network.config), graphs(network.eval())
    models = {part: graph_model(parts[part], graph, sizes, folder / "traced.partial") for part, graph in GRAPHS.items()}
    (folder / "traced.partial").unlink()
    written = {}
    if FP16 in precisions:
        written[FP16] = write_graphs(halves(models), folder, FP16)
    state = {key: value.contiguous().numpy() for key, value in network.state_dict().items()}
    written[FP32] = write_graphs(models, folder, FP32, state)
    measured = {precision: check(parts, sizes, paths, precision, folder) for precision, paths in sorted(written.items())}
    bundle = Bundle(
        format=FORMAT, name=name, network=network.config.as_dict(), sizes=sizes, command=command, steps=steps,
        files={precision: {part: describe(path) for part, path in paths.items()} for precision, paths in written.items()},
        # int8 graphs, where there were any, were made of other graphs than these
        figures={**{name: value for name, value in figures.items() if name != "int8_against_fp32"}, "against_torch": measured},
    )
    write_bundle(folder, bundle)
    return bundle


def check(
    parts: Mapping[str, nn.Module], sizes: Mapping[str, int], paths: Mapping[str, Path], precision: str, folder: Path
) -> dict[str, dict[str, float]]:
    """Hold written graphs against torch; returns, by graph, the largest difference and the PSNR.

    Raises:
        SpatiaError: when they differ by more than they may.
    """
    found = {}
    for part, graph in GRAPHS.items():
        truth, other = TorchEngine(parts[part], graph), OnnxRuntimeEngine(paths[part], 1, graph=graph)
        off = difference(truth, other, examples(graph, sizes))
        _refuse(off, precision, f"export {folder}: {part}")
        found[part] = {"largest_difference": off.largest, "psnr_db": off.psnr_db}
    return found


def _refuse(off: Difference, precision: str, what: str) -> None:
    if precision == FP32 and not off.largest <= FP32_TOLERANCE:
        raise SpatiaError(f"{what}: expected ONNX Runtime within {FP32_TOLERANCE} of torch, got {off.largest:.3g}")
    if precision != FP32 and not off.psnr_db >= FP16_LEAST_DB:
        raise SpatiaError(f"{what}: expected {precision} at {FP16_LEAST_DB} dB of torch at least, got {off.psnr_db:.1f}")


def add_int8(folder: Path, batches: Batches) -> dict[str, dict[str, float]]:
    """Add int8 graphs for ONNX Runtime to an engine folder; returns, by graph, their PSNR against float32.

    Args:
        batches: recorded inputs; some are held back to measure with.
    """
    bundle, (used, held) = read_bundle(folder), split(batches)
    checked_file(folder, bundle, FP32, WEIGHTS)
    plain = {part: checked_graph(folder, bundle, FP32, part) for part in GRAPHS}
    models = {part: onnx.load(str(path)) for part, path in plain.items()}
    # The text encoder is a look-up and a few small products: nothing to win.
    models |= {part: quantised(models[part], used[part], symmetric=False) for part in GRAPHS if part != "text"}
    paths = write_graphs(models, folder, INT8)
    measured = {}
    for part, graph in GRAPHS.items():
        truth, other = OnnxRuntimeEngine(plain[part], 1, graph=graph), OnnxRuntimeEngine(paths[part], 1, graph=graph)
        off = difference(truth, other, held[part])
        measured[part] = {"largest_difference": off.largest, "psnr_db": off.psnr_db}
    files = {**bundle.files, INT8: {part: describe(path) for part, path in paths.items()}}
    write_bundle(folder, bundle.model_copy(update={"files": files, "figures": {**bundle.figures, "int8_against_fp32": measured}}))
    return measured


def load_network(folder: Path) -> SpaceTimeNet:
    """The torch network of an engine folder of format 3.

    Raises:
        SpatiaError: when the weights are not those the manifest names, or not this network's.
    """
    bundle = read_bundle(folder)
    network = SpaceTimeNet(ModelConfig.from_dict(bundle.network))
    own = network.state_dict()
    weights = {key: value for key, value in load_file(checked_file(folder, bundle, FP32, WEIGHTS)).items() if key in own}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise SpatiaError(f"engine {folder}: expected the weights of its network, got others: {first}") from None
    return network.eval().requires_grad_(False)


def ship_again(folder: Path, precisions: Sequence[str]) -> Bundle:
    """Write the graphs of an engine folder anew from its weights (after a change of opset, table or network code)."""
    old = read_bundle(folder)
    network = load_network(folder)
    return ship(network, folder, old.name, old.command, old.steps, old.figures, precisions)


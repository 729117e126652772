"""From a training run to a shipped engine: safetensors, ONNX and manifest, checked against each other."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file

from spatia_ros.engine.manifest import FORMAT, MANIFEST, Manifest, read_manifest, sha256
from spatia_ros.engine.onnx_runtime import OnnxRuntimeEngine
from spatia_ros.engine.table import INPUTS, OUTPUTS, Port
from spatia_ros.engine.torch_engine import TorchEngine
from spatia_ros.generator.model import FillNet, FillNetConfig
from spatia_ros.types import Float32, SpatiaError

OPSET = 18
TOLERANCE = 2e-3
"""Largest difference between torch and ONNX Runtime, in the network's output units, that is let pass."""


def example_inputs(rng: np.random.Generator, height: int = 96, width: int = 160, references: int = 2) -> dict[str, Float32]:
    """Random inputs of the right shapes."""
    sizes = {"batch": 1, "height": height, "width": width, "references": references}
    shapes = {p.name: [sizes[s] if isinstance(s, str) else s for s in p.shape] for p in INPUTS}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def _free_axes(port: Port) -> dict[int, str]:
    return {i: size for i, size in enumerate(port.shape) if isinstance(size, str)}


def write_onnx(network: FillNet, path: Path, weights: Path) -> None:
    """Write a network as ONNX with the names and free sizes of :mod:`.table`, whole or not at all.

    The graph holds no weights of its own: its tensors are external data inside the safetensors
    file beside it, so an engine folder carries every number once.
    """
    inputs = example_inputs(np.random.default_rng(0))
    partial = path.with_name(path.name + ".partial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shape assertions are traced as constants, which is what they are
        torch.onnx.export(
            network.eval(), tuple(torch.from_numpy(inputs[p.name]) for p in INPUTS), str(partial), opset_version=OPSET,
            input_names=[p.name for p in INPUTS], output_names=[p.name for p in OUTPUTS],
            dynamic_axes={p.name: _free_axes(p) for p in (*INPUTS, *OUTPUTS)}, dynamo=False, do_constant_folding=False,
        )
    model = onnx.load(str(partial))
    _point_into(model, weights, {name: tuple(value.shape) for name, value in network.state_dict().items()})
    onnx.save(model, str(partial))
    onnx.checker.check_model(str(partial))
    os.replace(partial, path)


def _point_into(model: onnx.ModelProto, weights: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Replace the data of a graph's tensors by references into a safetensors file.

    A safetensors file is 8 bytes header length, the header as JSON with the offsets of every
    tensor, and the tensors.
    """
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    for tensor in model.graph.initializer:
        if tensor.name not in header:
            continue
        if tuple(tensor.dims) != shapes[tensor.name]:
            raise SpatiaError(f"export: tensor {tensor.name}: expected {shapes[tensor.name]}, the graph has {tuple(tensor.dims)}")
        begin, end = header[tensor.name]["data_offsets"]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", 8 + length + begin), ("length", end - begin)):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)


def largest_difference(network: FillNet, path: Path) -> float:
    """Largest absolute difference between torch and ONNX Runtime over a few sizes."""
    engine, twin, worst = OnnxRuntimeEngine(path, 2), TorchEngine(network), 0.0
    rng = np.random.default_rng(1)
    for height, width, references in ((96, 160, 2), (192, 320, 2), (160, 256, 1)):
        inputs = example_inputs(rng, height, width, references)
        worst = max(worst, float(np.abs(engine(inputs)["change"] - twin(inputs)["change"]).max()))
    return worst


def export(network: FillNet, folder: Path, name: str, command: str, steps: int, figures: dict[str, Any]) -> Manifest:
    """Leave ``folder`` holding weights.safetensors, network.onnx and manifest.json of a network.

    Raises:
        SpatiaError: when ONNX Runtime does not compute what torch computes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx_path, weights_path = folder / "network.onnx", folder / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, weights_path)
    write_onnx(network, onnx_path, weights_path)
    difference = largest_difference(network, onnx_path)
    if difference > TOLERANCE:
        raise SpatiaError(f"export {folder}: expected ONNX Runtime within {TOLERANCE} of torch, got {difference:.3g}")
    manifest = Manifest(
        format=FORMAT, name=name, network=network.config.as_dict(), onnx=onnx_path.name, onnx_sha256=sha256(onnx_path),
        weights=weights_path.name, weights_sha256=sha256(weights_path), command=command, steps=steps,
        figures=figures | {"largest_difference_onnx_torch": difference},
    )
    partial = folder / (MANIFEST + ".partial")
    partial.write_text(json.dumps(manifest.model_dump(), indent=1) + "\n")
    os.replace(partial, folder / MANIFEST)
    return manifest


def load_network(folder: Path) -> FillNet:
    """The torch network of an engine folder.

    Raises:
        SpatiaError: when the weights are not those the manifest names.
    """
    manifest = read_manifest(folder)
    weights = folder / Path(manifest.weights).name
    if not weights.is_file() or sha256(weights) != manifest.weights_sha256:
        raise SpatiaError(f"engine {weights}: expected the weights its manifest names (sha256 {manifest.weights_sha256[:12]}...)")
    config = manifest.network
    network = FillNet(FillNetConfig(tuple(config["widths"]), tuple(config["blocks"]), config["heads"]))
    network.load_state_dict(load_file(weights))
    return network.eval()


def export_again(folder: Path) -> Manifest:
    """Write the ONNX of an engine folder anew from its weights (after a change of opset or table)."""
    old = read_manifest(folder)
    return export(load_network(folder), folder, old.name, old.command, old.steps, old.figures)

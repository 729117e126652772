"""From a network to ONNX graphs: one a part, free sizes by the table's names, weights in one file beside them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from spatia_ros.engine import table
from spatia_ros.engine.bundle import FP32, WEIGHTS
from spatia_ros.engine.fold import fold_constants
from spatia_ros.engine.half import check_types, to_half
from spatia_ros.engine.weights_file import gather, point_into

EMPTY: Mapping[str, table.AnyArray] = {}
OPSET = 18
"""ONNX Runtime runs pooling blocked up to here; the dilations that opset 19 gave it cost a box filter of 9 px 40 ms a frame."""
TRACED = {"frames": 2, "context": 3, "words": 4, "rows": 6, "cols": 5}
"""Free sizes a network is traced with: all different, so that none is mistaken for another."""


def graph_model(network: nn.Module, graph: table.Graph, sizes: Mapping[str, int], path: Path) -> onnx.ModelProto:
    """One part of a network as ONNX, weights inside; ``path`` is written and read on the way.

    Args:
        network: a module that takes the graph's inputs in the table's order.
        sizes: what the model fixes.
    """
    inputs = table.example(graph, {**TRACED, **sizes}, np.random.default_rng(0))
    axes = {port.name: table.free_axes(port, sizes) for port in graph.ports}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # shape assertions are traced as constants, which is what they are
        torch.onnx.export(
            network.eval(), tuple(torch.from_numpy(inputs[p.name]) for p in graph.inputs), str(path), opset_version=OPSET,
            input_names=[p.name for p in graph.inputs], output_names=[p.name for p in graph.outputs],
            dynamic_axes={name: free for name, free in axes.items() if free}, dynamo=False, do_constant_folding=False,
        )
    model = onnx.load(str(path))
    fold_constants(model)
    check_types(model)
    return model


def write_graphs(
    models: Mapping[str, onnx.ModelProto], folder: Path, precision: str, state: Mapping[str, table.AnyArray] = EMPTY,
) -> dict[str, Path]:  # fmt: skip
    """Write graphs and one safetensors file with their weights, every number once; returns the paths by part.

    Args:
        models: weights inside; they point into the file afterwards.
        state: a network's own arrays, written under their own names, for torch to load.
    """
    suffix = "" if precision == FP32 else f".{precision}"
    paths = {WEIGHTS: folder / f"{WEIGHTS}{suffix}.safetensors"}
    names = gather(models, paths[WEIGHTS], state)
    for name, model in models.items():
        paths[name] = folder / f"{name}{suffix}.onnx"
        point_into(model, paths[WEIGHTS], names[name])
        onnx.save(model, str(paths[name]))
        onnx.checker.check_model(str(paths[name]))
    return paths


def halves(models: Mapping[str, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """The float16 twins of graphs whose weights are loaded."""
    return {name: to_half(model) for name, model in models.items()}

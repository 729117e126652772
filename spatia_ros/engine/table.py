"""The one table of what goes into and comes out of the generator's networks.

Export, runtimes, TensorRT profiles, calibration and tests all read it. A size is a number, the name
of a size, or a sum or product of both (``16*rows``, ``channels+1``). Some names are fixed by the
model (``channels``: they are numbers in an exported graph), the others are free at run time within
:data:`FREE`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spatia_ros.generator.image import INPUT_CHANNELS
from spatia_ros.generator.rays import RAY_CHANNELS
from spatia_ros.types import SpatiaError

AnyArray = npt.NDArray[Any]
Size = int | str
CONTEXT_ROWS, CONTEXT_COLS = 5, 8
"""Latent rows and columns of a context frame (80x128 pixels)."""
FRAME_CHANNELS = 5
"""Colour 3, log-depth 1, known 1."""
LATENT_PX = 16


class Port(NamedTuple):
    """One named array of a graph."""

    name: str
    shape: tuple[Size, ...]
    dtype: str = "float32"


class Graph(NamedTuple):
    """One network: what it is called, what it takes and what it gives."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def ports(self) -> tuple[Port, ...]:
        """Inputs, then outputs."""
        return (*self.inputs, *self.outputs)


class Range(NamedTuple):
    """What a free size may be, and what it usually is."""

    least: int
    usual: int
    most: int


FREE = {
    "frames": Range(1, 1, 16),
    "context": Range(1, 5, 9),
    "words": Range(1, 16, 16),
    "rows": Range(2, 10, 45),
    "cols": Range(2, 16, 80),
}
"""Sizes free at run time: frames of a clip, context frames, words of a prompt, rows and columns of latents (16 px each)."""
MODEL = ("channels", "width", "depth", "heads", "head")
"""Sizes a model fixes: latent channels, width of a text token, layers with keys and values, heads, width of a head."""

_TOKENS = f"{CONTEXT_ROWS * CONTEXT_COLS}*context"
_KEYS = (1, "depth", "heads", _TOKENS, "head")

ENCODE = Graph(
    "encode",
    (Port("frames", ("frames", FRAME_CHANNELS, f"{LATENT_PX}*rows", f"{LATENT_PX}*cols")),),
    (Port("latents", ("frames", "channels", "rows", "cols")),),
)
TEXT = Graph(
    "text",
    (Port("tokens", (1, "words"), "int64"),),
    (Port("text", (1, "words", "width")),),
)
CONTEXT = Graph(
    "context",
    (
        Port("latents", (1, "context", "channels+1", CONTEXT_ROWS, CONTEXT_COLS)),
        Port("rays", (1, "context", RAY_CHANNELS, CONTEXT_ROWS, CONTEXT_COLS)),
        Port("time", (1, "context")),
        Port("animation", (1, "context")),
    ),
    (Port("keys", _KEYS), Port("values", _KEYS)),
)
DENOISE = Graph(
    "denoise",
    (
        Port("z", (1, "frames", "channels+1", "rows", "cols")),
        Port("flow_time", (1,)),
        Port("memory", (1, "frames", "channels", "rows", "cols")),
        Port("uncovered", (1, "frames", 1, "rows", "cols")),
        Port("rays", (1, "frames", RAY_CHANNELS, "rows", "cols")),
        Port("time", (1, "frames")),
        Port("animation", (1, "frames")),
        Port("text", (1, "words", "width")),
        Port("keys", _KEYS),
        Port("values", _KEYS),
    ),
    (Port("z0", (1, "frames", "channels+1", "rows", "cols")),),
)
DECODE = Graph(
    "decode",
    (
        Port("z", ("frames", "channels+1", "rows", "cols")),
        Port("image", ("frames", INPUT_CHANNELS, f"{LATENT_PX}*rows", f"{LATENT_PX}*cols")),
        Port("to_view", ("frames", 5)),
    ),
    (Port("change", ("frames", FRAME_CHANNELS, f"{LATENT_PX}*rows", f"{LATENT_PX}*cols")),),
)
GRAPHS = {graph.name: graph for graph in (ENCODE, TEXT, CONTEXT, DENOISE, DECODE)}
"""The generator's networks, in the order they run."""


def names_in(size: Size) -> list[str]:
    """The names a size is made of."""
    return re.findall(r"[a-z]+", size) if isinstance(size, str) else []


def value_of(size: Size, sizes: Mapping[str, int]) -> int:
    """A size as a number: a sum of products of numbers and names.

    Raises:
        SpatiaError: when ``sizes`` lacks a name.
    """
    if isinstance(size, int):
        return size
    total = 0
    for term in size.split("+"):
        product = 1
        for factor in term.split("*"):
            if not factor.isdigit() and factor not in sizes:
                raise SpatiaError(f"size {size!r}: expected a value of {factor!r}, got only {sorted(sizes)}")
            product *= int(factor) if factor.isdigit() else sizes[factor]
        total += product
    return total


def shape_of(port: Port, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of a port as numbers."""
    return tuple(value_of(size, sizes) for size in port.shape)


def free_axes(port: Port, fixed: Mapping[str, int]) -> dict[int, str]:
    """The axes of a port that stay free once ``fixed`` sizes are known, with what they are called."""
    return {axis: str(size) for axis, size in enumerate(port.shape) if any(name not in fixed for name in names_in(size))}


def example(graph: Graph, sizes: Mapping[str, int], rng: np.random.Generator) -> dict[str, AnyArray]:
    """Random inputs of a graph: standard normal; whole numbers are 0 or 1; flow time and coverage lie in 0..1."""
    inputs: dict[str, AnyArray] = {}
    for port in graph.inputs:
        shape = shape_of(port, sizes)
        if port.dtype == "int64":
            inputs[port.name] = rng.integers(0, 2, shape, np.int64)
        elif port.name in ("flow_time", "uncovered"):
            inputs[port.name] = rng.uniform(0.05, 0.95, shape).astype(np.float32)
        else:
            inputs[port.name] = rng.standard_normal(shape, np.float32)
    return inputs


def check_inputs(graph: Graph, inputs: Mapping[str, AnyArray], fixed: Mapping[str, int]) -> dict[str, int]:
    """Hold inputs against the table; returns the sizes they have.

    A free size is read where it stands alone, and every other use of it must agree.

    Raises:
        SpatiaError: naming the array, what was expected and what was got.
    """
    wanted = [port.name for port in graph.inputs]
    if set(inputs) != set(wanted):
        raise SpatiaError(f"{graph.name}: expected inputs {wanted}, got {sorted(inputs)}")
    sizes = dict(fixed)
    for port in graph.inputs:
        for size, got in zip(port.shape, inputs[port.name].shape, strict=False):
            if isinstance(size, str) and size.isalpha():
                sizes.setdefault(size, got)
    for port in graph.inputs:
        for size, got in zip(port.shape, inputs[port.name].shape, strict=False):
            _solve(size, got, sizes)
    for port in graph.inputs:
        array = inputs[port.name]
        shape = shape_of(port, sizes)
        if array.shape != shape or array.dtype != np.dtype(port.dtype):
            raise SpatiaError(
                f"{graph.name}: {port.name}: expected {port.dtype} {list(port.shape)} = {list(shape)}, "
                f"got {array.dtype} {list(array.shape)}"
            )
    return sizes


def _solve(size: Size, got: int, sizes: dict[str, int]) -> None:
    """Learn the one unknown name of a product such as ``40*context`` from what was got."""
    unknown = [name for name in names_in(size) if name not in sizes]
    if isinstance(size, str) and len(unknown) == 1 and "+" not in size:
        factor = value_of(size, sizes | {unknown[0]: 1})
        sizes[unknown[0]] = got // factor

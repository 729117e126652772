"""The generator's networks as callables of one signature, whatever runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from spatia_ros.engine.table import AnyArray
from spatia_ros.types import Float32

Call = Callable[[Mapping[str, AnyArray]], dict[str, Float32]]
"""Arrays by the names of :mod:`.table` in, arrays by name out."""


class Engines(NamedTuple):
    """The five networks of one generator, opened by one runtime.

    Args:
        encode, text, context, denoise, decode: the networks, see :mod:`.table`.
        sizes: what the model fixes (latent channels, width of a text token, ...).
        runtime: what runs them: ``torch``, ``onnxruntime``, ``onnxruntime-int8``, ``openvino`` or ``tensorrt``.
        sha256: of the weights they were opened with.
    """

    encode: Call
    text: Call
    context: Call
    denoise: Call
    decode: Call
    sizes: Mapping[str, int]
    runtime: str = ""
    sha256: str = ""

    def calls(self) -> dict[str, Call]:
        """The networks by the names of :data:`~spatia_ros.engine.table.GRAPHS`."""
        return {name: getattr(self, name) for name in ("encode", "text", "context", "denoise", "decode")}

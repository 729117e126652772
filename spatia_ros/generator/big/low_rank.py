"""The low-rank part of the weights, for clips that go on from a history: y = W x + B (A x), switched on and off."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from spatia_ros.generator.big.layout import Tensors, in_diffusers_words
from spatia_ros.types import SpatiaError

PREFIX = "pipe.dit."


class LowRank(nn.Module):
    """A linear layer with a low-rank part beside it. The layer's own weights stay as they are, to the last bit."""

    def __init__(self, linear: nn.Linear, down: Tensor, up: Tensor) -> None:
        super().__init__()
        weight = linear.weight
        self.linear, self.on = linear, False
        self.down = nn.Parameter(down.to(weight.device, weight.dtype), requires_grad=False)
        self.up = nn.Parameter(up.to(weight.device, weight.dtype), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        y = self.linear(x)
        return y + (x @ self.down.T) @ self.up.T if self.on else y


def attach(model: nn.Module, tensors: Tensors, where: str) -> list[LowRank]:
    """Put the released low-rank weights beside the layers they are for, switched off.

    Raises:
        SpatiaError: when a layer they name is not there, or has another shape, or half a pair is missing.
    """
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        layer, found, rest = name.partition(".lora_")
        if not (found and name.startswith(PREFIX) and rest[:1] in ("A", "B")):
            raise SpatiaError(f"{where}: expected names like {PREFIX}blocks.0.self_attn.q.lora_A.default.weight, got {name!r}")
        pairs.setdefault(in_diffusers_words(layer.removeprefix(PREFIX) + ".").removesuffix("."), {})[rest[0]] = value
    if not pairs:
        raise SpatiaError(f"{where}: expected low-rank weights, got none")
    return [_attach_one(model, layer, pair, where) for layer, pair in sorted(pairs.items())]


def _attach_one(model: nn.Module, layer: str, pair: dict[str, Tensor], where: str) -> LowRank:
    parent, _, last = layer.rpartition(".")
    try:
        linear = model.get_submodule(layer)
    except AttributeError:
        raise SpatiaError(f"{where}: expected a layer of the transformer, got {layer!r}") from None
    if not isinstance(linear, nn.Linear) or pair.keys() != {"A", "B"}:
        raise SpatiaError(f"{where}: {layer}: expected A and B of a linear layer, got {sorted(pair)} of {type(linear).__name__}")
    down, up = pair["A"], pair["B"]
    wanted = (linear.out_features, linear.in_features)
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1] or (up.shape[0], down.shape[1]) != wanted:
        raise SpatiaError(f"{where}: {layer}: expected B A of {list(wanted)}, got {list(up.shape)} x {list(down.shape)}")
    part = LowRank(linear, down, up)
    setattr(model.get_submodule(parent), last, part)
    return part


def switch(parts: Iterable[LowRank], on: bool) -> None:
    """All of them on or off."""
    with torch.no_grad():
        for part in parts:
            part.on = on

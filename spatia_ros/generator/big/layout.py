"""Weights in the layouts they are published in: which tensors, under which names, of which shapes.

Wan2.2-TI2V-5B comes as a diffusers folder (transformer, vae, text_encoder, tokenizer; each with config.json and safetensors).
Spatia's own weights are two safetensors files that name tensors as Wan's first release did: the control blocks
(``vace_blocks.0...``), and the low-rank part for clips with a history (``pipe.dit.blocks.0.self_attn.q.lora_A.default.weight``).
Only safetensors are read: the other published files are pickles, which can run code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from spatia_ros.types import SpatiaError

Tensors = dict[str, torch.Tensor]
MAX_JSON_BYTES = 1 << 24
SHOWN = 4
"""Names a refusal quotes."""

IN_BLOCK = (
    ("self_attn.q.", "attn1.to_q."), ("self_attn.k.", "attn1.to_k."), ("self_attn.v.", "attn1.to_v."),
    ("self_attn.o.", "attn1.to_out.0."), ("self_attn.norm_", "attn1.norm_"),
    ("cross_attn.q.", "attn2.to_q."), ("cross_attn.k.", "attn2.to_k."), ("cross_attn.v.", "attn2.to_v."),
    ("cross_attn.o.", "attn2.to_out.0."), ("cross_attn.norm_", "attn2.norm_"),
    ("ffn.0.", "ffn.net.0.proj."), ("ffn.2.", "ffn.net.2."), ("norm3.", "norm2."), ("modulation", "scale_shift_table"),
)
"""Names inside a block: Wan's first release, diffusers. (What the one calls norm3, before the text, the other calls norm2.)"""


def in_diffusers_words(name: str) -> str:
    """A tensor's name of Wan's first release as diffusers has it; other names stay."""
    for theirs, diffusers in IN_BLOCK:
        before, found, after = name.partition(theirs)
        if found:
            return before + diffusers + after
    return name


def read_json(path: Path) -> dict:
    """A JSON object of a folder of weights.

    Raises:
        SpatiaError: when it is missing, too large, or no object.
    """
    if not path.is_file():
        raise SpatiaError(f"big generator: expected {path}, found none")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise SpatiaError(f"{path}: expected at most {MAX_JSON_BYTES} bytes, got {path.stat().st_size}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SpatiaError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise SpatiaError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def read_tensors(path: Path) -> Tensors:
    """All tensors of one safetensors file, on the CPU.

    Raises:
        SpatiaError: when it is missing or another kind of file.
    """
    if not path.is_file():
        raise SpatiaError(f"big generator: expected weights at {path}, found none")
    if path.suffix != ".safetensors":
        raise SpatiaError(f"{path}: expected a .safetensors file: others are pickles, which can run code")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SpatiaError(f"{path}: not a safetensors file: {error}") from None


def each_tensor(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of all safetensors files of a folder, one at a time: the folder may be larger than memory.

    Raises:
        SpatiaError: when there are none, or one is another kind of file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise SpatiaError(f"big generator: expected .safetensors files in {folder}, found none")
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118  (it is no mapping)
                    yield name, file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise SpatiaError(f"{path}: not a safetensors file: {error}") from None


def _check_shapes(where: str, got: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> None:
    """Raise :class:`SpatiaError` unless the same names have the same shapes, saying which do not."""
    missing, foreign = sorted(wanted.keys() - got.keys()), sorted(got.keys() - wanted.keys())
    differing = [name for name in sorted(wanted.keys() & got.keys()) if got[name] != wanted[name]]
    wrong = [f"{name} {list(got[name])} for {list(wanted[name])}" for name in differing]
    problems = [
        f"{len(names)} {what} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
        for what, names in (("missing", missing), ("foreign", foreign), ("of another shape", wrong)) if names
    ]
    if problems:
        raise SpatiaError(f"{where}: expected {len(wanted)} tensors of this layout, got {len(got)}: {'; '.join(problems)}")


def load_exactly(module: torch.nn.Module, tensors: Tensors, where: str) -> None:
    """Give a module its weights, all of them and no others."""
    _check_shapes(where, _shapes(tensors), _shapes(module.state_dict()))
    module.load_state_dict(tensors, strict=True, assign=True)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}

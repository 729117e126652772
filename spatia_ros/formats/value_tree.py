"""Values of known kinds as a text and plain arrays, and back, bit by bit: what was one object twice is one object again.

Nothing is executed on the way back: only the dataclasses and named tuples that the caller names are made, through their own
constructors, which check what they are given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spatia_ros.types import SpatiaError

KINDS = "bifu"
"""Kinds of arrays there may be: truths, whole numbers, real numbers."""


class Flattening:
    """Values become a tree for json; their arrays are collected beside it, each once.

    Args:
        known: the dataclasses and named tuples there may be, by name.
    """

    def __init__(self, known: Mapping[str, type]) -> None:
        self.arrays: list[np.ndarray] = []
        self._names = {kind: name for name, kind in known.items()}
        self._seen: dict[int, int] = {}  # objects and arrays, by id, in the order they end
        self._alive: list[Any] = []  # so that no id is given twice

    def tree(self, value: Any) -> Any:
        """The tree of a value.

        Raises:
            SpatiaError: on a value that is none of the known kinds.
        """
        if value is None or isinstance(value, bool | str) or type(value) in (int, float):
            return value
        if isinstance(value, np.generic):
            return {"number": [value.dtype.str, value.tobytes().hex()]}
        if type(value) in (list, tuple):
            return {type(value).__name__: [self.tree(each) for each in value]}
        if type(value) is dict:
            return {"dict": [[self.tree(k), self.tree(v)] for k, v in value.items()]}
        if id(value) in self._seen:
            return {"same": self._seen[id(value)]}
        if isinstance(value, np.ndarray):
            out = self._array(value)
        elif type(value) in self._names:
            out = {"object": self._names[type(value)], "fields": {n: self.tree(getattr(value, n)) for n in _fields(value)}}
        else:
            raise SpatiaError(f"expected a value of a known kind, got {type(value).__module__}.{type(value).__qualname__}")
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        return out

    def _array(self, value: np.ndarray) -> dict[str, Any]:
        if value.dtype.kind not in KINDS:
            raise SpatiaError(f"expected an array of numbers, got one of {value.dtype}")
        self.arrays.append(value)
        return {
            "array": len(self.arrays) - 1,
            "dtype": value.dtype.str,
            "shape": list(value.shape),
            "fixed": not value.flags.writeable,
        }


class Rebuilding:
    """The values of a tree.

    Args:
        arrays: the bytes of each array, uint8 [length]. known: as they were flattened with.
    """

    def __init__(self, arrays: Sequence[np.ndarray], known: Mapping[str, type]) -> None:
        self._arrays, self._known = arrays, known
        self._made: list[Any] = []

    def value(self, tree: Any) -> Any:
        """What the tree stands for.

        Raises:
            SpatiaError: when it stands for nothing that could have been flattened.
        """
        try:
            return self._value(tree)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise SpatiaError(f"a tree of values that cannot be: {type(error).__name__}: {error}") from error

    def _value(self, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        if "list" in tree:
            return [self._value(each) for each in tree["list"]]
        if "tuple" in tree:
            return tuple(self._value(each) for each in tree["tuple"])
        if "dict" in tree:
            return {self._value(k): self._value(v) for k, v in tree["dict"]}
        if "number" in tree:
            dtype, digits = tree["number"]
            return np.frombuffer(bytes.fromhex(digits), _plain(dtype))[0]
        if "same" in tree:
            return self._made[tree["same"]]
        if "array" in tree:
            made: Any = self._array(tree)
        else:
            kind = self._known[tree["object"]]
            made = kind(**{name: self._value(each) for name, each in tree["fields"].items()})
        self._made.append(made)
        return made

    def _array(self, tree: dict[str, Any]) -> np.ndarray:
        raw, dtype, shape = self._arrays[tree["array"]], _plain(tree["dtype"]), tuple(map(int, tree["shape"]))
        out = np.empty(len(raw) // max(dtype.itemsize, 1), dtype)
        out.view(np.uint8)[:] = raw  # a copy: who holds it may write to it
        out = out.reshape(shape)
        out.flags.writeable = not tree["fixed"]
        return out


def _fields(value: Any) -> list[str]:
    """What a dataclass or named tuple is made with."""
    named = getattr(type(value), "_fields", None)
    return [f.name for f in dataclasses.fields(value) if f.init] if named is None else list(named)


def _plain(name: str) -> np.dtype[Any]:
    dtype = np.dtype(name)
    if dtype.kind not in KINDS:
        raise SpatiaError(f"expected an array of numbers, got one of {dtype}")
    return dtype

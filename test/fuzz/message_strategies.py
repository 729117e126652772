"""ROS messages, nearly right: by their own description of their fields, so that a new interface is covered the day it exists."""

from __future__ import annotations

import copy
import importlib
import math
import re
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from value_trees import ODD_WORDS

ODD_FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-12, 5e-324, 1e-300, 1e9, -1e9, 1e18, 1e38, 1e300, 1.7e308, math.nan, math.inf, -math.inf,
    9.3e18, 2.0**53 + 2, 1.0001, 0.9999, math.pi,
)  # fmt: skip
BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
FRAMES = (
    "",
    "map",
    "odom",
    "base_link",
    "camera",
    "camera_link",
    "camera_color_optical_frame",
    "world",
    "ego",
    "ball",
    "/map",
    "nowhere",
)
NAMES = (
    "ego", "camera", "ball", "wall.spatia", "ball.obj", "cloud.ply", "actors.yaml", "half.spatia", "new.spatia", "new.ply",
    "out", "s0", "wall", "../outside.spatia", "/etc/passwd", "way_out/outside.spatia", "link.spatia", "fifo", "folder.spatia",
    "/dev/zero", "file:///etc/passwd", "library:ball", "library:car?colour=red&scale=0.5", "library:car?scale=1e9", "library:?",
    "http://x/y", "a/" * 500, "(", "(a*)*b", "[[:alpha:]]+", "{kind: ball, pose: [0, 0, 0, 0]}", "{file: ../outside.spatia}",
    "the red ball", "nothing at all left of the wall", "loop", "bullet-time", "hold",
)  # fmt: skip
MOST_ITEMS = 4096


def base_of(kind: str) -> tuple[str, str]:
    """``(element, shape)`` of a field's type: shape is "", "sequence" or "array"."""
    found = re.fullmatch(r"sequence<(.+?)(?:, \d+)?>", kind)
    if found:
        return found.group(1), "sequence"
    found = re.fullmatch(r"(.+)\[(\d+)\]", kind)
    return (found.group(1), "array") if found else (re.sub(r"<\d+>$", "", kind), "")


def is_message(element: str) -> bool:
    """Whether a type is a message and no plain value."""
    return "/" in element


def message_class(element: str) -> type:
    """The class of ``package/Name``."""
    package, name = element.split("/")[0], element.split("/")[-1]
    return getattr(importlib.import_module(f"{package}.msg"), name)


def scalars(element: str) -> st.SearchStrategy[Any]:
    """Values of a plain type, those at its limits above all."""
    if element in ("double", "float"):
        odd = [v for v in ODD_FLOATS if element == "double" or not math.isfinite(v) or abs(v) < 3e38]
        return st.one_of(st.sampled_from(odd), st.floats(-10, 10), st.floats(width=64 if element == "double" else 32))
    if element == "boolean":
        return st.booleans()
    if element in ("string", "wstring"):
        return st.one_of(
            st.sampled_from(FRAMES),
            st.sampled_from(NAMES),
            st.sampled_from([w for w in ODD_WORDS if w != "\ud7ff"]),
            st.text(max_size=12),
        )
    if element in ("octet", "byte", "char"):
        return st.integers(0, 255) if element != "octet" else st.sampled_from([b"\x00", b"\xff"])
    bits = BITS.get(element.removeprefix("u"), 8)
    low, high = (0, 2**bits - 1) if element.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.one_of(st.integers(max(low, -1), 12), st.sampled_from((low, high, high - 1, high // 2 + 1)), st.integers(low, high))


def places(message: Any, depth: int = 0) -> list[tuple[Any, str, str]]:
    """``(owner, field, type)`` of every field in a message and those in it; of a list, its first four and its last."""
    out: list[tuple[Any, str, str]] = []
    for field, kind in message.get_fields_and_field_types().items():
        out.append((message, field, kind))
        element, shape = base_of(kind)
        if is_message(element) and depth < 8:
            value = getattr(message, field)
            inner = [value] if not shape else [*value[:4], *value[4:][-1:]]
            out += [place for each in inner for place in places(each, depth + 1)]
    return out


@st.composite
def near_message(draw: st.DrawFn, makers: list[Callable[[], Any]]) -> Any:
    """One of the valid messages with one to three fields changed; now and then none."""
    message = draw(st.sampled_from(makers))()
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 1, 2, 2, 3)))):
        found = places(message)
        if not found:
            break
        owner, field, kind = found[draw(st.integers(0, len(found) - 1))]
        _change(draw, owner, field, kind)
    return message


def _change(draw: st.DrawFn, owner: Any, field: str, kind: str) -> None:
    element, shape = base_of(kind)
    value = getattr(owner, field)
    if shape == "sequence":
        setattr(owner, field, _list(draw, value, element))
    elif shape == "array":
        items = copy.copy(value)
        if len(items):
            at = draw(st.integers(0, len(items) - 1))
            items[at] = _fitting(draw(scalars(element)), items) if not is_message(element) else message_class(element)()
        setattr(owner, field, items)
    elif is_message(element):
        setattr(owner, field, message_class(element)())
    elif element in ("double", "float") and draw(st.booleans()):
        setattr(owner, field, _real(value * draw(st.sampled_from((-1.0, 0.5, 1.00001, 1.001, 10.0, 1e4, 1e12, 1e-9))), element))
    else:
        setattr(owner, field, draw(scalars(element)))


def _real(value: float, element: str) -> float:
    return value if element == "double" or not abs(value) > 3e38 else math.copysign(math.inf, value)


def _fitting(value: Any, items: Any) -> Any:
    if isinstance(items, np.ndarray) and items.dtype == np.float32:
        with np.errstate(over="ignore"):
            return np.float32(value)
    return value


def _list(draw: st.DrawFn, value: Any, element: str) -> Any:
    kind = draw(st.sampled_from(("empty", "cut", "more", "many", "change", "change", "new")))
    items = list(value)
    if kind == "empty":
        items = []
    elif kind == "cut":
        items = items[: draw(st.integers(0, max(len(items) - 1, 0)))]
    elif kind in ("more", "many") and items:
        items = (items + items[-1:] * draw(st.sampled_from((1, 2, 5) if kind == "more" else (100, 1000))))[
            : max(MOST_ITEMS, len(items) + 2)
        ]
    elif kind == "change" and items and not is_message(element):
        items[draw(st.integers(0, len(items) - 1))] = draw(scalars(element))
    elif is_message(element):
        items.append(message_class(element)())
    else:
        items += draw(st.lists(scalars(element), min_size=1, max_size=6))
    return array(value.typecode, _in_range(items, value.typecode)) if isinstance(value, array) else items


def _in_range(items: list[Any], code: str) -> list[Any]:
    if code in "fd":
        return [_real(float(v), "double" if code == "d" else "float") for v in items]
    return items


def to_tree(message: Any) -> Any:
    """A message as plain values, for JSON."""
    if hasattr(message, "get_fields_and_field_types"):
        return {field: to_tree(getattr(message, field)) for field in message.get_fields_and_field_types()}
    if isinstance(message, array | np.ndarray):
        if getattr(message, "typecode", "") == "B":
            return {"hex": bytes(message).hex()}
        return [to_tree(v) for v in message.tolist()]
    if isinstance(message, bytes):
        return {"hex": message.hex()}
    return [to_tree(v) for v in message] if isinstance(message, list | tuple) else message


def from_tree(made: Any, tree: Any) -> Any:
    """The message of :func:`to_tree`, filled into one of its kind."""
    for field, kind in made.get_fields_and_field_types().items():
        if field not in tree:  # the interface has grown since
            continue
        element, shape = base_of(kind)
        value, now = tree[field], getattr(made, field)
        if is_message(element):
            value = [from_tree(message_class(element)(), v) for v in value] if shape else from_tree(now, value)
        elif isinstance(value, dict):
            value = bytes.fromhex(value["hex"])
            value = array("B", value) if isinstance(now, array) else value
        elif isinstance(now, array):
            value = array(now.typecode, value)
        elif isinstance(now, np.ndarray):
            value = np.array(value, now.dtype)
        setattr(made, field, value)
    return made

"""Values as JSON and YAML have them, nearly right: Hypothesis draws what is changed in a valid one, and into what."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

ODD_NUMBERS = (
    0, -1, 1, 2, -0.0, 0.5, 1e-320, 1e-9, 1e9, 1e19, -1e38, 1e308, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 2**63, -(2**63) - 1,
    2**64, 10**30, 10**400, float("nan"), float("inf"), float("-inf"), True, False, None,
)  # fmt: skip
ODD_WORDS = (
    "", " ", "0", "nan", "inf", "../..", "/dev/zero", "/etc/passwd", "\x00", "a\x00b", "\u202e", "\ud7ff", "é" * 40, "x" * 5000,
    "%s", "{}", "[", "~", "null", "!!python/name:os.system", "*a", "&a", "a: b", "1e999", "0x", "-", "?", "\n", "'", '"', "map",
    "ego",
)  # fmt: skip


def odd_values() -> st.SearchStrategy[Any]:
    """A value that was not meant: numbers at limits, words that mean something elsewhere, small nests of them."""
    leaves = st.one_of(st.sampled_from(ODD_NUMBERS), st.sampled_from(ODD_WORDS), st.integers(), st.floats(), st.text(max_size=8))
    nest = lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3))  # noqa: E731
    return st.recursive(leaves, nest, max_leaves=4)


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(p for key, each in below for p in _paths(each, (*path, key)))]


def _put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return tree


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@st.composite
def near(draw: st.DrawFn, valid: Any) -> Any:
    """A valid tree of dicts, lists and values with one to three places changed."""
    tree = copy.deepcopy(valid)
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        paths = _paths(tree)
        path = paths[draw(st.integers(0, len(paths) - 1))]
        kind = draw(st.sampled_from(("value", "value", "value", "scaled", "gone", "twice", "other", "nested")))
        here = _at(tree, path)
        if kind == "gone" and path:
            del _at(tree, path[:-1])[path[-1]]
        elif kind == "twice" and isinstance(here, list) and here:
            here.extend(here * draw(st.sampled_from((1, 7))))
        elif kind == "twice" and isinstance(here, dict):
            here[draw(st.sampled_from(ODD_WORDS))] = draw(odd_values())
        elif kind == "other":
            tree = _put(tree, path, copy.deepcopy(_at(tree, paths[draw(st.integers(0, len(paths) - 1))])))
        elif kind == "scaled" and isinstance(here, int | float) and not isinstance(here, bool):
            tree = _put(tree, path, here * draw(st.sampled_from((-1, 0, 2, 1e3, -1e6, 1e12, 1e-12))))
        elif kind == "nested":
            deep: Any = here
            for _ in range(draw(st.sampled_from((1, 30, 400)))):
                deep = [deep]
            tree = _put(tree, path, deep)
        else:
            tree = _put(tree, path, draw(odd_values()))
    return tree

"""Which entities a query means: names by POSIX extended regular expressions, categories, tags, overlap of bounds."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog
from simulation_interfaces.msg import Bounds, Result, TagsFilter

from spatia_ros.types import Float64, SpatiaError

MAX_EXPRESSION = 200
_INTERVAL = re.compile(r"\{(\d*),?(\d*)\}")
MAX_REPEAT = 64
MAX_HULL_POINTS = 256
_REG_EXTENDED, _REG_NOSUB = 1, 8
_REGEX_BYTES = 512
"""More than any C library's regex_t takes (glibc 64, musl 40)."""


class Refused(SpatiaError):
    """What a service of simulation_interfaces did not do, and the result code that says so."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Described:
    """What a filter looks at: name, category, tags, and the box [3], [3] along the map's axes (None: nowhere now)."""

    name: str
    category: int
    tags: tuple[str, ...]
    box: tuple[Float64, Float64] | None


def expression(pattern: str) -> Callable[[str], bool]:
    """Whether a POSIX extended regular expression is found in a name; by the C library, as Python's are another language.

    The expression is a stranger's: it is short, repeats little, and has no back references, so that it costs little.

    Raises:
        Refused: when it is none, or asks too much.
    """
    intervals = _INTERVAL.findall(pattern)
    repeats = max((int(n) for pair in intervals for n in pair if n), default=0)
    if len(pattern) > MAX_EXPRESSION or len(intervals) > 1 or repeats > MAX_REPEAT or re.search(r"\\[1-9]", pattern):
        limits = f"at most {MAX_EXPRESSION} characters, one interval of up to {MAX_REPEAT} and no back reference"
        raise Refused(Result.RESULT_OPERATION_FAILED, f"filter: expected an expression of {limits}, got {pattern!r:.80}")
    libc, compiled = ctypes.CDLL(None), ctypes.create_string_buffer(_REGEX_BYTES)
    words = pattern.encode()
    if b"\0" in words or (status := libc.regcomp(compiled, words, _REG_EXTENDED | _REG_NOSUB)):
        why = ctypes.create_string_buffer(200)
        if b"\0" not in words:
            libc.regerror(status, compiled, why, len(why))
        got = f"got {pattern!r}: {why.value.decode(errors='replace')}"
        raise Refused(Result.RESULT_OPERATION_FAILED, f"filter: expected a POSIX extended regular expression, {got}")
    return _Compiled(libc, compiled).found


class _Compiled:
    """A compiled expression, freed with this object."""

    def __init__(self, libc: Any, compiled: Any) -> None:
        self._libc, self._compiled = libc, compiled

    def found(self, name: str) -> bool:
        return self._libc.regexec(self._compiled, name.encode(), 0, None, 0) == 0

    def __del__(self) -> None:
        self._libc.regfree(self._compiled)


def matcher(filters: Any) -> Callable[[Described], bool]:
    """What passes all of an ``EntityFilters``.

    Raises:
        Refused: on an expression that is none, or bounds of another type than box and sphere, or malformed.
    """
    named = expression(filters.filter) if filters.filter else lambda _: True
    categories, tagged = {c.category for c in filters.categories}, tag_filter(filters.tags)
    overlaps = overlap(filters.bounds)

    def passes(entity: Described) -> bool:
        of_category = not categories or entity.category in categories
        return named(entity.name) and of_category and tagged(entity.tags) and overlaps(entity.box)

    return passes


def tag_filter(asked: Any) -> Callable[[Iterable[str]], bool]:
    """Whether tags pass a ``TagsFilter``: any or all of those it names; everything passes one that names none.

    Raises:
        Refused: on a mode that is none.
    """
    wanted = set(asked.tags)
    if asked.filter_mode not in (TagsFilter.FILTER_MODE_ANY, TagsFilter.FILTER_MODE_ALL):
        raise Refused(Result.RESULT_OPERATION_FAILED, f"tags: expected filter mode 0 or 1, got {asked.filter_mode}")
    if asked.filter_mode == TagsFilter.FILTER_MODE_ALL:
        return lambda tags: wanted <= set(tags)
    return lambda tags: not wanted or bool(wanted & set(tags))


def overlap(bounds: Any) -> Callable[[tuple[Float64, Float64] | None], bool]:
    """Whether a box along the map's axes meets a volume in the map; everything meets empty bounds."""
    points = np.array([(p.x, p.y, p.z) for p in bounds.points], np.float64).reshape(-1, 3)
    if bounds.type == Bounds.TYPE_EMPTY:
        return lambda _: True
    if bounds.type not in (Bounds.TYPE_BOX, Bounds.TYPE_SPHERE, Bounds.TYPE_CONVEX_HULL):
        raise Refused(Result.RESULT_FEATURE_UNSUPPORTED, f"bounds: expected a box, a sphere or a hull, got type {bounds.type}")
    hull = bounds.type == Bounds.TYPE_CONVEX_HULL
    if not np.isfinite(points).all() or not (1 <= len(points) <= MAX_HULL_POINTS if hull else len(points) == 2):
        wanted = f"1..{MAX_HULL_POINTS}" if hull else "two"
        raise Refused(Result.RESULT_OPERATION_FAILED, f"bounds: expected {wanted} finite points, got {points.tolist()!r:.200}")
    if hull:
        return lambda box: box is not None and _hull_meets(points, *box)
    if bounds.type == Bounds.TYPE_BOX:
        low, high = points.min(0), points.max(0)
        return lambda box: box is not None and bool((box[0] <= high).all() and (low <= box[1]).all())
    centre, radius = points[0], points[1, 0]
    return lambda box: box is not None and bool(np.linalg.norm(centre - np.clip(centre, *box)) <= radius)


def _hull_meets(points: Float64, low: Float64, high: Float64) -> bool:
    """Whether some mean of the points, weighted as one likes, lies in a box: a linear programme with nothing to optimise."""
    mixes = np.vstack([points.T, -points.T])
    limits = np.concatenate([high, -low]) + 1e-9
    found = linprog(np.zeros(len(points)), A_ub=mixes, b_ub=limits, A_eq=np.ones((1, len(points))), b_eq=[1.0])
    return bool(found.success)

"""Compiled kernels that are never older than their sources.

Numba keeps what it has compiled on disk, and compiles a function anew where its file has changed. But the functions it calls are
compiled into it, and if *their* files change, numba takes what it has, and does what the file no longer says. So here the
stamp of what was compiled is of a file and of all that it imports from this package, down to the last. Every kernel takes
``njit`` from here.

Numba also compiles a function once more for every kind of array that comes: of another layout, or one that may not be written
to. What a kernel only reads, and what may come from anywhere, is given to it as :func:`read_only`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import caching

__all__ = ["ALL", "compiled", "njit", "read_only"]

ROOT = Path(__file__).parent
IMPORTS = re.compile(r"^from (?P<module>[\w.]+) import (?P<names>\([^)]*\)|[^\n]*)", re.MULTILINE)
"""Imports of whole files; those within functions or conditions are no kernels'."""
PLACES = (caching.UserProvidedCacheLocator, caching.InTreeCacheLocator, caching.UserWideCacheLocator)


ALL: list[Any] = []
"""The kernels of this process."""


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """:func:`numba.njit`, which keeps count of what it made; the options are those."""

    def kernel(function: Callable[..., Any]) -> Any:
        ALL.append(numba.njit(**options)(function))
        return ALL[-1]

    return kernel


def compiled() -> int:
    """How often kernels were compiled, or loaded, in this process: while it stays, none had to wait for that."""
    return sum(len(kernel.overloads) for kernel in ALL)


def read_only(array: np.ndarray) -> np.ndarray:
    """The same numbers in C order, not to be written to (a view where that order is theirs already).

    Else a frame whose arrays are somebody else's, or a keyframe that was edited, or came from a file, stops a world for seconds
    while kernels are compiled for it that have been compiled for other arrays, and their code stays in memory.
    """
    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


@cache
def imported(path: Path, root: Path = ROOT) -> frozenset[Path]:
    """The files of a package that one of its files imports, itself left out. ``root``: the package's folder."""
    found = set[Path]()
    for line in IMPORTS.finditer(path.read_text(encoding="utf-8")):
        package, *parts = line["module"].split(".")
        if package != root.name:
            continue
        there = root.joinpath(*parts)
        for name in re.findall(r"\w+", line["names"]):
            found.add(_file(there / name) or _file(there) or path)  # a file of a package, or something in a file
    return frozenset(found - {path})


def _file(place: Path) -> Path | None:
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@cache
def stamp(path: Path, root: Path = ROOT) -> bytes:
    """A digest of a file and of all that it imports from its package, directly or not."""
    every, fresh = {path}, {path}
    while fresh:
        fresh = {file for known in fresh for file in imported(known, root)} - every
        every |= fresh
    digest = hashlib.sha256()
    for file in sorted(every):
        digest.update(_digest(file))
    return digest.digest()


@cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


class Locator(caching._CacheLocator):  # numba's own class for this (NUMBA_CACHE_LOCATOR_CLASSES)
    """Where numba would keep what it compiles, for this package's files, with the stamp of all that went into it."""

    def __init__(self, place: Any, path: Path) -> None:
        self._place, self._path = place, path

    def ensure_cache_path(self) -> None:
        self._place.ensure_cache_path()

    def get_cache_path(self) -> Any:
        return self._place.get_cache_path()

    def get_source_stamp(self) -> bytes:
        return stamp(self._path)

    def get_disambiguator(self) -> Any:
        return self._place.get_disambiguator()

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Locator | None:
        path = Path(py_file)
        if not (path.is_file() and path.is_relative_to(ROOT)):
            return None  # another's: numba goes on in its list
        place = next((found for kind in PLACES if (found := kind.from_function(py_func, py_file)) is not None), None)
        return None if place is None else cls(place, path)


if not numba.config.CACHE_LOCATOR_CLASSES:  # what somebody has set stays
    others = ",".join(kind.__name__ for kind in caching.CacheImpl._locator_classes)
    numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.{Locator.__name__},{others}"

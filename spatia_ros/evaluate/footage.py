"""Truth over camera and time: what a place with movers looks like from any camera of a way at any animation time.

A procedural take draws it when asked; a grid that was written has it on disk, at the times it was written for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from spatia_ros.train.grid import Grid
from spatia_ros.train.grid_file import Row
from spatia_ros.train.scene_take import Take
from spatia_ros.types import Bool, Camera, Float64, Frame

START_NS = 1_000_000_000
"""Stamp of animation time 0 in a source video."""
ROWS_KEPT = 4


class Shown(NamedTuple):
    """One (camera, time) pair."""

    frame: Frame
    moving: Bool
    """[H, W], the pixels of movers."""


class Footage(Protocol):
    """A place seen from two camera ways, "source" and "target", at animation times."""

    @property
    def name(self) -> str:
        """Of the place."""

    @property
    def kind(self) -> str:
        """Of the place."""

    @property
    def camera(self) -> Camera:
        """Of every picture."""

    @property
    def paths(self) -> Mapping[str, Float64]:
        """``T_world_cam`` [N, 4, 4] by name."""

    @property
    def times_s(self) -> Float64:
        """float64 [N], animation times of the source video's frames, rising from 0."""

    def known(self, tau_s: Float64) -> Float64:
        """The nearest times of which there is truth."""

    def look(self, path: str, index: int, tau_s: float) -> Shown:
        """The truth of one camera at one of those times."""


@dataclass(frozen=True, slots=True)
class TakeFootage:
    """Of a procedural take: any time is known."""

    take: Take

    @property
    def name(self) -> str:
        """Of the scene."""
        return self.take.name

    @property
    def kind(self) -> str:
        """Of the scene."""
        return self.take.kind

    @property
    def camera(self) -> Camera:
        """Of every picture."""
        return self.take.camera

    @property
    def paths(self) -> Mapping[str, Float64]:
        """``T_world_cam`` [N, 4, 4] by name."""
        return self.take.paths

    @property
    def times_s(self) -> Float64:
        """Of the source video, s."""
        return self.take.times_s

    def known(self, tau_s: Float64) -> Float64:
        """All of them."""
        return tau_s

    def look(self, path: str, index: int, tau_s: float) -> Shown:
        """Drawn now."""
        seen = self.take.look(path, index, tau_s, stamp_ns(tau_s))
        return Shown(seen.frame, np.isin(seen.ids, self.take.scene.numbers))


class GridFootage:
    """Of a grid that was written: the times of its rows are known."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.name, self.kind, self.camera, self.paths = grid.name, grid.kind, grid.camera, grid.paths
        frames = len(grid.paths["source"])
        self.times_s = self.known(np.linspace(grid.times_s[0], grid.times_s[-1], frames, dtype=np.float64))
        self._row = lru_cache(ROWS_KEPT)(self._read)

    def _read(self, path: str, index: int) -> Row:
        return self.grid.row(path, index)

    def known(self, tau_s: Float64) -> Float64:
        """The nearest times of the rows."""
        return self.grid.times_s[self._nearest(tau_s)]

    def _nearest(self, tau_s: Float64 | float) -> np.ndarray:
        return np.abs(np.atleast_1d(tau_s)[:, None] - self.grid.times_s).argmin(1)

    def look(self, path: str, index: int, tau_s: float) -> Shown:
        """Read now."""
        row, k = self._row(path, index), int(self._nearest(tau_s)[0])
        frame = Frame(row.rgb[k], row.depth[k], self.camera, self.paths[path][index], stamp_ns(tau_s))
        return Shown(frame, np.isin(row.ids[k], self.grid.numbers))


def stamp_ns(tau_s: float) -> int:
    """When a source video shows an animation time."""
    return START_NS + round(1e9 * float(tau_s))


def source_video(footage: Footage) -> list[Shown]:
    """The recording: one camera way, time going forward; what a pipeline is given of a place."""
    return [footage.look("source", k, float(tau)) for k, tau in enumerate(footage.times_s)]

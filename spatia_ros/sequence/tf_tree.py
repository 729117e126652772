"""Coordinate frames by name, as TF messages tell them: where a frame was in another at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from spatia_ros.geometry import inverse
from spatia_ros.sequence.associate import poses_at
from spatia_ros.types import Bool, Float64, Int64, SpatiaError, Trajectory, check_pose

T_BODY_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""An optical frame (x right, y down, z forward) in a body frame (x forward, y left, z up), both at one place (REP-103)."""

MAX_TRANSFORMS = 50_000_000


@dataclass(slots=True)
class Link:
    """What is known of one frame in its parent: a constant, or poses by time."""

    parent: str
    static: Float64 | None = None
    moving: dict[int, Float64] = field(default_factory=dict)
    _path: Trajectory | None = None

    def at(self, stamps_ns: Int64) -> tuple[Float64, Bool]:
        """``T_parent_child`` [N, 4, 4] at the stamps, and where it is known (identity where not)."""
        if self.static is not None:
            return np.repeat(self.static[None], len(stamps_ns), 0), np.ones(len(stamps_ns), np.bool_)
        if self._path is None:
            known = sorted(self.moving)
            self._path = Trajectory(np.array(known, np.int64), np.stack([self.moving[t] for t in known]))
        T = np.tile(np.eye(4), (len(stamps_ns), 1, 1))
        found, tracked = poses_at(self._path, stamps_ns)
        T[tracked] = found
        return T, tracked


@dataclass(slots=True)
class TfTree:
    """A forest of named frames; each has at most one parent, as in tf2."""

    links: dict[str, Link] = field(default_factory=dict)
    transforms: int = 0

    def add(self, parent: str, child: str, T_parent_child: Float64, stamp_ns: int, *, static: bool) -> None:
        """Take in one transform; a later one of the same time replaces the earlier.

        Raises:
            SpatiaError: when it is no rigid transform, when a frame gets a second parent, or past
                ``MAX_TRANSFORMS``.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        check_pose(f"tf {parent} -> {child}", T_parent_child)
        link = self.links.setdefault(child, Link(parent))
        if not parent or not child or parent == child or link.parent != parent:
            raise SpatiaError(f"tf: expected one parent per frame, got {child!r} in both {link.parent!r} and {parent!r}")
        self.transforms += 1
        if self.transforms > MAX_TRANSFORMS:
            raise SpatiaError(f"tf: expected at most {MAX_TRANSFORMS} transforms, got more")
        if static:
            link.static = T_parent_child
        else:
            link.moving[stamp_ns] = T_parent_child

    def ancestors(self, frame: str) -> list[str]:
        """The frame, its parent, and so on up to the root.

        Raises:
            SpatiaError: when frames are their own ancestors.
        """
        chain = [frame.lstrip("/")]
        while chain[-1] in self.links:
            parent = self.links[chain[-1]].parent
            if parent in chain:
                raise SpatiaError(f"tf: expected a tree, got a loop {' -> '.join([*chain, parent])}")
            chain.append(parent)
        return chain

    def connected(self, target: str, source: str) -> bool:
        """Whether some chain of transforms joins the two frames."""
        return self.ancestors(target)[-1] == self.ancestors(source)[-1]

    def constant(self, target: str, source: str) -> bool:
        """Whether they are joined by static transforms alone."""
        return self.connected(target, source) and all(link.static is not None for link in self._between(target, source))

    def poses(self, target: str, source: str, stamps_ns: Int64) -> tuple[Float64, Bool]:
        """``T_target_source`` [N, 4, 4] at the stamps, and the mask [N] of those at which all of it is known.

        Raises:
            SpatiaError: when nothing joins the frames.
        """
        if not self.connected(target, source):
            names = sorted({*self.links, *(link.parent for link in self.links.values())})
            raise SpatiaError(f"tf: expected transforms that join {target!r} and {source!r}, got the frames {names}")
        up, down = self.ancestors(source), self.ancestors(target)
        shared = next(name for name in up if name in down)
        T_shared_source, known_source = self._climb(up[: up.index(shared)], stamps_ns)
        T_shared_target, known_target = self._climb(down[: down.index(shared)], stamps_ns)
        return inverse(T_shared_target) @ T_shared_source, known_source & known_target

    def _climb(self, frames: list[str], stamps_ns: Int64) -> tuple[Float64, Bool]:
        T: Float64 = np.tile(np.eye(4), (len(stamps_ns), 1, 1))
        known: Bool = np.ones(len(stamps_ns), np.bool_)
        for frame in frames:
            step, tracked = self.links[frame].at(stamps_ns)
            T, known = step @ T, known & tracked
        return T, known

    def _between(self, target: str, source: str) -> Iterator[Link]:
        up, down = self.ancestors(source), self.ancestors(target)
        return (self.links[name] for name in {*up} ^ {*down} if name in self.links)

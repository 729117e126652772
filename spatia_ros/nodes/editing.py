"""Edits asked for over ROS: parts and motions in the map frame become regions and transforms of the memory's world."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Point

from spatia_ros import geometry
from spatia_ros.memory import Memory
from spatia_ros.memory.edit import Editor, Thing, things
from spatia_ros.memory.regions import Both, Box, Component, HalfSpace, Object, Region, Sphere
from spatia_ros.nodes import convert
from spatia_ros.nodes.files import DataFolder
from spatia_ros.seed.part import points_of
from spatia_ros.srv import EditMemory
from spatia_ros.types import Float64, SpatiaError

Ask = EditMemory.Request


class Editing:
    """The editor of a node's memory; its history ends when the node takes another memory.

    Args:
        files: where meshes and clouds may be read from.
    """

    def __init__(self, files: DataFolder) -> None:
        self._files = files
        self._editor: Editor | None = None

    def stay_with(self, memory: Memory) -> None:
        """Let go of any other memory: nothing can be undone in it any more, and it may be large."""
        if self._editor is not None and self._editor.memory is not memory:
            self._editor = None

    def answer(self, request: Any, response: Any, memory: Memory, T_map_world: Float64) -> str:
        """Do what a request asks, fill the response, and return its message (on the thread that owns the memory).

        Raises:
            SpatiaError: saying why nothing was done.
        """
        self.stay_with(memory)
        self._editor = self._editor or Editor(memory)
        response.points = len(memory)
        said, counts = self._do(self._editor, request, T_map_world)
        response.points = len(memory)
        response.changed = next((counts[n] for n in ("removed", "moved", "recoloured", "added") if n in counts), 0)
        response.masked = max(counts.get("pixels", 0), 0)
        for thing in things(memory):
            low, high = bounds_in_map(thing, T_map_world)
            response.names.append(thing.name)
            response.counts.append(thing.points)
            response.lows.append(Point(x=low[0], y=low[1], z=low[2]))
            response.highs.append(Point(x=high[0], y=high[1], z=high[2]))
        return said

    def _do(self, editor: Editor, request: Any, T_map_world: Float64) -> tuple[str, dict[str, int]]:
        T_world_map = geometry.inverse(T_map_world)
        if request.operation == Ask.LIST:
            return f"{len(editor.history)} edits can be undone", {}
        if request.operation == Ask.UNDO:
            return f"undone: {editor.undo()}", {}
        if request.operation == Ask.REDO:
            return f"done again: {editor.redo()}", {}
        if request.operation not in (Ask.REMOVE, Ask.MOVE, Ask.RECOLOUR, Ask.ADD):
            raise SpatiaError(f"edit: expected an operation of 0..{Ask.REDO}, got {request.operation}")
        motion = convert.from_pose(request.motion, "motion")
        if request.operation == Ask.ADD:
            points, names = points_of(self._files.inside(request.path), editor.memory.config)
            counts = editor.add(points, T_world_map @ motion, request.name, names)
        else:
            region = region_of(request, T_world_map)
            if request.operation == Ask.REMOVE:
                counts = editor.remove(region)
            elif request.operation == Ask.MOVE:
                counts = editor.move(region, T_world_map @ motion @ T_map_world)
            else:
                c = request.color
                counts = editor.recolour(region, 255.0 * np.array([c.r, c.g, c.b]), c.a)
        return f"{editor.history[-1]}: " + ", ".join(f"{n} {v}" for n, v in counts.items()), counts


def region_of(request: Any, T_world_map: Float64, name: str = "edit") -> Region:
    """The part a request names, in the memory's world: what lies in all that is given.

    Args:
        name: of the service, for errors; a kind of part that its request does not have is not asked for.

    Raises:
        SpatiaError: when it names none, or one with too few or too many numbers.
    """
    R, t = T_world_map[:3, :3], T_world_map[:3, 3]

    def given(kind: str, count: int) -> Float64 | None:
        values = getattr(request, kind, ())
        return _numbers(f"{name}: {kind}", values, count) if len(values) else None

    parts: list[Region] = [Object(request.object)] if request.object else []
    if (box := given("box", 6)) is not None:
        parts.append(Box(box[:3], box[3:], T_world_map))
    if (ball := given("sphere", 4)) is not None:
        parts.append(Sphere(R @ ball[:3] + t, ball[3]))
    if (plane := given("half_space", 6)) is not None:
        parts.append(HalfSpace(R @ plane[:3] + t, R @ plane[3:]))
    if (seed := given("component", 4)) is not None:
        parts.append(Component(R @ seed[:3] + t, seed[3]))
    if not parts:
        kinds = [k for k in ("object", "box", "sphere", "half_space", "component") if hasattr(request, k)]
        raise SpatiaError(f"{name}: expected a part ({', '.join(kinds[:-1])} or {kinds[-1]}), got none")
    return parts[0] if len(parts) == 1 else Both(parts)


def bounds_in_map(thing: Thing, T_map_world: Float64) -> tuple[Float64, Float64]:
    """Low and high corner [3], in the map, of a box that holds a thing's bounds."""
    return Box(thing.low, thing.high, T_map_world).bounds()


def _numbers(name: str, values: Any, count: int) -> Float64:
    out = np.asarray(values, np.float64)
    if len(out) != count or not np.isfinite(out).all():
        raise SpatiaError(f"{name}: expected {count} finite numbers, got {len(out)}: {out[:8].tolist()}")
    return out

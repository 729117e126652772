"""``memory/get_region``: the points of a part of space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spatia_ros import geometry
from spatia_ros.memory import Points
from spatia_ros.nodes import convert, convert_memory
from spatia_ros.nodes.editing import region_of
from spatia_ros.nodes.part import Part
from spatia_ros.srv import GetRegion
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.nodes.memory_face import MemoryFace


class Regions(Part):
    """Answers which points lie in all that is given of object, box and sphere, an even choice of them."""

    def __init__(self, face: MemoryFace) -> None:
        self._face = face
        face.serve(GetRegion, "memory/get_region", self._answer)

    def _answer(self, request: Any, response: Any) -> str:
        face, limit = self._face, self._face.settings.cloud.max_points
        region = region_of(request, geometry.inverse(face.T_map_world), "get_region").found_in(face.memory)
        parts = list[Points]()
        for chunk in face.memory.chunks(*region.bounds()):
            inside = region.contains(chunk.xyz.astype(np.float64))
            if inside.any():
                parts.append(chunk.chosen(np.flatnonzero(inside)))
        if not parts:
            raise SpatiaError(f"get_region: expected points in {region}, got none")
        found, most = Points.joined(parts), min(request.max_points or limit, limit)
        response.total = len(found.xyz)
        if response.total > most:
            found = found.chosen(np.linspace(0, response.total - 1, most).astype(np.int64))
        header = convert.to_header(face.stamp_ns, face.map_frame)
        response.points = convert_memory.to_sure_cloud(found, face.T_map_world, header)
        return ""

"""What is published of the actors of each frame: states, boxes to look at, and their frames in tf."""

from __future__ import annotations

import colorsys

import numpy as np
from geometry_msgs.msg import Point, TransformStamped, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from spatia_ros.memory.regions import Box
from spatia_ros.msg import ActorState, ActorStates
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.rig.outputs import offer
from spatia_ros.rig import Picture
from spatia_ros.types import ActorState as Seen
from spatia_ros.types import Float64, Step

GOLDEN_RATIO = 0.618034
"""Hues a golden ratio apart: neighbouring numbers look different."""
BOX, NAME = 0, 1
"""Markers of one actor: their numbers are 2 id + these."""


class ActorOutputs:
    """Topics of the actors: ``actors/states`` and ``actors/markers``; and transforms for tf."""

    def __init__(self, endpoints: Endpoints, map_frame: str, T_map_world: Float64) -> None:
        self._map, self._T_map_world = map_frame, T_map_world
        self._states = qos.publisher(endpoints, ActorStates, "actors/states", qos.SENSOR_OUT)
        self._markers = qos.publisher(endpoints, MarkerArray, "actors/markers", qos.SENSOR_OUT)
        self._shown: set[int] = set()

    def publish(self, picture: Picture, stamp_ns: int) -> None:
        """Publish the actors of one frame of the rig's first camera."""
        step = picture.step
        header = convert.to_header(stamp_ns, self._map)
        offer(self._states, lambda: self._states_of(picture, header))
        offer(self._markers, lambda: self._markers_of(step, header))

    def transforms(self, step: Step, stamp_ns: int) -> list[TransformStamped]:
        """map -> each actor, named after it."""
        seen = step.actors[0]
        return [convert.to_transform(self._T_map_world @ each.T_world_actor, stamp_ns, self._map, each.name) for each in seen]

    def _states_of(self, picture: Picture, header: Header) -> ActorStates:
        step, pixels = picture.step, np.bincount(picture.segmentation.ravel(), minlength=1)
        states = [self._state(each, int(pixels[each.id]) if each.id < len(pixels) else 0) for each in step.actors[0]]
        return ActorStates(header=header, animation_s=float(step.animation_s[0]), actors=states)

    def _state(self, seen: Seen, pixels: int) -> ActorState:
        low, high = self._box(seen)
        x, y, z = (self._T_map_world[:3, :3] @ seen.velocity).tolist()
        return ActorState(
            id=seen.id, name=seen.name, kind=seen.kind, pose=convert.to_pose(self._T_map_world @ seen.T_world_actor),
            velocity=Vector3(x=x, y=y, z=z), low=point(low), high=point(high), animation_s=float(seen.tau_s), pixels=pixels,
        )  # fmt: skip

    def _box(self, seen: Seen) -> tuple[Float64, Float64]:
        return Box(seen.low, seen.high, self._T_map_world).bounds()

    def _markers_of(self, step: Step, header: Header) -> MarkerArray:
        markers = [marker for each in step.actors[0] for marker in self._markers_for(each, header)]
        shown = {marker.id for marker in markers}
        gone = [Marker(header=header, ns="actors", id=number, action=Marker.DELETE) for number in sorted(self._shown - shown)]
        self._shown = shown
        return MarkerArray(markers=gone + markers)

    def _markers_for(self, seen: Seen, header: Header) -> list[Marker]:
        low, high = self._box(seen)
        size, middle = np.maximum(high - low, 1e-3).tolist(), (low + high) / 2
        red, green, blue = colorsys.hsv_to_rgb(seen.id * GOLDEN_RATIO % 1.0, 0.8, 1.0)
        box = Marker(header=header, ns="actors", id=2 * seen.id + BOX, type=Marker.CUBE, action=Marker.ADD)
        box.pose.position, box.scale = point(middle), Vector3(x=size[0], y=size[1], z=size[2])
        box.color = ColorRGBA(r=red, g=green, b=blue, a=0.35)
        name = Marker(header=header, ns="actors", id=2 * seen.id + NAME, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        name.pose.position, name.scale = point(np.array([middle[0], middle[1], high[2] + 0.1])), Vector3(z=0.15)
        name.color, name.text = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0), f"{seen.name} {seen.tau_s:.2f} s"
        return [box, name]


def point(xyz: Float64) -> Point:
    """A point message from [3]."""
    x, y, z = xyz.tolist()
    return Point(x=x, y=y, z=z)

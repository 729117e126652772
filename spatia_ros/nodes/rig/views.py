"""The cameras of a rig, frame by frame: the first makes the world go on, the others look at the instant it has come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from spatia_ros.beside import beside
from spatia_ros.msg import GeneratedFrame
from spatia_ros.nodes.rig.camera_outputs import CameraOutputs
from spatia_ros.rig import Picture, RigCamera, prepare
from spatia_ros.types import Float64, Step

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace


class Instant(NamedTuple):
    """A frame's time, and where the rig came from.

    ``T_map_before`` is None where it did not move there (a jump, the first frame); ``metadata`` is told the step and the
    milliseconds since the command.
    """

    stamp_ns: int
    passed_s: float
    since_s: float
    T_map_before: Float64 | None
    metadata: Callable[[Step, float], GeneratedFrame]


class RigViews:
    """What each camera of the rig publishes; all of it on the worker's thread.

    The first camera is made at every frame. Another is made when somebody listens to one of its topics, and remembers
    nothing of what it invents: memory is the same whoever listens. With ``rig.always`` every camera is made at every frame,
    and all of them remember: memory is the same again, and what one invents the others show.
    """

    def __init__(self, face: WorldFace) -> None:
        self._face = face
        for camera in face.rig.cameras:
            prepare(camera)
        millimetres = face.settings.rig.depth_encoding == "16UC1"
        self._out = [CameraOutputs(face.endpoints, camera, millimetres) for camera in face.rig.cameras]

    def first(self, step: Step, instant: Instant) -> Picture:
        """Publish the frame of the first camera; gives back its picture."""
        picture = self._picture(self._face.rig.cameras[0], step, instant)
        self._publish(self._out[0], picture, instant)
        return picture

    def others(self, index: int, instant: Instant, also: Collection[str] = ()) -> dict[str, Step]:
        """Make and publish what the other cameras see now, as far as it is wanted; their steps by name.

        Args:
            index: of the frame. also: names of cameras to be made whoever listens.
        """
        face, made = self._face, dict[str, Step]()
        always = face.settings.rig.always
        for camera, out in zip(face.rig.cameras[1:], self._out[1:], strict=True):
            if index % camera.every or not (always or out.wanted or camera.name in also):
                continue
            T_world_cam = face.rig.camera_of(face.rig.pose.T_map_base, camera)
            step = beside(face.world, camera.source, T_world_cam, camera.name, remember=always)
            self._publish(out, self._picture(camera, step, instant), instant)
            made[camera.name] = step
        return made

    def _picture(self, camera: RigCamera, step: Step, instant: Instant) -> Picture:
        before = instant.T_map_before
        T_before = None if before is None else self._face.rig.camera_of(before, camera)
        return Picture(camera, step, T_before, instant.passed_s)

    def _publish(self, out: CameraOutputs, picture: Picture, instant: Instant) -> None:
        total_ms = (time.perf_counter() - instant.since_s) * 1e3
        out.publish(picture, instant.stamp_ns, lambda: instant.metadata(picture.step, total_ms))

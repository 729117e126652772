"""What a rig's camera makes of a finished pinhole frame: rolled, bent, or cut out straight; each image when it is asked for."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from spatia_ros import geometry
from spatia_ros.rig.camera import RigCamera
from spatia_ros.rig.lens import remapped
from spatia_ros.rig.shutter import rolled
from spatia_ros.types import Camera, Float32, Float64, SpatiaError, Step, UInt8, UInt16


@lru_cache(maxsize=64)
def places_of(camera: RigCamera) -> tuple[Float32, Float32]:
    """Where in its pinhole picture each pixel of a camera lies (see :meth:`.Lens.places`)."""
    return camera.lens.places(camera.source)


@lru_cache(maxsize=64)
def turns_of(camera: RigCamera) -> Float32:
    """When in its readout each pixel of a camera's pinhole picture is exposed, float32 [H, W], 0 first .. 1 last."""
    assert camera.shutter is not None
    size = camera.lens.camera
    rays = geometry.pixel_rays(camera.source)
    bent = camera.lens.bent(rays[..., :2]) * (size.fx, size.fy) + (size.cx, size.cy)
    return camera.shutter.turn_of(bent, size.width, size.height)


def prepare(camera: RigCamera) -> None:
    """Work out a camera's tables and load what it needs, so that its first frame need not wait for that."""
    if camera.lens.bends:
        places_of(camera)
    if camera.rolls:
        turns_of(camera)
        small, still = Camera.from_fov(4, 4, 1.0), np.tile(np.eye(4), (2, 1, 1))
        grey, nothing = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 2), np.uint16)
        rolled(grey, np.ones((4, 4), np.float32), nothing, small, np.zeros((4, 4), np.float32), still)


class Picture:
    """One frame of one camera.

    Args:
        camera: whose. step: a step of one frame, seen by ``camera.source``.
        T_world_before, passed_s: where the camera was at the frame before, and how long ago; None: it stood still, or was
            put here. Only a rolling shutter asks.
    """

    def __init__(self, camera: RigCamera, step: Step, T_world_before: Float64 | None = None, passed_s: float = 0.0) -> None:
        if step.camera != camera.source:
            raise SpatiaError(f"picture: expected a frame of {camera.source}, got one of {step.camera}")
        self.camera, self.step = camera, step
        self._before, self._passed_s = T_world_before, passed_s

    @cached_property
    def _seen(self) -> tuple[UInt8, Float32, UInt8, UInt16]:
        """Colour, depth, provenance and segmentation behind the lens, as the shutter exposed them."""
        s, camera = self.step, self.camera
        still = s.rgb[0], s.depth[0], s.provenance[0], s.segmentation[0]
        now = s.trajectory.T_world_cam[0]
        if not camera.rolls or self._before is None or self._passed_s <= 0 or np.array_equal(self._before, now):
            return still
        assert camera.shutter is not None
        rows = max(camera.lens.camera.width, camera.lens.camera.height)
        poses = camera.shutter.poses(self._before, now, self._passed_s, rows)
        labels = np.stack([s.provenance[0].astype(np.uint16), s.segmentation[0]], -1)
        rgb, depth, labels = rolled(s.rgb[0], s.depth[0], labels, camera.source, turns_of(camera), poses)
        return rgb, depth, labels[..., 0].astype(np.uint8), np.ascontiguousarray(labels[..., 1])

    def _raw(self, what: int) -> np.ndarray:
        if not self.camera.lens.bends:
            return self._rect(what)
        return remapped(self._seen[what], places_of(self.camera), linear=what == 0)

    def _rect(self, what: int) -> np.ndarray:
        (left, top), size = self.camera.offset, self.camera.lens.camera
        return self._seen[what][top : top + size.height, left : left + size.width]

    @cached_property
    def rgb(self) -> UInt8:
        """uint8 [H, W, 3], through the lens."""
        return self._raw(0)

    @cached_property
    def depth(self) -> Float32:
        """float32 [H, W], metres, 0 unknown: pixel for pixel with :attr:`rgb`."""
        return self._raw(1)

    @cached_property
    def provenance(self) -> UInt8:
        """uint8 [H, W], pixel for pixel with :attr:`rgb`."""
        return self._raw(2)

    @cached_property
    def segmentation(self) -> UInt16:
        """uint16 [H, W], pixel for pixel with :attr:`rgb`."""
        return self._raw(3)

    @cached_property
    def rgb_rect(self) -> UInt8:
        """uint8 [H, W, 3], without the lens: a pinhole's picture of the same size and K."""
        return self._rect(0)

    @cached_property
    def depth_rect(self) -> Float32:
        """float32 [H, W], metres, 0 unknown: pixel for pixel with :attr:`rgb_rect`."""
        return self._rect(1)

"""What every reader gives back: an RGB-D recording, posed or not, whose images load when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from spatia_ros.sequence.resize import crop_to_aspect, resize_depth, resize_rgb
from spatia_ros.types import Camera, Float32, Float64, Frame, Int64, SpatiaError, Trajectory, UInt8, check_array

Loader = Callable[[int], tuple[UInt8, Float32]]
"""Index -> (rgb uint8 [H, W, 3], depth float32 [H, W] in metres, 0 = unknown)."""

Poses = Literal["required", "any", "none"]
"""What a reader does about poses: refuses a recording without, takes them where there are any, or leaves them aside."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """An RGB-D recording.

    Args:
        name: what to call it in reports.
        camera: intrinsics of every frame.
        stamps_ns: int64 [N], strictly increasing colour times.
        T_world_cam: float64 [N, 4, 4]; all NaN where the recording has no poses (see :meth:`unposed`).
        load: reads the images of one frame.
        dropped: how many recorded images were left out, by reason.
        poses: the whole recorded camera path, where it is denser than the frames; None: it is not.
    """

    name: str
    camera: Camera
    stamps_ns: Int64
    T_world_cam: Float64
    load: Loader
    dropped: Mapping[str, int] = field(default_factory=dict)
    poses: Trajectory | None = None

    def __post_init__(self) -> None:
        check_array("sequence.stamps_ns", self.stamps_ns, (None,), "int64")
        check_array("sequence.T_world_cam", self.T_world_cam, (len(self.stamps_ns), 4, 4), "float64")
        if self.posed:
            self.trajectory()

    @classmethod
    def unposed(cls, name: str, camera: Camera, stamps_ns: Int64, load: Loader, dropped: Mapping[str, int]) -> Sequence:
        """A recording of which nobody knows where the camera was: its images can be had, its frames cannot."""
        return cls(name, camera, stamps_ns, np.full((len(stamps_ns), 4, 4), np.nan), load, dropped)

    @property
    def posed(self) -> bool:
        """Whether frames have poses."""
        return not (len(self.T_world_cam) and np.isnan(self.T_world_cam).all())

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def frame(self, index: int) -> Frame:
        """Frame ``index``, read now.

        Raises:
            SpatiaError: when the index is outside 0..N-1, an image is missing or malformed, or there are no poses.
        """
        self._check_posed()
        rgb, depth = self.images(index)
        return Frame(rgb, depth, self.camera, self.T_world_cam[index], int(self.stamps_ns[index]))

    def images(self, index: int) -> tuple[UInt8, Float32]:
        """Colour uint8 [H, W, 3] and depth float32 [H, W] (metres, 0 = unknown) of a frame, posed or not, read now."""
        if not 0 <= index < len(self):
            raise SpatiaError(f"sequence {self.name}: expected a frame index of 0..{len(self) - 1}, got {index}")
        return self.load(index)

    def _check_posed(self) -> None:
        if not self.posed:
            raise SpatiaError(f"sequence {self.name}: expected poses, got images alone: map it with tracked poses")

    def frames(self) -> Iterator[Frame]:
        """Every frame in order, read one at a time."""
        return (self.frame(i) for i in range(len(self)))

    def trajectory(self) -> Trajectory:
        """The camera path of all frames.

        Raises:
            SpatiaError: when there are no poses.
        """
        self._check_posed()
        return Trajectory(self.stamps_ns, self.T_world_cam)

    def resized(self, width: int, height: int) -> Sequence:
        """The same recording at another size: cropped centrally to the aspect ratio, then resized.

        Nothing is read here; each frame is resized when it is asked for.
        """
        if (width, height) == (self.camera.width, self.camera.height):
            return self
        left, top, crop_width, crop_height = crop_to_aspect(self.camera, width, height)
        rows, columns = slice(top, top + crop_height), slice(left, left + crop_width)
        original = self.load

        def load(index: int) -> tuple[UInt8, Float32]:
            rgb, depth = original(index)
            return resize_rgb(rgb[rows, columns], width, height), resize_depth(depth[rows, columns], width, height)

        camera = self.camera.cropped(left, top, crop_width, crop_height).resized(width, height)
        return replace(self, camera=camera, load=load)

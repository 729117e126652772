"""What every reader gives back: a posed RGB-D recording whose images load when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from spatia_ros.sequence.resize import crop_to_aspect, resize_depth, resize_rgb
from spatia_ros.types import Camera, Float32, Float64, Frame, Int64, SpatiaError, Trajectory, UInt8, check_array

Loader = Callable[[int], tuple[UInt8, Float32]]
"""Index -> (rgb uint8 [H, W, 3], depth float32 [H, W] in metres, 0 = unknown)."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A posed RGB-D recording.

    Args:
        name: what to call it in reports.
        camera: intrinsics of every frame.
        stamps_ns: int64 [N], strictly increasing colour times.
        T_world_cam: float64 [N, 4, 4].
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
        self.trajectory()

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def frame(self, index: int) -> Frame:
        """Frame ``index``, read now.

        Raises:
            SpatiaError: when the index is outside 0..N-1 or an image is missing or malformed.
        """
        if not 0 <= index < len(self):
            raise SpatiaError(f"sequence {self.name}: expected a frame index of 0..{len(self) - 1}, got {index}")
        rgb, depth = self.load(index)
        return Frame(rgb, depth, self.camera, self.T_world_cam[index], int(self.stamps_ns[index]))

    def frames(self) -> Iterator[Frame]:
        """Every frame in order, read one at a time."""
        return (self.frame(i) for i in range(len(self)))

    def trajectory(self) -> Trajectory:
        """The camera path of all frames."""
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

"""The nouns every module shares: frozen, slotted, checked where they are made.

Units are metres, seconds, nanoseconds and pixels, as the names say. Poses are ``T_dst_src``
(4x4, float64, maps src coordinates to dst); camera axes are OpenCV's (x right, y down, z
forward). Depth is z-depth in metres with 0 where nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]
UInt32 = npt.NDArray[np.uint32]
Float16 = npt.NDArray[np.float16]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

MAX_IMAGE_SIDE_PX = 8192
"""Larger images are refused: a size that big is a corrupt header more often than a camera."""
FOCAL_PX = (1e-3, 1e9)
MAX_PRINCIPAL_PX = 1e9
"""Intrinsics outside these are no camera's, and overflow single precision."""
MAX_POSITION_M = 1e9
"""Positions farther from the origin are no place's."""


class SpatiaError(ValueError):
    """Bad input or state. The message names the thing, what was expected, and what came."""


def check_array(name: str, array: Any, shape: tuple[int | None, ...], dtype: Any) -> None:
    """Raise :class:`SpatiaError` unless ``array`` has this dtype and shape (None = any size)."""
    got = (getattr(array, "dtype", type(array).__name__), getattr(array, "shape", "no shape"))
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        raise SpatiaError(f"{name}: expected {np.dtype(dtype)} {list(shape)}, got {got[0]} {got[1]}")
    if array.ndim != len(shape) or any(w is not None and w != g for w, g in zip(shape, array.shape, strict=True)):
        raise SpatiaError(f"{name}: expected shape {list(shape)}, got {list(array.shape)}")


def check_pose(name: str, T: Any) -> None:
    """Raise unless ``T`` is a finite rigid 4x4 float64 transform (orthonormal to 1e-4)."""
    check_array(name, T, (4, 4), np.float64)
    # Plain numbers: sixteen of them are checked several times a frame, and a dozen calls of NumPy take longer.
    rows = T.tolist()
    if not all(math.isfinite(value) for row in rows for value in row):
        raise SpatiaError(f"{name}: expected finite numbers, got NaN or infinity")
    (a0, a1, a2, x), (b0, b1, b2, y), (c0, c1, c2, z), last = rows
    lengths = a0 * a0 + a1 * a1 + a2 * a2, b0 * b0 + b1 * b1 + b2 * b2, c0 * c0 + c1 * c1 + c2 * c2
    cosines = a0 * b0 + a1 * b1 + a2 * b2, a0 * c0 + a1 * c1 + a2 * c2, b0 * c0 + b1 * c1 + b2 * c2
    volume = a0 * (b1 * c2 - b2 * c1) - a1 * (b0 * c2 - b2 * c0) + a2 * (b0 * c1 - b1 * c0)
    if max(abs(v - 1.0) for v in lengths) > 1e-4 or max(map(abs, cosines)) > 1e-4 or volume < 0:
        raise SpatiaError(f"{name}: expected a rotation (R R^T = I within 1e-4, det +1), got {T[:3, :3].tolist()}")
    if max(abs(v - w) for v, w in zip(last, (0.0, 0.0, 0.0, 1.0), strict=True)) > 1e-9:
        raise SpatiaError(f"{name}: expected last row 0 0 0 1, got {last}")
    if max(abs(x), abs(y), abs(z)) > MAX_POSITION_M:
        raise SpatiaError(f"{name}: expected a position within {MAX_POSITION_M:g} m of the origin, got {[x, y, z]}")


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera without distortion; pixel (0, 0) has its centre at (0.5, 0.5).

    Args:
        width, height: image size, px.
        fx, fy: focal lengths, px.
        cx, cy: principal point in px, in the frame where pixel centres are at +0.5. ROS and
            OpenCV calibrations put centres at integers: use :meth:`from_calibration` for those.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        for side in (self.width, self.height):
            if not 1 <= side <= MAX_IMAGE_SIDE_PX:
                raise SpatiaError(f"camera: expected image sides of 1..{MAX_IMAGE_SIDE_PX} px, got {self.width}x{self.height}")
        values = (self.fx, self.fy, self.cx, self.cy)
        if not np.isfinite(values).all() or self.fx <= 0 or self.fy <= 0:
            raise SpatiaError(f"camera: expected finite intrinsics with positive focal lengths, got {values}")
        if not (FOCAL_PX[0] <= min(self.fx, self.fy) and max(self.fx, self.fy) <= FOCAL_PX[1]):
            raise SpatiaError(f"camera: expected focal lengths of {FOCAL_PX[0]:g}..{FOCAL_PX[1]:g} px, got {values[:2]}")
        if max(abs(self.cx), abs(self.cy)) > MAX_PRINCIPAL_PX:
            raise SpatiaError(f"camera: expected a principal point within {MAX_PRINCIPAL_PX:g} px, got {values[2:]}")

    @classmethod
    def from_calibration(cls, width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> Camera:
        """From a calibration with pixel centres at integers (ROS CameraInfo, OpenCV, TUM)."""
        return cls(width, height, fx, fy, cx + 0.5, cy + 0.5)

    @classmethod
    def from_fov(cls, width: int, height: int, hfov_rad: float) -> Camera:
        """Square pixels, principal point in the middle, horizontal field of view in radians."""
        f = width / (2.0 * np.tan(hfov_rad / 2.0))
        return cls(width, height, float(f), float(f), width / 2.0, height / 2.0)

    def calibration(self) -> tuple[float, float, float, float]:
        """``(fx, fy, cx, cy)`` with pixel centres at integers, as CameraInfo.k wants them."""
        return self.fx, self.fy, self.cx - 0.5, self.cy - 0.5

    def resized(self, width: int, height: int) -> Camera:
        """The same view sampled at another resolution (a resize, not a crop)."""
        sx, sy = width / self.width, height / self.height
        return Camera(width, height, self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy)

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """The camera of the window ``[top:top+height, left:left+width]`` of this image."""
        return Camera(width, height, self.fx, self.fy, self.cx - left, self.cy - top)

    @property
    def K(self) -> Float64:
        """3x3 intrinsic matrix, pixel centres at +0.5."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)


@dataclass(frozen=True, slots=True)
class Frame:
    """One posed RGB-D observation, real or generated.

    Args:
        rgb: uint8 [H, W, 3].
        depth: float32 [H, W], z-depth in metres, 0 = unknown.
        camera: intrinsics of both (depth is registered to colour).
        T_world_cam: float64 [4, 4].
        stamp_ns: time of exposure.
    """

    rgb: UInt8
    depth: Float32
    camera: Camera
    T_world_cam: Float64
    stamp_ns: int = 0

    def __post_init__(self) -> None:
        h, w = self.camera.height, self.camera.width
        check_array("frame.rgb", self.rgb, (h, w, 3), np.uint8)
        check_array("frame.depth", self.depth, (h, w), np.float32)
        check_pose("frame.T_world_cam", self.T_world_cam)
        low, high = float(self.depth.min()), float(self.depth.max())
        if not (low >= 0.0 and np.isfinite(high)):
            raise SpatiaError(f"frame.depth: expected finite metres >= 0 (0 = unknown), got range {low}..{high}")


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A timed camera path.

    Args:
        stamps_ns: int64 [T], strictly increasing.
        T_world_cam: float64 [T, 4, 4].
    """

    stamps_ns: Int64
    T_world_cam: Float64

    def __post_init__(self) -> None:
        check_array("trajectory.stamps_ns", self.stamps_ns, (None,), np.int64)
        check_array("trajectory.T_world_cam", self.T_world_cam, (len(self.stamps_ns), 4, 4), np.float64)
        if len(self.stamps_ns) == 0:
            raise SpatiaError("trajectory: expected at least one pose, got none")
        if (np.diff(self.stamps_ns) <= 0).any():
            raise SpatiaError("trajectory.stamps_ns: expected strictly increasing times")
        for i, T in enumerate(self.T_world_cam):
            check_pose(f"trajectory.T_world_cam[{i}]", T)

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def times_s(self) -> Float64:
        """float64 [T], the same times in seconds."""
        return np.asarray(self.stamps_ns * 1e-9, np.float64)

    def clips(self, length: int) -> Iterator[Trajectory]:
        """Consecutive pieces of at most ``length`` poses."""
        for i in range(0, len(self), length):
            yield Trajectory(self.stamps_ns[i : i + length], self.T_world_cam[i : i + length])


@dataclass(frozen=True, slots=True)
class Doubted:
    """What memory holds at a camera and doubts to be in sight: most of the way to it was never seen to be empty.

    Args:
        rgb: uint8 [H, W, 3], 0 where there is none.
        depth: float32 [H, W], metres, 0 where there is none.
    """

    rgb: UInt8
    depth: Float32

    def __post_init__(self) -> None:
        h, w = self.depth.shape
        check_array("doubted.rgb", self.rgb, (h, w, 3), np.uint8)
        check_array("doubted.depth", self.depth, (h, w), np.float32)

    @property
    def there(self) -> Bool:
        """bool [H, W], where there is such a surface."""
        return self.depth > 0


@dataclass(frozen=True, slots=True)
class View:
    """What memory shows at one camera.

    Args:
        rgb: uint8 [H, W, 3], 0 where nothing is remembered.
        depth: float32 [H, W], metres, 0 where nothing is remembered.
        coverage: bool [H, W], true where memory shows a surface.
        sensed: float32 [H, W] in 0..1, how far the pixel goes back to a sensor (1) or to an
            earlier invention (0); 0 outside coverage.
        age_s: float32 [H, W], seconds since the surface was last seen; 0 outside coverage.
        doubted: surfaces outside coverage that may be in sight; None: none.
    """

    rgb: UInt8
    depth: Float32
    coverage: Bool
    sensed: Float32
    age_s: Float32
    doubted: Doubted | None = None

    def __post_init__(self) -> None:
        h, w = self.depth.shape
        check_array("view.rgb", self.rgb, (h, w, 3), np.uint8)
        check_array("view.depth", self.depth, (h, w), np.float32)
        check_array("view.coverage", self.coverage, (h, w), np.bool_)
        check_array("view.sensed", self.sensed, (h, w), np.float32)
        check_array("view.age_s", self.age_s, (h, w), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ActorState:
    """Where an actor is at one moment.

    Args:
        id: 1..65535, its number in :attr:`Step.segmentation`. name: unique in its cast. kind: what it is, in a word.
        T_world_actor: float64 [4, 4]. low, high: float64 [3], its world-axis box, m.
        velocity: float64 [3], of its origin, m/s of the world's time. tau_s: the time its body shows.
    """

    id: int
    name: str
    kind: str
    T_world_actor: Float64
    low: Float64
    high: Float64
    velocity: Float64
    tau_s: float


UNJUDGED = 255
"""Verdict of a new pixel of a frame that is shown before it is verified."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one :meth:`World.advance` gives back, T frames along the commanded path.

    Args:
        index: number of the first frame since the world began.
        seed: the world's seed.
        trajectory: the T poses the frames were made from.
        camera: intrinsics of every frame.
        rgb: uint8 [T, H, W, 3], actors and all.
        depth: float32 [T, H, W], metres, 0 = unknown; actors and all.
        coverage: bool [T, H, W], what memory showed before generation: of the static world, whatever stands before it.
        provenance: uint8 [T, H, W], 255 = remembered from a sensor .. 0 = invented now. An actor's pixels are 255 (it is
            there), those that the generator completed of it 0.
        verdict: uint8 [T, H, W], what became of each pixel of the static world: 0 remembered (by the time the frame was
            verified), 1 accepted into memory, above: why not (its place in :data:`spatia_ros.slam.verify.REASONS`); UNJUDGED:
            the frame has not been verified yet.
        segmentation: uint16 [T, H, W], the actor each pixel shows, 0 = the static world.
        animation_s: float64 [T], what the cast's clock shows, seconds from the world's start.
        actors: for each frame the actors that are there, in view or not, by number.
        figures: scalar measures of this step by name (latencies in ms, ratios, counts).
    """

    index: int
    seed: int
    trajectory: Trajectory
    camera: Camera
    rgb: UInt8
    depth: Float32
    coverage: Bool
    provenance: UInt8
    verdict: UInt8
    segmentation: UInt16
    animation_s: Float64
    actors: tuple[tuple[ActorState, ...], ...]
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        t, h, w = len(self.trajectory), self.camera.height, self.camera.width
        check_array("step.rgb", self.rgb, (t, h, w, 3), np.uint8)
        check_array("step.depth", self.depth, (t, h, w), np.float32)
        check_array("step.coverage", self.coverage, (t, h, w), np.bool_)
        check_array("step.provenance", self.provenance, (t, h, w), np.uint8)
        check_array("step.verdict", self.verdict, (t, h, w), np.uint8)
        check_array("step.segmentation", self.segmentation, (t, h, w), np.uint16)
        check_array("step.animation_s", self.animation_s, (t,), np.float64)
        if len(self.actors) != t:
            raise SpatiaError(f"step.actors: expected those of {t} frames, got {len(self.actors)}")

    def frames(self) -> Iterator[Frame]:
        """The generated RGB-D frames, one by one, with the actors in them."""
        for t in range(len(self.trajectory)):
            yield Frame(
                self.rgb[t], self.depth[t], self.camera,
                self.trajectory.T_world_cam[t], int(self.trajectory.stamps_ns[t]),
            )

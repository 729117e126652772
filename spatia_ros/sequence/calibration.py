"""Camera calibrations as ROS writes them (camera.yaml, CameraInfo), and taking distortion out of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from spatia_ros.formats.plain_yaml import read_yaml_file
from spatia_ros.types import Camera, Float32, Float64, SpatiaError, UInt8

MAX_CALIBRATION_BYTES = 1 << 20
_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A pinhole camera and its distortion.

    Args:
        camera: intrinsics, pixel centres at +0.5; undistorted images keep them.
        model: distortion model by its ROS name.
        coefficients: float64 [n], empty or all zero for none.
        depth_scale: metres = stored depth value / depth_scale.
        depth_delay_s: depth is exposed this long before colour of the same stamp (see :mod:`.delay`).
    """

    camera: Camera
    model: str = "plumb_bob"
    coefficients: Float64 = field(default_factory=lambda: np.zeros(0))
    depth_scale: float = 1.0
    depth_delay_s: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.coefficients).all():
            raise SpatiaError(f"distortion: expected finite coefficients, got {self.coefficients.tolist()}")
        if self.distorted and len(self.coefficients) not in _COEFFICIENTS.get(self.model, ()):
            known = ", ".join(f"{name} ({' or '.join(map(str, n))})" for name, n in _COEFFICIENTS.items())
            raise SpatiaError(f"distortion: expected {known} coefficients, got {self.model!r} with {len(self.coefficients)}")
        if not (np.isfinite(self.depth_scale) and self.depth_scale > 0):
            raise SpatiaError(f"depth_scale: expected a positive number, got {self.depth_scale}")

    @property
    def distorted(self) -> bool:
        """Whether any coefficient is not zero."""
        return bool(np.any(self.coefficients))

    def undistortion(self) -> Undistortion | None:
        """The pixel maps that take the distortion out; None when there is none."""
        if not self.distorted:
            return None
        fx, fy, cx, cy = self.camera.calibration()
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        size = (self.camera.width, self.camera.height)
        init = cv2.fisheye.initUndistortRectifyMap if self.model == "equidistant" else cv2.initUndistortRectifyMap
        columns, rows = init(K, self.coefficients, np.eye(3), K, size, cv2.CV_32FC1)
        return Undistortion(np.asarray(columns, np.float32), np.asarray(rows, np.float32))


@dataclass(frozen=True, slots=True)
class Undistortion:
    """Where each undistorted pixel lies in the distorted image: float32 [H, W] columns and rows."""

    columns: Float32
    rows: Float32

    def rgb(self, image: UInt8) -> UInt8:
        """Bilinear; black beyond the distorted image."""
        return np.asarray(cv2.remap(image, self.columns, self.rows, cv2.INTER_LINEAR), np.uint8)

    def depth(self, image: Float32) -> Float32:
        """Nearest, so that depths never mix; 0 beyond the distorted image."""
        return np.asarray(cv2.remap(image, self.columns, self.rows, cv2.INTER_NEAREST), np.float32)


def read_camera_yaml(path: Path) -> Calibration:
    """A ROS camera calibration file with ``depth_scale`` and, where it is known, ``depth_delay_s`` added.

    Raises:
        SpatiaError: naming the file and the key, what was expected and what came.
    """
    if not path.is_file():
        raise SpatiaError(f"{path}: expected a ROS camera calibration with depth_scale added, found none")
    values = read_yaml_file(path, MAX_CALIBRATION_BYTES)
    if not isinstance(values, dict):
        raise SpatiaError(f"{path}: expected a mapping, got {type(values).__name__}")
    try:
        return _calibration(values)
    except SpatiaError as error:
        raise SpatiaError(f"{path}: {error}") from None


def _calibration(values: dict[str, Any]) -> Calibration:
    width, height = _number(values, "image_width"), _number(values, "image_height")
    if width != int(width) or height != int(height):
        raise SpatiaError(f"image_width, image_height: expected whole numbers, got {width} and {height}")
    K = _numbers(values, "camera_matrix")
    if len(K) != 9:
        raise SpatiaError(f"camera_matrix.data: expected 9 numbers, got {len(K)}")
    coefficients = _numbers(values, "distortion_coefficients") if "distortion_coefficients" in values else []
    return Calibration(
        Camera.from_calibration(int(width), int(height), K[0], K[4], K[2], K[5]),
        str(values.get("distortion_model", "plumb_bob")),
        np.array(coefficients, np.float64),
        _number(values, "depth_scale"),
        _number(values, "depth_delay_s") if "depth_delay_s" in values else 0.0,
    )


def _number(values: dict[str, Any], key: str) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise SpatiaError(f"{key}: expected a finite number, got {value!r}")
    return float(value)


def _numbers(values: dict[str, Any], key: str) -> list[float]:
    matrix = values.get(key)
    data = matrix.get("data") if isinstance(matrix, dict) else None
    if not isinstance(data, list) or len(data) > 64:
        raise SpatiaError(f"{key}: expected a mapping with a list of numbers under data, got {matrix!r:.200}")
    return [_number({key: value}, key) for value in data]

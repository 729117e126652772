"""Camera files of Spatia's release: ``w2c.txt`` and ``intrinsics.txt``.

``w2c.txt`` has one camera a line as a JSON list of lists, 4x4 or 3x4: the world in the camera's axes (OpenCV's), which is
our ``T_cam_world``. There is no time in it. ``intrinsics.txt`` holds ``[fx fy cx cy]``, x by the image's width and y by its
height, so that one file serves every resolution.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from spatia_ros.geometry import inverse
from spatia_ros.sequence.tum import read_poses
from spatia_ros.types import Camera, Float64, SpatiaError, Trajectory, check_array, check_pose

MAX_BYTES = 1 << 28
MAX_SKEW = 1e-2
"""A rotation written with few digits is made one again; one farther off than this is none."""


def read_camera_path(path: Path, rate_hz: float, start_ns: int = 0) -> Trajectory:
    """A camera path of either kind: lines of TUM poses, with their own times, or of w2c matrices.

    Args:
        rate_hz: frames a second of a file without times; the first comes one period after ``start_ns``.

    Raises:
        SpatiaError: naming the file and line, what was expected and what came.
    """
    if not is_w2c(path):
        return read_poses(path)
    T_world_cam = read_w2c(path)
    stamps_ns = start_ns + np.round(np.arange(1, len(T_world_cam) + 1) * 1e9 / rate_hz).astype(np.int64)
    return Trajectory(stamps_ns, T_world_cam)


def is_w2c(path: Path) -> bool:
    """Whether the first line that says anything begins like JSON."""
    if not path.is_file():
        raise SpatiaError(f"{path}: expected a file with camera poses, found none")
    with path.open("rb") as file:
        return file.read(4096).lstrip().startswith(b"[")


def read_w2c(path: Path) -> Float64:
    """``T_world_cam`` float64 [N, 4, 4] of a w2c file.

    Raises:
        SpatiaError: naming the file and line, what was expected and what came.
    """
    lines = _text(path).splitlines()
    poses = [_pose(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not poses:
        raise SpatiaError(f"{path}: expected at least one camera, got none")
    return np.stack(poses)


def _pose(line: str, where: str) -> Float64:
    try:
        T_cam_world = np.array(json.loads(line, parse_constant=_refused), np.float64)
    except (ValueError, TypeError, RecursionError):
        raise SpatiaError(f"{where}: expected a JSON matrix of 3x4 or 4x4 numbers, got {line[:60]!r}") from None
    if T_cam_world.shape not in ((3, 4), (4, 4)):
        raise SpatiaError(f"{where}: expected a matrix of 3x4 or 4x4 numbers, got {list(T_cam_world.shape)}")
    T = np.concatenate([T_cam_world[:3], [[0.0, 0.0, 0.0, 1.0]]])
    if len(T_cam_world) == 4 and np.abs(T_cam_world[3] - T[3]).max() > 1e-6:
        raise SpatiaError(f"{where}: expected last row 0 0 0 1, got {T_cam_world[3].tolist()}")
    if not np.isfinite(T).all() or np.abs(T[:3, :3]).max() > 2.0:
        raise SpatiaError(f"{where}: expected a rotation and a position, got {T_cam_world.tolist()}")
    u, _, vt = np.linalg.svd(T[:3, :3])
    if np.abs(u @ vt - T[:3, :3]).max() > MAX_SKEW or np.linalg.det(u @ vt) < 0:
        raise SpatiaError(f"{where}: expected a rotation, got {T[:3, :3].tolist()}")
    T[:3, :3] = u @ vt
    check_pose(where, T)
    return inverse(T)


def _refused(word: str) -> float:
    raise ValueError(word)


def w2c_text(T_world_cam: Float64) -> str:
    """The lines of a w2c file for poses [N, 4, 4]; reading them gives the same poses to the last digit but one."""
    check_array("T_world_cam", T_world_cam, (None, 4, 4), np.float64)
    return "".join(json.dumps(inverse(T).tolist()) + "\n" for T in T_world_cam)


def read_intrinsics(path: Path, width: int, height: int) -> Camera:
    """The camera of an intrinsics file at a size in px.

    Raises:
        SpatiaError: naming the file, what was expected and what came.
    """
    text = _text(path)
    words = text.replace("[", " ").replace("]", " ").replace(",", " ").split()
    try:
        fx, fy, cx, cy = (float(word) for word in words)
    except ValueError:
        raise SpatiaError(f"{path}: expected [fx fy cx cy] by width and height, got {text[:60]!r}") from None
    return Camera(width, height, fx * width, fy * height, cx * width, cy * height)


def intrinsics_text(camera: Camera) -> str:
    """What an intrinsics file says of a camera."""
    w, h = camera.width, camera.height
    return f"[{camera.fx / w!r} {camera.fy / h!r} {camera.cx / w!r} {camera.cy / h!r}]\n"


def _text(path: Path) -> str:
    if not path.is_file():
        raise SpatiaError(f"{path}: expected a file, found none")
    if path.stat().st_size > MAX_BYTES:
        raise SpatiaError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    return path.read_text(encoding="utf-8", errors="replace")

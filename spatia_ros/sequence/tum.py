"""Reading the TUM RGB-D layout: rgb.txt, depth.txt, groundtruth.txt and camera.yaml beside their images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from spatia_ros.geometry import pose_from_quat
from spatia_ros.sequence.associate import associate, poses_at
from spatia_ros.sequence.calibration import Calibration, read_camera_yaml
from spatia_ros.sequence.delay import with_depth_delay
from spatia_ros.sequence.image_file import decode_depth, decode_rgb, read_bytes
from spatia_ros.sequence.sequence import Loader, Poses, Sequence
from spatia_ros.types import Float32, Int64, SpatiaError, Trajectory, UInt8

MAX_LIST_BYTES = 1 << 28
MAX_STAMP_S = 9_000_000_000
_log = logging.getLogger(__name__)


def read_tum(folder: Path | str, poses: Poses = "required") -> Sequence:
    """The recording in a TUM RGB-D folder (Sturm et al., IROS 2012, with a ROS camera.yaml).

    Colour and depth are matched one to one by time (20 ms at most); a frame takes the pose
    interpolated at its colour stamp. Frames without depth or pose are dropped and counted.

    Args:
        poses: see :data:`spatia_ros.sequence.sequence.Poses`; a depth delay is taken out only where there are poses.

    Raises:
        SpatiaError: naming the file and line, what was expected and what came.
    """
    folder = Path(folder)
    calibration = read_camera_yaml(folder / "camera.yaml")
    colour_ns, colour = _image_list(folder, "rgb.txt")
    depth_ns, depth = _image_list(folder, "depth.txt")
    pairs = associate(colour_ns, depth_ns)
    if poses == "none" or (poses == "any" and not (folder / "groundtruth.txt").is_file()):
        return _unposed(folder, calibration, colour_ns, colour, depth, pairs)
    path = read_poses(folder / "groundtruth.txt")
    T_world_cam, tracked = poses_at(path, colour_ns[pairs[:, 0]])
    dropped = {"without depth": len(colour) - len(pairs), "without pose": int((~tracked).sum())}
    pairs = pairs[tracked]
    if not len(pairs):
        raise SpatiaError(
            f"{folder}: expected frames with colour, depth and pose at one time, got none: of {len(colour)} images {dropped}"
        )
    if any(dropped.values()):
        _log.warning("%s: %d of %d colour images dropped: %s", folder, len(colour) - len(pairs), len(colour), dropped)
    files = [(colour[i], depth[j]) for i, j in pairs]
    stamps_ns, load = colour_ns[pairs[:, 0]], image_loader(files, calibration)
    sequence = Sequence(folder.resolve().name, calibration.camera, stamps_ns, T_world_cam, load, dropped, path)
    return with_depth_delay(sequence, calibration.depth_delay_s)


def _unposed(
    folder: Path, calibration: Calibration, colour_ns: Int64, colour: list[Path], depth: list[Path], pairs: Int64
) -> Sequence:
    """The images of a folder whose poses are not asked for."""
    if not len(pairs):
        raise SpatiaError(f"{folder}: expected frames with colour and depth at one time, got none of {len(colour)} images")
    load = image_loader([(colour[i], depth[j]) for i, j in pairs], calibration)
    dropped = {"without depth": len(colour) - len(pairs)}
    return Sequence.unposed(folder.resolve().name, calibration.camera, colour_ns[pairs[:, 0]], load, dropped)


def read_poses(path: Path) -> Trajectory:
    """Camera poses from lines ``t tx ty tz qx qy qz qw`` (T_world_cam, OpenCV axes, metres, seconds).

    Raises:
        SpatiaError: naming the file and line, what was expected and what came.
    """
    stamps: list[int] = []
    poses = []
    for where, words in _lines(path):
        if len(words) != 8:
            raise SpatiaError(f"{where}: expected t tx ty tz qx qy qz qw, got {len(words)} words")
        try:
            values = np.array([float(word) for word in words[1:]])
        except ValueError:
            raise SpatiaError(f"{where}: expected t tx ty tz qx qy qz qw, got {' '.join(words)!r}") from None
        stamps.append(_later(stamps, _stamp_ns(words[0], where), where))
        poses.append(pose_from_quat(values[:3], values[3:], where))
    if not stamps:
        raise SpatiaError(f"{path}: expected at least one pose, got none")
    return Trajectory(np.array(stamps, np.int64), np.stack(poses))


def _image_list(folder: Path, name: str) -> tuple[Int64, list[Path]]:
    root = folder.resolve()
    stamps: list[int] = []
    files = []
    for where, words in _lines(folder / name):
        if len(words) != 2:
            raise SpatiaError(f"{where}: expected a time and a file name, got {len(words)} words")
        try:
            file = (root / words[1]).resolve()
        except (ValueError, OSError):  # a NUL; a name that is too long
            file = root.parent
        if not file.is_relative_to(root):
            raise SpatiaError(f"{where}: expected a path inside {folder}, got {words[1]!r:.200}")
        stamps.append(_later(stamps, _stamp_ns(words[0], where), where))
        files.append(file)
    if not files:
        raise SpatiaError(f"{folder / name}: expected at least one image, got none")
    return np.array(stamps, np.int64), files


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """``("file:line", words)`` of every line that is neither empty nor a comment."""
    if not path.is_file():
        raise SpatiaError(f"{path}: expected a file, found none")
    if path.stat().st_size > MAX_LIST_BYTES:
        raise SpatiaError(f"{path}: expected at most {MAX_LIST_BYTES} bytes, got {path.stat().st_size}")
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if words and not words[0].startswith("#"):
                yield f"{path}:{number}", words


def _stamp_ns(text: str, where: str) -> int:
    """Nanoseconds of decimal seconds, without the rounding of a float."""
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        raise SpatiaError(f"{where}: expected a time in seconds, got {text!r}") from None
    if not (seconds.is_finite() and 0 <= seconds <= MAX_STAMP_S):
        raise SpatiaError(f"{where}: expected a time of 0..{MAX_STAMP_S} s, got {text!r}")
    return int((seconds * 10**9).to_integral_value())


def _later(stamps: list[int], stamp_ns: int, where: str) -> int:
    if stamps and stamp_ns <= stamps[-1]:
        raise SpatiaError(f"{where}: expected a time after {stamps[-1] * 1e-9:.9f} s, got {stamp_ns * 1e-9:.9f} s")
    return stamp_ns


def image_loader(files: list[tuple[Path, Path]], calibration: Calibration) -> Loader:
    """Reads colour and depth image files of one calibration, undistorted."""
    camera, undistortion = calibration.camera, calibration.undistortion()

    def load(index: int) -> tuple[UInt8, Float32]:
        colour, depth = files[index]
        rgb = decode_rgb(read_bytes(colour), str(colour), camera.width, camera.height)
        units = decode_depth(read_bytes(depth), str(depth), camera.width, camera.height)
        metres = units.astype(np.float32) / np.float32(calibration.depth_scale)
        return (rgb, metres) if undistortion is None else (undistortion.rgb(rgb), undistortion.depth(metres))

    return load

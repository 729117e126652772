"""Reading a plain folder of colour and depth images: no times, no poses, an intrinsics file.

```
room/
  rgb/ or color/ or colour/ or image/    PNG or JPEG
  depth/                                 16-bit PNG, as many, in the same order of names
  camera.yaml | intrinsic.json | camera_intrinsic.json | intrinsics.txt | camera-intrinsics.txt | camera_intrinsics.txt
```
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from spatia_ros.sequence.calibration import Calibration, read_camera_yaml
from spatia_ros.sequence.image_file import image_size, read_bytes
from spatia_ros.sequence.sequence import Sequence
from spatia_ros.sequence.tum import image_loader
from spatia_ros.types import Camera, SpatiaError

COLOURS = ("rgb", "color", "colour", "image")
SUFFIXES = (".png", ".jpg", ".jpeg")
JSONS = ("intrinsic.json", "camera_intrinsic.json", "intrinsics.json")
MATRICES = ("intrinsics.txt", "intrinsic.txt", "camera-intrinsics.txt", "camera_intrinsics.txt")
DEPTH_SCALE = 1000.0
RATE_HZ = 30
"""Assumed: such folders do not say when an image was taken, and no step depends on it."""
MAX_BYTES = 1 << 20


def is_image_folder(path: Path) -> bool:
    """Whether a folder looks like one: images of both kinds beside each other."""
    return (path / "depth").is_dir() and any((path / name).is_dir() for name in COLOURS)


def read_folder(folder: Path | str) -> Sequence:
    """The images of a folder as an unposed recording at an assumed 30 Hz.

    Raises:
        SpatiaError: when images or intrinsics are missing, or there are not as many of one kind as of the other.
    """
    folder = Path(folder)
    colour = _images(next((folder / name for name in COLOURS if (folder / name).is_dir()), folder / "rgb"))
    depth = _images(folder / "depth")
    if len(colour) != len(depth) or not colour:
        raise SpatiaError(f"{folder}: expected as many colour as depth images, got {len(colour)} and {len(depth)}")
    calibration = _calibration(folder, colour[0])
    stamps = (np.arange(len(colour)) * 1_000_000_000 // RATE_HZ).astype(np.int64)
    load = image_loader(list(zip(colour, depth, strict=True)), calibration)
    return Sequence.unposed(folder.resolve().name, calibration.camera, stamps, load, {})


def _images(folder: Path) -> list[Path]:
    """Image files in the order a person would count them: frame_2 before frame_10."""
    files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES] if folder.is_dir() else []
    return sorted(files, key=lambda p: [int(w) if w.isdecimal() else w for w in re.split(r"(\d+)", p.name)])


def _calibration(folder: Path, first: Path) -> Calibration:
    if (folder / "camera.yaml").is_file():
        return read_camera_yaml(folder / "camera.yaml")
    width, height = image_size(read_bytes(first), str(first))
    for name in (*JSONS, *MATRICES):
        path = folder / name
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            fx, fy, cx, cy, scale = _json(path) if name in JSONS else (*_matrix(path), DEPTH_SCALE)
            return Calibration(Camera.from_calibration(width, height, fx, fy, cx, cy), depth_scale=scale)
    known = ", ".join(("camera.yaml", *JSONS, *MATRICES))
    raise SpatiaError(f"{folder}: expected the camera's intrinsics in one of {known}, found none")


def _json(path: Path) -> tuple[float, float, float, float, float]:
    """As Open3D writes it: intrinsic_matrix, column by column; depth_scale may stand beside it."""
    try:
        values = json.loads(path.read_text())
        K = np.array(values["intrinsic_matrix"], np.float64).reshape(3, 3).T
        scale = float(values.get("depth_scale", DEPTH_SCALE))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise SpatiaError(f"{path}: expected intrinsic_matrix with 9 numbers, got {type(error).__name__}: {error}") from None
    return float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]), scale


def _matrix(path: Path) -> tuple[float, float, float, float]:
    """A matrix of 3 x 3 (or 4 x 4) numbers, or fx fy cx cy."""
    try:
        text = path.read_text(errors="replace")
        values = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        raise SpatiaError(f"{path}: expected numbers alone, got {text[:80]!r}") from None
    if values.size not in (4, 9, 16):
        raise SpatiaError(f"{path}: expected 3 x 3 numbers, or fx fy cx cy, got {values.size} numbers")
    if values.size == 4:
        fx, fy, cx, cy = values.tolist()
        return fx, fy, cx, cy
    K = values.reshape(round(values.size**0.5), -1)
    return float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])

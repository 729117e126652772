"""A keyframe as the parts of a record, every number as it is: a text, then its images, compressed."""

from __future__ import annotations

import json
import zlib

import numpy as np

from spatia_ros.memory.keyframes import Keyframe
from spatia_ros.memory.log import Log
from spatia_ros.types import Camera, SpatiaError, check_pose

KEYFRAME = b"KEYF"
MOST_PIXELS = 1 << 26
IMAGES = {
    "rgb": (np.uint8, 3), "depth": (np.float32, 1), "sensed": (np.bool_, 1), "masked": (np.bool_, 1), "clear_m": (np.float32, 1),
}  # fmt: skip
"""Kind of each image's numbers and how many there are a pixel; the last two may be missing."""


def encode(keyframe: Keyframe) -> list[bytes | np.ndarray]:
    """The parts of a keyframe's record."""
    c = keyframe.camera
    images = {name: image for name in IMAGES if (image := getattr(keyframe, name)) is not None}
    text = {
        "camera": [c.width, c.height, c.fx, c.fy, c.cx, c.cy], "T_world_cam": keyframe.T_world_cam.tolist(),
        "stamp_ns": keyframe.stamp_ns, "images": list(images),
    }  # fmt: skip
    return [json.dumps(text).encode(), *(zlib.compress(np.ascontiguousarray(image).tobytes(), 1) for image in images.values())]


def decode(log: Log, offset: int) -> Keyframe:
    """The keyframe in the record at an offset.

    Raises:
        SpatiaError: when the record is damaged or is no keyframe.
    """
    record, where = log.record(offset), f"{log.path}: the keyframe at byte {offset}"
    if record.kind != KEYFRAME or not record.starts:
        raise SpatiaError(f"{where}: expected a keyframe record, got {record.kind!r}")
    parts = [log.part(record, i).tobytes() for i in range(len(record.starts))]
    try:
        text = json.loads(parts[0])
        width, height, *intrinsics = text["camera"]
        camera = Camera(int(width), int(height), *map(float, intrinsics))
        names = text["images"]
        if camera.width * camera.height > MOST_PIXELS or not set(names) <= IMAGES.keys() or len(names) != len(parts) - 1:
            raise ValueError(f"got images {names} of {width} x {height}")
        images = {name: _image(name, part, camera) for name, part in zip(names, parts[1:], strict=True)}
        T = np.array(text["T_world_cam"], np.float64)
        check_pose("T_world_cam", T)
        depth = images["depth"]
        if not (np.isfinite(depth).all() and (depth >= 0).all()):
            raise ValueError("depth is not finite metres >= 0")
        return Keyframe(
            images["rgb"], depth, images["sensed"], camera, T, int(text["stamp_ns"]), images.get("masked"), images.get("clear_m")
        )
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error, RecursionError) as error:
        raise SpatiaError(f"{where} is not usable: {error}") from None


def _image(name: str, data: bytes, camera: Camera) -> np.ndarray:
    dtype, channels = IMAGES[name]
    expected = camera.width * camera.height * channels * np.dtype(dtype).itemsize
    raw = zlib.decompressobj().decompress(data, expected + 1)
    if len(raw) != expected:
        raise ValueError(f"{name}: expected {expected} bytes, got {len(raw)}")
    values = np.frombuffer(raw, np.uint8) > 0 if dtype is np.bool_ else np.frombuffer(raw, dtype)
    return values.reshape((camera.height, camera.width, 3) if channels == 3 else (camera.height, camera.width))

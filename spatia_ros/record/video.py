"""H.264 video that every browser plays."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from spatia_ros.record.files import replacing
from spatia_ros.types import SpatiaError, UInt8


def write_video(path: Path, frames: Iterable[UInt8], rate_hz: float, crf: int = 20) -> None:
    """Write frames (uint8 [H, W, 3]) as mp4, H.264 in yuv420p; the file appears only when all of it is written.

    Odd sizes lose their last row or column, which yuv420p cannot hold.

    Args:
        rate_hz: frames per second. crf: 18 is close to lossless, 28 is small.

    Raises:
        SpatiaError: when there is no frame, when sizes differ, or when the ending is not .mp4.
    """
    if path.suffix != ".mp4":
        raise SpatiaError(f"video: expected a file ending in .mp4, got {path}")
    shape: tuple[int, ...] | None = None
    with replacing(path) as temporary, av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf), "preset": "fast"}
        for rgb in frames:
            if shape is None:
                shape, stream.width, stream.height = rgb.shape, rgb.shape[1] & ~1, rgb.shape[0] & ~1
            if rgb.shape != shape:
                raise SpatiaError(f"video {path}: expected frames of {list(shape)}, got {list(rgb.shape)}")
            even = np.ascontiguousarray(rgb[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        if shape is None:
            raise SpatiaError(f"video {path}: expected at least one frame, got none")
        container.mux(stream.encode())

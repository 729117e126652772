"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from spatia_ros.types import SpatiaError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` (same ending) that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    temporary.unlink(missing_ok=True)  # a link that somebody put there is not written through
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, values: Any) -> None:
    """Write readable JSON, atomically.

    Raises:
        SpatiaError: on values JSON has no word for (NaN and infinity among them).
    """
    try:
        text = json.dumps(values, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SpatiaError(f"{path}: expected plain finite values, got ones JSON cannot hold: {error}") from None
    write_text(path, text + "\n")


def encode_png(image: np.ndarray) -> bytes:
    """PNG of uint8 [H, W, 3] (RGB), uint8 [H, W] or uint16 [H, W]."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    # Level 1 is several times faster than the default, and files are a fifth larger.
    return _encode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def encode_jpeg(rgb: np.ndarray, quality: int = 88) -> bytes:
    """JPEG of uint8 [H, W, 3] (RGB)."""
    return _encode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(ending: str, image: np.ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(ending, np.ascontiguousarray(image), options)
    if not done:
        raise SpatiaError(f"image: expected one that {ending} can hold, got {image.dtype} {list(image.shape)}")
    return data.tobytes()

"""Pictures out of ROS image messages: every encoding, and what is refused."""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from spatia_ros.sequence.ros_image import depth_of, holds_depth, rgb_of
from spatia_ros.types import SpatiaError


def image(encoding: str, pixels: np.ndarray, **changes: Any) -> SimpleNamespace:
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    fields = {"width": 3, "height": 2, "encoding": encoding, "is_bigendian": 0, "step": len(data) // 2, "data": data}
    return SimpleNamespace(**{**fields, **changes})


def test_encodings() -> None:
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(rgb_of(image("rgb8", rgb), "i", 3, 2), rgb)
    np.testing.assert_array_equal(rgb_of(image("bgr8", rgb[..., ::-1]), "i", 3, 2), rgb)
    alpha = np.concatenate([rgb, np.full((2, 3, 1), 7, np.uint8)], -1)
    np.testing.assert_array_equal(rgb_of(image("rgba8", alpha), "i", 3, 2), rgb)
    np.testing.assert_array_equal(rgb_of(image("mono8", rgb[..., 0]), "i", 3, 2), np.repeat(rgb[..., :1], 3, -1))
    padded = np.concatenate([rgb.reshape(2, 9), np.full((2, 3), 99, np.uint8)], 1)
    np.testing.assert_array_equal(rgb_of(image("rgb8", padded), "i", 3, 2), rgb)
    metres = np.array([[0.5, np.nan, np.inf], [-1.0, 0.0, 2.5]], np.float32)
    expected = np.array([[0.5, 0, 0], [0, 0, 2.5]], np.float32)
    np.testing.assert_array_equal(depth_of(image("32FC1", metres), "i", 3, 2), expected)
    np.testing.assert_array_equal(depth_of(image("16UC1", (expected * 1000).astype("<u2")), "i", 3, 2), expected)
    big = image("16UC1", (expected * 1000).astype(">u2").view(np.uint8), is_bigendian=1)
    np.testing.assert_array_equal(depth_of(big, "i", 3, 2), expected)


def test_quantised_float_depth() -> None:
    """compressed_depth_image_transport stores a / z + b."""
    a, b = 1000.0, 5.0
    stored = np.array([[0, 505, 1005]] * 2, np.uint16)
    data = np.array([0], np.int32).tobytes() + np.array([a, b], np.float32).tobytes() + cv2.imencode(".png", stored)[1].tobytes()
    message = SimpleNamespace(format="32FC1; compressedDepth png", data=np.frombuffer(data, np.uint8))
    assert holds_depth(message)
    np.testing.assert_allclose(depth_of(message, "i", 3, 2), [[0, 2.0, 1.0]] * 2)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (image("yuv422", np.zeros((2, 6), np.uint8)), "expected an encoding of"),
        (image("rgb8", np.zeros((2, 9), np.uint8), step=8), "expected 2 rows of at least 9 bytes, got step 8"),
        (image("rgb8", np.zeros((2, 9), np.uint8), step=2**31), "expected 2 rows"),
        (image("rgb8", np.zeros((2, 9), np.uint8), width=4), "expected 3x2 px .* got 4x2"),
        (image("rgb8", np.zeros((2, 9), np.uint8)[:, :5]), "expected 2 rows of at least 9 bytes"),
    ],
)
def test_bad_images_are_refused(message: SimpleNamespace, expected: str) -> None:
    with pytest.raises(SpatiaError, match=expected):
        rgb_of(message, "image", 3, 2)

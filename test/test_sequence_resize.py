"""Resizing keeps geometry: a plane stays the plane, edges stay edges, holes are not mixed in."""

import numpy as np
import pytest

from spatia_ros.geometry import pixel_rays
from spatia_ros.sequence import Sequence
from spatia_ros.sequence.resize import crop_to_aspect, resize_depth, resize_rgb
from spatia_ros.types import Camera

CAMERA = Camera(135, 90, 120.0, 118.0, 66.0, 44.0)
NORMAL = np.array((0.3, -0.2, 0.9))


def plane_depth(camera: Camera) -> np.ndarray:
    """z-depth of the plane NORMAL . x = 2."""
    return (2.0 / (pixel_rays(camera) @ NORMAL)).astype(np.float32)


def sequence_of(rgb: np.ndarray, depth: np.ndarray, camera: Camera) -> Sequence:
    return Sequence("one", camera, np.zeros(1, np.int64), np.eye(4)[None], lambda _: (rgb, depth))


@pytest.mark.parametrize("size", [(80, 48), (64, 64), (50, 90), (27, 18), (33, 57)])
def test_a_plane_stays_the_plane(size: tuple[int, int]) -> None:
    depth = plane_depth(CAMERA)
    frame = sequence_of(np.zeros((90, 135, 3), np.uint8), depth, CAMERA).resized(*size).frame(0)
    assert (frame.camera.width, frame.camera.height) == size
    np.testing.assert_allclose(frame.depth, plane_depth(frame.camera), rtol=2e-5)


def test_depth_never_mixes_across_an_edge_or_with_holes() -> None:
    rng = np.random.default_rng(0)
    depth = np.where(np.arange(135) < 61, np.float32(1), np.float32(3)) * np.ones((90, 1), np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0
    small = resize_depth(depth, 80, 48)
    assert set(np.unique(small).tolist()) <= {0.0, 1.0, 3.0}
    assert (small == 0).mean() < (depth == 0).mean()  # thin holes close from the pixel's own footprint


def test_a_hole_larger_than_a_footprint_stays() -> None:
    depth = np.ones((90, 135), np.float32)
    depth[30:60, 40:80] = 0
    small = resize_depth(depth, 45, 30)
    assert np.all(small[11:19, 14:26] == 0)
    assert np.all(small[:9] == 1)


def test_colour_is_averaged_over_the_area() -> None:
    board = (np.indices((90, 134)).sum(0) % 2 * 255).astype(np.uint8)
    small = resize_rgb(np.repeat(board[..., None], 3, -1), 67, 45)
    assert np.all(np.abs(small.astype(int) - 128) <= 1)


def test_the_crop_is_central_and_of_the_wanted_aspect() -> None:
    lounge = Camera.from_calibration(540, 360, 495.0, 495.0, 269.5, 169.2)
    assert crop_to_aspect(lounge, 320, 192) == (0, 18, 540, 324)
    assert crop_to_aspect(Camera.from_fov(640, 480, 1.0), 240, 240) == (80, 0, 480, 480)
    assert crop_to_aspect(lounge, 540, 360) == (0, 0, 540, 360)


def test_resizing_to_the_same_size_changes_nothing() -> None:
    sequence = sequence_of(np.zeros((90, 135, 3), np.uint8), plane_depth(CAMERA), CAMERA)
    assert sequence.resized(135, 90) is sequence


def test_nothing_is_read_before_it_is_asked_for() -> None:
    def refuse(index: int) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError(f"frame {index} was read")

    sequence = Sequence("lazy", CAMERA, np.zeros(1, np.int64), np.eye(4)[None], refuse)
    resized = sequence.resized(80, 48)
    assert len(resized.trajectory()) == 1
    with pytest.raises(AssertionError, match="frame 0 was read"):
        resized.frame(0)

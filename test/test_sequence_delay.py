"""The depth delay: found in a small room seen by a swaying camera, taken out by warping, and not made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import recording
from scipy.spatial.transform import Rotation
from tiny_room import CAMERA, recorded, room_depth, swaying

from spatia_ros import geometry
from spatia_ros.sequence import Sequence, open_sequence
from spatia_ros.sequence.delay import estimate_depth_delay, warp_depth, with_depth_delay
from spatia_ros.types import Camera, SpatiaError


@pytest.mark.parametrize("delay_s", [0.033, -0.02])
def test_a_delay_is_found(delay_s: float) -> None:
    found = estimate_depth_delay(recorded(delay_s), range(24))
    assert found.confident
    assert found.delay_s == pytest.approx(delay_s, abs=0.003)
    assert found.residual_after < 0.6 * found.residual_before


def test_no_delay_is_not_made_up() -> None:
    found = estimate_depth_delay(recorded(0.0), range(24))
    assert not found.confident
    assert found.delay_s == pytest.approx(0.0, abs=0.002)


@pytest.mark.parametrize("indices", [[], [3], [0, 1, 2]])
def test_a_still_camera_and_too_few_frames_tell_nothing(indices: list[int]) -> None:
    still = recorded(0.05, lambda t: swaying(0.0))
    assert not estimate_depth_delay(still, indices).confident


def test_only_the_frames_allowed_are_read() -> None:
    sequence = recorded(0.03)
    read: list[int] = []

    def load(index: int):
        read.append(index)
        return sequence.load(index)

    estimate_depth_delay(replace(sequence, load=load), [1, 4, 7, 9])
    assert set(read) <= {1, 4, 7, 9}


def test_delayed_depth_is_moved_to_the_colour_pose() -> None:
    sequence = recorded(0.04)
    mended = with_depth_delay(sequence, 0.04)
    assert len(mended) == len(sequence)
    for i in (3, 11, 20):
        truth, before, after = room_depth(sequence.T_world_cam[i]), sequence.frame(i).depth, mended.frame(i).depth
        known = after > 0
        assert known.mean() > 0.93
        error = np.abs(after - truth)[known] / truth[known]
        assert np.median(error) < 0.2 * np.median(np.abs(before - truth) / truth)


def test_frames_whose_depth_lies_outside_the_path_are_dropped_and_counted() -> None:
    mended = with_depth_delay(recorded(0.25), 0.25)
    assert len(mended) == 23
    assert mended.dropped["depth outside the path"] == 1
    assert mended.stamps_ns[0] == 1_100_000_000
    np.testing.assert_array_equal(mended.frame(0).T_world_cam, swaying(0.1))


def test_the_warp_equals_its_plain_truth() -> None:
    rng = np.random.default_rng(0)
    camera = Camera(40, 30, 35.0, 36.0, 19.7, 15.2)
    depth = rng.uniform(0.5, 3.0, (30, 40)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.2] = 0.0
    T = geometry.pose(Rotation.from_rotvec([0.03, -0.05, 0.2]).as_matrix(), np.array([0.04, -0.02, 0.06]))
    points, _ = geometry.backproject(depth.astype(np.float64), camera, T)
    pixels, z = geometry.project(points, camera, np.eye(4))
    truth = np.full(depth.shape, np.inf, np.float32)
    for row in range(30):
        for col in range(40):
            # Half-open, as in the kernel: a centre on the far rim belongs to the next pixel.
            offset = np.array([col + 0.5, row + 0.5]) - pixels
            reached = ((offset >= -0.55) & (offset < 0.55)).all(1) & (z > 0)
            truth[row, col] = z[reached].min(initial=np.inf)
    np.testing.assert_allclose(warp_depth(depth, camera, T), np.where(np.isfinite(truth), truth, 0.0), rtol=1e-6)


def test_small_motions_leave_no_cracks() -> None:
    T = geometry.pose(Rotation.from_rotvec([0.01, 0.0, 0.03]).as_matrix(), np.array([0.0, 0.0, -0.05]))
    warped = warp_depth(np.full((120, 160), 2.0, np.float32), CAMERA, T)
    assert (warped[8:-8, 8:-8] > 0).all()


def test_impossible_delays_are_refused() -> None:
    with pytest.raises(SpatiaError, match=r"expected -1\.\.1 s, got nan"):
        with_depth_delay(recorded(0.0), float("nan"))
    far = recorded(0.0, frames=2)
    short = Sequence("room", CAMERA, far.stamps_ns, far.T_world_cam, far.load)
    with pytest.raises(SpatiaError, match="poses at the times of depth, got none"):
        with_depth_delay(short, 0.5)


@pytest.mark.parametrize(("name", "low_s", "high_s"), [("fr1_xyz", 0.02, 0.045), ("lounge", 0, 0), ("icl_livingroom", 0, 0)])
def test_recordings_show_the_delay_they_have(name: str, low_s: float, high_s: float) -> None:
    sequence = open_sequence(recording(name))
    found = estimate_depth_delay(sequence, range(0, len(sequence) // 2, 2))
    assert found.confident == (high_s > 0)
    assert low_s - 0.003 <= found.delay_s <= high_s + 0.003


def test_a_known_delay_in_camera_yaml_is_taken_out_by_the_reader(tmp_path: Path) -> None:
    """The camera moves forward at 1 m/s; depth exposed 0.1 s early shows the wall 0.1 m too far."""
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"rgb{k}.png"), np.zeros((6, 8, 3), np.uint8))
        cv2.imwrite(str(tmp_path / f"depth{k}.png"), np.full((6, 8), 2000, np.uint16))
    for name in ("rgb", "depth"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{1 + k / 10} {name}{k}.png\n" for k in range(3)))
    (tmp_path / "groundtruth.txt").write_text("".join(f"{k / 10:.1f} 0 0 {k / 10:.1f} 0 0 0 1\n" for k in range(5, 15)))
    (tmp_path / "camera.yaml").write_text(
        "{image_width: 8, image_height: 6, depth_scale: 1000.0, depth_delay_s: 0.1,"
        " camera_matrix: {data: [10.0, 0, 3.5, 0, 10.0, 2.5, 0, 0, 1]}}"
    )
    sequence = open_sequence(tmp_path)
    assert len(sequence) == 3
    np.testing.assert_allclose(sequence.frame(1).depth[1:-1, 1:-1], 1.9, rtol=1e-6)

"""Camera files of Spatia's release: read, written, refused."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros.geometry import inverse, pose
from spatia_ros.sequence.w2c import intrinsics_text, read_camera_path, read_intrinsics, read_w2c, w2c_text
from spatia_ros.types import Camera, SpatiaError


def some_poses(count=5):
    rng = np.random.default_rng(3)
    return np.stack([pose(Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3)) for _ in range(count)])


def test_poses_come_back_as_they_were_written(tmp_path):
    poses = some_poses()
    (tmp_path / "w2c.txt").write_text(w2c_text(poses))
    np.testing.assert_allclose(read_w2c(tmp_path / "w2c.txt"), poses, atol=1e-12)


def test_a_line_is_the_world_in_opencv_camera_axes(tmp_path):
    # The camera stands 2 m to the right of the origin and looks along +x: a point 5 m along x is 3 m ahead of it.
    R_world_cam = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    line = json.loads(w2c_text(pose(R_world_cam, np.array([2.0, 0.0, 0.0]))[None]))
    np.testing.assert_allclose(np.array(line) @ [5.0, 0.0, 0.0, 1.0], [0.0, 0.0, 3.0, 1.0], atol=1e-12)


def test_three_rows_few_digits_and_blank_lines_are_read(tmp_path):
    (tmp_path / "w2c.txt").write_text("\n" + json.dumps(np.round(inverse(some_poses(1)[0]), 4)[:3].tolist()) + "\n\n")
    np.testing.assert_allclose(read_w2c(tmp_path / "w2c.txt")[0], some_poses(1)[0], atol=1e-3)


def test_a_path_takes_its_times_from_the_file_or_from_the_rate(tmp_path):
    (tmp_path / "w2c.txt").write_text(w2c_text(some_poses(3)))
    assert read_camera_path(tmp_path / "w2c.txt", 10.0, 500).stamps_ns.tolist() == [100_000_500, 200_000_500, 300_000_500]
    (tmp_path / "tum.txt").write_text("7.25 1 2 3 0 0 0 1\n")
    assert read_camera_path(tmp_path / "tum.txt", 10.0, 500).stamps_ns.tolist() == [7_250_000_000]


@pytest.mark.parametrize(
    "line",
    [
        "[[1, 0, 0], [0, 1, 0], [0, 0, 1]]", "[[2,0,0,0],[0,1,0,0],[0,0,1,0]]", "[[1,0,0,0],[0,1,0,0],[0,0,1,NaN]]",
        "[[-1,0,0,0],[0,1,0,0],[0,0,1,0]]", "[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,1,1]]", "[1, 2", "[" * 5000,
        "[[1,0,0,0],[0,1,0]]", "[[0,0,0,0],[0,0,0,0],[0,0,0,0]]",
    ],
)
def test_what_is_no_camera_is_refused_with_its_line(tmp_path, line):
    (tmp_path / "w2c.txt").write_text("[[1,0,0,0],[0,1,0,0],[0,0,1,0]]\n" + line)
    with pytest.raises(SpatiaError, match=r"w2c\.txt:2: expected"):
        read_w2c(tmp_path / "w2c.txt")


def test_intrinsics_are_by_width_and_height(tmp_path):
    camera = Camera(1248, 704, 1029.1, 1028.4, 622.8, 352.5)
    (tmp_path / "intrinsics.txt").write_text(intrinsics_text(camera))
    assert read_intrinsics(tmp_path / "intrinsics.txt", 1248, 704) == camera
    small = read_intrinsics(tmp_path / "intrinsics.txt", 312, 176)
    assert (small.fx, small.cy) == pytest.approx((camera.fx / 4, camera.cy / 4))
    (tmp_path / "intrinsics.txt").write_text("[0.8 1.4 0.5]")
    with pytest.raises(SpatiaError, match="fx fy cx cy"):
        read_intrinsics(tmp_path / "intrinsics.txt", 312, 176)

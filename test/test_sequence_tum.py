"""Reading TUM RGB-D folders: matching by time, poses between poses, calibration, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import recording

from spatia_ros.geometry import rotation_error_deg
from spatia_ros.sequence import open_sequence
from spatia_ros.sequence.associate import associate, poses_at
from spatia_ros.sequence.image_file import image_size
from spatia_ros.types import Camera, SpatiaError, Trajectory

CAMERA_YAML = """
image_width: 8
image_height: 6
depth_scale: 1000.0
camera_matrix: {rows: 3, cols: 3, data: [10.0, 0, 3.5, 0, 10.0, 2.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three frames at 0, 0.1 and 0.2 s; the camera moves along x at 1 m/s; frame k is 1 + k m deep."""
    root = tmp_path / "walk"
    for sub in ("rgb", "depth"):
        (root / sub).mkdir(parents=True)
    for k in range(3):
        cv2.imwrite(str(root / f"rgb/{k}.png"), np.full((6, 8, 3), (10 * k, 20, 200), np.uint8))
        cv2.imwrite(str(root / f"depth/{k}.png"), np.full((6, 8), 1000 * (1 + k), np.uint16))
    (root / "rgb.txt").write_text("# comment\n" + "".join(f"{k / 10:.6f} rgb/{k}.png\n" for k in range(3)))
    (root / "depth.txt").write_text("".join(f"{k / 10 + 0.004:.6f} depth/{k}.png\n" for k in range(3)))
    (root / "groundtruth.txt").write_text("0.0 0 0 0 0 0 0 1\n0.15 0.15 0 0 0 0 0 1\n0.25 0.25 0 0 0 0 0 1\n")
    (root / "camera.yaml").write_text(CAMERA_YAML)
    return root


def replace_line(path: Path, number: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines) + "\n")


def test_frames_hold_what_the_files_say(folder: Path) -> None:
    sequence = open_sequence(folder)
    assert sequence.name == "walk"
    assert sequence.stamps_ns.tolist() == [0, 100_000_000, 200_000_000]
    assert sequence.camera == Camera(8, 6, 10.0, 10.0, 4.0, 3.0)  # pixel centres moved from integers to +0.5
    frame = sequence.frame(2)
    assert frame.rgb[0, 0].tolist() == [200, 20, 20]
    assert np.all(frame.depth == 3.0)
    np.testing.assert_allclose(frame.T_world_cam[:3, 3], (0.2, 0, 0), atol=1e-12)
    assert len(list(sequence.frames())) == len(sequence) == 3


def test_frames_without_depth_or_pose_are_dropped_and_counted(folder: Path) -> None:
    replace_line(folder / "depth.txt", 2, "0.130000 depth/1.png")  # 30 ms away from colour 1
    replace_line(folder / "groundtruth.txt", 3, "0.19 0.19 0 0 0 0 0 1")  # ends before colour 2
    sequence = open_sequence(folder)
    assert sequence.stamps_ns.tolist() == [0]
    assert sequence.dropped == {"without depth": 1, "without pose": 1}


def test_association_is_one_to_one_and_prefers_the_closest() -> None:
    pairs = associate(np.array([0, 10, 100]) * 1_000_000, np.array([9, 95, 300]) * 1_000_000)
    assert pairs.tolist() == [[1, 0], [2, 1]]  # 0 ms would also reach 9 ms, but 10 ms is closer


def test_poses_are_interpolated_never_extrapolated_nor_made_up_in_gaps() -> None:
    s = 1_000_000_000
    quarter = np.eye(4)
    quarter[:2, :2] = [[0, -1], [1, 0]]
    poses = Trajectory(np.array([0, s, 9 * s]), np.stack([np.eye(4), quarter, quarter]))
    T, known = poses_at(poses, np.array([-1, 0, s // 2, s, 5 * s, 9 * s, 9 * s + 1]))
    assert known.tolist() == [False, True, True, True, False, True, False]
    assert rotation_error_deg(T[1][:3, :3], np.eye(3)) == pytest.approx(45.0, abs=1e-6)


def test_stamps_keep_their_nanoseconds(folder: Path) -> None:
    (folder / "rgb.txt").write_text("1305031102.175304123 rgb/0.png\n")
    (folder / "depth.txt").write_text("1305031102.175304123 depth/0.png\n")
    (folder / "groundtruth.txt").write_text("1305031102.175304123 0 0 0 0 0 0 1\n")
    assert open_sequence(folder).stamps_ns.tolist() == [1305031102175304123]


@pytest.mark.parametrize(
    ("file", "line", "text", "expected"),
    [
        ("rgb.txt", 2, "0.0 ../../secret.png", r"rgb.txt:2: expected a path inside"),
        ("rgb.txt", 2, "0.0 /etc/hostname", r"rgb.txt:2: expected a path inside"),
        ("rgb.txt", 3, "nan rgb/1.png", r"rgb.txt:3: expected a time of 0"),
        ("rgb.txt", 3, "-1 rgb/1.png", r"rgb.txt:3: expected a time of 0"),
        ("rgb.txt", 3, "1e999999999 rgb/1.png", r"rgb.txt:3: expected a time of 0"),
        ("rgb.txt", 3, "soon rgb/1.png", r"rgb.txt:3: expected a time in seconds, got 'soon'"),
        ("rgb.txt", 3, "0.0 rgb/1.png", r"rgb.txt:3: expected a time after"),
        ("rgb.txt", 3, "0.1", r"rgb.txt:3: expected a time and a file name"),
        ("groundtruth.txt", 2, "0.15 nan 0 0 0 0 0 1", r"groundtruth.txt:2: expected finite"),
        ("groundtruth.txt", 2, "0.15 0 0 0 0 0 0 0", r"groundtruth.txt:2: expected a unit quaternion"),
        ("groundtruth.txt", 2, "0.15 0 0 0 0 0 1", r"groundtruth.txt:2: expected t tx ty tz"),
        ("groundtruth.txt", 2, "0.15 0 0 0 0 0 0 one", r"groundtruth.txt:2: expected t tx ty tz"),
        ("camera.yaml", 4, "depth_scale: .nan", r"camera.yaml: depth_scale: expected a finite number"),
        ("camera.yaml", 4, "depth_scale: -1", r"camera.yaml: depth_scale: expected a positive"),
        ("camera.yaml", 4, "", r"camera.yaml: depth_scale: expected a finite number, got None"),
        ("camera.yaml", 2, "image_width: 100000", r"camera.yaml: camera: expected image sides"),
        ("camera.yaml", 5, "camera_matrix: {data: [1, 2]}", r"camera.yaml: camera_matrix.data: expected 9 numbers, got 2"),
        ("camera.yaml", 6, "distortion_model: [", r"camera.yaml: expected YAML"),
        ("camera.yaml", 7, "distortion_coefficients: {data: [1, 2]}", r"camera.yaml: distortion: expected plumb_bob"),
    ],
)
def test_errors_name_file_line_expected_and_got(folder: Path, file: str, line: int, text: str, expected: str) -> None:
    replace_line(folder / file, line, text)
    with pytest.raises(SpatiaError, match=expected):
        open_sequence(folder)


@pytest.mark.parametrize("name", ["camera.yaml", "depth.txt", "groundtruth.txt"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(SpatiaError, match=name):
        open_sequence(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes((folder / "rgb/0.png").read_bytes())
    (folder / "rgb/0.png").unlink()
    (folder / "rgb/0.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(SpatiaError, match="expected a path inside"):
        open_sequence(folder)


@pytest.mark.parametrize(
    ("file", "data", "expected"),
    [
        ("rgb/1.png", b"GIF89a", "expected a PNG or JPEG"),
        ("rgb/1.png", b"", "expected a PNG or JPEG"),
        ("rgb/1.png", b"\xff\xd8\xff\xe0\x00\x02", "expected a JPEG with a frame header"),
        ("depth/1.png", cv2.imencode(".png", np.zeros((6, 8), np.uint8))[1].tobytes(), "expected a one-channel 16-bit PNG"),
        ("depth/1.png", cv2.imencode(".png", np.zeros((6, 9), np.uint16))[1].tobytes(), "expected 8x6 px .* got 9x6"),
    ],
)
def test_bad_image_is_refused_when_read(folder: Path, file: str, data: bytes, expected: str) -> None:
    (folder / file).write_bytes(data)
    with pytest.raises(SpatiaError, match=expected):
        open_sequence(folder).frame(1)


def test_a_truncated_image_is_refused(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 65535, (6, 8), np.uint16)
    data = cv2.imencode(".png", noise)[1].tobytes()
    (folder / "depth/1.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(SpatiaError, match="do not decode"):
        open_sequence(folder).frame(1)


def test_frame_index_outside_is_refused(folder: Path) -> None:
    with pytest.raises(SpatiaError, match=r"expected a frame index of 0\.\.2, got 3"):
        open_sequence(folder).frame(3)


def test_nothing_known_at_the_path(tmp_path: Path) -> None:
    with pytest.raises(SpatiaError, match="does not exist"):
        open_sequence(tmp_path / "nowhere")


def test_distortion_is_taken_out(folder: Path) -> None:
    """A camera with k1 < 0 shows a point nearer to the middle than a pinhole would."""
    yaml = CAMERA_YAML.replace("image_width: 8", "image_width: 64").replace("image_height: 6", "image_height: 48")
    yaml = yaml.replace("[10.0, 0, 3.5, 0, 10.0, 2.5, 0, 0, 1]", "[40.0, 0, 31.5, 0, 40.0, 23.5, 0, 0, 1]")
    (folder / "camera.yaml").write_text(yaml.replace("data: [0, 0, 0, 0, 0]", "data: [-0.2, 0, 0, 0, 0]"))
    x = 0.6  # of a point at z = 1 m
    column = round(31.5 + 40 * x * (1 - 0.2 * x * x))
    rgb, depth = np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 1000, np.uint16)
    rgb[:, column - 1 : column + 2] = 255
    depth[:, column - 1 : column + 2] = 2000
    cv2.imwrite(str(folder / "rgb/0.png"), rgb)
    cv2.imwrite(str(folder / "depth/0.png"), depth)
    frame = open_sequence(folder).frame(0)
    assert abs(int(frame.rgb[24, :, 0].argmax()) - (31.5 + 40 * x)) < 2
    assert set(np.unique(frame.depth)) <= {0.0, 1.0, 2.0}  # depth is never mixed
    assert frame.depth[24, round(31.5 + 40 * x)] == 2.0


def test_image_size_is_read_from_headers() -> None:
    image = np.zeros((5, 7, 3), np.uint8)
    for suffix in (".png", ".jpg"):
        assert image_size(cv2.imencode(suffix, image)[1].tobytes(), "image") == (7, 5)


@pytest.mark.parametrize("name", ["lounge", "fr1_xyz", "icl_livingroom"])
def test_real_recordings(name: str) -> None:
    sequence = open_sequence(recording(name))
    assert len(sequence) == {"lounge": 95, "fr1_xyz": 75, "icl_livingroom": 53}[name]
    frame = sequence.resized(320, 192).frame(len(sequence) // 2)
    assert frame.rgb.shape == (192, 320, 3)
    assert 0.5 < np.median(frame.depth[frame.depth > 0]) < 5.0

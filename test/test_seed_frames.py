"""RGB-D frames as seeds: with poses, without, and plain folders of images."""

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tiny_room import CAMERA, room_depth, room_rgb, swaying

from spatia_ros.config import MemoryConfig, WorldConfig
from spatia_ros.geometry import inverse
from spatia_ros.seed import SeedOptions, open_place
from spatia_ros.sequence import open_sequence, write_bag, write_tum
from spatia_ros.types import Frame, SpatiaError

CONFIG = WorldConfig(memory=MemoryConfig(voxel_m=0.04))
FRAMES = 6


def frames():
    for i in range(FRAMES):
        T = swaying(0.03 * i)
        yield Frame(room_rgb(T), room_depth(T), CAMERA, T, (i + 1) * 33_000_000)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_tum(frames(), tmp_path_factory.mktemp("data") / "room")


@pytest.fixture
def folder(tmp_path):
    """The same frames as images alone, without times; names that sort wrongly as text."""
    for kind in ("color", "depth"):
        (tmp_path / kind).mkdir()
    for i, frame in enumerate(frames()):
        cv2.imwrite(str(tmp_path / "color" / f"f{i + 7}.png"), frame.rgb[..., ::-1])
        cv2.imwrite(str(tmp_path / "depth" / f"f{i + 7}.png"), np.round(frame.depth * 1000).astype(np.uint16))
    fx, fy, cx, cy = CAMERA.calibration()
    (tmp_path / "intrinsics.txt").write_text(f"{fx} 0 {cx}\n0 {fy} {cy}\n0 0 1\n")
    return tmp_path


def test_a_posed_recording(recording):
    place = open_place(recording, CONFIG)
    np.testing.assert_allclose(place.T_world_cam, swaying(0.0), atol=1e-6)
    assert (place.figures["frames"], place.figures["tracked"]) == (FRAMES, False)
    view = place.memory.render(place.camera, place.T_world_cam, 0)
    assert np.median(np.abs(view.depth - room_depth(place.T_world_cam))) < 0.01


def moved(T):
    """Each pose as seen from the first."""
    return inverse(T[0]) @ T


def test_poses_withheld_or_missing_are_tracked(recording, folder):
    truth = moved(np.stack([swaying(0.03 * i) for i in range(FRAMES)]))
    for path, options in ((recording, SeedOptions(poses="tracked")), (folder, SeedOptions())):
        place = open_place(path, CONFIG, options)
        assert place.figures["tracked"] is True
        found = moved(place.recorded.T_world_cam)
        assert len(found) == FRAMES
        assert np.linalg.norm((found - truth)[:, :3, 3], axis=1).max() < 0.02
        turns = Rotation.from_matrix(np.swapaxes(found[:, :3, :3], 1, 2) @ truth[:, :3, :3]).magnitude()
        assert turns.max() < np.radians(1)
        np.testing.assert_allclose(place.T_world_cam[2, :3], (0, -1, 0), atol=1e-9)  # level, z up


def test_one_frame_is_enough(folder):
    for kind in ("color", "depth"):
        for file in sorted((folder / kind).iterdir())[1:]:
            file.unlink()
    place = open_place(folder, CONFIG)
    assert len(place.recorded) == 1
    assert place.memory.render(place.camera, place.T_world_cam, 0).coverage.mean() > 0.9


def test_recordings_open_without_their_poses(recording, tmp_path):
    (recording / "groundtruth.txt").rename(tmp_path / "kept.txt")
    try:
        with pytest.raises(SpatiaError, match="groundtruth"):
            open_sequence(recording)
        sequence = open_sequence(recording, poses="any")
    finally:
        (tmp_path / "kept.txt").rename(recording / "groundtruth.txt")
    assert (sequence.posed, len(sequence)) == (False, FRAMES)
    rgb, depth = sequence.resized(80, 60).images(2)
    assert (rgb.shape, depth.shape) == ((60, 80, 3), (60, 80))
    for ask in (lambda: sequence.frame(0), sequence.trajectory):
        with pytest.raises(SpatiaError, match="expected poses, got images alone"):
            ask()
    assert open_sequence(recording, poses="any").posed
    assert not open_sequence(recording, poses="none").posed


def test_bags_too(tmp_path):
    path = write_bag(frames(), tmp_path / "walk.mcap")
    posed, unposed = open_sequence(path), open_sequence(path, poses="none")
    assert (posed.posed, unposed.posed) == (True, False)
    np.testing.assert_array_equal(unposed.stamps_ns, posed.stamps_ns)
    np.testing.assert_array_equal(unposed.images(1)[0], posed.frame(1).rgb)


def test_a_plain_folder_and_its_intrinsics(folder):
    with pytest.raises(SpatiaError, match="tracked poses"):
        open_sequence(folder)
    sequence = open_sequence(folder, poses="any")
    assert sequence.camera == CAMERA
    np.testing.assert_array_equal(sequence.images(3)[0], room_rgb(swaying(0.09)))  # f10 comes after f9
    fx, fy, cx, cy = CAMERA.calibration()
    (folder / "intrinsics.txt").unlink()
    matrix = {"intrinsic_matrix": [fx, 0, 0, 0, fy, 0, cx, cy, 1], "width": 160, "height": 120, "depth_scale": 500}
    (folder / "intrinsic.json").write_text(json.dumps(matrix))
    again = open_sequence(folder, poses="any")
    assert again.camera == CAMERA
    np.testing.assert_allclose(again.images(0)[1], 2 * sequence.images(0)[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("intrinsics.txt", "1 2 3", "3 x 3 numbers"),
        ("intrinsics.txt", "a b c d", "numbers alone"),
        ("intrinsic.json", "{}", "intrinsic_matrix"),
        ("nothing.txt", "", "in one of camera.yaml"),
    ],
)
def test_intrinsics_that_are_none(folder, name, content, words):
    (folder / "intrinsics.txt").unlink()
    (folder / name).write_text(content)
    with pytest.raises(SpatiaError, match=words):
        open_sequence(folder, poses="any")


def test_as_many_of_one_kind_as_of_the_other(folder):
    (folder / "depth" / "f7.png").unlink()
    with pytest.raises(SpatiaError, match="got 6 and 5"):
        open_sequence(folder, poses="any")

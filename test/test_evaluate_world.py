"""Long horizon, camera error and TSED: known answers, on a wall covered with a picture."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.config import from_dict
from spatia_ros.evaluate import camera as camera_error
from spatia_ros.evaluate import long_horizon, tsed
from spatia_ros.evaluate.flights import between_seeds, clip_frames, step_frames
from spatia_ros.evaluate.sources import scene_sequence
from spatia_ros.sequence import Sequence
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera(160, 96, 130.0, 130.0, 80.0, 48.0)
CONFIG = from_dict({
    "camera": {"width_px": 160, "height_px": 96}, "memory": {"voxel_m": 0.05}, "generator": {"name": "projection"},
})
WALL_M, PX_PER_M = 3.0, 60


def picture() -> np.ndarray:
    """Blobs of many sizes, 20 x 20 m, which SIFT likes."""
    rng = np.random.default_rng(0)
    noise = [rng.uniform(0, 1, (n, n, 3)).astype(np.float32) for n in (60, 150, 400)]
    layers = [cv2.resize(layer, (1200, 1200), interpolation=cv2.INTER_CUBIC) for layer in noise]
    return np.clip(sum(layers) / 3 * 400 - 70, 0, 255).astype(np.uint8)


PICTURE = picture()


def wall(T_world_cam: np.ndarray) -> Frame:
    """The wall z = 3 m as a camera sees it, exactly."""
    rays = geometry.pixel_rays(CAMERA) @ T_world_cam[:3, :3].T
    depth = (WALL_M - T_world_cam[2, 3]) / rays[..., 2]
    at = (T_world_cam[:3, 3] + rays * depth[..., None])[..., :2] * PX_PER_M + 600
    x, y = (at[..., i].astype(np.float32) for i in (0, 1))
    return Frame(np.asarray(cv2.remap(PICTURE, x, y, cv2.INTER_LINEAR), np.uint8), depth.astype(np.float32), CAMERA, T_world_cam)


def at(x: float, y: float = 0.0, z: float = 0.0, turn_deg: float = 0.0) -> np.ndarray:
    return geometry.pose(Rotation.from_euler("y", turn_deg, degrees=True).as_matrix(), np.array([x, y, z]))


def along_the_wall(frames: int = 24, step_m: float = 0.06) -> Sequence:
    poses = np.stack([at(step_m * i) for i in range(frames)])
    stamps = 10**8 * np.arange(1, frames + 1, dtype=np.int64)

    def load(i):
        frame = wall(poses[i])
        return frame.rgb, frame.depth

    return Sequence("wall", CAMERA, stamps, poses, load)


def test_a_pose_is_found_from_the_picture_alone():
    seeds = [camera_error.landmarks(wall(at(x))) for x in (0.0, 0.5)]
    truth = at(0.3, 0.1, -0.2, 6.0)
    found = camera_error.find_pose(wall(truth).rgb, CAMERA, seeds)
    assert geometry.rotation_error_deg(found[:3, :3], truth[:3, :3]) < 0.3
    assert np.linalg.norm(found[:3, 3] - truth[:3, 3]) < 0.02
    assert camera_error.find_pose(np.full((96, 160, 3), 80, np.uint8), CAMERA, seeds) is None


def test_camera_figures_have_known_values():
    commanded = np.stack([at(0.2 * i) for i in range(4)])
    exact = camera_error.errors(list(commanded), commanded)
    assert (exact["estimated"], exact["rot_deg"], exact["trans_m"], exact["rta_15"], exact["camera_control"]) == (1, 0, 0, 1, 1)
    off = commanded.copy()
    off[:, :3, :3] = Rotation.from_euler("y", 7.5, degrees=True).as_matrix()
    off[:, :3, 3] += (0, 0, 0.25)
    half = camera_error.errors(list(off), commanded)
    assert half["rot_deg"] == pytest.approx(7.5)
    assert half["trans_m"] == pytest.approx(0.25)
    assert half["camera_control"] == pytest.approx(0.5), "half of 15 degrees and half of 0.5 m"
    assert half["rta_15"] == 1.0, "the motion between frames is turned by 7.5 degrees"
    lost = camera_error.errors([None, *commanded[1:]], commanded)
    assert (lost["estimated"], lost["camera_control"], lost["rta_30"]) == (0.75, 0.75, 0.5), "what is not found is missed"


def test_epipolar_lines_go_through_what_is_seen():
    a, b = at(0.0), at(0.4, 0.1, 0.2, 5.0)
    points = np.random.default_rng(0).uniform((-1, -0.5, 2.5), (1, 0.5, 5), (20, 3))
    pixels = [geometry.project(points, CAMERA, T)[0] for T in (a, b)]
    F = tsed.fundamental(CAMERA, a, b)
    assert tsed.symmetric_distances(F, *pixels).max() < 1e-6
    shifted = tsed.symmetric_distances(F, pixels[0], pixels[1] + (0, 3.0))
    assert 2.0 < shifted.mean() < 3.5


def test_tsed_is_whole_for_the_truth_and_less_for_wrong_cameras():
    poses = np.stack([at(0.1 * i) for i in range(6)])
    pictures = [wall(T).rgb for T in poses]
    true = tsed.tsed(pictures, CAMERA, poses)["gap_1"]
    assert (true["pairs"], true["enough_matches"], true["2px"]) == (5, 1.0, 1.0)
    wrong = poses.copy()
    wrong[:, :3, 3] = [(0, 0.1 * i, 0) for i in range(6)]  # told to rise, while the pictures move sideways
    lines = tsed.tsed(pictures, CAMERA, wrong)["gap_1"]
    assert (lines["enough_matches"], lines["4px"]) == (1.0, 0.0)
    turning = np.stack([at(0, turn_deg=2.0 * i) for i in range(3)])
    assert tsed.tsed([wall(T).rgb for T in turning], CAMERA, turning)["gap_1"]["2px"] == 1.0, "a camera that only turns"
    assert tsed.tsed([np.zeros((96, 160, 3), np.uint8)] * 3, CAMERA, poses)["gap_1"]["enough_matches"] == 0.0


def test_the_ways_of_long_horizon_come_back():
    sequence = along_the_wall(60)
    assert long_horizon.runs((2, 4, 6, 60)) == [(2, 1), (4, 1), (6, 10)]
    once = long_horizon.walk(sequence, 2 * 16, 1, 10.0)
    assert len(once) == 31
    np.testing.assert_array_equal(once.T_world_cam[[0, 30]], sequence.T_world_cam[[0, 0]])
    np.testing.assert_array_equal(once.T_world_cam[15], sequence.T_world_cam[15])
    three = long_horizon.walk(sequence, 8, 3, 10.0)
    assert [round(T[0, 3] / 0.06) for T in three.T_world_cam] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    for clips in ((3,), (8,), ()):
        with pytest.raises(SpatiaError, match="even numbers"):
            long_horizon.check_clips(clips)


def test_long_horizon_leaves_its_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(long_horizon.flights, "CLIP", 4)
    assert (step_frames(CONFIG), clip_frames(CONFIG)) == (1, 4)
    figures = long_horizon.evaluate_long_horizon(along_the_wall(), CONFIG, tmp_path, (2, 6, 12), 0.0)
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert figures["clips"] == [2, 6, 12]
    for part in (figures, figures["no_memory"]):
        assert all(len(part[name]) == 3 for name in ("psnr_c", "ssim_c", "match", "psnr_real", "psnr_way"))
    assert figures["laps"]["clips"] == [6, 12]
    assert figures["psnr_c"][1] == figures["laps"]["psnr_c"][0]
    assert figures["psnr_way"][2] > figures["no_memory"]["psnr_way"][2], "what was invented stays"
    assert figures["psnr_c"][2] > figures["no_memory"]["psnr_c"][2] + 3.0, "a wall seen stays; without memory it is lost"
    assert cv2.imread(str(tmp_path / "strip.png")).shape[1] == 4 * 166


def test_an_outing_goes_between_the_seeds():
    outing = between_seeds(along_the_wall(17), CONFIG, 0.0)
    assert [round(f.T_world_cam[0, 3] / 0.06) for f in outing.seeds] == [0, 8, 16]
    assert {name: len(frames) for name, frames in outing.rgb.items()} == {"ours": 8, "no_memory": 8, "recorded": 8}
    np.testing.assert_array_equal(outing.rgb["recorded"][1], wall(at(0.06 * 3)).rgb)
    with pytest.raises(SpatiaError, match="at least 16 frames"):
        between_seeds(along_the_wall(15), CONFIG, 0.0)


def test_camera_and_tsed_leave_their_figures(tmp_path):
    for name, evaluate in (("camera", camera_error.evaluate_camera), ("tsed", tsed.evaluate_tsed)):
        figures = evaluate(along_the_wall(16, 0.05), CONFIG, tmp_path / name, 0.0)
        assert json.loads((tmp_path / name / "figures.json").read_text()) == figures
    poses = json.loads((tmp_path / "camera/figures.json").read_text())
    assert poses["recorded"]["estimated"] == 1.0
    assert poses["recorded"]["rot_deg"] < 0.5
    assert figures["recorded"]["gap_1"]["2px"] == 1.0


def test_a_scene_is_a_recording_of_its_own():
    small = replace_camera(CONFIG, 48, 32)
    sequence, again, other = (scene_sequence(seed, small, frames=9) for seed in (3, 3, 4))
    assert (sequence.name, len(sequence), sequence.camera.width) == ("room_3", 9, 48)
    frame = sequence.frame(2)
    np.testing.assert_array_equal(frame.rgb, again.frame(2).rgb)
    assert not np.array_equal(sequence.T_world_cam, other.T_world_cam)
    points, _ = geometry.backproject(frame.depth, frame.camera, frame.T_world_cam)
    assert np.isfinite(points).all()


def replace_camera(config, width, height):
    return config.model_copy(update={"camera": config.camera.model_copy(update={"width_px": width, "height_px": height})})

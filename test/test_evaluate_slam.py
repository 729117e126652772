"""``evaluate slam`` on a tiny recording with known poses, and a real one where it is at hand."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_slam_odometry import FINE, painted
from tiny_room import swaying

from spatia_ros.cli import main
from spatia_ros.config import TrackingConfig, WorldConfig
from spatia_ros.evaluate.slam import evaluate_slam
from spatia_ros.evaluate.trajectory import path_error
from spatia_ros.sequence import Sequence, open_sequence, write_tum
from spatia_ros.sequence.tum import read_poses
from spatia_ros.slam.tracker import Tracker
from spatia_ros.types import SpatiaError, Trajectory

DATA = Path(os.environ.get("SPATIA_DATA", Path(__file__).resolve().parents[1] / "../shared/data"))
FIGURES = ("ate_rmse_m", "rpe_trans_m", "rpe_rot_deg", "tracked_fraction", "loops", "open3d_ate_rmse_m")


def recorded(frames=8):
    times = np.arange(frames) / 10.0
    poses = np.stack([swaying(t) for t in times])
    return Sequence("painted", FINE, np.round((times + 1.0) * 1e9).astype(np.int64), poses, lambda i: painted(poses[i], FINE))


def test_the_path_of_a_recording_is_found_and_written(tmp_path):
    sequence = recorded()
    figures = evaluate_slam(sequence, WorldConfig(), tmp_path)
    assert all(name in figures for name in FIGURES)
    assert figures["tracked_fraction"] == 1.0
    assert figures["ate_rmse_m"] < 0.005
    assert figures["ate_rmse_m"] <= figures["open3d_ate_rmse_m"]
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    written = path_error(read_poses(tmp_path / "trajectory.txt"), sequence.trajectory())
    assert written.ate_rmse_m == pytest.approx(figures["ate_rmse_m"], abs=1e-4)
    assert (tmp_path / "paths.png").stat().st_size > 10_000


def test_frames_that_show_nothing_have_no_pose(tmp_path):
    sequence = recorded()
    blank = np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320), np.float32)
    gone = replace(sequence, load=lambda i: blank if i in (3, 4) else sequence.load(i))
    figures = evaluate_slam(gone, WorldConfig(), tmp_path)
    assert figures["tracked_fraction"] == 0.75
    assert figures["relocalised"] == 1
    assert len(read_poses(tmp_path / "trajectory.txt")) == 6
    assert figures["ate_rmse_m"] < 0.01


def test_two_frames_are_no_path(tmp_path):
    with pytest.raises(SpatiaError, match="expected at least 3 frames, got 2"):
        evaluate_slam(recorded(2), WorldConfig(), tmp_path)


def test_the_command_leaves_figures_and_a_report(tmp_path, capsys):
    write_tum(recorded(5), tmp_path / "painted")
    out, file = tmp_path / "out", tmp_path / "slam.json"
    assert main(["evaluate", "slam", "--sequence", str(tmp_path / "painted"), "--out", str(out), "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert all(name in figures for name in FIGURES)
    assert "ATE" in capsys.readouterr().out
    assert "data:image/png;base64" in (out / "report.html").read_text()


@pytest.mark.skipif(not (DATA / "fr1_xyz").is_dir(), reason="needs the recording fr1_xyz in SPATIA_DATA")
def test_a_hand_held_kinect_is_tracked_to_centimetres():
    sequence = open_sequence(DATA / "fr1_xyz")
    tracker, frames = Tracker(TrackingConfig(), sequence.camera), range(16)
    steps = [tracker.track(*sequence.load(i), int(sequence.stamps_ns[i])) for i in frames]
    assert all(step.state != "lost" for step in steps)
    path = Trajectory(sequence.stamps_ns[:16], np.stack([step.T_world_cam for step in steps]))
    assert path_error(path, sequence.trajectory()).ate_rmse_m < 0.025

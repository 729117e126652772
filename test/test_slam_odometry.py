"""Registration and tracking in rooms where every pose is known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tiny_room import CAMERA, room_depth, room_rgb, swaying

from spatia_ros import geometry
from spatia_ros.config import TrackingConfig
from spatia_ros.generator import Generated
from spatia_ros.slam import drift_of, odometry, pyramid, truth
from spatia_ros.slam.odometry import Target, register, register_to_many
from spatia_ros.slam.pyramid import build_pyramid
from spatia_ros.slam.tracker import Tracker
from spatia_ros.types import Camera, SpatiaError, View

CONFIG = TrackingConfig()
FINE = Camera(320, 240, 260.0, 260.0, 160.0, 120.0)


def shot(T, camera=CAMERA):
    return room_rgb(T, camera), room_depth(T, camera)


def painted(T, camera=CAMERA):
    """The room with a pattern that tells places apart: features need corners."""
    depth = room_depth(T, camera)
    points, _ = geometry.backproject(depth, camera, T)
    cells = np.floor(points / 0.25 + 1e-3).astype(np.int64)
    mixed = (cells * (73856093, 19349663, 83492791)).sum(1)
    tones = np.random.default_rng(5).integers(20, 235, (4096, 3))
    return tones[mixed % 4096].astype(np.uint8).reshape(camera.height, camera.width, 3), depth


def moved(x=0.0, y=0.0, z=0.0, turn_deg=(0.0, 0.0, 0.0)):
    return geometry.pose(Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix(), np.array([x, y, z]))


def off(T, T_true):
    """Millimetres and degrees between two poses."""
    return 1e3 * np.linalg.norm(T[:3, 3] - T_true[:3, 3]), geometry.rotation_error_deg(T[:3, :3], T_true[:3, :3])


@pytest.mark.parametrize("holes", [0.0, 0.36])
def test_known_motion_is_found_to_a_fraction_of_a_millimetre(holes):
    T_a, T_b = swaying(0.0), swaying(0.0) @ moved(0.05, -0.02, 0.04, (1.5, -2.0, 0.5))
    images = [shot(T, FINE) for T in (T_a, T_b)]
    rng = np.random.default_rng(0)
    for _, depth in images:
        depth[rng.random(depth.shape) < holes] = 0.0
    a, b = (build_pyramid(*image, FINE) for image in images)
    found = register(b, a, np.eye(4), CONFIG)
    mm, degrees = off(found.T_target_source, geometry.inverse(T_a) @ T_b)
    assert mm < 0.5
    assert degrees < 0.01
    assert found.fitness > 0.8 * (1.0 - holes)
    assert found.agreement > 0.95
    assert found.rmse_m < 0.005
    assert np.linalg.eigvalsh(found.information)[0] > 0


def test_another_exposure_does_not_move_the_pose():
    T_a, T_b = swaying(0.3), swaying(0.3) @ moved(0.03, 0.01, 0.0, (0.0, 1.0, 0.0))
    rgb, depth = shot(T_b, FINE)
    darker = (rgb * 0.7 + 10).astype(np.uint8)
    found = register(build_pyramid(darker, depth, FINE), build_pyramid(*shot(T_a, FINE), FINE), np.eye(4), CONFIG)
    assert off(found.T_target_source, geometry.inverse(T_a) @ T_b)[0] < 1.0
    assert found.explained > 0.99


def test_colour_finds_the_motion_along_a_wall():
    camera, depth = CAMERA, np.full((120, 160), 2.0, np.float32)
    def wall(shift_m):
        x = geometry.pixel_rays(camera)[..., 0] * 2.0 + shift_m
        y = geometry.pixel_rays(camera)[..., 1] * 2.0
        level = 120 + 60 * np.sin(7 * x + 1) + 50 * np.cos(5 * y + 3 * x)
        return np.repeat(level.astype(np.uint8)[..., None], 3, -1), depth
    a, b = (build_pyramid(*wall(x), camera) for x in (0.0, 0.04))
    found = register(b, a, np.eye(4), CONFIG)
    assert off(found.T_target_source, moved(0.04))[0] < 2.0


def test_two_targets_add_their_information_up():
    T = [swaying(t) for t in (0.0, 0.1, 0.2)]
    a, b, c = (build_pyramid(*shot(pose), CAMERA) for pose in T)
    both = register_to_many(c, [Target(a, T[0]), Target(b, T[1])], T[1], CONFIG)
    one = register_to_many(c, [Target(b, T[1])], T[1], CONFIG)
    assert off(both.T_target_source, T[2])[0] < 2.0
    assert np.linalg.slogdet(both.information)[1] > np.linalg.slogdet(one.information)[1]


@pytest.mark.parametrize("level", [0, 1])
def test_the_kernel_sums_what_the_truth_says(level):
    T_a, T_b = swaying(0.0), swaying(0.05)
    rng = np.random.default_rng(1)
    images = [shot(T, FINE) for T in (T_a, T_b)]
    for _, depth in images:
        depth[rng.random(depth.shape) < 0.2] = 0.0
    a, b = (build_pyramid(*image, FINE).levels[level] for image in images)
    gain, T = np.array([0.1, -0.02]), moved(0.01, 0.0, 0.02, (0.5, 0.2, -0.1))
    ours = odometry.normal_equations(b, a, T, gain, level, CONFIG)
    slow = truth.normal_equations(b, a, T, gain, level, CONFIG)
    # Which pixel a point falls on is decided in float32: a few in ten thousand differ.
    tallies = odometry.TERMS + odometry.UNKNOWNS
    np.testing.assert_allclose(ours[tallies:], slow[tallies:], rtol=2e-3)
    H, b_sum = odometry.unpacked(ours)
    H_slow, b_slow = odometry.unpacked(slow)
    scale = np.sqrt(np.diag(H_slow))
    np.testing.assert_allclose(H / np.outer(scale, scale), H_slow / np.outer(scale, scale), atol=3e-3)
    np.testing.assert_allclose(b_sum / scale, b_slow / scale, atol=3e-3 * np.abs(b_slow / scale).max())


def test_normals_are_the_truth_and_those_of_the_room():
    depth = room_depth(swaying(0.2))
    depth[np.random.default_rng(2).random(depth.shape) < 0.2] = 0.0
    c = CAMERA
    fast, slow = pyramid.fit_normals(depth, np.array([c.fx, c.fy, c.cx, c.cy], np.float32)), truth.normals(depth, c)
    both = (np.abs(slow).sum(-1) > 0) & (np.abs(fast).sum(-1) > 0)
    assert both.mean() > 0.7
    assert ((slow * fast).sum(-1)[both] > 0.9999).mean() > 0.99
    assert ((geometry.pixel_rays(c) * fast).sum(-1)[both] < 0).all()
    level = build_pyramid(room_rgb(swaying(0.2)), depth, c).levels[0]
    assert level.normals.shape == (120, 160, 3)
    filled = both & (np.abs(level.normals).sum(-1) > 0)
    assert filled.sum() > 0.95 * both.sum()
    assert ((level.normals * fast).sum(-1)[filled] > 0.9).mean() > 0.9


def test_halving_keeps_the_nearest_surface():
    depth = np.array([[1.0, 1.02, 0.0, 0.0], [3.0, 0.0, 0.0, 2.0]], np.float32)
    np.testing.assert_allclose(pyramid.halve_depth(depth), [[1.01, 2.0]], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_depth_that_is_no_depth_is_refused(bad):
    rgb, depth = shot(swaying(0.0))
    depth[3, 4] = bad
    with pytest.raises(SpatiaError, match="depth: expected finite metres"):
        build_pyramid(rgb, depth, CAMERA)
    with pytest.raises(SpatiaError, match="depth: expected finite metres"):
        Tracker(CONFIG, CAMERA).track(rgb, depth, 0)


def test_a_generated_frame_that_has_slipped_is_seen_to_drift():
    T = swaying(0.1)
    (rgb, depth), (slipped_rgb, slipped_depth) = painted(T, FINE), painted(T @ moved(0.06, 0.0, 0.03, (0.0, 1.0, 0.0)), FINE)
    coverage = np.ones(depth.shape, bool)
    coverage[:, :60] = False
    view = View(rgb, np.where(coverage, depth, 0).astype(np.float32), coverage, coverage.astype(np.float32), np.zeros_like(depth))
    still = drift_of(Generated(rgb, depth, np.zeros_like(depth)), view, FINE, CONFIG)
    assert still["drift_m"] < 1e-3
    assert still["drift_deg"] < 0.02
    drift = drift_of(Generated(slipped_rgb, slipped_depth, np.zeros_like(depth)), view, FINE, CONFIG)
    assert drift["drift_m"] == pytest.approx(np.hypot(0.06, 0.03), abs=0.012)
    assert drift["drift_deg"] == pytest.approx(1.0, abs=0.2)
    nothing = View(rgb * 0, depth * 0, coverage & False, depth * 0, depth * 0)
    assert drift_of(Generated(rgb, depth, np.zeros_like(depth)), nothing, FINE, CONFIG) == {}


def test_images_of_another_size_are_refused():
    rgb, depth = shot(swaying(0.0))
    with pytest.raises(SpatiaError, match="rgb: expected shape"):
        Tracker(CONFIG, FINE).track(rgb, depth, 0)


def test_a_guess_that_is_no_pose_is_refused():
    a = build_pyramid(*shot(swaying(0.0)), CAMERA)
    with pytest.raises(SpatiaError, match="T_guess"):
        register(a, a, np.full((4, 4), np.nan), CONFIG)


def track(tracker, stamps, poses, view=painted):
    return [tracker.track(*view(T, FINE), round(t * 1e9)) for t, T in zip(stamps, poses, strict=True)]


def test_a_path_is_tracked_to_millimetres_against_few_keyframes():
    times = np.arange(16) / 15.0
    poses = [swaying(t) for t in times]
    tracker = Tracker(CONFIG, FINE, poses[0])
    steps = track(tracker, times, poses)
    assert [s.state for s in steps] == ["started"] + ["tracked"] * 15
    assert max(off(s.T_world_cam, T)[0] for s, T in zip(steps, poses, strict=True)) < 5.0
    assert 1 <= len(tracker.keyframes) < len(poses)


def test_lost_is_said_and_the_place_is_known_again():
    times = np.arange(5) / 10.0
    tracker = Tracker(CONFIG, FINE, swaying(0.0))
    track(tracker, times, [swaying(t) for t in times])
    blank = np.full((240, 320, 3), 90, np.uint8), np.zeros((240, 320), np.float32)
    said = tracker.track(*blank, 600_000_000)
    assert said.state == "lost"
    assert not said.information.any()
    np.testing.assert_array_equal(said.T_world_cam, tracker.T_world_cam)
    elsewhere = geometry.pose(Rotation.from_euler("y", 180, degrees=True).as_matrix(), np.array([0.0, 0.0, -1.5]))
    assert tracker.track(*painted(elsewhere, FINE), 700_000_000).state == "lost"
    back = tracker.track(*painted(swaying(0.25), FINE), 800_000_000)
    assert back.state == "relocalised"
    assert off(back.T_world_cam, swaying(0.25))[0] < 10.0
    assert tracker.track(*painted(swaying(0.3), FINE), 850_000_000).state == "tracked"


def test_a_jump_no_camera_makes_is_not_believed():
    tracker = Tracker(TrackingConfig(max_speed_m_s=0.1), FINE, swaying(0.0))
    tracker.track(*painted(swaying(0.0), FINE), 0)
    assert tracker.track(*painted(swaying(0.0) @ moved(0.05), FINE), 33_000_000).state == "lost"


def test_a_plain_wall_close_by_tells_too_little():
    rgb, depth = np.full((240, 320, 3), 120, np.uint8), np.full((240, 320), 1.0, np.float32)
    tracker = Tracker(CONFIG, FINE)
    tracker.track(rgb, depth, 0)
    assert tracker.track(rgb, depth, 33_000_000).state == "lost"


def test_a_big_step_is_found_by_features():
    tracker = Tracker(CONFIG, FINE, swaying(0.0))
    tracker.track(*painted(swaying(0.0), FINE), 0)
    T = swaying(0.0) @ moved(0.3, 0.0, 0.1, (0.0, -12.0, 0.0))
    found = tracker.track(*painted(T, FINE), 100_000_000)
    assert found.state == "tracked"
    assert off(found.T_world_cam, T)[0] < 10.0


def test_corrected_keyframes_carry_the_present_pose_along():
    times = np.arange(4) / 10.0
    tracker = Tracker(TrackingConfig(keyframe_information=1.0), FINE, swaying(0.0))
    track(tracker, times, [swaying(t) for t in times])
    shift = moved(0.2, 0.1, 0.0, (0.0, 5.0, 0.0))
    before = tracker.T_world_cam
    tracker.correct({k.stamp_ns: shift @ k.T_world_cam for k in tracker.keyframes})
    np.testing.assert_allclose(tracker.T_world_cam, shift @ before, atol=1e-9)
    after = tracker.track(*painted(swaying(0.4), FINE), 400_000_000)
    assert off(after.T_world_cam, shift @ swaying(0.4))[0] < 5.0

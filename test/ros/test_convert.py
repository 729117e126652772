"""Messages to arrays and back: every kind, both ways, and what is refused."""

import math
import sys
import types
from array import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseStamped, Twist
from nav_msgs.msg import Path
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from spatia_ros import geometry
from spatia_ros.nodes import convert, convert_cloud
from spatia_ros.nodes.convert import Malformed
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import FrameSettings
from spatia_ros.types import Camera, SpatiaError

NAN = math.nan


def random_pose(rng):
    return geometry.pose(Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix(), rng.uniform(-50, 50, 3))


def header():
    return convert.to_header(12_345_678_901, "somewhere")


# Time and poses


@pytest.mark.parametrize("ns", [0, 1, 999_999_999, 1_000_000_000, 1_795_249_759_997_044_065])
def test_time_both_ways(ns):
    assert convert.time_ns(convert.to_time(ns)) == ns


@pytest.mark.parametrize("stamp", [Time(sec=-1), Time(sec=1, nanosec=1_000_000_000), Time(sec=0, nanosec=4_294_967_295)])
def test_impossible_times_are_refused(stamp):
    with pytest.raises(Malformed, match="nanosec below 1e9") as refusal:
        convert.time_ns(stamp)
    assert refusal.value.reason == "stamp"


def test_poses_and_transforms_both_ways():
    rng = np.random.default_rng(1)
    for _ in range(50):
        T = random_pose(rng)
        np.testing.assert_allclose(convert.from_pose(convert.to_pose(T)), T, atol=1e-12)
        stamped = convert.to_transform(T, 5, "a", "b")
        assert (stamped.header.frame_id, stamped.child_frame_id, stamped.header.stamp.nanosec) == ("a", "b", 5)
        np.testing.assert_allclose(convert.from_transform(stamped.transform), T, atol=1e-12)


def pose_of(x=0.0, y=0.0, z=0.0, qx=0.0, qy=0.0, qz=0.0, qw=1.0):
    msg = Pose()
    msg.position.x, msg.position.y, msg.position.z = x, y, z
    msg.orientation.x, msg.orientation.y, msg.orientation.z, msg.orientation.w = qx, qy, qz, qw
    return msg


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        (pose_of(x=NAN), "not_finite"),
        (pose_of(z=math.inf), "not_finite"),
        (pose_of(qz=NAN), "not_finite"),
        (pose_of(qw=0.0), "quaternion"),
        (pose_of(qw=1.001), "quaternion"),
        (pose_of(qx=1e200, qw=0.0), "quaternion"),
    ],
)
def test_malformed_poses_are_refused(pose, reason):
    with pytest.raises(Malformed, match="cmd_pose: expected") as refusal:
        convert.from_pose(pose, "cmd_pose")
    assert refusal.value.reason == reason


def test_a_quaternion_rounded_by_its_sender_is_normalised():
    T = convert.from_pose(pose_of(qz=0.70711, qw=0.70711))
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)


def test_twist_both_ways_and_nan_refused():
    twist = np.array([1.0, -2.0, 3.0, 0.1, 0.2, -0.3])
    np.testing.assert_array_equal(convert.from_twist(convert.to_twist(twist)), twist)
    msg = Twist()
    msg.angular.z = NAN
    with pytest.raises(Malformed, match="cmd_vel"):
        convert.from_twist(msg, "cmd_vel")


# Axes


def test_optical_axes_in_the_cameras_link():
    right, down, forward = np.eye(3)
    R = convert.T_LINK_OPTICAL[:3, :3]
    np.testing.assert_array_equal(R @ forward, (1, 0, 0))  # forward is x
    np.testing.assert_array_equal(R @ right, (0, -1, 0))  # left is y
    np.testing.assert_array_equal(R @ down, (0, 0, -1))  # up is z


@pytest.mark.parametrize(("up", "axis"), [("z", (0, 0, 1)), ("y", (0, 1, 0)), ("-y", (0, -1, 0))])
def test_the_recordings_up_becomes_the_maps_z(up, axis):
    R = convert.map_from_world(up)[:3, :3]
    np.testing.assert_array_equal(R @ axis, (0, 0, 1))
    assert np.linalg.det(R) == pytest.approx(1.0)


def test_a_level_camera_is_a_level_rig():
    """A camera of a y-up recording that looks along -z, level: the rig looks along the map's y, z up."""
    T_world_cam = geometry.look_at(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, -5.0]), np.array([0.0, 1.0, 0.0]))
    T_map_base = Rig(FrameSettings(map_up="y")).base_of(T_world_cam)
    np.testing.assert_allclose(T_map_base[:3, 3], (1, -3, 2), atol=1e-12)
    np.testing.assert_allclose(T_map_base[:3, 0], (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(T_map_base[:3, 2], (0, 0, 1), atol=1e-12)


@pytest.mark.parametrize("up", ["z", "y", "-y"])
def test_rig_and_camera_poses_both_ways(up):
    rng = np.random.default_rng(2)
    for _ in range(20):
        mount = FrameSettings(map_up=up, camera_xyz_m=tuple(rng.uniform(-1, 1, 3)), camera_rpy_rad=tuple(rng.uniform(-1, 1, 3)))
        rig, T = Rig(mount), random_pose(rng)
        np.testing.assert_allclose(rig.base_of(rig.camera_of(T)), T, atol=1e-12)
        np.testing.assert_allclose(rig.camera_of(rig.base_of(T)), T, atol=1e-12)


# Paths


def path_of(poses, stamps=None, frame="map"):
    stamps = stamps or [0] * len(poses)
    return Path(
        header=Header(frame_id=frame),
        poses=[PoseStamped(header=convert.to_header(s, ""), pose=convert.to_pose(T)) for s, T in zip(stamps, poses, strict=True)],
    )


def test_a_paths_own_timing_and_the_default():
    rng = np.random.default_rng(3)
    poses = [random_pose(rng) for _ in range(3)]
    offsets, T = convert.from_path(path_of(poses, [7, 10, 30]), 100)
    assert offsets.tolist() == [0, 3, 23]
    np.testing.assert_allclose(T, poses, atol=1e-12)
    assert convert.from_path(path_of(poses), 100)[0].tolist() == [0, 100, 200]
    assert convert.from_path(path_of(poses, [0, 5, 6]), 100)[0].tolist() == [0, 5, 6]


def test_malformed_paths_are_refused():
    good = [np.eye(4)] * 2
    elsewhere, broken = path_of(good), path_of(good)
    elsewhere.poses[1].header.frame_id = "base_link"
    broken.poses[1].pose.orientation.w = 0.0
    for path, reason in (
        (path_of([]), "size"),
        (path_of(good, [5, 5]), "stamp"),
        (path_of(good, [5, 4]), "stamp"),
        (elsewhere, "frame"),
        (broken, "quaternion"),
    ):
        with pytest.raises(Malformed) as refusal:
            convert.from_path(path, 100, "cmd_trajectory")
        assert refusal.value.reason == reason


# Images


def test_images_both_ways():
    rgb = np.random.default_rng(4).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    msg = convert.to_image(rgb, header())
    assert (msg.encoding, msg.width, msg.height, msg.step, type(msg.data)) == ("rgb8", 7, 5, 21, array)
    np.testing.assert_array_equal(convert.from_image(msg), rgb)
    grey = convert.to_image(rgb[..., 0], header())
    assert grey.encoding == "mono8"
    np.testing.assert_array_equal(convert.from_image(grey), np.repeat(rgb[..., :1], 3, -1))
    msg.encoding = "bgr8"
    np.testing.assert_array_equal(convert.from_image(msg), rgb[..., ::-1])


def test_a_window_of_an_image_is_copied_row_by_row():
    rgb = np.random.default_rng(5).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(convert.from_image(convert.to_image(rgb[2:6, 1:5], header())), rgb[2:6, 1:5])


def test_depth_both_ways_with_unknown():
    depth = np.array([[0.0, 1.5], [2.25, 0.0]], np.float32)
    msg = convert.to_depth(depth, header())
    raw = np.frombuffer(msg.data, np.float32).reshape(2, 2)
    assert np.isnan(raw[0, 0])
    assert np.isnan(raw[1, 1])
    np.testing.assert_array_equal(convert.from_depth(msg), depth)


def test_depth_in_millimetres_of_either_byte_order_and_padded():
    big = Image(encoding="16UC1", width=2, height=2, step=6, is_bigendian=1)
    big.data = array("B", b"\x03\xe8\x00\x00\xff\xff\x07\xd0\x00\x01\xff\xff")
    np.testing.assert_allclose(convert.from_depth(big), [[1.0, 0.0], [2.0, 0.001]], rtol=1e-6)


def test_depth_that_is_no_distance_is_unknown():
    msg = convert.to_depth(np.ones((1, 4), np.float32), header())
    msg.data = array("B", np.array([-1.0, np.inf, np.nan, 3.0], np.float32).tobytes())
    assert convert.from_depth(msg).tolist() == [[0.0, 0.0, 0.0, 3.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": 20},
        {"height": 6},
        {"height": 4},
        {"width": 0},
        {"height": 0},
        {"width": 4_294_967_295},
        {"width": 2**31, "height": 2**31, "step": 2**31},
    ],
)
def test_an_image_that_is_not_as_long_as_it_says_is_refused(wrong):
    msg = convert.to_image(np.zeros((5, 7, 3), np.uint8), header())
    for name, value in wrong.items():
        setattr(msg, name, value)
    with pytest.raises(Malformed) as refusal:
        convert.from_image(msg, "colour")
    assert refusal.value.reason == "size"


def test_colour_is_not_depth():
    with pytest.raises(Malformed, match="expected a colour image"):
        convert.from_image(convert.to_depth(np.ones((2, 2), np.float32), header()))
    with pytest.raises(Malformed, match="expected a depth image"):
        convert.from_depth(convert.to_image(np.zeros((2, 2, 3), np.uint8), header()))


def test_other_encodings_without_cv_bridge_say_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    for read in (convert.from_image, convert.from_depth):
        with pytest.raises(Malformed, match=r"cv_bridge.*not installed"):
            read(Image(encoding="yuv422", width=2, height=2, step=4, data=array("B", bytes(8))))


def test_other_encodings_go_through_cv_bridge(monkeypatch):
    """With a stand-in for cv_bridge, of the same signature, that knows one encoding."""

    class CvBridgeError(TypeError):
        pass

    class CvBridge:
        def imgmsg_to_cv2(self, msg, desired_encoding):
            if msg.encoding != "rgba8" or desired_encoding != "rgb8":
                raise CvBridgeError(f"no conversion from {msg.encoding} to {desired_encoding}")
            return np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, 4)[..., :3]

    monkeypatch.setitem(sys.modules, "cv_bridge", types.SimpleNamespace(CvBridge=CvBridge, CvBridgeError=CvBridgeError))
    msg = Image(encoding="rgba8", width=2, height=1, step=8, data=array("B", bytes(range(8))))
    assert convert.from_image(msg).tolist() == [[[0, 1, 2], [4, 5, 6]]]
    with pytest.raises(Malformed, match="no conversion from rgba8 to 16UC1"):
        convert.from_depth(msg)


def test_ours_agrees_with_cv_bridge():
    bridge = pytest.importorskip("cv_bridge", reason="ROS 2's cv_bridge is not installed here")
    rgb = np.random.default_rng(6).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    for msg in (convert.to_image(rgb, header()), convert.to_image(rgb[..., 0], header())):
        np.testing.assert_array_equal(convert.from_image(msg), bridge.CvBridge().imgmsg_to_cv2(msg, "rgb8"))


def test_jpeg_both_ways_and_broken():
    y, x = np.mgrid[0:48, 0:64]
    rgb = np.stack([x * 4, y * 5, x + y], -1).astype(np.uint8)
    msg = convert.to_compressed(rgb, header())
    assert msg.format == "rgb8; jpeg compressed bgr8"
    assert np.abs(convert.from_compressed(msg).astype(int) - rgb).mean() < 3
    for data in (b"", b"GIF89a", bytes(msg.data)[:20]):
        with pytest.raises(SpatiaError, match="colour"):
            convert.from_compressed(CompressedImage(format="jpeg", data=array("B", data)), "colour")


# Calibration


def test_camera_info_both_ways_with_pixel_centres_at_integers():
    camera = Camera(640, 480, 500.0, 501.0, 320.0, 240.0)
    msg = convert.to_camera_info(camera, header())
    assert list(msg.k) == [500.0, 0.0, 319.5, 0.0, 501.0, 239.5, 0.0, 0.0, 1.0]
    assert list(msg.p) == [500.0, 0.0, 319.5, 0.0, 0.0, 501.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert (list(msg.r), list(msg.d)) == ([1, 0, 0, 0, 1, 0, 0, 0, 1], [0] * 5)
    assert convert.from_camera_info(msg) == camera


def test_cameras_that_are_not_a_pinhole_are_refused():
    def info(**changes):
        msg = convert.to_camera_info(Camera(64, 48, 50.0, 50.0, 32.0, 24.0), header())
        for name, value in changes.items():
            setattr(msg, name, value)
        return msg

    skewed = [50.0, 1.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0]
    uncalibrated, distorted = (CameraInfo(), info(k=skewed), info(k=[NAN] * 9)), (info(d=[0.1, 0.0]), info(d=[NAN]))
    for msg in (*uncalibrated, *distorted, info(binning_x=2), info(width=0)):
        with pytest.raises(SpatiaError, match="expected"):
            convert.from_camera_info(msg)


# Clouds


def test_clouds_both_ways_and_their_bytes():
    xyz = np.array([[1.0, 2.0, 3.0], [-4.0, 5.5, 0.0]], np.float32)
    rgb = np.array([[255, 128, 1], [0, 2, 3]], np.uint8)
    msg = convert_cloud.to_cloud(xyz, rgb, header())
    assert [(f.name, f.offset, f.datatype) for f in msg.fields] == [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("rgb", 12, 7)]
    assert (msg.point_step, msg.row_step, msg.width, msg.height) == (16, 32, 2, 1)
    assert bytes(msg.data)[12:16] == b"\x01\x80\xff\x00"  # little endian 0x00RRGGBB
    back = convert_cloud.from_cloud(msg)
    np.testing.assert_array_equal(back[0], xyz)
    np.testing.assert_array_equal(back[1], rgb)


def test_an_empty_cloud_both_ways():
    nothing = np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8)
    xyz, rgb = convert_cloud.from_cloud(convert_cloud.to_cloud(*nothing, header()))
    assert (xyz.shape, rgb.shape) == ((0, 3), (0, 3))


def test_points_that_are_nowhere_are_left_out():
    xyz = np.array([[1.0, 2.0, 3.0], [NAN, 0.0, 0.0]], np.float32)
    msg = convert_cloud.to_cloud(xyz, np.zeros((2, 3), np.uint8), header())
    assert convert_cloud.from_cloud(msg)[0].tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 3},
        {"row_step": 16},
        {"point_step": 8},
        {"width": 2**31, "height": 2**31},
        {"fields": []},
        {"is_bigendian": True},
    ],
)
def test_malformed_clouds_are_refused(wrong):
    msg = convert_cloud.to_cloud(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint8), header())
    for name, value in wrong.items():
        setattr(msg, name, value)
    with pytest.raises(Malformed, match="cloud: expected"):
        convert_cloud.from_cloud(msg)

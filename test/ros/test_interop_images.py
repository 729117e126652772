"""Images as an image pipeline takes them: synchronised by exact stamps, depth to points, JPEG by other decoders."""

import io

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import CAMERA, wait, walled_world
from PIL import Image as Pillow
from rclpy.node import Node
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from standard_client import LATCHED, ExactTime, Transforms, stamp_ns

PLACES = [(0.0, 0.0, 1.0, 0.0), (0.1, 0.05, 1.0, 0.1), (0.2, 0.0, 1.1, -0.1)]


def heard(graph, topic):
    """Whether a publisher of the topic knows of a subscription."""
    return any(p.get_subscription_count() for node in graph._nodes for p in node.publishers if p.topic_name == f"/{topic}")


@pytest.fixture(scope="module")
def taken(graph, tmp_path_factory):
    """A pipeline that has seen three places."""
    folder = tmp_path_factory.mktemp("images")
    walled_world(graph, folder, frame_rate_hz=50.0)
    pipeline = Node("pipeline", context=graph.context)
    pipeline.tf, pipeline.clouds = Transforms(pipeline), []
    pipeline.create_subscription(PointCloud2, "/world/memory/points", pipeline.clouds.append, LATCHED)
    topics = {
        "color": (Image, "camera/color/image_raw"), "color_info": (CameraInfo, "camera/color/camera_info"),
        "depth": (Image, "camera/depth/image_rect"), "depth_info": (CameraInfo, "camera/depth/camera_info"),
        "compressed": (CompressedImage, "camera/color/image_raw/compressed"), "provenance": (Image, "camera/provenance"),
        "points": (PointCloud2, "camera/points"),
    }  # fmt: skip
    pipeline.exact = ExactTime(pipeline, **topics)
    graph.add(pipeline)
    wait(lambda: all(heard(graph, topic) for _, topic in topics.values()), "every topic heard")
    wait(lambda: pipeline.clouds, "the memory")
    command = graph.publisher(PoseStamped, "/cmd_pose")
    for k, (x, y, z, yaw) in enumerate(PLACES):
        message = PoseStamped()
        message.header.frame_id = "map"
        message.pose.position.x, message.pose.position.y, message.pose.position.z = x, y, z
        message.pose.orientation.z, message.pose.orientation.w = np.sin(yaw / 2), np.cos(yaw / 2)
        command.publish(message)
        wait(lambda k=k: len(pipeline.exact.sets) > k, "a whole set of images")
    wait(lambda: pipeline.tf.parents["camera_color_optical_frame"], "the camera's frame")
    return pipeline


def test_a_set_of_one_stamp_is_there_for_every_frame(taken):
    assert len(taken.exact.sets) == len(PLACES)
    for together in taken.exact.sets:
        assert {m.header.frame_id for m in together.values()} == {"camera_color_optical_frame"}
        assert len({stamp_ns(m.header.stamp) for m in together.values()}) == 1


def test_calibration_is_that_of_a_rectified_image(taken):
    for together in taken.exact.sets:
        for info, image in ((together["color_info"], together["color"]), (together["depth_info"], together["depth"])):
            assert (info.width, info.height) == (image.width, image.height)
            assert not np.any(info.d)
            K, P = np.reshape(info.k, (3, 3)), np.reshape(info.p, (3, 4))
            np.testing.assert_array_equal(np.reshape(info.r, (3, 3)), np.eye(3))
            np.testing.assert_array_equal(P, np.hstack([K, np.zeros((3, 1))]))
            assert K[0, 0] == pytest.approx(CAMERA.fx)


def depth_of(together):
    image = together["depth"]
    assert (image.encoding, image.is_bigendian, image.step) == ("32FC1", 0, 4 * image.width)
    return np.frombuffer(image.data, np.float32).reshape(image.height, image.width)


def points_of(together):
    """What depth_image_proc makes of a depth image: points [H, W, 3] in the camera's optical frame."""
    z, info = depth_of(together), together["depth_info"]
    fx, cx, fy, cy = info.k[0], info.k[2], info.k[4], info.k[5]
    u, v = np.meshgrid(np.arange(info.width), np.arange(info.height))
    return np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], -1)


def memory_of(cloud):
    kind = np.dtype({"names": list("xyz"), "formats": ["<f4"] * 3, "offsets": [0, 4, 8], "itemsize": cloud.point_step})
    rows = np.frombuffer(cloud.data, kind)
    return np.stack([rows[axis] for axis in "xyz"], -1).astype(np.float64)


def test_depth_becomes_points_that_lie_on_the_memory_within_a_pixel(taken):
    tree = cKDTree(memory := memory_of(taken.clouds[0]))
    for together in taken.exact.sets:
        T = taken.tf.chain("map", "camera_color_optical_frame", stamp_ns(together["depth"].header.stamp))
        provenance = np.frombuffer(together["provenance"].data, np.uint8).reshape(points_of(together).shape[:2])
        seen = (provenance == 255) & np.isfinite(depth_of(together))
        assert seen.mean() > 0.5
        points = points_of(together)[seen] @ T[:3, :3].T + T[:3, 3]
        nearest = memory[tree.query(points)[1]]
        local = (nearest - T[:3, 3]) @ T[:3, :3]
        K = np.reshape(together["depth_info"].k, (3, 3))
        pixels = (local @ K.T)[:, :2] / local[:, 2:]
        v, u = np.nonzero(seen)
        off = np.linalg.norm(pixels - np.stack([u, v], -1), axis=1)
        assert np.median(off) < 0.5
        assert np.percentile(off, 99) < 1.0
        np.testing.assert_allclose(points[:, 0], 2.0, atol=0.03, err_msg="the wall is at x = 2 m")


def test_the_frames_own_cloud_is_what_its_depth_becomes(taken):
    for together in taken.exact.sets:
        own, made = memory_of(together["points"]), points_of(together)
        made = made[np.isfinite(made[..., 2])]
        assert len(own) > 0.5 * len(made)
        distances, _ = cKDTree(made).query(own)
        assert distances.max() < 1e-4


def test_tf_is_the_place_that_was_commanded(taken):
    for (x, y, z, yaw), together in zip(PLACES, taken.exact.sets, strict=True):
        T = taken.tf.chain("map", "base_link", stamp_ns(together["color"].header.stamp))
        np.testing.assert_allclose(T[:3, 3], (x, y, z), atol=1e-6)
        np.testing.assert_allclose(T[:3, :3], Rotation.from_euler("z", yaw).as_matrix(), atol=1e-6)


def test_compressed_images_are_decoded_by_opencv_and_pillow(taken):
    for together in taken.exact.sets:
        raw = np.frombuffer(together["color"].data, np.uint8).reshape(CAMERA.height, CAMERA.width, 3)
        jpeg = bytes(together["compressed"].data)
        assert "jpeg" in together["compressed"].format
        by_opencv = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        by_pillow = np.asarray(Pillow.open(io.BytesIO(jpeg)).convert("RGB"))
        for decoded in (by_opencv, by_pillow):
            assert decoded.shape == raw.shape
            assert np.abs(decoded.astype(float) - raw).mean() < 6.0
        assert np.abs(by_opencv.astype(int) - by_pillow).max() <= 3

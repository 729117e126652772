"""Mapping from RGB-D topics: the memory is the one that the same frames make without ROS."""

import numpy as np
import pytest
from harness import START, UP, parameters, wait, wall_frame
from nav_msgs.msg import Odometry
from scipy.spatial import cKDTree
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import SaveMemory, SetMode
from spatia_ros.types import Frame, SpatiaError

SECOND = 1_000_000_000
T_BASE_OPTICAL = geometry.pose(np.eye(3), np.array([0.1, 0.0, 0.2])) @ convert.T_LINK_OPTICAL
TOPICS = {
    "color/image_raw": Image,
    "color/image_raw/compressed": CompressedImage,
    "depth/image_rect": Image,
    "color/camera_info": CameraInfo,
}


def recording(n=4):
    """Frames of a camera that turns and moves before the wall, 0.1 s apart."""
    poses = [geometry.look_at(np.array([0.0, 0.1 * i, 1.0]), np.array([2.0, 0.3 * i, 1.0]), UP) for i in range(n)]
    return [wall_frame(T, SECOND + i * SECOND // 10) for i, T in enumerate(poses)]


def memory_of(frames, **config):
    memory = Memory(MemoryConfig(**config))
    for frame in frames:
        memory.integrate(frame)
    return memory


class Camera:
    """A driver: publishes frames the way a real RGB-D camera does, its pose beside them."""

    def __init__(self, graph, namespace, compressed=False, odom=False):
        self._colour = "color/image_raw/compressed" if compressed else "color/image_raw"
        wanted = (self._colour, "depth/image_rect", "color/camera_info")
        self._out = {topic: graph.publisher(TOPICS[topic], f"{namespace}/{topic}", qos.SENSOR_OUT) for topic in wanted}
        self._odom = graph.publisher(Odometry, f"{namespace}/odom", qos.SENSOR_OUT) if odom else None
        self._tf = None if odom else graph.publisher(TFMessage, "/tf", qos.TF)
        static = graph.publisher(TFMessage, "/tf_static", qos.LATCHED)
        static.publish(TFMessage(transforms=[convert.to_transform(T_BASE_OPTICAL, 0, "base_link", "camera_optical")]))

    def publish(self, frame, pose_first=True):
        """One frame, its pose before it, after it (False), or never (None).

        Its depth is a few milliseconds later than its colour, as such cameras have it.
        """
        header = convert.to_header(frame.stamp_ns, "camera_optical")
        later = convert.to_header(frame.stamp_ns + 4_000_000, "camera_optical")
        colour = convert.to_compressed if self._colour.endswith("compressed") else convert.to_image
        if pose_first:
            self.publish_pose(frame)
        self._out["color/camera_info"].publish(convert.to_camera_info(frame.camera, header))
        self._out[self._colour].publish(colour(frame.rgb, header))
        self._out["depth/image_rect"].publish(convert.to_depth(frame.depth, later))
        if pose_first is False:
            self.publish_pose(frame)

    def publish_pose(self, frame):
        T_world_base = frame.T_world_cam @ geometry.inverse(T_BASE_OPTICAL)
        if self._tf:
            self._tf.publish(TFMessage(transforms=[convert.to_transform(T_world_base, frame.stamp_ns, "map", "base_link")]))
            return
        msg = Odometry(header=convert.to_header(frame.stamp_ns, "map"), child_frame_id="base_link")
        msg.pose.pose = convert.to_pose(T_world_base)
        self._odom.publish(msg)


@pytest.fixture
def make(graph, tmp_path):
    nodes = []

    def node(namespace, kind=MapperNode, **values):
        overrides = parameters(data_dir=str(tmp_path), memory__voxel_m=0.02, **values)
        nodes.append(graph.add(kind(context=graph.context, namespace=namespace, parameter_overrides=overrides)))
        return nodes[-1]

    yield node
    for it in nodes:
        graph.remove(it)


def send(camera, node, frames, **how):
    """Frame by frame, each once the one before is in.

    A real camera goes on sending; so does this one when a frame came before discovery was done.
    """
    for i, frame in enumerate(frames):
        for more in (2, 1, 0):
            camera.publish(frame, **how)
            try:
                wait(lambda n=i + 1: node.status().frames == n, f"frame {i + 1} in the memory", 30.0)
                break
            except AssertionError:
                if not more:
                    raise


def same(memory, expected, colour=0.0):
    ours, theirs = memory.points(), expected.points()
    assert len(ours.xyz) == len(theirs.xyz)
    apart, match = cKDTree(theirs.xyz).query(ours.xyz)
    assert apart.max() < 1e-4  # what a saved file rounds to, at most
    assert len(np.unique(match)) == len(match)
    assert np.abs(ours.rgb.astype(int) - theirs.rgb[match]).mean() <= colour
    np.testing.assert_array_equal(ours.last_seen_ns, theirs.last_seen_ns[match])


def test_a_memory_grows_from_rgb_d_topics_and_is_saved(graph, make, tmp_path):
    node, frames = make("/tf"), recording()
    cloud = graph.collect(PointCloud2, "/tf/mapper/memory/points", qos.LATCHED)
    status = graph.collect(SimStatus, "/tf/mapper/status", qos.LATCHED)
    send(Camera(graph, "/tf"), node, frames)
    expected = memory_of(frames, voxel_m=0.02)
    saved = graph.call(SaveMemory, "/tf/memory/save", path="scan.spatia")
    assert saved.success, saved.message
    same(Memory.load(tmp_path / "scan.spatia"), expected)
    wait(lambda: cloud and cloud[-1].width == len(expected), "the cloud of the whole memory")
    wait(lambda: status and status[-1].frames == len(frames), "the status")
    assert (status[-1].mode, status[-1].memory_points) == (SimStatus.MAPPING, len(expected))


def test_poses_from_odometry_and_compressed_colour(graph, make):
    node, frames = make("/odom", sensor__pose_source="odom", sensor__compressed=True), recording()
    send(Camera(graph, "/odom", compressed=True, odom=True), node, frames)
    same(node.memory, memory_of(frames, voxel_m=0.02), colour=6.0)


def test_a_pose_that_comes_after_its_image_is_waited_for(graph, make):
    node, frames = make("/late", sensor__max_wait_s=30.0), recording()
    send(Camera(graph, "/late"), node, frames, pose_first=False)
    same(node.memory, memory_of(frames, voxel_m=0.02))


def test_frames_that_cannot_be_used_are_counted_and_the_rest_goes_on(graph, make):
    node, frames = make("/odd", sensor__max_wait_s=0.3), recording()
    camera = Camera(graph, "/odd")
    early = Frame(frames[0].rgb, frames[0].depth, frames[0].camera, frames[0].T_world_cam, SECOND // 2)
    camera.publish_pose(frames[0])
    camera.publish(early, pose_first=None)
    wait(lambda: camera.publish_pose(frames[0]) or node.health.refused["sensor: no_pose"] == 1, "the frame that got no pose")
    small = convert.to_depth(np.ones((32, 48), np.float32), convert.to_header(600 * SECOND, "camera_optical"))
    camera._out["depth/image_rect"].publish(small)
    camera._out["color/image_raw"].publish(convert.to_image(frames[0].rgb, small.header))
    keys = ("color/image_raw: registration", "depth/image_rect: registration")
    wait(lambda: sum(node.health.refused[k] for k in keys) == 1, "depth of another size than colour")
    assert node.status().frames == 0
    later = [Frame(f.rgb, f.depth, f.camera, f.T_world_cam, f.stamp_ns + 1000 * SECOND) for f in frames]
    send(camera, node, later)
    same(node.memory, memory_of(later, voxel_m=0.02))


def test_the_world_node_maps_too_in_its_own_axes(graph, make):
    """In mapping mode a y-up world takes frames of a z-up map; then it can be flown through."""
    node = make("/both", WorldNode, generator__name="projection", frames__map_up="y")
    T_world_map = geometry.inverse(convert.map_from_world("y"))
    assert graph.call(SetMode, "/both/memory/set_mode", mode=SimStatus.MAPPING).success
    frames = recording(2)
    camera = Camera(graph, "/both")
    for i, frame in enumerate(frames):
        camera.publish(frame)
        wait(lambda n=i + 1: node._version == n, "the frame in the memory")
    turned = [Frame(f.rgb, f.depth, f.camera, T_world_map @ f.T_world_cam, f.stamp_ns) for f in frames]
    same(node.memory, memory_of(turned, voxel_m=0.02))
    assert graph.call(SetMode, "/both/memory/set_mode", mode=SimStatus.GENERATING).success
    step = node.worker.submit(lambda: node._world.look(node.rig.camera_of(node.rig.base_of(T_world_map @ START)))).result(30.0)
    assert step.coverage.mean() > 0.5


def test_a_map_goes_on_from_its_checkpoint(graph, make):
    """Configured again, the mapper has what it had mapped, to the bit, and goes on in it."""
    node, frames = make("/kept", checkpoint__folder="kept", checkpoint__every_s=0.0), recording()
    camera = Camera(graph, "/kept")
    send(camera, node, frames[:2])
    before = node.memory.points()
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.start()
    np.testing.assert_array_equal(node.memory.points().xyz, before.xyz)
    send(camera, node, frames[2:])
    same(node.memory, memory_of(frames, voxel_m=0.02))


def test_a_tracked_map_keeps_no_checkpoint_and_says_why(make):
    with pytest.raises(SpatiaError, match=r"checkpoint\.folder: expected none, as a tracked map starts where its camera does"):
        make("/tracked", checkpoint__folder="kept", sensor__pose_source="tracked")

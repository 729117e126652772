"""Reading RGB-D sequences from rosbag2 recordings (sqlite3 or MCAP).

Poses are ROS poses of frames by name (REP-103, REP-105). The images' optical frame has the
axes this project uses inside, so ``T_world_cam`` is simply that frame's pose.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.geometry import pose_from_quat
from spatia_ros.sequence.associate import associate, poses_at
from spatia_ros.sequence.bag_file import BagFile, Stamp
from spatia_ros.sequence.bag_topics import POSE_TYPES, TF_TYPE, BagTopics, beside, detected
from spatia_ros.sequence.calibration import Calibration
from spatia_ros.sequence.ros_image import depth_of, rgb_of
from spatia_ros.sequence.sequence import Loader, Poses, Sequence
from spatia_ros.sequence.tf_tree import T_BODY_OPTICAL, TfTree
from spatia_ros.types import Bool, Camera, Float32, Float64, Int64, SpatiaError, Trajectory, UInt8

WORLD_FRAMES = ("map", "odom", "world")
_log = logging.getLogger(__name__)


def read_bag(path: Path | str, topics: BagTopics | None = None, poses: Poses = "required") -> Sequence:
    """The RGB-D sequence in a rosbag2 folder, .mcap or .db3 file.

    Colour and depth are matched one to one by header stamp (20 ms at most). A frame's pose is
    the TF of the image's optical frame at the colour stamp, or an odometry or pose topic joined
    to it by static TF; where no TF leads from the odometry's child frame to the camera, the
    camera is taken to sit at that frame and look along its x axis (REP-103). Frames without
    depth or pose are dropped and counted.

    Args:
        topics: what to read; None: what ``topics.yaml`` in the folder says, and else what can be found out.
        poses: see :data:`spatia_ros.sequence.sequence.Poses`.

    Raises:
        SpatiaError: when topics are missing or ambiguous, depth is not registered to colour, no
            pose can be had, or the bag is truncated or corrupt.
    """
    bag = BagFile(Path(path))
    with bag.told():
        return _sequence(bag, detected(bag, topics or beside(bag.path)), poses)


def _sequence(bag: BagFile, chosen: BagTopics, poses: Poses) -> Sequence:
    colour, depth = _ordered(bag, chosen.colour), _ordered(bag, chosen.depth)
    if depth[0].frame_id != colour[0].frame_id:
        raise SpatiaError(
            f"{bag.path}: expected depth registered to colour, got {chosen.depth} in frame {depth[0].frame_id!r} "
            f"and {chosen.colour} in {colour[0].frame_id!r}: record the aligned depth topic and name it as depth"
        )
    calibration = _calibration(bag.first(chosen.info), chosen)
    colour_ns = np.array([stamp.stamp_ns for stamp in colour])
    pairs = associate(colour_ns, np.array([stamp.stamp_ns for stamp in depth]))
    if poses == "none" or (poses == "any" and not _may_have_poses(bag)):
        if not len(pairs):
            raise SpatiaError(f"{bag.path}: expected frames with colour and depth at one time, got none of {len(colour)} images")
        load = _loader(bag, chosen, calibration, [(colour[i], depth[j]) for i, j in pairs])
        missing = {"without depth": len(colour) - len(pairs)}
        return Sequence.unposed(bag.path.stem, calibration.camera, colour_ns[pairs[:, 0]], load, missing)
    T_world_cam, tracked = _poses(bag, chosen, chosen.camera_frame or colour[0].frame_id, colour_ns[pairs[:, 0]])
    dropped = {"without depth": len(colour) - len(pairs), "without pose": int((~tracked).sum())}
    pairs = pairs[tracked]
    if not len(pairs):
        got = f"none: of {len(colour)} images {dropped}"
        raise SpatiaError(f"{bag.path}: expected frames with colour, depth and pose at one time, got {got}")
    if any(dropped.values()):
        _log.warning("%s: %d of %d colour images dropped: %s", bag.path, len(colour) - len(pairs), len(colour), dropped)
    stamps = [(colour[i], depth[j]) for i, j in pairs]
    load = _loader(bag, chosen, calibration, stamps)
    return Sequence(bag.path.stem, calibration.camera, colour_ns[pairs[:, 0]], T_world_cam[tracked], load, dropped)


def _may_have_poses(bag: BagFile) -> bool:
    """Whether the bag holds an odometry or pose topic, or transforms that move."""
    return bool(bag.topics(*POSE_TYPES)) or any(not topic.endswith("tf_static") for topic in bag.topics(TF_TYPE))


def _ordered(bag: BagFile, topic: str) -> list[Stamp]:
    """The topic's stamps in order of time, one per time."""
    stamps = {stamp.stamp_ns: stamp for stamp in bag.stamps(topic)}
    if set(stamps) <= {0}:
        raise SpatiaError(f"{bag.path}: {topic}: expected header stamps, got {'only zeros' if stamps else 'no messages'}")
    return [stamps[t] for t in sorted(stamps)]


def _calibration(info: Any, topics: BagTopics) -> Calibration:
    """Of a CameraInfo: K with distortion for a raw image, P without for a rectified one."""
    if max(info.binning_x, info.binning_y) > 1 or info.roi.x_offset or info.roi.y_offset:
        got = f"binning {info.binning_x}x{info.binning_y} and roi {info.roi}"
        raise SpatiaError(f"{topics.info}: expected a full image, got {got}")
    rectified = "rect" in topics.colour.rsplit("/", 1)[-1]
    columns, matrix = (4, info.p) if rectified else (3, info.k)
    K = [float(x) for x in matrix]
    try:
        camera = Camera.from_calibration(int(info.width), int(info.height), K[0], K[columns + 1], K[2], K[columns + 2])
        return Calibration(camera, info.distortion_model, np.zeros(0) if rectified else np.array(info.d, np.float64))
    except SpatiaError as error:
        raise SpatiaError(f"{topics.info}: {error}") from None


def _poses(bag: BagFile, topics: BagTopics, camera_frame: str, stamps_ns: Int64) -> tuple[Float64, Bool]:
    """``T_world_cam`` [N, 4, 4] at the stamps and where it is known."""
    tree = _tree(bag)
    worlds = [topics.world_frame] if topics.world_frame else [*WORLD_FRAMES, tree.ancestors(camera_frame)[-1]]
    world = next((name for name in worlds if name != camera_frame and tree.connected(name, camera_frame)), "")
    if not topics.pose and world:
        return tree.poses(world, camera_frame, stamps_ns)
    known = bag.topics(*POSE_TYPES)
    if not topics.pose and len(known) != 1:
        frames = sorted({*tree.links, *(link.parent for link in tree.links.values())})
        raise SpatiaError(
            f"{bag.path}: expected poses of {camera_frame!r}: TF from {' or '.join(worlds)} (TF has {frames}), or one "
            f"odometry or pose topic, got {known or 'none'}: name a pose topic or a world_frame"
        )
    return _poses_of_topic(bag, tree, topics.pose or known[0], topics.pose_frame, camera_frame, stamps_ns)


def _tree(bag: BagFile) -> TfTree:
    tree = TfTree()
    for topic in bag.topics(TF_TYPE):
        for _, message in bag.messages(topic):
            for one in message.transforms:
                name = f"{topic}: {one.header.frame_id} -> {one.child_frame_id}"
                T = _transform(one.transform.translation, one.transform.rotation, name)
                tree.add(one.header.frame_id, one.child_frame_id, T, _stamp_ns(one.header), static=topic.endswith("tf_static"))
    return tree


def _poses_of_topic(
    bag: BagFile, tree: TfTree, topic: str, pose_frame: str, camera_frame: str, stamps_ns: Int64,
) -> tuple[Float64, Bool]:
    """Of an odometry or pose topic, joined to the camera by static transforms."""
    path: dict[int, Float64] = {}
    for _, message in bag.messages(topic):
        pose = message.pose.pose if hasattr(message.pose, "pose") else message.pose
        path[_stamp_ns(message.header)] = _transform(pose.position, pose.orientation, topic)
        pose_frame = pose_frame or getattr(message, "child_frame_id", "")
    if not pose_frame:
        raise SpatiaError(f"{bag.path}: {topic}: expected to be told what frame its poses are of: name it as pose_frame")
    times = sorted(path)
    T, tracked = poses_at(Trajectory(np.array(times, np.int64), np.stack([path[t] for t in times])), stamps_ns)
    if tree.constant(pose_frame, camera_frame):
        extrinsic = tree.poses(pose_frame, camera_frame, stamps_ns[:1])[0][0]
    elif tree.connected(pose_frame, camera_frame):
        raise SpatiaError(f"{bag.path}: expected static TF from {pose_frame!r} to {camera_frame!r}, got transforms that move")
    else:
        _log.warning("%s: no TF from %s to %s: taking a camera there that looks along x", bag.path, pose_frame, camera_frame)
        extrinsic = T_BODY_OPTICAL
    out = np.tile(np.eye(4), (len(stamps_ns), 1, 1))
    out[tracked] = T @ extrinsic
    return out, tracked


def _transform(position: Any, rotation: Any, name: str) -> Float64:
    t = np.array([position.x, position.y, position.z], np.float64)
    return pose_from_quat(t, np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64), name)


def _stamp_ns(header: Any) -> int:
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _loader(bag: BagFile, topics: BagTopics, calibration: Calibration, stamps: list[tuple[Stamp, Stamp]]) -> Loader:
    width, height, undistortion = calibration.camera.width, calibration.camera.height, calibration.undistortion()

    def load(index: int) -> tuple[UInt8, Float32]:
        colour, depth = stamps[index]
        with bag.told():
            name = f"{bag.path}: {topics.colour} at {colour.stamp_ns} ns"
            rgb = rgb_of(bag.message(topics.colour, colour), name, width, height)
            name = f"{bag.path}: {topics.depth} at {depth.stamp_ns} ns"
            metres = depth_of(bag.message(topics.depth, depth), name, width, height)
        return (rgb, metres) if undistortion is None else (undistortion.rgb(rgb), undistortion.depth(metres))

    return load

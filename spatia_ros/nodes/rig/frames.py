"""The frames of the rig: map -> odom -> base_link -> <camera>_link -> <camera>_color_optical_frame, for each camera.

Commands are poses of ``base_link`` in ``map``, ``odom`` or ``base_link`` itself (a relative move). The
map is the recording's world, turned so that ``map_up`` becomes z. ``odom -> base_link`` never jumps
(REP-105): a step longer than a motion's goes into ``map -> odom``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.nodes import convert
from spatia_ros.nodes.settings import FrameSettings
from spatia_ros.rig import Lens, RigCamera
from spatia_ros.types import Camera, Float64, Trajectory
from spatia_ros.world import World

UNKNOWN = Lens(Camera.from_fov(320, 240, 1.2))
"""Until a world says what its camera is."""


@dataclass(frozen=True, slots=True)
class RigPose:
    """Where the rig is: both 4x4, and the mean velocity of its last motion [6] in its own axes."""

    T_map_odom: Float64
    T_odom_base: Float64
    twist: Float64

    @property
    def T_map_base(self) -> Float64:
        """The rig in the map."""
        return self.T_map_odom @ self.T_odom_base


def _prefixed(settings: FrameSettings) -> FrameSettings:
    """The names as they are on /tf: the map is everybody's, the rest this robot's."""
    return settings.model_copy(update={name: settings.prefix + getattr(settings, name) for name in ("odom", "base")})


def logarithm(T: Float64) -> Float64:
    """The constant velocity [6] (linear, angular, body axes) that makes a rigid motion in unit time.

    The inverse of ``motion.exponential``: wheels on an arc have no sideways part, as the chord would have.
    """
    w = geometry.rotation_vector(T)
    angle = float(np.linalg.norm(w))
    W = np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
    # (1 - (a/2) cot(a/2)) / a^2, and its limit where that divides by nearly zero
    share = 1 / 12 if angle < 1e-4 else (1 - angle / 2 / np.tan(angle / 2)) / angle**2
    return np.concatenate([(np.eye(3) - W / 2 + share * W @ W) @ T[:3, 3], w])


def mount_of(xyz_m: Sequence[float], rpy_rad: Sequence[float]) -> Float64:
    """``T_rig_cam`` of a camera whose link stands so in base_link."""
    link = geometry.pose(Rotation.from_euler("xyz", rpy_rad).as_matrix(), np.array(xyz_m, np.float64))
    return link @ convert.T_LINK_OPTICAL


def link_of(camera: RigCamera) -> Float64:
    """``T_base_link`` of a camera's link, with REP-103's axes."""
    return camera.T_rig_cam @ geometry.inverse(convert.T_LINK_OPTICAL)


class Rig:
    """Names and transforms of the frames, the cameras, and where the rig is now.

    Args:
        cameras: of a rig file; the first is the one that the world is seen through. None: one, as the settings mount it.
    """

    def __init__(self, settings: FrameSettings, cameras: Sequence[RigCamera] = ()) -> None:
        self._taken, self.names = settings, _prefixed(settings)
        self._described = bool(cameras)
        given = cameras or (RigCamera(settings.camera, mount_of(settings.camera_xyz_m, settings.camera_rpy_rad), UNKNOWN),)
        own = settings.prefix
        self.cameras = tuple(replace(each, link=own + each.link, optical=own + each.optical) for each in given)
        self.T_map_world = convert.map_from_world(settings.map_up)
        self.pose = RigPose(np.eye(4), np.eye(4), np.zeros(6))

    def take(self, settings: FrameSettings) -> None:
        """Go by the newest settings: what is published may change at any time, names do not."""
        if settings is not self._taken:
            self._taken, self.names = settings, _prefixed(settings)

    def fit(self, world: World) -> None:
        """Have a world seen through the first camera; where no rig file describes it, it is the world's own."""
        if self._described:
            world.camera = self.first.source
        else:
            self.cameras = (replace(self.first, lens=Lens(world.camera)),)

    @property
    def first(self) -> RigCamera:
        """The camera that makes the world go on."""
        return self.cameras[0]

    @property
    def link(self) -> str:
        """Frame of the first camera's link."""
        return self.first.link

    @property
    def optical(self) -> str:
        """Frame of the first camera's images."""
        return self.first.optical

    @property
    def T_base_link(self) -> Float64:
        """The first camera's link on the rig."""
        return link_of(self.first)

    def base_of(self, T_world_cam: Float64) -> Float64:
        """``T_map_base`` that puts the camera at a pose of the core."""
        return self.T_map_world @ T_world_cam @ geometry.inverse(self.first.T_rig_cam)

    def bases_of(self, trajectory: Trajectory) -> Float64:
        """``T_map_base`` [T, 4, 4] along a camera path of the core."""
        return np.stack([self.base_of(T) for T in trajectory.T_world_cam])

    def camera_of(self, T_map_base: Float64, camera: RigCamera | None = None) -> Float64:
        """``T_world_cam`` of a camera (the first one) of the core, for a pose of the rig."""
        return geometry.inverse(self.T_map_world) @ T_map_base @ (camera or self.first).T_rig_cam

    @property
    def frame_names(self) -> set[str]:
        """All frames of the rig."""
        mine = {frame for camera in self.cameras for frame in (camera.link, camera.optical)}
        return {self.names.map, self.names.odom, self.names.base} | mine

    def check_frame(self, frame_id: str, name: str) -> None:
        """Refuse a frame that commands cannot be given in."""
        known = (self.names.map, self.names.odom, self.names.base)
        if frame_id not in known:
            raise convert.Malformed("frame", f"{name}: expected a pose in {', '.join(known)}, got frame {frame_id!r}")

    def in_map(self, frame_id: str, T_frame_base: Float64) -> Float64:
        """A command given in one of the known frames, as ``T_map_base`` [..., 4, 4]."""
        T_map_frame = {
            self.names.map: np.eye(4),
            self.names.odom: self.pose.T_map_odom,
            self.names.base: self.pose.T_map_base,
        }[frame_id]
        return T_map_frame @ T_frame_base

    def move(self, T_map_base: Float64, dt_s: float, jump: bool) -> None:
        """Put the rig somewhere: as a motion in odom that took ``dt_s``, or as a jump of odom in the map."""
        T_map_base = geometry.made_rigid(T_map_base)
        old = self.pose
        if jump:
            self.pose = RigPose(T_map_base @ geometry.inverse(old.T_odom_base), old.T_odom_base, np.zeros(6))
            return
        T_odom_base = geometry.inverse(old.T_map_odom) @ T_map_base
        step = geometry.inverse(old.T_odom_base) @ T_odom_base
        self.pose = RigPose(old.T_map_odom, T_odom_base, logarithm(step) / dt_s)

    def is_jump(self, T_map_base: Float64, jump_m: float, jump_rad: float) -> bool:
        """Whether a pose is farther from the present one than a motion goes in one step."""
        step = geometry.inverse(self.pose.T_map_base) @ T_map_base
        return bool(np.linalg.norm(step[:3, 3]) > jump_m or np.linalg.norm(geometry.rotation_vector(step)) > jump_rad)

    def static_transforms(self, stamp_ns: int) -> list[TransformStamped]:
        """What /tf_static says: how the cameras are mounted."""
        out = []
        for camera in self.cameras:
            out.append(convert.to_transform(link_of(camera), stamp_ns, self.names.base, camera.link))
            out.append(convert.to_transform(convert.T_LINK_OPTICAL, stamp_ns, camera.link, camera.optical))
        return out

    def transforms(self, stamp_ns: int) -> list[TransformStamped]:
        """What /tf says at a time, as far as it is ours to say."""
        out = []
        if self.names.publish_tf:
            out.append(convert.to_transform(self.pose.T_odom_base, stamp_ns, self.names.odom, self.names.base))
        if self.names.publish_map_tf:
            out.append(convert.to_transform(self.pose.T_map_odom, stamp_ns, self.names.map, self.names.odom))
        return out

    def odometry(self, stamp_ns: int) -> Odometry:
        """Pose in odom and velocity in base_link; exact, so the covariances are zero."""
        msg = Odometry(header=convert.to_header(stamp_ns, self.names.odom), child_frame_id=self.names.base)
        msg.pose.pose = convert.to_pose(self.pose.T_odom_base)
        msg.twist.twist = convert.to_twist(self.pose.twist)
        return msg

"""Valid messages, requests and goals, from which those that are nearly right are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, Twist, TwistStamped
from harness import START, wall_frame
from nav_msgs.msg import Odometry, Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from spatia_ros.nodes import convert, convert_cloud
from spatia_ros.types import Camera

CAMERA = Camera.from_fov(48, 32, 1.2)
OPTICAL = "camera_color_optical_frame"


def pose_stamped(frame: str = "map", stamp_ns: int = 0, x: float = 0.0) -> PoseStamped:
    """Where the tests' worlds begin."""
    T = START @ np.linalg.inv(convert.T_LINK_OPTICAL)
    T[0, 3] += x
    return PoseStamped(header=convert.to_header(stamp_ns, frame), pose=convert.to_pose(T))


def path() -> Path:
    """Three poses a tenth of a second apart."""
    poses = [pose_stamped(stamp_ns=k * 10**8, x=0.01 * k) for k in range(1, 4)]
    return Path(header=convert.to_header(0, "map"), poses=poses)


def twist_stamped() -> TwistStamped:
    """Slowly ahead."""
    msg = TwistStamped(header=convert.to_header(0, "base_link"))
    msg.twist.linear.x, msg.twist.angular.z = 0.1, 0.05
    return msg


def initial() -> PoseWithCovarianceStamped:
    """rviz's button."""
    msg = PoseWithCovarianceStamped(header=convert.to_header(0, "map"))
    msg.pose.pose = pose_stamped().pose
    return msg


def picture(depth: bool = False) -> Image:
    """Colour, or depth, of the wall."""
    frame = wall_frame(camera=CAMERA)
    header = convert.to_header(10**9, OPTICAL)
    return convert.to_depth(frame.depth, header) if depth else convert.to_image(frame.rgb, header)


def millimetres() -> Image:
    """Depth as 16UC1."""
    msg, frame = picture(), wall_frame(camera=CAMERA)
    data = (frame.depth * 1000).astype(np.uint16)
    msg.encoding, msg.step = "16UC1", 2 * CAMERA.width
    msg.data = type(msg.data)("B", data.tobytes())
    return msg


def transforms(parent: str = "map", child: str = OPTICAL) -> TFMessage:
    """Where the camera is."""
    return TFMessage(transforms=[convert.to_transform(START, 10**9, parent, child)])


def odometry() -> Odometry:
    """Where the camera is, by odometry."""
    msg = Odometry(header=convert.to_header(10**9, "map"), child_frame_id=OPTICAL)
    msg.pose.pose = convert.to_pose(START)
    return msg


def cloud() -> PointCloud2:
    """A hundred points."""
    rng = np.random.default_rng(0)
    xyz, rgb = rng.uniform(-2, 2, (100, 3)).astype(np.float32), rng.integers(0, 255, (100, 3)).astype(np.uint8)
    return convert_cloud.to_cloud(xyz, rgb, convert.to_header(10**9, "map"))


def clock() -> Clock:
    """A second after the beginning."""
    msg = Clock()
    msg.clock.sec = 1
    return msg


MESSAGES: dict[type, list[Callable[[], Any]]] = {
    PoseStamped: [pose_stamped, lambda: pose_stamped("base_link"), lambda: pose_stamped("odom")],
    Path: [path],
    TwistStamped: [twist_stamped],
    Twist: [lambda: twist_stamped().twist],
    PoseWithCovarianceStamped: [initial],
    Image: [picture, lambda: picture(True), millimetres],
    CompressedImage: [lambda: convert.to_compressed(wall_frame(camera=CAMERA).rgb, convert.to_header(10**9, OPTICAL))],
    CameraInfo: [lambda: convert.to_camera_info(CAMERA, convert.to_header(10**9, OPTICAL))],
    TFMessage: [transforms, lambda: transforms("odom", "base_link")],
    Odometry: [odometry],
    PointCloud2: [cloud],
    Clock: [clock],
}


WORLD = (
    "{name: w, place: wall.spatia, tags: [a, b], first: 0, frames: 2, every: 1, start: [0, 0, 1, 90], "
    "actors: [{kind: ball, pose: [1, 0, 0, 0], spacing_m: 0.2}], poses: {door: {pose: [1, 2, 0, 90], size: [1, 1, 2]}}}"
)
"""A world's description."""
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "SetMode": [{"mode": 0}, {"mode": 1}, {"mode": 2}],
    "Snapshot": [{"name": "s0"}],
    "Restore": [{"name": "s0"}],
    "SaveMemory": [{"path": "new.spatia"}],
    "LoadMemory": [{"path": "wall.spatia"}, {"path": "half.spatia"}],
    "SavePly": [{"path": "new.ply"}],
    "SetPrompt": [{"prompt": "a red room"}],
    "GetRegion": [{"box": [-1.0, -1.0, 0.0, 3.0, 1.0, 2.0]}, {"sphere": [2.0, 0.0, 1.0, 0.5]}],
    "EditMemory": [
        {"operation": 0}, {"operation": 1, "box": [1.9, -0.2, 0.9, 2.1, 0.2, 1.1]},
        {"operation": 1, "sphere": [2.0, 0.0, 1.0, 0.1]},
        {"operation": 3, "half_space": [2.0, 0.0, 1.0, 0.0, 0.0, 1.0]}, {"operation": 2, "component": [2.0, 0.0, 1.0, 0.05]},
        {"operation": 4, "path": "ball.obj", "name": "ball"}, {"operation": 5}, {"operation": 6},
        {"operation": 2, "object": "wall"},
    ],
    "SetAnimationTime": [
        {"mode": 1, "rate": 0.5}, {"mode": 2, "tau_s": 1.0}, {"mode": 3, "pattern": "bullet-time", "duration_s": 6.0},
        {"mode": 4, "knots_s": [0.0, 0.0, 2.0, 6.0, 4.0, 0.0], "after": "loop"}, {"mode": 5},
        {"mode": 1, "rate": -1.0, "actor": "ball"},
    ],
    "SpawnEntity": [
        {"name": "ball", "uri": "library:ball"}, {"name": "b", "uri": "ball.obj", "allow_renaming": True},
        {"name": "c", "uri": "actors.yaml"},
        {"name": "walker", "resource_string": "{kind: pedestrian, spacing_m: 0.3, path: [[0, 0, 0, 0, 90], [3, 0, 3, 0, 90]]}"},
    ],
    "DeleteEntity": [{"entity": "ball"}, {"entity": "ego"}],
    "GetEntityState": [{"entity": "ego"}, {"entity": "ball"}],
    "GetEntityInfo": [{"entity": "ego"}, {"entity": "ball"}],
    "GetEntityBounds": [{"entity": "ball"}],
    "SetEntityState": [{"entity": "ego"}, {"entity": "ball"}],
    "SetEntityInfo": [{"entity": "ball"}],
    "GetSpawnables": [{"sources": []}, {"sources": ["folder.spatia"]}],
    "LoadWorld": [{"uri": "wall.spatia"}, {"uri": "cloud.ply"}, {"resource_string": WORLD}],
    "GetAvailableWorlds": [{}, {"additional_sources": ["folder.spatia"]}],
    "StepSimulation": [{"steps": 1}],
    "SetSimulationState": [{}],
    "NavigateToObject": [{"phrase": "the crate"}, {"phrase": "the red ball", "look_only": True}, {"phrase": "a chair"}],
    "SimulateSteps": [{"steps": 2}],
    "GenerateTrajectory": [{}, {"record": "run", "prompt": "a red room", "seed": 3}, {"cameras": ["camera"]}],
    "ExportDataset": [{"folder": "set", "format": 0}, {"folder": "set", "format": 1}, {"folder": "set", "format": 2}],
}  # fmt: skip
"""Fields of valid requests and goals by the name of their type; what is not here begins with its defaults."""


def _filled(kind: type, fields: dict[str, Any]) -> Any:
    made = kind()
    for name, value in fields.items():
        if hasattr(made, name):
            now = getattr(made, name)
            setattr(made, name, type(now)(now.typecode, value) if hasattr(now, "typecode") else value)
    for name in ("motion", "pose"):
        if hasattr(made, name) and hasattr(getattr(made, name), "orientation"):
            getattr(made, name).orientation.w = 1.0
    if hasattr(made, "state") and hasattr(made.state, "pose"):
        made.state.header.frame_id, made.state.pose = "map", pose_stamped().pose
    if hasattr(made, "state") and hasattr(made.state, "STATE_PLAYING"):
        made.state.state = made.state.STATE_PLAYING
    if hasattr(made, "initial_pose"):
        made.initial_pose = pose_stamped("base_link")
        made.initial_pose.pose.position.x += 1.0
    for name in ("path", "trajectory"):
        if isinstance(getattr(made, name, None), Path):
            setattr(made, name, path())
    if hasattr(made, "spawn_requests"):
        element = made.get_fields_and_field_types()["spawn_requests"]
        from message_strategies import base_of, message_class

        made.spawn_requests = [_filled(message_class(base_of(element)[0]), {"name": "ball", "uri": "library:ball"})]
    return made


def makers_of(kind: type) -> list[Callable[[], Any]]:
    """What makes valid messages of a kind."""
    if kind in MESSAGES:
        return MESSAGES[kind]
    name = kind.__name__.removesuffix("_Request").removesuffix("_Goal")
    return [lambda fields=fields: _filled(kind, fields) for fields in REQUESTS.get(name, [{}])]

"""What a node can be told: the world's configuration, and beside it what only ROS needs.

Each field is a ROS parameter of the same dotted name, with its range and description; see
:mod:`.parameters`. Fields marked live take effect while the node runs, the others at its start.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spatia_ros.config import ActorsConfig, DynamicsConfig, LoopsConfig, MemoryConfig, TrackingConfig, WorldConfig

Vector = tuple[float, float, float]


class Section(BaseModel):
    """A group of settings: frozen, strict, finite. ``live`` names those that may change while the node runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    live: ClassVar[frozenset[str]] = frozenset()


class FrameSettings(Section):
    """Names of the frames, and how the camera is mounted."""

    live = frozenset({"publish_tf", "publish_map_tf", "publish_actor_tf"})

    map: str = Field("map", description="the world's frame")
    odom: str = Field("odom", description="the frame in which the rig moves without jumps (REP-105)")
    base: str = Field("base_link", description="the camera rig: what commands move")
    prefix: str = Field("", description="put before all of the rig's own frames, such as robot1/, where robots share /tf")
    camera: str = Field("camera", description="camera name: topics NAME/..., frames NAME_link and NAME_color_optical_frame")
    map_up: Literal["z", "y", "-y"] = Field("z", description="axis of the recording that points up; it becomes the map's z")
    camera_xyz_m: Vector = Field((0.0, 0.0, 0.0), description="position of the camera's link in the rig, m")
    camera_rpy_rad: Vector = Field((0.0, 0.0, 0.0), description="roll, pitch, yaw of the camera's link in the rig, rad")
    publish_tf: bool = Field(True, description="publish odom -> rig on /tf")
    publish_map_tf: bool = Field(True, description="publish map -> odom on /tf; off where a localiser does")
    publish_actor_tf: bool = Field(False, description="publish map -> each actor on /tf, as a frame of the actor's name")


class RigSettings(Section):
    """Several cameras, or one with a lens, instead of frames.camera*; and what is published of each."""

    file: str = Field("", description="cameras of the rig: a YAML rig file or a URDF, in data_dir or its full path; empty: one")
    always: bool = Field(
        False,
        description=(
            "make every camera at every frame, and remember what each invents; off: the first, and others while somebody "
            "listens to them, which remember nothing"
        ),
    )
    depth_encoding: Literal["32FC1", "16UC1"] = Field(
        "32FC1", description="depth images: 32FC1, metres, NaN unknown; or 16UC1, millimetres, 0 unknown (REP-118)"
    )
    publish_static: bool = Field(True, description="publish the cameras' mounts on /tf_static; off where the robot's URDF is")


class SourceSettings(Section):
    """What memory starts from; relative paths start in data_dir."""

    sequence: str = Field("", description="a recording (TUM RGB-D folder, rosbag2, MCAP), or builtin for the built-in room")
    first: int = Field(0, ge=0, le=10_000_000, description="first frame of the recording to use")
    frames: int = Field(0, ge=0, le=10_000_000, description="frames of the recording to use; 0: all")
    every: int = Field(1, ge=1, le=100_000, description="use every this many frames")
    memory: str = Field("", description="a memory file saved before, instead of a recording")
    place: str = Field(
        "", description="a mesh (GLB, OBJ, DAE), point cloud (PLY, PCD, LAS) or recording without poses, instead of a recording"
    )
    actors: str = Field("", description="what moves there: a script of actors (YAML) or a saved cast; empty: nothing yet")
    cloud_topic: str = Field(
        "", description="a PointCloud2 topic in the map's frame: its first cloud becomes the memory, instead of a recording"
    )


class MotionSettings(Section):
    """How commands move the rig."""

    live = frozenset({"twist_model", "twist_timeout_s", "jump_m", "jump_rad", "keep_height", "pace", "stream"})

    twist_stamped: bool = Field(True, description="cmd_vel is TwistStamped; off: Twist")
    twist_model: Literal["six_dof", "unicycle"] = Field("six_dof", description="unicycle: forward and yaw only, as on wheels")
    twist_timeout_s: float = Field(0.5, gt=0.0, le=60.0, description="the rig stops this long after the last cmd_vel, s")
    jump_m: float = Field(0.5, ge=0.0, le=1000.0, description="a longer step is a jump of map -> odom, no motion in odom, m")
    jump_rad: float = Field(0.8, ge=0.0, le=3.15, description="likewise a larger turn, rad")
    keep_height: bool = Field(True, description="an initialpose with z = 0, as rviz sends it, keeps the rig's height")
    pace: Literal["real_time", "fast", "stepped"] = Field(
        "real_time",
        description="real_time: frames no faster than their stamps; fast: as fast as made; stepped: only steps asked for",
    )
    stream: bool = Field(False, description="make a frame every period even when nothing moves, as a real camera does")


class DeadlineSettings(Section):
    """What gives way when frames take longer than there is time, in real time."""

    live = frozenset({"policy", "late_frames", "room", "climb_frames", "slowest"})

    policy: Literal["keep", "degrade"] = Field(
        "keep",
        description="keep: frames are late, and counted; degrade: fewer sampling steps, then memory alone, then fewer frames",
    )
    late_frames: int = Field(3, ge=1, le=1000, description="late frames in a row after which quality gives way by a step")
    room: float = Field(0.7, gt=0.0, le=1.0, description="a frame that takes less than this share of its period leaves room")
    climb_frames: int = Field(30, ge=1, le=100_000, description="frames in a row with room after which a better quality is tried")
    slowest: int = Field(8, ge=1, le=1000, description="periods between frames at the lowest rate; 1: the rate never falls")


class SimulationSettings(Section):
    """What simulation_interfaces finds here."""

    start: Literal["playing", "paused", "stopped"] = Field("playing", description="state of the simulation at the start")
    keep_start: bool = Field(True, description="keep a copy of the world as it began, for resets; off saves that memory")


class HeartbeatSettings(Section):
    """~/heartbeat: that the node is alive, and its work goes on."""

    live = frozenset({"hang_s"})

    period_s: float = Field(0.5, ge=0.05, le=10.0, description="time between two, s; read when the program starts")
    hang_s: float = Field(120.0, ge=0.0, le=86_400.0, description="none while a frame or job takes longer; 0: always, s")


class CheckpointSettings(Section):
    """What a restart goes on with."""

    folder: str = Field("", description="folder in data_dir where the state is kept, of one node alone; empty: it is not kept")
    every_s: float = Field(30.0, ge=0.0, le=86_400.0, description="how often it is written, s; 0: only when the node stops")
    resume: bool = Field(True, description="go on with the newest state that is there, in place of source")


class CloudSettings(Section):
    """Limits of ~/memory/points."""

    live = frozenset({"max_points", "voxel_m", "max_bytes_per_s"})

    max_points: int = Field(200_000, ge=0, le=50_000_000, description="points published at most, an even choice of them")
    voxel_m: float = Field(0.0, ge=0.0, le=10.0, description="one point per cube of this side; 0: all of memory's points, m")
    max_bytes_per_s: float = Field(8e6, gt=0.0, le=1e10, description="a cloud waits until the last is paid for, bytes/s")


class UpdateSettings(Section):
    """Limits of ~/memory/update."""

    live = frozenset({"max_points", "max_bytes_per_s"})

    max_points: int = Field(20_000, ge=100, le=1_000_000, description="voxels a message tells of at most")
    max_bytes_per_s: float = Field(8e6, gt=0.0, le=1e10, description="a message waits until the last is paid for, bytes/s")


class SensorSettings(Section):
    """The RGB-D topics that feed the memory in mapping mode."""

    compressed: bool = Field(False, description="colour comes as CompressedImage on color/image_raw/compressed")
    pose_source: Literal["tf", "odom", "tracked"] = Field(
        "tf", description="poses from /tf; from the odom topic and /tf_static; or tracked from the images (mapper only)"
    )
    world: str = Field("map", description="frame the memory is built in; with pose_source odom, the odometry's frame")
    max_skew_s: float = Field(0.02, ge=0.0, le=1.0, description="colour and depth farther apart are different moments, s")
    max_wait_s: float = Field(1.0, ge=0.0, le=60.0, description="a frame without a pose is dropped and counted after this, s")


class NodeSettings(Section):
    """What every node here can be told."""

    autostart: bool = Field(True, description="configure and activate when the program starts; off: wait for a lifecycle manager")
    data_dir: str = Field(".", description="folder of all files named in service calls; relative: to where the node was started")
    cloud: CloudSettings = CloudSettings()
    update: UpdateSettings = UpdateSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    sensor: SensorSettings = SensorSettings()


class MapperSettings(NodeSettings):
    """The mapper node."""

    publish_tf: bool = Field(
        True, description="with tracked poses: publish sensor.world -> the root of the camera's frames (odom where there is one)"
    )
    memory: MemoryConfig = MemoryConfig()
    tracking: TrackingConfig = TrackingConfig()
    dynamics: DynamicsConfig = DynamicsConfig()
    actors: ActorsConfig = ActorsConfig()
    loops: LoopsConfig = LoopsConfig()

    def world(self) -> WorldConfig:
        """The part that the core's mapper is configured by."""
        names = ("memory", "tracking", "dynamics", "actors", "loops")
        return WorldConfig(**{name: getattr(self, name) for name in names})


class WorldSettings(NodeSettings, WorldConfig):
    """The world node: the world's configuration, flat beside what only ROS needs."""

    publish_clock: bool = Field(False, description="be the one source of /clock: the simulated time of each frame")
    snapshots: int = Field(4, ge=0, le=1000, description="snapshots kept at most; each is a copy of the memory")
    path_poses: int = Field(1000, ge=1, le=100_000, description="poses in the path topic: the newest this many")
    source: SourceSettings = SourceSettings()
    frames: FrameSettings = FrameSettings()
    rig: RigSettings = RigSettings()
    motion: MotionSettings = MotionSettings()
    deadline: DeadlineSettings = DeadlineSettings()
    simulation: SimulationSettings = SimulationSettings()

    @model_validator(mode="after")
    def _commanded(self) -> WorldSettings:
        if self.sensor.pose_source == "tracked":
            raise ValueError("sensor.pose_source: expected tf or odom, tracked is for the mapper node")
        return self

    def world(self) -> WorldConfig:
        """The part that the world itself is configured by."""
        return WorldConfig(**{name: getattr(self, name) for name in WorldConfig.model_fields})

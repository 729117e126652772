"""The world node: commands in, what the camera sees there out.

A plain rclpy node in this release (not yet a managed lifecycle node). Callbacks validate, convert and
hand over to the one thread that owns the world; see :mod:`.worker`.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, PoseStamped, PoseWithCovarianceStamped, Twist, TwistStamped
from nav_msgs.msg import Path
from rclpy.context import Context
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from spatia_ros import geometry
from spatia_ros.actors import Cast
from spatia_ros.formats.cloud_file import Piece
from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import clocks, convert, qos
from spatia_ros.nodes.actor_outputs import ActorOutputs
from spatia_ros.nodes.cloud_seed import CloudSeed
from spatia_ros.nodes.frames import Rig, RigPose
from spatia_ros.nodes.memory_node import MemoryNode
from spatia_ros.nodes.motion import Drive, Exposures, Follow, Motion, Move, Pace, Stand
from spatia_ros.nodes.navigate import Navigator
from spatia_ros.nodes.outputs import CameraOutputs, RigOutputs, metadata_of
from spatia_ros.nodes.seeding import open_cast, open_seed, warm_up, with_memory
from spatia_ros.nodes.settings import WorldSettings
from spatia_ros.seed.cloud import seed_pieces
from spatia_ros.srv import Restore, SetAnimationTime, SetMode, Snapshot
from spatia_ros.types import Frame, SpatiaError, Step, Trajectory
from spatia_ros.world import World, WorldSnapshot

CHANGES = ("merged", "added", "replaced", "carved")
"""Counts of a step that mean the memory is another than before."""
MODES = {SimStatus.MAPPING: "mapping", SimStatus.GENERATING: "generating", SimStatus.FROZEN: "frozen"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot: the world, when its seconds began, and where the rig was in it."""

    world: WorldSnapshot
    start_ns: int
    pose: RigPose


class WorldNode(MemoryNode):
    """A world to be in: moves the rig as commanded and publishes what its camera sees."""

    def __init__(
        self,
        *,
        context: Context | None = None,
        namespace: str | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("world", WorldSettings, context=context, namespace=namespace, parameter_overrides=parameter_overrides)
        settings = self._live.now
        seed = open_seed(settings.world(), settings.source, self.files.root)
        warm_up(seed.world, seed.T_world_cam)
        self._world = seed.world
        self._world.cast = open_cast(settings.source, self.files.root)
        self.rig = Rig(settings.frames)
        self.rig.move(self.rig.base_of(seed.T_world_cam), 1.0, jump=True)
        self.T_map_world, self.map_frame = self.rig.T_map_world, settings.frames.map
        self._period_ns = round(1e9 / settings.frame_rate_hz)
        self.stamp_ns = max(self.get_clock().now().nanoseconds, self._period_ns)
        self._exposures, self._pace = Exposures(self._period_ns, self.stamp_ns), Pace(self._now_s)
        self._mode, self._frames, self._kept = SimStatus.GENERATING, 0, dict[str, Kept]()
        self._latencies_ms: deque[float] = deque(maxlen=100)
        self._camera_out = CameraOutputs(self, settings.frames.camera, self.rig.optical)
        self._rig_out = RigOutputs(self, self.rig, settings)
        self._actor_out = ActorOutputs(self, settings.frames.camera, self.rig.optical, self.map_frame, self.T_map_world)
        self._rig_out.publish_static(self.stamp_ns)
        self._subscribe(settings)
        self._serve(Snapshot, "snapshot", self._snapshot)
        self._serve(Restore, "restore", self._restore)
        self._serve(SetMode, "memory/set_mode", self._set_mode)
        self._serve(SetAnimationTime, "set_animation_time", self._set_animation_time)
        self._serve_entities()
        self._navigator = Navigator(self, self)
        self._begin()
        self._cloud_seed = self._awaited_cloud(settings)
        camera = self._world.camera
        self.get_logger().info(
            f"world of {seed.story}: {len(self.memory)} points, {len(self.memory.keyframes)} keyframes, {len(self.cast)} actors; "
            f"camera {camera.width}x{camera.height}; generator {self._world.generator.name}; files in {self.files.root}"
        )

    def destroy_node(self) -> None:
        """End goals and frames in progress, then take the node down."""
        self.worker.close()
        self._navigator.close()
        super().destroy_node()

    def _serve_entities(self) -> None:
        """The services of simulation_interfaces, where that package is."""
        if find_spec("simulation_interfaces") is None:
            self.get_logger().warning("simulation_interfaces is not installed: actors come from source.actors alone")
            return
        from spatia_ros.nodes.simulation import Simulation

        Simulation(self, self, self._service_group)

    def _awaited_cloud(self, settings: WorldSettings) -> CloudSeed | None:
        """Where the world is to begin with a cloud: what waits for it."""
        topic = settings.source.cloud_topic
        if topic and settings.frames.map_up != "z":
            raise SpatiaError(f"source.cloud_topic: expected frames.map_up z, got {settings.frames.map_up}")

        def begin(piece: Piece) -> None:
            seeded = seed_pieces([piece], topic, settings.memory)
            self.adopt(seeded.memory)
            self.rig.move(self.rig.base_of(seeded.T_world_cam), 1.0, jump=True)
            self._version += 1
            self._note()
            self.get_logger().info("; ".join(seeded.story))

        def take(piece: Piece) -> None:
            self.worker.submit(self.health.guard(topic, lambda: begin(piece)))

        return CloudSeed(self, topic, settings.frames.map, self.health, take) if topic else None

    # Commands

    def _subscribe(self, settings: WorldSettings) -> None:
        twist = TwistStamped if settings.motion.twist_stamped else Twist
        topics = (
            (PoseStamped, "cmd_pose", self._on_pose),
            (Path, "cmd_trajectory", self._on_trajectory),
            (twist, "cmd_vel", self._on_twist),
            (PoseWithCovarianceStamped, "initialpose", self._on_initial_pose),
        )
        for kind, topic, callback in topics:
            qos.subscription(self, kind, topic, self.health.guard(topic, callback), qos.COMMAND)

    @property
    def commanded(self) -> bool:
        """Whether commands are taken: not while a sensor is mapped."""
        return self._mode != SimStatus.MAPPING

    def check_commanded(self, name: str) -> None:
        """Raise unless commands are taken."""
        if not self.commanded:
            raise convert.Malformed("mode", f"{name}: expected mode generating or frozen, the node is mapping a sensor")

    def _command(self, name: str, motion: Motion) -> None:
        self.check_commanded(name)
        self.worker.follow(motion)

    def _on_pose(self, msg: PoseStamped) -> None:
        self._go_to("cmd_pose", msg.header, msg.pose)

    def _on_initial_pose(self, msg: PoseWithCovarianceStamped) -> None:
        if not np.isfinite(msg.pose.covariance).all():
            raise convert.Malformed("not_finite", "initialpose: expected a finite covariance, got NaN or infinity")
        self._go_to("initialpose", msg.header, msg.pose.pose, teleport=True, keep_height=self._live.now.motion.keep_height)

    def _go_to(self, name: str, header: Header, pose: Pose, teleport: bool = False, keep_height: bool = False) -> None:
        convert.time_ns(header.stamp, f"{name}.header.stamp")
        self.rig.check_frame(header.frame_id, name)
        T = convert.from_pose(pose, name)[None]
        self._command(name, Follow(header.frame_id, np.zeros(1, np.int64), T, teleport, keep_height))

    def _on_trajectory(self, msg: Path) -> None:
        self.rig.check_frame(msg.header.frame_id, "cmd_trajectory")
        offsets_ns, T = convert.from_path(msg, self._period_ns, "cmd_trajectory")
        self._command("cmd_trajectory", Follow(msg.header.frame_id, offsets_ns, T))

    def _on_twist(self, msg: TwistStamped | Twist) -> None:
        if isinstance(msg, TwistStamped):
            convert.time_ns(msg.header.stamp, "cmd_vel.header.stamp")
            if msg.header.frame_id not in ("", self.rig.names.base):
                got = f"got {msg.header.frame_id!r}"
                raise convert.Malformed("frame", f"cmd_vel: expected a velocity in {self.rig.names.base}, {got}")
            msg = msg.twist
        twist = convert.from_twist(msg, "cmd_vel")
        self._command("cmd_vel", Drive(twist, time.perf_counter() + self._live.now.motion.twist_timeout_s))

    # Frames, on the worker's thread

    def _follows_clock(self) -> bool:
        """Whether time is somebody else's /clock."""
        return self.get_parameter("use_sim_time").value and not self._live.now.publish_clock

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9 if self._follows_clock() else time.monotonic()

    def _ahead_s(self, motion: Motion) -> float:
        ahead_ns = motion.ahead_ns
        if ahead_ns is not None and not self._live.now.motion.real_time:
            return 0.0
        return (self._period_ns if ahead_ns is None else ahead_ns) * 1e-9

    def _pause_s(self, motion: Motion) -> float:
        return self._pace.pause_s(self._ahead_s(motion))

    def _idle(self) -> Motion | None:
        return Stand() if self._live.now.motion.stream and self._mode != SimStatus.MAPPING else None

    def _frame(self, motion: Motion) -> bool:
        """Make and publish the next frame of a motion; returns whether there was one."""
        ahead_s = self._ahead_s(motion)
        move = motion.next(self.rig, self._live.now.motion, self._period_ns)
        if move is None:
            return False
        self._pace.begin(ahead_s)
        before_ns = self._exposures.last_ns
        stamp_ns = self._exposures.next(move.dt_ns, self.get_clock().now().nanoseconds if self._follows_clock() else None)
        dt_ns = stamp_ns - before_ns
        at = np.array([self._world.time_ns + dt_ns], np.int64)
        step = self._world.advance(Trajectory(at, self.rig.camera_of(move.T_map_base)[None]))
        self.rig.move(move.T_map_base, dt_ns * 1e-9, move.jump)
        self._publish(step, move, stamp_ns)
        return True

    def _publish(self, step: Step, move: Move, stamp_ns: int) -> None:
        self._rig_out.publish_clock(stamp_ns)
        framed = self._live.now.frames.publish_actor_tf
        self._rig_out.publish(stamp_ns, self._actor_out.transforms(step, stamp_ns) if framed else [])
        total_ms = (time.perf_counter() - move.since_s) * 1e3
        self._camera_out.publish(step, stamp_ns, lambda: metadata_of(step, move, self._world, total_ms))
        self._actor_out.publish(step, stamp_ns)
        self._latencies_ms.append(total_ms)
        self._frames += 1
        self._version += any(step.figures.get(name, 0) for name in CHANGES)
        self.stamp_ns = stamp_ns

    @property
    def memory_version(self) -> int:
        """Another whenever memory has changed."""
        return self._version

    # Actors, on the worker's thread

    @property
    def world(self) -> World:
        """The world."""
        return self._world

    @property
    def cast(self) -> Cast:
        """The world's actors."""
        return self._world.cast

    @property
    def world_s(self) -> float:
        """The world's seconds at the newest frame."""
        return (self._world.time_ns - self._world.start_ns) * 1e-9

    def teleport(self, T_map_base: np.ndarray) -> None:
        """Put the rig somewhere else at once, and make the frame it sees there."""
        self.worker.halt()
        self._frame(Follow(self.map_frame, np.zeros(1, np.int64), T_map_base[None], teleport=True))

    def _set_animation_time(self, request: Any, response: Any) -> str:
        return clocks.answer(request, response, self.cast, self.world_s)

    # What a node with a memory must say of itself

    @property
    def memory(self) -> Memory:
        """The world's memory; for the worker's thread only."""
        return self._world.memory

    def adopt(self, memory: Memory) -> None:
        """A world like this one on another memory."""
        self._world = with_memory(self._world, memory)

    def observe(self, frame: Frame, root: str) -> None:  # noqa: ARG002  (a world's poses are all in its map)
        """Fold a sensor's frame in, from the map into the recording's world."""
        T = geometry.inverse(self.T_map_world) @ frame.T_world_cam
        before_ns = self._world.time_ns
        self._world.observe(Frame(frame.rgb, frame.depth, frame.camera, T, frame.stamp_ns))
        self._world.start_ns += self._world.time_ns - before_ns  # for the actors no time goes by

    def status(self) -> SimStatus:
        """Mode, generator, frames made and how fast."""
        frame_ms = float(np.median(list(self._latencies_ms))) if self._latencies_ms else 0.0
        seed, model = self._world.config.seed, self._world.generator.name
        return SimStatus(mode=self._mode, model=model, seed=seed, frames=self._frames, frame_ms=frame_ms)

    def _tick(self) -> None:
        super()._tick()
        if self._mode != SimStatus.MAPPING and not self.worker.busy:
            # Who joined since the last frame still learns where the rig is.
            self.worker.submit(self.health.guard("tf", lambda: self._rig_out.publish_tf(self.stamp_ns)))

    # Services

    def _snapshot(self, request: Snapshot.Request, response: Snapshot.Response) -> str:
        limit = self._live.now.snapshots
        if not request.name or (request.name not in self._kept and len(self._kept) >= limit):
            got = f"{request.name!r} beside {sorted(self._kept)}"
            raise SpatiaError(f"snapshot: expected a name, one of at most {limit} in all, got {got}")
        self._kept[request.name] = Kept(self._world.snapshot(), self._world.start_ns, self.rig.pose)
        response.step = self._world.index
        return ""

    def _restore(self, request: Restore.Request, response: Restore.Response) -> str:
        if request.name not in self._kept:
            raise SpatiaError(f"restore: expected one of {sorted(self._kept)}, got {request.name!r}")
        kept = self._kept[request.name]
        self.worker.halt()
        self._world.restore(kept.world)
        self._world.start_ns = kept.start_ns
        self.rig.pose = kept.pose
        self._version += 1
        response.step = self._world.index
        return ""

    def _set_mode(self, request: SetMode.Request, response: SetMode.Response) -> str:
        response.previous_mode = self._mode
        if request.mode not in MODES:
            raise SpatiaError(f"set_mode: expected one of {MODES}, got {request.mode}")
        self._mode = request.mode
        self._world.frozen = request.mode == SimStatus.FROZEN
        if request.mode == SimStatus.MAPPING:
            self.worker.halt()
        self.listen(request.mode == SimStatus.MAPPING)
        self._tick()
        return ""

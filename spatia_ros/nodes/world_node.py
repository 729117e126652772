"""The world node: commands in, what the camera sees there out.

Callbacks validate, convert and hand over to the one thread that owns the world; see :mod:`.worker`. What a configured
node does is made of parts: :mod:`.commands`, :mod:`.frame_loop`, :mod:`.snapshots` and more, one line each in WorldFace.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from rclpy.context import Context
from rclpy.parameter import Parameter

from spatia_ros import geometry
from spatia_ros.actors import Cast
from spatia_ros.formats.cloud_file import Piece
from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import clocks, convert
from spatia_ros.nodes.actions.building import EngineBuilder
from spatia_ros.nodes.actions.rig_actions import RigActions
from spatia_ros.nodes.checkpoint import WorldKeeper, reopened
from spatia_ros.nodes.cloud_seed import CloudSeed
from spatia_ros.nodes.commands import Commands
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.frame_loop import FrameLoop
from spatia_ros.nodes.lifecycle import ManagedNode
from spatia_ros.nodes.memory_face import MemoryFace
from spatia_ros.nodes.motion import Follow, Motion, Move
from spatia_ros.nodes.prompt import Prompt
from spatia_ros.nodes.rig.file import open_rig
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.seeding import Seed, open_cast, open_seed, warm_up, with_memory
from spatia_ros.nodes.settings import WorldSettings
from spatia_ros.nodes.simulation.play import Play, State
from spatia_ros.nodes.simulation.scene import Scene, label_of
from spatia_ros.nodes.snapshots import Snapshots
from spatia_ros.seed.cloud import seed_pieces
from spatia_ros.srv import SetAnimationTime, SetMode
from spatia_ros.types import Frame, SpatiaError, Step
from spatia_ros.world import World

CHANGES = ("merged", "added", "replaced", "carved")
"""Counts of a step that mean the memory is another than before."""
MODES = {SimStatus.MAPPING: "mapping", SimStatus.GENERATING: "generating", SimStatus.FROZEN: "frozen"}


class WorldNode(ManagedNode):
    """A world to be in: moves the rig as commanded and publishes what its camera sees."""

    def __init__(
        self,
        *,
        context: Context | None = None,
        namespace: str | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("world", WorldSettings, context=context, namespace=namespace, parameter_overrides=parameter_overrides)

    def open_face(self, endpoints: Endpoints) -> WorldFace:
        """Open the memory, load the weights."""
        return WorldFace(self, endpoints)


class WorldFace(MemoryFace):
    """A configured world, and where its rig is."""

    def __init__(self, node: ManagedNode, endpoints: Endpoints) -> None:
        now: Any = node.live.now
        self.play = Play(State[now.simulation.start.upper()], lambda: self.settings.motion.pace == "stepped")
        super().__init__(node, endpoints, self.play)
        self.play.on_change = self.worker.wake
        settings: WorldSettings = self.settings
        keeper = self.add(WorldKeeper(self))
        saved = keeper.found()
        seed = reopened(settings.world(), saved, keeper.story) if saved else self._seed(settings)
        self._world = seed.world
        self._warm = False
        self.rig = self._open_rig(settings)
        self.rig.fit(self._world)
        self.rig.move(self.rig.base_of(seed.T_world_cam), 1.0, jump=True)
        self.T_map_world, self.map_frame = self.rig.T_map_world, settings.frames.map
        self._mode = SimStatus.GENERATING
        self.frames = FrameLoop(self)
        label = keeper.put_back(saved) if saved else label_of(settings.source, seed.story, self.files.root)
        self.serve(SetMode, "memory/set_mode", self._set_mode)
        self.serve(SetAnimationTime, "set_animation_time", self._set_animation_time)
        self.add(Commands(self))
        self.snapshots = self.add(Snapshots(self))
        self.scene = self.add(Scene(self, label, saved.about.get("first_ids") if saved else None))
        self._serve_simulation()
        self.add(Prompt(self))
        self.add(RigActions(self))
        self.add(EngineBuilder(self))
        self._cloud_seed = None if saved else self._awaited_cloud(settings)
        self._begin()
        seen_by = ", ".join(f"{each.name} {each.lens.camera.width}x{each.lens.camera.height}" for each in self.rig.cameras)
        node.get_logger().info(
            f"world of {seed.story}: {len(self.memory)} points, {len(self.memory.keyframes)} keyframes, {len(self.cast)} actors; "
            f"seen by {seen_by}; generator {self._world.generator.name}; files in {self.files.root}"
        )

    def _open_rig(self, settings: WorldSettings) -> Rig:
        """The cameras of the rig file, or the one that the settings mount."""
        if not settings.rig.file:
            return Rig(settings.frames)
        path = self.files.root / settings.rig.file  # an absolute path stays as it is: who starts the node may name any
        return Rig(settings.frames, open_rig(path, settings.frames.base, self._world.camera))

    def _seed(self, settings: WorldSettings) -> Seed:
        """The world that the settings name, with who moves there."""
        seed = open_seed(settings.world(), settings.source, self.files.root)
        seed.world.cast = open_cast(settings.source, self.files.root)
        return seed

    def activate(self) -> None:
        """Warm up where that was not done yet, and begin to work."""
        if not self._warm:
            warm_up(self._world)
            self._warm = True
        super().activate()

    def _serve_simulation(self) -> None:
        """The services of simulation_interfaces, where that package is."""
        if find_spec("simulation_interfaces") is None:
            self.node.get_logger().warning("simulation_interfaces is not installed: actors come from source.actors alone")
            return
        from spatia_ros.nodes.simulation.services import Simulation

        self.add(Simulation(self))

    def _awaited_cloud(self, settings: WorldSettings) -> CloudSeed | None:
        """Where the world is to begin with a cloud: what waits for it."""
        topic = settings.source.cloud_topic
        if topic and settings.frames.map_up != "z":
            raise SpatiaError(f"source.cloud_topic: expected frames.map_up z, got {settings.frames.map_up}")

        def begin(piece: Piece) -> None:
            seeded = seed_pieces([piece], topic, settings.memory)
            self.adopt(seeded.memory)
            self.rig.move(self.rig.base_of(seeded.T_world_cam), 1.0, jump=True)
            self.scene.begin()
            self.changed()
            self._note()
            self.node.get_logger().info("; ".join(seeded.story))

        def take(piece: Piece) -> None:
            self.check_active(topic)
            self.worker.submit(self.health.guard(topic, lambda: begin(piece)))

        return CloudSeed(self.endpoints, topic, settings.frames.map, self.health, take) if topic else None

    # Commands

    @property
    def commanded(self) -> bool:
        """Whether commands are taken: not while a sensor is mapped, nor without a world."""
        return not self.mapping and self.play.has_world

    def check_active(self, name: str) -> None:
        """Raise unless the node works, and has a world to work in."""
        super().check_active(name)
        if not self.play.has_world:
            got = f"the simulation is in state {self.play.state.word}"
            raise convert.Malformed("state", f"{name}: expected a world that is loaded, {got}")

    def check_commanded(self, name: str) -> None:
        """Raise unless commands are taken."""
        self.check_active(name)
        if self.mapping:
            raise convert.Malformed("mode", f"{name}: expected mode generating or frozen, the node is mapping a sensor")

    @property
    def mode(self) -> int:
        """MAPPING, GENERATING or FROZEN of SimStatus."""
        return int(self._mode)

    @property
    def mapping(self) -> bool:
        """Whether a sensor feeds the memory."""
        return bool(self._mode == SimStatus.MAPPING)

    # Frames, on the worker's thread

    @property
    def period_ns(self) -> int:
        """Between two frames whose command has no timing of its own."""
        return self.frames.period_ns

    def _frame(self, motion: Motion) -> bool:
        return self.frames.frame(motion)

    def _pause_s(self, motion: Motion) -> float:
        return self.frames.pause_s(motion)

    def _idle(self) -> Motion | None:
        return self.frames.idle()

    def framed(self, step: Step, move: Move, stamp_ns: int) -> None:
        """A frame was published."""
        self._version += any(step.figures.get(name, 0) for name in CHANGES)
        self.stamp_ns = stamp_ns
        for part in self._parts:
            part.framed(step, move, stamp_ns)

    def teleport(self, T_map_base: np.ndarray) -> None:
        """Put the rig somewhere else at once, and make the frame it sees there; paused, the next step makes it."""
        self.worker.halt()
        if not self.play.may_start():
            self.rig.move(T_map_base, 1.0, jump=True)
            return
        self._frame(Follow(self.map_frame, np.zeros(1, np.int64), T_map_base[None], teleport=True))

    # The world, for the worker's thread

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

    @property
    def memory(self) -> Memory:
        """The world's memory."""
        return self._world.memory

    def put(self, world: World) -> None:
        """Another world in place of this one; commands move the rig in it."""
        self._world, self._mode = world, SimStatus.GENERATING
        self.rig.fit(world)
        self.listen(False)
        self.changed()

    def adopt(self, memory: Memory) -> None:
        """A world like this one on another memory."""
        self._world = with_memory(self._world, memory)

    def observe(self, frame: Frame, root: str) -> None:  # noqa: ARG002  (a world's poses are all in its map)
        """Fold a sensor's frame in, from the map into the recording's world."""
        T = geometry.inverse(self.T_map_world) @ frame.T_world_cam
        before_ns = self._world.time_ns
        self._world.observe(Frame(frame.rgb, frame.depth, frame.camera, T, frame.stamp_ns))
        self._world.start_ns += self._world.time_ns - before_ns  # for the actors no time goes by

    # Reports

    def status(self) -> SimStatus:
        """Mode, generator, frames made and how fast."""
        seed, model = self._world.config.seed, self._world.config.generator.name
        out = SimStatus(mode=self._mode, model=model, seed=seed)
        self.frames.fill(out)
        return out

    def concern(self) -> str:
        """What has given way to the deadline."""
        return self.frames.relief.concern

    def tick(self) -> None:
        """Publish the status; at rest the pose, too: who joined since the last frame still learns where the rig is."""
        super().tick()
        if self.active and self.commanded and not self.worker.busy:
            self.worker.submit(self.health.guard("tf", self.frames.repeat_tf))

    def resume_mode(self, mode: int) -> None:
        """Be in a mode; a sensor is listened to once the node is active."""
        self._mode, self._world.frozen = mode, mode == SimStatus.FROZEN

    # Services

    def _set_animation_time(self, request: Any, response: Any) -> str:
        return clocks.answer(request, response, self.cast, self.world_s)

    def _set_mode(self, request: SetMode.Request, response: SetMode.Response) -> str:
        response.previous_mode = self._mode
        if request.mode not in MODES:
            raise SpatiaError(f"set_mode: expected one of {MODES}, got {request.mode}")
        self.resume_mode(request.mode)
        if self.mapping:
            self.worker.halt()
        self.listen(self.mapping)
        self.tick()
        return ""

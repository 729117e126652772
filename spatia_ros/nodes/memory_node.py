"""What the world node and the mapper node share: a memory on its own thread, with its cloud, services and status."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.cloud import CloudOutput
from spatia_ros.nodes.editing import Editing
from spatia_ros.nodes.files import DataFolder
from spatia_ros.nodes.health import Health
from spatia_ros.nodes.motion import Motion
from spatia_ros.nodes.parameters import LiveSettings
from spatia_ros.nodes.sensor_input import SensorInput
from spatia_ros.nodes.settings import NodeSettings
from spatia_ros.nodes.worker import Worker
from spatia_ros.srv import EditMemory, LoadMemory, SaveMemory, SavePly
from spatia_ros.types import Frame, SpatiaError

MAX_WAITING_FRAMES = 2
"""Sensor frames that may wait for the memory; the next is dropped and counted."""


class MemoryNode(Node):
    """A node that owns a memory.

    Everything that touches the memory runs on the worker's thread. Services wait for it on a thread
    of their own, so commands are received meanwhile: spin this node with a MultiThreadedExecutor.
    """

    def __init__(
        self,
        name: str,
        settings: type[NodeSettings],
        *,
        context: Context | None = None,
        namespace: str | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__(name, context=context, namespace=namespace, parameter_overrides=parameter_overrides)
        self._live = LiveSettings(self, settings)
        self.health = Health(self)
        self.files = DataFolder(self._live.now.data_dir)
        self._editing = Editing(self.files)
        self.worker = Worker(self._frame, self._idle, self._failed, self._pause_s, self._note)
        self._cloud = CloudOutput(self)
        self._status = qos.publisher(self, SimStatus, "~/status", qos.LATCHED)
        self._version = 0  # of the memory
        self._sizes = (0, 0)  # points and keyframes, as last noted by the worker
        self._sensor: SensorInput | None = None
        self._service_group = MutuallyExclusiveCallbackGroup()
        self.T_map_world = np.eye(4)
        self.map_frame = self._live.now.sensor.world
        self.stamp_ns = 0  # of the newest frame

    def _begin(self) -> None:
        """Open the services and timers, once the memory is there."""
        self._serve(SaveMemory, "memory/save", self._save)
        self._serve(LoadMemory, "memory/load", self._load)
        self._serve(SavePly, "memory/save_ply", self._save_ply)
        self._serve(EditMemory, "memory/edit", self._edit)
        self._note()
        self.create_timer(1.0, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_timer(0.2, self._offer_cloud, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.worker.start()
        self._tick()

    def destroy_node(self) -> None:
        """Let the frame in progress end, then take the node down."""
        self.worker.close()
        super().destroy_node()

    # What a node with a memory must say of itself

    @property
    def memory(self) -> Memory:
        """The memory; for the worker's thread only."""
        raise NotImplementedError

    def adopt(self, memory: Memory) -> None:
        """Put another memory in its place (on the worker's thread)."""
        raise NotImplementedError

    def observe(self, frame: Frame, root: str) -> None:
        """Fold a sensor's frame in, its pose in the frame ``root`` (on the worker's thread)."""
        raise NotImplementedError

    def status(self) -> SimStatus:
        """What the node says of itself; the memory's part and the counts are filled in."""
        raise NotImplementedError

    def concern(self) -> str:
        """What is wrong with the node's own work now, in words; empty when all is well."""
        return ""

    def _frame(self, motion: Motion) -> bool:
        raise NotImplementedError

    def _idle(self) -> Motion | None:
        return None

    def _pause_s(self, motion: Motion) -> float:  # noqa: ARG002
        return 0.0

    def _failed(self, error: Exception) -> None:
        self.health.fail("frame", error)

    # Reports

    def _note(self) -> None:
        self._sizes = len(self.memory), len(self.memory.keyframes)

    def _tick(self) -> None:
        msg = self.status()
        msg.header = convert.to_header(self.stamp_ns, self.map_frame)
        msg.memory_points, msg.keyframes = self._sizes
        msg.busy = self.worker.busy or self.worker.backlog > 0
        msg.message = self.health.message
        msg.commands_dropped, msg.messages_refused = self.worker.dropped, self.health.refusals
        self._status.publish(msg)
        fields = (
            "mode", "frames", "memory_points", "keyframes", "commands_dropped", "frame_ms", "model",
            "tracking", "frames_lost", "loops",
        )  # fmt: skip
        self.health.report({name: getattr(msg, name) for name in fields}, self.concern())

    def _offer_cloud(self) -> None:
        version = self._version
        if self._cloud.is_due(version):
            limits, header = self._live.now.cloud, convert.to_header(self.stamp_ns, self.map_frame)

            def publish() -> None:
                self._cloud.publish(self.memory, version, self.T_map_world, header, limits)

            self._cloud.pending = self.worker.submit(self.health.guard("memory/points", publish))

    # Sensors

    def listen(self, on: bool) -> None:
        """Open or close the RGB-D topics that feed the memory."""
        if on and self._sensor is None:
            self._sensor = SensorInput(self, self._live.now.sensor, self.health, self._on_sensor_frame)
        elif not on and self._sensor is not None:
            self._sensor.close()
            self._sensor = None

    def _on_sensor_frame(self, frame: Frame, root: str) -> None:
        if self.worker.backlog >= MAX_WAITING_FRAMES:
            raise convert.Malformed("busy", "sensor: the memory is still at earlier frames")

        def observe() -> None:
            self.observe(frame, root)
            self._version += 1
            self.stamp_ns = frame.stamp_ns

        self.worker.submit(self.health.guard("sensor", observe))

    # Services

    def _serve(self, kind: type, name: str, job: Callable[[Any, Any], str]) -> None:
        """A service whose job runs on the worker's thread: it fills the response and returns its message."""

        def answer(request: Any, response: Any) -> Any:
            try:
                response.message = self.worker.submit(lambda: job(request, response)).result()
                response.success = True
            except (SpatiaError, OSError) as error:
                response.message = str(error)
                self.health.refuse(name, error)
            except CancelledError:
                response.message = "the node is shutting down"
            except Exception as error:  # say so, and live on
                response.message = self.health.fail(name, error)
            return response

        self.create_service(kind, name, answer, callback_group=self._service_group)

    def _save(self, request: SaveMemory.Request, response: SaveMemory.Response) -> str:
        path = self.files.to_write(request.path, ".spatia")
        self.memory.save(path)
        response.points = len(self.memory)
        return f"wrote {path}"

    def _save_ply(self, request: SavePly.Request, response: SavePly.Response) -> str:
        path = self.files.to_write(request.path, ".ply")
        self.memory.export_ply(path)
        response.points = len(self.memory)
        return f"wrote {path}"

    def _edit(self, request: EditMemory.Request, response: EditMemory.Response) -> str:
        said = self._editing.answer(request, response, self.memory, self.T_map_world)
        self._version += 1
        return said

    def _load(self, request: LoadMemory.Request, response: LoadMemory.Response) -> str:
        response.points = len(self.memory)  # what there is, should the file be refused
        memory = Memory.load(self.files.inside(request.path))
        self.worker.halt()
        self.adopt(memory)
        self._version += 1
        response.points = len(memory)
        return f"loaded {request.path}: {len(memory)} points, {len(memory.keyframes)} keyframes"

"""What the world node and the mapper node share: a memory on its own thread, with its cloud, services and status."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.cloud import CloudOutput
from spatia_ros.nodes.editing import Editing
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.files import DataFolder
from spatia_ros.nodes.lifecycle import ManagedNode
from spatia_ros.nodes.memory_region import Regions
from spatia_ros.nodes.memory_update import MemoryUpdates
from spatia_ros.nodes.motion import Motion
from spatia_ros.nodes.part import Part
from spatia_ros.nodes.sensor_input import SensorInput
from spatia_ros.nodes.tidy import Tidy
from spatia_ros.nodes.worker import Gate, Worker
from spatia_ros.srv import EditMemory, LoadMemory, SaveMemory, SavePly
from spatia_ros.types import Frame, SpatiaError

P = TypeVar("P", bound=Part)

MAX_FAILURES = 5
"""Frames in a row that fail for no fault of the command: then the work is given up, and everything freed."""
MAX_WAITING_FRAMES = 2
"""Sensor frames that may wait for the memory; the next is dropped and counted."""


class MemoryFace:
    """What a configured node with a memory does; an active one works.

    Everything that touches the memory runs on the worker's thread. Services wait for it on a thread
    of their own, so commands are received meanwhile: spin the node with a MultiThreadedExecutor.
    """

    def __init__(self, node: ManagedNode, endpoints: Endpoints, gate: Gate | None = None) -> None:
        self.node, self.endpoints, self.health = node, endpoints, node.health
        self.files = DataFolder(self.settings.data_dir)
        self.active = False
        self.group = MutuallyExclusiveCallbackGroup()
        """Of the services: one at a time."""
        self.T_map_world = np.eye(4)
        self.map_frame = self.settings.sensor.world
        self.stamp_ns = 0  # of the newest frame
        self._parts: list[Part] = []
        self._editing = Editing(self.files)
        self._cloud = CloudOutput(endpoints, node.health)
        self._status = qos.publisher(endpoints, SimStatus, "~/status", qos.LATCHED)
        self._version = 0  # of the memory
        self._sizes = (0, 0)  # points and keyframes, as last noted by the worker
        self._failures = 0  # of frames, one after the other
        self._sensor: SensorInput | None = None
        self.worker = Worker(self._next, self._idle, self._failed, self._pause_s, self._note, gate)
        endpoints.keep(self.worker, self.worker.close)

    def _begin(self) -> None:
        """Open the services and timers, once the memory is there."""
        self.serve(SaveMemory, "memory/save", self._save)
        self.serve(LoadMemory, "memory/load", self._load)
        self.serve(SavePly, "memory/save_ply", self._save_ply)
        self.serve(EditMemory, "memory/edit", self._edit)
        self.add(Regions(self))
        self.add(MemoryUpdates(self))
        self.add(Tidy(self))
        self.endpoints.create_timer(0.2, self._offer_cloud)
        self._note()
        self.tick()

    @property
    def settings(self) -> Any:
        """The newest settings, live ones included."""
        return self.node.live.now

    def add(self, part: P) -> P:
        """Have a part told of what happens, and closed in the end."""
        self._parts.append(part)
        self.endpoints.keep(part, part.close)
        return part

    # Lifecycle

    def activate(self) -> None:
        """Begin to work."""
        self.worker.start()
        self.active = True
        for part in self._parts:
            part.activate()
        self.listen(self.mapping)
        self.tick()

    def deactivate(self) -> None:
        """Stop after the frame in progress; nothing is taken any more, what is known stays."""
        if not self.active:
            return
        self.active = False
        self.listen(False)
        for part in reversed(self._parts):
            part.deactivate()
        self.worker.close()
        self.tick()

    def check_active(self, name: str) -> None:
        """Raise unless the node works."""
        if not self.active:
            raise convert.Malformed("inactive", f"{name}: expected an active node, it is {self.node.state}")

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

    @property
    def mapping(self) -> bool:
        """Whether a sensor feeds the memory."""
        raise NotImplementedError

    def concern(self) -> str:
        """What is wrong with the node's own work now, in words; empty when all is well."""
        return ""

    def _frame(self, motion: Motion) -> bool:
        raise NotImplementedError

    def _next(self, motion: Motion) -> bool:
        made = self._frame(motion)
        self._failures = 0
        return made

    def _idle(self) -> Motion | None:
        return None

    def _pause_s(self, motion: Motion) -> float:  # noqa: ARG002
        return 0.0

    def _failed(self, error: Exception) -> None:
        """A frame was not made. What was asked for may be impossible; a run of other failures means more than that."""
        self.health.fail("frame", error)
        self._failures = 0 if isinstance(error, SpatiaError) else self._failures + 1
        if self._failures >= MAX_FAILURES:
            self.node.fail(error)

    @property
    def memory_version(self) -> int:
        """Another whenever memory has changed."""
        return self._version

    def changed(self) -> None:
        """Memory is another than before."""
        self._version += 1
        self._editing.stay_with(self.memory)

    # Reports

    def _note(self) -> None:
        self._sizes = len(self.memory), len(self.memory.keyframes)

    def tick(self) -> None:
        """Publish the status, and its figures in the diagnostics."""
        msg = self.status()
        for part in self._parts:
            part.fill(msg)
        msg.header = convert.to_header(self.stamp_ns, self.map_frame)
        msg.memory_points, msg.keyframes = self._sizes
        msg.busy = self.worker.busy or self.worker.backlog > 0
        msg.message = self.health.message
        msg.commands_dropped, msg.messages_refused = self.worker.dropped, self.health.refusals
        self._status.publish(msg)
        fields = (
            "mode", "frames", "memory_points", "keyframes", "commands_dropped", "frame_ms", "model",
            "tracking", "frames_lost", "loops", "frame_ms_p99", "rate_hz", "jitter_ms", "frames_late", "quality",
            "sampling_steps", "messages_refused", "checkpoint", "world",
        )  # fmt: skip
        self.health.report({"state": self.node.state, **{name: getattr(msg, name) for name in fields}}, self.concern())

    def _offer_cloud(self) -> None:
        version = self._version
        if self.active and self._cloud.is_due(version):
            limits, header = self.settings.cloud, convert.to_header(self.stamp_ns, self.map_frame)

            def publish() -> None:
                self._cloud.publish(self.memory, version, self.T_map_world, header, limits)

            self._cloud.pending = self.worker.submit(self.health.guard("memory/points", publish))

    # Sensors

    def listen(self, on: bool) -> None:
        """Open or close the RGB-D topics that feed the memory."""
        if on and self.active and self._sensor is None:
            self._sensor = SensorInput(self.endpoints, self.settings.sensor, self.health, self._on_sensor_frame)
        elif not on and self._sensor is not None:
            self._sensor.close()
            self._sensor = None

    def _on_sensor_frame(self, frame: Frame, root: str) -> None:
        if self.worker.backlog >= MAX_WAITING_FRAMES:
            raise convert.Malformed("busy", "sensor: the memory is still at earlier frames")

        def observe() -> None:
            try:
                self.observe(frame, root)
            except SpatiaError:
                raise
            except Exception as error:
                self._failed(error)
                return
            self._failures = 0
            self.changed()
            self.stamp_ns = frame.stamp_ns

        self.worker.submit(self.health.guard("sensor", observe))

    # Services

    def serve(self, kind: type, name: str, job: Callable[[Any, Any], str]) -> None:
        """A service whose job runs on the worker's thread: it fills the response and returns its message."""

        def answer(request: Any, response: Any) -> Any:
            try:
                self.check_active(name)
                response.message = self.worker.submit(lambda: job(request, response)).result()
                response.success = True
            except (SpatiaError, OSError) as error:
                response.message = str(error)
                self.health.refuse(name, error)
            except CancelledError:
                response.message = f"{name}: the node stopped working"
            except Exception as error:  # say so, and live on
                response.message = self.health.fail(name, error)
            return response

        self.endpoints.create_service(kind, name, answer, callback_group=self.group)

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
        self.changed()
        return said

    def _load(self, request: LoadMemory.Request, response: LoadMemory.Response) -> str:
        response.points = len(self.memory)  # what there is, should the file be refused
        memory = Memory.load(self.files.inside(request.path))
        self.worker.halt()
        self.adopt(memory)
        self.changed()
        response.points = len(memory)
        return f"loaded {request.path}: {len(memory)} points, {len(memory.keyframes)} keyframes"

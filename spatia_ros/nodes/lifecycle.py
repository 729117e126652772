"""A managed node (lifecycle_msgs): thin, with everything it does in a face that is made at configure and gone after cleanup."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.lifecycle.node import LifecycleNodeMixin
from rclpy.node import Node
from rclpy.parameter import Parameter

from spatia_ros.nodes.clock_input import guard_clock
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.health import Health
from spatia_ros.nodes.heartbeat import Heartbeat
from spatia_ros.nodes.parameters import LiveSettings
from spatia_ros.nodes.settings import NodeSettings
from spatia_ros.nodes.tidy import give_back
from spatia_ros.nodes.worker import Worker
from spatia_ros.types import SpatiaError

SUCCESS, FAILURE, ERROR = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.ERROR

ANSWER_S = 0.2
"""The answer to a request to quit has left after this."""


class Face(Protocol):
    """What a configured node does."""

    worker: Worker

    def activate(self) -> None:
        """Warm up and begin to work."""

    def deactivate(self) -> None:
        """Stop working; what was done stays."""

    def tick(self) -> None:
        """Say once a second how it goes."""


class ManagedNode(LifecycleNodeMixin, Node):
    """A node with the states of the ROS 2 lifecycle.

    unconfigured -> configure opens memory and weights -> activate warms up and works -> deactivate stops the work and
    refuses commands -> cleanup frees everything. Whatever fails on the way frees everything, too: the node is unconfigured
    then, and can be configured again. Parameters are read at each configure; those that are not live may be set before it.

    Unknown attributes are the face's, so that a configured node can be asked for its ``worker``, ``memory``, ``rig``.
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
        self.face: Any = None
        self.failure: Exception | None = None
        """What the last transition failed of."""
        self._fault: Exception | None = None  # of the work: the next deactivation ends in an error
        self._let_go = False  # of a face, since the last tick
        self._changing = threading.RLock()
        self._endpoints: Endpoints | None = None
        Node.__init__(self, name, context=context, namespace=namespace, parameter_overrides=parameter_overrides)
        # A group of its own: the state is told while a long callback runs, and a transition keeps nobody from it.
        LifecycleNodeMixin.__init__(self, callback_group=MutuallyExclusiveCallbackGroup())
        self._service_change_state.callback = self._survives(self._service_change_state.callback)
        self.live = LiveSettings(self, settings, free=lambda: self.face is None)
        self.health = Health(self)
        guard_clock(self, self.health)
        period_s = self.live.now.heartbeat.period_s
        self.heartbeat = Heartbeat(self, period_s, lambda: self._state_machine.current_state, self._is_well)
        self.create_timer(1.0, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def open_face(self, endpoints: Endpoints) -> Face:
        """Make what the node does, from its settings as they are now; everything it opens is known to ``endpoints``."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        face = self.__dict__.get("face")
        if face is None:
            state = "" if "face" not in self.__dict__ else " (it is not configured)"
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{state}")
        return getattr(face, name)

    @property
    def state(self) -> str:
        """``unconfigured``, ``inactive``, ``active``, ``finalized``, or the transition it is in."""
        return str(self._state_machine.current_state[1])

    @property
    def faulty(self) -> Exception | None:
        """Why the work is being given up; None while it goes on."""
        return self._fault

    def _is_well(self) -> bool:
        """Whether the work goes on: no frame or job takes longer than it may."""
        face, hang_s = self.face, self.live.now.heartbeat.hang_s
        return face is None or not hang_s or face.worker.at_it_s < hang_s

    # Transitions

    def start(self) -> None:
        """Configure and activate.

        Raises:
            Exception: what the failing one of them raised; the node is unconfigured then.
        """
        for transition in (self.trigger_configure, self.trigger_activate):
            with self._changing:
                if transition() != SUCCESS:
                    raise self.failure or SpatiaError(f"{self.get_name()}: cannot be started in state {self.state}")

    def fail(self, error: Exception) -> None:
        """The work cannot go on (called on the worker's thread): free everything, be unconfigured."""
        if self._fault is None:
            self._fault = error
            threading.Thread(target=self._give_up, name="fault", daemon=True).start()

    def quit(self) -> None:
        """End the node and whoever spins it, from any thread: everything is freed, then the context is shut down."""
        threading.Thread(target=self._quit, name="quit", daemon=True).start()

    def _quit(self) -> None:
        time.sleep(ANSWER_S)
        with self._changing:
            if self.state == "active":
                self.trigger_deactivate()
            if self.state in ("inactive", "unconfigured"):
                self.trigger_shutdown()
        self.context.try_shutdown()

    def _give_up(self) -> None:
        with self._changing:
            if self.state == "active":
                self.trigger_deactivate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Open everything."""
        return self._attempt("configure", self._configure, freed=True)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Begin to work."""
        return self._attempt("activate", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Stop the work."""
        return self._attempt("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Free everything."""
        return self._attempt("cleanup", self._close)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Free everything, for good."""
        return self._attempt("shutdown", self._close)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Free everything, whatever it was that failed; the node can be configured again."""
        try:
            self._close()
        except Exception as error:  # what cannot be closed must not keep the node from a new start
            self.health.fail("error processing", error)
            self.face = None
        return SUCCESS

    def destroy_node(self) -> None:
        """End the work, then take the node down."""
        try:
            self._close(for_good=True)
        except Exception as error:
            self.health.fail("shutdown", error)
        super().destroy_node()

    def _configure(self) -> None:
        self._fault, self._endpoints = None, Endpoints(self)
        try:
            self.face = self.open_face(self._endpoints)
        except BaseException:
            self._close()
            raise

    def _activate(self) -> None:
        self.face.activate()

    def _deactivate(self) -> None:
        self.face.deactivate()
        if self._fault is not None:
            raise self._fault

    def _close(self, for_good: bool = False) -> None:
        """Stop, undo all that was opened, and let go of it; for good where the process is about to end anyway."""
        face, endpoints = self.face, self._endpoints
        self.face = self._endpoints = None
        try:
            if face is not None:
                face.deactivate()
        finally:
            if endpoints is not None:
                endpoints.close()
            del face, endpoints
            if not for_good:
                give_back()
                self._let_go = True

    def _attempt(self, name: str, work: Callable[[], None], freed: bool = False) -> TransitionCallbackReturn:
        """Do a transition's work; settings that ask for what is not there fail it, anything else is an error."""
        self.failure = None
        try:
            with self._changing:
                work()
        except Exception as error:
            self.failure = error
            self.health.fail(name, error)
            if freed and isinstance(error, SpatiaError):
                return FAILURE
            return ERROR
        return SUCCESS

    def _survives(self, change: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """ChangeState that answers an illegal transition: in rclpy it raises, which ends the executor and the node."""

        def answer(request: Any, response: Any) -> Any:
            try:
                with self._changing:
                    return change(request, response)
            except rclpy_implementation.RCLError as error:
                wanted = request.transition.label or request.transition.id
                said = f"expected a transition out of state {self.state}, got {wanted}"
                self.health.refuse("change_state", SpatiaError(f"{said} ({str(error).splitlines()[0]})"))
                response.success = False
                return response

        return answer

    def _tick(self) -> None:
        face = self.face
        if face is not None:
            face.tick()
            return
        self.health.report({"state": self.state})
        if self._let_go:  # the executor may have had hold of some of it until now
            self._let_go = False
            give_back()

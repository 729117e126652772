"""How simulation_interfaces is answered: every call gets a result code, whatever becomes of the work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Protocol

from rclpy.callback_groups import CallbackGroup
from rclpy.service import Service
from simulation_interfaces.msg import Result

from spatia_ros.nodes.health import Health
from spatia_ros.nodes.simulation.entities import InvalidPose
from spatia_ros.nodes.simulation.entity_filter import Refused
from spatia_ros.nodes.simulation.play import NotPaused, Play
from spatia_ros.nodes.worker import Worker
from spatia_ros.types import SpatiaError


class Server(Protocol):
    """Where services are opened: a node, or what closes them again."""

    def create_service(self, kind: type, name: str, answer: Callable[[Any, Any], Any], **options: Any) -> Service:
        """Open a service."""


class Stage(Protocol):
    """What of a world node is needed here."""

    worker: Worker
    health: Health
    play: Play
    active: bool


Job = Callable[[Any, Any], str]
"""Fills the response to a request; returns what there is to say."""


class Calls:
    """Serves jobs: on the world's thread, or on that of the call where they read files or wait."""

    def __init__(self, server: Server, stage: Stage, group: CallbackGroup) -> None:
        self._server, self._stage, self._group = server, stage, group

    def serve(
        self, kind: type, name: str, job: Job, *, aside: CallbackGroup | None = None, active: bool = True, world: bool = True
    ) -> None:
        """Answer a service.

        Args:
            aside: the job runs on the call's own thread, of this group, in place of the world's.
            active: refused while the node is not active. world: and while no world is loaded.
        """

        def answer(request: Any, response: Any) -> Any:
            def work() -> str:
                if active:
                    self.need_active(name)
                if world:
                    self.need_world(name)
                return job(request, response) if aside else self.on_worker(lambda: job(request, response))

            response.result = self.result(name, kind, work)
            return response

        self._server.create_service(kind, name, answer, callback_group=aside or self._group)

    def need_active(self, name: str) -> None:
        """Raise unless the node works.

        Raises:
            Refused: incorrect state.
        """
        if not self._stage.active:
            raise Refused(Result.RESULT_INCORRECT_STATE, f"{name}: expected a node that is active")

    def need_world(self, name: str) -> None:
        """Raise unless a world is loaded.

        Raises:
            Refused: incorrect state.
        """
        if not self._stage.play.has_world:
            got = f"the simulation is in state {self._stage.play.state.word}"
            raise Refused(Result.RESULT_INCORRECT_STATE, f"{name}: expected a world that is loaded, {got}")

    def on_worker(self, job: Callable[[], Any]) -> Any:
        """Run a job on the world's thread, and wait for it."""
        return self._stage.worker.submit(job).result()

    def result(self, name: str, kind: Any, work: Callable[[], str]) -> Result:
        """The result code of a piece of work; whatever it raises becomes one."""
        try:
            return Result(result=Result.RESULT_OK, error_message=work())
        except Refused as error:
            code, words = error.code, str(error)
        except InvalidPose as error:
            code, words = kind.Response.INVALID_POSE, str(error)
        except NotPaused as error:
            code, words = Result.RESULT_OPERATION_FAILED, str(error)
        except (SpatiaError, OSError) as error:
            self._stage.health.refuse(name, error)
            code, words = Result.RESULT_OPERATION_FAILED, str(error)
        except CancelledError:
            code, words = Result.RESULT_INCORRECT_STATE, f"{name}: the node is not active, or is shutting down"
        except Exception as error:  # say so, and live on
            code, words = Result.RESULT_OPERATION_FAILED, self._stage.health.fail(name, error)
        return Result(result=code, error_message=words)

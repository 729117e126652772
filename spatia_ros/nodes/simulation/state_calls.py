"""The simulation's state over simulation_interfaces: played, paused, stopped, stepped and reset."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from rclpy.action import CancelResponse
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from simulation_interfaces.action import SimulateSteps
from simulation_interfaces.msg import Result, SimulationState, SimulatorFeatures
from simulation_interfaces.srv import GetSimulationState, ResetSimulation, SetSimulationState, StepSimulation

from spatia_ros.nodes.simulation.calls import Calls
from spatia_ros.nodes.simulation.entity_filter import Refused
from spatia_ros.nodes.simulation.play import AlreadyThere, NoTransition, State, Steps
from spatia_ros.nodes.simulation.scene import EVERYTHING, Scope

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

Code = SetSimulationState.Response
Ask = ResetSimulation.Request


class StateServices:
    """Get and set the state, step, reset."""

    def __init__(self, face: WorldFace, calls: Calls) -> None:
        self._face, self._calls, self._play, self._scene = face, calls, face.play, face.scene
        changes, steps, asking = (MutuallyExclusiveCallbackGroup() for _ in range(3))
        calls.serve(GetSimulationState, "get_simulation_state", self._get, aside=asking, active=False, world=False)
        calls.serve(SetSimulationState, "set_simulation_state", self._set, aside=changes, active=False, world=False)
        calls.serve(ResetSimulation, "reset_simulation", self._reset)
        calls.serve(StepSimulation, "step_simulation", self._step, aside=steps, world=False)
        face.endpoints.action(
            SimulateSteps, "simulate_steps", self._simulate, callback_group=ReentrantCallbackGroup(),
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )  # fmt: skip

    @property
    def features(self) -> tuple[int, ...]:
        """What is offered now: how the world began may not be kept, and time may be somebody else's."""
        Is = SimulatorFeatures
        always = (
            Is.SIMULATION_STATE_GETTING, Is.SIMULATION_STATE_SETTING, Is.SIMULATION_STATE_PAUSE, Is.SIMULATION_RESET,
            Is.SIMULATION_RESET_SPAWNED, Is.STEP_SIMULATION_SINGLE, Is.STEP_SIMULATION_MULTIPLE, Is.STEP_SIMULATION_ACTION,
        )  # fmt: skip
        state = (Is.SIMULATION_RESET_STATE,) if self._face.settings.simulation.keep_start else ()
        time = () if self._face.frames.follows_clock else (Is.SIMULATION_RESET_TIME,)
        return always + state + time

    # State

    def _get(self, request: Any, response: Any) -> str:  # noqa: ARG002
        response.state = SimulationState(state=int(self._play.state))
        return ""

    def _set(self, request: Any, response: Any) -> str:  # noqa: ARG002
        wanted = request.state.state
        if wanted not in list(State):
            raise Refused(Code.INCORRECT_TRANSITION, f"state: expected one of 0..{max(State)}, got {wanted}")
        target, before = State(wanted), self._play.state
        if target is not State.QUITTING:
            self._calls.need_active("set_simulation_state")
        try:
            self._play.check(target)
        except AlreadyThere as error:
            raise Refused(Code.ALREADY_IN_TARGET_STATE, str(error)) from None
        except NoTransition as error:
            raise Refused(Code.INCORRECT_TRANSITION, str(error)) from None
        try:
            self._become(target)
        except CancelledError:
            raise
        except Exception as error:  # no frame is lost: the simulation waits, and the answer says why
            self._face.health.fail("set_simulation_state", error)
            said = f"{target.word}: {error}; the simulation is {self._play.state.word}"
            raise Refused(Code.STATE_TRANSITION_ERROR, said) from None
        return f"{before.word} -> {target.word}"

    def _become(self, target: State) -> None:
        if target in (State.STOPPED, State.QUITTING) and self._play.has_world:
            self._play.become(State.PAUSED)  # no frame comes between the reset and the state
        if target is State.STOPPED:
            self._calls.on_worker(lambda: self._scene.reset(EVERYTHING))
        self._play.become(target)
        if target is State.PAUSED:
            self._settle()
        if target is State.QUITTING:
            self._face.node.quit()

    def _reset(self, request: Any, response: Any) -> str:  # noqa: ARG002
        bits = int(request.scope)
        scope = EVERYTHING if bits in (Ask.SCOPE_DEFAULT, Ask.SCOPE_ALL) else Scope(bits & EVERYTHING)
        if bits != Ask.SCOPE_ALL and bits & ~int(EVERYTHING):
            known = ", ".join(f"{each.name} {each.value}" for each in Scope)
            raise Refused(Result.RESULT_FEATURE_UNSUPPORTED, f"scope: expected a sum of {known}, or {Ask.SCOPE_ALL}; got {bits}")
        if scope == Scope.TIME and self._face.frames.follows_clock:
            raise Refused(Result.RESULT_FEATURE_UNSUPPORTED, "scope: TIME is that of /clock, which this node follows")
        if Scope.STATE in scope and not self._scene.keeps_start:
            said = "scope: STATE: how the world began was not kept (simulation.keep_start)"
            raise Refused(Result.RESULT_FEATURE_UNSUPPORTED, said)
        self._scene.reset(scope)
        return ""

    # Steps

    def _step(self, request: Any, response: Any) -> str:  # noqa: ARG002
        self._face.check_commanded("step_simulation")
        with self._play.steps(int(request.steps)) as steps:
            for _ in steps:
                pass
        self._settle()
        return f"{steps.made} steps"

    def _settle(self) -> None:
        """Wait until what frames in progress do to the world is done."""
        self._calls.on_worker(lambda: None)

    def _simulate(self, handle: Any) -> Any:
        """One goal from beginning to end, on a thread of the executor; every way out answers."""
        answer = SimulateSteps.Result()

        answer.result = self._calls.result("simulate_steps", SimulateSteps, lambda: self._count_steps(handle))
        if handle.is_cancel_requested:
            handle.canceled()
        elif answer.result.result == Result.RESULT_OK:
            handle.succeed()
        else:
            handle.abort()
        return answer

    def _count_steps(self, handle: Any) -> str:
        count = int(handle.request.steps)

        def tell(made: int) -> None:
            handle.publish_feedback(SimulateSteps.Feedback(completed_steps=made, remaining_steps=count - made))

        self._calls.need_active("simulate_steps")
        self._face.check_commanded("simulate_steps")
        with self._play.steps(count, lambda: bool(handle.is_cancel_requested)) as steps:
            told = 0
            for told in steps:
                tell(told)
                self._end_if_cancelled(handle, steps)
            self._settle()  # a frame in progress counts
            if steps.made > told:
                tell(steps.made)
            if steps.made < count:
                raise Refused(Result.RESULT_OPERATION_FAILED, f"simulate_steps: cancelled after {steps.made} of {count} steps")
        return f"{steps.made} steps"

    @staticmethod
    def _end_if_cancelled(handle: Any, steps: Steps) -> None:
        if handle.is_cancel_requested:
            steps.end()

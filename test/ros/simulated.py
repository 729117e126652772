"""A client of simulation_interfaces for tests: calls by type, and what the camera publishes meanwhile."""

from action_msgs.msg import GoalStatus
from harness import wait
from rclpy.action import ActionClient
from sensor_msgs.msg import Image
from simulation_interfaces.action import SimulateSteps
from simulation_interfaces.msg import Result, SimulationState
from simulation_interfaces.srv import GetSimulationState, SetSimulationState, StepSimulation

from spatia_ros.nodes.simulation.play import State

OK, FAILED, NOT_FOUND = Result.RESULT_OK, Result.RESULT_OPERATION_FAILED, Result.RESULT_NOT_FOUND
UNSUPPORTED, INCORRECT_STATE = Result.RESULT_FEATURE_UNSUPPORTED, Result.RESULT_INCORRECT_STATE
CANCELED, ABORTED, SUCCEEDED = GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_SUCCEEDED


def name_of(kind):
    """GetEntityState -> get_entity_state."""
    return "".join("_" + c.lower() if c.isupper() else c for c in kind.__name__)[1:]


class Simulated:
    """One simulator in a namespace of a graph."""

    def __init__(self, graph, node, namespace, camera="camera"):
        self.graph, self.node, self.namespace = graph, node, namespace
        self.images = graph.collect(Image, f"{namespace}/{camera}/color/image_raw")
        self._steps = ActionClient(graph.client, SimulateSteps, f"{namespace}/simulate_steps")

    def ask(self, kind, code=OK, **request):
        """The answer to a call, which has this code, and says why unless all is well."""
        answer = self.graph.call(kind, f"{self.namespace}/{name_of(kind)}", **request)
        assert answer.result.result == code, answer.result.error_message
        assert code == OK or answer.result.error_message, "a refusal says why"
        return answer

    @property
    def state(self):
        return State(self.ask(GetSimulationState).state.state)

    def become(self, state, code=OK):
        return self.ask(SetSimulationState, code, state=SimulationState(state=int(state)))

    def step(self, count=1):
        """The images of so many steps, and of nothing else."""
        before = len(self.images)
        self.ask(StepSimulation, steps=count)
        wait(lambda: len(self.images) >= before + count, f"{count} images")
        assert len(self.images) == before + count
        return self.images[before:]

    def steps(self, count, heard=None):
        """The handle of a goal of simulate_steps; feedback goes to ``heard`` as pairs."""
        assert self._steps.wait_for_server(10.0)
        heard = [] if heard is None else heard

        def hear(msg):
            heard.append((msg.feedback.completed_steps, msg.feedback.remaining_steps))

        sent = self._steps.send_goal_async(SimulateSteps.Goal(steps=count), feedback_callback=hear)
        wait(sent.done, "an answer to the goal")
        assert sent.result().accepted
        return sent.result()

    @staticmethod
    def end(handle):
        """How a goal ended: status and result."""
        future = handle.get_result_async()
        wait(future.done, "the result")
        return future.result().status, future.result().result.result

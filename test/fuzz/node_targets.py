"""Targets on the nodes: every topic, service, action and parameter they have, found on the nodes themselves."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rclpy
import yaml
from file_target import FileTarget, as_yaml
from geometry_msgs.msg import PoseStamped
from hypothesis import strategies as st
from message_strategies import from_tree, near_message, scalars, to_tree
from rclpy.action import GoalResponse
from rclpy.context import Context
from rclpy.exceptions import ParameterException, ParameterUninitializedException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from stage import Changed, Stage, mapper_stage, world_stage
from target import Wrong
from valid_messages import makers_of
from value_trees import odd_values

from spatia_ros.nodes.parameters import LiveSettings
from spatia_ros.nodes.settings import WorldSettings
from spatia_ros.types import SpatiaError

RCLError = rclpy_implementation.RCLError
OWN = (
    "list_parameters",
    "get_parameters",
    "get_parameter_types",
    "describe_parameters",
    "set_parameters",
    "set_parameters_atomically",
    "get_type_description",
)
LIFECYCLE = ("change_state", "get_state", "get_available_states", "get_available_transitions", "get_transition_graph")
LONGEST_GOAL_S = 0.03
ENDING = ("load_world", "set_simulation_state")
"""After these there may be no world, or none that moves: the next input gets another."""
HEAVY = ("spawn", "load_world", "parameters", "action", "GenerateTrajectory", "memory_save", "memory_load", "unload", "reset")
"""Words in the names of those whose inputs take long: they get a quarter of the inputs of the others."""


class Refused(SpatiaError):
    """What a callback said when it refused."""


class NodeTarget:
    """One thing a node takes from outside."""

    suffix, by_damage = ".json", False

    def __init__(self, name: str, stage: Callable[[], Stage], kind: type) -> None:
        self.name, self._stage, self._kind = name, stage, kind
        self._makers = makers_of(kind)
        self.share = 0.25 if any(word in name for word in HEAVY) else 1.0

    def strategy(self) -> st.SearchStrategy[Any]:
        return near_message(self._makers)

    def damaged(self, rng: random.Random) -> Any:
        raise NotImplementedError

    def take_valid(self) -> None:
        pass

    def take(self, value: Any) -> bool:
        stage = self._stage()
        stage.renew()
        stage.prepare(self.name)
        said = self._call(stage, value)
        try:
            stage.check(not said)
        except Changed:  # by what was still under way, or by this? asked again, from rest
            stage.check(not self._call(stage, value))
        stage.stale |= not said and any(word in self.name for word in ENDING)
        if said:
            raise Refused(said)
        return True

    def _call(self, stage: Stage, value: Any) -> str:
        """Hand an input over; what was said when it was refused, empty when it was taken."""
        raise NotImplementedError

    def to_bytes(self, value: Any) -> bytes:
        return json.dumps(to_tree(value)).encode()

    def from_bytes(self, data: bytes) -> Any:
        return from_tree(self._kind(), json.loads(data))


class Topic(NodeTarget):
    """A subscription."""

    def __init__(self, name: str, stage: Callable[[], Stage], kind: type, topic: str) -> None:
        super().__init__(name, stage, kind)
        self._topic = topic

    def _call(self, stage: Stage, value: Any) -> str:
        before = stage.node.health.refusals
        stage.callback("topic", self._topic)(value)
        return stage.node.health.message if stage.node.health.refusals > before else ""


class Service(NodeTarget):
    """A service."""

    def __init__(self, name: str, stage: Callable[[], Stage], kind: Any, service: str) -> None:
        super().__init__(name, stage, kind.Request)
        self._service, self._response = service, kind.Response

    def _call(self, stage: Stage, value: Any) -> str:
        answer = stage.callback("service", self._service)(value, self._response())
        if not isinstance(answer, self._response):
            raise Wrong(f"expected an answer of {self._response}, got {type(answer)}")
        check_sendable(answer)
        return refusal_in(answer)


class Action(NodeTarget):
    """An action: a goal is carried out until it ends, or is cancelled soon."""

    def __init__(self, name: str, stage: Callable[[], Stage], kind: Any) -> None:
        super().__init__(name, stage, kind.Goal)
        self._action = kind

    def _call(self, stage: Stage, value: Any) -> str:
        server = stage.actions()[self._action.__name__]
        if server._goal_callback(value) != GoalResponse.ACCEPT:
            return "expected room for a goal, it was rejected"
        handle = Handle(value, server)
        server._handle_accepted_callback(handle)
        if handle.ended not in ("succeed", "abort", "canceled") or handle.answer is None:
            raise Wrong(f"expected an answer to every goal, it was left {handle.ended or 'open'}")
        check_sendable(handle.answer)
        if handle.ended != "abort":
            return ""
        return getattr(handle.answer, "message", "") or refusal_in(handle.answer) or "not said"


class Handle:
    """A goal in progress, as rclpy hands it to who carries it out; cancelled after a while."""

    def __init__(self, request: Any, server: Any) -> None:
        self.request, self._server, self.ended, self.answer = request, server, "", None
        self._until_s = time.monotonic() + LONGEST_GOAL_S
        self.goal_id, self.status, self.is_active = None, 0, True

    @property
    def is_cancel_requested(self) -> bool:
        return time.monotonic() > self._until_s

    def execute(self) -> None:
        thread = threading.Thread(target=self._carry_out, daemon=True)
        thread.start()
        thread.join(45.0)
        if thread.is_alive():
            raise Wrong("expected a goal to end soon after it is cancelled, it goes on")

    def _carry_out(self) -> None:
        self.answer = self._server._execute_callback(self)

    def publish_feedback(self, feedback: Any) -> None:
        check_sendable(feedback)

    def succeed(self, response: Any = None) -> None:
        self.ended = "succeed"

    def abort(self, response: Any = None) -> None:
        self.ended = "abort"

    def canceled(self, response: Any = None) -> None:
        self.ended = "canceled"


class FirstCloud(Topic):
    """The cloud a world begins with; asked for again each time."""

    def _call(self, stage: Stage, value: Any) -> str:
        stage.node.face._cloud_seed._taken = False
        return super()._call(stage, value)


class Parameters(NodeTarget):
    """Any parameter, set to anything; what it was is put back."""

    suffix, by_damage = ".json", False

    def __init__(self, name: str, stage: Callable[[], Stage]) -> None:
        self.name, self._stage, self.share = name, stage, 0.25

    def strategy(self) -> st.SearchStrategy[Any]:
        node = self._stage().node
        now = {name: parameter.value for name, parameter in sorted(node._parameters.items()) if name != "data_dir"}

        def wanted(name: str) -> st.SearchStrategy[Any]:
            value = now[name]
            if isinstance(value, bool):
                fitting: Any = st.booleans()
            elif isinstance(value, int):
                fitting = st.one_of(
                    st.integers(0, 12), st.integers(-(2**63), 2**63 - 1), st.sampled_from((value, value + 1, value * 2))
                )
            elif isinstance(value, float):
                fitting = st.one_of(st.floats(), st.floats(0, 10), st.sampled_from((value, value * 1.5, value / 3)))
            elif isinstance(value, str):
                fitting = scalars("string")
            else:
                fitting = st.lists(scalars("double"), max_size=7)
            return st.tuples(st.just(name), st.one_of(fitting, fitting, fitting, odd_values().filter(_is_parameter)))

        live = sorted(self._stage().node.live._live & now.keys())
        return st.one_of(st.sampled_from(live), st.sampled_from(live), st.sampled_from(sorted(now))).flatmap(wanted)

    def _call(self, stage: Stage, value: Any) -> str:
        name, wanted = value
        node = stage.node
        if name not in node._parameters:
            return "expected a parameter of this release"
        before = node.get_parameter(name)
        try:
            result = node.set_parameters([Parameter(name, value=wanted)])[0]
        except (TypeError, ValueError, OverflowError) as error:  # rclpy's own, before anything is asked of the node
            return f"not a parameter: {error}"
        if not result.successful:
            return result.reason or "not said"
        if "/cmd_pose" in [s.topic_name for s in node.subscriptions]:
            stage.callback("topic", "/cmd_pose")(makers_of(PoseStamped)[0]())  # and the world still works
        stage.rest()
        node.set_parameters([before])
        stage.now = stage.digest()
        return ""

    def to_bytes(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def from_bytes(self, data: bytes) -> Any:
        return tuple(json.loads(data))


def _is_parameter(value: Any) -> bool:
    return isinstance(value, bool | int | float | str) and not (isinstance(value, int) and abs(value) >= 2**63)


def check_sendable(answer: Any) -> None:
    """An answer can be put on the wire: rclpy would raise in the executor otherwise, and the node end."""
    from rclpy.serialization import serialize_message

    for field, kind in answer.get_fields_and_field_types().items():
        value = getattr(answer, field)
        if isinstance(value, str):
            value.encode()
        if hasattr(value, "get_fields_and_field_types"):
            serialize_message(value)
        elif isinstance(value, list) and value and hasattr(value[0], "get_fields_and_field_types"):
            for each in value:
                serialize_message(each)
        elif "int" in kind and isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise Wrong(f"expected {field} of {kind}, got {value}")


def refusal_in(answer: Any) -> str:
    """What an answer says when it is a refusal, by whatever field says so."""
    if hasattr(answer, "result") and hasattr(answer.result, "result"):
        ok = answer.result.result == answer.result.RESULT_OK
        return "" if ok else answer.result.error_message or "not said"
    if hasattr(answer, "success"):
        return "" if answer.success else getattr(answer, "message", "") or "not said"
    return ""


def _identifier(name: str) -> str:
    return name.strip("/").replace("/", "_").replace("~", "")


def _once(make: Callable[[], Stage]) -> Callable[[], Stage]:
    kept: list[Stage] = []

    def get() -> Stage:
        if not kept:
            kept.append(make())
        return kept[0]

    return get


def of_node(prefix: str, stage: Callable[[], Stage], topics: tuple[str, ...] | None = None) -> Iterator[NodeTarget]:
    """Everything a node takes; ``topics``: only those subscriptions."""
    node = stage().node
    # Looked up at once: trying the first renews the node, and with it all that is listed here.
    subscriptions = [(s.topic_name, s.msg_type) for s in node.subscriptions]
    services = [(s.service_name, s.srv_type) for s in node.services]
    actions = [(name, server._action_type) for name, server in stage().actions().items()]
    for name, kind in subscriptions:
        if topics is None or name in topics:
            yield Topic(f"{prefix}_topic_{_identifier(name)}", stage, kind, name)
    if topics is not None:
        return
    for name, kind in services:
        if name.rsplit("/", 1)[-1] not in (*OWN, *LIFECYCLE):
            yield Service(f"{prefix}_srv_{_identifier(name)}", stage, kind, name)
    for name, kind in actions:
        yield Action(f"{prefix}_action_{name}", stage, kind)
    yield Parameters(f"{prefix}_parameters", stage)


def targets() -> Iterator[NodeTarget]:
    """All of them."""
    world = _once(lambda: world_stage(use_sim_time=True))
    yield from of_node("world", world)
    yield from of_node("twist", _once(lambda: world_stage(motion__twist_stamped=False)), ("/cmd_vel",))
    yield from of_node("mapper", _once(mapper_stage))
    for source in ("odom", "tracked"):
        topics = ("/odom", "/tf_static") if source == "odom" else ("/tf", "/depth/image_rect")
        yield from of_node(f"mapper_{source}", _once(lambda source=source: mapper_stage(sensor__pose_source=source)), topics)
    compressed = ("/color/image_raw/compressed",)
    yield from of_node("mapper_compressed", _once(lambda: mapper_stage(sensor__compressed=True)), compressed)
    yield parameter_file()
    yield FirstCloud("cloud_topic_cloud", _once(world_stage_of_cloud), PointCloud2, "/cloud")


class ParameterFile(FileTarget):
    """A ROS parameter file, as `--params` takes it: rcl's own parser, in C, and then the settings."""

    def take(self, value: bytes) -> bool:
        path = self._ready() / self._file
        path.write_bytes(value)
        context = Context()
        try:
            rclpy.init(context=context, args=["--ros-args", "--params-file", str(path)])
        except RCLError as error:
            raise SpatiaError(f"parameters: expected a parameter file, got {error}") from None
        try:
            node = rclpy.create_node("world", context=context)
            try:
                LiveSettings(node, WorldSettings)
            finally:
                node.destroy_node()
        except (ParameterUninitializedException, ParameterException, RCLError) as error:
            raise SpatiaError(f"parameters: expected values of their types, got {error}") from None
        finally:
            rclpy.shutdown(context=context)
        return True


def parameter_file() -> ParameterFile:
    """The shipped one, damaged."""
    text = (Path(__file__).parents[2] / "config" / "world.yaml").read_bytes()
    out = ParameterFile("parameter_file", "world.yaml", [text], lambda _: None, tree=yaml.safe_load(text), text=as_yaml)
    out.share = 0.1
    return out


def world_stage_of_cloud() -> Stage:
    """A world that waits for a cloud."""
    from spatia_ros.nodes.world_node import WorldNode

    return Stage(WorldNode, generator__name="projection", camera__width_px=32, camera__height_px=32, source__cloud_topic="/cloud")

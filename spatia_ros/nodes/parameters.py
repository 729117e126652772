"""Settings as ROS parameters: declared by walking the tree, typed, ranged, described, and written as YAML."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from spatia_ros.nodes.path_parameters import check_paths
from spatia_ros.nodes.settings import NodeSettings
from spatia_ros.types import SpatiaError

Settings = TypeVar("Settings", bound=NodeSettings)


class Leaf(NamedTuple):
    """One parameter: its dotted name, what pydantic knows of it, its default, and whether it may change at run time."""

    name: str
    field: FieldInfo
    default: Any
    live: bool


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[Leaf]:
    """Every setting of a tree, in order, single values before sections."""
    live: frozenset[str] = getattr(model, "live", frozenset())
    for name, field in model.model_fields.items():
        if not isinstance(field.default, BaseModel):
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            yield Leaf(prefix + name, field, default, name in live)
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from leaves(type(field.default), f"{prefix}{name}.")


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """``(low, high)`` of a number as pydantic has it (open bounds count as their limits); None: unbounded."""
    low: Any = next((b.ge if isinstance(b, Ge) else b.gt for b in field.metadata if isinstance(b, Ge | Gt)), None)
    high: Any = next((b.le if isinstance(b, Le) else b.lt for b in field.metadata if isinstance(b, Le | Lt)), None)
    return low, high


def descriptor(leaf: Leaf) -> ParameterDescriptor:
    """What ROS is told of a parameter."""
    out = ParameterDescriptor(name=leaf.name, description=leaf.field.description or "")
    low, high = bounds(leaf.field)
    if choices(leaf):
        out.additional_constraints = "one of " + ", ".join(choices(leaf))
    elif low is not None and isinstance(leaf.default, float):
        to_value = sys.float_info.max if high is None else float(high)
        out.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=to_value)]
    elif low is not None:
        to_value = 2**63 - 1 if high is None else int(high)
        out.integer_range = [IntegerRange(from_value=int(low), to_value=to_value, step=1)]
    return out


def choices(leaf: Leaf) -> tuple[str, ...]:
    """The words a setting may be; empty when it is free."""
    return get_args(leaf.field.annotation) if get_origin(leaf.field.annotation) is Literal else ()


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Dotted names as a tree."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *parents, leaf = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def validated(model: type[Settings], values: dict[str, Any]) -> Settings:
    """Settings from dotted names.

    Raises:
        SpatiaError: naming every value out of range, with what was expected.
    """
    try:
        return model.model_validate(nested(values))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r:.200}" for e in error.errors()]
        raise SpatiaError("parameters: " + "; ".join(lines)) from None


def declare(node: Node, model: type[Settings]) -> Settings:
    """Declare every setting as a parameter of the node, and read what it was started with.

    Raises:
        SpatiaError: on a value of another type (write 1.0, not 1, for a real number) or out of range.
    """
    values = {}
    for leaf in leaves(model):
        try:
            values[leaf.name] = node.declare_parameter(leaf.name, leaf.default, descriptor(leaf)).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            low, high = bounds(leaf.field)
            limits = f" of {low}..{high}" if low is not None else ""
            kinds = {str: "a word in quotes", float: "a real number with its point", int: "a whole number", bool: "true or false"}
            wanted = f"{kinds.get(type(leaf.default), 'a list of real numbers')}{limits}, like {leaf.default!r}"
            raise SpatiaError(f"parameter {leaf.name}: expected {wanted}; {error}") from None
    return validated(model, values)


class LiveSettings:
    """The settings of a node: the newest valid ones, exchanged whole when a parameter is set.

    Args:
        free: whether every parameter may be set now, as before a node is configured; otherwise only the live ones.
    """

    def __init__(self, node: Node, model: type[Settings], free: Callable[[], bool] = lambda: False) -> None:
        self._model, self._free, self.now = model, free, declare(node, model)
        self._live = {leaf.name for leaf in leaves(model) if leaf.live}
        self._values = {leaf.name: node.get_parameter(leaf.name).value for leaf in leaves(model)}
        self._started = dict(self._values)
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        values = self._values | {p.name: p.value for p in parameters if p.name in self._values}
        fixed = [p.name for p in parameters if p.name in self._values and p.name not in self._live]
        if fixed and not self._free():
            return SetParametersResult(successful=False, reason=f"{', '.join(fixed)}: may be set while unconfigured only")
        try:
            check_paths(self._started, values)
            self.now = validated(self._model, values)
        except SpatiaError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._values = values
        return SetParametersResult(successful=True)


def to_yaml(model: type[BaseModel], node_name: str) -> str:
    """A parameter file with every default, each with its description, range, and whether it is live."""
    title = f"# Parameters of the {node_name} node and their defaults. (live): may change while it runs."
    lines = [title, "/**:", "  ros__parameters:"]
    section: list[str] = []
    for leaf in leaves(model):
        *parents, name = leaf.name.split(".")
        if parents != section:
            lines += [f"    {parents[0]}:"]
            section = parents
        value = yaml.safe_dump(leaf.default, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
        lines.append(f"{'  ' * (2 + len(parents))}{name}: {value}  # {_remark(leaf)}")
    return "\n".join(lines) + "\n"


def _remark(leaf: Leaf) -> str:
    low, high = bounds(leaf.field)
    limits = [] if low is None else [f"[{low} .. {high}]"] if high is not None else [f"[{low} ..]"]
    options = [f"[{', '.join(choices(leaf))}]"] if choices(leaf) else []
    return " ".join([leaf.field.description or "", *limits, *options, *(["(live)"] if leaf.live else [])])

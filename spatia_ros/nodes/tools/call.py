"""Call any service from a shell, for hosts without the ``ros2`` command.

    python -m spatia_ros.nodes.tools.call memory/save '{path: room.spatia}'

The type is that of the running server. The answer is printed as YAML; the exit status is 1 when it has ``success: false``
or a ``result`` that is not OK, 2 when there is no such service or the request does not fit it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import yaml

from spatia_ros.formats.plain_yaml import parse_yaml
from spatia_ros.nodes import environment
from spatia_ros.types import SpatiaError

RESULT_OK = 1
"""Of simulation_interfaces/Result."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(prog="spatia ros call", description="Call a service of a running node.")
    out.add_argument("service", help="its name, relative to the root: memory/save")
    out.add_argument("request", nargs="?", default="{}", help="YAML: {path: room.spatia}; what is left out is empty")
    out.add_argument("--wait-s", type=float, default=60.0, metavar="S", help="longest wait for the service (default: 60 s)")
    out.add_argument("--answer-s", type=float, default=120.0, metavar="S", help="longest wait for its answer (default: 120 s)")
    return out


def fill(message: Any, values: Any, name: str) -> None:
    """Set the fields of a message from a tree of plain values.

    Raises:
        SpatiaError: naming the field that is not there, or whose value is of another type.
    """
    if not isinstance(values, dict):
        raise SpatiaError(f"{name}: expected fields and values, got {values!r}")
    for key, value in values.items():
        if key not in message.get_fields_and_field_types():
            raise SpatiaError(f"{name}: expected one of {', '.join(message.get_fields_and_field_types())}, got {key!r}")
        old, where = getattr(message, key), f"{name}.{key}"
        if hasattr(old, "get_fields_and_field_types"):
            fill(old, value, where)
        else:
            given = [_element(message, key, each, where) for each in value] if isinstance(value, list) else value
            given = float(given) if isinstance(old, float) and type(given) is int else given
            if isinstance(old, (str, bool, int, float)) and type(given) is not type(old):
                raise SpatiaError(f"{where}: expected {type(old).__name__}, got {value!r}")
            try:
                setattr(message, key, given)
            except AssertionError as error:
                raise SpatiaError(f"{where}: {error}") from None


def _element(message: Any, key: str, value: Any, name: str) -> Any:
    """One of a sequence: a message of its own where the values are a tree."""
    if not isinstance(value, dict):
        return value
    package, _, kind = message.get_fields_and_field_types()[key].removeprefix("sequence<").split(">")[0].partition("/")
    out = getattr(import_module(f"{package}.msg"), kind.split(",")[0])()
    fill(out, value, name)
    return out


def plain(value: Any) -> Any:
    """A message as a tree of plain values."""
    if hasattr(value, "get_fields_and_field_types"):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, (str, int, float, bool)):
        return value
    return [plain(each) for each in value]


def call(name: str, request: str, wait_s: float, answer_s: float) -> dict[str, Any]:
    """The answer of a service.

    Raises:
        SpatiaError: when it is not there, does not answer, or the request does not fit it.
    """
    import rclpy

    from spatia_ros.nodes.qos import MATCH_S

    values = parse_yaml(request, "request")
    rclpy.init()
    node = rclpy.create_node("caller")
    try:
        full, until, kind = node.resolve_service_name(name), time.monotonic() + wait_s, ""
        while not kind:
            if time.monotonic() > until:
                raise SpatiaError(f"{full}: expected a server within {wait_s:g} s, found none; is ROS_DOMAIN_ID the same?")
            rclpy.spin_once(node, timeout_sec=0.1)
            kind = next((kinds[0] for found, kinds in node.get_service_names_and_types() if found == full), "")
        package, _, words = kind.split("/")
        client = node.create_client(getattr(import_module(f"{package}.srv"), words), full)
        asked = client.srv_type.Request()
        fill(asked, values, "request")
        client.wait_for_service(max(until - time.monotonic(), 1.0))
        time.sleep(MATCH_S)
        answer = client.call_async(asked)
        rclpy.spin_until_future_complete(node, answer, timeout_sec=answer_s)
        if not answer.done():
            raise SpatiaError(f"{full}: expected an answer within {answer_s:g} s, got none")
        return plain(answer.result())
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def went_well(answer: dict[str, Any]) -> bool:
    """Whether an answer says that what was asked for was done."""
    result = answer.get("result")
    return bool(answer.get("success", True)) and (not isinstance(result, dict) or result.get("result", RESULT_OK) == RESULT_OK)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    args = parser().parse_args(arguments)
    os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"  # a value of another type is an error in words, not one of the middleware
    environment.enter()
    try:
        answer = call(args.service, args.request, args.wait_s, args.answer_s)
    except SpatiaError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(yaml.safe_dump(answer, sort_keys=False))
    return 0 if went_well(answer) else 1


if __name__ == "__main__":
    raise SystemExit(main())

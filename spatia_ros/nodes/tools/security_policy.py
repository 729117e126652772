"""Who may do what on the graph, as SROS2 policies: written from what the nodes really open, in every mode they have.

    python -m spatia_ros.nodes.tools.security_policy                                   print it
    python -m spatia_ros.nodes.tools.security_policy --write config/sros2/policies.xml

Besides the nodes' own enclaves: ``admin`` may do all that the nodes take, ``operator`` all but change parameters and states
of the lifecycle, ``viewer`` may only look, ``sensor`` is a camera driver or another simulator that feeds them.
See docs/security.md for the keystore these become permissions in.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.context import Context
from rclpy.parameter import Parameter

from spatia_ros.msg import SimStatus
from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.world_node import WorldNode

SMALL = {"generator.name": "projection", "camera.width_px": 32, "camera.height_px": 32}
MODES: dict[str, tuple[type, list[dict[str, Any]]]] = {
    "world": (
        WorldNode,
        [
            {},
            {"use_sim_time": True},
            {"publish_clock": True, "sensor.pose_source": "odom"},
            {"sensor.compressed": True, "checkpoint.folder": "kept"},
        ],
    ),
    "mapper": (MapperNode, [{}, {"sensor.pose_source": "odom", "sensor.compressed": True}, {"sensor.pose_source": "tracked"}]),
}
"""By node: its class, and settings that between them open everything it can open."""
Rule = tuple[str, str, set[str]]
"""Topics, services or actions; what may be done with them; their names."""
OF_NODES = {"/rosout", "/parameter_events"}
ADMIN = ("change_state", "set_parameters", "set_parameters_atomically")
"""Services that make a node another: not for operators."""


@dataclass
class Interface:
    """Fully qualified names of what a node opens."""

    publish: set[str] = field(default_factory=set)
    subscribe: set[str] = field(default_factory=set)
    reply: set[str] = field(default_factory=set)
    execute: set[str] = field(default_factory=set)

    def add(self, other: Interface) -> None:
        """With what another one opens, too."""
        for name, names in vars(other).items():
            getattr(self, name).update(names)


def interface_of(node: Any) -> Interface:
    """What a node has open now (topics, services, actions; the topics and services an action is made of are left to it)."""
    actions = {name for name, _ in get_action_server_names_and_types_by_node(node, node.get_name(), node.get_namespace())}
    plain = lambda names: {name for name in names if "/_action/" not in name}  # noqa: E731
    publish = plain({each.topic_name for each in node.publishers} | {"/rosout"})
    subscribe = plain({each.topic_name for each in node.subscriptions})
    return Interface(publish, subscribe, plain({each.service_name for each in node.services}), actions)


@contextmanager
def _alone() -> Iterator[None]:
    """No discovery: what is looked at here is nobody else's."""
    before = dict(os.environ)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "OFF"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def interfaces() -> dict[str, Interface]:
    """What each node opens, in all its modes together."""
    found: dict[str, Interface] = {}
    with _alone(), tempfile.TemporaryDirectory() as folder:
        for name, (kind, modes) in MODES.items():
            whole = found.setdefault(name, Interface())
            for settings in modes:
                whole.add(_opened(kind, {**(SMALL if name == "world" else {}), "data_dir": folder, **settings}))
    return found


def _opened(kind: type, settings: dict[str, Any]) -> Interface:
    context = Context()
    rclpy.init(context=context)
    try:
        node = kind(context=context, parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()])
        try:
            node.start()
            out = interface_of(node)
            if hasattr(node.face, "rig"):  # a world that maps a sensor listens to more
                node.face._mode = SimStatus.MAPPING
                node.face.listen(True)
                out.add(interface_of(node))
            return out
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown(context=context)


def policies(found: dict[str, Interface]) -> str:
    """The policy file: enclaves of the nodes, of an operator and of a viewer."""
    everything = Interface()
    for interface in found.values():
        everything.add(interface)
    looked_at = ("topics", "subscribe", (everything.publish - OF_NODES) | {"/rosout", "/clock"})
    sensors = found["mapper"].subscribe - OF_NODES - {"/clock"}
    commands = ("topics", "publish", (everything.subscribe - sensors - {"/clock"}) | OF_NODES)
    asked = {name for name in everything.reply if not name.endswith(ADMIN)}
    told = ("topics", "publish", OF_NODES)
    people: dict[str, list[Rule]] = {
        "admin": [commands, looked_at, ("services", "request", everything.reply), ("actions", "call", everything.execute)],
        "operator": [commands, looked_at, ("services", "request", asked), ("actions", "call", everything.execute)],
        "viewer": [told, looked_at],
        "sensor": [("topics", "publish", sensors | OF_NODES)],
    }
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<policy version="0.2.0">', "  <enclaves>"]
    for name, own in found.items():
        rules: list[Rule] = [
            ("topics", "publish", own.publish),
            ("topics", "subscribe", own.subscribe | {"/clock", "/parameter_events"}),
        ]
        lines += _enclave(name, [*rules, ("services", "reply", own.reply), ("actions", "execute", own.execute)])
    for name, rules in people.items():
        lines += _enclave(name, rules)
    return "\n".join([*lines, "  </enclaves>", "</policy>", ""])


def _enclave(name: str, rules: list[Rule]) -> list[str]:
    """An enclave whose one node has the enclave's name."""
    lines = [f'    <enclave path="/spatia/{name}">', "      <profiles>", f'        <profile ns="/" node="{name}">']
    for kind, verb, names in rules:
        if names:
            lines.append(f'          <{kind} {verb}="ALLOW">')
            lines += [f"            <{kind[:-1]}>{each}</{kind[:-1]}>" for each in sorted(names)]
            lines.append(f"          </{kind}>")
    return [*lines, "        </profile>", "      </profiles>", "    </enclave>"]


def main() -> int:
    """Print or write the policies."""
    parser = argparse.ArgumentParser(
        prog="python -m spatia_ros.nodes.tools.security_policy", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write it to this file")
    args = parser.parse_args()
    text = policies(interfaces())
    if args.write is None:
        sys.stdout.write(text)
        return 0
    partial = args.write.with_name(args.write.name + ".partial")
    args.write.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(text)
    os.replace(partial, args.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())

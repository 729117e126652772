"""Run a node without ``ros2 run`` or ``launch``: the same node, the same YAML.

    python -m spatia_ros.nodes.runner world --params config/world.yaml --set source.sequence=DIR
    python -m spatia_ros.nodes.runner mapper --ros-args -r __ns:=/robot1

What follows ``--ros-args`` goes to ROS as it is. Ctrl-C ends the node after the frame in progress.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spatia_ros.nodes import environment
from spatia_ros.types import SpatiaError

NODES = ("world", "mapper")
THREADS = 12
"""Commands, services (those that read files, load worlds, step or change the state wait each on its own), and actions."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="python -m spatia_ros.nodes.runner",
        description="Run a spatia_ros node with a parameter file.",
        epilog="example: python -m spatia_ros.nodes.runner world --set source.sequence=builtin --ros-args -r __ns:=/robot1",
    )
    out.add_argument("node", choices=NODES, help="world: commands in, images out; mapper: RGB-D topics in, a memory out")
    out.add_argument("--params", action="append", default=[], metavar="FILE", help="a parameter file (YAML); may be repeated")
    one = "one parameter, e.g. frame_rate_hz=5.0; may be repeated"
    out.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=one)
    out.add_argument("--write-params", metavar="FILE", help="write a parameter file with every default, described, and stop")
    out.add_argument("--ros-args", nargs=argparse.REMAINDER, default=[], help="arguments for ROS, e.g. -r __ns:=/robot1")
    return out


def ros_arguments(options: argparse.Namespace) -> list[str]:
    """What rclpy is given: the parameter files, then single parameters, then the user's own.

    Raises:
        SpatiaError: when a parameter file is missing or an assignment is none.
    """
    out = ["--ros-args"]
    for file in options.params:
        if not Path(file).is_file():
            raise SpatiaError(f"--params: expected a YAML file, {file} is not one")
        out += ["--params-file", str(Path(file).resolve())]
    for assignment in options.set:
        name, equals, value = assignment.partition("=")
        if not (name and equals):
            raise SpatiaError(f"--set: expected NAME=VALUE, got {assignment!r}")
        # ROS reads YAML 1.1, where a bare y or n is a truth value.
        out += ["-p", f"{name}:='{value}'" if value in ("y", "n") else f"{name}:={value}"]
    return [*out, *options.ros_args]


def node_of(name: str) -> type[Any]:
    """The class of a node (imports rclpy)."""
    if name == "world":
        from spatia_ros.nodes.world_node import WorldNode

        return WorldNode
    from spatia_ros.nodes.mapper_node import MapperNode

    return MapperNode


def write_params(name: str, path: Path) -> None:
    """Write the node's parameters and their defaults as YAML."""
    from spatia_ros.nodes.parameters import to_yaml
    from spatia_ros.nodes.settings import MapperSettings, WorldSettings

    partial = path.with_name(path.name + ".partial")
    partial.write_text(to_yaml(WorldSettings if name == "world" else MapperSettings, name))
    os.replace(partial, path)


def spin(name: str, arguments: Sequence[str]) -> int:
    """Run a node until it is interrupted or ROS shuts down; returns the exit status.

    Commands are received on one thread, services and actions wait on others; the world has one of its own.
    """
    import rclpy
    from rclpy.exceptions import InvalidHandle
    from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
    from rclpy.impl.implementation_singleton import rclpy_implementation

    rclpy.init(args=list(arguments))
    node = None
    try:
        node = node_of(name)()
        if node.live.now.autostart:
            node.start()
        executor = MultiThreadedExecutor(num_threads=THREADS)
        executor.add_node(node)
        while rclpy.ok():
            # A subscription that is let go of while the executor gathers what to wait for ends spin.
            with contextlib.suppress(InvalidHandle):
                executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except rclpy_implementation.RCLError:
        # An interrupt that comes while the executor gathers what to wait for takes the context from under it.
        if rclpy.ok():
            raise
    except SpatiaError as error:
        rclpy.logging.get_logger(name).fatal(str(error))
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    options = parser().parse_args(arguments)
    environment.enter()
    try:
        if options.write_params:
            write_params(options.node, Path(options.write_params))
            return 0
        return spin(options.node, ros_arguments(options))
    except SpatiaError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())

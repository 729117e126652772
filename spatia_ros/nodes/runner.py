"""Run a node without ``ros2 run`` or ``launch``: the same node, the same YAML.

    python -m spatia_ros.nodes.runner world --params config/world.yaml --set source.sequence=DIR
    python -m spatia_ros.nodes.runner mapper --ros-args -r __ns:=/robot1

What follows ``--ros-args`` goes to ROS as it is. Ctrl-C ends the node after the frame in progress.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from spatia_ros.nodes import environment
from spatia_ros.nodes.shared_memory import remove_left_over
from spatia_ros.nodes.supervise import GAVE_UP, WRONG_SETTINGS, Patience, supervise
from spatia_ros.types import SpatiaError

NODES = ("world", "mapper")
THREADS = 12
"""Commands, services (those that read files, load worlds, step or change the state wait each on its own), and actions."""
FAILED = 3
"""Exit status when the node could not be started, for no fault of its settings."""
LOADING_S = 0.3
"""How long an interrupted start may go on."""


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
    again = "start it again when it dies, hangs or gives up, with the state it kept last (checkpoint.*)"
    out.add_argument("--respawn", action="store_true", help=again)
    out.add_argument("--watch", default="", help=argparse.SUPPRESS)  # pipe and attempt, from the supervisor
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


def spin(name: str, arguments: Sequence[str], watch: Watch | None = None) -> int:
    """Run a node until it is interrupted or ROS shuts down; returns the exit status.

    Commands are received on one thread, services and actions wait on others; the world has one of its own. The node starts
    on yet another, so that it tells its state and can be interrupted while it loads.
    """
    # ROS shuts its context down at an interrupt, which ends the executor's spin. Python would raise KeyboardInterrupt as well,
    # wherever this thread is by then: half-way through closing the node, or in an import that takes it for a missing library.
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    import rclpy
    from rclpy.exceptions import InvalidHandle
    from rclpy.executors import MultiThreadedExecutor

    kind = node_of(name)
    remove_left_over()
    rclpy.init(args=list(arguments))
    node, starting = None, None
    try:
        if told:  # before ROS minded it; there is nothing to close
            return 0
        node = kind()
        if watch:
            watch.over(node)
        executor = MultiThreadedExecutor(num_threads=THREADS)
        executor.add_node(node)
        if node.live.now.autostart:
            starting = Starting(node)
        while rclpy.ok():
            # A subscription that is let go of while the executor gathers what to wait for ends spin.
            with contextlib.suppress(InvalidHandle):
                executor.spin()
    except SpatiaError as error:
        rclpy.logging.get_logger(name).fatal(str(error))
        return WRONG_SETTINGS
    except Exception:  # an interrupt takes the context from under whatever is being made or waited for
        if rclpy.ok():
            raise
    finally:
        if starting is not None:
            starting.end()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        signal.signal(signal.SIGINT, before)
    return starting.status if starting else 0


class Starting:
    """Brings a node to active on a thread of its own; where that fails, ROS is shut down, and ``status`` says why."""

    def __init__(self, node: Any) -> None:
        self.status, self._node = 0, node
        self._thread = threading.Thread(target=self._start, name="start", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        from spatia_ros.nodes.tidy import settle, stock_up

        try:
            self._node.start()
            stock_up()
            settle()  # all that was imported, and that was made to work with
        except Exception as error:
            if self._node.context.ok():
                self._node.get_logger().fatal(f"cannot start: {error}")
                self.status = WRONG_SETTINGS if isinstance(error, SpatiaError) else FAILED
            self._node.context.try_shutdown()

    def end(self) -> None:
        """Wait for it; a node that still loads has nothing to lose, so the process ends there and then."""
        self._thread.join(LOADING_S)
        if self._thread.is_alive():
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


class Watch:
    """Tells the supervisor through a pipe how a node fares.

    Args:
        pipe: file descriptor. attempt: starts before this one.
    """

    def __init__(self, pipe: int, attempt: int) -> None:
        self._pipe, self._attempt = pipe, attempt

    def over(self, node: Any) -> None:
        """Watch a node. One with nowhere to keep its state gets a folder by its own name, and begins anew at the first start."""
        from rclpy.parameter import Parameter

        node.heartbeat.told = lambda word: self._say(GAVE_UP if node.faulty is not None else word)
        settings = node.live.now
        if not settings.checkpoint.folder and settings.sensor.pose_source != "tracked":
            folder, again = f"checkpoint{node.get_fully_qualified_name()}", self._attempt > 0
            given = {"checkpoint.folder": folder} | ({} if again else {"checkpoint.resume": False})
            node.set_parameters([Parameter(parameter, value=value) for parameter, value in given.items()])

    def _say(self, word: str) -> None:
        try:
            os.write(self._pipe, f"{word}\n".encode())
        except BrokenPipeError:  # the supervisor is gone, and nobody would restart this
            os.kill(os.getpid(), signal.SIGTERM)


def supervised(arguments: Sequence[str]) -> int:
    """This program, run by a supervisor: the same arguments, again and again."""
    rest = [word for word in arguments if word != "--respawn"]

    def command(attempt: int, pipe: int) -> list[str]:
        return [sys.executable, "-m", "spatia_ros.nodes.runner", f"--watch={pipe},{attempt}", *rest]

    return supervise(command, Patience())


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    environment.enter()
    try:
        if options.write_params:
            write_params(options.node, Path(options.write_params))
            return 0
        words = ros_arguments(options)
        if options.respawn:
            return supervised(arguments)
        return spin(options.node, words, Watch(*map(int, options.watch.split(","))) if options.watch else None)
    except SpatiaError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_SETTINGS


def leave(status: int) -> NoReturn:
    """End this process with a status, once what others can see of it is closed.

    Taking down torch, numba and what else was imported takes Python several times as long as all of the node's own end.
    """
    gc.collect()  # with what nobody holds goes what it has open; the node itself is closed by now
    if "rclpy" in sys.modules:
        import rclpy

        rclpy.get_default_context().destroy()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())

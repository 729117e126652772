"""Send a goal to any action from a shell, for hosts without the ``ros2`` command.

    python -m spatia_ros.nodes.tools.send_goal export_dataset '{format: 1, folder: flight, seed: 1}' --trajectory path.txt

Each feedback is printed as a line, the result as YAML. Ctrl-C cancels the goal and waits for its result. The exit status is
1 when the goal was rejected, aborted or cancelled, 2 when there is no such action or the goal does not fit it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from spatia_ros.formats.plain_yaml import parse_yaml
from spatia_ros.nodes import environment
from spatia_ros.nodes.tools.call import fill, plain, went_well
from spatia_ros.types import SpatiaError

LOOK_S = 0.1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(prog="spatia ros goal", description="Send a goal to an action of a running node.")
    out.add_argument("action", help="its name, relative to the root: export_dataset")
    out.add_argument("goal", nargs="?", default="{}", help="YAML: {phrase: the red chair}; what is left out is empty")
    out.add_argument("--trajectory", type=Path, metavar="FILE", help="camera poses (TUM or w2c lines) for the goal's path")
    out.add_argument("--map-up", default="z", choices=("z", "y", "-y"), help="of the trajectory: the node's frames.map_up")
    out.add_argument("--wait-s", type=float, default=60.0, metavar="S", help="longest wait for the action (default: 60 s)")
    return out


def with_path(goal: Any, trajectory: Path, map_up: Any) -> None:
    """Set a goal's path from a file of camera poses; the node's own frame rate gives the timing.

    Raises:
        SpatiaError: when the goal has no path, or the file no poses.
    """
    from spatia_ros.config import WorldConfig
    from spatia_ros.nodes.rig.frames import Rig
    from spatia_ros.nodes.settings import FrameSettings
    from spatia_ros.nodes.tools.pilot import path_message
    from spatia_ros.sequence.w2c import read_camera_path

    if "path" not in goal.get_fields_and_field_types():
        raise SpatiaError(f"--trajectory: expected a goal with a path, got {type(goal).__name__}")
    goal.path = path_message(read_camera_path(trajectory, WorldConfig().frame_rate_hz), Rig(FrameSettings(map_up=map_up)))


def send(
    name: str, values: dict[str, Any], prepare: Callable[[Any], None], wait_s: float, stop: threading.Event,
    tell: Callable[[dict[str, Any]], None],
) -> tuple[bool, dict[str, Any]]:  # fmt: skip
    """Send a goal and wait for its result; ``stop`` cancels it. Returns whether it succeeded, and the result.

    Args:
        prepare: completes the goal. tell: takes each feedback.

    Raises:
        SpatiaError: when the action is not there, or the goal does not fit it.
    """
    import rclpy
    from action_msgs.msg import GoalStatus
    from rclpy.action import ActionClient, get_action_names_and_types
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("caller")
    try:
        full, until, kind = node.resolve_topic_name(name), time.monotonic() + wait_s, ""
        while not kind:
            if time.monotonic() > until or stop.is_set():
                raise SpatiaError(f"{full}: expected an action within {wait_s:g} s, found none; is ROS_DOMAIN_ID the same?")
            rclpy.spin_once(node, timeout_sec=LOOK_S)
            kind = next((kinds[0] for found, kinds in get_action_names_and_types(node) if found == full), "")
        package, _, words = kind.split("/")
        action = getattr(import_module(f"{package}.action"), words)
        client, goal = ActionClient(node, action, full), action.Goal()
        fill(goal, values, "goal")
        prepare(goal)
        client.wait_for_server(max(until - time.monotonic(), 1.0))
        sent = client.send_goal_async(goal, lambda message: tell(plain(message.feedback)))
        rclpy.spin_until_future_complete(node, sent)
        if not sent.result().accepted:
            return False, {"message": "rejected: too many goals are in progress"}
        answer, cancelled = sent.result().get_result_async(), False
        while not answer.done():
            rclpy.spin_once(node, timeout_sec=LOOK_S)
            if stop.is_set() and not cancelled:
                cancelled = True
                sent.result().cancel_goal_async()
        return answer.result().status == GoalStatus.STATUS_SUCCEEDED, plain(answer.result().result)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    args = parser().parse_args(arguments)
    os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"  # a value of another type is an error in words, not one of the middleware
    environment.enter()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def prepare(goal: Any) -> None:
        if args.trajectory is not None:
            with_path(goal, args.trajectory, args.map_up)

    def tell(feedback: dict[str, Any]) -> None:
        sys.stdout.write(f"# {yaml.safe_dump(feedback, default_flow_style=True, sort_keys=False, width=10**6)}")
        sys.stdout.flush()

    try:
        done, result = send(args.action, parse_yaml(args.goal, "goal"), prepare, args.wait_s, stop, tell)
    except (SpatiaError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(yaml.safe_dump(result, sort_keys=False))
    return 0 if done and went_well(result) else 1


if __name__ == "__main__":
    raise SystemExit(main())

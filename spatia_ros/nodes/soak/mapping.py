"""Who plays a camera to a mapper, over and over: ``spatia ros soak-map``'s process beside it.

    python -m spatia_ros.nodes.soak.mapping --folder DIR --minutes 5

Each lap the same frames come again, with later stamps, from their own poses; then the mapper goes on in the empty memory it began
with. So every lap must end with as many points as the first, and what the mapper holds after it must stay. Reports are JSON on
standard output, one a line; SIGINT ends it with the last.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spatia_ros.nodes import environment
from spatia_ros.nodes.soak.held import held_by
from spatia_ros.nodes.tools.tool import tell
from spatia_ros.record.lap import EMPTY, FRAMES, Lap
from spatia_ros.types import Frame, SpatiaError

SAVED = "lap.spatia"
"""What a lap made, in the data folder."""
WARM_UP = 4
"""Laps before memory use is watched."""
FRAME_NS = 100_000_000
FRAME_LIMIT_S, START_LIMIT_S = 5.0, 180.0
AGAIN = 12
"""A frame is sent so often, should it be lost on its way or come before the mapper hears."""
DEPTH_LATER_NS = 4_000_000
"""Depth comes so much later than colour, as such cameras have it."""


class Driver:
    """Publishes frames as a camera's driver does, and hears what the mapper says of them."""

    def __init__(self, node: Any) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PoseStamped
        from sensor_msgs.msg import CameraInfo, Image
        from tf2_msgs.msg import TFMessage

        from spatia_ros.nodes import convert, qos

        self._convert, self._tf_message = convert, TFMessage
        kinds = {"color/image_raw": Image, "depth/image_rect": Image, "color/camera_info": CameraInfo}
        self._out = {topic: node.create_publisher(kind, topic, qos.SENSOR_OUT) for topic, kind in kinds.items()}
        self._tf = node.create_publisher(TFMessage, "/tf", qos.TF)
        self._new, self._mapped = threading.Condition(), 0
        self._held: list[dict[str, float]] = []
        node.create_subscription(PoseStamped, "pose", self._on_pose, qos.SENSOR_OUT)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 10)

    def _on_pose(self, msg: Any) -> None:
        with self._new:
            self._mapped = self._convert.time_ns(msg.header.stamp)
            self._new.notify_all()

    def _on_report(self, msg: Any) -> None:
        held = held_by("mapper", msg)
        with self._new:
            if held is not None:
                self._held[:] = [held]
            self._new.notify_all()

    def held(self) -> dict[str, float]:
        """What the mapper holds, as it tells once a second: the next report but one, which was made later than now."""
        for _ in range(2):
            with self._new:
                self._held.clear()
                if not self._new.wait_for(lambda: self._held, START_LIMIT_S):
                    raise SpatiaError(f"soak: expected diagnostics of the mapper within {START_LIMIT_S:g} s")
                out = self._held[-1]
        return dict(out)

    def show(self, frame: Frame) -> int:
        """Publish a frame until the mapper says where it was; returns how often that took.

        Raises:
            SpatiaError: when it never does.
        """
        for k in range(AGAIN):
            self._publish(frame)
            with self._new:
                if self._new.wait_for(lambda: self._mapped == frame.stamp_ns, FRAME_LIMIT_S):
                    return k + 1
        raise SpatiaError(f"soak: expected the frame at {frame.stamp_ns} ns to be mapped, it was not")

    def _publish(self, frame: Frame) -> None:
        convert = self._convert
        header = convert.to_header(frame.stamp_ns, "camera")
        transform = convert.to_transform(frame.T_world_cam, frame.stamp_ns, "map", "camera")
        self._tf.publish(self._tf_message(transforms=[transform]))
        self._out["color/camera_info"].publish(convert.to_camera_info(frame.camera, header))
        self._out["color/image_raw"].publish(convert.to_image(frame.rgb, header))
        later = convert.to_header(frame.stamp_ns + DEPTH_LATER_NS, "camera")
        self._out["depth/image_rect"].publish(convert.to_depth(frame.depth, later))


class Laps:
    """Laps of a recording in a mapper, each held against the first.

    Args:
        driver: shows frames. call: ``(service, request) -> answer`` of memory/save and memory/load. expect: notes what does not
            hold. count: counts what was done.
    """

    def __init__(
        self, lap: Lap, driver: Any, call: Callable[[str, str], Any], expect: Callable[[bool, str], Any],
        count: Callable[[str, int], Any],
    ) -> None:  # fmt: skip
        self._lap, self._driver, self._call, self._expect, self._count = lap, driver, call, expect, count
        self._stamp_ns, self._points = FRAME_NS, 0

    def once(self) -> None:
        """One lap, and back to nothing."""
        for k in range(len(self._lap.rgb)):
            self._stamp_ns += FRAME_NS
            times = self._driver.show(self._lap.frame(k, self._stamp_ns))
            self._count("frames", 1)
            self._count("frames sent again", times - 1)
        points = self._called("memory/save", SAVED).points
        self._points = self._points or points
        self._expect(points == self._points, f"a lap made {points} points of what {self._points} were made of before")
        self._expect(points > 0, "a lap left no point")
        left = self._called("memory/load", EMPTY).points
        self._expect(left == 0, f"memory/load: nothing has {left} points")
        self._count("laps", 1)

    def _called(self, service: str, path: str) -> Any:
        answer = self._call(service, path)
        self._expect(answer.success, f"{service}: {answer.message}")
        return answer


def played(laps: Laps, driver: Any, minutes: float, over: threading.Event, say: Callable[[dict[str, Any]], None]) -> None:
    """Laps until the time is up, a rest after each, in which the mapper gives back what it needs no more."""
    from spatia_ros.nodes import tidy

    start, done = time.monotonic(), 0
    while not over.is_set() and (done == 0 or time.monotonic() - start < 60.0 * minutes):
        laps.once()
        done += 1
        over.wait(tidy.QUIET_S + 3 * tidy.LOOK_S)
        say({"home": done, "held": driver.held()})
        if done == WARM_UP:
            say({"watched": True})


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m spatia_ros.nodes.soak.mapping", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR", help="the mapper's data folder")
    parser.add_argument("--minutes", type=float, default=5.0, metavar="N", help="how long (default: 5)")
    args = parser.parse_args(arguments)
    environment.enter()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    _play(args, over)
    return 0


def _play(args: argparse.Namespace, over: threading.Event) -> None:
    from spatia_ros.nodes.soak.ledger import Ledger
    from spatia_ros.nodes.soak.run import spun
    from spatia_ros.nodes.soak.twin import Caller
    from spatia_ros.srv import LoadMemory, SaveMemory

    ledger, kinds = Ledger(), {"memory/save": SaveMemory, "memory/load": LoadMemory}
    with spun("soak_camera") as node:
        driver, caller = Driver(node), Caller(node, "")

        def call(service: str, path: str) -> Any:
            return caller.call(kinds[service], service, path=path)

        def count(name: str, more: int) -> None:
            ledger.counts[name] += more

        try:
            laps = Laps(Lap.load(args.folder / FRAMES), driver, call, ledger.expect, count)
            played(laps, driver, args.minutes, over, tell)
        except Exception as error:  # it cannot go on: what was seen so far is told all the same
            traceback.print_exc()
            ledger.expect(False, f"{type(error).__name__}: {error}")
    tell({"report": {"counts": dict(sorted(ledger.counts.items())), "wrong": ledger.wrong}})


if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env python3
"""From a command to its image in another process, stage by stage, and what of it is ours.

    python -m spatia_ros.nodes.environment python bench/ros.py [--seconds 60] [--json FILE]

Making messages, against the obvious way to make them; images to a best-effort subscriber in another process, against the same
with Fast DDS as it comes; commands to a world node and the images that answer them, at each size, after a rest and steadily;
and worlds that stream in real time, how punctually, with and without the deadline policy. Every process but this one is its
child. Close what else computes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout as it is

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from PIL import Image as pillow
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from spatia_ros.evaluate.timing import interleaved
from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.environment import ros_environment
from spatia_ros.record.files import write_json

SIZES = ("640x480", "1280x720")
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
PARTS = ("messages", "sent", "commands", "stream")
STEP_M = 0.01
STREAM_S = 20.0
"""A stream is watched so long at most."""
PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"


def picture(size: str) -> np.ndarray:
    """A colour image that does not compress to nothing: waves and noise, uint8 [H, W, 3]."""
    width, height = map(int, size.split("x"))
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 17 + y / 31), np.cos(x / 23), np.sin(y / 11)], -1)
    return np.clip(127 + 60 * waves + np.random.default_rng(0).normal(0, 6, waves.shape), 0, 255).astype(np.uint8)


def percentiles(name: str, values_ms: list[float]) -> dict[str, float]:
    """Median and 99th percentile by name."""
    p50, p99 = np.percentile(values_ms, (50, 99))
    return {f"{name}_p50_ms": float(p50), f"{name}_p99_ms": float(p99)}


# Messages


def conversions(size: str, repetitions: int) -> dict[str, float]:
    """Milliseconds to make the messages of a frame: our way, into a message that is there, and the obvious one."""
    rgb, header = picture(size), convert.to_header(0, "camera")
    depth = rgb[..., 0].astype(np.float32)
    kept = convert.to_image(rgb, header)

    def in_place() -> None:
        np.frombuffer(kept.data, np.uint8)[:] = rgb.reshape(-1)

    def assigned() -> None:
        Image(header=header, height=rgb.shape[0], width=rgb.shape[1], encoding="rgb8", step=rgb[0].nbytes).data = rgb.reshape(-1)

    def by_pillow() -> None:
        with io.BytesIO() as file:
            pillow.fromarray(rgb).save(file, "JPEG", quality=90)

    work: dict[str, Callable[[], object]] = {
        "image": lambda: convert.to_image(rgb, header), "image_in_place": in_place,
        "depth": lambda: convert.to_depth(depth, header),
        "jpeg": lambda: convert.to_compressed(rgb, header), "jpeg_by_pillow": by_pillow,
    }  # fmt: skip
    timings = interleaved(f"messages {size}", work, repetitions)
    figures = {f"{name}_{size}_ms": timing.median_ms for name, timing in timings.items()}
    start = time.perf_counter()
    assigned()  # once: it takes the better part of a second
    figures[f"image_assigned_{size}_ms"] = (time.perf_counter() - start) * 1e3
    ratio = figures[f"image_assigned_{size}_ms"] / figures[f"image_{size}_ms"]
    return figures | {f"image_assigned_over_ours_{size}": ratio}


# A camera and a viewer


def camera(size: str, rate_hz: float, seconds: float) -> None:
    """Publish images as the world does, each with its number and the time in its frame's name, and say how many."""
    rclpy.init()
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(Image, "image_raw", qos.SENSOR_OUT)
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(1.0)  # the other side must have found this one, too
    rgb, frames, start, busy_s = picture(size), round(rate_hz * seconds), time.monotonic(), 0.0
    for i in range(frames):
        begun = time.monotonic()
        publisher.publish(convert.to_image(rgb, convert.to_header(0, f"{i} {time.monotonic_ns()}")))
        busy_s += time.monotonic() - begun
        time.sleep(max(0.0, start + (i + 1) / rate_hz - time.monotonic()))
    time.sleep(1.0)
    print(json.dumps({"published": frames, "publish_mean_ms": busy_s / frames * 1e3}))
    rclpy.try_shutdown()


def viewer(rate_hz: float, seconds: float) -> None:
    """Count the images of :func:`camera` by best effort, and how long each was under way."""
    rclpy.init()
    node, frames = rclpy.create_node("viewer"), round(rate_hz * seconds)
    numbers, ms = [], []

    def seen(msg: Image) -> None:
        number, sent_ns = map(int, msg.header.frame_id.split())
        numbers.append(number)
        ms.append((time.monotonic_ns() - sent_ns) * 1e-6)

    node.create_subscription(Image, "image_raw", seen, BEST_EFFORT)
    patience = time.monotonic() + 30.0
    while time.monotonic() < patience and (not numbers or numbers[-1] < frames - 1):
        before = len(numbers)
        rclpy.spin_once(node, timeout_sec=0.5)
        patience = time.monotonic() + 3.0 if len(numbers) > before else patience
    print(json.dumps({"arrived": len(set(numbers))} | (percentiles("arrival", ms) if ms else {})))
    rclpy.try_shutdown()


def child(role: str, env: dict[str, str], *arguments: str) -> subprocess.Popen:
    """One end of a measurement, as a process of its own."""
    command = [sys.executable, __file__, "--role", role, *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def carried(size: str, rate_hz: float, seconds: float, env: dict[str, str]) -> dict[str, float]:
    """Frames lost, and how long they took, from a camera to a viewer in an environment."""
    ends = [child(role, env, "--sizes", size, "--rate", str(rate_hz), "--seconds", str(seconds)) for role in ("viewer", "camera")]
    try:
        said = [json.loads(end.communicate(timeout=seconds + 90)[0] or "{}") for end in ends]
    finally:
        for end in ends:
            end.kill()
            end.wait()
    figures = said[0] | said[1]
    return {**figures, "lost": figures.get("published", 0) - figures.get("arrived", 0)}


def without_profile(env: dict[str, str]) -> dict[str, str]:
    """The environment with Fast DDS as it comes."""
    return {name: value for name, value in env.items() if name not in PROFILE}


# A world


class World:
    """A world node in a process of its own, and a client of it in this one."""

    def __init__(self, size: str, generator: str, options: argparse.Namespace, **settings: Any) -> None:
        self._settle_s = options.settle
        width, height = size.split("x")
        values = {
            "camera.width_px": width, "camera.height_px": height, "generator.name": generator, "source.sequence": options.source,
            **settings,
        }  # fmt: skip
        told = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        told += [part for assignment in options.set for part in ("--set", assignment)]
        command = [sys.executable, "-m", "spatia_ros.nodes.runner", "world", *told]
        self._process = subprocess.Popen(command, env=ros_environment(os.environ), stderr=subprocess.DEVNULL)
        self.node = rclpy.create_node("bench")
        self.images: dict[tuple[int, int], float] = {}
        self.frames: list[GeneratedFrame] = []
        self.status: list[SimStatus] = []
        self.node.create_subscription(Image, "camera/color/image_raw", self._on_image, BEST_EFFORT)
        self.node.create_subscription(GeneratedFrame, "camera/color/metadata", self.frames.append, qos.SENSOR_OUT)
        self.node.create_subscription(SimStatus, "world/status", self.status.append, qos.LATCHED)
        self.go = self.node.create_publisher(PoseStamped, "cmd_pose", qos.COMMAND)

    def _on_image(self, msg: Image) -> None:
        self.images[msg.header.stamp.sec, msg.header.stamp.nanosec] = time.perf_counter()

    def spin(self, done: Callable[[], Any], patience_s: float) -> None:
        """Take messages until something happened."""
        until = time.perf_counter() + patience_s
        while not done():
            if time.perf_counter() > until or self._process.poll() is not None:
                raise SystemExit(f"bench: expected the world node to answer within {patience_s:g} s")
            rclpy.spin_once(self.node, timeout_sec=0.2)

    def settle(self) -> None:
        """Take messages for a while: each side has learnt of the other by then, and what is compiled once is."""
        until = time.perf_counter() + self._settle_s
        self.spin(lambda: time.perf_counter() > until, self._settle_s + 10.0)

    def send(self, x: float) -> None:
        """Move the rig along its x axis."""
        msg = PoseStamped()
        msg.header.frame_id, msg.pose.position.x, msg.pose.orientation.w = "base_link", x, 1.0
        self.go.publish(msg)

    def wake(self) -> None:
        """Send commands until one is answered: a world that is still being opened refuses them."""
        until = time.perf_counter() + 600.0
        while not self.frames:
            self.send(0.0)
            again = time.perf_counter() + 2.0
            self.spin(lambda again=again: self.frames or time.perf_counter() > again, until - time.perf_counter())
        self.settle()

    def command(self, x: float) -> tuple[float, GeneratedFrame]:
        """Move the rig along its x axis; milliseconds until the image was here, and what is known of it."""
        frames, sent_s = len(self.frames), time.perf_counter()
        self.send(x)
        self.spin(lambda: len(self.frames) > frames, 60.0)
        frame = self.frames[frames]
        stamp = frame.header.stamp.sec, frame.header.stamp.nanosec
        self.spin(lambda: stamp in self.images, 10.0)
        return (self.images[stamp] - sent_s) * 1e3, frame

    def close(self) -> None:
        """End the node."""
        self.node.destroy_node()
        self._process.terminate()
        self._process.wait()


def answered(size: str, generator: str, commands: int, options: argparse.Namespace) -> dict[str, float]:
    """Command to image, and the stages of it: medians and 99th percentiles over so many commands after a rest, and so many in a
    row ("steady"), as a controller gives them. A command waits until the one before is answered."""
    world, figures = World(size, generator, options), dict[str, float]()
    try:
        world.wake()
        for i in range(10):
            world.command(STEP_M * (-1) ** i)
        for name, rate_hz in ((f"{generator}_{size}", 0.0), (f"{generator}_{size}_steady", options.rate)):
            figures |= stages_of(world, name, commands, rate_hz, options.gap)
    finally:
        world.close()
    return figures


def stages_of(world: World, name: str, commands: int, rate_hz: float, gap_s: float) -> dict[str, float]:
    """The stages of commands at a rate, or (rate 0) each so long after the last image."""
    stages: dict[str, list[float]] = {}
    due_s = time.perf_counter()
    for i in range(commands):
        total_ms, frame = world.command(STEP_M * (-1) ** i)
        parts = {
            "command_to_image": total_ms, "render": frame.render_ms, "generate": frame.generate_ms,
            "in_node": frame.total_ms - frame.render_ms - frame.generate_ms, "on_the_way": total_ms - frame.total_ms,
            "all_but_generation": total_ms - frame.generate_ms, "ours": total_ms - frame.generate_ms - frame.render_ms,
        }  # fmt: skip
        for part, ms in parts.items():
            stages.setdefault(part, []).append(ms)
        now_s = time.perf_counter()
        due_s = max(due_s + 1.0 / rate_hz, now_s) if rate_hz else now_s + gap_s
        while (left_s := due_s - time.perf_counter()) > 0:
            rclpy.spin_once(world.node, timeout_sec=left_s)
    figures = {key: value for part, ms in stages.items() for key, value in percentiles(f"{name}_{part}", ms).items()}
    share = np.median(np.array(stages["ours"]) / np.array(stages["command_to_image"]))
    return figures | {f"{name}_our_share": float(share)}


def streamed(size: str, generator: str, policy: str, options: argparse.Namespace) -> dict[str, float]:
    """A world that makes a frame a period: lost on the way to this process, punctuality by its own word."""
    settings = {"frame_rate_hz": options.rate, "motion.stream": "true", "deadline.policy": policy}
    seconds = min(options.seconds, STREAM_S)
    world = World(size, generator, options, **settings)
    try:
        world.spin(lambda: len(world.images) > 2 and len(world.frames) > 2, 600.0)
        world.settle()
        first, late, start = len(world.frames), world.status[-1].frames_late, time.perf_counter()
        world.spin(lambda: time.perf_counter() > start + seconds, seconds + 10.0)
        frames, last = world.frames[first:], world.status[-1]
        for _ in range(20):
            rclpy.spin_once(world.node, timeout_sec=0.05)
        made = {(f.header.stamp.sec, f.header.stamp.nanosec) for f in frames}
    finally:
        world.close()
    figures = {
        "frames": len(made), "lost": len(made - world.images.keys()), "rate_hz": len(made) / seconds,
        "frame_ms": float(last.frame_ms), "jitter_ms": float(last.jitter_ms), "late": float(last.frames_late - late),
        "quality": float(np.median([f.quality for f in frames])),
    }  # fmt: skip
    return {f"stream_{generator}_{policy}_{name}": value for name, value in figures.items()}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    out.add_argument("--sizes", default=",".join(SIZES), help="sizes of the images, the first for frames a second")
    out.add_argument("--seconds", type=float, default=60.0, help="how long images are sent")
    out.add_argument("--rate", type=float, default=30.0, help="frames, and steady commands, a second, Hz")
    out.add_argument("--commands", type=int, default=200, help="commands to a world of the first generator; others: a quarter")
    out.add_argument("--gap", type=float, default=0.05, help="from an image to the next command where the world is to rest, s")
    out.add_argument("--settle", type=float, default=5.0, help="nothing is measured before a world has been there so long, s")
    out.add_argument("--generators", default="projection,nano", help="generators commands are given to, the first streams, too")
    out.add_argument("--source", default="builtin", help="what the world begins with (source.sequence)")
    out.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another parameter of the worlds")
    out.add_argument("--parts", default=",".join(PARTS), help="what to measure")
    out.add_argument("--json", type=Path, help="file for the figures")
    out.add_argument("--role", choices=("camera", "viewer"), help=argparse.SUPPRESS)
    return out


def without_a_world(options: argparse.Namespace, say: Callable[[dict[str, float]], None]) -> None:
    """Messages, and images on their way."""
    sizes, parts, env = options.sizes.split(","), options.parts.split(","), ros_environment(os.environ)
    for size in sizes if "messages" in parts else ():
        say(conversions(size, 30))
    ways = {"sent": (env, options.seconds), "sent_as_it_comes": (without_profile(env), min(options.seconds, 20.0))}
    for name, (environment, seconds) in ways.items() if "sent" in parts else ():
        say({f"{name}_{key}": value for key, value in carried(sizes[0], options.rate, seconds, environment).items()})


def with_worlds(options: argparse.Namespace, say: Callable[[dict[str, float]], None]) -> None:
    """Commands that are answered, and streams."""
    sizes, parts, generators = options.sizes.split(","), options.parts.split(","), options.generators.split(",")
    for generator in generators if "commands" in parts else ():
        for size in sizes:
            commands = options.commands if generator == generators[0] else -(-options.commands // 4)
            say(answered(size, generator, commands, options))
    streams = ((generators[0], "keep"), (generators[0], "degrade"), (generators[-1], "degrade"))
    for generator, policy in dict.fromkeys(streams) if "stream" in parts else ():
        say(streamed(sizes[0], generator, policy, options))


def main() -> int:
    """Measure, print, write."""
    options = parser().parse_args()
    if options.role == "camera":
        camera(options.sizes, options.rate, options.seconds)
    elif options.role == "viewer":
        viewer(options.rate, options.seconds)
    if options.role:
        return 0
    figures: dict[str, float] = {}

    def say(part: dict[str, float]) -> None:
        figures.update(part)
        for name, value in part.items():
            print(f"{name:48} {value:12.3f}", flush=True)

    without_a_world(options, say)
    rclpy.init()
    with_worlds(options, say)
    rclpy.try_shutdown()
    if options.json:
        write_json(options.json, figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The place a command works in: a recording, a saved memory, a mesh, cloud or photograph, or the built-in room."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import progress, progress_bar

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.generator import Generator
    from spatia_ros.memory import Memory
    from spatia_ros.seed import DepthEstimator, Seeded
    from spatia_ros.seed.seeded import Report
    from spatia_ros.sequence import Poses, Sequence
    from spatia_ros.types import Camera, Float64, Trajectory
    from spatia_ros.world import World

ROOM_SEED_FRAMES = 22
"""Of the built-in room: sofa, lamp, window and plant; the edge of what is seen then is a plain wall."""
SEED_HELP = f"frames the memory is made from (default: the first third; {ROOM_SEED_FRAMES} of the built-in room's 40)"
SEQUENCE_HELP = "a recording: TUM RGB-D folder, rosbag2 folder, .mcap or .db3"
PLACE_HELP = "a mesh, point cloud, photograph, or recording without poses (spatia seed says more, and takes more options)"
OUTING_POSES = 90
"""Of the walk through a whole place, what an out-and-back flight follows: some eight metres."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a place before anything is generated.

    Args:
        name: what to call it.
        memory: made from the first ``seeded`` poses of ``recorded``.
        camera: what frames are rendered with.
        recorded: the camera path of the recording (of the keyframes, for a saved memory).
        seeded: how many of its poses memory was made from.
        whole: memory holds all of the place, and ``recorded`` is only a walk through it: a flight follows its first
            ``seeded`` poses and looks for no edge.
    """

    name: str
    memory: Memory
    camera: Camera
    recorded: Trajectory
    seeded: int
    whole: bool = False

    def outlook(self, T_world_cam: Float64) -> tuple[float, float]:
        """Share of the picture that memory shows at a pose, and how near the nearest twentieth of it is, metres."""
        import numpy as np

        view = self.memory.render(self.camera, T_world_cam, int(self.recorded.stamps_ns[-1]))
        near_m = float(np.percentile(view.depth[view.coverage], 5)) if view.coverage.any() else np.inf
        return float(view.coverage.mean()), near_m

    def effective(self, config: WorldConfig) -> WorldConfig:
        """The configuration with nothing left open: this camera, this memory's parameters."""
        from spatia_ros.config import CameraConfig

        c = self.camera
        camera = CameraConfig(width_px=c.width, height_px=c.height, fx_px=c.fx, fy_px=c.fy, cx_px=c.cx, cy_px=c.cy)
        return config.model_copy(update={"camera": camera, "memory": self.memory.config})

    def world(self, config: WorldConfig, generator: Generator) -> World:
        """A world over this memory."""
        from spatia_ros.world import World

        world = World(config, self.memory, generator, self.camera)
        world.time_ns = world.start_ns = int(self.recorded.stamps_ns[self.seeded - 1])
        return world


def add_place(parser: argparse.ArgumentParser) -> None:
    """``--sequence``, ``--memory``, ``--place``, ``--seed-frames``."""
    group = parser.add_argument_group("the place (without any: the built-in room, scanned by a simulated camera)")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--sequence", type=Path, metavar="PATH", help=SEQUENCE_HELP)
    either.add_argument("--memory", type=Path, metavar="FILE", help="a memory saved by run, map, seed or the node")
    either.add_argument("--place", type=Path, metavar="PATH", help=PLACE_HELP)
    group.add_argument("--seed-frames", type=int, metavar="N", help=SEED_HELP)


def open_sequence_at(path: Path | None, poses: Poses = "required") -> Sequence:
    """The recording at a path, or the scan of the built-in room."""
    from spatia_ros.sequence import Sequence, open_sequence

    if path is not None:
        return open_sequence(path, poses=poses)
    from spatia_ros.train.scan import builtin_scan

    scan = builtin_scan()
    return Sequence.unposed(scan.name, scan.camera, scan.stamps_ns, scan.load, {}) if poses == "none" else scan


def timed_sequence_at(path: Path | None) -> Sequence:
    """:func:`open_sequence_at` with the delay of depth behind colour taken out, where a recording clearly has one."""
    sequence = open_sequence_at(path)
    if path is None:
        return sequence
    from spatia_ros.sequence.delay import without_depth_delay

    return without_depth_delay(sequence)


def open_place(args: argparse.Namespace, config: WorldConfig) -> Place:
    """The place the arguments name."""
    if getattr(args, "memory", None):
        return place_of_memory(args.memory, config)
    if getattr(args, "place", None):
        return place_of_seed(args.place, config)
    seed_frames = args.seed_frames
    if args.sequence is None and seed_frames is None:
        seed_frames = ROOM_SEED_FRAMES
    return place_of_sequence(timed_sequence_at(args.sequence), seed_frames, config)


def place_of_sequence(sequence: Sequence, seed_frames: int | None, config: WorldConfig) -> Place:
    """A place whose memory is made from the first frames of a recording (a third of it when None)."""
    from spatia_ros.memory import Memory
    from spatia_ros.memory.exposure import evened
    from spatia_ros.types import SpatiaError

    seeded = max(1, len(sequence) // 3) if seed_frames is None else seed_frames
    if not 1 <= seeded <= len(sequence):
        raise SpatiaError(f"--seed-frames: expected 1..{len(sequence)} ({sequence.name} has that many), got {seeded}")
    memory = Memory(config.memory)
    for index in progress(range(seeded), "seeding memory"):
        memory.integrate(evened(sequence.frame(index), memory))
    framed = sequence.resized(config.camera.width_px, config.camera.height_px).camera
    return Place(sequence.name, memory, config.camera.camera(framed), sequence.trajectory(), seeded)


def place_of_seed(path: Path, config: WorldConfig) -> Place:
    """The place that a mesh, a point cloud, a photograph or an unposed recording shows."""
    from spatia_ros.seed import SeedOptions, kind_of
    from spatia_ros.seed import open_place as open_seed

    options = SeedOptions(estimator=depth_of_generator(config) if kind_of(path) == "photo" else None)
    with reporting() as report:
        seeded = open_seed(path, config, options, report)
    return place_of_seeded(seeded, config)


def place_of_seeded(seeded: Seeded, config: WorldConfig) -> Place:
    """What was seeded, as a place to fly in."""
    framed = _framed(seeded.camera, config)
    first = min(len(seeded.recorded), OUTING_POSES)
    return Place(seeded.name, seeded.memory, config.camera.camera(framed), seeded.recorded, first, whole=True)


def depth_of_generator(config: WorldConfig) -> DepthEstimator:
    """The depth head of the generator that a config names."""
    from spatia_ros.seed.depth import GeneratorDepth
    from spatia_ros.world import open_generator

    return GeneratorDepth(open_generator(config))


@contextmanager
def reporting() -> Iterator[Report]:
    """A progress bar for each thing that is reported being done."""
    bars: dict[str, Any] = {}

    def report(what: str, share: float) -> None:
        if what not in bars:
            bars[what] = progress_bar(what, 100)
        bars[what].update(round(100 * share) - bars[what].n)

    try:
        yield report
    finally:
        for bar in bars.values():
            bar.close()


def _framed(camera: Camera, config: WorldConfig) -> Camera:
    """A camera cropped centrally to the shape of the configured picture, and resized to it."""
    from spatia_ros.sequence.resize import crop_to_aspect

    width, height = config.camera.width_px, config.camera.height_px
    return camera.cropped(*crop_to_aspect(camera, width, height)).resized(width, height)


def place_of_memory(path: Path, config: WorldConfig) -> Place:
    """A place that is all in a saved memory; the first keyframe's camera and the way of the keyframes are its own."""
    import numpy as np

    from spatia_ros.memory import Memory
    from spatia_ros.types import SpatiaError, Trajectory

    memory = Memory.load(path)
    keyframes = sorted(memory.keyframes.keyframes, key=lambda k: k.stamp_ns)
    if not keyframes:
        raise SpatiaError(f"{path}: expected a memory with at least one keyframe to start from, got none")
    framed = _framed(keyframes[0].camera, config)
    if len({k.stamp_ns for k in keyframes}) == 1:
        # Not taken one after another on any way: the memory was seeded whole, and a way is found in it.
        way = walk_through(memory, keyframes[0].T_world_cam)
        return Place(path.stem, memory, config.camera.camera(framed), way, min(len(way), OUTING_POSES), whole=True)
    # Keyframes of different sources may share a time; the order is what matters here.
    stamps = np.maximum.accumulate([k.stamp_ns for k in keyframes]) + np.arange(len(keyframes))
    recorded = Trajectory(stamps.astype(np.int64), np.stack([k.T_world_cam for k in keyframes]))
    return Place(path.stem, memory, config.camera.camera(framed), recorded, len(keyframes))


def walk_through(memory: Memory, start: Float64) -> Trajectory:
    """A way through a memory without one, from a pose on: a walk if there is a floor to stand on, else only the pose."""
    from spatia_ros.seed.seeded import timed, walk_from
    from spatia_ros.seed.walk import FreeSpace, find_walk

    walk = find_walk(FreeSpace.of(memory.points().xyz))
    return timed(start[None]) if walk is None else walk_from(walk, start)

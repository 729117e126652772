"""What actors cost a frame: the same flight through the built-in room without any, with whole ones, and with torn ones."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from spatia_ros.actors import Actor, BodyPoints, Cast, PoseTrack, RigidBody
from spatia_ros.actors.draw import draw
from spatia_ros.actors.library import library_actor
from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.bench_loop import world_of
from spatia_ros.evaluate.closed_loop import out_and_back
from spatia_ros.sequence import Sequence
from spatia_ros.types import SpatiaError, Trajectory
from spatia_ros.world import World

KINDS = ("pedestrian", "ball", "arm", "box")
WAYS = (((1.0, 2.6), (4.4, 2.6)), ((2.6, 1.2), (3.6, 3.2)), ((2.4, 3.4), (2.4, 3.4)), ((4.2, 1.4), (1.2, 1.4)))
"""Where each goes in the built-in room (z up, 5.4 x 4.4 m), m."""
HOLE_M, TORN = 0.12, 0.55
"""About so wide are the holes of torn ones, and so much of a wave over their surface is torn out."""


def room_cast(seconds: float) -> Cast:
    """Four of the library's kinds, on the move for so many seconds."""
    cast = Cast()
    for kind, ((x0, y0), (x1, y1)) in zip(KINDS, WAYS, strict=True):
        cast.add(library_actor(kind, track=PoseTrack.path([[0.0, x0, y0, 0.0, 0.0], [seconds, x1, y1, 0.0, 90.0]])))
    return cast


def torn(cast: Cast) -> Cast:
    """The same as they stand at first, with holes that the generator is to complete."""
    out = Cast()
    for actor in cast:
        out.add(_torn(actor))
    return out


def _torn(actor: Actor) -> Actor:
    first = actor.body.points(actor.body.span_s[0])
    wave = np.sin(np.pi / HOLE_M * first.xyz.astype(np.float64)).prod(1)
    kept = wave < TORN
    left = BodyPoints(first.xyz[kept], first.rgb[kept], first.spacing_m)
    return replace(actor, body=RigidBody(left, PoseTrack.still(np.eye(4)), complete=False))


def time_actors(config: WorldConfig, sequence: Sequence, size: tuple[int, int], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a frame, medians over the frames that show an actor, and what of it is the actors'.

    The three worlds take turns frame by frame; the first round is not measured.

    Returns:
        For "static", "whole" and "torn": ``frame_ms``; for the latter two ``points_ms``, posing the same actors and drawing
        their points over a finished picture, alone, ``overhead``, the median over frames of the frame over the static world's
        frame plus the points, and ``shown``, the share of pixels that show one.

    Raises:
        SpatiaError: when no actor ever comes into view.
    """
    path = out_and_back(sequence, len(sequence), config.frame_rate_hz)
    whole = room_cast(float(path.times_s[-1] - path.times_s[0]))
    worlds = {name: world_of(config, sequence, size) for name in ("static", "whole", "torn")}
    worlds["whole"].cast, worlds["torn"].cast = whole, torn(whole)
    for world in worlds.values():
        world.start_ns = int(path.stamps_ns[0])
    laps: dict[str, list[dict[str, float]]] = {name: [] for name in worlds}
    begin = {name: world.snapshot() for name, world in worlds.items()}
    for lap in range(rounds + 1):
        for name, world in worlds.items():
            world.restore(begin[name])
        for pose in tqdm(path.clips(1), total=len(path), desc="actors", unit="frame"):
            timed = {name: _timed(world, pose) for name, world in worlds.items()}
            if lap and timed["whole"]["shown"] and timed["torn"]["shown"]:
                for name, figures in timed.items():
                    laps[name].append(figures)
    if not laps["static"]:
        raise SpatiaError("actors bench: expected actors to come into view, saw none")
    return _medians(laps)


def _medians(laps: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    frames = {name: np.array([lap["frame_ms"] for lap in taken]) for name, taken in laps.items()}
    out = {"static": {"frame_ms": float(np.median(frames["static"]))}}
    for name in ("whole", "torn"):
        points = np.array([lap["points_ms"] for lap in laps[name]])
        out[name] = {
            "frame_ms": float(np.median(frames[name])), "points_ms": float(np.median(points)),
            "overhead": float(np.median(frames[name] / (frames["static"] + points))),
            "shown": float(np.mean([lap["shown"] for lap in laps[name]])),
        }  # fmt: skip
    return out


def _timed(world: World, pose: Trajectory) -> dict[str, float]:
    start = time.perf_counter()
    step = world.advance(pose)
    frame_s, start = time.perf_counter() - start, time.perf_counter()
    if len(world.cast):
        nothing = np.zeros_like(step.depth[0])
        draw(step.rgb[0], nothing, world.cast.at(float(step.animation_s[0])), world.camera, pose.T_world_cam[0])
    points_s = time.perf_counter() - start
    return {"frame_ms": frame_s * 1e3, "points_ms": points_s * 1e3, "shown": float((step.segmentation > 0).mean())}

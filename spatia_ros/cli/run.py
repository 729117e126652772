"""Fly a camera through a world, frame by frame: render what is remembered, generate the rest, remember that too.

The world is seeded from a recording, a saved memory, or the built-in room; actors may move in it. Everything the run
does is left in one folder: effective configuration, poses (TUM; w2c.txt and intrinsics.txt), frames (colour, depth in mm,
provenance; with actors also a segmentation and a table of where they were), the memory, figures, a video. An
interrupted run is continued by the same command.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.cast import add_cast, cast_identity, cast_of, join
from spatia_ros.cli.options import (
    add_config,
    add_json,
    config_of,
    count,
    examples,
    print_table,
    progress,
    stop_requests,
    write_json_of,
)
from spatia_ros.cli.place import Place, add_place, open_place

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.record.run_folder import RunFolder
    from spatia_ros.types import Trajectory
    from spatia_ros.world import World

KINDS = ("out-and-back", "orbit", "recorded")
CHECKPOINT_FRAMES = 64

EXAMPLES = examples("""
spatia run                                              # the built-in room, out past the edge of its scan and back
spatia run --sequence data/lounge --out out/lounge      # a recording; memory from its first third
spatia run --sequence bag.mcap --trajectory path.txt    # along your own path (TUM: t tx ty tz qx qy qz qw)
spatia run --place img.jpg --trajectory w2c.txt --relative --intrinsics intrinsics.txt   # Spatia's camera files
spatia run --memory out/lounge/memory.spatia --trajectory orbit --frames 60
spatia run --place house.glb --trajectory recorded      # a walk through a mesh, from room to room
spatia run --actors street.yaml --time bullet-time      # with what moves there, time stopped halfway
spatia run --set camera.width_px=512 --set camera.height_px=288 --set generator.name=projection
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia run``."""
    add_place(parser)
    path = parser.add_argument_group("the path")
    path.add_argument(
        "--trajectory", default=KINDS[0], metavar="FILE|KIND",
        help="a file with poses in the recording's frame (TUM lines T_world_cam, or w2c matrices as JSON lines, as Spatia's), "
        f"or one of {', '.join(KINDS)} (default: {KINDS[0]})",
    )
    path.add_argument("--relative", action="store_true", help="the poses of the file are relative to the recording's first frame")
    path.add_argument(
        "--intrinsics", type=Path, metavar="FILE",
        help="[fx fy cx cy] by image width and height, as Spatia's (default: the seed's)",
    )
    path.add_argument("--frames", type=count, default=120, metavar="N", help="length of a built-in path (default: 120)")
    add_cast(parser)
    out = parser.add_argument_group("what is left behind")
    out.add_argument("--out", type=Path, default=Path("out/run"), metavar="DIR", help="folder of the run (default: out/run)")
    out.add_argument("--overwrite", action="store_true", help="start anew where --out holds a run")
    out.add_argument("--no-video", action="store_true", help="leave out video.mp4 and contact_sheet.png")
    add_config(parser)
    add_json(out)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.config import dump
    from spatia_ros.record.run_folder import RunFolder
    from spatia_ros.world import open_generator

    asked = with_intrinsics(config_of(args), args.intrinsics)
    generator, cast = open_generator(asked), cast_of(args)  # before anything that takes long: they may not be there
    place = open_place(args, asked)
    config = place.effective(asked)
    trajectory = trajectory_of(args, place, config)
    world = place.world(config, generator)
    join(world, cast, trajectory, args.time)
    made_of = identity(place, config, trajectory) | cast_identity(args)
    folder = RunFolder(args.out, made_of, place.camera, with_actors=cast is not None)
    if args.overwrite:
        folder.clear()
    folder.resume(world)
    if len(folder):
        print(f"{args.out}: {len(folder)} of {len(trajectory)} frames are there already")
    folder.create(dump(config))
    seconds, made = time.monotonic(), len(folder)
    fly(world, trajectory, folder)
    seconds, made = time.monotonic() - seconds, len(folder) - made
    finish(folder, world, config, place.name, made / seconds if made else None, args)
    return 0


def with_intrinsics(config: WorldConfig, path: Path | None) -> WorldConfig:
    """The configuration with the camera of an intrinsics file, at the configured size."""
    from spatia_ros.sequence.w2c import read_intrinsics

    if path is None:
        return config
    camera = read_intrinsics(path, config.camera.width_px, config.camera.height_px)
    values = {"fx_px": camera.fx, "fy_px": camera.fy, "cx_px": camera.cx, "cy_px": camera.cy}
    return config.model_copy(update={"camera": config.camera.model_copy(update=values)})


def trajectory_of(args: argparse.Namespace, place: Place, config: WorldConfig) -> Trajectory:
    """The path the arguments ask for; built-in ones begin when the recording's seed ends."""
    import numpy as np

    from spatia_ros.cli import flight
    from spatia_ros.sequence.w2c import read_camera_path
    from spatia_ros.types import SpatiaError, Trajectory

    recorded, start_ns = place.recorded.T_world_cam, int(place.recorded.stamps_ns[place.seeded - 1])
    if args.trajectory not in KINDS:
        if not Path(args.trajectory).is_file():
            raise SpatiaError(f"--trajectory: expected a file or one of {', '.join(KINDS)}, got {args.trajectory!r}")
        path = read_camera_path(Path(args.trajectory), config.frame_rate_hz, start_ns)
        return Trajectory(path.stamps_ns, recorded[0] @ path.T_world_cam) if args.relative else path
    if args.trajectory == "out-and-back":
        # In a place that is known whole there is no edge to turn at: the way ends where it was cut.
        way = recorded[: place.seeded] if place.whole else recorded
        poses = flight.out_and_back(way, place.seeded, place.outlook, args.frames)
    elif args.trajectory == "recorded":
        poses = recorded[: args.frames]
    else:
        depth = place.memory.render(place.camera, recorded[0], start_ns).depth
        radius_m = float(np.median(depth[depth > 0])) if (depth > 0).any() else 2.0
        poses = flight.orbit(recorded[0], flight.up_of(recorded), radius_m, args.frames)
    return flight.timed(poses, config.frame_rate_hz, start_ns)


def identity(place: Place, config: WorldConfig, trajectory: Trajectory) -> dict[str, Any]:
    """What decides every frame of a run."""
    path = hashlib.sha256(trajectory.stamps_ns.tobytes() + trajectory.T_world_cam.tobytes()).hexdigest()
    seed = {"name": place.name, "frames": place.seeded, "points": len(place.memory)}
    return {"config": config.model_dump(), "seed": seed, "trajectory": path}


def fly(world: World, trajectory: Trajectory, folder: RunFolder) -> None:
    """Make the frames that are still missing; an interruption leaves a folder that can be continued."""
    if folder.complete:
        return
    clips, saved = list(trajectory.clips(1))[len(folder) :], len(folder)
    with stop_requests() as stop:
        for clip in progress(clips, "flying", total=len(trajectory), initial=len(folder)):
            folder.append(world.advance(clip))
            if stop.is_set():
                break
            if len(folder) - saved >= CHECKPOINT_FRAMES:
                folder.checkpoint(world)
                saved = len(folder)
    folder.checkpoint(world, complete=len(folder) == len(trajectory))
    if not folder.complete:
        print(f"{len(folder)} of {len(trajectory)} frames are in {folder.path}; the same command goes on from there")
        raise KeyboardInterrupt


def finish(
    folder: RunFolder, world: World, config: WorldConfig, name: str, rate_hz: float | None, args: argparse.Namespace
) -> None:
    """Figures, video and the short table."""
    from spatia_ros.cli.figures import run_figures
    from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
    from spatia_ros.record.panels import Film
    from spatia_ros.record.sheet import contact_sheet
    from spatia_ros.record.video import write_video
    from spatia_ros.sequence.w2c import intrinsics_text, w2c_text

    film = Film(folder, name)
    figures = run_figures(film) | {"fps": rate_hz and round(rate_hz, 2), "memory_points": len(world.memory)}
    write_json(folder.path / "figures.json", figures)
    write_json_of(args, figures)
    write_text(folder.path / "w2c.txt", w2c_text(folder.trajectory().T_world_cam))
    write_text(folder.path / "intrinsics.txt", intrinsics_text(world.camera))
    if not args.no_video:
        pictures = (film.draw(i) for i in range(len(folder)))
        write_video(folder.path / "video.mp4", progress(pictures, "video", total=len(folder)), config.frame_rate_hz)
        write_bytes(folder.path / "contact_sheet.png", encode_png(contact_sheet(film)))
    print_table(table(figures) + [("left in", str(folder.path))])


def table(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of a run for people."""
    psnr = figures["return_psnr_db"]
    rows = [("frames", f"{figures['frames']}" + (f", {figures['fps']:.1f} a second" if figures.get("fps") else ""))]
    least = figures["seen_share_min"]
    rows.append(("seen by a sensor", f"{figures['seen_share']:.0%} of pixels, {least:.0%} where the flight is farthest out"))
    rows.append(("invented earlier", f"{figures['invented_earlier_share']:.0%} (remembered)"))
    rows.append(("invented now", f"{figures['invented_now_share']:.0%}"))
    if psnr is not None:
        rows.append(("back at the start", f"{psnr:.1f} dB between first and last frame"))
    return rows

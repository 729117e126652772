"""Space and time from a video: see a recording of things that move from any camera, at any of its times.

The recording is taken apart once: what stands still becomes a memory, what moves a cast of actors, each followed, registered
and completed from all sides that were seen. Then the camera goes where --camera says while time goes as --time says; what no
frame showed is invented and remembered. The recording taken apart is kept (--map), so that another camera or time starts at
once; an interrupted flight goes on by the same command.

cameras (a file with poses, or one or more of these in a row, each with a size: orbit:0.5,truck:-1):
{cameras}

times (a pattern, or a file with a clock as YAML, see docs/actors.md):
{times}

Leaves in --out:  spacetime.mp4 (left: the recorded frame of that moment, right: the new camera)  strip.png  figures.json
poses.txt (TUM)  w2c.txt  rgb/ depth/ ... of every frame
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import (
    add_config,
    add_json,
    config_of,
    count,
    examples,
    print_table,
    progress,
    write_json_of,
)
from spatia_ros.cli.place import SEQUENCE_HELP

if TYPE_CHECKING:
    import numpy as np

    from spatia_ros.cli.spacetime_source import Recording
    from spatia_ros.config import WorldConfig
    from spatia_ros.record.run_folder import RunFolder
    from spatia_ros.slam.lift import Lifted
    from spatia_ros.types import Camera, Float64, UInt8

CAMERAS = {
    "dolly": "forward, towards what is looked at", "truck": "to the right, looking the same way",
    "pedestal": "up, looking the same way", "pan": "turning right on the spot", "tilt": "turning down on the spot",
    "orbit": "round what is looked at, 25 degrees", "crane": "up and back, looking at the same point",
    "figure-eight": "a lying eight, looking at the same point, back to the start",
    "spiral": "forward on two turns of a spiral, looking at the same point", "push-pull": "forward and back to the start",
}  # fmt: skip
TIMES = {
    "forward": "as recorded", "reverse": "backwards", "ping-pong": "there and back", "slow": "the second half slower",
    "fast": "the second half faster", "freeze": "the first moment stands",
    "ramp-freeze": "through at twice the pace, then stands",
    "bullet-time": "the middle stands while the camera goes on", "loop": "again and again",
    "zigzag": "there, back a little, there",
}  # fmt: skip
__doc__ = (__doc__ or "").format(
    cameras="\n".join(f"  {name:<13} {words}" for name, words in CAMERAS.items()),
    times="\n".join(f"  {name:<13} {words}" for name, words in TIMES.items()),
)
POINTS = 12_000
"""Kept of one sight of an actor, unless the configuration asks for more."""
STRIP = 8
"""Moments shown in the strip."""

EXAMPLES = examples("""
spatia spacetime --sequence data/street --camera orbit --time bullet-time --out out/bullet
spatia spacetime --sequence data/street --camera dolly,orbit,crane:-1 --time reverse --frames 40 --out out/back
spatia spacetime --sequence bag.mcap --camera path.txt --time slow             # your own path (TUM or w2c)
spatia spacetime --sequence data/street --camera figure-eight --first-camera 25 --span 1.0 2.5 --time ping-pong
spatia spacetime --sequence film.mp4 --depth-model models/depth-anything --camera truck --time freeze   # colour alone
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia spacetime``."""
    source = parser.add_argument_group("the recording")
    words = SEQUENCE_HELP + "; with --depth-model also a video or a folder of images"
    source.add_argument("--sequence", type=Path, metavar="PATH", required=True, help=words)
    source.add_argument(
        "--poses", choices=("given", "tracked"),
        help="given: the recording's; tracked: found from its images (default: given if it has any)",
    )
    source.add_argument("--every", type=count, default=1, metavar="N", help="use every N-th frame (default: 1)")
    source.add_argument("--depth-model", type=Path, metavar="DIR", help="estimate depth with the network in this folder")
    source.add_argument(
        "--camera-height", type=float, default=0.0, metavar="M",
        help="of the first camera above the floor: the scale of estimated depth",
    )
    view = parser.add_argument_group("camera and time")
    view.add_argument("--camera", default="orbit", metavar="FILE|TURNS", help="where the camera goes (default: orbit)")
    view.add_argument("--relative", action="store_true", help="the poses of the file are relative to the first camera")
    view.add_argument(
        "--first-camera", default="0", metavar="N|FILE",
        help="where it starts: a recorded frame's number, or the first pose of a file (default: 0)",
    )
    view.add_argument("--turns", type=count, default=1, metavar="N", help="go through the turns so many times (default: 1)")
    view.add_argument("--frames", type=count, metavar="N", help="frames of each turn (default: as many as were recorded)")
    view.add_argument("--time", default="forward", metavar="PATTERN|FILE", help="which moment is seen when (default: forward)")
    view.add_argument("--span", type=float, nargs=2, metavar="S", help="first and last second that is played (default: all)")
    out = parser.add_argument_group("what is left behind")
    out.add_argument("--out", type=Path, default=Path("out/spacetime"), metavar="DIR", help="folder (default: out/spacetime)")
    out.add_argument("--map", type=Path, metavar="DIR", help="where the recording taken apart is kept (default: OUT_map)")
    out.add_argument("--overwrite", action="store_true", help="start anew where --out holds another flight; the map is kept")
    add_config(parser)
    add_json(out)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import numpy as np

    from spatia_ros.cli.run import fly
    from spatia_ros.cli.spacetime_source import opened, taken_apart
    from spatia_ros.config import dump
    from spatia_ros.record.run_folder import RunFolder
    from spatia_ros.spacetime import timed, world_of
    from spatia_ros.world import open_generator

    asked = effective(args)
    generator = open_generator(asked)  # before anything that takes long: it may not be there
    recording = opened(args, asked)
    lifted = taken_apart(recording, asked, args.map or args.out.with_name(f"{args.out.name}_map"))
    camera = asked.camera.camera(recording.framed(asked))
    config = asked.model_copy(update={"camera": camera_config(camera), "memory": lifted.memory.config})
    poses = poses_of(args, lifted, camera)
    world = world_of(lifted, config, generator, camera)
    trajectory = timed(poses, config.frame_rate_hz, world.time_ns)
    begin_s = (int(trajectory.stamps_ns[0]) - world.start_ns) * 1e-9
    length_s = (len(trajectory) - 1) / config.frame_rate_hz
    world.cast.clock = clock_of(args, lifted, begin_s, length_s)
    identity = {
        "recording": recording.identity, "config": config.model_dump(), "clock": world.cast.clock.as_dict(),
        "path": poses.tolist(),
    }  # fmt: skip
    folder = RunFolder(args.out, identity, camera)
    if args.overwrite:
        folder.clear()
    folder.resume(world)
    folder.create(dump(config))
    fly(world, trajectory, folder)
    taus = world.cast.clock.at(np.asarray((trajectory.stamps_ns - world.start_ns) * 1e-9, np.float64))
    finish(folder, recording, lifted, taus, config, args)
    return 0


def effective(args: argparse.Namespace) -> WorldConfig:
    """The configuration, with as many points of an actor as a picture needs."""
    config = config_of(args)
    points = max(config.actors.points, POINTS)
    return config.model_copy(update={"actors": config.actors.model_copy(update={"points": points})})


def camera_config(camera: Camera) -> Any:
    """A camera as its section of the configuration."""
    from spatia_ros.config import CameraConfig

    return CameraConfig(
        width_px=camera.width, height_px=camera.height, fx_px=camera.fx, fy_px=camera.fy, cx_px=camera.cx, cy_px=camera.cy
    )


def poses_of(args: argparse.Namespace, lifted: Lifted, camera: Camera) -> Float64:
    """``T_world_cam`` [T, 4, 4] of the path the arguments ask for."""
    from spatia_ros.sequence.camera_presets import parsed
    from spatia_ros.sequence.w2c import read_camera_path
    from spatia_ros.spacetime import path_of

    start = first_camera(args.first_camera, lifted)
    if Path(args.camera).is_file():
        path = read_camera_path(Path(args.camera), 10.0).T_world_cam
        return start @ path if args.relative else path
    frames = args.frames or max(2, len(lifted.trajectory))
    return path_of(lifted, parsed(args.camera) * args.turns, start, camera, max(2, frames))


def first_camera(text: str, lifted: Lifted) -> Float64:
    """The first pose [4, 4]: of a recorded frame, or of a file."""
    from spatia_ros.sequence.w2c import read_camera_path
    from spatia_ros.types import SpatiaError

    if text.isdecimal():
        if not int(text) < len(lifted.trajectory):
            raise SpatiaError(f"--first-camera: expected a frame of 0..{len(lifted.trajectory) - 1}, got {text}")
        return lifted.trajectory.T_world_cam[int(text)]
    if not Path(text).is_file():
        raise SpatiaError(f"--first-camera: expected a frame's number or a file with poses, got {text!r}")
    return read_camera_path(Path(text), 10.0).T_world_cam[0]


def clock_of(args: argparse.Namespace, lifted: Lifted, begin_s: float, length_s: float) -> Any:
    """The clock of --time, beginning with the path."""
    from spatia_ros.spacetime import clock_of as pattern_clock
    from spatia_ros.types import SpatiaError

    span = tuple(args.span) if args.span else lifted.span_s
    if not 0.0 <= span[0] <= span[1] <= lifted.span_s[1] + 1e-6:
        raise SpatiaError(f"--span: expected seconds of 0..{lifted.span_s[1]:.3f}, first before last, got {span[0]} {span[1]}")
    if args.time in TIMES:
        return pattern_clock(args.time, span, length_s, begin_s)
    if not Path(args.time).is_file():
        raise SpatiaError(f"--time: expected a file or one of {', '.join(TIMES)}, got {args.time!r}")
    from spatia_ros.actors.script import clock_from

    return clock_from(Path(args.time).read_text(encoding="utf-8"), str(args.time))


def finish(
    folder: RunFolder, recording: Recording, lifted: Lifted, taus: np.ndarray, config: WorldConfig, args: argparse.Namespace
) -> None:
    """Video, strip, figures and the short table."""
    import numpy as np

    from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
    from spatia_ros.record.video import write_video
    from spatia_ros.sequence.w2c import intrinsics_text, w2c_text

    n, size = len(folder), (folder.camera.width, folder.camera.height)
    write_text(folder.path / "w2c.txt", w2c_text(folder.trajectory().T_world_cam))
    write_text(folder.path / "intrinsics.txt", intrinsics_text(folder.camera))
    pairs = (beside(recording, lifted, folder[i].rgb, float(taus[i]), size) for i in range(n))
    write_video(folder.path / "spacetime.mp4", progress(pairs, "video", total=n), config.frame_rate_hz)
    write_bytes(folder.path / "strip.png", encode_png(strip_of(folder, recording, lifted, taus, size)))
    shots = [folder[i].provenance for i in np.linspace(0, n - 1, min(n, 16)).astype(int)]
    figures: dict[str, Any] = {
        **lifted.figures, "frames": n, "recorded_frames": len(lifted.trajectory), "recorded_s": round(lifted.span_s[1], 3),
        "animation_s": [round(float(t), 4) for t in taus],
        "invented_now_share": round(float(np.mean([(s == 0).mean() for s in shots])), 4),
        "cast": [{"id": a.id, "name": a.name, "kind": a.kind, "colour": a.colour, **a.facts} for a in lifted.cast],
    }  # fmt: skip
    write_json(folder.path / "figures.json", figures)
    write_json_of(args, figures)
    print_table([
        ("frames", f"{n}, of a recording of {len(lifted.trajectory)} ({lifted.span_s[1]:.1f} s)"),
        ("moves", ", ".join(f"{a.name} ({a.colour})" if a.colour else a.name for a in lifted.cast) or "nothing"),
        ("invented", f"{figures['invented_now_share']:.1%} of the pixels"),
        ("left in", str(folder.path)),
    ])  # fmt: skip


def beside(recording: Recording, lifted: Lifted, rgb: UInt8, tau_s: float, size: tuple[int, int]) -> UInt8:
    """The recorded frame of a moment, and the new one: uint8 [H, 2 W, 3]."""
    import numpy as np

    return np.concatenate([recording.shown(lifted, tau_s, size), rgb], 1)


def strip_of(folder: RunFolder, recording: Recording, lifted: Lifted, taus: np.ndarray, size: tuple[int, int]) -> UInt8:
    """Some moments of the flight: the recorded frame of each above the new one."""
    import numpy as np

    from spatia_ros.evaluate.pictures import strip

    chosen = np.linspace(0, len(folder) - 1, min(len(folder), STRIP)).astype(int).tolist()
    columns = [f"frame {i}" for i in chosen]
    recorded = [(recording.shown(lifted, float(taus[i]), size), f"recorded, {taus[i]:.2f} s") for i in chosen]
    return strip(columns, [recorded, [(folder[i].rgb, f"new camera, {taus[i]:.2f} s") for i in chosen]])

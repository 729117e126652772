"""The whole loop, end to end, through real ROS 2.

A memory is made from the first frames of a recording, or of a scan of the built-in room by a simulated RGB-D camera.
Then three processes meet over ROS: the world node, one that commands a flight out past the edge of what was seen and
back to the start, and one that records every topic. All pictures are made from what the recorder received.

Leaves in --out:  video.mp4  contact_sheet.png  poster.jpg  report.html  figures.json  run.mcap  memory.spatia  memory.ply
and what it took: seed.spatia  commanded.txt  config.yaml  world.yaml  logs/
"""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, config_of, count, examples, print_table, progress, write_json_of
from spatia_ros.cli.place import SEED_HELP, SEQUENCE_HELP, Place, open_place

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.record.panels import Film

FILES = {
    "report.html": "all of this on one page",
    "video.mp4": "colour, depth and provenance side by side, as received over ROS",
    "contact_sheet.png": "the flight at a glance",
    "poster.jpg": "start, farthest and end, to show around",
    "figures.json": "the figures, for programs",
    "run.mcap": "every message of every topic: ros2 bag play run.mcap, or open it in Foxglove",
    "memory.ply": "the memory after the flight, as coloured points",
    "memory.spatia": "the same as a memory: spatia run --memory memory.spatia",
    "seed.spatia": "the memory before the flight: only what the sensor saw",
    "commanded.txt": "the commanded camera path (TUM)",
    "config.yaml": "the effective configuration",
    "world.yaml": "the same as parameters of the world node",
}

EXAMPLES = examples("""
spatia demo                                     # the built-in room
spatia demo --sequence data/lounge              # a recording of your own (TUM RGB-D folder, rosbag2, MCAP)
spatia demo --sequence bag.mcap --seed-frames 40 --frames 200 --out out/hall
make demo SEQUENCE=data/lounge                  # the same, with the set-up done first
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia demo``."""
    out = Path("out/demo")
    parser.add_argument("--sequence", type=Path, metavar="PATH", help=SEQUENCE_HELP + " (default: the built-in room)")
    parser.add_argument("--seed-frames", type=count, metavar="N", help=SEED_HELP)
    parser.add_argument("--frames", type=count, default=160, metavar="N", help="frames of the flight (default: 160)")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help=f"folder of the results (default: {out})")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.cli import performance
    from spatia_ros.record.files import write_json
    from spatia_ros.world import open_generator

    began = time.monotonic()
    open_generator(config_of(args))  # the node's own; should it be missing, it is better known now
    clear(args.out, args.sequence)
    print("scanning the built-in room" if args.sequence is None else f"reading {args.sequence}")
    place = open_place(args, config_of(args))
    config, seed_points = place.effective(config_of(args)), len(place.memory)
    map_up = performance.prepare(place, config, args.frames, args.out)
    memory_points = performance.perform(args.out, map_up, args.frames)
    film, figures = measure(args.out, title_of(place), args.frames)
    figures |= {
        "sequence": place.name, "generator": config.generator.name, "seed_frames": place.seeded,
        "seed_points": seed_points, "memory_points": memory_points,
    }  # fmt: skip
    picture(args, film, place, config, figures)
    figures["seconds"] = round(time.monotonic() - began, 1)
    write_json(args.out / "figures.json", figures)
    write_json_of(args, figures)
    print()
    print_table([(name, value) for name, value, _ in rows(figures)])
    print("\nleft in " + str(args.out))
    print_table([(name, note) for name, note in FILES.items() if (args.out / name).is_file()])
    return 0


def clear(out: Path, sequence: Path | None) -> None:
    """Remove what an earlier demo left, so that nothing of it is taken for this one's."""
    from spatia_ros.types import SpatiaError

    for name in FILES:
        if sequence is not None and sequence.resolve() in ((out / name).resolve(), out.resolve()):
            raise SpatiaError(f"--out: expected another folder than that of the recording it starts from, {sequence}")
        (out / name).unlink(missing_ok=True)


def measure(out: Path, title: str, commanded: int) -> tuple[Film, dict[str, Any]]:
    """The frames that arrived at the recorder, and the figures of the flight."""
    from spatia_ros.cli.figures import run_figures
    from spatia_ros.record.panels import Film
    from spatia_ros.record.recording import Recording
    from spatia_ros.sequence.bag_file import BagFile

    film = Film(Recording(out / "run.mcap"), title)
    times = [stamp.log_ns for stamp in BagFile(out / "run.mcap").stamps("/camera/color/image_raw")]
    fps = (len(times) - 1) / max((times[-1] - times[0]) * 1e-9, 1e-9)
    received = len(film.shots)
    arrival = {"commanded": commanded, "received": received, "arrival_loss": round(1.0 - received / commanded, 4)}
    return film, run_figures(film) | {"fps": round(fps, 2), **arrival}


def picture(args: argparse.Namespace, film: Film, place: Place, config: WorldConfig, figures: dict[str, Any]) -> None:
    """Video, contact sheet and report."""
    from spatia_ros.config import dump
    from spatia_ros.record.files import encode_jpeg, encode_png, write_bytes
    from spatia_ros.record.report import Page, write_report
    from spatia_ros.record.sheet import contact_sheet, poster
    from spatia_ros.record.video import write_video

    frames = len(film.shots)
    drawn = progress((film.draw(i) for i in range(frames)), "drawing the video", total=frames)
    write_video(args.out / "video.mp4", drawn, config.frame_rate_hz)
    sheet = contact_sheet(film)
    write_bytes(args.out / "contact_sheet.png", encode_png(sheet))
    write_bytes(args.out / "poster.jpg", encode_jpeg(poster(film)))
    page = Page(
        title=f"{title_of(place)}: out past the edge of the scan, and back",
        summary=f"A simulated robot camera was given {place.seeded} posed RGB-D frames of this place as its memory. It was "
        f"then flown through ROS 2 along {figures['commanded']} poses that leave what those frames show, and return to the "
        "first. What you see is what a separate process received and recorded.",
        figures=rows(figures), config=dump(config),
        files=[(name, note) for name, note in FILES.items() if (args.out / name).is_file()],
        command=command_line(args),
    )  # fmt: skip
    write_report(args.out / "report.html", page, film, sheet, args.out / "video.mp4")


def title_of(place: Place) -> str:
    """The place as people call it."""
    return place.name.replace("_", " ").replace("builtin", "built-in").capitalize()


def command_line(args: argparse.Namespace) -> str:
    """The command that does this again."""
    words = ["spatia", "demo"]
    for option, value in (("--sequence", args.sequence), ("--seed-frames", args.seed_frames), ("--config", args.config)):
        words += [option, str(value)] if value is not None else []
    words += ["--frames", str(args.frames), "--out", str(args.out)]
    return shlex.join(words + [word for assignment in args.assignments for word in ("--set", assignment)])


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures for people: name, value, what it means."""
    shares = {name: f"{figures[f'{name}_share']:.0%}" for name in ("seen", "invented_earlier", "invented_now")}
    psnr, least = figures["return_psnr_db"], figures["seen_share_min"]
    total = figures["latency_ms"]["total"]
    return [
        ("frames", f"{figures['received']}", f"of {figures['commanded']} commanded, received by another process"),
        ("arrival loss", f"{figures['arrival_loss']:.1%}", "frames that did not reach the recorder whole"),
        ("rate", f"{figures['fps']:.1f} a second", "as they arrived, everything included"),
        ("a frame", f"{total['p50']:.0f} ms", f"from its turn to its publication (99 of 100 in less than {total['p99']:.0f} ms)"),
        ("seen by a sensor", shares["seen"], f"of all pixels go back to the scan; {least:.0%} where the flight is farthest out"),
        ("invented earlier", shares["invented_earlier"], "of all pixels were invented in an earlier frame and remembered"),
        ("invented now", shares["invented_now"], "of all pixels"),
        ("return", "-" if psnr is None else f"{psnr:.1f} dB", "PSNR between the first and the last frame, taken from one pose"),
        ("memory", f"{figures['memory_points']:,} points", f"after the flight; {figures['seed_points']:,} before it"),
    ]

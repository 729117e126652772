"""Build a memory from a recording: at its poses, or, with --poses tracked, at poses found from its images alone.

What moves is kept out, what has left is carved away, and where the camera comes back to a place it knows, the loop is
closed and the map corrected. Nothing is invented. Ctrl-C leaves the map so far, and the same command goes on from there.

Leaves beside --out NAME.spatia:  NAME.html (report)  NAME.png (the map from above)  NAME.json (figures)
NAME.poses.txt (the path, TUM)  NAME.ply (the points, for other programs)  NAME.cast.npz (what moves, with --actors)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spatia_ros.cli.options import add_config, add_json, config_of, count, examples, print_table, stop_requests, write_json_of
from spatia_ros.cli.place import SEQUENCE_HELP

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig

EXAMPLES = examples("""
spatia map --sequence data/lounge --out out/lounge.spatia
spatia map --sequence data/lounge --poses tracked       # its poses are withheld, and only compared with at the end
spatia map --sequence bag.mcap --every 5 --first 100 --last 900 --set memory.voxel_m=0.02 --out out/hall.spatia
spatia map --sequence scan --truth mocap.txt            # ATE and RPE against poses from elsewhere (TUM)
spatia map --out out/room.spatia                        # the built-in room
""")


def index(text: str) -> int:
    """A whole number of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia map``."""
    parser.add_argument("--sequence", type=Path, metavar="PATH", help=SEQUENCE_HELP + " (default: the built-in room)")
    parser.add_argument(
        "--poses", choices=("given", "tracked"), default="given",
        help="given: the recording's; tracked: found from the images, the recording's are only compared with (default: given)",
    )
    parser.add_argument("--truth", type=Path, metavar="FILE", help="true camera poses (TUM) to compare with")
    frames = parser.add_argument_group("frames")
    frames.add_argument("--every", type=count, default=1, metavar="N", help="use every N-th frame (default: 1)")
    frames.add_argument("--first", type=index, default=0, metavar="N", help="begin with frame N (default: 0)")
    frames.add_argument("--last", type=index, metavar="N", help="end with frame N (default: the recording's last)")
    how = parser.add_argument_group("how")
    how.add_argument("--no-loops", action="store_true", help="do not look for loops")
    how.add_argument("--no-dynamics", action="store_true", help="fold in what moves too")
    how.add_argument(
        "--actors", action="store_true",
        help="once all frames are seen, take the recording apart again: a cleaner map, and what moves as a cast beside it",
    )
    out = parser.add_argument_group("what is left behind")
    path = Path("out/map.spatia")
    out.add_argument("--out", type=Path, default=path, metavar="FILE", help=f"memory file (default: {path})")
    out.add_argument("--overwrite", action="store_true", help="start anew where --out was interrupted")
    out.add_argument("--no-ply", action="store_true", help="do not write the points as PLY")
    out.add_argument("--no-report", action="store_true", help="do not draw the map, do not write the report")
    add_config(parser)
    add_json(out)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.cli.map_result import leave
    from spatia_ros.cli.mapping import Making, Source

    config = effective(args)
    source = Source.of(args)
    making = Making(source, config, args.poses, args.out)
    if args.overwrite:
        making.start_anew()
    making.resume()
    with stop_requests() as stop:
        making.go(stop)
        result = making.finish(take_apart=args.actors)
    rows, figures, files = leave(result, config, args)
    write_json_of(args, figures)
    print_table([(name, value) for name, value, _ in rows] + [("left in", ", ".join(files))])
    if not result.complete:
        print(f"{result.frames} of {len(source.indices)} frames are in {args.out}; the same command goes on from there")
        raise KeyboardInterrupt
    return 0


def effective(args: argparse.Namespace) -> WorldConfig:
    """The configuration with what --no-loops and --no-dynamics ask for."""
    from spatia_ros.config import override

    off = ["loops.enabled=false", "loops.correct_given=false"] if args.no_loops else []
    return override(config_of(args), [*off, *(["dynamics.enabled=false"] if args.no_dynamics else [])])

"""Write full grids: scenes with things that move, seen from every camera at every animation time.

Each take has two camera ways, the source's and another; every camera of both is rendered at every animation time, with exact
colour, depth, object numbers and poses. The same command again writes what is missing. Takes of kind "house" are made in a mesh.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from spatia_ros.cli.options import add_json, count, examples, print_table, write_json_of

EXAMPLES = examples("""
spatia grid --out out/grid --workers 2
spatia grid --out out/grid --kind room --takes 4 --frames 24 --times 48
spatia grid --out out/house --kind house --takes 1          # needs small_house in $SPATIA_DATA
""")
DATA = Path("../shared/data")
HOUSE = Path("small_house/small_house.glb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia grid``."""
    parser.add_argument("--out", type=Path, default=Path("out/grid"), metavar="DIR", help="the set (default: out/grid)")
    parser.add_argument(
        "--kind", action="append", choices=("room", "corridor", "desk", "street", "house"), metavar="KIND",
        help="room, corridor, desk, street or house; repeat for several in turn (default: the first four)",
    )
    parser.add_argument("--takes", type=count, default=4, metavar="N", help="scenes with their movers (default: 4)")
    parser.add_argument("--frames", type=count, default=31, metavar="N", help="cameras of each of the two ways (default: 31)")
    parser.add_argument("--times", type=count, default=31, metavar="N", help="animation times of each camera (default: 31)")
    parser.add_argument("--size", default="256x160", metavar="WxH", help="of pictures, px (default: 256x160)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first take (default: 0)")
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=Path(os.environ.get("SPATIA_DATA", DATA)),
        help=f"folder that holds {HOUSE}, for --kind house (default: $SPATIA_DATA, or {DATA})",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def size_of(text: str) -> tuple[int, int]:
    """Width and height of "256x160".

    Raises:
        SpatiaError: when it is no size.
    """
    from spatia_ros.types import SpatiaError

    width, times, height = text.partition("x")
    if not (times and width.isdecimal() and height.isdecimal()):
        raise SpatiaError(f"--size: expected WIDTHxHEIGHT such as 256x160, got {text!r}")
    return int(width), int(height)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.train.grid import GridPlan, open_grids, write_grids
    from spatia_ros.train.scene_take import TakePlan

    shots = TakePlan(size_of(args.size), args.frames)
    kinds = tuple(args.kind or GridPlan().kinds)
    plan = GridPlan(kinds, args.takes, args.seed, args.times, shots, args.data / HOUSE if "house" in kinds else None)
    write_grids(args.out, plan, args.workers)
    takes = open_grids(args.out)
    size = sum(path.stat().st_size for path in args.out.glob("*/*.npz"))
    figures = {"takes": len(takes), "pictures": plan.cells(), "bytes": size}
    write_json_of(args, figures)
    print_table([("takes", str(len(takes))), ("pictures", str(plan.cells())), ("on disk", f"{size / 1e6:.0f} MB")])
    print(f"left in {args.out}; each take has a sheet.png")
    return 0

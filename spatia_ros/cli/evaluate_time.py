"""``spatia evaluate time-control``: a recording with movers, seen from elsewhere under ten time patterns, against the truth."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from spatia_ros.cli.evaluate_world import number
from spatia_ros.cli.options import add_config, add_json, config_of, count, print_table, write_json_of
from spatia_ros.cli.spacetime import effective

DATA = Path("../shared/data")
HOUSE = Path("small_house/small_house.glb")
KINDS = ("room", "street", "desk", "corridor")
SEED = 9000
"""The first seed of places that are measured on: nothing was ever tried out on those from here up."""


def add_time_control(measures: Any) -> None:
    """The parser of ``spatia evaluate time-control``, added to those of the other measures."""
    parser = measures.add_parser("time-control", help="a recording with movers, from elsewhere in ten time patterns")
    parser.add_argument(
        "--kind", action="append", choices=(*KINDS, "house"), metavar="KIND",
        help=f"{', '.join(KINDS)} or house; repeat for several in turn (default: the first four)",
    )
    parser.add_argument("--takes", type=count, default=8, metavar="N", help="places (default: 8)")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help=f"of the first place (default: {SEED})")
    parser.add_argument("--frames", type=count, default=31, metavar="N", help="of the recording (default: 31)")
    parser.add_argument("--every", type=count, default=2, metavar="N", help="look at every N-th target pose (default: 2)")
    parser.add_argument("--grid", type=Path, metavar="DIR", help="truth is read from a set that spatia grid wrote")
    parser.add_argument(
        "--oracle", action="store_true", help="also with perfect knowledge of what moves: what drawing and memory alone cost"
    )
    parser.add_argument("--oracle-only", action="store_true", help="only that")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=Path(os.environ.get("SPATIA_DATA", DATA)),
        help=f"folder that holds {HOUSE}, for --kind house (default: $SPATIA_DATA, or {DATA})",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("out/evaluate/time_control"), help="of the results")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run_time_control)


def run_time_control(args: argparse.Namespace) -> int:
    """``spatia evaluate time-control``."""
    from spatia_ros.evaluate.time_pipelines import oracle, ours
    from spatia_ros.evaluate.time_report import evaluate_time_control

    config = effective(args)
    pipelines = {} if args.oracle_only else {"ours": ours(config)}
    if args.oracle or args.oracle_only:
        pipelines["oracle"] = oracle(config)
    figures = evaluate_time_control(_places(args), pipelines, config, args.out, args.every)
    write_json_of(args, figures)
    _print(figures, list(pipelines))
    print(f"left in {args.out}")
    return 0


def _places(args: argparse.Namespace) -> list[Any]:
    """What makes each place, when its turn comes."""
    from spatia_ros.evaluate.footage import GridFootage, TakeFootage
    from spatia_ros.train.grid import GridPlan, open_grids
    from spatia_ros.train.scene_take import TakePlan

    if args.grid:
        return [lambda grid=grid: GridFootage(grid) for grid in open_grids(args.grid)]
    kinds = tuple(args.kind or KINDS)
    camera = config_of(args).camera
    shots = TakePlan((camera.width_px, camera.height_px), args.frames)
    plan = GridPlan(kinds, args.takes, args.seed, shots=shots, mesh=args.data / HOUSE if "house" in kinds else None)
    return [lambda k=k: TakeFootage(plan.take(k)) for k in range(args.takes)]


def _print(figures: dict[str, Any], pipelines: list[str]) -> None:
    print(f"\n{len(figures['places'])} places; whole frame: dB, SSIM; over what moves, over what stands still: dB\n")
    print_table([(name, _row(part)) for name, part in figures["patterns"].items()] + [("mean", _row(figures["mean"]))])
    print("\ncontrols, mean over patterns\n")
    print_table([(name.replace("_", " "), _row(figures[name])) for name in ("time_ignored", "camera_only")])
    for name in pipelines[1:]:
        print_table([(name, _row(figures[name]["mean"]))])
    camera, floor = figures["camera"], figures["camera"]["truth"]
    print(
        f"\ncamera: {number(camera['rot_deg'], '.3f')} deg, {number(camera['trans_m'], '.4f')} m "
        f"(the same method on true pictures: {number(floor['rot_deg'], '.3f')} deg, {number(floor['trans_m'], '.4f')} m)"
    )


def _row(part: dict[str, Any]) -> str:
    return (
        f"{number(part['psnr'], '.2f'):>6} {number(part['ssim'], '.3f'):>6}   "
        f"{number(part['psnr_actors'], '.2f'):>6} {number(part['psnr_static'], '.2f'):>6}"
    )

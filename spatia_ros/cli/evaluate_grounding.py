"""``spatia evaluate grounding``: is the right thing found, and does the camera get there?"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from spatia_ros.cli.options import add_config, add_json, config_of, count, print_table, write_json_of


def add_grounding(measures: Any) -> None:
    """The measure and its arguments."""
    parser = measures.add_parser("grounding", help="a hundred phrases in procedural rooms and small_house, against triangles")
    parser.add_argument("--queries", type=count, default=100, metavar="N", help="half in rooms, half in the house (default: 100)")
    parser.add_argument("--rooms", type=count, default=10, metavar="N", help="procedural rooms, for their half (default: 10)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of rooms, starts and phrases (default: 0)")
    parser.add_argument("--house", type=Path, metavar="GLB", help="small_house.glb (default: that of SPATIA_DATA)")
    parser.add_argument("--no-house", action="store_true", help="ask everything in procedural rooms")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: out/evaluate/grounding)")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run_grounding)


def run_grounding(args: argparse.Namespace) -> int:
    """``spatia evaluate grounding``."""
    from spatia_ros.evaluate.grounding import evaluate_grounding
    from spatia_ros.types import SpatiaError

    if args.seed < 0:
        raise SpatiaError(f"--seed: expected 0 or more, got {args.seed}")
    folder = Path(os.environ.get("SPATIA_DATA", "../shared/data"))
    house = None if args.no_house else args.house or folder / "small_house" / "small_house.glb"
    if house is not None and not house.is_file():
        raise SpatiaError(f"--house: expected small_house.glb (or SPATIA_DATA, or --no-house), got {house}, which is no file")
    out = args.out or Path("out/evaluate/grounding")
    figures = evaluate_grounding(config_of(args), out, house, args.queries, args.seed, args.rooms)
    write_json_of(args, figures)
    rows = [("all", _line(figures))]
    rows += [(name, _line(part)) for name, part in figures["places"].items() if part]
    if figures["impossible"]:
        rows.append(("impossible ones", _line(figures["impossible"])))
    rows += [(f"  {sort}", _line(part)) for sort, part in figures["sorts"].items()]
    rows.append(("faults", ", ".join(f"{n} {fault}" for fault, n in figures["faults"].items()) or "none"))
    if figures["ways"]:
        rows.append(("ways", f"{figures['ways']}, {figures['length_m_mean']:.1f} m on average, nowhere nearer than "
                     f"{figures['nearest_m_least']:.2f} m to a true surface"))  # fmt: skip
        last = f"{figures['visible_mean']:.0%} of the thing in view, box IoU {figures['box_iou_mean']:.2f}"
        rows.append(("last pictures", last))
    print_table([*rows, ("left in", str(out))])
    return 0


def _line(part: dict[str, Any]) -> str:
    return f"{part['queries']:4d} phrases  SD {part['sd_mean']:.3f}  IF(SD<0.2) {part['if_sd_0.2']:.2f}"

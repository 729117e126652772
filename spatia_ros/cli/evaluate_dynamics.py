"""``spatia evaluate dynamics``: one object moves while the camera moves; what of it stays in static memory?"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from spatia_ros.cli.options import add_config, add_json, config_of, print_table, write_json_of

DATA = Path("../shared/data")
HOUSE = Path("small_house/small_house.glb")
HOUSE_CHAIR = 102
"""Number of the object of that house that is moved: its chair ChairA_01_001."""
ROOM_SEED = 1


def add_dynamics(measures: Any) -> None:
    """The parser of ``spatia evaluate dynamics``, added to those of the other measures."""
    parser = measures.add_parser("dynamics", help="one object moves while the camera moves: ghosts left, static surface kept")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=Path(os.environ.get("SPATIA_DATA", DATA)),
        help=f"folder that holds {HOUSE} (default: $SPATIA_DATA, or {DATA}; without it: the procedural room only)",
    )
    parser.add_argument("--room", type=int, metavar="SEED", default=ROOM_SEED, help=f"seed of the room (default {ROOM_SEED})")
    parser.add_argument("--exact-depth", action="store_true", help="depth without noise or holes")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("out/evaluate/dynamics"), help="folder of the results")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run_dynamics)


def run_dynamics(args: argparse.Namespace) -> int:
    """``spatia evaluate dynamics``."""
    import numpy as np

    from spatia_ros.evaluate.dynamics import evaluate_dynamics
    from spatia_ros.train.scenes import MovingScene, glb_scene, room_with_chair

    scenes = {"room": room_with_chair(np.random.default_rng(args.room), threads=2)}
    house = args.data / HOUSE
    if house.is_file():
        scenes["small_house"] = MovingScene(glb_scene(house, threads=2), [HOUSE_CHAIR])
    else:
        print(f"small_house is left out: there is no {house} (--data or SPATIA_DATA names the folder)")
    figures = evaluate_dynamics(config_of(args), scenes, args.out, noise=not args.exact_depth)
    write_json_of(args, figures)
    for run in figures["runs"]:
        print(f"\n{run['scene']}: the object {run['scenario']}\n")
        print_table([("with the split", _row(run)), ("without", _row(run["without_split"]))])
        settled = f"; {100 * run['settled']:.1f} % of it settled where it stopped" if "settled" in run else ""
        held, beside = 100 * run["held_of_object"], 100 * run["held_of_static"]
        print(f"  held back: {held:.1f} % of its pixels, {beside:.2f} % of others{settled}")
    print(f"\nworst of all: {_row(figures)}; {figures['split_ms']:.1f} ms a frame")
    print(f"left in {args.out}")
    return 0


def _row(part: dict[str, Any]) -> str:
    return (
        f"ghosts {100 * part['ghosts']:.2f} % of the object ({100 * part['ghosts_swept']:.2f} % of all it swept), "
        f"static surface kept {100 * part['kept']:.2f} % ({100 * part['kept_of_all']:.2f} % of all points of the control)"
    )

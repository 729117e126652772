"""``spatia evaluate loop``: a walk round a block with drift, mapped with and without closing the loop."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spatia_ros.cli.options import add_config, add_json, config_of, print_table, write_json_of

ABOUT = """A corridor is walked round once (30 m, and 2.5 m on) by a simulated RGB-D camera; everything is drawn from the seed
(--set seed=N). Its poses drift by 1 % of the way. The map made from them is compared with the map from true poses:
without closure, with it, and with it but without the frames at hand (bent). --poses tracked withholds the poses altogether.
"""


def add_loop(measures: Any) -> None:
    """The sub-command and its arguments."""
    parser = measures.add_parser(
        "loop", help="round a block with drift: is the loop found, how far off is the map with and without it?", description=ABOUT
    )
    parser.add_argument(
        "--poses", choices=("given", "tracked"), default="given",
        help="given: with injected drift (default); tracked: from the images alone, the drift is then the tracker's own",
    )
    parser.add_argument("--drift", type=float, default=0.01, metavar="M/M", help="injected drift per metre (default: 0.01)")
    parser.add_argument("--step", type=float, default=0.1, metavar="M", help="way between frames (default: 0.1)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: out/evaluate/loop_...)")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run_loop)


def run_loop(args: argparse.Namespace) -> int:
    """``spatia evaluate loop``."""
    from spatia_ros.evaluate.loop import evaluate_loop

    out = args.out or Path("out/evaluate") / f"loop_{args.poses}"
    figures = evaluate_loop(config_of(args), out, poses=args.poses, drift=args.drift, step_m=args.step)
    write_json_of(args, figures)
    found = f"{figures['loops']} between {figures['keyframes']} keyframes, {figures['false_loops']} of them false"
    print_table([
        ("path", f"{figures['path_m']:.1f} m in {figures['frames']} frames, {figures['lost']} lost"),
        ("end off by", f"{figures['drift_before_m']:.3f} m, with closure {figures['drift_after_m']:.3f} m"),
        ("loops", found),
        ("map without closure", _map_of(figures["without_closure"])),
        ("map with closure", _map_of(figures["made_anew"])),
        ("... bent, not made anew", _map_of(figures["bent"])),
        ("map from true poses", f"{100 * figures['true_poses']['surface_error_m']:.1f} cm to the surfaces (the sensor's noise)"),
        ("left in", str(out)),
    ])  # fmt: skip
    return 0


def _map_of(part: dict[str, float]) -> str:
    error, surface = 100 * part["error_m"], 100 * part["surface_error_m"]
    return f"{error:.1f} cm to the true map, {surface:.1f} cm to the surfaces, {part['completeness']:.1%} complete"

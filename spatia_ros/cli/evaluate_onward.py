"""``spatia evaluate onward``: how a place goes on past its scan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spatia_ros.cli.evaluate_world import number
from spatia_ros.cli.options import add_config, add_json, config_of, count, write_json_of

DESCRIPTION = """A camera turns away from all that was seen of procedural scenes, each frame going on from what the last ones
invented. Nobody can know what is there; a place should stay as light and as colourful as it was. Compared with the truth, with
what was seen, and with a world that invents nothing. docs/evaluation.md says what the figures mean.
"""


def add_onward(measures: Any) -> None:
    """The measure and its arguments."""
    said = "turning away from all that was seen: does the place stay likely?"
    parser = measures.add_parser("onward", help=said, description=DESCRIPTION)
    parser.add_argument("--scenes", type=count, default=8, metavar="N", help="held-out procedural scenes (default: 8)")
    parser.add_argument("--seed", type=int, default=1000, metavar="N", help="of the first scene (default: 1000)")
    parser.add_argument(
        "--degrees", type=float, nargs="+", metavar="D", help="how far from the last picture seen (default: 5 15 30 60 90)",
    )
    parser.add_argument("--step", type=float, default=1.5, metavar="D", help="degrees from frame to frame (default: 1.5)")
    default = Path("out/evaluate/onward")
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help=f"folder of the results (default: {default})")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.evaluate.onward import DEGREES, METHODS, evaluate_onward

    figures = evaluate_onward(config_of(args), args.out, args.scenes, args.seed, args.degrees or DEGREES, args.step)
    write_json_of(args, figures)
    print(f"\n{figures['scenes']} scenes, {figures['step_deg']:g} degrees a frame\n")
    print(f"  {'':<42}" + "".join(f"{d:>8g}" for d in figures["degrees"]))
    for key, said, form in (
        ("psnr", "PSNR against the truth, dB", ".2f"), ("depth", "depth against the truth, AbsRel", ".3f"),
        ("kept", "of the picture, held by memory from then on", ".0%"), ("off", "mean colour off what was seen, levels", ".1f"),
        ("blown", "white or black", ".1%"),
    ):
        print(f"  {said}")
        for method in (m for m in METHODS if m in figures[key]):
            print(f"    {method:<40}" + "".join(f"{number(v, form):>8}" for v in figures[key][method]))
    print(f"\nleft in {args.out}")
    return 0

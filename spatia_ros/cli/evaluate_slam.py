"""``spatia evaluate slam``: the camera's path from its images alone, beside Open3D's odometry."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spatia_ros.cli.options import add_config, add_json, config_of, print_table, write_json_of
from spatia_ros.cli.place import SEQUENCE_HELP, open_sequence_at

ABOUT = """The recorded poses are withheld: the first is told as the place to start from, and the path that is found is compared
with the rest by evo (rigid alignment, no scale; poses associated within 20 ms). Open3D's tensor odometry is chained frame to
frame over the same images in the same run, point-to-plane and hybrid; the better of the two stands in the table.
"""


def add_slam(measures: Any) -> None:
    """The sub-command and its arguments."""
    parser = measures.add_parser(
        "slam", help="poses withheld: how far off is the path that is found? (ATE, RPE; beside Open3D)", description=ABOUT
    )
    parser.add_argument("--sequence", type=Path, metavar="PATH", help=SEQUENCE_HELP + " (default: the built-in room)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: out/evaluate/slam_...)")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run_slam)


def run_slam(args: argparse.Namespace) -> int:
    """``spatia evaluate slam``."""
    from spatia_ros.evaluate.slam import evaluate_slam

    sequence = open_sequence_at(args.sequence)
    out = args.out or Path("out/evaluate") / f"slam_{sequence.name}"
    figures = evaluate_slam(sequence, config_of(args), out)
    _write_report(out, figures, config_of(args), args)
    write_json_of(args, figures)
    print_table([(name, value) for name, value, _ in rows(figures)] + [("left in", str(out))])
    return 0


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each figure, for people."""
    found = f"{figures['tracked_fraction']:.1%} of {figures['frames']} frames, {figures['relocalised']} times found again"
    table = [
        ("tracked", found, "frames with a pose"),
        ("path", _line(figures), f"after closing {figures['loops']} loops; {figures['alignment']}"),
        ("path, live", _line(figures["live"]), "each pose as it was given when its frame came"),
    ]
    for name, errors in figures["open3d"].items():
        note = f"chained frame to frame; {errors['failed']} motions not found"
        table.append((f"Open3D {name}", _line(errors), note))
    return table


def _line(errors: dict[str, Any]) -> str:
    if errors["ate_rmse_m"] is None:
        return "no path"
    ate, most, step = (100 * errors[name] for name in ("ate_rmse_m", "ate_max_m", "rpe_trans_m"))
    return f"ATE {ate:.2f} cm (at most {most:.2f}), RPE {step:.2f} cm {errors['rpe_rot_deg']:.2f} deg a frame"


def _write_report(out: Path, figures: dict[str, Any], config: Any, args: argparse.Namespace) -> None:
    from spatia_ros.config import dump
    from spatia_ros.record.report import Page
    from spatia_ros.record.slam_report import write_slam_report

    source = args.sequence or "the built-in room"
    command = "spatia evaluate slam" + (f" --sequence {args.sequence}" if args.sequence else "")
    files = [
        ("trajectory.txt", "the path that was found (TUM)"), ("truth.txt", "the recorded path at the frames' times"),
        ("open3d.txt", "the better of Open3D's"), ("figures.json", "the figures"), ("paths.png", "the picture"),
    ]  # fmt: skip
    title = f"{figures['sequence']}: the camera's path from its images alone"
    page = Page(title, f"{source}. {' '.join(ABOUT.split())}", rows(figures), dump(config), files, command)
    write_slam_report(out / "report.html", page, out / "paths.png")

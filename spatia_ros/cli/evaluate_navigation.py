"""``spatia evaluate navigation`` and ``spatia evaluate box``: a path from pictures alone, and the boxes a generator draws."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.evaluate_world import SCENE_KINDS, number
from spatia_ros.cli.options import add_config, add_json, config_of, count, print_table, write_json_of

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.evaluate.navigation import Stretch

LEFT_OUT = ("lounge", "fr1_xyz")
"""Recordings that shipped networks have not learned from."""
NAVIGATION = """The generator is given pictures of a stretch of a recording, far apart, with their times, and a camera path back
along it: no depth, no poses of the pictures, no memory. Each flag adds a row with one thing other. docs/navigation.md says what
rows and figures mean. Needs a generator of space, time and context: --set generator.name=FOLDER.
"""
BOX = """The box of what the prompt names first, which the network draws in a channel of its own, against the box of the pixels
that show it, on held-out procedural clips; see docs/navigation.md. Needs a generator of space, time and context:
--set generator.name=FOLDER.
"""


def add_navigation(measures: Any) -> None:
    """Both measures and their arguments."""
    parser = measures.add_parser("navigation", help="a path followed from pictures alone, without memory", description=NAVIGATION)
    where = parser.add_argument_group("where")
    where.add_argument("--scenes", type=int, default=8, metavar="N", help="held-out procedural scenes (default: 8)")
    where.add_argument("--seed", type=int, default=1000, metavar="N", help="of the first scene (default: 1000)")
    where.add_argument(
        "--sequence", type=Path, action="append", metavar="PATH",
        help=f"a recording; may be repeated (default: {' and '.join(LEFT_OUT)} of $SPATIA_DATA, where they are)",
    )
    where.add_argument("--stretches", type=count, default=2, metavar="N", help="of each recording and scene (default: 2)")
    where.add_argument("--pictures", type=count, default=9, metavar="N", help="given of a stretch, 2 to 9 (default: 9)")
    beside = parser.add_argument_group("beside the mode itself")
    beside.add_argument("--weight", type=float, default=1.5, metavar="W", help="of joint guidance, 1 or more (default: 1.5)")
    beside.add_argument("--weights", type=float, nargs="+", default=[], metavar="W", help="rows with other weights of it")
    beside.add_argument("--contiguous-indices", action="store_true", help="a row: pictures told to be neighbours in time")
    beside.add_argument("--contiguous-frames", action="store_true", help="a row: the last pictures, not some far apart")
    beside.add_argument("--no-joint-guidance", action="store_true", help="two rows: none, and guidance by the path alone")
    _add_rest(parser, "navigation", run_navigation)
    box = measures.add_parser("box", help="the box drawn of what the prompt names, against geometry", description=BOX)
    box.add_argument("--clips", type=count, default=16, metavar="N", help="held-out clips (default: 16)")
    box.add_argument("--seed", type=int, default=1000, metavar="N", help="they are drawn from (default: 1000)")
    _add_rest(box, "box", run_box)


def _add_rest(parser: argparse.ArgumentParser, name: str, run: Any) -> None:
    default = Path("out/evaluate") / name
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help=f"folder of the results (default: {default})")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def sources_of(args: argparse.Namespace, config: WorldConfig) -> list[Stretch]:
    """The stretches asked for, of held-out scenes and of recordings."""
    from spatia_ros.evaluate.navigation import stretches_of
    from spatia_ros.evaluate.prepare import prepared
    from spatia_ros.evaluate.sources import scene_sequence
    from spatia_ros.sequence import open_sequence

    found: list[Stretch] = []
    for k in range(args.scenes):
        scene = scene_sequence(args.seed + k, config, SCENE_KINDS[k % len(SCENE_KINDS)])
        found += stretches_of(scene, "procedural", args.stretches, args.pictures)
    folder = Path(os.environ.get("SPATIA_DATA", "../shared/data"))
    for path in args.sequence or [folder / name for name in LEFT_OUT if (folder / name).is_dir()]:
        sequence = open_sequence(path)
        resized, _ = prepared(sequence, config, "auto", range(len(sequence)))
        found += stretches_of(resized, "recordings", args.stretches, args.pictures)
    return found


def run_navigation(args: argparse.Namespace) -> int:
    """``spatia evaluate navigation``."""
    from spatia_ros.evaluate.navigation import Ablations, evaluate_navigation

    config = config_of(args)
    ablations = Ablations(args.contiguous_indices, args.contiguous_frames, args.no_joint_guidance, tuple(args.weights))
    figures = evaluate_navigation(sources_of(args, config), config, args.out, args.weight, ablations)
    write_json_of(args, figures)
    print(f"\n{figures['targets']} frames of {len(figures['stretches'])} stretches, {figures['pictures']} pictures each\n")
    names = ["psnr (dB)", "ssim", "SD", *(f"{source} dB" for source in figures["by_source"]), "mode better by, dB"]
    print(f"  {'':<21}" + "".join(f"{name:>20}" for name in names))
    for row, of in figures["rows"].items():
        cells = [number(of["psnr"], ".2f"), number(of["ssim"], ".3f"), number(of["sd"], ".3f")]
        cells += [number(rows[row]["psnr"], ".2f") for rows in figures["by_source"].values()]
        margin = figures["margins"].get(row)
        cells.append("" if margin is None else f"{number(margin['psnr'], '+.2f')} +- {number(margin['psnr_error'], '.2f')}")
        print(f"  {row:<21}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"\nSD: {figures['sd_definition']}\nleft in {args.out}")
    return 0


def run_box(args: argparse.Namespace) -> int:
    """``spatia evaluate box``."""
    from spatia_ros.evaluate.box import evaluate_box

    figures = evaluate_box(config_of(args), args.out, args.seed, args.clips)
    write_json_of(args, figures)
    rows = [(name.replace("_", " "), _box_line(figures[name])) for name in ("drawn", "no_prompt", "middle", "cells")]
    at = figures["pointing"]
    rows.append(("pointing", f"highest cell in the box {number(at['hit'], '.0%')}, by chance {number(at['by_chance'], '.0%')}"))
    print_table([*rows, ("left in", str(args.out))])
    return 0


def _box_line(of: dict[str, Any]) -> str:
    figures = f"IoU {number(of['iou'], '.3f')}, centre off by {number(of['centre_error'], '.3f')} of the diagonal"
    shares = f"drawn in {number(of['drawn'], '.0%')}, IoU 0.5 in {number(of['found'], '.0%')} of {of['frames']}"
    return f"{figures}; {shares}; where out of sight {number(of['false'], '.0%')} of {of['frames_out_of_sight']}"

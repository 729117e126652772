"""Build a set of training clips: what memory shows along a way, what was seen before, and what is really there.

Clips come from procedural scenes with things that move and, where --data holds some, from meshes (*.glb) and from the first
half of each recording (the second half is for evaluation). The same command again makes the shards that are missing.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from spatia_ros.cli.options import add_json, count, examples, print_table, write_json_of

EXAMPLES = examples("""
spatia clips --out out/clips --workers 2
spatia clips --out out/clips --data my_recordings --without lounge --scenes 400
spatia clips --out out/clips --sheet 24            # look at some: out/clips/sheet.png
spatia clips --out out/clips --onward 60 --by out/engines/mine   # what comes after its own inventions (see docs/training.md)
""")
_SOURCES = {
    "scenes": "procedural scenes (8 clips)",
    "timed": "procedural scenes in which only animation time tells where what moves is (up to 8)",
    "mesh": "meshes (20)", "recordings": "neighbouring frames of recordings (12)",
    "warped": "frames of recordings warped forward and back (8)",
    "onward": "worlds that have gone on past what was seen (up to 8; default: none)",
    "validation": "procedural scenes held out (8)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia clips``."""
    parser.add_argument("--out", type=Path, default=Path("out/clips"), metavar="DIR", help="the set (default: out/clips)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=os.environ.get("SPATIA_DATA"),
        help="folder of recordings (TUM layout) and meshes (default: $SPATIA_DATA; without it: procedural scenes only)",
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="a folder of --data that is never read (may be repeated)",
    )
    parser.add_argument(
        "--sequence", type=Path, action="append", default=[], metavar="PATH",
        help="a recording with poses of any kind, read whole (may be repeated)",
    )
    for source, what in _SOURCES.items():
        parser.add_argument(f"--{source}", type=int, metavar="N", help=f"shards from {what}")
    parser.add_argument(
        "--by", default="nano", metavar="ENGINE", help="whose inventions the worlds of --onward are (a generator, as in "
        "generator.name; default: nano)",
    )
    parser.add_argument("--checks", type=int, metavar="N", help="shards of held-out clips that need one condition, each")
    parser.add_argument("--frames", type=count, metavar="T", help="frames of a clip, at most 16 (default: 4)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the whole set (default: 0)")
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--sheet", type=count, metavar="N", help="also draw N random clips to sheet.png")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.train.clip_build import FIRST, SetPlan, build
    from spatia_ros.train.clip_set import CHECKS, ClipSet
    from spatia_ros.train.clip_sheet import write_sheet

    chosen = {source: getattr(args, source) for source in _SOURCES if getattr(args, source) is not None}
    if args.checks is not None:
        chosen |= {f"check-{name}": args.checks for name in CHECKS}
    plan = SetPlan(args.data, tuple(args.without), tuple(args.sequence), FIRST | chosen, args.seed, args.by)
    if args.frames is not None:
        plan = replace(plan, clips=replace(plan.clips, frames=args.frames))
    build(args.out, plan, args.workers)
    clips = ClipSet(args.out)
    held = {"validation": clips.validation} | {f"check {name}": each for name, each in clips.checks.items()}
    figures = {name: len(each) for name, each in {**clips.sources, **held}.items()}
    size = sum(path.stat().st_size for path in args.out.glob("*.zip"))
    if args.sheet:
        write_sheet(args.out / "sheet.png", clips, args.sheet, args.seed)
    write_json_of(args, {"clips": figures, "bytes": size})
    print_table([*((name, f"{n} clips") for name, n in figures.items()), ("on disk", f"{size / 1e6:.0f} MB")])
    return 0

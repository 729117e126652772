"""Build the TensorRT engines of a generator for this machine's GPU, or say what a build would do and give.

Five graphs are built with Polygraphy, strongly typed, each in a process of its own; what is built already is kept. Engines
lie in the user's cache and are refused when the weights, TensorRT or the GPU are others (docs/engines.md). Without
TensorRT, --dry-run still makes the graphs and writes the script that would run, and --device plans for a machine that is
not at hand.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import (
    add_config,
    add_json,
    config_of,
    count,
    examples,
    print_table,
    progress_bar,
    write_json_of,
)

if TYPE_CHECKING:
    from spatia_ros.engine.build import Plan
    from spatia_ros.engine.calibration import Batches

EXAMPLES = examples("""
spatia build-engine nano                         # then: spatia run --set generator.runtime=tensorrt
spatia build-engine nano --size 512x288 --precision int8 --calibrate data/lounge
spatia build-engine nano --device orin --dry-run # memory and rate on a Jetson AGX Orin, the arithmetic shown
""")
_CALIBRATION_FRAMES, _CALIBRATION_BATCHES = 120, 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia build-engine``."""
    parser.add_argument("engine", metavar="ENGINE", help="a shipped engine, or a folder with manifest.json (with a slash in it)")
    parser.add_argument("--precision", choices=["fp32", "fp16", "int8"], default="fp16", help="default: %(default)s")
    parser.add_argument("--size", type=size_of, default=(256, 160), metavar="WxH", help="frame that is tuned for (256x160)")
    parser.add_argument("--most", type=size_of, default=(1280, 720), metavar="WxH", help="largest frame that is taken (1280x720)")
    parser.add_argument("--clip", type=count, default=1, metavar="N", help="most frames generated together (default: 1)")
    parser.add_argument("--workspace-mb", type=count, default=1024, metavar="MB", help="builder's scratch memory (default: 1024)")
    parser.add_argument("--again", action="store_true", help="build also what is built already")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, write the script, build nothing")
    parser.add_argument("--device", metavar="NAME", help="with --dry-run: plan for orin, orin-nx, orin-nano, h200, ...")
    parser.add_argument("--calibrate", type=Path, metavar="SEQUENCE", help="int8: calibrate with this recording (built-in room)")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def size_of(text: str) -> tuple[int, int]:
    """Width and height of ``WxH``."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text!r}")
    return int(width), int(height)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.engine.build import Plan
    from spatia_ros.engine.plan import Options
    from spatia_ros.types import SpatiaError

    if args.device and not args.dry_run:
        raise SpatiaError("--device: engines can be built on the device itself only; here add --dry-run")
    config = config_of(args)
    try:
        options = Options(
            precision=args.precision, width_px=args.size[0], height_px=args.size[1], most_width_px=args.most[0],
            most_height_px=args.most[1], clip=args.clip, steps=config.generator.steps, workspace_mb=args.workspace_mb,
        )  # fmt: skip
    except ValueError as error:
        raise SpatiaError(f"build-engine: {error}") from None
    batches = calibration(args.engine, args) if args.precision == "int8" else None
    plan = Plan(args.engine, options, batches, str(args.calibrate or "built-in room"))
    figures = dry_run(plan, args.device) if args.dry_run else build(plan, again=args.again)
    write_json_of(args, figures)
    return 0


def calibration(name: str, args: argparse.Namespace) -> Batches:
    """What the networks are given along the recording."""
    from spatia_ros.evaluate.calibrate import recorded_batches
    from spatia_ros.sequence import open_sequence
    from spatia_ros.train.scan import builtin_scan

    sequence = open_sequence(args.calibrate) if args.calibrate else builtin_scan()
    frames = min(_CALIBRATION_FRAMES, 2 * len(sequence) - 1)
    with progress_bar("calibrating, frames", frames) as bar:
        return recorded_batches(
            name, config_of(args), sequence, args.size, frames, _CALIBRATION_BATCHES, lambda done: bar.update(done - bar.n)
        )


def dry_run(plan: Plan, device_name: str | None) -> dict[str, Any]:
    """Print what would be done, and what it would give."""
    from spatia_ros.engine.built import host
    from spatia_ros.engine.devices import DEVICES, device
    from spatia_ros.engine.plan import device_lines, memory_bytes
    from spatia_ros.types import SpatiaError

    chosen = device(device_name) if device_name else None
    script = plan.write_script()
    for part in plan.parts:
        work = part.work
        print(f"{part.graph.name}: {work.flops / 1e9:.3f} GFLOP, {work.weights / 1e6:.2f} M weights, {work.products} products")
        for name, (least, usual, most) in part.profile.items():
            print(f"  {name}: {list(least)} .. {list(usual)} .. {list(most)}")
    for line in [] if chosen is None else device_lines(plan.parts, chosen, plan.options):
        print(line)
    try:
        print(f"here: {host()}")
    except SpatiaError as error:
        print(f"here: {error}")
    print(f"script: {script}\n  it needs TensorRT and: pip install -r requirements/tensorrt.txt")
    needs = memory_bytes(plan.parts, plan.options.precision, plan.options.workspace_mb)
    return {
        "script": str(script), "memory_bytes": needs, "device": device_name or "", "devices": sorted(DEVICES),
        "gflop": {part.graph.name: part.work.flops / 1e9 for part in plan.parts},
    }  # fmt: skip


def build(plan: Plan, *, again: bool) -> dict[str, Any]:
    """Build, with a bar of the graphs."""
    with progress_bar("building", 0) as bar:

        def told(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(f"building {what}")
            bar.update(done - bar.n)

        records = plan.build(told, again=again)
    print_table([*((name, record.file) for name, record in records.items()), ("left in", str(plan.work))])
    return {name: record.model_dump() for name, record in records.items()}

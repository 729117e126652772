"""The measures of a world that are made on a recording or on a procedural scene."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, config_of, count, print_table, write_json_of
from spatia_ros.cli.place import SEQUENCE_HELP, open_sequence_at

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.sequence import Sequence

SCENE_KINDS = ("room", "corridor", "desk", "street")


def add_source(measure: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    """What every measure of a world takes: a source, a folder, the configuration."""
    source = measure.add_mutually_exclusive_group()
    source.add_argument("--sequence", type=Path, metavar="PATH", help=SEQUENCE_HELP + " (default: the built-in room)")
    source.add_argument("--scene", type=int, metavar="SEED", help="a procedural scene instead, with exact truth")
    measure.add_argument("--scene-kind", choices=SCENE_KINDS, default="room", help="of --scene (default: room)")
    measure.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: out/evaluate/...)")
    measure.add_argument(
        "--depth-delay", default="auto", metavar="SECONDS|auto",
        help="how much earlier than colour the depth was exposed; auto: estimated from the frames (default)",
    )
    add_config(measure)
    add_json(measure)
    measure.set_defaults(run=run)


def source_of(args: argparse.Namespace, config: WorldConfig) -> Sequence:
    """The recording or the scene."""
    if args.scene is None:
        return open_sequence_at(args.sequence)
    from spatia_ros.evaluate.sources import scene_sequence

    return scene_sequence(args.scene, config, args.scene_kind)


def delay_of(args: argparse.Namespace) -> Any:
    """Seconds, or "auto"; a scene's depth has none."""
    from spatia_ros.types import SpatiaError

    if args.scene is not None:
        return 0.0
    if args.depth_delay == "auto":
        return "auto"
    try:
        return float(args.depth_delay)
    except ValueError:
        raise SpatiaError(f"--depth-delay: expected seconds or auto, got {args.depth_delay!r}") from None


def add_world_measures(measures: Any) -> None:
    """Long horizon, camera, ablation, TSED, and the report over all."""
    horizon = measures.add_parser("long-horizon", help="out and back over 2, 4, 6 and 60 clips: does the place stay itself?")
    horizon.add_argument(
        "--clips", type=count, nargs="+", metavar="N", help="how many, even, above 6 multiples of 6 (default: 2 4 6 60)"
    )
    add_source(horizon, run_long_horizon)
    add_source(measures.add_parser("camera", help="is each frame seen from where the camera was told to be?"), run_camera)
    report = measures.add_parser("report", help="all of these, on one page with curves and pictures, beside the papers' figures")
    report.add_argument("--measures", nargs="+", metavar="NAME", help="only these, e.g. closed_loop camera (default: all)")
    report.add_argument("--clips", type=count, nargs="+", metavar="N", help="of the long horizon (default: 2 4 6 60)")
    add_source(report, run_report)
    ablation = measures.add_parser("ablation", help="what each condition, the references and the point spacing are worth")
    ablation.add_argument("--clips", type=count, default=4, metavar="N", help="of --scene, for each condition (default: 4)")
    add_source(ablation, run_ablation)
    add_source(measures.add_parser("tsed", help="do pairs of frames agree on the geometry their cameras were told?"), run_tsed)


def run_long_horizon(args: argparse.Namespace) -> int:
    """``spatia evaluate long-horizon``."""
    from spatia_ros.evaluate.long_horizon import CLIPS, evaluate_long_horizon

    config = config_of(args)
    sequence = source_of(args, config)
    out = args.out or Path("out/evaluate") / f"long_horizon_{sequence.name}"
    figures = evaluate_long_horizon(sequence, config, out, args.clips or CLIPS, delay_of(args))
    write_json_of(args, figures)
    rows = []
    for i, n in enumerate(figures["clips"]):
        ours, control = (_line(part, i) for part in (figures, figures["no_memory"]))
        rows.append((f"{n} clips", f"{ours}; without memory {control}"))
    print_table([*rows, ("left in", str(out))])
    return 0


def _line(part: dict[str, Any], i: int) -> str:
    psnr, ssim, match = (number(part[name][i], form) for name, form in (("psnr_c", ".2f"), ("ssim_c", ".3f"), ("match", ".2f")))
    return f"{psnr} dB, SSIM {ssim}, match {match}"


def run_camera(args: argparse.Namespace) -> int:
    """``spatia evaluate camera``."""
    from spatia_ros.evaluate.camera import evaluate_camera

    config = config_of(args)
    sequence = source_of(args, config)
    out = args.out or Path("out/evaluate") / f"camera_{sequence.name}"
    figures = evaluate_camera(sequence, config, out, delay_of(args))
    write_json_of(args, figures)
    parts = [("ours", figures), *((name, figures[name]) for name in ("recorded", "no_memory"))]
    print_table([*((name.replace("_", " "), _camera(part)) for name, part in parts), ("left in", str(out))])
    return 0


def _camera(part: dict[str, Any]) -> str:
    rotation, position = number(part["rot_deg"], ".2f"), number(part["trans_m"], ".3f")
    poses = f"{rotation} deg, {position} m in {part['estimated']:.0%} of {part['frames']} frames"
    directions = f"RTA@15/30 {number(part['rta_15'], '.2f')}/{number(part['rta_30'], '.2f')}"
    return f"{poses}, {directions}, camera control {part['camera_control']:.3f}"


def run_tsed(args: argparse.Namespace) -> int:
    """``spatia evaluate tsed``."""
    from spatia_ros.evaluate.tsed import GAPS, evaluate_tsed

    config = config_of(args)
    sequence = source_of(args, config)
    out = args.out or Path("out/evaluate") / f"tsed_{sequence.name}"
    figures = evaluate_tsed(sequence, config, out, delay_of(args))
    write_json_of(args, figures)
    parts = [("ours", figures), *((name, figures[name]) for name in ("recorded", "no_memory"))]
    rows = [
        (f"{name.replace('_', ' ')}, {gap} apart", _tsed(part[f"gap_{gap}"])) for gap in GAPS for name, part in parts
    ]
    print_table([*rows, ("left in", str(out))])
    return 0


def _tsed(part: dict[str, Any]) -> str:
    shares = ", ".join(f"{limit} px {number(part[f'{limit}px'], '.2f')}" for limit in (2, 4, 8))
    return f"{shares} of {part['pairs']} pairs; enough matches in {number(part['enough_matches'], '.2f')}"


def run_ablation(args: argparse.Namespace) -> int:
    """``spatia evaluate ablation``."""
    from spatia_ros.evaluate.ablation import evaluate_ablation

    config = config_of(args)
    sequence = source_of(args, config)
    out = args.out or Path("out/evaluate") / f"ablation_{sequence.name}"
    figures = evaluate_ablation(sequence, config, out, args.scene, delay_of(args), clips=args.clips)
    write_json_of(args, figures)
    names = ["full", *(name for name in figures if name.startswith("no_"))]
    rows = [(f"{name.replace('_', ' ')} ({figures['conditions_over']})", f"{number(figures[name], '.2f')} dB") for name in names]
    for table, unit in (("references", "references"), ("voxel_m", "m")):
        rows += [(f"{key} {unit} (flight)", f"{number(value, '.2f')} dB") for key, value in figures[table].items()]
    print_table([*rows, ("left in", str(out))])
    return 0


def run_report(args: argparse.Namespace) -> int:
    """``spatia evaluate report``."""
    import shlex
    import sys

    from spatia_ros.evaluate.long_horizon import CLIPS
    from spatia_ros.evaluate.report import MEASURES, evaluate_report

    config = config_of(args)
    sequence = source_of(args, config)
    out = args.out or Path("out/evaluate") / f"report_{sequence.name}"
    command = shlex.join(["spatia", *sys.argv[1:]])
    names = [name.replace("-", "_") for name in args.measures or MEASURES]
    figures = evaluate_report(sequence, config, out, args.scene, delay_of(args), names, args.clips or CLIPS, command)
    write_json_of(args, figures)
    print_table([("measures", ", ".join(figures)), ("page", str(out / "report.html"))])
    return 0


def number(value: float | None, form: str) -> str:
    """A figure for people; a dash where nothing defines it."""
    return "-" if value is None else f"{value:{form}}"

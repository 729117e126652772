"""Train the space-time generator: from nothing, on from where it stopped, or on from shipped weights on your own recordings.

Stages one after another: the autoencoder with its decoder, the transformer by flow matching, and its distillation to one step.
The same command again goes on where it stopped; every two minutes all of it is saved. Progress: OUT/log.html, OUT/card.md.
Clips are those of --clips (spatia clips makes them), or are made first, in OUT/clips. spatia export OUT makes an engine of a
run, finished or not. Several processes: torchrun --nproc-per-node N -m spatia_ros.cli train ... Needs torch (make test
installs it).
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spatia_ros.cli.options import add_json, count, examples, print_table, stop_requests, write_json_of

if TYPE_CHECKING:
    from spatia_ros.train.run import RunPlan

EXAMPLES = examples("""
spatia train --init out/nano --sequence my_bag --out out/mine # go on from the weights of a run, on your own recording
spatia train --clips out/clips --out out/nano --minutes 9     # from nothing, nine minutes of it; again, and it goes on
spatia train --size small --clips out/clips --device cuda --out out/small
torchrun --nproc-per-node 8 -m spatia_ros.cli train --size base --clips out/clips --device cuda --out out/base
""")
_SIZES, _STAGES = ("nano", "small", "base"), ("autoencoder", "flow", "direct", "consistency", "tune", "navigate")
OWN_SHARDS = {"recordings": 10, "warped": 10, "scenes": 8, "validation": 2}
"""Shards made from a user's own recordings, and of scenes, lest what was learned before be forgotten."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia train``."""
    start = parser.add_argument_group("what to train")
    start.add_argument("--size", choices=_SIZES, default="nano", help="of a network that begins from nothing (default: nano)")
    start.add_argument("--init", metavar="NAME", help="begin with the weights of an engine (name or folder) or a training run")
    start.add_argument(
        "--stages", nargs="+", choices=_STAGES, metavar="STAGE",
        help="of autoencoder, flow, direct, consistency, tune, navigate (default: the first three; with --init: tune)",
    )
    data = parser.add_argument_group("what to learn from")
    data.add_argument(
        "--clips", type=Path, action="append", default=[], metavar="DIR",
        help="a set of clips (spatia clips; may be repeated: what is held out is the first one's)",
    )
    data.add_argument(
        "--sequence", type=Path, action="append", default=[], metavar="DIR",
        help="without --clips: a recording or bag of your own to make clips from (may be repeated)",
    )
    data.add_argument("--data", type=Path, metavar="DIR", help="without --clips: recordings and meshes to make clips from")
    data.add_argument("--without", action="append", default=[], metavar="NAME", help="a folder of --data that is never read")
    how = parser.add_argument_group("how")
    how.add_argument("--out", type=Path, default=Path("out/train"), metavar="DIR", help="the run's folder (default: out/train)")
    how.add_argument("--name", help="of the generator (default: the folder's)")
    how.add_argument(
        "--steps", type=count, nargs="+", metavar="N", help="optimiser steps of every stage, or of each (default: the size's)"
    )
    how.add_argument("--batch", type=count, metavar="N", help="clips a step and process (default: the size's)")
    how.add_argument("--frames", type=count, metavar="N", help="frames of a clip, at most (default: the size's)")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, clips and noise (default: 0)")
    how.add_argument("--minutes", type=float, metavar="M", help="save and stop after so long; the same command goes on")
    how.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (default: cpu)")
    how.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: torch's own choice)")
    how.add_argument("--workers", type=int, default=0, metavar="N", help="processes that prepare batches (default: a thread)")
    how.add_argument("--report-every", type=count, default=200, metavar="N", help="steps between reports (default: 200)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.types import SpatiaError

    begun = time.monotonic()
    try:
        import torch

        from spatia_ros.train import run as training
        from spatia_ros.train.clip_set import ClipSet
        from spatia_ros.train.initial import folder_of
        from spatia_ros.train.processes import processes
    except ImportError as error:
        raise SpatiaError(f"train: expected torch and onnx ({error}); make test installs them") from None
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.init:
        folder_of(args.init)  # before clips are made, which takes minutes
    with processes(args.device) as these, stop_requests() as asked:
        if these.first:
            make_clips(args)
        these.wait()
        late = lambda: asked.is_set() or (args.minutes is not None and time.monotonic() - begun > 60.0 * args.minutes)  # noqa: E731
        options = training.RunOptions(args.out, args.report_every, stop=late, workers=args.workers)
        network = training.run(plan_of(args), options, ClipSet(*clips_folders(args)), these)
        if these.first:
            tell(args, network is not None)
    return 0


def clips_folders(args: argparse.Namespace) -> list[Path]:
    """Where the clips are, or will be made."""
    return args.clips or [args.out / "clips"]


def make_clips(args: argparse.Namespace) -> None:
    """Make the clips that are missing, unless the user has given a set."""
    from spatia_ros.train.clip_build import FIRST, SetPlan, build
    from spatia_ros.types import SpatiaError

    if args.clips:
        if args.sequence or args.data:
            raise SpatiaError("train: expected --clips, or --sequence and --data to make clips from, got both")
        return
    shards = OWN_SHARDS if args.sequence else FIRST
    build(args.out / "clips", SetPlan(args.data, tuple(args.without), tuple(args.sequence), shards, args.seed))


def plan_of(args: argparse.Namespace) -> RunPlan:
    """What the arguments ask for."""
    import torch

    from spatia_ros.generator.network import PRESETS
    from spatia_ros.train.clip_build import made_of
    from spatia_ros.train.initial import config_of
    from spatia_ros.train.presets import STAGES, preset_of
    from spatia_ros.train.run import RunPlan, data_lines, left_out, with_changes

    model = config_of(args.init) if args.init else PRESETS[args.size]
    size = next((name for name, config in PRESETS.items() if config == model), args.size)
    preset = preset_of(size)
    names = args.stages or (("tune",) if args.init else STAGES)
    stages = with_changes([(name, preset.stages[name]) for name in names], args.steps, batch=args.batch, frames=args.frames)
    bfloat16 = args.device != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    sets = [made_of(folder) for folder in clips_folders(args)]
    return RunPlan(
        args.name or args.out.name, size, model.as_dict(), stages, args.init,
        tuple(line for each in sets for line in data_lines(each)), left_out(sets),
        args.seed, bool(bfloat16), shlex.join(["spatia", *sys.argv[1:]]),
    )


def tell(args: argparse.Namespace, done: bool) -> None:
    """Where the run stands."""
    from spatia_ros.train.run import read_result

    result = read_result(args.out)
    write_json_of(args, {"done": done, "stage": result.stage, "step": result.step, "figures": result.figures})
    rows = [(name.replace("_", " "), f"{value:.3f}") for name, value in result.figures.items()]
    again = "" if done else "; the same command goes on"
    print_table([
        ("stands at", f"{result.stage}, step {result.step}{again}"), *rows,
        ("look at", str(args.out / "log.html")), ("make an engine", f"spatia export {args.out}"),
    ])  # fmt: skip

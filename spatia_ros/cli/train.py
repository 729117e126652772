"""Train the fill network from nothing to an engine: pairs from memory's own render (once), the steps, the export.

The same command again goes on where it was interrupted, pairs and steps alike. Pairs come from procedural scenes and, where
--data holds some, from meshes (*.glb) and from the first half of each recording (the second half is for evaluation).
Needs torch (make test installs it). spatia export makes an engine of an unfinished run.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
from pathlib import Path

from spatia_ros.cli.options import add_json, count, examples, print_table, write_json_of

EXAMPLES = examples("""
spatia train --data my_recordings                  # as the shipped generator was trained (hours on two cores)
spatia train --steps 200 --scene-shards 4 --mesh-shards 0 --recording-shards 0 --out out/try
spatia run --set generator.name=out/train/engine   # what came of it
""")
_SHARDS = {"scene": "procedural scenes", "mesh": "meshes", "recording": "recordings"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia train``."""
    pairs = parser.add_argument_group("training pairs")
    pairs.add_argument(
        "--data", type=Path, metavar="DIR", default=os.environ.get("SPATIA_DATA"),
        help="folder of recordings (TUM layout) and meshes (default: $SPATIA_DATA; without it: procedural scenes only)",
    )
    for kind, source in _SHARDS.items():
        pairs.add_argument(f"--{kind}-shards", type=int, metavar="N", help=f"shards of 36 pairs from {source}")
    training = parser.add_argument_group("training")
    out = Path("out/train")
    training.add_argument("--name", default="mine", help="of the engine (default: mine)")
    training.add_argument("--out", type=Path, default=out, metavar="DIR", help=f"pairs, checkpoint, log, engine (default: {out})")
    training.add_argument("--steps", type=count, metavar="N", help="optimiser steps in all")
    training.add_argument("--batch", type=count, metavar="N", help="pairs in a batch")
    training.add_argument("--seed", type=int, metavar="N", help="of pairs, weights and batches")
    training.add_argument("--device", metavar="NAME", help="torch device (default: cpu)")
    training.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: torch's own choice)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.types import SpatiaError

    try:
        import torch

        from spatia_ros.train.run import TrainPlan
        from spatia_ros.train.run import run as train
    except ImportError as error:
        raise SpatiaError(f"train: expected torch and onnx ({error}); make test installs them") from None
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    names = ("scene_shards", "mesh_shards", "recording_shards", "steps", "batch", "seed", "device")
    chosen = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    words = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words += ["--data", args.data.name] if args.data else []
    manifest = train(TrainPlan(args.name, args.out, args.data, shlex.join(["spatia", "train", *words]), **chosen))
    write_json_of(args, manifest.model_dump())
    rows = [(name, f"{value:g}" if isinstance(value, float) else str(value)) for name, value in manifest.figures.items()]
    print_table([*rows, ("left in", str(args.out / "engine"))])
    return 0

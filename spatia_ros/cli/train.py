"""Train the fill network on pairs made by memory's own render: first the pairs (once), then the steps.

Both resume: the same command goes on where it was interrupted. Pairs come from procedural scenes, and, where --data
holds some, from meshes (*.glb) and from the first half of each recording (the second half is for evaluation).
Needs torch (make test installs it). When it is done, make an engine of it: spatia export.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from spatia_ros.cli.options import add_json, count, examples, print_table, write_json_of

EXAMPLES = examples("""
spatia train                                       # as the shipped generator was trained (hours on two cores)
spatia train --steps 200 --scene-shards 4 --mesh-shards 0 --recording-shards 0 --out out/try
spatia export out/train --name mine
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia train``."""
    pairs = parser.add_argument_group("training pairs")
    pairs.add_argument(
        "--data", type=Path, metavar="DIR", default=os.environ.get("SPATIA_DATA"),
        help="folder with recordings (TUM layout) and meshes (default: $SPATIA_DATA; without it: procedural scenes only)",
    )
    kept, out = Path("out/pairs"), Path("out/train")
    pairs.add_argument("--pairs", type=Path, default=kept, metavar="DIR", help=f"where pairs are kept (default: {kept})")
    for source, shards in (("scene", 90), ("mesh", 18), ("recording", 32)):
        what = f"shards of pairs from {source}s (default: {shards})"
        pairs.add_argument(f"--{source}-shards", type=int, default=shards, metavar="N", help=what)
    run_ = parser.add_argument_group("training")
    run_.add_argument("--out", type=Path, default=out, metavar="DIR", help=f"checkpoint and log (default: {out})")
    run_.add_argument("--steps", type=count, default=6000, metavar="N", help="optimiser steps in all (default: 6000)")
    run_.add_argument("--batch", type=count, default=8, metavar="N", help="pairs in a batch (default: 8)")
    run_.add_argument("--seed", type=int, default=0, metavar="N", help="of pairs, weights and batches (default: 0)")
    run_.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: torch's own choice)")
    run_.add_argument("--device", default="cpu", metavar="NAME", help="torch device (default: cpu)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.types import SpatiaError

    try:
        import torch
    except ImportError:
        raise SpatiaError("train: expected torch, which is not installed; make test installs it, or: pip install torch") from None
    from spatia_ros.generator.model import FillNetConfig
    from spatia_ros.train.batches import PairSet
    from spatia_ros.train.build import build
    from spatia_ros.train.loop import SOURCES, TrainConfig, train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    build(args.pairs, args.data, args.scene_shards, args.mesh_shards, args.recording_shards, args.seed)
    config = TrainConfig(str(args.pairs), str(args.out), steps=args.steps, batch=args.batch, seed=args.seed)
    train(config, FillNetConfig(), PairSet(args.pairs, SOURCES, held_out=36), args.device)
    figures = last_report(args.out)
    write_json_of(args, figures)
    print_table([(name, f"{value:g}") for name, value in figures.items()] + [("left in", str(args.out))])
    return 0


def last_report(out: Path) -> dict[str, float]:
    """The last line of the training log."""
    import json

    return json.loads((out / "log.jsonl").read_text().strip().splitlines()[-1])

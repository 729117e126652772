"""Build a memory from a recording: the frames are folded in at their recorded poses; nothing is invented.

Leaves a memory file that run, the ROS node and every other command take, and its points as PLY for other programs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from spatia_ros.cli.options import add_config, add_json, config_of, count, examples, print_table, progress, write_json_of
from spatia_ros.cli.place import SEQUENCE_HELP, timed_sequence_at

EXAMPLES = examples("""
spatia map --sequence data/lounge --out out/lounge.spatia
spatia map --sequence bag.mcap --every 5 --set memory.voxel_m=0.02 --out out/hall.spatia --json out/hall.json
spatia map --out out/room.spatia                        # the built-in room
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia map``."""
    parser.add_argument("--sequence", type=Path, metavar="PATH", help=SEQUENCE_HELP + " (default: the built-in room)")
    parser.add_argument("--every", type=count, default=1, metavar="N", help="use every N-th frame (default: 1)")
    out = Path("out/map.spatia")
    parser.add_argument("--out", type=Path, default=out, metavar="FILE", help=f"memory file (default: {out})")
    parser.add_argument("--no-ply", action="store_true", help="do not write the points as PLY beside it")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.memory import Memory

    sequence, memory = timed_sequence_at(args.sequence), Memory(config_of(args).memory)
    indices = range(0, len(sequence), args.every)
    start, fused_ms, totals = time.monotonic(), [], {"carved": 0, "refused": 0}
    for index in progress(indices, "mapping"):
        frame = sequence.frame(index)
        before = time.monotonic()
        counts = memory.integrate(frame)
        fused_ms.append(1e3 * (time.monotonic() - before))
        totals = {name: total + counts[name] for name, total in totals.items()}
    memory.save(args.out)
    files = [str(args.out)]
    if not args.no_ply:
        files.append(str(args.out.with_suffix(".ply")))
        memory.export_ply(args.out.with_suffix(".ply"))
    figures = {
        "sequence": sequence.name, "frames": len(indices), "points": len(memory), "keyframes": len(memory.keyframes),
        "seconds": round(time.monotonic() - start, 2), "integrate_ms": round(statistics.median(fused_ms), 2), **totals,
    }  # fmt: skip
    write_json_of(args, figures)
    print_table([
        ("frames", f"{figures['frames']} of {sequence.name}, {figures['integrate_ms']:.1f} ms each to fold in"),
        ("points", f"{figures['points']:,} ({figures['carved']:,} carved away as seen through)"),
        ("keyframes", f"{figures['keyframes']}"),
        ("left in", ", ".join(files)),
    ])  # fmt: skip
    return 0

"""Verbs of ``spatia memory`` about files as such: verify, migrate, compact, merge."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spatia_ros.cli.options import add_json, pose_of, print_table, write_json_of

if TYPE_CHECKING:
    from spatia_ros.memory import Memory


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add them to ``spatia memory``."""
    verify = verbs.add_parser("verify", help="read every record of a file and hold it against its checksum")
    migrate = verbs.add_parser("migrate", help="write a file of an earlier version in this one's format")
    compact = verbs.add_parser("compact", help="write a file that grew by flushes anew, without what is no longer needed")
    merge = verbs.add_parser(
        "merge", help="make one memory of two of the same place",
        description=(
            "Make one memory of two of the same place: points, labels (joined by name) and keyframes. Where the second lies in "
            "the frame of the first is found by shape and colour (features, then ICP), or given with --T. Too little overlap is "
            "refused. OUT has the voxels and the configuration of A."
        ),
    )  # fmt: skip
    for verb in (verify, migrate, compact):
        verb.add_argument("memory", type=Path, metavar="FILE", help="a memory saved by run, map or the node")
    migrate.add_argument("out", type=Path, metavar="OUT")
    migrate.add_argument("--exact", action="store_true", help="keep every number as it is, at three times the size")
    merge.add_argument("a", type=Path, metavar="A", help="the memory whose frame is kept")
    merge.add_argument("b", type=Path, metavar="B", help="the memory to take in")
    merge.add_argument("--out", type=Path, required=True, metavar="C", help="where to write the merged memory")
    merge.add_argument("--T", metavar="'X Y Z QX QY QZ QW'", help="T_a_b, from B's world to A's (default: find it)")
    merge.add_argument("--seed", type=int, default=0, metavar="N", help="of the search's randomness (default: 0)")
    add_json(merge)
    for verb, action in ((verify, run_verify), (migrate, run_migrate), (compact, run_compact), (merge, run_merge)):
        verb.set_defaults(run=action)


def opened(path: Path) -> Memory:
    """A stored memory to look at: left in its file, or unpacked if the file is of an earlier version."""
    from spatia_ros.memory import Memory
    from spatia_ros.memory.store import is_version1

    return Memory.load(path) if path.is_file() and is_version1(path) else Memory.open(path, write=False)


def check(memory: Memory) -> str:
    """Read all of a stored memory; returns what there is to say about its file."""
    from spatia_ros.memory.store import verify

    if memory.pages is None:
        return "all checksums right, version 1"
    verify(memory)
    tail = memory.pages.log.tail_bytes
    return "all checksums right" + (f"; {tail:,} bytes of a write that was not finished are left out" if tail else "")


def run_verify(args: argparse.Namespace) -> int:
    """``spatia memory verify``."""
    memory = opened(args.memory)
    rows = [("file", f"{args.memory}: {check(memory)}"), ("points", f"{len(memory):,}")]
    print_table([*rows, ("keyframes", f"{len(memory.keyframes):,}")])
    return 0


def run_migrate(args: argparse.Namespace) -> int:
    """``spatia memory migrate``."""
    memory = opened(args.memory)
    memory.save(args.out, exact=args.exact)
    print_table([
        ("points", f"{len(memory):,}"), ("keyframes", f"{len(memory.keyframes):,}"),
        ("left in", f"{args.out}, {args.out.stat().st_size / 1e6:.1f} MB (was {args.memory.stat().st_size / 1e6:.1f} MB)"),
    ])  # fmt: skip
    return 0


def run_compact(args: argparse.Namespace) -> int:
    """``spatia memory compact``."""
    from spatia_ros.memory import Memory

    before = args.memory.stat().st_size if args.memory.is_file() else 0
    memory = Memory.open(args.memory)
    if memory.pages is not None:
        memory.pages.compact(memory)
    print_table([("file", f"{args.memory}: {before / 1e6:.1f} -> {args.memory.stat().st_size / 1e6:.1f} MB")])
    return 0


def run_merge(args: argparse.Namespace) -> int:
    """``spatia memory merge``."""
    from spatia_ros.memory import Memory
    from spatia_ros.memory.merge import align, merge_into

    a, b = Memory.load(args.a), opened(args.b)
    points, kept = len(a), len(a.keyframes)
    rows, figures = [], {}
    if args.T:
        T_a_b = pose_of(args.T, "--T")
    else:
        found = align(a, b, args.seed)
        T_a_b = found.T_a_b
        figures = {"fitness": found.fitness, "rmse_m": found.rmse_m, "colour_error": found.colour_error}
        rows.append(("overlap", f"{found.fitness:.0%} of {args.b.name} lies on {args.a.name}, {found.rmse_m * 1e3:.1f} mm apart"))
    merge_into(a, b, T_a_b)
    a.save(args.out)
    write_json_of(args, figures | {"T_a_b": T_a_b.tolist(), "points": len(a), "keyframes": len(a.keyframes)})
    print_table([
        *rows, ("points", f"{points:,} and {len(b):,} -> {len(a):,}"),
        ("keyframes", f"{kept} and {len(b.keyframes)} -> {len(a.keyframes)}"), ("left in", str(args.out)),
    ])  # fmt: skip
    return 0

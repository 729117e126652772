"""``spatia evaluate edit``: is what was removed gone, and is everything else as it was?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spatia_ros.cli.options import add_config, add_json, config_of, count, print_table, write_json_of


def add_edit(measures: Any) -> None:
    """The measure and its arguments."""
    edit = measures.add_parser("edit", help="remove things by name, fly around, look for what is left of them")
    edit.add_argument("--scene", type=Path, metavar="GLB", help="a scene of named objects (default: small_house)")
    edit.add_argument("--object", action="append", metavar="NAME", help="what to remove; may be repeated (default: four things)")
    edit.add_argument("--frames", type=count, default=12, metavar="N", help="of the path around each thing (default: 12)")
    edit.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: out/evaluate/edit)")
    add_config(edit)
    add_json(edit)
    edit.set_defaults(run=run_edit)


def run_edit(args: argparse.Namespace) -> int:
    """``spatia evaluate edit``."""
    import os

    from spatia_ros.evaluate.edit import OBJECTS, evaluate_edit

    folder = Path(os.environ.get("SPATIA_DATA", "../shared/data"))
    scene = args.scene or folder / "small_house" / "small_house.glb"
    out = args.out or Path("out/evaluate/edit")
    figures = evaluate_edit(scene, config_of(args), out, args.object or OBJECTS, args.frames)
    write_json_of(args, figures)
    rows = [(name, _line(f)) for name, f in figures["objects"].items()]
    worst = f"gone {figures['cleared_worst']:.2%}, elsewhere {figures['unaffected_psnr_worst']:.1f} dB"
    frame = f"gone {figures['cleared_worst_frame']:.2%}, elsewhere {figures['unaffected_psnr_worst_frame']:.1f} dB"
    mean = f"gone {figures['cleared_mean']:.2%}, elsewhere {figures['unaffected_psnr_mean']:.1f} dB"
    print_table([*rows, ("mean", mean), ("worst", worst), ("worst frame", frame), ("left in", str(out))])
    return 0


def _line(f: dict[str, Any]) -> str:
    beside = f"never there {f['cleared_never_there']:.2%}, keyframes not masked {f['cleared_without_masks']:.2%}"
    gone = f"gone {f['cleared']:.2%} (worst frame {f['cleared_worst_frame']:.2%}; {beside})"
    return f"{gone}, elsewhere {f['unaffected_psnr']:.1f} dB (worst frame {f['unaffected_psnr_worst_frame']:.1f})"

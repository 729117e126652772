"""Turn trained weights into an engine: a folder with safetensors, an ONNX graph that points into it, and a manifest.

FOLDER is a training run, finished or not (its running average of the weights is taken), or an engine whose ONNX is to be
written anew. ONNX Runtime must compute what torch computes, or nothing is exported. Needs torch (make test installs it).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_json, examples, print_table, write_json_of

if TYPE_CHECKING:
    from spatia_ros.generator.model import FillNet

EXAMPLES = examples("""
spatia export out/train --name mine                # then: spatia run --set generator.name=mine
spatia export out/train --out out/engines/mine     # then: spatia run --set generator.name=out/engines/mine
spatia export engines/fill-nano                    # write its ONNX again
""")
_AVERAGE = "average."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia export``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a training run, or an engine")
    parser.add_argument("--name", help="name of the engine (default: the folder's)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the engine (default: with the shipped ones)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.engine.manifest import MANIFEST, engines_folder
    from spatia_ros.types import SpatiaError

    is_engine, is_run = (args.folder / MANIFEST).is_file(), (args.folder / "checkpoint.safetensors").is_file()
    if not (is_engine or is_run):
        known = f"a training run (checkpoint.safetensors) or an engine ({MANIFEST})"
        raise SpatiaError(f"{args.folder}: expected {known}, got neither")
    try:
        from spatia_ros.engine import export
    except ImportError as error:
        raise SpatiaError(f"export: expected torch and onnx ({error}); make test installs them") from None
    if is_engine:
        out, manifest = args.folder, export.export_again(args.folder)
    else:
        name = args.name or args.folder.name
        out = args.out or engines_folder() / name
        network, steps, figures = trained(args.folder)
        manifest = export.export(network, out, name, f"spatia train --steps {steps}", steps, figures)
    figures = manifest.model_dump()
    write_json_of(args, figures)
    difference = manifest.figures["largest_difference_onnx_torch"]
    print_table([
        ("engine", f"{manifest.name}, {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.1f} MB"),
        ("ONNX and torch", f"differ by at most {difference:.1e}"),
        ("left in", str(out)),
    ])  # fmt: skip
    return 0


def trained(folder: Path) -> tuple[FillNet, int, dict[str, Any]]:
    """The averaged network of a training run, the steps it took, and its last figures."""
    from safetensors import safe_open

    from spatia_ros.generator.model import FillNet, FillNetConfig, shrunk
    from spatia_ros.train.run import MIXTURE_SHARE
    from spatia_ros.types import SpatiaError

    try:
        shape = json.loads((folder / "config.json").read_text())["network"]
        last = json.loads((folder / "log.jsonl").read_text().strip().splitlines()[-1])
    except (OSError, json.JSONDecodeError, KeyError, IndexError) as error:
        raise SpatiaError(f"{folder}: expected config.json and log.jsonl of a training run, got {error!r}") from None
    network = FillNet(FillNetConfig(tuple(shape["widths"]), tuple(shape["blocks"]), shape["heads"]))
    with safe_open(folder / "checkpoint.safetensors", "pt") as file:
        steps = int(json.loads(file.metadata()["state"])["step"])
        averages = filter(lambda name: name.startswith(_AVERAGE), file.keys())
        weights = {name.removeprefix(_AVERAGE): file.get_tensor(name) for name in averages}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise SpatiaError(f"{folder}: expected weights of this release's network, got others: {first}") from None
    return shrunk(network, MIXTURE_SHARE), steps, {name: value for name, value in last.items() if name != "step"}

"""Turn trained weights into an engine: a folder with safetensors, ONNX graphs that point into it, and a manifest.

FOLDER is a training run, finished or not (its running average of the weights is taken), or an engine whose graphs are to be
written anew, or whose weights get other shares in another folder (--out): how far a network is trusted is best chosen on
recordings of your own. ONNX Runtime must compute what torch computes, or nothing is exported; how far float16 and int8 are from
it is printed and kept in the manifest. Needs torch (make test installs it).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, examples, print_table, write_json_of

if TYPE_CHECKING:
    from spatia_ros.engine.bundle import Bundle

EXAMPLES = examples("""
spatia export out/train --name mine                         # then: spatia run --set generator.name=mine
spatia export out/train --out out/engines/mine              # then: spatia run --set generator.name=out/engines/mine
spatia export out/engines/mine                              # write its graphs again
spatia export engines/nano --depth-share 0.5 --out out/engines/bold  # another trust in the depth it has learned
spatia export out/engines/mine --precision fp16 int8 --calibrate data/lounge
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia export``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a training run, or an engine")
    parser.add_argument("--name", help="name of the engine (default: the folder's)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the engine (default: with the shipped ones)")
    parser.add_argument(
        "--precision", nargs="+", choices=["fp32", "fp16", "int8"], default=["fp32"],
        help="beside fp32: fp16 for TensorRT (its builder makes it too), int8 for generator.runtime=onnxruntime-int8",
    )
    parser.add_argument(
        "--share", type=float, metavar="S",
        help="how far the decoder's choice among fills goes from its prior (0) to what was learned (1; default: 1, or what an "
        "engine has)",
    )
    parser.add_argument("--depth-share", type=float, metavar="S", help="the same for depth (default: as --share, or what it has)")
    parser.add_argument("--calibrate", type=Path, metavar="SEQUENCE", help="int8: calibrate with this recording (built-in room)")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run, size=(256, 160))


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.engine.bundle import INT8
    from spatia_ros.types import SpatiaError

    for name, share in (("--share", args.share), ("--depth-share", args.depth_share)):
        if share is not None and not 0.0 <= share <= 1.0:
            raise SpatiaError(f"{name}: expected 0 (the prior) to 1 (what was learned), got {share}")
    try:
        import torch  # noqa: F401  (what follows needs it, and says so worse)
    except ImportError as error:
        raise SpatiaError(f"export: expected torch and onnx ({error}); make test installs them") from None
    out, bundle = written(args)
    measured = {**bundle.figures.get("against_torch", {})}
    if INT8 in args.precision:
        measured["int8"] = with_int8(args, out)
    write_json_of(args, bundle.model_dump() | {"measured": measured})
    rows = [("engine", f"{bundle.name}, {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.1f} MB")]
    for precision, by_graph in measured.items():
        told = ", ".join(f"{graph} {off['psnr_db']:.0f} dB" for graph, off in by_graph.items())
        largest = max(off["largest_difference"] for off in by_graph.values())
        beside = "fp32" if precision == INT8 else "torch"
        rows.append((f"{precision} against {beside}", f"{told}; at most {largest:.1e} off"))
    print_table([*rows, ("left in", str(out))])
    return 0


def written(args: argparse.Namespace) -> tuple[Path, Bundle]:
    """The engine's folder, and what its manifest says, once its float graphs are written."""
    from spatia_ros.engine.bundle import MANIFEST, engines_folder
    from spatia_ros.engine.ship import ship, ship_again

    floats = tuple(precision for precision in ("fp32", "fp16") if precision in ("fp32", *args.precision))
    if (args.folder / MANIFEST).is_file():
        others = (args.name, args.out, args.share, args.depth_share)
        again = all(other is None for other in others)
        return (args.folder, ship_again(args.folder, floats)) if again else of_engine(args, floats)
    from spatia_ros.generator.decoder import shrink
    from spatia_ros.train.run import read_result

    result = read_result(args.folder)
    name = args.name or args.folder.name
    out = args.out or engines_folder() / name
    share = 1.0 if args.share is None else args.share
    depth_share = share if args.depth_share is None else args.depth_share
    shrink(result.network.decode, share, depth_share)
    figures: dict[str, Any] = {"stage": result.stage, "share": share, "depth_share": depth_share, **result.figures}
    command = result.plan["command"]
    bundle = ship(result.network, out, name, anywhere(command), result.step, figures, floats)
    copy_card(args.folder, out, command)
    return out, bundle


def of_engine(args: argparse.Namespace, floats: Sequence[str]) -> tuple[Path, Bundle]:
    """An engine made of another's weights, with the shares asked for."""
    from spatia_ros.engine.bundle import read_bundle
    from spatia_ros.engine.ship import load_network, ship
    from spatia_ros.generator.decoder import shrink
    from spatia_ros.types import SpatiaError

    if args.out is None or args.out.resolve() == args.folder.resolve():
        raise SpatiaError(f"--out: expected another folder than {args.folder}, whose weights these would replace for good")
    old, network = read_bundle(args.folder), load_network(args.folder)
    had = {name: float(old.figures.get(name, 1.0)) for name in ("share", "depth_share")}
    asked = {"share": args.share, "depth_share": args.depth_share}
    wanted = {name: had[name] if asked[name] is None else asked[name] for name in had}
    for name, share in wanted.items():
        if share and not had[name]:
            flag = f"--{name.replace('_', '-')}"
            raise SpatiaError(f"{flag}: expected 0, as {args.folder} keeps nothing of what was learned, got {share}")
    shrink(network.decode, *(wanted[name] / had[name] if had[name] else 0.0 for name in had))
    bundle = ship(network, args.out, args.name or old.name, old.command, old.steps, {**old.figures, **wanted}, floats)
    copy_card(args.folder, args.out, old.command)
    return args.out, bundle


def copy_card(folder: Path, out: Path, command: str) -> None:
    """The card of the weights stays with them; in it the command they were trained by, as :func:`anywhere` has it."""
    from spatia_ros.train.card import CARD

    if (folder / CARD).is_file():
        (out / CARD).write_text((folder / CARD).read_text().replace(command, anywhere(command)))


def anywhere(command: str) -> str:
    """A command with absolute paths shortened to their last part: where they lay on one machine is of no use to others."""
    return " ".join(Path(word).name if word.startswith("/") else word for word in command.split(" "))


def with_int8(args: argparse.Namespace, out: Path) -> dict[str, dict[str, float]]:
    """Calibrate, write the int8 graphs, and say how far they are from float32."""
    from spatia_ros.cli.build_engine import calibration
    from spatia_ros.engine.ship import add_int8

    return add_int8(out, calibration(str(out.absolute()), args))

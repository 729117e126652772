"""Building an engine as a program of its own, that says on its output how it goes: one JSON object a line.

    python -m spatia_ros.engine.build_task nano --runtime onnxruntime

``{"stage", "progress", "log"}`` as it goes on, and at the end ``{"done": {...}}`` or ``{"failed": "why, and what to do"}``;
every other line is what the tools underneath say. With ``--with-parent`` it ends, with all it has started, when its input is
closed: when whoever started it is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spatia_ros.engine.bundle import FP16, FP32, MANIFEST, WEIGHTS, checked_file, checked_graph, folder_of, read_bundle
from spatia_ros.engine.table import GRAPHS
from spatia_ros.types import SpatiaError

TENSORRT, ONNXRUNTIME, OPENVINO = "tensorrt", "onnxruntime", "openvino"
RUNTIMES = {TENSORRT: (FP16, FP32), ONNXRUNTIME: (FP32,), OPENVINO: (FP32,)}
"""What can be built for, and the precisions of each, the usual one first."""
LARGEST_DIFFERENCE = 1e-2
"""Between a runtime and torch in float32, in the outputs' own units, over which an engine is refused."""
Tell = Callable[[str, float, str], None]
"""Told the stage, how much of the whole is done (0..1), and what is being done."""


def best_runtime() -> str:
    """The runtime to build for where nobody chose one: TensorRT where it and a GPU are, else ONNX Runtime."""
    if find_spec("tensorrt") is not None and find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            return TENSORRT
    return ONNXRUNTIME


def build(name: str, runtime: str, precision: str, again: bool, options: dict[str, int], tell: Tell) -> dict[str, Any]:
    """Build an engine, or check that what is there runs here; returns its ``path``, ``sha256`` and what to say of it.

    Args:
        name: a shipped engine, or a folder with a manifest. runtime, precision: empty: the best there is.
        options: sizes a TensorRT engine is built for, as :class:`.plan.Options` names them.

    Raises:
        SpatiaError: in words, with what to do.
    """
    runtime = runtime or best_runtime()
    if runtime not in RUNTIMES:
        raise SpatiaError(f"build {name}: runtime: expected one of {list(RUNTIMES)}, got {runtime!r}")
    precision = precision or RUNTIMES[runtime][0]
    if precision not in RUNTIMES[runtime]:
        raise SpatiaError(f"build {name} for {runtime}: precision: expected one of {list(RUNTIMES[runtime])}, got {precision!r}")
    if runtime == TENSORRT:
        return _built(name, precision, again, options, tell)
    return _checked(name, runtime, again, tell)


def _built(name: str, precision: str, again: bool, options: dict[str, int], tell: Tell) -> dict[str, Any]:
    """TensorRT: every graph by Polygraphy; what fits already is kept."""
    from spatia_ros.engine.build import Plan
    from spatia_ros.engine.built import RECORD, host
    from spatia_ros.engine.bundle import sha256
    from spatia_ros.engine.plan import Options

    tell("check", 0.0, "looking for TensorRT and a GPU")
    here = host()
    try:
        plan = Plan(name, Options(precision=precision, **options))
    except ValueError as error:
        raise SpatiaError(f"build {name}: {error}") from None
    tell("export", 0.05, f"{precision} graphs for TensorRT {here.tensorrt} on {here.gpu}")
    records = plan.build(lambda what, done, total: tell("build", 0.1 + 0.85 * done / total, what), again=again)
    tell("compare", 1.0, f"{len(records)} engines in {plan.work}")
    return {"path": str(plan.work), "sha256": sha256(plan.work / RECORD), "message": f"{len(records)} engines in {plan.work}"}


def _checked(name: str, runtime: str, again: bool, tell: Tell) -> dict[str, Any]:
    """ONNX Runtime, OpenVINO: the graphs are the engine; each is checked, opened, run, and held against torch."""
    from spatia_ros.engine.compare import difference, examples
    from spatia_ros.engine.runtimes import open_engines

    folder = folder_of(name)
    if again:
        tell("export", 0.0, "writing the graphs anew from the weights")
        _exported(folder)
    bundle = read_bundle(folder)
    for done, part in enumerate(GRAPHS):
        tell("check", 0.1 + 0.3 * done / len(GRAPHS), f"{part}: size and digest")
        checked_graph(folder, bundle, FP32, part)
    weights = checked_file(folder, bundle, FP32, WEIGHTS)
    tell("build", 0.4, f"opening {len(GRAPHS)} graphs with {runtime}")
    engines = open_engines(name, runtime)
    truth = open_engines(name, "torch") if find_spec("torch") is not None else None
    worst = 0.0
    for done, (part, graph) in enumerate(GRAPHS.items()):
        beside = "torch" if truth else "itself (torch is not installed)"
        tell("compare", 0.5 + 0.5 * done / len(GRAPHS), f"{part}: {runtime} beside {beside}")
        other = getattr(engines, part)
        off = difference(getattr(truth, part) if truth else other, other, examples(graph, bundle.sizes))
        worst = max(worst, off.largest)
        if not off.largest <= LARGEST_DIFFERENCE:
            said = f"expected {runtime} within {LARGEST_DIFFERENCE} of {beside}, got {off.largest:.3g}"
            raise SpatiaError(f"build {name}/{part}: {said}; write the graphs anew: spatia export {folder}")
    told = f"{runtime} runs {bundle.name} as it is ({weights.name}); largest difference to {beside} {worst:.1e}"
    return {"path": str(folder / MANIFEST), "sha256": bundle.file(FP32, WEIGHTS).sha256, "message": told}


def _exported(folder: Path) -> None:
    """Write the graphs of an engine folder again.

    Raises:
        SpatiaError: for the shipped engines, and without torch.
    """
    from spatia_ros.engine.bundle import engines_folder

    if folder.resolve().is_relative_to(engines_folder().resolve()):
        raise SpatiaError(f"build {folder.name}: the shipped engines are not written again; copy the folder, or leave out force")
    if find_spec("torch") is None:
        raise SpatiaError(f"build {folder.name}: expected torch to write graphs: pip install -r requirements/train.txt")
    from spatia_ros.engine.ship import ship_again

    ship_again(folder, (FP32,))


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m spatia_ros.engine.build_task", description=__doc__.split("\n\n")[0])
    parser.add_argument("name", help="a shipped engine, or a folder with manifest.json")
    parser.add_argument("--runtime", default="", help=f"one of {', '.join(RUNTIMES)} (default: the best here)")
    parser.add_argument("--precision", default="", help="fp32 or fp16 (default: the best of the runtime)")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="sizes to build TensorRT engines for")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input is closed")
    args = parser.parse_args(arguments)
    if args.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(stage: str, progress: float, log: str) -> None:
        _say({"stage": stage, "progress": round(progress, 3), "log": log})

    try:
        _say({"done": build(args.name, args.runtime, args.precision, args.again, args.options, tell)})
    except (SpatiaError, OSError) as error:
        _say({"failed": str(error)})
        return 1
    return 0


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """When nobody holds the other end of the input any more, end this process and all it started."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())

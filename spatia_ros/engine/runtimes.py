"""Opening the five networks of an engine with a runtime, and choosing one where nobody has."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from spatia_ros.engine.bundle import FP32, INT8, WEIGHTS, Bundle, checked_file, checked_graph, folder_of, read_bundle
from spatia_ros.engine.engines import Call, Engines
from spatia_ros.engine.table import GRAPHS
from spatia_ros.types import SpatiaError

RUNTIMES = ("auto", "torch", "onnxruntime", "onnxruntime-int8", "openvino", "tensorrt")


def open_engines(name: str, runtime: str = "auto", threads: int = 2) -> Engines:
    """The networks of an engine.

    Args:
        name: of a shipped engine, or a folder with a manifest (a path: with a slash in it).
        runtime: one of :data:`RUNTIMES`; ``auto`` is what :func:`choose` says.
        threads: of the CPU.

    Raises:
        SpatiaError: when the engine is missing, foreign or stale, or the runtime is not there; it says how to get it.
    """
    if runtime not in RUNTIMES:
        raise SpatiaError(f"generator.runtime: expected one of {list(RUNTIMES)}, got {runtime!r}")
    folder = folder_of(name)
    bundle = read_bundle(folder)
    chosen = choose(folder) if runtime == "auto" else runtime
    calls = _OPENERS[chosen](folder, bundle, threads)
    precision = INT8 if chosen == "onnxruntime-int8" else FP32
    return Engines(**calls, sizes=bundle.sizes, runtime=chosen, sha256=bundle.file(precision, WEIGHTS).sha256)


def choose(folder: Path) -> str:
    """What ``auto`` means here, the first that applies of:

    1. ``tensorrt``, when engines built of these weights for this GPU are in the cache;
    2. ``torch``, when it sees a CUDA device (its launches are recorded as CUDA graphs);
    3. ``onnxruntime``: on the CPU, where it was measured to be the fastest that is always installed.
    """
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            from spatia_ros.engine.built import is_built

            return "tensorrt" if is_built(folder) else "torch"
    return "onnxruntime"


def _torch(folder: Path, bundle: Bundle, threads: int) -> dict[str, Call]:  # noqa: ARG001  (its parts are read there)
    try:
        import torch

        from spatia_ros.engine.ship import load_network
        from spatia_ros.engine.torch_engine import cuda_or_cpu, torch_calls
    except ImportError as error:
        raise SpatiaError(f"runtime torch: expected torch ({error}); pip install -r requirements/train.txt") from None
    device = cuda_or_cpu()
    if device.type == "cpu":
        torch.set_num_threads(threads)
    return dict(torch_calls(load_network(folder), list(GRAPHS.values()), device))


def _onnx_runtime(folder: Path, bundle: Bundle, threads: int, precision: str = FP32) -> dict[str, Call]:
    from spatia_ros.engine.onnx_runtime import OnnxRuntimeEngine, has_cuda

    checked_file(folder, bundle, precision, WEIGHTS)
    return {
        part: OnnxRuntimeEngine(checked_graph(folder, bundle, precision, part), threads, graph, cuda=has_cuda())
        for part, graph in GRAPHS.items()
    }


def _int8(folder: Path, bundle: Bundle, threads: int) -> dict[str, Call]:
    return _onnx_runtime(folder, bundle, threads, INT8)


def _openvino(folder: Path, bundle: Bundle, threads: int) -> dict[str, Call]:
    from spatia_ros.engine.openvino_engine import OpenVinoEngine

    checked_file(folder, bundle, FP32, WEIGHTS)
    return {
        part: OpenVinoEngine(checked_graph(folder, bundle, FP32, part), graph, threads) for part, graph in GRAPHS.items()
    }


def _tensorrt(folder: Path, bundle: Bundle, threads: int) -> dict[str, Call]:  # noqa: ARG001  (it has no use for threads)
    from spatia_ros.engine.built import open_built

    return open_built(folder, bundle)


_OPENERS: dict[str, Callable[[Path, Bundle, int], dict[str, Call]]] = {
    "torch": _torch, "onnxruntime": _onnx_runtime, "onnxruntime-int8": _int8, "openvino": _openvino, "tensorrt": _tensorrt,
}

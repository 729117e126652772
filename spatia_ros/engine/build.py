"""Building TensorRT engines with Polygraphy: a script is written, and run in a process of its own for every graph.

What the builder allocates is gone when its process ends (on a Jetson the GPU's memory is the
CPU's), a builder that crashes takes nothing with it, and the script that a dry run shows is the one
that runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pprint import pformat

import onnx

from spatia_ros.engine.built import Host, Key, Record, cache_folder, check_record, checked_plan, host, read_records, write_records
from spatia_ros.engine.bundle import FP32, INT8, WEIGHTS, Bundle, checked_file, checked_graph, folder_of, read_bundle, sha256
from spatia_ros.engine.half import to_half
from spatia_ros.engine.onnx_export import write_graphs
from spatia_ros.engine.plan import Options, Part, parts_of
from spatia_ros.engine.quantise import quantised
from spatia_ros.engine.table import GRAPHS, AnyArray
from spatia_ros.types import SpatiaError

SCRIPT = "build_with_polygraphy.py"
Calibration = Mapping[str, Sequence[Mapping[str, AnyArray]]]
"""Recorded inputs by graph."""
Progress = Callable[[str, int, int], None]
"""Told what is being done, how many graphs are done, and of how many."""
TEMPLATE = '''"""Builds TensorRT engines of {name} ({precision}): python {script} [GRAPH ...]"""

import os
import sys

import tensorrt
from polygraphy.backend.trt import CreateConfig, EngineFromNetwork, NetworkFromOnnxPath, Profile, SaveEngine

GRAPHS = {graphs}
TIMINGS = {timings!r}


def build(onnx, engine, shapes):
    """One engine, every input with its least, usual and largest shape; types are the graph's own."""
    profile = Profile()
    for name, (least, usual, most) in shapes.items():
        profile.add(name, min=least, opt=usual, max=most)
    config = CreateConfig(
        profiles=[profile],
        load_timing_cache=TIMINGS if os.path.exists(TIMINGS) else None,
        memory_pool_limits={{tensorrt.MemoryPoolType.WORKSPACE: {workspace}}},
        builder_optimization_level={level},
    )
    network = NetworkFromOnnxPath(onnx, strongly_typed=True)
    SaveEngine(EngineFromNetwork(network, config, save_timing_cache=TIMINGS), engine)()


for graph in sys.argv[1:] or GRAPHS:
    build(**GRAPHS[graph])
'''


def prepare(folder: Path, bundle: Bundle, precision: str, work: Path, calibration: Calibration | None) -> dict[str, Path]:
    """The graphs TensorRT is given, strongly typed: as shipped, or made of the float32 ones in ``work``.

    Raises:
        SpatiaError: when int8 is asked for without calibration batches.
    """
    if precision in bundle.files and precision != INT8:
        checked_file(folder, bundle, precision, WEIGHTS)
        return {part: checked_graph(folder, bundle, precision, part) for part in GRAPHS}
    if precision == INT8 and not calibration:
        raise SpatiaError("build int8: expected calibration batches, got none; give a recording: --calibrate SEQUENCE")
    checked_file(folder, bundle, FP32, WEIGHTS)
    models = {}
    for part in GRAPHS:
        model = onnx.load(str(checked_graph(folder, bundle, FP32, part)))
        # The text encoder is a look-up and a few small products: nothing to win.
        batches = calibration.get(part, ()) if calibration and precision == INT8 and part != "text" else ()
        models[part] = to_half(quantised(model, batches, symmetric=True) if batches else model)
    paths = write_graphs(models, work, precision)
    return {part: paths[part] for part in GRAPHS}


def script_text(name: str, options: Options, parts: Sequence[Part], onnx_paths: Mapping[str, Path], work: Path) -> str:
    """The Polygraphy script that builds all graphs."""
    graphs = {
        part.graph.name: {
            "onnx": str(onnx_paths[part.graph.name]), "engine": str(partial_of(work, part.graph.name)), "shapes": part.profile,
        }
        for part in parts
    }  # fmt: skip
    return TEMPLATE.format(
        name=json.dumps(name)[1:-1], precision=options.precision, script=SCRIPT,
        graphs=pformat(graphs, width=140, sort_dicts=False), timings=str(work / "timings.cache"),
        workspace=options.workspace_mb << 20, level=options.level,
    )  # fmt: skip


def partial_of(work: Path, part: str) -> Path:
    """Where the script leaves an engine, to be renamed once it is whole."""
    return work / f"{part}.plan.partial"


def key_of(bundle: Bundle, part: Part, options: Options, here: Host, calibration: str) -> Key:
    """What the built engine of a graph depends on; ``calibration``: what its int8 scales come from."""
    weights = bundle.file(FP32, WEIGHTS).sha256
    built_with = json.dumps({"workspace_mb": options.workspace_mb, "level": options.level, "calibration": calibration})
    return Key(
        onnx=bundle.file(FP32, part.graph.name).sha256, weights=weights, precision=options.precision,
        profile=json.dumps(part.profile), options=built_with, host=here,
    )  # fmt: skip


class Plan:
    """A build that can be shown, or run.

    Args:
        name: a shipped engine, or a folder with a manifest.
        options: how engines are to be built.
        calibration: recorded inputs by graph, for int8. calibrated_with: where they come from.
        cache: folder of built engines; the user's own by default.
    """

    def __init__(
        self, name: str, options: Options, calibration: Calibration | None = None, calibrated_with: str = "",
        cache: Path | None = None,
    ) -> None:  # fmt: skip
        self.name, self.options, self.calibration, self.calibrated_with = name, options, calibration, calibrated_with
        self.folder = folder_of(name)
        self.bundle = read_bundle(self.folder)
        self.parts = parts_of(self.folder, self.bundle, options)
        self.work = (cache or cache_folder()) / self.bundle.name
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write_script(self) -> Path:
        """Make the graphs and the script that builds them; returns its path."""
        paths = prepare(self.folder, self.bundle, self.options.precision, self.work, self.calibration)
        path = self.work / SCRIPT
        path.write_text(script_text(self.bundle.name, self.options, self.parts, paths, self.work))
        return path

    def build(self, progress: Progress | None = None, *, again: bool = False) -> dict[str, Record]:
        """Build what is not built yet; returns what then is, by graph.

        Raises:
            SpatiaError: when TensorRT or a GPU is missing, or a build fails; what was built before stays.
        """
        here = host()
        with only_one(self.work / "lock"):
            keys = {part.graph.name: key_of(self.bundle, part, self.options, here, self.calibrated_with) for part in self.parts}
            records = {} if again else self._present(keys, here)
            script = self.write_script()
            for done, part in enumerate(GRAPHS):
                if progress:
                    progress(part, done, len(GRAPHS))
                if part not in records:
                    records[part] = self._build_one(script, part, keys[part])
                    write_records(self.work, {**read_records(self.work), part: records[part]})
            if progress:
                progress("done", len(GRAPHS), len(GRAPHS))
        return records

    def _present(self, keys: Mapping[str, Key], here: Host) -> dict[str, Record]:
        """What is built already, of exactly these keys."""
        present = {}
        for part, record in read_records(self.work).items():
            if part in keys and record.key == keys[part]:
                check_record(self.name, part, record, self.bundle, here)
                checked_plan(self.work, self.name, part, record)
                present[part] = record
        return present

    def _build_one(self, script: Path, part: str, key: Key) -> Record:
        """Run the script for one graph, and take in what it leaves."""
        log = self.work / f"{part}.log"
        with log.open("w") as out:
            done = subprocess.run([sys.executable, str(script), part], stdout=out, stderr=subprocess.STDOUT, check=False)
        partial, path = partial_of(self.work, part), self.work / f"{part}-{key.digest()}.plan"
        if done.returncode != 0 or not partial.is_file():
            last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise SpatiaError(f"build {self.name}/{part}: Polygraphy ended with {done.returncode}: {last} (all of it: {log})")
        os.replace(partial, path)
        return Record(key=key, file=path.name, bytes=path.stat().st_size, sha256=sha256(path))


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """One builder of an engine at a time; the others wait."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

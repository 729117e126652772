"""Built TensorRT engines: where they lie, what they were built of and for, and when they are refused."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spatia_ros.engine.bundle import FP32, MAX_WEIGHTS_BYTES, WEIGHTS, Bundle, read_bundle, sha256
from spatia_ros.engine.table import GRAPHS
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.engine.engines import Call

RECORD = "built.json"
MAX_RECORD_BYTES = 1 << 20
INSTALL = (
    "TensorRT is not installed here (Python package tensorrt). On a Jetson it comes with JetPack: sudo apt install "
    "nvidia-jetpack, and let the environment see it (python3 -m venv --system-site-packages). On a PC: pip install tensorrt, "
    "beside a torch with CUDA."
)


class Host(BaseModel):
    """What an engine only runs on.

    Args:
        tensorrt: its version. gpu: name. sm: compute capability, as 8.7. cuda: version torch was built for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensorrt: str
    gpu: str
    sm: str
    cuda: str


class Key(BaseModel):
    """All that a built engine depends on: a change in any of it makes another engine.

    Args:
        onnx: sha256 of the float32 graph it comes from. weights: of its weights. precision: fp32, fp16 or int8.
        profile: shapes it was built for, as text. options: of the builder, as text. host: what it runs on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    onnx: str
    weights: str
    precision: str
    profile: str
    options: str
    host: Host

    def digest(self) -> str:
        """The key as a file's name."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:24]


class Record(BaseModel):
    """One built graph: its key, the file it is in, its digest, and its size (0 in records of earlier releases)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key
    file: str
    sha256: str
    bytes: int = Field(0, ge=0, le=MAX_WEIGHTS_BYTES)


def cache_folder() -> Path:
    """The user's own folder of built engines, for nobody else's eyes; made if it is not there."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "spatia_ros" / "engines"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def host() -> Host:
    """This machine, as far as engines care.

    Raises:
        SpatiaError: when TensorRT, torch or a GPU is missing; it says what to install.
    """
    try:
        import tensorrt
    except ImportError:
        raise SpatiaError(INSTALL) from None
    try:
        import torch
    except ImportError:
        raise SpatiaError("runtime tensorrt: expected torch with CUDA, which holds its arrays; found no torch") from None
    if not torch.cuda.is_available():
        raise SpatiaError("runtime tensorrt: expected a GPU that torch sees; torch.cuda.is_available() says there is none")
    major, minor = torch.cuda.get_device_capability(0)
    return Host(
        tensorrt=tensorrt.__version__, gpu=torch.cuda.get_device_name(0), sm=f"{major}.{minor}", cuda=torch.version.cuda or "none"
    )


def write_records(folder: Path, records: dict[str, Record]) -> None:
    """Write what was built, whole or not at all."""
    partial = folder / (RECORD + ".partial")
    partial.write_text(json.dumps({name: record.model_dump() for name, record in records.items()}, indent=1) + "\n")
    os.replace(partial, folder / RECORD)


def read_records(folder: Path) -> dict[str, Record]:
    """What was built, by graph; empty when nothing was.

    Raises:
        SpatiaError: when the record is none.
    """
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes")
        return {name: Record.model_validate(values) for name, values in json.loads(path.read_text()).items()}
    except (ValidationError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise SpatiaError(f"engine {path}: not a record of built engines ({error}); delete it and build again") from None


def check_record(name: str, part: str, record: Record, bundle: Bundle, here: Host) -> None:
    """Refuse an engine that was built of other weights, or for another machine.

    Raises:
        SpatiaError: naming what differs and how to build it again.
    """
    again = f"build it again: spatia build-engine {name}"
    wanted = {"onnx": bundle.file(FP32, part).sha256, "weights": bundle.file(FP32, WEIGHTS).sha256}
    for field, digest in wanted.items():
        got = getattr(record.key, field)
        if got != digest:
            built_of = f"built of {field} {got[:12]}, the engine has {digest[:12]}"
            raise SpatiaError(f"TensorRT engine {name}/{part} is stale: {built_of}; {again}")
    for field in Host.model_fields:
        got, expected = getattr(record.key.host, field), getattr(here, field)
        if got != expected:
            raise SpatiaError(f"TensorRT engine {name}/{part} is foreign: built for {field} {got}, here is {expected}; {again}")


def checked_plan(folder: Path, name: str, part: str, record: Record) -> Path:
    """The path of a built engine that is the file its record names.

    Raises:
        SpatiaError: when it is missing or another one.
    """
    path = folder / Path(record.file).name
    got = path.stat().st_size if path.is_file() else -1
    fits = 0 <= got <= MAX_WEIGHTS_BYTES and got == (record.bytes or got)
    if not fits or sha256(path) != record.sha256:
        again = f"build it again: spatia build-engine {name}"
        raise SpatiaError(f"TensorRT engine {name}/{part}: {path} is not the file that was built; {again}")
    return path


def plans(folder: Path, bundle: Bundle, here: Host, cache: Path) -> dict[str, Path]:
    """The built engines of an engine folder, checked.

    Raises:
        SpatiaError: when one is missing, stale or foreign.
    """
    name, there = str(folder), cache / bundle.name
    records = read_records(there)
    if missing := [part for part in GRAPHS if part not in records]:
        needed = f"expected {list(GRAPHS)} in {there}, lacks {missing}"
        raise SpatiaError(f"TensorRT engine {name}: {needed}; build it: spatia build-engine {name}")
    for part in GRAPHS:
        check_record(name, part, records[part], bundle, here)
    return {part: checked_plan(there, name, part, records[part]) for part in GRAPHS}


def is_built(folder: Path) -> bool:
    """Whether TensorRT engines of an engine folder are in the cache, and for this machine."""
    bundle = read_bundle(folder)
    try:
        return bool(plans(folder, bundle, host(), cache_folder()))
    except SpatiaError:
        return False


def open_built(folder: Path, bundle: Bundle) -> dict[str, Call]:
    """The built engines of a generator, ready to run.

    Raises:
        SpatiaError: when TensorRT is missing, or an engine is missing, stale or foreign.
    """
    from spatia_ros.engine.tensorrt_engine import TensorRtEngine

    return {part: TensorRtEngine(path, GRAPHS[part]) for part, path in plans(folder, bundle, host(), cache_folder()).items()}

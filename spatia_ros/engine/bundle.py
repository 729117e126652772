"""An engine folder of format 3: five graphs, their weights once a precision, and a manifest that says what they are."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spatia_ros.engine.table import GRAPHS, MODEL
from spatia_ros.types import SpatiaError

MANIFEST = "manifest.json"
FORMAT = 3
"""From 3 on the networks are told where the surface lies that a ray meets: their rays have nine channels."""
FP32, FP16, INT8 = "fp32", "fp16", "int8"
WEIGHTS = "weights"
MAX_GRAPH_BYTES, MAX_WEIGHTS_BYTES, MAX_MANIFEST_BYTES = 64 << 20, 16 << 30, 1 << 20


class File(BaseModel):
    """One file of an engine folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    bytes: int = Field(ge=1, le=MAX_WEIGHTS_BYTES)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Bundle(BaseModel):
    """What the manifest of a format 3 engine says.

    Args:
        network: the model's own configuration.
        sizes: what the table's names in ``MODEL`` are.
        files: by precision, then by graph (and ``weights``).
        figures: measured when it was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    name: str
    network: dict[str, Any]
    sizes: dict[str, int]
    files: dict[str, dict[str, File]]
    command: str
    steps: int
    figures: dict[str, Any]

    def file(self, precision: str, part: str) -> File:
        """One file.

        Raises:
            SpatiaError: when the engine has none of this precision.
        """
        if precision not in self.files:
            raise SpatiaError(f"engine {self.name}: expected one of {sorted(self.files)}, got precision {precision!r}")
        return self.files[precision][part]


def engines_folder() -> Path:
    """Where the shipped engines are: beside the package in a checkout, in share/ of an installation."""
    here = Path(__file__).resolve()
    candidates = [here.parents[2] / "engines", here.parents[1] / "engines"]
    candidates += [parent / "share" / "spatia_ros" / "engines" for parent in here.parents]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise SpatiaError(f"engines: expected a folder of engines at one of {[str(c) for c in candidates[:2]]}, found none")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe(path: Path) -> File:
    """A file as a manifest names it."""
    return File(file=path.name, bytes=path.stat().st_size, sha256=sha256(path))


def folder_of(name: str) -> Path:
    """The folder of an engine: a path when there is a slash in it, else among the shipped ones."""
    folder = Path(name) if "/" in name else engines_folder() / name
    if not folder.is_dir():
        shipped = sorted(p.parent.name for p in engines_folder().glob(f"*/{MANIFEST}"))
        others = f"a folder with {MANIFEST} (generator.name may be 'projection' too)"
        raise SpatiaError(f"engine {name!r}: expected one of {shipped} or {others}")
    return folder


def _read(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise SpatiaError(f"engine {folder}: expected {MANIFEST}, found none")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise SpatiaError(f"engine {path}: expected at most {MAX_MANIFEST_BYTES} bytes, got {path.stat().st_size}")
    try:
        values = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise SpatiaError(f"engine {path}: not a manifest: {error}") from None
    if not isinstance(values, dict):
        raise SpatiaError(f"engine {path}: not a manifest: expected an object, got {type(values).__name__}")
    return values


def read_bundle(folder: Path) -> Bundle:
    """The manifest of an engine folder of format 3.

    Raises:
        SpatiaError: when there is none, it is not one, or it lacks a graph.
    """
    try:
        bundle = Bundle.model_validate(_read(folder))
    except ValidationError as error:
        raise SpatiaError(f"engine {folder / MANIFEST}: not a manifest of format {FORMAT}: {error}") from None
    if bundle.format != FORMAT:
        made = "made by another version of spatia_ros: train it again (spatia train), or take the one that ships"
        raise SpatiaError(f"engine {folder / MANIFEST}: expected format {FORMAT}, got {bundle.format}, {made}")
    for precision, files in bundle.files.items():
        if missing := {*GRAPHS, WEIGHTS} - files.keys():
            raise SpatiaError(f"engine {folder / MANIFEST}: {precision}: expected {sorted(GRAPHS)}, lacks {sorted(missing)}")
    if missing := set(MODEL) - bundle.sizes.keys():
        raise SpatiaError(f"engine {folder / MANIFEST}: sizes: expected {list(MODEL)}, lacks {sorted(missing)}")
    return bundle


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write the manifest, whole or not at all."""
    partial = folder / (MANIFEST + ".partial")
    partial.write_text(json.dumps(bundle.model_dump(), indent=1) + "\n")
    os.replace(partial, folder / MANIFEST)


def checked_file(folder: Path, bundle: Bundle, precision: str, part: str) -> Path:
    """The path of a file that is what the manifest says: its size first, then its digest.

    Raises:
        SpatiaError: when it is missing or another one.
    """
    named = bundle.file(precision, part)
    path = folder / named.file
    most = MAX_WEIGHTS_BYTES if part == WEIGHTS else MAX_GRAPH_BYTES
    if named.bytes > most:
        raise SpatiaError(f"engine {path}: expected at most {most} bytes, its manifest says {named.bytes}")
    again = f"restore it, or write it anew: spatia export {folder}"
    got = path.stat().st_size if path.is_file() else 0
    if got != named.bytes:
        raise SpatiaError(f"engine {path}: expected {named.bytes} bytes, got {got}; {again}")
    if sha256(path) != named.sha256:
        raise SpatiaError(f"engine {path}: expected the file its manifest names (sha256 {named.sha256[:12]}...); {again}")
    return path


def checked_graph(folder: Path, bundle: Bundle, precision: str, graph: str) -> Path:
    """The path of a checked graph whose tensors all lie inside its checked weights.

    Raises:
        SpatiaError: when either is another file, or the graph reaches outside its weights.
    """
    import onnx

    path, weights = checked_file(folder, bundle, precision, graph), bundle.file(precision, WEIGHTS)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf raises its own, and UnicodeDecodeError
        raise SpatiaError(f"engine {path}: expected an ONNX graph, got {type(error).__name__}: {error!s:.200}") from None
    for tensor in tensors_in(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL and not tensor.external_data:
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        numbers = [where.get(key, "0") for key in ("offset", "length")]
        fit = all(number.isascii() and number.isdecimal() and len(number) < 20 for number in numbers)
        if where.get("location") != weights.file or not fit or not 0 < sum(map(int, numbers)) <= weights.bytes:
            raise SpatiaError(f"engine {path}: {tensor.name!r:.80}: expected data inside {weights.file}, got {where!r:.90}")
    return path


def tensors_in(message: Any) -> Iterator[Any]:
    """Every tensor in an ONNX model: of its graph, of the attributes and branches of its nodes, of its functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            # Of one message and of many alike: a field that repeats is no message itself.
            for each in value if not hasattr(value, "DESCRIPTOR") else [value]:
                yield from tensors_in(each)

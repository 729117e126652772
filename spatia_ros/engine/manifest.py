"""A shipped engine: a folder with a network, its weights, and a manifest that says what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from spatia_ros.engine.onnx_runtime import OnnxRuntimeEngine
from spatia_ros.generator import Engine
from spatia_ros.types import SpatiaError

MANIFEST = "manifest.json"
FORMAT = 1


class Manifest(BaseModel):
    """What ``engines/<name>/manifest.json`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    name: str
    network: dict[str, Any]
    onnx: str
    onnx_sha256: str
    weights: str
    weights_sha256: str
    command: str
    steps: int
    figures: dict[str, Any]


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


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an engine folder.

    Raises:
        SpatiaError: when there is none, or it is not one.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise SpatiaError(f"engine {folder}: expected {MANIFEST}, found none")
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text()))
    except (ValidationError, json.JSONDecodeError) as error:
        raise SpatiaError(f"engine {path}: not a manifest: {error}") from None
    if manifest.format != FORMAT:
        raise SpatiaError(f"engine {path}: expected format {FORMAT}, got {manifest.format}")
    return manifest


def open_engine(name: str, threads: int) -> Engine:
    """The ONNX Runtime engine of a shipped generator by name, or of a folder with a manifest.

    Raises:
        SpatiaError: when it is missing, or its network is not the one the manifest names.
    """
    folder = Path(name) if "/" in name else engines_folder() / name
    if not folder.is_dir():
        shipped = sorted(p.parent.name for p in engines_folder().glob(f"*/{MANIFEST}"))
        raise SpatiaError(f"generator {name!r}: expected 'projection', one of {shipped}, or a folder with {MANIFEST}")
    manifest = read_manifest(folder)
    for file, digest in ((manifest.onnx, manifest.onnx_sha256), (manifest.weights, manifest.weights_sha256)):
        path = folder / Path(file).name
        if not path.is_file() or sha256(path) != digest:
            raise SpatiaError(
                f"engine {path}: expected the file its manifest names (sha256 {digest[:12]}...); restore it, "
                f"or write the network anew with: spatia export {folder}"
            )
    return OnnxRuntimeEngine(folder / Path(manifest.onnx).name, threads, manifest.weights_sha256)

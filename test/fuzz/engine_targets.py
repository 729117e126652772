"""Engine folders: manifests, graphs, weights, records of what was built; right in their checksums, wrong in what they say."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from file_target import FileTarget
from tiny_engine import tiny_engine

from spatia_ros.engine import built, bundle, weights_file
from spatia_ros.generator.big import layout
from spatia_ros.train import checkpoint, grid_file

SAFETENSORS_WORDS = (b'"data_offsets":[0,99999999999]', b'"dtype":"F64"', b'"shape":[-1]', b'"__metadata__":{"a":1}', b'"BF16"')
ONNX_WORDS = (b"../../etc/passwd", b"location", b"offset", b"-1", b"weights_fp32.safetensors", b"length")


def checked(folder: Path) -> None:
    """Everything the runtimes ask of an engine folder before they load it."""
    found = bundle.read_bundle(folder)
    for precision in sorted(found.files):
        bundle.checked_file(folder, found, precision, bundle.WEIGHTS)
        for part in sorted(set(found.files[precision]) - {bundle.WEIGHTS}):
            bundle.checked_graph(folder, found, precision, part)


class Resigned(FileTarget):
    """One file of an engine folder damaged, and the manifest telling its new size and digest."""

    def __init__(self, name: str, file: str, engine: Path, words: tuple[bytes, ...]) -> None:
        super().__init__(name, file, [(engine / file).read_bytes()], self._signed, whole=False, words=words)
        self._engine = engine

    def _signed(self, path: Path) -> None:
        folder, manifest = path.parent, json.loads((self._engine / bundle.MANIFEST).read_text())
        for source in self._engine.iterdir():
            target = folder / source.name
            if source.name != path.name and source.name != bundle.MANIFEST and not target.exists():
                target.symlink_to(source)
        said = bundle.describe(path).model_dump() if path.stat().st_size else None
        for files in manifest["files"].values():
            for part, file in files.items():
                if file["file"] == path.name and said:
                    files[part] = said
        (folder / bundle.MANIFEST).write_text(json.dumps(manifest))
        checked(folder)
        if path.suffix == ".safetensors":
            weights_file.places(path)

    def take(self, value: bytes) -> bool:
        # The folder is filled on the way; what must not change is the file.
        path = self._ready() / self._file
        path.write_bytes(value)
        self._signed(path)
        return True


def targets() -> Iterator[FileTarget]:
    """All of them."""
    engine = tiny_engine()
    manifest = json.loads((engine / bundle.MANIFEST).read_text())

    def files(at: Path) -> None:
        for source in engine.iterdir():
            if source.name != bundle.MANIFEST:
                (at / source.name).symlink_to(source)

    text = json.dumps(manifest).encode()
    yield FileTarget("engine_manifest", bundle.MANIFEST, [text], checked, whole=True, beside=files, tree=manifest)
    graphs = sorted(manifest["files"]["fp32"].items(), key=lambda item: item[1]["bytes"])
    smallest = next(file["file"] for part, file in graphs if part != bundle.WEIGHTS)
    yield Resigned("engine_graph", smallest, engine, ONNX_WORDS)
    top = Path(tempfile.mkdtemp(prefix="fuzz-valid-"))
    small = {"a": torch.zeros(3, 2), "b": torch.ones(4)}
    checkpoint.save_tensors(top / "w.safetensors", small, {"state": json.dumps({"step": 3})})
    tensors = (top / "w.safetensors").read_bytes()
    yield FileTarget("weights_places", "w.safetensors", [tensors], weights_file.places, words=SAFETENSORS_WORDS)
    yield FileTarget("weights_big", "w.safetensors", [tensors], layout.read_tensors, words=SAFETENSORS_WORDS)
    network = torch.nn.Linear(2, 3)
    checkpoint.save_tensors(top / "n.safetensors", dict(network.state_dict()))
    load = lambda p: checkpoint.load_weights(p, torch.nn.Linear(2, 3))  # noqa: E731
    yield FileTarget("weights_network", "n.safetensors", [(top / "n.safetensors").read_bytes()], load, words=SAFETENSORS_WORDS)
    host = {"tensorrt": "10.3", "gpu": "a", "sm": "8.7", "cuda": "12.6"}
    key = {"onnx": "a" * 64, "weights": "b" * 64, "precision": "fp16", "profile": "p", "options": "o", "host": host}
    said = {"decode": {"key": key, "file": "decode.plan", "sha256": "c" * 64, "bytes": 9}}
    path = built.RECORD
    yield FileTarget("engine_records", path, [json.dumps(said).encode()], built.read_records, whole=True, tree=said)
    grid_file.write_row(top / "row.npz", _row())
    yield FileTarget("grid_row", "row.npz", [(top / "row.npz").read_bytes()], grid_file.read_row)


def _row() -> grid_file.Row:
    rng, n = np.random.default_rng(0), 2
    rgb = rng.integers(0, 255, (n, 4, 5, 3), np.uint8)
    return grid_file.Row(
        np.arange(n) * 1.0, np.eye(4), rgb, rng.random((n, 4, 5)).astype(np.float32), np.zeros((n, 4, 5), np.uint16)
    )

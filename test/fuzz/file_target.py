"""A target that is a reader of files: each input is a file's bytes, and the folder it lies in."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from mutator import damaged
from target import Wrong
from value_trees import near

Read = Callable[[Path], Any]
QUICK = (
    "config_override", "phrase", "tum_poses", "tum_groundtruth", "tum_rgb", "tum_depth", "w2c_intrinsics", "folder_matrix",
    "cloud_ply", "mesh_glb", "mesh_dae", "mesh_obj", "image_jpg", "weights_places", "weights_big",
)  # fmt: skip
"""A millisecond an input: these get many."""
SHARE = dict.fromkeys(QUICK, 8.0) | dict.fromkeys(("config", "actor_script", "bag_metadata", "mesh_gltf", "cast_values"), 0.5)


class FileTarget:
    """A reader, valid files to begin with, and the name the damaged file gets.

    Args:
        name: of the target. file: the name the input is written to (``a/b`` for one inside a folder that ``beside`` fills).
        valid: bytes of valid files. read: reads the path; ``whole``: it reads the folder instead.
        beside: writes what else the folder needs. words: what means something in this format.
        tree: a valid value, for formats that are JSON or YAML: Hypothesis changes it, ``text`` writes it.
    """

    def __init__(
        self,
        name: str,
        file: str,
        valid: Sequence[bytes],
        read: Read,
        *,
        whole: bool = False,
        beside: Callable[[Path], None] | None = None,
        words: Sequence[bytes] = (),
        tree: Any = None,
        text: Callable[[Any], str] = json.dumps,
        sealed: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.name, self.suffix, self._file, self._valid = name, Path(file).suffix or ".bin", file, list(valid)
        self._read, self._whole, self._beside, self._words, self._sealed = read, whole, beside, words, sealed
        self._tree, self._text = tree, text
        self._folder: Path | None = None
        self.share = SHARE.get(name, 1.0)

    def take_valid(self) -> None:
        """Valid files are read: else what is tried would only be the first check."""
        for data in self._valid:
            self.take(data)

    def damaged(self, rng: random.Random) -> bytes:
        data = damaged(rng, rng.choice(self._valid), self._words)
        return self._sealed(data) if self._sealed and rng.random() < 0.8 else data

    def strategy(self) -> st.SearchStrategy[bytes] | None:
        if self._tree is None:
            return None
        return near(self._tree).map(self._written)

    def _written(self, tree: Any) -> bytes:
        try:
            return self._text(tree).encode(errors="surrogatepass")
        except (TypeError, ValueError, OverflowError, yaml.YAMLError, RecursionError):
            return b"?"

    def take(self, value: bytes) -> bool:
        folder = self._ready()
        path = folder / self._file
        path.write_bytes(value)
        before = sorted(p.name for p in folder.iterdir())
        try:
            self._read(folder if self._whole else path)
        finally:
            if path.read_bytes() != value or sorted(p.name for p in folder.iterdir()) != before:
                raise Wrong("expected that reading changes nothing, the folder is another")
        return True

    def _ready(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{self.name}-"))
            (self._folder / self._file).parent.mkdir(parents=True, exist_ok=True)
            if self._beside:
                self._beside(self._folder)
        return self._folder

    def to_bytes(self, value: bytes) -> bytes:
        return value

    def from_bytes(self, data: bytes) -> bytes:
        return data

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def as_yaml(tree: Any) -> str:
    """A tree as YAML, in one of its styles."""
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None)

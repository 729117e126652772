"""Writing a file or folder that is either complete or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spatia_ros.types import SpatiaError


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A path to create instead, moved to ``path`` when all went well and removed when not.

    Raises:
        SpatiaError: when ``path`` exists: recordings are never overwritten.
    """
    if path.exists():
        raise SpatiaError(f"{path}: expected a new name, got one that exists; recordings are not overwritten")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        yield draft
        os.rename(draft, path)

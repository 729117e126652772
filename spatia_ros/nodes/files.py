"""The one folder that services may read and write in."""

from __future__ import annotations

from pathlib import Path

from spatia_ros.types import SpatiaError


class DataFolder:
    """Files named by others, confined to a folder.

    Args:
        root: the folder; links in it are followed only to places inside it.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser().resolve()

    def inside(self, name: str) -> Path:
        """The file of a name, relative to the folder or absolute within it.

        Raises:
            SpatiaError: on an empty name, or one that leads out of the folder (by .., a link, or a
                path from elsewhere).
        """
        if not name or "\0" in name:
            raise SpatiaError(f"path: expected the name of a file, got {name!r}")
        path = (self.root / name).resolve()
        if path == self.root or not path.is_relative_to(self.root):
            raise SpatiaError(f"path: expected a file inside the data folder {self.root}, got {name!r}")
        return path

    def to_write(self, name: str, suffix: str) -> Path:
        """A file that may be written: inside the folder, and of the suffix, so that nothing else is overwritten."""
        path = self.inside(name)
        if path.suffix != suffix or path.is_dir():
            raise SpatiaError(f"path: expected the name of a {suffix} file, got {name!r}")
        return path

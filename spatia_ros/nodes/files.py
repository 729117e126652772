"""The one folder that services may read and write in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from spatia_ros.types import SpatiaError

MAX_NAME_BYTES = 1024
MAX_ENTRIES = 200_000
"""Entries of a folder that is named, those below included: more are not looked through."""


class DataFolder:
    """Files named by others, confined to a folder.

    A name is resolved at once, links and all, and what comes out is used from then on: a name cannot lead out, nor to a
    device, pipe or socket (which would keep a reader waiting for ever). Who may change the folder itself while a call
    runs is trusted: see docs/security.md.

    Args:
        root: the folder; links in it are followed only to places inside it.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser().resolve()

    def inside(self, name: str) -> Path:
        """The file or folder of a name, relative to the data folder or absolute within it; it need not be there.

        Raises:
            SpatiaError: on an empty name, or one that leads out of the folder (by .., a link, or a path from elsewhere; of
                a folder: a link anywhere in it), or to something that is neither file nor folder.
        """
        if not name or "\0" in name or len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
            raise SpatiaError(f"path: expected the name of a file, at most {MAX_NAME_BYTES} bytes, got {name!r:.100}")
        try:
            path = (self.root / name).resolve()
            kind = path.stat().st_mode if path.exists() else stat.S_IFREG
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a part too long, no right to look
            raise SpatiaError(f"path: expected the name of a file, got {name!r:.100}: {error!s:.100}") from None
        if path == self.root or not path.is_relative_to(self.root):
            raise SpatiaError(f"path: expected a file inside the data folder {self.root}, got {name!r:.200}")
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise SpatiaError(f"path: expected a file, got a device, pipe or socket: {name!r:.200}")
        if stat.S_ISDIR(kind):
            self._check_links(path, name)
        return path

    def to_write(self, name: str, suffix: str) -> Path:
        """A file that may be written: inside the folder, and of the suffix, so that nothing else is overwritten."""
        path = self.inside(name)
        if path.suffix != suffix or path.is_dir():
            raise SpatiaError(f"path: expected the name of a {suffix} file, got {name!r:.200}")
        return path

    def _check_links(self, folder: Path, name: str) -> None:
        """Readers of a folder open what is in it by name: none of it may lead out."""
        entries = 0
        for above, folders, files in os.walk(folder):
            entries += len(folders) + len(files)
            if entries > MAX_ENTRIES:
                raise SpatiaError(f"path: expected a folder of at most {MAX_ENTRIES} entries, got more in {name!r:.200}")
            for each in (*folders, *files):
                path = Path(above, each)
                if path.is_symlink() and not self._is_within(path):
                    raise SpatiaError(f"path: expected a folder whose links stay inside the data folder, got {name!r:.200}")

    def _is_within(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):
            return False

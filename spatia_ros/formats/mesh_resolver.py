"""What a mesh file may bring along: textures and materials beside it, as files, of bounded size. And no document types."""

from __future__ import annotations

from pathlib import Path

from trimesh.resolvers import FilePathResolver

from spatia_ros.types import SpatiaError

MAX_BESIDE_BYTES = 1 << 28


class Beside(FilePathResolver):
    """Files of the mesh's own folder and those below; a pipe or device there would be read for ever."""

    def get(self, name: str) -> bytes:
        """The bytes of a file that the mesh names.

        Raises:
            SpatiaError: when it leads out of the folder, is no file, or is too large.
        """
        try:
            path = self.absolute(name)
            fit = path.is_file() and path.stat().st_size <= MAX_BESIDE_BYTES
        except (OSError, ValueError, RuntimeError):
            fit = False
        if not fit:
            raise SpatiaError(f"mesh: expected one beside {self.file_name}, at most {MAX_BESIDE_BYTES} bytes, got {name!r:.200}")
        return path.read_bytes()

    def namespaced(self, namespace: str) -> Beside:
        """The same for a folder below."""
        return Beside(str(Path(self.parent) / namespace))


def check_document(path: Path) -> None:
    """Refuse XML with a document type: entities stand for other files, and for any amount of text.

    Raises:
        SpatiaError: when there is one, or the text is in an encoding in which it could hide.
    """
    before = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            seen = before + block
            if b"\0" in seen or b"<!DOCTYPE" in seen or b"<!ENTITY" in seen or (not before and b"UTF-7" in seen[:200].upper()):
                raise SpatiaError(f"mesh: {path}: expected plain XML in UTF-8, got a document type or another encoding")
            before = block[-16:]  # what is looked for may lie across the end of a block

"""Message definitions: those of ROS, and those that installed packages bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from rosbags.typesys import Stores, get_types_from_msg, get_typestore


class Definitions:
    """What a recording says of the types in it."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_JAZZY)

    def learn(self, kind: str) -> None:
        """Make ``package/msg/Name`` and all it is made of known.

        Raises:
            LookupError: when no installed package has it.
        """
        if kind in self.store.fielddefs:
            return
        package, _, name = kind.split("/")
        try:
            text = (Path(get_package_share_directory(package)) / "msg" / f"{name}.msg").read_text()
        except (OSError, LookupError) as error:
            raise LookupError(f"no definition of {kind}: {error}") from None
        found = get_types_from_msg(text, kind)
        for _, fields in found.values():
            for _, field in fields:
                for nested in _names_in(field):
                    if nested not in found:
                        self.learn(nested)
        self.store.register(found)

    def of(self, kind: str) -> tuple[str, str]:
        """The text of a type with all it is made of, and its hash (RIHS01).

        Raises:
            LookupError: when no installed package has it.
        """
        self.learn(kind)
        return self.store.generate_msgdef(kind, ros_version=2)[0], self.store.hash_rihs01(kind)


def _names_in(field: Any) -> list[str]:
    """The message names in a parsed field type (arrays nest their element)."""
    if isinstance(field, tuple):
        return [name for part in field for name in _names_in(part)]
    return [field] if isinstance(field, str) and "/msg/" in field else []

"""Parameters that name files: who starts a node may name any, who sets them over ROS only what lies in the data folder.

An unconfigured node takes new parameters from anybody on the graph; without this, a new ``data_dir`` would open the whole disk
to the services.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spatia_ros.nodes.files import DataFolder
from spatia_ros.types import SpatiaError

FIXED = ("data_dir",)
"""Set when the node is started, and never again."""
PATHS = ("source.sequence", "source.memory", "source.place", "source.actors", "rig.file", "checkpoint.folder")
"""Files and folders; relative ones start in the data folder."""
WORDS = ("", "builtin")
"""What stands for no file."""
ENGINES = ("generator.name",)
"""Names of what is shipped, or folders from anywhere."""


def check_paths(started: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Hold parameters that are to be set to what they were when the node was started, or to the data folder.

    Raises:
        SpatiaError: naming the first that leads elsewhere.
    """
    for name in FIXED:
        if name in wanted and wanted[name] != started[name]:
            kept = f"expected {started[name]!r:.200}: it is set when the node is started"
            raise SpatiaError(f"{name}: {kept}, got {wanted[name]!r:.200}")
    for name in PATHS:
        value = wanted.get(name, "")
        if value in WORDS or value == started.get(name):
            continue
        try:
            DataFolder(str(started["data_dir"])).inside(str(value))
        except SpatiaError as error:
            raise SpatiaError(f"{name}: {error}") from None
    for name in ENGINES:
        value = str(wanted.get(name, ""))
        if value != started.get(name) and ("/" in value or value.startswith(".")):
            shipped = "expected the name of a shipped engine: a folder is named when the node is started"
            raise SpatiaError(f"{name}: {shipped}, got {value!r:.200}")

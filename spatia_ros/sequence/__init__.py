"""Recorded RGB-D sequences: read (TUM RGB-D folders, rosbag2, MCAP), resized on demand."""

from __future__ import annotations

from pathlib import Path

from spatia_ros.sequence.sequence import Sequence
from spatia_ros.sequence.tum import read_tum
from spatia_ros.types import SpatiaError

__all__ = ["Sequence", "open_sequence"]

BAG_SUFFIXES = (".mcap", ".db3")


def open_sequence(path: Path | str) -> Sequence:
    """The recording at ``path``: a TUM RGB-D folder, a rosbag2 folder, or one .mcap or .db3 file.

    Raises:
        SpatiaError: when nothing known is there, or when what is there is malformed.
    """
    path = Path(path)
    if (path / "rgb.txt").is_file():
        return read_tum(path)
    raise SpatiaError(
        f"sequence: expected a folder with rgb.txt (TUM RGB-D), got {path}" + ("" if path.exists() else ", which does not exist")
    )

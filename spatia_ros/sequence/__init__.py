"""Recorded RGB-D sequences: read (TUM RGB-D folders, rosbag2, MCAP, plain folders), resized on demand, and written."""

from __future__ import annotations

from pathlib import Path

from spatia_ros.sequence.bag import read_bag
from spatia_ros.sequence.bag_topics import BagTopics
from spatia_ros.sequence.bag_writer import write_bag
from spatia_ros.sequence.folder import is_image_folder, read_folder
from spatia_ros.sequence.sequence import Poses, Sequence
from spatia_ros.sequence.tum import read_tum
from spatia_ros.sequence.tum_writer import write_tum
from spatia_ros.types import SpatiaError

__all__ = ["BagTopics", "Poses", "Sequence", "open_sequence", "write_bag", "write_tum"]

BAG_SUFFIXES = (".mcap", ".db3")


def open_sequence(path: Path | str, topics: BagTopics | None = None, poses: Poses = "required") -> Sequence:
    """The recording at ``path``: a TUM RGB-D folder, a rosbag2 folder, one .mcap or .db3 file, or a folder of images.

    Args:
        topics: which topics of a bag to read, where neither its topics.yaml nor the bag itself makes that clear.
        poses: "required": a recording without them is refused; "any": taken where there are any; "none": left aside.

    Raises:
        SpatiaError: when nothing known is there, or when what is there is malformed.
    """
    path = Path(path)
    if (path / "rgb.txt").is_file():
        return read_tum(path, poses)
    if (path / "metadata.yaml").is_file() or (path.is_file() and path.suffix in BAG_SUFFIXES):
        return read_bag(path, topics, poses)
    if is_image_folder(path):
        if poses == "required":
            raise SpatiaError(f"{path}: expected poses, got a folder of images alone: map it with tracked poses")
        return read_folder(path)
    got = str(path) if path.exists() else f"{path}, which does not exist"
    known = "a TUM RGB-D folder (with rgb.txt), a rosbag2 folder (with metadata.yaml), or a .mcap or .db3 file"
    raise SpatiaError(f"sequence: expected {known}, got {got}")

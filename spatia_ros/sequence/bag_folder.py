"""A rosbag2 folder in MCAP being written: its files one after the other, and metadata.yaml, which names those that are whole.

The file being written ends in ``.partial``; a folder whose writer was killed is taken up again, or mended, and has then all
that was flushed.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spatia_ros.formats.plain_yaml import parse_yaml
from spatia_ros.sequence.mcap_file import McapFile
from spatia_ros.sequence.mcap_file import mend as mend_file
from spatia_ros.sequence.mcap_records import Topic
from spatia_ros.types import SpatiaError

METADATA, PARTIAL = "metadata.yaml", ".partial"
VERSION = 9
"""Of the metadata: that of ROS 2 Jazzy."""
NEVER = {"sec": 9223372036, "nsec": 854775807}


class _Whole(NamedTuple):
    """One finished file."""

    name: str
    begin_ns: int
    duration_ns: int
    messages: int


def qos_profile(*, reliable: bool, latched: bool, depth: int = 10) -> dict[str, Any]:
    """An offered quality of service as rosbag2 writes it down."""
    return {
        "history": "keep_last", "depth": depth, "reliability": "reliable" if reliable else "best_effort",
        "durability": "transient_local" if latched else "volatile", "deadline": dict(NEVER), "lifespan": dict(NEVER),
        "liveliness": "automatic", "liveliness_lease_duration": dict(NEVER), "avoid_ros_namespace_conventions": False,
    }  # fmt: skip


def qos_text(profiles: list[dict[str, Any]]) -> str:
    """Offered qualities of service as a channel's metadata has them."""
    return str(yaml.safe_dump(profiles, sort_keys=False, default_flow_style=False)).strip()


class BagFolder:
    """Takes serialised messages.

    Args:
        folder: made new, or, with ``go_on``, taken up where its writer left off, closed or not.
        split_bytes, split_s: a file that is longer than this (in bytes, or in log time) is followed by another; 0: never.
        compressed: see :class:`.McapFile`.

    Raises:
        SpatiaError: when the folder exists (without ``go_on``), or is no bag. OSError: as the disk says.
    """

    def __init__(
        self, folder: Path, *, split_bytes: int = 0, split_s: float = 0.0, compressed: bool = True, go_on: bool = False
    ) -> None:
        if folder.exists() and not go_on:
            raise SpatiaError(f"{folder}: expected a new name, got one that exists; recordings are not overwritten")
        folder.mkdir(parents=True, exist_ok=go_on)
        self.folder, self._split_bytes, self._split_ns, self._compressed = folder, split_bytes, round(split_s * 1e9), compressed
        self._whole: list[_Whole] = []
        self._topics: list[Topic] = []
        self.counts: Counter[str] = Counter()
        """Messages by topic."""
        self.last_ns: dict[str, int] = {}
        """Log time of the last of them."""
        if go_on:
            self._take_up()
        self._file: McapFile | None = None

    def add(self, topic: Topic) -> int:
        """The number of a topic; the same one for a topic that is there already."""
        for number, known in enumerate(self._topics):
            if (known.name, known.kind) == (topic.name, topic.kind):
                self._topics[number] = topic  # its definition, where it came out of the file
                return number
        self._topics.append(topic)
        return len(self._topics) - 1

    def write(self, number: int, log_ns: int, data: bytes | memoryview) -> None:
        """Add a message of a topic."""
        if self._file is not None and self._is_full(self._file, log_ns):
            self._finish(self._file)
            self._file = None
        if self._file is None:
            name = f"{self.folder.name}_{len(self._whole)}.mcap"
            self._file = McapFile(self.folder / (name + PARTIAL), compressed=self._compressed)
        topic = self._topics[number]
        self._file.write(self._file.add(topic), log_ns, data)
        self.counts[topic.name] += 1
        self.last_ns[topic.name] = max(self.last_ns.get(topic.name, log_ns), log_ns)

    def flush(self) -> None:
        """What was written survives the death of this process."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Finish the last file, and tell of all of them."""
        if self._file is not None:
            self._finish(self._file)
        self._tell()

    def abandon(self) -> None:
        """Let go of the folder as it is on disk."""
        if self._file is not None:
            self._file.abandon()

    def _is_full(self, file: McapFile, log_ns: int) -> bool:
        long = self._split_ns and log_ns - file.span_ns[0] >= self._split_ns
        return bool(long or (self._split_bytes and file.size >= self._split_bytes))

    def _finish(self, file: McapFile) -> None:
        name = file.path.name.removesuffix(PARTIAL)
        self._note(name, file)
        file.close(yaml.safe_dump(self._metadata(), sort_keys=False))
        os.replace(file.path, self.folder / name)
        self._tell()

    def _note(self, name: str, file: McapFile) -> None:
        begin_ns, end_ns = file.span_ns
        self._whole.append(_Whole(name, begin_ns, end_ns - begin_ns, sum(file.counts.values())))

    def _tell(self) -> None:
        partial = self.folder / (METADATA + PARTIAL)
        partial.write_text(yaml.safe_dump({"rosbag2_bagfile_information": self._metadata()}, sort_keys=False))
        os.replace(partial, self.folder / METADATA)

    def _metadata(self) -> dict[str, Any]:
        """What metadata.yaml says of the files that are whole."""
        filled = [each for each in self._whole if each.messages]
        begin_ns = min((each.begin_ns for each in filled), default=0)
        end_ns = max((each.begin_ns + each.duration_ns for each in filled), default=0)
        topics = [
            {"topic_metadata": {
                "name": topic.name, "type": topic.kind, "serialization_format": "cdr",
                "offered_qos_profiles": parse_yaml(topic.qos, topic.name) or [], "type_description_hash": topic.type_hash,
            }, "message_count": self.counts[topic.name]}
            for topic in self._topics
        ]  # fmt: skip
        return {
            "version": VERSION, "storage_identifier": "mcap", "duration": {"nanoseconds": end_ns - begin_ns},
            "starting_time": {"nanoseconds_since_epoch": begin_ns}, "message_count": sum(each.messages for each in self._whole),
            "topics_with_message_count": topics, "compression_format": "", "compression_mode": "",
            "relative_file_paths": [each.name for each in self._whole],
            "files": [{
                "path": each.name, "starting_time": {"nanoseconds_since_epoch": each.begin_ns},
                "duration": {"nanoseconds": each.duration_ns}, "message_count": each.messages,
            } for each in self._whole],
            "custom_data": None, "ros_distro": "jazzy",
        }  # fmt: skip

    def _take_up(self) -> None:
        """Close what was left open, and count what there is, from the files themselves."""
        for path in sorted(self.folder.glob(f"*.mcap{PARTIAL}")):
            McapFile(path, go_on=True).close()
            os.replace(path, path.with_name(path.name.removesuffix(PARTIAL)))
        for path in sorted(self.folder.glob("*.mcap"), key=lambda p: (len(p.name), p.name)):
            file = McapFile(path, go_on=True)
            for number, count in file.counts.items():
                self.add(file.topics[number])
                name, last_ns = file.topics[number].name, file.last_ns.get(number, 0)
                self.counts[name] += count
                self.last_ns[name] = max(self.last_ns.get(name, last_ns), last_ns)
            self._note(path.name, file)
            file.close()


def mend(path: Path) -> tuple[Path, dict[str, int]]:
    """Close a file or folder whose writer could not; returns where it is then, and the messages in it by topic.

    Raises:
        SpatiaError: when it is no bag.
    """
    if path.is_dir():
        if not list(path.glob("*.mcap*")):
            raise SpatiaError(f"{path}: expected a folder with .mcap files, found none")
        bag = BagFolder(path, go_on=True)
        bag.close()
        return path, dict(bag.counts)
    if not path.is_file():
        raise SpatiaError(f"{path}: expected an .mcap file or a folder of them, found none")
    counts, whole = mend_file(path), path.with_name(path.name.removesuffix(PARTIAL))
    if whole != path:
        if whole.exists():
            raise SpatiaError(f"{path}: is mended, but {whole} exists; recordings are not overwritten")
        os.replace(path, whole)
    return whole, counts

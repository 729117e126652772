"""Data sets that grow by whole frames, and go on where they were interrupted: what is on disk is a data set at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from spatia_ros.config import dump
from spatia_ros.record.files import encode_png, write_bytes, write_text
from spatia_ros.record.poses import HEADER, pose_line, stamp_text
from spatia_ros.record.run_folder import ACTORS, RunFolder
from spatia_ros.sequence.tum_writer import DEPTH_SCALE, camera_yaml
from spatia_ros.types import Float64, Step, Trajectory

if TYPE_CHECKING:
    from spatia_ros.world import World


class Taken(NamedTuple):
    """A frame as it is to be written."""

    camera: str
    step: Step  # of one frame
    stamp_ns: int
    T_map_base: Float64
    T_map_cam: Float64


class FrameSet(Protocol):
    """Takes frames one by one; each is whole on disk, or not there, whatever happens."""

    def __len__(self) -> int:
        """Frames written so far."""

    @property
    def last_ns(self) -> int:
        """Stamp of the last of them; -1 without any."""

    def append(self, frame: Taken) -> None:
        """Write a frame.

        Raises:
            OSError: when the disk refuses; the frames before stay.
        """

    def close(self, world: World, complete: bool) -> None:
        """Write what belongs to the whole; on the thread that owns the world."""


class RunSet:
    """Our own layout (:mod:`.run_folder`): poses in the world of the memory that lies beside them.

    Args:
        identity: what the run is made of. world: its configuration is written; whether anybody moves in it decides what else.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], world: World) -> None:
        begun = (path / "config.yaml").is_file()
        with_actors = (path / ACTORS).is_file() if begun else bool(len(world.cast))
        self._config = dump(world.config)
        self.folder = RunFolder(path, dict(identity), world.camera, with_actors=with_actors)
        if begun:
            self.folder.reopen()

    def __len__(self) -> int:
        return len(self.folder)

    @property
    def last_ns(self) -> int:
        """Stamp of the last frame."""
        return int(self.folder.trajectory().stamps_ns[-1]) if len(self.folder) else -1

    def append(self, frame: Taken) -> None:
        """Write a frame, its pose and its figures."""
        if not len(self.folder):
            self.folder.camera = frame.step.camera  # a rig's other cameras are not the world's
            self.folder.create(self._config)
        stamps_ns = np.array([frame.stamp_ns], np.int64)
        self.folder.append(replace(frame.step, trajectory=Trajectory(stamps_ns, frame.step.trajectory.T_world_cam)))
        self.folder.note()

    def close(self, world: World, complete: bool) -> None:
        """Write the memory."""
        if len(self.folder) and not self.folder.complete:
            self.folder.checkpoint(world, complete)


class TumSet:
    """TUM RGB-D layout: rgb/, depth/ and their lists, and groundtruth.txt with T_map_cam. A frame counts by its last line."""

    LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = [_whole_lines(path / name) for name in self.LISTS]
        self._count = min(map(len, lines))
        self.last_ns = _stamp_ns(lines[2][self._count - 1]) if self._count else -1
        for name, found in zip(self.LISTS, lines, strict=True):
            if len(found) > self._count or (found and not _ends_whole(path / name)):
                head = HEADER if name == "groundtruth.txt" else "# timestamp filename\n"
                write_text(path / name, head + "".join(found[: self._count]))

    def __len__(self) -> int:
        return self._count

    def append(self, frame: Taken) -> None:
        """Write both images, then name them in the lists."""
        if not self._count:
            write_text(self.path / "camera.yaml", camera_yaml(frame.step.camera))
            for name in self.LISTS:
                write_text(self.path / name, HEADER if name == "groundtruth.txt" else "# timestamp filename\n")
        stamp, (rgb, depth) = stamp_text(frame.stamp_ns), (frame.step.rgb[0], frame.step.depth[0])
        millimetres = np.round(depth * DEPTH_SCALE)
        millimetres[millimetres > np.iinfo(np.uint16).max] = 0
        for kind, image in (("rgb", rgb), ("depth", millimetres.astype(np.uint16))):
            write_bytes(self.path / kind / f"{stamp}.png", encode_png(image))
        lines = [f"{stamp} rgb/{stamp}.png\n", f"{stamp} depth/{stamp}.png\n", pose_line(frame.stamp_ns, frame.T_map_cam)]
        for name, line in zip(self.LISTS, lines, strict=True):
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(line)
        self._count, self.last_ns = self._count + 1, frame.stamp_ns

    def close(self, world: World, complete: bool) -> None:
        """Nothing is left to write."""


def _whole_lines(path: Path) -> list[str]:
    """The lines of a list that were written to their end, comments left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and not line.startswith("#")]


def _stamp_ns(line: str) -> int:
    seconds, _, nanoseconds = line.split(" ")[0].partition(".")
    return int(seconds) * 10**9 + int(nanoseconds)


def _ends_whole(path: Path) -> bool:
    return path.read_bytes()[-1:] == b"\n"

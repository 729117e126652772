"""The folder of a run: every file whole or not there, and enough in it to go on after an interruption.

    config.yaml           the effective configuration
    poses.txt             the camera path so far (TUM)
    camera.yaml           intrinsics of every frame (ROS calibration file)
    rgb/ depth/ provenance/   one PNG a frame; depth in millimetres, 16 bit, 0 = unknown
    verdict/              what became of each pixel: 0 remembered, 1 accepted into memory, above: why not (slam/verify.py)
    rgb.txt depth.txt     their times, so that the folder is itself a recording in TUM layout
    segmentation/         where there are actors: which one each pixel shows, by number, 16 bit, 0 = the static world
    actors.csv            and where each of them was in each frame (record/actor_table.py)
    timeline.json         figures of every frame
    memory.spatia         the memory at the end
    state.json            how far the run is, and what its next frame depends on
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from spatia_ros.record.actor_table import Row, read_rows, rows_of, write_rows
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.record.poses import stamp_text, write_poses
from spatia_ros.record.shot import Shot
from spatia_ros.sequence.tum_writer import DEPTH_SCALE, camera_yaml
from spatia_ros.types import Camera, SpatiaError, Step, Trajectory

if TYPE_CHECKING:
    from spatia_ros.world import World

STATE, TIMELINE, MEMORY, ACTORS = "state.json", "timeline.json", "memory.spatia", "actors.csv"
FORMAT = 2
_PICTURES, _SEGMENTATION = ("rgb", "depth", "provenance", "verdict"), "segmentation"


class RunFolder(Sequence[Shot]):
    """A run on disk; as a sequence it gives the shots written so far, read when asked for.

    Args:
        path: the folder. identity: what the run is made of (plain values): a folder is only
            continued by a run of the same identity. camera: intrinsics of every frame.
        with_actors: whether there are any, and so a segmentation and a table of them.
    """

    def __init__(self, path: Path, identity: dict[str, Any], camera: Camera, *, with_actors: bool = False) -> None:
        self.path, self.identity, self.camera = path, json.loads(json.dumps(identity)), camera
        self.with_actors = with_actors
        self._actors: list[Row] = []
        self.complete = False
        self._stamps: list[int] = []
        self._poses: list[np.ndarray] = []
        self._figures: list[dict[str, float]] = []

    def __len__(self) -> int:
        return len(self._stamps)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        rgb, depth, provenance, verdict = (self._read(kind, index) for kind in _PICTURES)
        metres, stamp_ns = depth.astype(np.float32) / np.float32(DEPTH_SCALE), self._stamps[index]
        segmentation = self._read(_SEGMENTATION, index) if self.with_actors else None
        colour, figures = rgb[..., ::-1].copy(), self._figures[index]
        return Shot(stamp_ns, self._poses[index], colour, metres, provenance, figures, verdict, segmentation)

    def trajectory(self) -> Trajectory:
        """The path of the frames written so far."""
        return Trajectory(np.array(self._stamps, np.int64), np.stack(self._poses))

    def create(self, config_yaml: str) -> None:
        """Start the folder: configuration and camera."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "config.yaml", config_yaml)
        write_text(self.path / "camera.yaml", camera_yaml(self.camera))

    def append(self, step: Step) -> None:
        """Write the frames of a step; they count once :meth:`checkpoint` is called."""
        for t, frame in enumerate(step.frames()):
            name = self._name(len(self))
            millimetres = np.clip(np.round(frame.depth * DEPTH_SCALE), 0, 65535).astype(np.uint16)
            for kind, picture in zip(_PICTURES, (frame.rgb, millimetres, step.provenance[t], step.verdict[t]), strict=True):
                write_bytes(self.path / kind / name, encode_png(picture))
            if self.with_actors:
                write_bytes(self.path / _SEGMENTATION / name, encode_png(step.segmentation[t]))
                self._actors += rows_of(len(self), frame.stamp_ns, float(step.animation_s[t]), step.actors[t])
            self._stamps.append(frame.stamp_ns)
            self._poses.append(frame.T_world_cam)
            self._figures.append(dict(step.figures))

    def checkpoint(self, world: World, complete: bool = False) -> None:
        """Make all frames so far count: save the memory and what the next frame depends on."""
        memory = MEMORY if complete else f"memory-{len(self):06d}.spatia"
        world.memory.save(self.path / memory, exact=not complete)  # to go on from it to the bit
        self._write(memory, complete, {"index": world.index, "time_ns": world.time_ns, "rng": world.rng.bit_generator.state})

    def note(self) -> None:
        """Make all frames so far count, without what the next one depends on: for a world that lives elsewhere."""
        self._write("", False, {})

    def _write(self, memory: str, complete: bool, onward: dict[str, Any]) -> None:
        self.complete = complete
        stamps = [stamp_text(t) for t in self._stamps]
        for kind in ("rgb", "depth"):
            lines = [f"{stamp} {kind}/{self._name(i)}\n" for i, stamp in enumerate(stamps)]
            write_text(self.path / f"{kind}.txt", "# timestamp filename\n" + "".join(lines))
        if len(self):
            write_poses(self.path / "poses.txt", self.trajectory())
            write_poses(self.path / "groundtruth.txt", self.trajectory())
        if self.with_actors:
            write_rows(self.path / ACTORS, self._actors)
        write_json(self.path / TIMELINE, [{"stamp_ns": t, **f} for t, f in zip(self._stamps, self._figures, strict=True)])
        write_json(self.path / STATE, {
            "format": FORMAT, "complete": complete, "frames": len(self), "memory": memory, "identity": self.identity, **onward,
        })  # fmt: skip
        for old in self.path.glob("memory-*.spatia"):
            if old.name != memory:
                old.unlink()

    def resume(self, world: World) -> None:
        """Continue where the folder's last checkpoint left off: the world becomes what it was then.

        Raises:
            SpatiaError: when the folder holds another run, or is damaged.
        """
        from spatia_ros.memory import Memory

        state = self.reopen()
        if state is None:
            return
        world.memory = Memory.load(self.path / Path(state["memory"]).name)
        world.index, world.time_ns = state["index"], state["time_ns"]
        world.rng.bit_generator.state = state["rng"]

    def reopen(self) -> dict[str, Any] | None:
        """Take up the frames that count, without what the next one depends on; returns the state, None in a new folder.

        Raises:
            SpatiaError: when the folder holds another run, or is damaged.
        """
        from spatia_ros.sequence.tum import read_poses

        state = self._state()
        if state is None:
            return None
        self.complete, frames = state["complete"], state["frames"]
        if frames:
            path = read_poses(self.path / "poses.txt")
            timeline = json.loads((self.path / TIMELINE).read_text())
            if min(len(path), len(timeline)) < frames:  # more of them: the state was still to be written when it ended
                raise SpatiaError(f"{self.path}: expected {frames} poses and figures, got {len(path)} and {len(timeline)}")
            self._stamps, self._poses = path.stamps_ns.tolist()[:frames], list(path.T_world_cam[:frames])
            self._figures = [{k: v for k, v in row.items() if k != "stamp_ns"} for row in timeline[:frames]]
            if self.with_actors:
                self._actors = read_rows(self.path / ACTORS, frames)
        return state

    def _state(self) -> dict[str, Any] | None:
        """The last checkpoint; None when the folder is new."""
        path = self.path / STATE
        if not path.is_file():
            if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / "config.yaml").is_file():
                raise SpatiaError(f"{self.path}: expected a new folder or one of a run, got one with other files")
            return None
        try:
            state = json.loads(path.read_text())
            if state["format"] != FORMAT:
                raise SpatiaError(f"{path}: expected format {FORMAT}, got {state['format']}")
            if state["identity"] != self.identity:
                changed = ", ".join(sorted(k for k in self.identity if state["identity"].get(k) != self.identity[k]))
                raise SpatiaError(f"{self.path}: holds another run ({changed} differ); choose another --out, or --overwrite")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, SpatiaError):
                raise
            raise SpatiaError(f"{path}: expected the state of a run, got {error!r:.200}; use --overwrite") from None
        return state

    def clear(self) -> None:
        """Remove what a run wrote here, and nothing else."""
        for name in (*_PICTURES, _SEGMENTATION):
            for file in (self.path / name).glob("[0-9]*.png"):
                file.unlink()
        lists = ("poses.txt", "groundtruth.txt", "rgb.txt", "depth.txt")
        for name in (STATE, TIMELINE, MEMORY, ACTORS, *lists, "figures.json", "video.mp4", "contact_sheet.png"):
            (self.path / name).unlink(missing_ok=True)
        for file in self.path.glob("memory-*.spatia"):
            file.unlink()

    def _read(self, kind: str, index: int) -> np.ndarray:
        path = self.path / kind / self._name(index)
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise SpatiaError(f"{path}: expected a PNG, found none that decodes")
        return picture

    @staticmethod
    def _name(index: int) -> str:
        return f"{index:06d}.png"

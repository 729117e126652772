"""The making of a map, frame by frame, with its journal: interrupted and gone on with."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np

from spatia_ros.cli.options import progress, progress_bar
from spatia_ros.cli.place import open_sequence_at, timed_sequence_at
from spatia_ros.config import WorldConfig
from spatia_ros.memory import Memory
from spatia_ros.record.map_journal import MapJournal
from spatia_ros.sequence import Sequence as Recorded
from spatia_ros.slam.mapper import Mapper, Poses
from spatia_ros.types import Bool, Float32, SpatiaError, Trajectory, UInt8

CHECKPOINT_S = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """What a map is made from.

    Args:
        recorded: images, and poses where they are not withheld. indices: the frames used.
        truth: the true path, compared with at the end; None: not known.
    """

    recorded: Recorded
    indices: range
    truth: Trajectory | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Source:
        """What the arguments of ``spatia map`` name."""
        from spatia_ros.sequence.tum import read_poses

        recorded = timed_sequence_at(args.sequence) if args.poses == "given" else open_sequence_at(args.sequence, "none")
        end = len(recorded) if args.last is None else min(args.last + 1, len(recorded))
        indices = range(args.first, end, args.every)
        if not len(indices):
            raise SpatiaError(f"--first, --last: expected some of the frames 0..{len(recorded) - 1}, got {args.first}..{end - 1}")
        if args.truth is not None:
            return cls(recorded, indices, read_poses(args.truth))
        withheld = open_sequence_at(args.sequence, "any") if args.poses == "tracked" else None
        return cls(recorded, indices, None if withheld is None or not withheld.posed else withheld.poses or withheld.trajectory())


@dataclass(frozen=True, slots=True)
class Made:
    """A map, and how it was come by.

    Args:
        source: what from. memory: the map.
        path: of every frame with a pose, as believed at the end.
        lost: bool [T], frames observed in which the camera was not tracked. loops: times of both ends of each, ns.
        figures: of mapper and journal. frames: how many were observed. complete: whether all of them were.
        frame_ms: what each frame of this run cost.
    """

    source: Source
    memory: Memory
    path: Trajectory
    lost: Bool
    loops: list[tuple[int, int]]
    figures: dict[str, float]
    frames: int
    complete: bool
    frame_ms: list[float]


class Making:
    """Makes a map with a :class:`Mapper`, one frame after another, and keeps a journal beside it.

    Where poses are given and nothing is corrected, what was mapped before an interruption is read from the memory file.
    A map whose loops may still move it is made again from its first frame: half of it, bent, is not where the
    whole would have started from.

    Args:
        source: frames. config: of the mapper. poses: given or tracked. out: the memory file.
    """

    def __init__(self, source: Source, config: WorldConfig, poses: Poses, out: Path) -> None:
        self.source, self.out, self._poses = source, out, poses
        self.mapper = Mapper(config, source.recorded.camera, poses=poses)
        self._goes_on = poses == "given" and not config.loops.correct_given
        indices = source.indices
        self._identity = {
            "sequence": source.recorded.name, "frames": [indices.start, indices.stop, indices.step], "poses": poses,
            "config": config.model_dump(mode="json"),
        }  # fmt: skip
        self.journal = MapJournal(self._identity)
        self._before = 0
        self._frame_ms: list[float] = []

    @property
    def progress_file(self) -> Path:
        """Where the journal lies while the map is unfinished."""
        return self.out.with_suffix(".progress.json")

    def start_anew(self) -> None:
        """Forget an interrupted run."""
        self.progress_file.unlink(missing_ok=True)

    def resume(self) -> None:
        """Go on with what an interrupted run left; nothing to do where there is none.

        Raises:
            SpatiaError: when the journal is damaged, or of another map.
        """
        journal = MapJournal.read(self.progress_file, self._identity)
        if not len(journal):
            return
        if not self._goes_on:
            print(f"{self.out}: was interrupted after {len(journal)} frames; loops may move all of it, so it is made again")
            return
        self.mapper.map.memory = Memory.load(self.out)
        self.journal, self._before = journal, len(journal)
        print(f"{self.out}: {len(journal)} of {len(self.source.indices)} frames are there already")

    def go(self, stop: Event) -> None:
        """Observe the frames that are still missing, until ``stop`` is set."""
        saved_s = time.monotonic()
        indices = self.source.indices[self._before :]
        with progress_bar("mapping", len(self.source.indices), self._before) as bar:
            for index in indices:
                said = self._observe(index)
                bar.set_postfix_str(said, refresh=False)
                bar.update()
                if stop.is_set():
                    break
                if self._goes_on and time.monotonic() - saved_s > CHECKPOINT_S:
                    self._checkpoint()
                    saved_s = time.monotonic()

    def _observe(self, index: int) -> str:
        """Take one frame in; returns what to say beside the bar."""
        recorded, journal = self.source.recorded, self.journal
        rgb, depth = recorded.images(index)
        began = time.monotonic()
        given = recorded.T_world_cam[index] if self._poses == "given" else None
        step = self.mapper.observe(rgb, depth, int(recorded.stamps_ns[index]), given)
        spent = time.monotonic() - began
        self._frame_ms.append(1e3 * spent)
        journal.append(int(recorded.stamps_ns[index]), step.state, step.T_world_cam, step.counts)
        journal.spent_s += spent
        words = [f"{len(self.mapper.memory):,} points", f"{len(self.mapper.memory.keyframes)} keyframes"]
        words += [f"{len(self.mapper.graph.loops)} loops"] if self.mapper.graph.loops else []
        words += ["LOST"] if step.state == "lost" else []
        return ", ".join(words)

    def _checkpoint(self) -> None:
        self.mapper.memory.save(self.out)
        self.journal.write(self.progress_file)

    def finish(self, take_apart: bool = False) -> Made:
        """Save the map, corrected where loops were closed; the journal stays only beside an unfinished one.

        Args:
            take_apart: make a complete map once more from the recording known whole, and save what moves beside it.
        """
        journal, complete = self.journal, len(self.journal) == len(self.source.indices)
        path, loops, figures = self._mapped(complete)
        if take_apart and complete:
            figures |= {"actors": self._take_apart(path)}
        self.mapper.memory.save(self.out)
        if complete:
            self.start_anew()
        else:
            journal.write(self.progress_file)
        lost = journal.lost()
        figures |= {
            "frames": len(journal), "lost": int(lost.sum()), "points": len(self.mapper.memory), "spent_s": journal.spent_s,
            **{name: journal.totals.get(name, 0) for name in ("carved", "refused", "held", "evened")},
        }  # fmt: skip
        return Made(self.source, self.mapper.memory, path, lost, loops, figures, len(journal), complete, self._frame_ms)

    def _take_apart(self, path: Trajectory) -> int:
        """Replace the memory by that of the recording taken apart, and save its cast; returns how many actors there are."""
        from spatia_ros.actors.cast_file import save
        from spatia_ros.cli.spacetime_source import Shots, shown
        from spatia_ros.slam.lift import lift

        recorded = self.source.recorded
        at = np.searchsorted(recorded.stamps_ns, path.stamps_ns).tolist()
        posed = replace(
            recorded, stamps_ns=path.stamps_ns, T_world_cam=path.T_world_cam, load=lambda i: recorded.load(at[i]), poses=None
        )
        lifted = lift(Shots(posed, 1), self.mapper.config, shown)
        self.mapper.map.memory = lifted.memory
        save(lifted.cast, self.out.with_suffix(".cast.npz"))
        return len(lifted.cast)

    def _mapped(self, complete: bool) -> tuple[Trajectory, list[tuple[int, int]], dict[str, float]]:
        """The path, the loops, and the mapper's figures."""
        n, journal = self._before, self.journal
        if len(journal) == n:  # interrupted before its first frame, a second time
            path = Trajectory(np.array(journal.stamps_ns, np.int64), np.stack(journal.poses))
            return path, [], dict.fromkeys(("relocalised", "corrections", "loops", "false_loops", "corrected_m"), 0)
        mapped = self.mapper.finish(self._images if complete else None, lambda numbers: progress(numbers, "mapping again"))
        path = mapped.trajectory
        if n:
            stamps = np.concatenate([np.array(journal.stamps_ns[:n], np.int64), path.stamps_ns])
            path = Trajectory(stamps, np.concatenate([np.stack(journal.poses[:n]), path.T_world_cam]))
        return path, mapped.loops, mapped.figures

    def _images(self, number: int) -> tuple[UInt8, Float32]:
        return self.source.recorded.images(self.source.indices[self._before + number])

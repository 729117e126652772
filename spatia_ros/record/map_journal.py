"""How far the making of a map is: what a command that was interrupted needs to go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.record.files import write_json
from spatia_ros.types import Bool, Float64, SpatiaError, check_pose

FORMAT = 1
MAX_BYTES = 1 << 30


@dataclass(slots=True)
class MapJournal:
    """The frames a map was made from so far, one by one.

    Args:
        identity: what the map is made of, plain values: only the same is gone on with.
        stamps_ns: time of every frame observed. states: what became of each (see ``MapStep.state``).
        poses: float64 [4, 4] of each, as found at the time; the last known one when lost.
        totals: counts of all frames together.
        spent_s: time it took.
    """

    identity: dict[str, Any]
    stamps_ns: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    poses: list[Float64] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    spent_s: float = 0.0

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def append(self, stamp_ns: int, state: str, T_world_cam: Float64, counts: dict[str, int]) -> None:
        """Note the next frame."""
        self.stamps_ns.append(stamp_ns)
        self.states.append(state)
        self.poses.append(T_world_cam)
        for name, count in counts.items():
            self.totals[name] = self.totals.get(name, 0) + count

    def lost(self) -> Bool:
        """bool [T], frames in which the camera was not tracked."""
        return np.array([state == "lost" for state in self.states], bool)

    def write(self, path: Path) -> None:
        """Write the journal, atomically."""
        write_json(path, {
            "format": FORMAT, "identity": self.identity, "totals": self.totals, "spent_s": self.spent_s,
            "stamps_ns": self.stamps_ns, "states": self.states, "T_world_cam": [T[:3].tolist() for T in self.poses],
        })  # fmt: skip

    @classmethod
    def read(cls, path: Path, identity: dict[str, Any]) -> MapJournal:
        """The journal in a file, or a new one where there is none.

        Raises:
            SpatiaError: when the file is damaged, or of another map.
        """
        identity = json.loads(json.dumps(identity))
        if not path.is_file():
            return cls(identity)
        if path.stat().st_size > MAX_BYTES:
            raise SpatiaError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise SpatiaError(f"{path}: expected format {FORMAT}, got {values['format']}")
            poses = [np.vstack([np.array(T, np.float64).reshape(3, 4), (0.0, 0.0, 0.0, 1.0)]) for T in values["T_world_cam"]]
            journal = cls(
                dict(values["identity"]), [int(t) for t in values["stamps_ns"]], [str(s) for s in values["states"]], poses,
                {str(k): int(v) for k, v in values["totals"].items()}, float(values["spent_s"]),
            )  # fmt: skip
        except SpatiaError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            got = f"got something else ({error!r:.300})"
            raise SpatiaError(f"{path}: expected the journal of a map, {got}; use --overwrite") from None
        journal._check(path)
        if journal.identity != identity:
            changed = ", ".join(sorted(k for k in identity if journal.identity.get(k) != identity[k]))
            raise SpatiaError(f"{path}: belongs to another map ({changed} differ); choose another --out, or --overwrite")
        return journal

    def _check(self, path: Path) -> None:
        if not len(self.stamps_ns) == len(self.states) == len(self.poses):
            raise SpatiaError(f"{path}: expected as many times as states and poses; use --overwrite")
        for i, T in enumerate(self.poses):
            check_pose(f"{path}: pose {i}", T)

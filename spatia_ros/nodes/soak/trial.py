"""A live trial of the actors over ROS: random clocks, spawns, moves and deletions in one world, nobody in its twin.

Both worlds begin with the same memory, follow the same camera paths and have the same clock. What must hold, and is checked
in every frame: pixels that no actor covers are the twin's, to the bit, colour and depth; segmentation, states and entities name
the same actors; and now and then: the two memories are the same file. Every request is answered with the code it deserves.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from simulation_interfaces.srv import GetEntities

from spatia_ros.nodes.soak.actors import ActorChanges
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.twin import LONGEST_WAIT_S, Heard, Twin
from spatia_ros.nodes.soak.walk import Walk
from spatia_ros.srv import Restore, SavePly, SetAnimationTime, Snapshot
from spatia_ros.types import Float64, SpatiaError

COMPARE_S = 60.0
"""How often the memories are compared."""


class Soak:
    """The trial.

    Args:
        live, still: the world with actors, and its twin without. poses: float64 [N, 4, 4], ``T_map_base`` of a walk through the
            place. folder: the data folder of both. rng: what happens, and when.
    """

    def __init__(self, live: Twin, still: Twin, poses: Float64, folder: Path, rng: np.random.Generator) -> None:
        self.live, self.still, self._folder, self._rng = live, still, folder, rng
        self._walk = Walk(poses, rng)
        self._snapshot: list[str] | None = None
        self.ledger = Ledger()
        self.counts, self.wrong, self.expect = self.ledger.counts, self.ledger.wrong, self.ledger.expect
        self.actors = a = ActorChanges(live, self.ledger, poses, folder, rng, self._same_clock)
        self.cost: dict[str, list[float]] = {"live_ms": [], "actors_ms": [], "still_ms": [], "actor_pixels": []}
        self._changes: list[Callable[[], None]] = [
            a.spawn, a.spawn, a.spawn_walker, a.spawn_file, a.delete, a.put, a.clock, a.clock, a.clock,
            a.actor_clock, a.actor_clock, a.misuse, self._look_back, a.find,
        ]  # fmt: skip

    def _same_clock(self, asked: dict[str, Any], answer: Any) -> None:
        """A generator may be told the world's animation time: the twin's must be the same."""
        twins = self.still.call(SetAnimationTime, "set_animation_time", **asked)
        self.expect(twins.animation_s == answer.animation_s, f"clock {asked}: the twin's shows {twins.animation_s}")

    def turn(self) -> None:
        """A few changes, then one leg of the camera in both worlds."""
        for _ in range(int(self._rng.integers(2, 6))):
            change = self._changes[int(self._rng.integers(len(self._changes)))]
            change()
            self.counts[change.__name__.strip("_")] += 1
        self.fly()

    # The camera

    def fly(self) -> None:
        """One leg: the same path in both worlds, one after the other, and what they show compared."""
        path = self._walk.path(int(self._rng.integers(2, 6)))
        live_first, disturbed = self._rng.random() < 0.5, self.actors.actor_clock if self._rng.random() < 0.5 else None
        if live_first:
            self.live.fly(path, disturbed)
        self.still.fly(path)
        if not live_first:
            self.live.fly(path, disturbed)
        live, still = self.live.heard, self.still.heard
        for k in range(len(path.poses)):
            self._compare(live, still, k)
            self.counts["frames"] += 1
            if k:  # the first waits in a queue
                self.cost["live_ms"].append(live.told[k].total_ms)
                self.cost["actors_ms"].append(live.told[k].actors_ms)
                self.cost["still_ms"].append(still.told[k].total_ms)

    def _compare(self, live: Heard, still: Heard, k: int) -> None:
        labels = np.frombuffer(live.labels[k].data, np.uint16)
        states = {state.id: state for state in live.states[k].actors}
        static = labels == 0
        for name, size in (("colour", 3), ("depth", 4)):
            a, b = (np.frombuffer(getattr(h, name)[k].data, np.uint8).reshape(-1, size)[static] for h in (live, still))
            self.expect(np.array_equal(a, b), f"frame {self.counts['frames']}: {name} differs where no actor is")
        self.expect(set(np.unique(labels[~static]).tolist()) <= set(states), f"frame {self.counts['frames']}: unknown labels")
        named = [state.name for state in live.states[k].actors]
        self.expect(
            named == self.actors.present, f"frame {self.counts['frames']}: actors {named}, expected {self.actors.present}"
        )
        shown = sum(state.pixels for state in states.values())
        self.expect(shown == int((~static).sum()), f"frame {self.counts['frames']}: {shown} actor pixels told")
        same = live.told[k].remembered_ratio == still.told[k].remembered_ratio
        self.expect(same, f"frame {self.counts['frames']}: what memory shows differs")
        self.cost["actor_pixels"].append(shown)

    def compare_memories(self) -> None:
        """Both memories as files: the same, to the byte."""
        digests = []
        for twin, name in ((self.live, "live.ply"), (self.still, "still.ply")):
            answer = twin.call(SavePly, "memory/save_ply", path=name)
            self.expect(answer.success, f"save_ply: {answer.message}")
            digests.append((answer.points, hashlib.sha256((self._folder / name).read_bytes()).hexdigest()))
        self.expect(digests[0] == digests[1], f"memories differ: {digests[0][0]} points with actors, {digests[1][0]} without")
        self.counts["memories compared"] += 1
        self.counts["memory points"] = digests[0][0]
        known = list(self.live.call(GetEntities, "get_entities").entities)
        self.expect(known == ["ego", "camera", *self.actors.present], f"entities {known}, expected {self.actors.present}")

    def _look_back(self) -> None:
        """Keep both worlds, or bring both back to what was kept."""
        kind: type = Snapshot if self._snapshot is None else Restore
        for twin in (self.live, self.still):
            answer = twin.call(kind, "snapshot" if kind is Snapshot else "restore", name="kept")
            self.expect(answer.success, f"{kind.__name__}: {answer.message}")
        if self._snapshot is None:
            self._snapshot = list(self.actors.present)
        else:
            self.actors.present, self._snapshot = self._snapshot, None

    def report(self) -> dict[str, Any]:
        """The figures so far."""
        shares = {name: np.array(values or [np.nan]) for name, values in self.cost.items()}
        own = shares["live_ms"] - shares["actors_ms"]
        still = float(np.median(shares["still_ms"]))
        out: dict[str, Any] = {"counts": dict(sorted(self.counts.items())), "wrong": self.wrong}
        for name, values in shares.items():
            out[name] = {"p50": float(np.median(values)), "p99": float(np.percentile(values, 99))}
        out["cost_ratio"] = float(np.median(shares["live_ms"])) / still
        out["cost_ratio_without_actors_own"] = float(np.median(own)) / still
        return out


def run(soak: Soak, minutes: float, compare_s: float, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Play until the time is up, telling how it goes whenever the memories are compared; returns the report."""
    start = last = time.monotonic()
    wait_for([soak.live, soak.still])
    while time.monotonic() - start < 60.0 * minutes:
        soak.turn()
        if time.monotonic() - last > compare_s:
            soak.compare_memories()
            last = time.monotonic()
            tell({"minutes": (last - start) / 60.0, "frames": soak.counts["frames"], "wrong": soak.counts["wrong"]})
    soak.compare_memories()
    return {"minutes": (time.monotonic() - start) / 60.0, **soak.report()}


def wait_for(twins: list[Twin]) -> None:
    """Wait until both worlds hear and are heard."""
    until = time.monotonic() + LONGEST_WAIT_S
    while not all(twin.ready() for twin in twins):
        if time.monotonic() > until:
            raise SpatiaError(f"soak: expected worlds in {' and '.join(t.namespace for t in twins)}, they are not there")
        time.sleep(0.1)

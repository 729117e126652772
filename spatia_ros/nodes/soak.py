"""A live trial of the actors over ROS: random clocks, spawns, moves and deletions in one world, nobody in its twin.

Both worlds begin with the same memory, follow the same camera paths and have the same clock. What must hold, and is checked
in every frame: pixels that no actor covers are the twin's, to the bit, colour and depth; segmentation, states and entities name
the same actors; and now and then: the two memories are the same file. Every request is answered with the code it deserves.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped
from nav_msgs.msg import Path as PathMessage
from scipy.spatial.transform import Rotation
from simulation_interfaces.msg import EntityState, Result
from simulation_interfaces.srv import DeleteEntity, GetEntities, SetEntityState, SpawnEntity

from spatia_ros import geometry
from spatia_ros.action import NavigateToObject
from spatia_ros.actors import PATTERNS
from spatia_ros.actors.library import LIBRARY
from spatia_ros.actors.shapes import COLOURS
from spatia_ros.nodes import convert
from spatia_ros.nodes.soak_twin import LONGEST_WAIT_S, Heard, Twin
from spatia_ros.nodes.spawning import resource_fields
from spatia_ros.srv import Restore, SavePly, SetAnimationTime, Snapshot
from spatia_ros.types import Float64, SpatiaError

Clock = SetAnimationTime.Request
COMPARE_S = 60.0
"""How often the memories are compared."""
MAX_ACTORS = 6
KEPT_WORDS = 20
JITTER_M, JITTER_RAD = 0.03, 0.03
HALF_CRATE = "half_crate.ply"
SCALES = {"pedestrian": (0.6, 1.0), "car": (0.2, 0.4), "box": (0.3, 1.2), "ball": (0.3, 1.5), "arm": (0.4, 0.8)}
"""Sizes that fit into a room."""
BAD_SPAWNS: tuple[tuple[dict[str, Any], int], ...] = (
    ({"name": "x", "uri": "library:dragon"}, SpawnEntity.Response.MISSING_ASSETS),
    ({"name": "x", "uri": "../../etc/passwd.ply"}, SpawnEntity.Response.MISSING_ASSETS),
    ({"name": "x", "uri": "http://example.org/a.glb"}, SpawnEntity.Response.UNSUPPORTED_FORMAT),
    ({"name": "", "uri": "library:box"}, SpawnEntity.Response.NAME_INVALID),
    ({"name": "ego", "uri": "library:box"}, SpawnEntity.Response.NAME_NOT_UNIQUE),
    ({"name": "x", "resource_string": "{kind: [box"}, SpawnEntity.Response.RESOURCE_PARSE_ERROR),
    ({"name": "x"}, SpawnEntity.Response.NO_RESOURCE),
)
BAD_CLOCKS: tuple[dict[str, Any], ...] = (
    {"mode": Clock.RATE, "rate": float("nan")}, {"mode": Clock.RATE, "actor": "nobody"}, {"mode": 200},
    {"mode": Clock.PATTERN, "pattern": "sideways", "duration_s": 1.0}, {"mode": Clock.KNOTS, "knots_s": [1.0, 0.0, 0.0, 1.0]},
    {"mode": Clock.TAU, "tau_s": 1e300},
)  # fmt: skip


class Soak:
    """The trial.

    Args:
        live, still: the world with actors, and its twin without. poses: float64 [N, 4, 4], ``T_map_base`` of a walk through the
            place. folder: the data folder of both. rng: what happens, and when.
    """

    def __init__(self, live: Twin, still: Twin, poses: Float64, folder: Path, rng: np.random.Generator) -> None:
        self.live, self.still, self._poses, self._folder, self._rng = live, still, poses, folder, rng
        self._at, self._step, self._names = 0, 1, 0
        self.present: list[str] = []
        self._snapshot: list[str] | None = None
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.cost: dict[str, list[float]] = {"live_ms": [], "actors_ms": [], "still_ms": [], "actor_pixels": []}
        write_half_crate(folder / HALF_CRATE)
        self._changes: list[Callable[[], None]] = [
            self._spawn, self._spawn, self._spawn_walker, self._spawn_file, self._delete, self._put, self._clock, self._clock,
            self._clock, self._actor_clock, self._actor_clock, self._misuse, self._look_back, self._find,
        ]  # fmt: skip

    def expect(self, true: bool, words: str) -> None:
        """Note what does not hold."""
        if not true:
            self.counts["wrong"] += 1
            if len(self.wrong) < KEPT_WORDS:
                self.wrong.append(words)

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
        path = self._path(int(self._rng.integers(2, 6)))
        live_first, disturbed = self._rng.random() < 0.5, self._actor_clock if self._rng.random() < 0.5 else None
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

    def _path(self, length: int) -> PathMessage:
        out = PathMessage()
        out.header.frame_id = "map"
        for _ in range(length):
            if not 0 <= self._at + self._step < len(self._poses):
                self._step = -self._step
            self._at += self._step
            turned = Rotation.from_rotvec(self._rng.normal(0, JITTER_RAD, 3)).as_matrix()
            jitter = geometry.pose(turned, self._rng.normal(0, JITTER_M, 3))
            out.poses.append(PoseStamped(pose=convert.to_pose(_exact(self._poses[self._at] @ jitter))))
        return out

    def _compare(self, live: Heard, still: Heard, k: int) -> None:
        labels = np.frombuffer(live.labels[k].data, np.uint16)
        states = {state.id: state for state in live.states[k].actors}
        static = labels == 0
        for name, size in (("colour", 3), ("depth", 4)):
            a, b = (np.frombuffer(getattr(h, name)[k].data, np.uint8).reshape(-1, size)[static] for h in (live, still))
            self.expect(np.array_equal(a, b), f"frame {self.counts['frames']}: {name} differs where no actor is")
        self.expect(set(np.unique(labels[~static]).tolist()) <= set(states), f"frame {self.counts['frames']}: unknown labels")
        named = [state.name for state in live.states[k].actors]
        self.expect(named == self.present, f"frame {self.counts['frames']}: actors {named}, expected {self.present}")
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
        self.expect(known == ["ego", "camera", *self.present], f"entities {known}, expected {self.present}")

    # What changes

    def _somewhere(self) -> Pose:
        """Half a metre to two and a half before some pose of the walk, at any height of the camera or below, turned anyhow."""
        T = self._poses[int(self._rng.integers(len(self._poses)))]
        x, y, z = T[:3, 3] + T[:3, :3] @ self._rng.uniform((0.5, -0.8, -1.0), (2.5, 0.8, 0.2))
        pose = convert.to_pose(geometry.pose(Rotation.from_euler("z", self._rng.uniform(-np.pi, np.pi)).as_matrix(), np.zeros(3)))
        pose.position = Point(x=x, y=y, z=z)
        return pose

    def _spawn_as(self, **resource: Any) -> None:
        if len(self.present) >= MAX_ACTORS:
            self._delete()
        self._names += 1
        name, at = f"actor {self._names}", PoseStamped(pose=self._somewhere())
        answer = self.live.call(SpawnEntity, "spawn_entity", name=name, initial_pose=at, **resource_fields(**resource))
        self.expect(answer.result.result == Result.RESULT_OK, f"spawn {resource}: {answer.result.error_message}")
        self.present.append(name)

    def _spawn(self) -> None:
        kind = str(self._rng.choice(list(LIBRARY)))
        colour, scale = str(self._rng.choice(list(COLOURS))), self._rng.uniform(*SCALES.get(kind, (0.3, 0.8)))
        self._spawn_as(uri=f"library:{kind}?colour={colour}&scale={scale:.3f}")

    def _spawn_walker(self) -> None:
        steps = self._rng.uniform((0.5, -0.6, -0.6, 0, -60), (2.0, 0.6, 0.6, 0, 60), (int(self._rng.integers(2, 8)), 5))
        rows = np.cumsum(steps, 0)
        kind, loop = str(self._rng.choice(["pedestrian", "box", "ball", "car"])), str(bool(self._rng.random() < 0.5)).lower()
        scale = self._rng.uniform(*SCALES[kind])
        self._spawn_as(resource_string=f"{{kind: {kind}, scale: {scale:.3f}, loop: {loop}, path: {np.round(rows, 3).tolist()}}}")

    def _spawn_file(self) -> None:
        """Something with sides that nobody saw: they are the generator's."""
        self._spawn_as(uri=HALF_CRATE)

    def _any(self) -> str | None:
        return str(self._rng.choice(self.present)) if self.present else None

    def _delete(self) -> None:
        name = self._any()
        answer = self.live.call(DeleteEntity, "delete_entity", entity=name or "nobody")
        wanted = Result.RESULT_OK if name else Result.RESULT_NOT_FOUND
        self.expect(answer.result.result == wanted, f"delete {name}: {answer.result.result} {answer.result.error_message}")
        if name:
            self.present.remove(name)

    def _put(self) -> None:
        if name := self._any():
            state = EntityState(pose=self._somewhere())
            answer = self.live.call(SetEntityState, "set_entity_state", entity=name, state=state)
            self.expect(answer.result.result == Result.RESULT_OK, f"set state of {name}: {answer.result.error_message}")

    def _clock(self, actor: str = "") -> None:
        mode = int(self._rng.integers(Clock.GET, Clock.REAL + 1))
        t = np.cumsum(self._rng.uniform(0.1, 2.0, 5))
        knots = np.stack([t, self._rng.uniform(-5, 5, 5)], -1).ravel().tolist()
        ends = [str(end) for end in self._rng.choice(["hold", "continue", "loop", "ping-pong"], 2)]
        asked = {
            "mode": mode, "actor": actor, "rate": float(self._rng.choice([-2, -1, -0.5, 0, 0.5, 1, 3])),
            "tau_s": self._rng.uniform(-10, 30), "pattern": str(self._rng.choice(list(PATTERNS))),
            "duration_s": self._rng.uniform(0.5, 6), "knots_s": knots, "before": ends[0], "after": ends[1],
        }  # fmt: skip
        before = self.live.call(SetAnimationTime, "set_animation_time", mode=Clock.GET, actor=actor)
        answer = self.live.call(SetAnimationTime, "set_animation_time", **asked)
        if not actor:  # a generator may be told the world's animation time: the twin's must be the same
            twins = self.still.call(SetAnimationTime, "set_animation_time", **asked)
            self.expect(twins.animation_s == answer.animation_s, f"clock {asked}: the twin's shows {twins.animation_s}")
        self.expect(answer.success and bool(np.isfinite(answer.animation_s)), f"clock {asked}: {answer.message}")
        if mode in (Clock.GET, Clock.RATE) and answer.time_s == before.time_s:  # no frame came between
            jump = abs(answer.animation_s - before.animation_s)
            self.expect(jump < 1e-6, f"clock {asked}: jumped by {jump:.3g} s")

    def _actor_clock(self) -> None:
        if name := self._any():
            self._clock(name)

    def _misuse(self) -> None:
        """Requests that must be refused, and change nothing."""
        request, code = BAD_SPAWNS[int(self._rng.integers(len(BAD_SPAWNS)))]
        resource = {key: request[key] for key in ("uri", "resource_string") if key in request}
        answer = self.live.call(SpawnEntity, "spawn_entity", name=request["name"], **resource_fields(**resource))
        self.expect(answer.result.result == code, f"spawn {request}: expected code {code}, got {answer.result.result}")
        asked = BAD_CLOCKS[int(self._rng.integers(len(BAD_CLOCKS)))]
        told = self.live.call(SetAnimationTime, "set_animation_time", **asked)
        self.expect(not told.success and bool(told.message), f"clock {asked}: expected a refusal")

    def _find(self) -> None:
        """Ask where something is: an actor, or what is not there."""
        phrase = str(self._rng.choice(["the nearest ball", "the red car", "the pedestrian behind the box", "the piano"]))
        answer = self.live.find(phrase)
        known = (NavigateToObject.Result.REACHED, NavigateToObject.Result.NO_PATH, NavigateToObject.Result.NOT_FOUND)
        self.expect(answer.code in known, f"find {phrase!r}: code {answer.code}: {answer.message}")
        self.counts["found"] += bool(answer.object)

    def _look_back(self) -> None:
        """Keep both worlds, or bring both back to what was kept."""
        kind: type = Snapshot if self._snapshot is None else Restore
        for twin in (self.live, self.still):
            answer = twin.call(kind, "snapshot" if kind is Snapshot else "restore", name="kept")
            self.expect(answer.success, f"{kind.__name__}: {answer.message}")
        if self._snapshot is None:
            self._snapshot = list(self.present)
        else:
            self.present, self._snapshot = self._snapshot, None

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


def write_half_crate(path: Path) -> None:
    """A file with two sides and the lid of a crate of 0.4 m, as a camera on one side of it would have seen them."""
    import trimesh

    line = np.arange(0.0, 0.4, 0.01)
    u, v = (axis.ravel() for axis in np.meshgrid(line, line))
    zero = np.zeros_like(u)
    sides = [np.stack(side, -1) for side in ((u, zero, v), (zero, u, v), (u, v, zero + 0.4))]
    colours = np.concatenate([np.tile(colour, (len(u), 1)) for colour in ((180, 120, 60), (150, 95, 45), (200, 150, 90))])
    trimesh.PointCloud(np.concatenate(sides), colors=colours.astype(np.uint8)).export(path)


def _exact(T: Float64) -> Float64:
    """A product of transforms with its rotation made exactly one again."""
    return geometry.pose(Rotation.from_matrix(T[:3, :3]).as_matrix(), T[:3, 3])


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

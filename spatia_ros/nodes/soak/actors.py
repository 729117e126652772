"""Random changes of a world's actors over its services, each with the answer it deserves: for the trials of a live world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped
from scipy.spatial.transform import Rotation
from simulation_interfaces.msg import EntityState, Result
from simulation_interfaces.srv import DeleteEntity, SetEntityState, SpawnEntity

from spatia_ros import geometry
from spatia_ros.action import NavigateToObject
from spatia_ros.actors import PATTERNS
from spatia_ros.actors.library import LIBRARY
from spatia_ros.actors.shapes import COLOURS
from spatia_ros.nodes import convert
from spatia_ros.nodes.simulation.entities import state_fields
from spatia_ros.nodes.simulation.spawning import resource_fields
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.twin import Caller
from spatia_ros.srv import SetAnimationTime
from spatia_ros.types import Float64

Clock = SetAnimationTime.Request
MAX_ACTORS = 6
HALF_CRATE = "half_crate.ply"
SCALES = {"pedestrian": (0.6, 1.0), "car": (0.2, 0.4), "box": (0.3, 1.2), "ball": (0.3, 1.5), "arm": (0.4, 0.8)}
"""Sizes that fit into a room."""
WALKERS = ("pedestrian", "box", "ball", "car")
PHRASES = "the nearest ball", "the red car", "the pedestrian behind the box", "the piano"
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


LOOKS = 10
"""Of a trial's actors from the library, besides its walkers'. The library keeps the last sixteen looks that were asked for, so
these stay, and what a world holds does not hang on who came last."""


class ActorChanges:
    """Spawns, moves, deletes and times actors, and asks for what must be refused.

    Args:
        world: the world with the actors. ledger: where what does not hold is noted. poses: float64 [N, 4, 4], ``T_map_base``
            of a walk through the place. folder: the world's data folder. rng: what happens. clocked: told of each change
            of the whole world's clock, as it was asked for and answered.
    """

    def __init__(
        self,
        world: Caller,
        ledger: Ledger,
        poses: Float64,
        folder: Path,
        rng: np.random.Generator,
        clocked: Callable[[dict[str, Any], Any], None] = lambda *_: None,
    ) -> None:
        self._world, self._ledger, self._poses, self._rng = world, ledger, poses, rng
        self.expect = ledger.expect
        self._clocked, self._names = clocked, 0
        self._wardrobe = [self._look(str(kind)) for kind in rng.choice(list(LIBRARY), LOOKS)]
        self._walkers = {kind: round(rng.uniform(*SCALES[kind]), 3) for kind in WALKERS}
        self.present: list[str] = []
        """Names of the actors there should be, in the order of their coming."""
        write_half_crate(folder / HALF_CRATE)

    def _somewhere(self) -> Pose:
        """Half a metre to two and a half before some pose of the walk, at any height of the camera or below, turned anyhow."""
        T = self._poses[int(self._rng.integers(len(self._poses)))]
        x, y, z = T[:3, 3] + T[:3, :3] @ self._rng.uniform((0.5, -0.8, -1.0), (2.5, 0.8, 0.2))
        pose = convert.to_pose(geometry.pose(Rotation.from_euler("z", self._rng.uniform(-np.pi, np.pi)).as_matrix(), np.zeros(3)))
        pose.position = Point(x=x, y=y, z=z)
        return pose

    def _spawn_as(self, **resource: Any) -> None:
        if len(self.present) >= MAX_ACTORS:
            self.delete()
        self._names += 1
        name, at = f"actor {self._names}", PoseStamped(pose=self._somewhere())
        answer = self._world.call(SpawnEntity, "spawn_entity", name=name, initial_pose=at, **resource_fields(**resource))
        self.expect(answer.result.result == Result.RESULT_OK, f"spawn {resource}: {answer.result.error_message}")
        self.present.append(name)

    def _look(self, kind: str) -> str:
        colour, scale = str(self._rng.choice(list(COLOURS))), self._rng.uniform(*SCALES.get(kind, (0.3, 0.8)))
        return f"library:{kind}?colour={colour}&scale={scale:.3f}"

    def spawn(self) -> None:
        """Somebody of the library, somewhere."""
        self._spawn_as(uri=str(self._rng.choice(self._wardrobe)))

    def spawn_all(self) -> None:
        """Everybody there is, one after the other."""
        for look in self._wardrobe:
            self._spawn_as(uri=look)
        for kind in self._walkers:
            self._walk(kind)

    def spawn_walker(self) -> None:
        """Somebody who walks a path of its own."""
        self._walk(str(self._rng.choice(WALKERS)))

    def _walk(self, kind: str) -> None:
        steps = self._rng.uniform((0.5, -0.6, -0.6, 0, -60), (2.0, 0.6, 0.6, 0, 60), (int(self._rng.integers(2, 8)), 5))
        rows = np.cumsum(steps, 0)
        scale, loop = self._walkers[kind], str(bool(self._rng.random() < 0.5)).lower()
        self._spawn_as(resource_string=f"{{kind: {kind}, scale: {scale:.3f}, loop: {loop}, path: {np.round(rows, 3).tolist()}}}")

    def spawn_file(self) -> None:
        """Something with sides that nobody saw: they are the generator's."""
        self._spawn_as(uri=HALF_CRATE)

    def _any(self) -> str | None:
        return str(self._rng.choice(self.present)) if self.present else None

    def delete(self) -> None:
        """Take one away."""
        name = self._any()
        answer = self._world.call(DeleteEntity, "delete_entity", entity=name or "nobody")
        wanted = Result.RESULT_OK if name else Result.RESULT_NOT_FOUND
        self.expect(answer.result.result == wanted, f"delete {name}: {answer.result.result} {answer.result.error_message}")
        if name:
            self.present.remove(name)

    def put(self) -> None:
        """Put one somewhere else."""
        if name := self._any():
            state = EntityState(pose=self._somewhere())
            answer = self._world.call(SetEntityState, "set_entity_state", entity=name, **state_fields(state))
            self.expect(answer.result.result == Result.RESULT_OK, f"set state of {name}: {answer.result.error_message}")

    def clock(self, actor: str = "") -> None:
        """Another clock for the world, or for one actor."""
        mode = int(self._rng.integers(Clock.GET, Clock.REAL + 1))
        t = np.cumsum(self._rng.uniform(0.1, 2.0, 5))
        knots = np.stack([t, self._rng.uniform(-5, 5, 5)], -1).ravel().tolist()
        ends = [str(end) for end in self._rng.choice(["hold", "continue", "loop", "ping-pong"], 2)]
        asked = {
            "mode": mode, "actor": actor, "rate": float(self._rng.choice([-2, -1, -0.5, 0, 0.5, 1, 3])),
            "tau_s": self._rng.uniform(-10, 30), "pattern": str(self._rng.choice(list(PATTERNS))),
            "duration_s": self._rng.uniform(0.5, 6), "knots_s": knots, "before": ends[0], "after": ends[1],
        }  # fmt: skip
        before = self._world.call(SetAnimationTime, "set_animation_time", mode=Clock.GET, actor=actor)
        answer = self._world.call(SetAnimationTime, "set_animation_time", **asked)
        if not actor:
            self._clocked(asked, answer)
        self.expect(answer.success and bool(np.isfinite(answer.animation_s)), f"clock {asked}: {answer.message}")
        if mode in (Clock.GET, Clock.RATE) and answer.time_s == before.time_s:  # no frame came between
            jump = abs(answer.animation_s - before.animation_s)
            self.expect(jump < 1e-6, f"clock {asked}: jumped by {jump:.3g} s")

    def actor_clock(self) -> None:
        """Another clock for one actor."""
        if name := self._any():
            self.clock(name)

    def misuse(self) -> None:
        """Requests that must be refused, and change nothing."""
        request, code = BAD_SPAWNS[int(self._rng.integers(len(BAD_SPAWNS)))]
        resource = {key: request[key] for key in ("uri", "resource_string") if key in request}
        answer = self._world.call(SpawnEntity, "spawn_entity", name=request["name"], **resource_fields(**resource))
        self.expect(answer.result.result == code, f"spawn {request}: expected code {code}, got {answer.result.result}")
        asked = BAD_CLOCKS[int(self._rng.integers(len(BAD_CLOCKS)))]
        told = self._world.call(SetAnimationTime, "set_animation_time", **asked)
        self.expect(not told.success and bool(told.message), f"clock {asked}: expected a refusal")

    def find(self) -> None:
        """Ask where something is: an actor, or what is not there."""
        self._find(str(self._rng.choice(PHRASES)))

    def find_all(self) -> None:
        """Ask for everything that may be asked for, one after the other."""
        for phrase in PHRASES:
            self._find(phrase)

    def _find(self, phrase: str) -> None:
        answer = self._world.find(phrase)
        known = (NavigateToObject.Result.REACHED, NavigateToObject.Result.NO_PATH, NavigateToObject.Result.NOT_FOUND)
        self.expect(answer.code in known, f"find {phrase!r}: code {answer.code}: {answer.message}")
        self._ledger.counts["found"] += bool(answer.object)


def write_half_crate(path: Path) -> None:
    """A file with two sides and the lid of a crate of 0.4 m, as a camera on one side of it would have seen them."""
    import trimesh

    line = np.arange(0.0, 0.4, 0.01)
    u, v = (axis.ravel() for axis in np.meshgrid(line, line))
    zero = np.zeros_like(u)
    sides = [np.stack(side, -1) for side in ((u, zero, v), (zero, u, v), (u, v, zero + 0.4))]
    colours = np.concatenate([np.tile(colour, (len(u), 1)) for colour in ((180, 120, 60), (150, 95, 45), (200, 150, 90))])
    trimesh.PointCloud(np.concatenate(sides), colors=colours.astype(np.uint8)).export(path)

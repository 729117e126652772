"""From a phrase to a thing, and from where the camera is to a view of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spatia_ros.config import GroundConfig
from spatia_ros.geometry import up_of
from spatia_ros.ground.answer import Candidate, Grounded, Sighting
from spatia_ros.ground.detector import Detector, things_seen
from spatia_ros.ground.match import Matches, match
from spatia_ros.ground.pace import gaze_along, timed
from spatia_ros.ground.phrase import Query, parse
from spatia_ros.ground.plan import Reach, is_clear, reach_from
from spatia_ros.ground.relate import Eye
from spatia_ros.ground.room import Room
from spatia_ros.ground.thing import Thing, things_in, things_of
from spatia_ros.ground.view import Viewpoint, seen, viewpoints
from spatia_ros.memory import Memory
from spatia_ros.types import Float64, Frame, SpatiaError, Trajectory, check_pose
from spatia_ros.world import World

MARGIN_M, MARGIN_RATIO = 5.0, 0.75
"""The part of a place a way is looked for in reaches this much beyond start and thing: metres, and a share of their distance."""
BELOW_M, ABOVE_M = 1.0, 0.6
"""And from so far below the lower of eye and thing to so far above the higher one."""
FLOOR_M = 0.3
"""Eyes are at least this far above the floor."""
FLOOR_SHARE = 0.15
"""The floor is the lowest layer of cells that covers this share of all that anything covers."""
MOVES_M_S = 0.02
MOMENTS = 5
"""Times between start and arrival at which what moves is in the way."""


@dataclass(frozen=True)
class Survey:
    """What is known of the static place; made once, it serves any number of phrases while memory does not change.

    Args:
        things: its named objects, world axes. R_level_world: float64 [3, 3], turns the world so that z is up.
    """

    things: tuple[Thing, ...]
    R_level_world: Float64


def survey(memory: Memory) -> Survey:
    """Of a memory: its named objects, and which way is up (that of its keyframes' pictures; z where it has none)."""
    keyframes = memory.keyframes.keyframes
    up = up_of(np.stack([k.T_world_cam for k in keyframes])) if keyframes else np.array([0.0, 0.0, 1.0])
    return Survey(tuple(things_in(memory)), _levelling(up))


def _levelling(up: Float64) -> Float64:
    """A rotation [3, 3] that takes ``up`` [3] to z, keeping x where that can be."""
    if np.allclose(up, (0, 0, 1)):
        return np.eye(3)
    aside = np.array([1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    y = np.cross(up, aside)
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, up), y, up])


def find(
    world: World, phrase: str, start: Float64 | None = None, *, detector: Detector | None = None, known: Survey | None = None
) -> Grounded:
    """What a phrase means, seen from a pose: the thing and where it is, or what comes nearest and why that is not it.

    Args:
        start: ``T_world_cam`` [4, 4]; None: the newest keyframe's.
        detector: asked for the phrase's nouns in the memory's keyframes; its finds count like named objects.
        known: of :func:`survey`, when it is at hand.

    Raises:
        SpatiaError: for a phrase that names nothing, or a world without a pose to start from.
    """
    query, start = parse(phrase), _start(world, start)
    known = known or survey(world.memory)
    return _answer(world, phrase, query, start, _all_things(world, query, detector, known), known)[0]


def navigate(
    world: World, phrase: str, start: Float64 | None = None, *, detector: Detector | None = None, known: Survey | None = None,
    config: GroundConfig | None = None,
) -> Grounded:
    """:func:`find`, and a collision-free camera path that ends with the thing framed.

    The path's first pose comes one frame period after the world's time. A thing that moves is looked for where it is
    when the camera arrives. Nothing is rendered, and the world is not changed.

    Args:
        config: of the way; None: the world's own.
    """
    query, start = parse(phrase), _start(world, start)
    known, config = known or survey(world.memory), config or world.config.ground
    things = _all_things(world, query, detector, known)
    answer, target = _answer(world, phrase, query, start, things, known)
    if target is None:
        return answer
    way = _Way(world, start, known, config)
    trajectory, why = way.to(target)
    if trajectory is not None and float(np.linalg.norm(target.velocity)) > MOVES_M_S:
        moved = way.where(target, int(trajectory.stamps_ns[-1]))
        again, _ = way.to(moved, int(trajectory.stamps_ns[-1]))
        trajectory, target = (again, moved) if again is not None else (trajectory, target)
    if trajectory is None:
        return replace(answer, reason=why)
    before = [t for t in way.movers(int(trajectory.stamps_ns[-1])) if t.name != target.name]
    last = seen(target, world.memory, world.camera, trajectory.T_world_cam[-1], before)
    sighting = replace(
        answer.target, low=target.low, high=target.high, position=target.middle, box_px=last.box_px, visible=last.visible
    ) if answer.target else None  # fmt: skip
    eyes = trajectory.T_world_cam[:, :3, 3]
    length = float(np.linalg.norm(np.diff(np.concatenate([start[None, :3, 3], eyes]), axis=0), axis=1).sum())
    return replace(answer, target=sighting, trajectory=trajectory, clearance_m=way.clearance_m, length_m=length)


def _start(world: World, start: Float64 | None) -> Float64:
    if start is None:
        keyframes = world.memory.keyframes.keyframes
        if not keyframes:
            raise SpatiaError("start: expected a pose, or a memory with a keyframe to start from, got neither")
        return max(keyframes, key=lambda k: k.stamp_ns).T_world_cam
    check_pose("start", start)
    return start


def _posed(world: World, stamp_ns: int) -> list[Thing]:
    """The cast at a time, world axes."""
    return things_of(world.cast.at((stamp_ns - world.start_ns) * 1e-9)) if len(world.cast) else []


def _all_things(world: World, query: Query, detector: Detector | None, known: Survey) -> list[Thing]:
    """Everything that can be meant, world axes."""
    found = [] if detector is None else things_seen(detector, _pictures(world), _nouns(query))
    return [*known.things, *_posed(world, world.time_ns), *found]


def _pictures(world: World) -> list[Frame]:
    """Keyframes as frames, spread evenly over all of them."""
    keyframes = world.memory.keyframes.keyframes
    some = np.unique(np.linspace(0, len(keyframes) - 1, min(len(keyframes), world.config.ground.pictures)).astype(int))
    chosen = [keyframes[i] for i in some] if keyframes else []
    return [Frame(k.rgb, k.depth, k.camera, k.T_world_cam, k.stamp_ns) for k in chosen]


def _nouns(query: Query) -> list[str]:
    """Words of a query and of all it relates to, for a detector: with colours, as they were said."""
    nouns = [" ".join(w for w in (query.colour, query.name) if w)] if query.name else []
    for relation in query.relations:
        nouns += [noun for other in relation.of for noun in _nouns(other)]
    if query.order and query.order.to:
        nouns += _nouns(query.order.to)
    return list(dict.fromkeys(nouns)) or ["object"]


def _answer(
    world: World, phrase: str, query: Query, start: Float64, things: Sequence[Thing], known: Survey
) -> tuple[Grounded, Thing | None]:
    """The answer without a way, and the thing that is meant (world axes)."""
    R = known.R_level_world
    level = [thing.levelled(R) for thing in things]
    found = match(query, level, Eye.of(_turned(R, start)))
    at = {id(mine): thing for mine, thing in zip(level, things, strict=True)}
    candidates = _candidates(found, at, start)
    if not found.fitting:
        nothing = "nothing here has a name: name parts of the memory, put actors in, or give a detector"
        return Grounded(phrase, False, None, candidates, reason=found.why if things else nothing), None
    target = at[id(found.fitting[0].thing)]
    shown = seen(target, world.memory, world.camera, start, [t for t in _posed(world, world.time_ns) if t.name != target.name])
    distance_m = float(np.linalg.norm(target.middle - start[:3, 3]))
    sighting = Sighting(
        target.name, target.kind, target.source, target.actor_id, target.low, target.high, target.middle, distance_m,
        shown.box_px, shown.visible,
    )  # fmt: skip
    return Grounded(phrase, True, sighting, candidates), target


def _candidates(found: Matches, at: dict[int, Thing], start: Float64) -> tuple[Candidate, ...]:
    """What fits but was not chosen, then the misses."""
    out = []
    for fit in (*found.fitting[1:], *found.misses):
        thing = at[id(fit.thing)]
        why = "; ".join(fit.lacks) or "fits as well, but comes after the one chosen"
        distance_m = float(np.linalg.norm(thing.middle - start[:3, 3]))
        out.append(Candidate(thing.name, thing.kind, thing.middle, distance_m, why))
    return tuple(out[:8])


def _turned(R: Float64, T: Float64) -> Float64:
    """A pose (or poses [..., 4, 4]) in axes turned by R."""
    out = T.copy()
    out[..., :3, :] = R @ T[..., :3, :]
    return out


class _Way:
    """Ways from one start.

    Args:
        start: ``T_world_cam``, world axes.
    """

    def __init__(self, world: World, start: Float64, known: Survey, config: GroundConfig) -> None:
        self.world, self.start, self.known, self.config = world, start, known, config
        self.clearance_m: float | None = None

    def movers(self, stamp_ns: int) -> list[Thing]:
        """The cast at a time, world axes."""
        return _posed(self.world, stamp_ns)

    def where(self, target: Thing, stamp_ns: int) -> Thing:
        """A thing at a later time; what is no longer there then stays where it was."""
        return next((t for t in self.movers(stamp_ns) if t.actor_id and t.actor_id == target.actor_id), target)

    def to(self, target: Thing, until_ns: int = 0) -> tuple[Trajectory | None, str]:
        """A path that ends with a thing (world axes) framed; or None, and why there is none.

        Args:
            until_ns: up to when what moves is in the way; 0: only where it is now.
        """
        R, world = self.known.R_level_world, self.world
        mine, start = target.levelled(R), _turned(R, self.start)
        times = np.linspace(world.time_ns, max(until_ns, world.time_ns), MOMENTS if until_ns else 1).astype(np.int64)
        movers = [t for time in times for t in self.movers(int(time))]
        room = self._room(mine, start, [m.levelled(R) for m in movers])
        reach = reach_from(room, start[:3, 3], self.config.clearance_m, self.config.comfort_m)
        before = [t for t in self.movers(int(times[-1])) if t.name != target.name]
        views = viewpoints(mine, reach, world.memory, world.camera, before, _floor(room, start[:3, 3]) + FLOOR_M)
        for view in views:
            poses = self._poses(reach, view, mine, start)
            if poses is not None:
                self.clearance_m = float(room.clearance_at(poses[:, :3, 3]).min())
                return self._timed(_turned(R.T, poses)), ""
        reachable = np.isfinite(reach.cost).sum() * room.cell_m**3
        why = "no view of it is both free and not hidden" if reachable > 0.5 else "the camera is shut in where it is"
        return None, f"{target.name} was found, but no collision-free way leads to a view of it: {why}"

    def _room(self, target: Thing, start: Float64, movers: list[Thing]) -> Room:
        eye = start[:3, 3]
        margin = MARGIN_M + MARGIN_RATIO * float(np.linalg.norm(target.middle - eye))
        low, high = np.minimum(eye, target.low) - margin, np.maximum(eye, target.high) + margin
        low[2], high[2] = min(eye[2], target.middle[2]) - BELOW_M, max(eye[2], target.middle[2]) + ABOVE_M
        low, high = _within(self.world.memory, self.known.R_level_world, low, high, eye)
        return Room.of(self.world.memory, self.known.R_level_world, low, high, self.config.cell_m, movers, eye)

    def _poses(self, reach: Reach, view: Viewpoint, target: Thing, start: Float64) -> Float64 | None:
        """Level poses of a way to a viewpoint; None when it does not stay clear after all."""
        way = reach.way_to(view.T_level_cam[:3, 3])
        if not is_clear(reach.room, way, 0.5 * self.config.clearance_m):
            return None
        return gaze_along(way, start, target.middle)

    def _timed(self, T_world_cam: Float64) -> Trajectory:
        c, world, turn = self.config, self.world, float(np.radians(self.config.turn_deg_s))
        return timed(T_world_cam, world.time_ns, world.config.frame_rate_hz, c.speed_m_s, turn, c.ramp_s)


def _within(memory: Memory, R: Float64, low: Float64, high: Float64, eye: Float64) -> tuple[Float64, Float64]:
    """A box cut to where memory has points (level axes) and to the eye, with a little around."""
    corners = np.stack(np.meshgrid(*np.stack([low, high], 1)), -1).reshape(-1, 3) @ R
    lows, highs = [eye], [eye]
    for chunk in memory.chunks(corners.min(0), corners.max(0)):
        level = chunk.xyz @ R.T.astype(np.float32)
        lows.append(level.min(0).astype(np.float64))
        highs.append(level.max(0).astype(np.float64))
    return np.maximum(low, np.min(lows, 0) - 0.5), np.minimum(high, np.max(highs, 0) + 0.5)


def _floor(room: Room, eye: Float64) -> float:
    """Level height of the floor: the lowest layer below the eye that covers much of the place; the room's low end without one."""
    below = max(int(room.cells(eye[None])[0, 2]), 1)
    layers, place = room.occupied[:, :, :below].sum((0, 1)), int(room.occupied.any(2).sum())
    is_floor = layers >= max(FLOOR_SHARE * place, 1)
    return float(room.low[2] + room.cell_m * (int(np.argmax(is_floor)) if is_floor.any() else 0))

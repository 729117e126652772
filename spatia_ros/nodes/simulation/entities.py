"""The entities of simulation_interfaces: the rig ("ego"), its cameras, and every actor. What they are, where, how large.

Poses, velocities and boxes are told in the map at the time of the newest frame; callers run on the world's thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from geometry_msgs.msg import Vector3
from scipy.spatial.transform import Rotation
from simulation_interfaces.msg import Bounds, EntityCategory, EntityInfo, EntityState, Result
from simulation_interfaces.srv import SetEntityState

from spatia_ros import geometry
from spatia_ros.actors import Actor, Cast
from spatia_ros.memory.regions import Box
from spatia_ros.nodes import convert
from spatia_ros.nodes.rig.frames import Rig, link_of
from spatia_ros.nodes.simulation.entity_filter import Described, Refused, matcher
from spatia_ros.rig import RigCamera
from spatia_ros.types import MAX_POSITION_M, Float64, SpatiaError

EGO = "ego"
TURN_S = 1e-3
"""Turning is measured over this much of the world's time."""
CATEGORIES = {
    "pedestrian": EntityCategory.CATEGORY_HUMAN, "person": EntityCategory.CATEGORY_HUMAN, "arm": EntityCategory.CATEGORY_ROBOT,
    "robot": EntityCategory.CATEGORY_ROBOT, "car": EntityCategory.CATEGORY_DYNAMIC_OBJECT,
}  # fmt: skip


KNOWN_CATEGORIES = frozenset({
    EntityCategory.CATEGORY_OBJECT, EntityCategory.CATEGORY_ROBOT, EntityCategory.CATEGORY_HUMAN,
    EntityCategory.CATEGORY_DYNAMIC_OBJECT, EntityCategory.CATEGORY_STATIC_OBJECT,
})  # fmt: skip
MAX_TAGS, MAX_WORDS = 64, 1000


class Stage(Protocol):
    """What of a world node is needed here."""

    rig: Rig
    T_map_world: Float64
    map_frame: str
    stamp_ns: int

    @property
    def cast(self) -> Cast:
        """The world's actors."""

    @property
    def world_s(self) -> float:
        """The world's seconds now."""

    @property
    def commanded(self) -> bool:
        """Whether the rig takes commands."""

    def teleport(self, T_map_base: Float64) -> None:
        """Put the rig somewhere else, and make the frame it sees there."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where something is in the map, and how it moves there: float64 [4, 4]; [6] linear, angular, along the map's axes."""

    T_map: Float64
    twist: Float64


class Entities:
    """Everything that can be asked about by name."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._told: dict[str, tuple[Actor | None, EntityInfo]] = {}

    def names(self) -> list[str]:
        """All names: the rig, its cameras, then the actors in order of their coming."""
        return [EGO, *self._cameras, *(actor.name for actor in self._stage.cast)]

    @property
    def _cameras(self) -> dict[str, RigCamera]:
        return {camera.name: camera for camera in self._stage.rig.cameras}

    @property
    def animation_s(self) -> float:
        """What the clock of the cast shows now."""
        return self._stage.cast.clock.at(self._stage.world_s)

    def actor(self, name: str) -> Actor | None:
        """The actor of a name, None for the rig and its cameras.

        Raises:
            Refused: not found, when nothing has this name.
        """
        if name == EGO or name in self._cameras:
            return None
        if not name or name not in self._stage.cast:
            known = f"{', '.join(self.names()):.300}"
            raise Refused(Result.RESULT_NOT_FOUND, f"entity: expected one of {known}; got {name!r}")
        return self._stage.cast.find(name)

    def matching(self, filters: Any) -> Iterator[str]:
        """Names of those that pass all filters."""
        passes = matcher(filters)
        needs_box = bool(filters.bounds.type)
        return (name for name in self.names() if passes(self._described(name, needs_box)))

    def _described(self, name: str, with_box: bool) -> Described:
        actor, info = self.actor(name), self.info(name)
        box = None
        if with_box and actor is None:
            at = self.motion(name).T_map[:3, 3]
            box = (at, at)
        elif with_box and actor is not None and self._present(actor):
            box = Box(*self._world_box(actor), self._stage.T_map_world).bounds()
        return Described(name, info.category.category, tuple(info.tags), box)

    def set_info(self, name: str, info: EntityInfo) -> None:
        """Describe an entity in other words; they go with the entity, and when the state is reset.

        Raises:
            Refused: on a category that is none, or more words than anybody reads.
        """
        actor = self.actor(name)
        if info.category.category not in KNOWN_CATEGORIES:
            got = f"got {info.category.category}"
            raise Refused(Result.RESULT_OPERATION_FAILED, f"category: expected one of {sorted(KNOWN_CATEGORIES)}, {got}")
        if len(info.tags) > MAX_TAGS or max(map(len, [info.description, *info.tags])) > MAX_WORDS:
            expected = f"expected at most {MAX_TAGS} tags, and {MAX_WORDS} characters in each and in the description"
            raise Refused(Result.RESULT_OPERATION_FAILED, f"info: {expected}")
        self._told = {each: told for each, told in self._told.items() if each in self.names()} | {name: (actor, info)}

    def forget(self, name: str) -> None:
        """An entity is gone."""
        self._told.pop(name, None)

    def forget_all(self) -> None:
        """Entities are what they are by themselves again."""
        self._told.clear()

    def info(self, name: str) -> EntityInfo:
        """Category, description and tags: as they were told, or what is known by itself."""
        actor = self.actor(name)
        whose, told = self._told.get(name, (None, None))
        if told is not None and (whose is actor or (whose and actor and whose.body is actor.body)):
            return told
        return self._info(name, actor)

    def _info(self, name: str, actor: Actor | None) -> EntityInfo:
        if actor is None:
            is_ego = name == EGO
            category = EntityCategory.CATEGORY_ROBOT if is_ego else EntityCategory.CATEGORY_OBJECT
            said = "what commands move: base_link" if is_ego else "the camera on the ego"
            return EntityInfo(category=EntityCategory(category=category), description=said, tags=["ego" if is_ego else "camera"])
        moves = actor.body.span_s[1] > actor.body.span_s[0]
        other = EntityCategory.CATEGORY_DYNAMIC_OBJECT if moves else EntityCategory.CATEGORY_OBJECT
        category = EntityCategory(category=CATEGORIES.get(actor.kind, other))
        said = " ".join(filter(None, [actor.colour, actor.kind, f"of {actor.body.size} points, number {actor.id}"]))
        tags = ["actor", actor.kind, *filter(None, [actor.colour]), *(f"{k}={v}" for k, v in actor.facts.items())]
        return EntityInfo(category=category, description=said, tags=tags)

    def motion(self, name: str) -> Motion:
        """Where an entity is and how it moves, at the newest frame's time."""
        actor, rig = self.actor(name), self._stage.rig
        if actor is not None:
            return self._actor_motion(actor)
        T_base = np.eye(4) if name == EGO else link_of(self._cameras[name])
        R, linear, angular = rig.pose.T_map_base[:3, :3], rig.pose.twist[:3], rig.pose.twist[3:]
        velocity = np.concatenate([R @ (linear + np.cross(angular, T_base[:3, 3])), R @ angular])
        return Motion(rig.pose.T_map_base @ T_base, velocity)

    def _actor_motion(self, actor: Actor) -> Motion:
        clock, t = self._stage.cast.clock, self._stage.world_s
        turn_map, placed = self._stage.T_map_world[:3, :3], actor.T_world_placed

        def pose_at(t_s: float) -> Float64:
            return placed @ actor.body.pose(actor.tau(clock.at(t_s)))

        now = pose_at(t)
        pace = actor.clock.rate(clock.at(t)) * clock.rate(t)
        linear = placed[:3, :3] @ actor.body.velocity(actor.tau(clock.at(t))) * pace
        turned = Rotation.from_matrix(pose_at(t + TURN_S)[:3, :3] @ now[:3, :3].T).as_rotvec() / TURN_S
        return Motion(self._stage.T_map_world @ now, np.concatenate([turn_map @ linear, turn_map @ turned]))

    def state(self, name: str) -> EntityState:
        """Pose and velocity in the map, at the newest frame's time."""
        motion = self.motion(name)
        header = convert.to_header(self._stage.stamp_ns, self._stage.map_frame)
        return EntityState(header=header, pose=convert.to_pose(motion.T_map), twist=convert.to_twist(motion.twist))

    def bounds(self, name: str) -> Bounds:
        """The box of an actor along its own axes; the rig and its camera have no body."""
        actor = self.actor(name)
        if actor is None:
            return Bounds(type=Bounds.TYPE_EMPTY)
        if not self._present(actor):
            raise Refused(Result.RESULT_OPERATION_FAILED, f"{name}: is not there at this animation time, so has no bounds")
        tau = actor.tau(self.animation_s)
        low, high = actor.body.points(tau).moved(geometry.inverse(actor.body.pose(tau))).bounds()
        return box_message(low, high)

    def _present(self, actor: Actor) -> bool:
        return actor.body.present(actor.tau(self.animation_s))

    def _world_box(self, actor: Actor) -> tuple[Float64, Float64]:
        return actor.body.points(actor.tau(self.animation_s)).moved(actor.T_world_placed).bounds()

    def set_state(self, request: Any) -> None:
        """Put the rig or an actor somewhere else, the actor with its whole path."""
        actor, state = self.actor(request.entity), request.state
        wants = {name: getattr(request, f"set_{name}", True) for name in ("pose", "twist", "acceleration")}
        if wants["twist"] and convert.from_twist(state.twist, "state.twist").any():
            how = "motion comes from commands (the ego) or a path and clocks (actors: set_animation_time)"
            raise Refused(Result.RESULT_OPERATION_FAILED, f"{request.entity}: expected a velocity of zero: {how}")
        if wants["acceleration"] and convert.from_twist(state.acceleration, "state.acceleration").any():
            raise Refused(Result.RESULT_OPERATION_FAILED, f"{request.entity}: expected no acceleration: there are no forces")
        if not wants["pose"]:
            return
        T_map = self.pose_in_map(state.header.frame_id, state.pose, "state.pose")
        if request.entity in self._cameras:
            raise Refused(Result.RESULT_OPERATION_FAILED, f"{request.entity}: is mounted on the ego: set the state of {EGO}")
        if actor is None and not self._stage.commanded:
            raise Refused(Result.RESULT_INCORRECT_STATE, f"{EGO}: expected mode generating or frozen, the node maps a sensor")
        if actor is None:
            self._stage.teleport(T_map)
        else:
            self._stage.cast.replace(self._placed(actor, T_map))

    def _placed(self, actor: Actor, T_map_actor: Float64) -> Actor:
        """The actor moved, path and all, so that now it is at a pose in the map."""
        wanted = geometry.inverse(self._stage.T_map_world) @ T_map_actor
        placed = wanted @ geometry.inverse(actor.body.pose(actor.tau(self.animation_s)))
        return replace(actor, T_world_placed=geometry.made_rigid(placed))

    def pose_in_world(self, frame: str, pose: Any, name: str) -> Float64:
        """:meth:`pose_in_map` as ``T_world_x`` of the recording's world."""
        return geometry.made_rigid(geometry.inverse(self._stage.T_map_world) @ self.pose_in_map(frame, pose, name))

    def pose_in_map(self, frame: str, pose: Any, name: str) -> Float64:
        """A pose given in a frame (empty: the map; a frame of the rig; an entity's name) as ``T_map_x``.

        Raises:
            Refused: with the code for an invalid pose when it is none, or farther away than a world is large.
        """
        try:
            T = convert.from_pose(pose, name)
            if frame in ("", "world"):
                frame = self._stage.rig.names.map
            elif frame in self.names():
                T, frame = self.motion(frame).T_map @ T, self._stage.rig.names.map
            self._stage.rig.check_frame(frame, name)
        except SpatiaError as error:
            raise InvalidPose(str(error)) from None
        T = self._stage.rig.in_map(frame, T)
        if not float(np.abs(T[:3, 3]).max()) <= MAX_POSITION_M:
            raise InvalidPose(f"{name}: expected a place within {MAX_POSITION_M:g} m, got {T[:3, 3].tolist()}")
        return T


def state_fields(state: EntityState) -> dict[str, Any]:
    """The fields of a request to set all of a state, in the shape this host has (2.x has a flag for each part)."""
    flags = [name for name in ("set_pose", "set_twist", "set_acceleration") if hasattr(SetEntityState.Request, name)]
    return {"state": state, **dict.fromkeys(flags, True)}


class InvalidPose(SpatiaError):
    """A pose that is none; which code says so differs from service to service."""


def box_message(low: Sequence[float] | Float64, high: Sequence[float] | Float64) -> Bounds:
    """A box as simulation_interfaces has it: the upper corner, then the lower."""
    corners = [[float(v) for v in corner] for corner in (high, low)]
    return Bounds(type=Bounds.TYPE_BOX, points=[Vector3(x=x, y=y, z=z) for x, y, z in corners])

"""The cast: every actor of a world, and the clock they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spatia_ros.actors.actor import MAX_ID, Actor, Posed, pose_actor
from spatia_ros.actors.clock import Clock
from spatia_ros.types import SpatiaError

MAX_ACTORS = 1024
MAX_POINTS = 20_000_000


@dataclass(frozen=True, slots=True)
class CastSnapshot:
    """All a cast is at one moment. Actors are immutable, so this costs a tuple."""

    actors: tuple[Actor, ...]
    clock: Clock
    next_id: int


class Cast:
    """Actors by number, in order of their coming.

    Args:
        clock: animation time at the world's time, for all of them.
        max_actors, max_points: bounds; more are refused.
    """

    def __init__(self, clock: Clock = Clock.REAL, max_actors: int = MAX_ACTORS, max_points: int = MAX_POINTS) -> None:
        self.clock = clock
        self.max_actors, self.max_points = max_actors, max_points
        self._actors: dict[int, Actor] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._actors)

    def __iter__(self) -> Iterator[Actor]:
        return iter(list(self._actors.values()))

    def __contains__(self, which: int | str) -> bool:
        return self._find(which) is not None

    @property
    def points(self) -> int:
        """Points all actors keep together."""
        return sum(actor.body.size for actor in self._actors.values())

    def add(self, actor: Actor) -> int:
        """Take an actor in; returns its number (a free one if it has none).

        Raises:
            SpatiaError: when its number or name is taken, or the cast is full.
        """
        number = actor.id or self._free_id()
        actor = replace(actor, id=number, name=actor.name or f"{actor.kind}_{number}")
        if number in self._actors:
            raise SpatiaError(f"cast: expected a free number, got {number}, which is {self._actors[number].name!r}")
        if self._find(actor.name) is not None:
            raise SpatiaError(f"cast: expected a free name, got {actor.name!r}, which is taken")
        if len(self._actors) >= self.max_actors:
            raise SpatiaError(f"cast: expected at most {self.max_actors} actors, got one more: {actor.name!r}")
        self._check_room(actor, 0)
        self._actors[number] = actor
        self._next_id = max(self._next_id, number + 1)
        return number

    def find(self, which: int | str) -> Actor:
        """The actor of a number or name.

        Raises:
            SpatiaError: naming those there are.
        """
        found = self._find(which)
        if found is None:
            names = ", ".join(f"{a.id} {a.name}" for a in self._actors.values()) or "none, the cast is empty"
            raise SpatiaError(f"actor: expected one of {names:.500}; got {which!r}")
        return found

    def remove(self, which: int | str) -> Actor:
        """Take an actor out, by number or name; returns it."""
        return self._actors.pop(self.find(which).id)

    def replace(self, actor: Actor) -> None:
        """Put an actor in the place of the one with its number.

        Raises:
            SpatiaError: when there is none, or another has its name.
        """
        before = self.find(actor.id)
        other = self._find(actor.name)
        if not actor.name or (other is not None and other.id != actor.id):
            raise SpatiaError(f"cast: expected a free name, got {actor.name!r}, which is taken or empty")
        self._check_room(actor, before.body.size)
        self._actors[actor.id] = actor

    def set_clock(self, clock: Clock, actor: int | str | None = None) -> None:
        """Change the clock of one actor, by number or name, or the clock of all."""
        if actor is None:
            self.clock = clock
        else:
            self.replace(replace(self.find(actor), clock=clock))

    def at(self, t_s: float, cast_tau: float | None = None, cast_rate: float | None = None) -> list[Posed]:
        """Everybody who is there at a time of the world, in order of their coming.

        Args:
            t_s: seconds since the world began.
            cast_tau: animation time, s, in place of what the cast's clock says.
            cast_rate: and how fast it goes, for velocities; None: as fast as the cast's clock.
        """
        tau = self.clock.at(t_s) if cast_tau is None else cast_tau
        rate = self.clock.rate(t_s) if cast_rate is None else cast_rate
        posed = (pose_actor(actor, tau, rate) for actor in self._actors.values())
        return [each for each in posed if each is not None]

    def snapshot(self) -> CastSnapshot:
        """The whole state, independent of what the cast does next."""
        return CastSnapshot(tuple(self._actors.values()), self.clock, self._next_id)

    def restore(self, snapshot: CastSnapshot) -> None:
        """Go back to a snapshot, which stays usable."""
        self._actors = {actor.id: actor for actor in snapshot.actors}
        self.clock, self._next_id = snapshot.clock, snapshot.next_id

    def _find(self, which: int | str) -> Actor | None:
        if isinstance(which, str):
            return next((actor for actor in self._actors.values() if actor.name == which), None)
        return self._actors.get(int(which))  # NumPy's integers too

    def _free_id(self) -> int:
        """The next number never used; once all were, the lowest free one."""
        if self._next_id <= MAX_ID:
            return self._next_id
        free = next((k for k in range(1, MAX_ID + 1) if k not in self._actors), 0)
        if not free:
            raise SpatiaError(f"cast: expected at most {MAX_ID} actors, got one more")
        return free

    def _check_room(self, actor: Actor, freed: int) -> None:
        points = self.points - freed + actor.body.size
        if points > self.max_points:
            raise SpatiaError(f"cast: expected at most {self.max_points} points together, got {points} with {actor.name!r}")

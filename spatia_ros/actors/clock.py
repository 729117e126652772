"""Clocks: which animation time is shown at which time of the world, as a piecewise linear map.

A clock never keeps state: the same time always gives the same answer, so any frame can be asked for at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, overload

import numpy as np

from spatia_ros.types import Float64, SpatiaError, check_array

ENDS = ("hold", "continue", "loop", "ping-pong")
"""What a clock does before its first knot and after its last: stand still, keep its outermost pace, start again, turn round."""
MAX_KNOTS = 100_000
MAX_CHANGES = 1_000
"""Changes a clock remembers; past it the oldest time is forgotten (that part then follows the oldest change kept)."""
MAX_TIME_S = 1e9


class Change(NamedTuple):
    """From some moment on, another clock is followed.

    Args:
        at_s: the moment. clock: without changes of its own. offset_s: added to what it says.
    """

    at_s: float
    clock: Clock
    offset_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Animation time ``tau`` as a function of time ``t``, both in seconds.

    Args:
        knots_s: float64 [K, 2], pairs (t, tau), t strictly rising; between them tau is linear. Everything but "hold" needs two.
        before, after: one of :data:`ENDS`. Loops repeat the whole of the knots.
        changes: followed from their moments on, in order of time; see :meth:`switched`.

    Raises:
        SpatiaError: on knots that are not finite, not rising, too many, or beyond a billion seconds.
    """

    knots_s: Float64
    before: str = "continue"
    after: str = "continue"
    changes: tuple[Change, ...] = ()

    REAL: ClassVar[Clock]
    """Animation time is the time."""

    def __post_init__(self) -> None:
        check_array("clock.knots_s", self.knots_s, (None, 2), np.float64)
        knots = self.knots_s.copy()
        knots.flags.writeable = False
        object.__setattr__(self, "knots_s", knots)
        if not 1 <= len(knots) <= MAX_KNOTS:
            raise SpatiaError(f"clock.knots_s: expected 1..{MAX_KNOTS} knots, got {len(knots)}")
        if not (np.abs(knots) <= MAX_TIME_S).all():  # NaN is refused too
            raise SpatiaError(f"clock.knots_s: expected finite seconds within {MAX_TIME_S:g}, got NaN, infinity or more")
        if (np.diff(knots[:, 0]) <= 0).any():
            raise SpatiaError(f"clock.knots_s: expected strictly rising times, got {knots[:8, 0].tolist()}")
        for name in ("before", "after"):
            if getattr(self, name) not in ENDS:
                raise SpatiaError(f"clock.{name}: expected one of {', '.join(ENDS)}, got {getattr(self, name)!r}")
            if getattr(self, name) != "hold" and len(knots) < 2:
                raise SpatiaError(f"clock.{name}: expected hold with a single knot, got {getattr(self, name)!r}")
        _check_changes(self.changes)

    @classmethod
    def line(cls, at_s: float, tau_s: float, rate: float) -> Clock:
        """A clock of one pace for ever, that shows ``tau_s`` at ``at_s``."""
        return cls(np.array([[at_s, tau_s], [at_s + 1.0, tau_s + rate]]))

    @overload
    def at(self, t_s: float) -> float: ...
    @overload
    def at(self, t_s: Float64) -> Float64: ...
    def at(self, t_s: float | Float64) -> float | Float64:
        """Animation time, s, at a time or at each of an array of them (same shape).

        Raises:
            SpatiaError: on a time that is not finite.
        """
        times = _times(t_s)
        tau = self._read(times, False)
        return float(tau) if times.ndim == 0 else tau

    @overload
    def rate(self, t_s: float) -> float: ...
    @overload
    def rate(self, t_s: Float64) -> Float64: ...
    def rate(self, t_s: float | Float64) -> float | Float64:
        """``d tau / d t`` just after a time (0 frozen, -1 backwards at natural pace)."""
        times = _times(t_s)
        rate = self._read(times, True)
        return float(rate) if times.ndim == 0 else rate

    def switched(self, at_s: float, other: Clock | float) -> Clock:
        """This clock until a moment, from then on one that goes on from there without a jump.

        Args:
            at_s: the moment, s.
            other: a clock whose paces are followed from ``at_s`` on (shifted in tau so that nothing jumps), or a pace.
        """
        if not isinstance(other, Clock):
            other = Clock.line(at_s, 0.0, float(other))
        return self._spliced(at_s, other, self.at(at_s) - other.at(at_s))

    def replaced(self, at_s: float, other: Clock) -> Clock:
        """This clock until a moment, from then on the other as it is: a jump where the two differ."""
        return self._spliced(at_s, other, 0.0)

    def _spliced(self, at_s: float, other: Clock, offset_s: float) -> Clock:
        kept = tuple(c for c in self.changes if c.at_s < at_s)
        number = int(other._number(np.array(at_s)))
        current = other.changes[number - 1] if number else Change(0.0, other._bare(), 0.0)
        follows = (current, *other.changes[number:])
        added = tuple(Change(max(c.at_s, at_s) if k else at_s, c.clock, c.offset_s + offset_s) for k, c in enumerate(follows))
        changes = (*kept, *added)
        base = self
        if len(changes) > MAX_CHANGES:
            oldest, changes = changes[-MAX_CHANGES - 1], changes[-MAX_CHANGES:]
            shift = np.array([0.0, oldest.offset_s])
            base = Clock(oldest.clock.knots_s + shift, oldest.clock.before, oldest.clock.after)
        return Clock(base.knots_s, base.before, base.after, changes)

    def _bare(self) -> Clock:
        return self if not self.changes else Clock(self.knots_s, self.before, self.after)

    def _number(self, times: Float64) -> Any:
        """How many changes have happened by each time."""
        return np.searchsorted([c.at_s for c in self.changes], times, side="right")

    def _read(self, times: Float64, rate: bool) -> Float64:
        """Tau, or its pace, at times of any shape."""
        if not self.changes:
            return self._read_bare(times, rate)
        out = np.empty(times.shape)
        number = self._number(times)
        for n in np.unique(number):
            here = number == n
            clock, offset = (self, 0.0) if n == 0 else self.changes[n - 1][1:]
            out[here] = clock._read_bare(times[here], rate) + (0.0 if rate else offset)
        return out

    def _read_bare(self, times: Float64, rate: bool) -> Float64:
        """Without the changes: fold each time into the knots, then follow the piece it is on."""
        t, tau = self.knots_s.T
        inside, sign = times.copy(), np.ones(times.shape)
        for end, out in ((self.before, times < t[0]), (self.after, times >= t[-1])):
            if end in ("loop", "ping-pong"):
                # The last moment itself still belongs to the knots; only its pace is that of what follows.
                out = out & ((times != t[-1]) | rate)
                inside[out], sign[out] = _folded(times[out], t[0], t[-1], end == "ping-pong")
        if len(t) == 1:
            return np.zeros(times.shape) if rate else np.full(times.shape, tau[0])
        piece = np.clip(np.searchsorted(t, inside, side="right") - 1, 0, len(t) - 2)
        if rate and "ping-pong" in (self.before, self.after):
            # On the way back the piece that follows a knot is the one before it.
            piece = np.where((sign < 0) & (inside == t[piece]), np.maximum(piece - 1, 0), piece)
        slope = (tau[piece + 1] - tau[piece]) / (t[piece + 1] - t[piece])
        held = ((self.before == "hold") & (inside < t[0])) | ((self.after == "hold") & (inside >= t[-1]))
        if rate:
            return np.where(held, 0.0, slope * sign)
        # From the nearer knot, so that both are met exactly; outside from the first of the piece, so that REAL is exact.
        late = (inside - t[piece] > t[piece + 1] - inside) & (inside <= t[piece + 1])
        value = np.where(late, tau[piece + 1] + slope * (inside - t[piece + 1]), tau[piece] + slope * (inside - t[piece]))
        return np.where(held, np.where(inside < t[0], tau[0], tau[-1]), value)

    def as_dict(self) -> dict[str, Any]:
        """Plain values that :meth:`from_dict` reads."""
        out: dict[str, Any] = {"knots": self.knots_s.tolist(), "before": self.before, "after": self.after}
        if self.changes:
            out["changes"] = [{"at_s": c.at_s, "offset_s": c.offset_s, "clock": c.clock.as_dict()} for c in self.changes]
        return out

    @classmethod
    def from_dict(cls, values: Any, name: str = "clock") -> Clock:
        """The clock of :meth:`as_dict`.

        Raises:
            SpatiaError: naming an unknown or missing key, or a value that does not fit.
        """
        values = _keys(name, values, {"knots"}, {"before", "after", "changes"})
        ends = [values.get(end, "continue") for end in ("before", "after")]
        if not all(isinstance(end, str) for end in ends):
            raise SpatiaError(f"{name}: expected before and after among {', '.join(ENDS)}, got {ends}")
        listed = values.get("changes", [])
        if not isinstance(listed, list) or len(listed) > MAX_CHANGES:
            raise SpatiaError(f"{name}.changes: expected a list of at most {MAX_CHANGES}")
        changes = tuple(_change_from(change, f"{name}.changes[{k}]") for k, change in enumerate(listed))
        return cls(_pairs(name, values["knots"]), ends[0], ends[1], changes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Clock):
            return NotImplemented
        same = self.before == other.before and self.after == other.after and np.array_equal(self.knots_s, other.knots_s)
        return bool(same and self.changes == other.changes)

    def __hash__(self) -> int:
        return hash((self.knots_s.tobytes(), self.before, self.after, self.changes))


def _times(t_s: float | Float64) -> Float64:
    times = np.asarray(t_s, np.float64)
    if not np.isfinite(times).all():
        raise SpatiaError("clock.at: expected finite seconds, got NaN or infinity")
    return times


def _folded(times: Float64, first: float, last: float, turning: bool) -> tuple[Float64, Float64]:
    """Times brought between first and last, and the direction they are gone through (1 or -1)."""
    length = last - first
    if not turning:
        return np.minimum(first + np.mod(times - first, length), np.nextafter(last, first)), np.ones(times.shape)
    phase = np.mod(times - first, 2 * length)
    return first + np.minimum(phase, 2 * length - phase), np.where(phase < length, 1.0, -1.0)


def _check_changes(changes: tuple[Change, ...]) -> None:
    if len(changes) > MAX_CHANGES:
        raise SpatiaError(f"clock.changes: expected at most {MAX_CHANGES}, got {len(changes)}")
    last = -np.inf
    for change in changes:
        if not (np.isfinite(change.offset_s) and abs(change.at_s) <= MAX_TIME_S and change.at_s >= last):
            raise SpatiaError(f"clock.changes: expected finite seconds, times not falling, got {change.at_s} after {last}")
        if change.clock.changes:
            raise SpatiaError("clock.changes: expected clocks without changes of their own")
        last = change.at_s


def _change_from(values: Any, name: str) -> Change:
    values = _keys(name, values, {"at_s", "offset_s", "clock"}, set())
    for key in ("at_s", "offset_s"):
        if isinstance(values[key], bool) or not isinstance(values[key], int | float):
            raise SpatiaError(f"{name}.{key}: expected seconds, got {values[key]!r}")
    return Change(float(values["at_s"]), Clock.from_dict(values["clock"], f"{name}.clock"), float(values["offset_s"]))


def _keys(name: str, values: Any, needed: set[str], allowed: set[str]) -> Mapping[str, Any]:
    """A mapping with all the needed keys and none that is not allowed."""
    if not isinstance(values, Mapping):
        raise SpatiaError(f"{name}: expected a mapping with {', '.join(sorted(needed))}, got {type(values).__name__}")
    unknown = [key for key in values if key not in needed | allowed]
    missing = sorted(needed - set(values))
    if unknown or missing:
        wanted = ", ".join(sorted(needed | allowed))
        raise SpatiaError(f"{name}: expected keys among {wanted}; unknown {unknown}, missing {missing}")
    return values


def _is_pair(values: Any) -> bool:
    numbers = isinstance(values, list | tuple) and len(values) == 2
    return numbers and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _pairs(name: str, values: Any) -> Float64:
    """float64 [K, 2] of a list of pairs of numbers."""
    fits = isinstance(values, list) and 0 < len(values) <= MAX_KNOTS and all(map(_is_pair, values))
    if not fits:
        raise SpatiaError(f"{name}.knots: expected a list of 1..{MAX_KNOTS} pairs [t_s, tau_s] of numbers")
    return np.array(values, np.float64)


Clock.REAL = Clock.line(0.0, 0.0, 1.0)

"""Colour and depth that belong together: approximate matching of two streams by time."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, NamedTuple, TypeVar

A = TypeVar("A")
B = TypeVar("B")
KEEP = 10


class Pair(NamedTuple, Generic[A, B]):
    """Two messages of one moment."""

    stamp_ns: int  # of the first
    first: A
    second: B


class Pairing(Generic[A, B]):
    """Matches each message to the nearest in time of the other stream among those that came.

    A match lets go of everything older in both streams. At most ten messages a stream wait; what is
    let go of unmatched is counted in ``unmatched``.
    """

    def __init__(self, max_skew_ns: int) -> None:
        self._max_skew_ns, self.unmatched = max_skew_ns, 0
        self._waiting: tuple[deque[tuple[int, Any]], deque[tuple[int, Any]]] = (deque(), deque())

    def add_first(self, stamp_ns: int, item: A) -> Pair[A, B] | None:
        """A message of the first stream came; returns the pair it completes."""
        return self._add(0, stamp_ns, item)

    def add_second(self, stamp_ns: int, item: B) -> Pair[A, B] | None:
        """A message of the second stream came; returns the pair it completes."""
        return self._add(1, stamp_ns, item)

    def _add(self, side: int, stamp_ns: int, item: Any) -> Pair[A, B] | None:
        mine, others = self._waiting[side], self._waiting[1 - side]
        nearest = min(others, key=lambda other: abs(other[0] - stamp_ns), default=None)
        if nearest is None or abs(nearest[0] - stamp_ns) > self._max_skew_ns:
            mine.append((stamp_ns, item))
            if len(mine) > KEEP:
                mine.popleft()
                self.unmatched += 1
            return None
        others.remove(nearest)
        self._let_go_before(stamp_ns)
        first, second = ((stamp_ns, item), nearest) if side == 0 else (nearest, (stamp_ns, item))
        return Pair(first[0], first[1], second[1])

    def _let_go_before(self, stamp_ns: int) -> None:
        for queue in self._waiting:
            while queue and queue[0][0] <= stamp_ns:
                queue.popleft()
                self.unmatched += 1

"""Which things a query means, best first; and where none fits, the nearest misses, each with what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import product

import numpy as np

from spatia_ros.ground import colour, relate
from spatia_ros.ground.phrase import Order, Query, Relation
from spatia_ros.ground.relate import Eye
from spatia_ros.ground.thing import Thing, plain
from spatia_ros.ground.words import fits

COLOUR_SHARE = 0.3
"""A thing has a colour if that word suits this share of its points."""
SIZE_STEP = 1.1
"""Larger than the median of its kind by this factor is large."""
MOST_MISSES = 6
IN_VIEW_RAD = np.pi / 3
"""Half of what counts as before the camera, for "from the left"."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a thing answers a query.

    Args:
        score: 0..1, larger is better. lacks: what of the query it does not meet, in words; empty: it meets all.
    """

    thing: Thing
    score: float
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """What a query means.

    Args:
        fitting: those that meet all of it, best first. misses: the nearest of those that do not. why: it is not found, or empty.
    """

    fitting: tuple[Fit, ...]
    misses: tuple[Fit, ...]
    why: str


def match(query: Query, things: Sequence[Thing], eye: Eye) -> Matches:
    """The things a query means. Things and eye are in axes with z up."""
    kin = [(thing, _called(query, thing)) for thing in things]
    best = max((level for _, level in kin), default=0.0)
    if best == 0.0:
        return Matches((), _alike(query, things, eye), f"nothing here is called {_wanted(query)!r}")
    # Where there is a chair, a stool that is a kind of chair is not meant; where there is none, it may be.
    mine = [thing for thing, level in kin if level == best]
    fitted = [_fit(query, thing, mine, things, eye, best) for thing in mine]
    fitting = tuple(sorted((f for f in fitted if not f.lacks), key=lambda f: (-round(f.score, 1), _away(f.thing, eye))))
    misses = tuple(sorted((f for f in fitted if f.lacks), key=lambda f: (len(f.lacks), -f.score, _away(f.thing, eye))))
    if not fitting:
        return Matches((), misses[:MOST_MISSES], _why(query, misses))
    if query.order is None:
        return Matches(fitting, misses[:MOST_MISSES], "")
    ordered, why = _ordered(fitting, query.order, things, eye)
    near = tuple(Fit(f.thing, f.score, (why,)) for f in fitting) if why else misses
    return Matches(ordered, near[:MOST_MISSES], why)


def _wanted(query: Query) -> str:
    return " ".join(query.noun) if query.noun else query.name or query.said


def _called(query: Query, thing: Thing) -> float:
    """1 if a thing is called what is asked for, 0.5 if it is a kind of it; 2 if it has just that name."""
    name = plain(query.name)
    if name and name == thing.plain_name:
        return 2.0
    if any(c.isdigit() for c in name):  # asked for by a number, which another of its kind does not have
        return 0.0
    return fits(query.noun, thing.concepts)


def _fit(query: Query, thing: Thing, kin: list[Thing], things: Sequence[Thing], eye: Eye, level: float) -> Fit:
    """How a thing of the right name meets the rest of a query."""
    score, lacks = min(level, 1.0) * thing.score, list[str]()
    if query.colour:
        share = thing.colours[query.colour]
        score *= share
        if share < COLOUR_SHARE:
            lacks.append(f"it is {colour.said(thing.colours)}, not {query.colour}")
    if query.size and not _sized(query.size, thing, kin):
        lacks.append(f"it is not {query.size} among the {len(kin)} of its kind")
        score *= 0.5
    for relation in query.relations:
        held, why = _held(relation, thing, things, eye)
        score *= max(held, 0.01)
        if why:
            lacks.append(why)
    return Fit(thing, score, tuple(lacks))


def _sized(size: str, thing: Thing, kin: list[Thing]) -> bool:
    """Whether a thing is large, small, tall ... among its kind; one that is alone is what one calls it."""
    if len(kin) < 2:
        return True
    measure, sign = _MEASURES[size]
    middle = float(np.median([measure(t) for t in kin]))
    mine = measure(thing)
    return mine >= middle * SIZE_STEP if sign > 0 else mine <= middle / SIZE_STEP


def _across(thing: Thing) -> float:
    return float(np.linalg.norm(thing.size))


def _height(thing: Thing) -> float:
    return float(thing.size[2])


def _width(thing: Thing) -> float:
    return float(thing.size[:2].max())


_MEASURES = {
    "large": (_across, 1), "small": (_across, -1), "tall": (_height, 1), "short": (_height, -1), "wide": (_width, 1),
    "narrow": (_width, -1),
}  # fmt: skip


def _held(relation: Relation, thing: Thing, things: Sequence[Thing], eye: Eye) -> tuple[float, str]:
    """How well a relation holds, and why it does not."""
    sets = []
    for query in relation.of:
        others = match(query, [t for t in things if t is not thing], eye)
        if not others.fitting:
            return 0.0, f"{others.why} for it to be {relation.kind}"
        sets.append([f.thing for f in others.fitting])
    best = max(relate.holds(relation.kind, thing, others, eye) for others in product(*sets))
    return best, "" if best > 0 else f"it is not {relation}"


def _ordered(fits_: tuple[Fit, ...], order: Order, things: Sequence[Thing], eye: Eye) -> tuple[tuple[Fit, ...], str]:
    """Those that fit in the order that is asked for, the one of its rank first; or none, and why."""
    if order.to is not None:
        anchors = match(order.to, things, eye)
        if not anchors.fitting:
            return (), f"{anchors.why} for anything to be {order.by} to it"
        anchor = anchors.fitting[0].thing
        fits_ = tuple(f for f in fits_ if f.thing is not anchor)
        ranked = sorted(fits_, key=lambda f: (1 if order.by == "nearest" else -1) * _apart(f.thing, anchor))
    elif order.by in ("leftmost", "rightmost"):
        seen = [f for f in fits_ if abs(eye.bearing(f.thing)) < IN_VIEW_RAD] or list(fits_)
        ranked = sorted(seen, key=lambda f: (1 if order.by == "leftmost" else -1) * eye.bearing(f.thing))
    else:
        measure, sign = _ORDERS[order.by]
        ranked = sorted(fits_, key=lambda f: sign * measure(f.thing, eye))
    at = order.rank - 1 if order.rank > 0 else len(ranked) + order.rank
    if not 0 <= at < len(ranked):
        return (), f"there are only {len(ranked)} of it, not {abs(order.rank)}"
    return (ranked[at], *ranked[:at], *ranked[at + 1 :]), ""


def _away(thing: Thing, eye: Eye) -> float:
    """From the camera to a thing's middle, m."""
    return float(np.linalg.norm(thing.middle - eye.position))


def _apart(a: Thing, b: Thing) -> float:
    """Between two things, m: the gap between them, and a little of the way between their middles, for things that touch."""
    return relate.gap(a, b) + 0.05 * float(np.linalg.norm(a.middle - b.middle))


_ORDERS = {
    "nearest": (_away, 1), "farthest": (_away, -1), "largest": (lambda t, _: _across(t), -1),
    "smallest": (lambda t, _: _across(t), 1), "tallest": (lambda t, _: _height(t), -1), "shortest": (lambda t, _: _height(t), 1),
    "widest": (lambda t, _: _width(t), -1), "highest": (lambda t, _: float(t.high[2]), -1),
    "lowest": (lambda t, _: float(t.low[2]), 1),
}  # fmt: skip


def _why(query: Query, misses: tuple[Fit, ...]) -> str:
    lack = misses[0].lacks[0] if misses else ""
    return f"there is a {_wanted(query)}, but {lack}" if len(misses) == 1 else f"of {len(misses)} of this kind none fits: {lack}"


def _alike(query: Query, things: Sequence[Thing], eye: Eye) -> tuple[Fit, ...]:
    """Things whose names are most like what is asked for; of those equally unlike, the nearest."""
    wanted = _wanted(query)

    def likeness(thing: Thing) -> float:
        words = " ".join(thing.concepts)
        return max(SequenceMatcher(None, wanted, w).ratio() for w in (words, thing.plain_name))

    ranked = sorted(things, key=lambda t: (-round(likeness(t), 1), _away(t, eye)))[:MOST_MISSES]
    return tuple(Fit(t, likeness(t), (f"it is a {' '.join(t.concepts) or t.kind}, not a {wanted}",)) for t in ranked)

"""Phrases with known answers: made from exact boxes, and only where nobody would doubt what is meant.

The meaning of each relation is written down here once more, apart from :mod:`spatia_ros.ground.relate`, and with margins:
what is "left of" something here is plainly so, and nothing else of its kind is anywhere near being so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spatia_ros.evaluate.grounding_truth import TrueThing
from spatia_ros.types import Float64

CLEAR_RATIO, CLEAR_M = 1.25, 0.3
"""The first of an order is ahead of the second by this factor, and by so many metres."""
SIZE_RATIO = 1.2
ABSENT = ("piano", "bicycle", "elephant", "fountain", "guitar", "telescope", "sewing machine", "traffic light", "horse", "statue")
ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh"}
VIVID = ("red", "orange", "yellow", "green", "blue", "purple")
VERBS = ("go to {}", "find {}", "show me {}", "where is {}?", "take me to {}", "{}", "look at {}", "navigate to {}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A phrase and what it means: the name of one thing, or None where there is no such thing. ``sort``: what it tests."""

    phrase: str
    answer: str | None
    sort: str


@dataclass(frozen=True, slots=True)
class Scenery:
    """What phrases are made of.

    Args:
        things: all there is that has a word. targets: names of those that may be asked for.
        eye: float64 [3]. right, forward: level unit vectors [3] of the camera. rng: chooses.
    """

    things: Sequence[TrueThing]
    targets: frozenset[str]
    eye: Float64
    right: Float64
    forward: Float64
    rng: np.random.Generator

    def group(self, kind: str) -> list[TrueThing]:
        """All of a kind."""
        return [t for t in self.things if t.kind == kind]

    def word(self, thing: TrueThing) -> str:
        """One of the words for a thing."""
        return str(self.rng.choice(np.array(thing.words)))

    def shuffled(self) -> list[TrueThing]:
        """What may be asked for, in any order."""
        mine = [t for t in self.things if t.name in self.targets]
        return [mine[i] for i in self.rng.permutation(len(mine))]

    def only(self) -> list[TrueThing]:
        """Things that are the only ones of their kind, in any order: what others relate to."""
        mine = [t for t in self.things if t.name in self.targets and len(self.group(t.kind)) == 1]
        return [mine[i] for i in self.rng.permutation(len(mine))]


Maker = Callable[[Scenery], Iterator[Asked]]


def _plain(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        if len(s.group(t.kind)) == 1:
            yield Asked(f"the {s.word(t)}", t.name, "kind")


def _distance(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        away = sorted((float(np.linalg.norm(o.middle - s.eye)), o.name) for o in s.group(t.kind))
        if len(away) > 1 and away[0][1] == t.name and _ahead(away[0][0], away[1][0]):
            yield Asked(f"the {s.rng.choice(np.array(('nearest', 'closest')))} {s.word(t)}", t.name, "nearest")
        if len(away) > 1 and away[-1][1] == t.name and _ahead(away[-2][0], away[-1][0]):
            yield Asked(f"the {s.word(t)} farthest from me", t.name, "farthest")
        if len(away) > 2 and away[1][1] == t.name and _ahead(away[0][0], away[1][0]) and _ahead(away[1][0], away[2][0]):
            yield Asked(f"the second nearest {s.word(t)}", t.name, "ordinal")


def _ahead(a: float, b: float) -> bool:
    return b > CLEAR_RATIO * a and b - a > CLEAR_M


def _colour(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        colour = max(t.colours, key=lambda c: t.colours[c])
        others = [o for o in s.group(t.kind) if o is not t]
        # A thing's plain colour; of what it has at all, the others of its kind have nothing like it.
        if t.colours[colour] >= 0.6 and (colour in VIVID or t.actor_id) and all(o.colours[colour] <= 0.05 for o in others):
            yield Asked(f"the {colour} {s.word(t)}", t.name, "colour")


def _size(s: Scenery) -> Iterator[Asked]:
    measures = {"largest": (_across, 1), "smallest": (_across, -1), "tallest": (lambda t: float(t.size[2]), 1)}
    for t in s.shuffled():
        for word, (measure, sign) in measures.items():
            ranked = sorted(s.group(t.kind), key=lambda o: -sign * measure(o))
            if len(ranked) > 1 and ranked[0] is t:
                a, b = measure(ranked[0]), measure(ranked[1])
                if max(a, b) > SIZE_RATIO * min(a, b):
                    yield Asked(f"the {word} {s.word(t)}", t.name, "size")


def _across(t: TrueThing) -> float:
    return float(np.linalg.norm(t.size))


def gap(a: TrueThing, b: TrueThing) -> float:
    """Distance between two boxes, m."""
    return float(np.linalg.norm(np.maximum(0.0, np.maximum(a.low - b.high, b.low - a.high))))


def _nearest_to(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        for anchor in s.only():
            if anchor.kind == t.kind:
                continue
            ranked = sorted(s.group(t.kind), key=lambda o: gap(o, anchor))
            if len(ranked) > 1 and ranked[0] is t and _ahead(gap(ranked[0], anchor) + 0.3, gap(ranked[1], anchor) + 0.3):
                word, said = s.word(t), s.word(anchor)
                form = str(s.rng.choice(np.array(("the {} nearest to the {}", "the {} closest to the {}"))))
                yield Asked(form.format(word, said), t.name, "nearest to")


SIDES = {"left of": (-1, 0), "right of": (1, 0), "behind": (0, 1), "in front of": (0, -1)}


def _shift(s: Scenery, t: TrueThing, anchor: TrueThing) -> tuple[float, float]:
    """How far to the right of an anchor, and beyond it, a thing is, as the camera sees it."""
    way = (anchor.middle - s.eye)[:2]
    way = way / max(float(np.linalg.norm(way)), 1e-9)
    shift = (t.middle - anchor.middle)[:2]
    return float(shift @ (way[1], -way[0])), float(shift @ way)


def _aside(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        for anchor in s.only():
            if anchor.kind == t.kind or np.linalg.norm((anchor.middle - s.eye)[:2]) < 1.0:
                continue
            for relation, (x, y) in SIDES.items():
                there = [_towards(_shift(s, o, anchor), x, y) for o in s.group(t.kind)]
                mine = _towards(_shift(s, t, anchor), x, y)
                # Within 35 degrees of that side and near; no other within 65 degrees of it.
                plain = mine[0] > 0.25 and mine[1] < np.radians(35) and gap(t, anchor) < 2.5
                if plain and sum(angle < np.radians(65) and along > 0 for along, angle in there) == 1:
                    form = {"left of": "to the left of", "right of": "to the right of"}.get(relation, relation)
                    yield Asked(f"the {s.word(t)} {form} the {s.word(anchor)}", t.name, relation)


def _towards(shift: tuple[float, float], x: int, y: int) -> tuple[float, float]:
    """How far along a side's direction a shift goes, and the angle to it."""
    along, across = (x * shift[0], shift[1]) if x else (y * shift[1], shift[0])
    return along, abs(float(np.arctan2(across, along)))


def _on_under(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        for anchor in s.only():
            if anchor.kind != t.kind and rests_on(t, anchor) and sum(_may_rest_on(o, anchor) for o in s.group(t.kind)) == 1:
                yield Asked(f"the {s.word(t)} on the {s.word(anchor)}", t.name, "on")
            if anchor.kind != t.kind and hangs_above(t, anchor) and sum(_may_hang(o, anchor) for o in s.group(t.kind)) == 1:
                yield Asked(f"the {s.word(t)} above the {s.word(anchor)}", t.name, "above")


def _covered(t: TrueThing, anchor: TrueThing, slack_m: float = 0.0) -> float:
    both = np.minimum(t.high, anchor.high + slack_m) - np.maximum(t.low, anchor.low - slack_m)
    return float(np.prod(both[:2].clip(0)) / np.prod(np.maximum(t.size[:2], 1e-3)))


def rests_on(t: TrueThing, anchor: TrueThing) -> bool:
    """Whether a thing stands on top of another's box."""
    return _covered(t, anchor) > 0.8 and abs(t.low[2] - anchor.high[2]) < 0.06


def _may_rest_on(t: TrueThing, anchor: TrueThing) -> bool:
    return _covered(t, anchor, 0.1) > 0.2 and t.middle[2] > anchor.low[2]


def hangs_above(t: TrueThing, anchor: TrueThing) -> bool:
    """Whether a thing is over another, with air between."""
    return _covered(t, anchor) > 0.8 and t.low[2] - anchor.high[2] > 0.15


def _may_hang(t: TrueThing, anchor: TrueThing) -> bool:
    return _covered(t, anchor, 0.5) > 0.2 and t.middle[2] > anchor.middle[2]


def _between(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        anchors = [a for a in s.only() if a.kind != t.kind and gap(a, t) < 3.0][:8]
        for i, a in enumerate(anchors):
            for b in anchors[i + 1 :]:
                if _amid(t, a, b, 0.15, 0.25) and not any(_amid(o, a, b, 0.6, 0.0) for o in s.group(t.kind) if o is not t):
                    yield Asked(f"the {s.word(t)} between the {s.word(a)} and the {s.word(b)}", t.name, "between")


def _amid(t: TrueThing, a: TrueThing, b: TrueThing, aside: float, ends: float) -> bool:
    """Whether a thing lies between two others, seen from above: no farther aside than this share of their distance."""
    way = (b.middle - a.middle)[:2]
    length = float(np.linalg.norm(way))
    shift = (t.middle - a.middle)[:2]
    if length <= 1.0:
        return False
    along, across = float(shift @ way) / length**2, abs(float(way[0] * shift[1] - way[1] * shift[0])) / length
    return ends < along < 1 - ends and across < aside * length


def _from_left(s: Scenery) -> Iterator[Asked]:
    for t in s.shuffled():
        bearings = sorted((s_bearing(s, o), o.name) for o in s.group(t.kind))
        seen = [(b, name) for b, name in bearings if abs(b) < np.radians(50)]
        doubtful = any(np.radians(50) <= abs(b) < np.radians(70) for b, _ in bearings)
        apart = all(b[0] - a[0] > np.radians(5) for a, b in pairwise(seen))
        names = [name for _, name in seen]
        if doubtful or not apart or len(seen) < 2 or t.name not in names:
            continue
        at = names.index(t.name) + 1
        if at == 1:
            yield Asked(f"the leftmost {s.word(t)}", t.name, "ordinal")
        elif at in ORDINALS:
            yield Asked(f"the {ORDINALS[at]} {s.word(t)} from the left", t.name, "ordinal")


def s_bearing(s: Scenery, t: TrueThing) -> float:
    """How far to the right of the direction of view a thing is, radians."""
    way = t.middle - s.eye
    return float(np.arctan2(way @ s.right, way @ s.forward))


def _impossible(s: Scenery) -> Iterator[Asked]:
    things, only = s.shuffled(), s.only()
    for i, t in enumerate(things):
        group = s.group(t.kind)
        word = s.word(t)
        yield Asked(f"the {ABSENT[int(s.rng.integers(len(ABSENT)))]}", None, "no such kind")
        bare = [c for c in VIVID if all(o.colours[c] <= 0.01 for o in group)]
        if bare:
            yield Asked(f"the {s.rng.choice(np.array(bare))} {word}", None, "no such colour")
        if len(group) + 1 in ORDINALS:
            yield Asked(f"the {ORDINALS[len(group) + 1]} {word}", None, "not so many")
        anchor = only[i % len(only)] if only else t
        if anchor.kind != t.kind and not any(_may_rest_on(o, anchor) for o in group):
            yield Asked(f"the {word} on the {s.word(anchor)}", None, "no such relation")
        yield Asked(f"the {word} next to the {ABSENT[int(s.rng.integers(len(ABSENT)))]}", None, "no such anchor")


MAKERS: tuple[Maker, ...] = (
    _plain, _distance, _colour, _size, _nearest_to, _aside, _on_under, _between, _from_left,
)  # fmt: skip
IMPOSSIBLE_SHARE = 0.2


class Questions:
    """Chooses phrases so that all sorts come in turn, a fifth of them impossible, and none twice in a place."""

    def __init__(self) -> None:
        self._sorts: Counter[str] = Counter()
        self._things: Counter[str] = Counter()
        self._phrases: set[str] = set()
        self._asked = self._impossible = 0

    def enter(self) -> None:
        """Another place: its things and phrases are new."""
        self._things.clear()
        self._phrases.clear()

    def take(self, scenery: Scenery, count: int) -> list[Asked]:
        """So many phrases as seen from one start; fewer where the place gives no more."""
        real = [a for maker in MAKERS for a in maker(scenery)]
        unreal = list(_impossible(scenery))
        out = []
        for _ in range(count):
            pool = unreal if self._impossible < IMPOSSIBLE_SHARE * (self._asked + 1) - 0.5 else real
            fit = [a for a in pool if a.phrase not in self._phrases] or [a for a in real if a.phrase not in self._phrases]
            if not fit:
                break
            # The sort there are fewest of; of that, the thing asked for least.
            chosen = min(fit, key=lambda a: (self._sorts[a.sort], self._things[a.answer or ""]))
            self._note(chosen)
            verb = str(scenery.rng.choice(np.array(VERBS)))
            out.append(Asked(verb.format(chosen.phrase), chosen.answer, chosen.sort))
        return out

    def _note(self, chosen: Asked) -> None:
        self._sorts[chosen.sort] += 1
        self._things[chosen.answer or ""] += 1
        self._phrases.add(chosen.phrase)
        self._asked += 1
        self._impossible += chosen.answer is None

"""Phrases: "the second red chair to the left of the sofa" becomes a query.

A phrase is read from left to right: what is asked for, up to the first word of a relation, then that relation and
what it relates to, which is a phrase again. Relations bind to the noun before them ("the ball under the table near the
door": the table near the door); "and" goes back to what is asked for ("the chair near the door and behind the table").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from spatia_ros.ground.words import COLOUR_OF, SHADES, concepts, words_of
from spatia_ros.types import SpatiaError

MAX_CHARACTERS = 400
ME = "me"
"""What a relation relates to when that is the camera."""

ORDERS = {
    "nearest": "nearest", "closest": "nearest", "farthest": "farthest", "furthest": "farthest", "leftmost": "leftmost",
    "rightmost": "rightmost", "largest": "largest", "biggest": "largest", "smallest": "smallest", "tiniest": "smallest",
    "tallest": "tallest", "shortest": "shortest", "highest": "highest", "lowest": "lowest", "widest": "widest",
    "longest": "widest",
}  # fmt: skip
"""Words that put things in an order and take the first."""
SIZES = {
    "large": "large", "big": "large", "huge": "large", "small": "small", "little": "small", "tiny": "small", "tall": "tall",
    "high": "tall", "short": "short", "low": "short", "wide": "wide", "long": "wide", "narrow": "narrow",
}  # fmt: skip
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "last": -1}
RELATIONS = {
    "left of": "left of", "to the left of": "left of", "on the left of": "left of", "on the left side of": "left of",
    "right of": "right of", "to the right of": "right of", "on the right of": "right of", "on the right side of": "right of",
    "in front of": "in front of", "before": "in front of", "behind": "behind", "in back of": "behind", "beyond": "behind",
    "next to": "near", "near": "near", "near to": "near", "close to": "near", "beside": "near", "by": "near", "at": "near",
    "nearby": "near", "on": "on", "on top of": "on", "upon": "on", "standing on": "on", "lying on": "on", "hanging on": "on",
    "under": "under", "below": "under", "beneath": "under", "underneath": "under", "above": "above", "over": "above",
    "in": "in", "inside": "in", "within": "in", "inside of": "in", "between": "between", "in between": "between",
    "nearest to": "nearest", "closest to": "nearest", "nearest": "nearest", "closest": "nearest",
    "farthest from": "farthest", "furthest from": "farthest", "farthest away from": "farthest",
    "to my left": "left of me", "on my left": "left of me", "left of me": "left of me", "to the left of me": "left of me",
    "to my right": "right of me", "on my right": "right of me", "right of me": "right of me", "to the right of me": "right of me",
    "in front of me": "in front of me", "before me": "in front of me", "ahead of me": "in front of me", "behind me": "behind me",
    "nearest to me": "nearest me", "closest to me": "nearest me", "farthest from me": "farthest me",
    "furthest from me": "farthest me", "near me": "nearest me", "next to me": "nearest me",
    "from the left": "leftmost me", "from left": "leftmost me", "on the left": "leftmost me", "to the left": "leftmost me",
    "from the right": "rightmost me", "from right": "rightmost me", "on the right": "rightmost me",
    "to the right": "rightmost me",
}  # fmt: skip
"""How relations are said; what ends in "me" relates to the camera and needs nothing after it."""

_VERBS = (
    "go over to", "go to", "go and find", "go", "navigate to", "drive to", "fly to", "move to", "walk to", "head to",
    "take me to", "bring me to", "look at", "look for", "show me", "show", "find me", "find", "where is", "where are", "approach",
    "search for", "point at", "point to", "locate", "i want to see", "let me see", "please", "can you", "could you", "frame",
)  # fmt: skip
_FILLERS = frozenset({
    "the", "a", "an", "that", "which", "is", "are", "who", "whose", "colour", "color", "please", "there", "it", "of", "its",
    "standing", "lying", "located", "placed", "sitting", "some", "any", "room",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """Put what fits in an order and take one of it.

    Args:
        by: a value of :data:`ORDERS`. rank: 1 the first of it, -1 the last. to: near what, far from what; None: the camera.
    """

    by: str
    rank: int = 1
    to: Query | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that must hold.

    Args:
        kind: left of, right of, in front of, behind, near, on, under, above, in, between.
        of: one query, two for between, none for the camera.
    """

    kind: str
    of: tuple[Query, ...]

    def __str__(self) -> str:
        return f"{self.kind} " + (" and ".join(str(q) for q in self.of) or ME)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for.

    Args:
        said: the words of it. noun: its concepts (:func:`.words.concepts`), empty for anything.
        colour: a key of :data:`.words.COLOURS`, or empty. size: a value of :data:`SIZES`, or empty.
        relations: all of them must hold. order: which of those that fit; None: the one nearest to the camera.
        name: the words as they were said, for things called just that.
    """

    said: str
    noun: tuple[str, ...] = ()
    colour: str = ""
    size: str = ""
    relations: tuple[Relation, ...] = ()
    order: Order | None = None
    name: str = ""

    def __str__(self) -> str:
        return f"the {self.said}"


def parse(phrase: str) -> Query:
    """The query a phrase means.

    Raises:
        SpatiaError: for an empty or overlong phrase, or one that names nothing.
    """
    if not isinstance(phrase, str) or not phrase.strip() or len(phrase) > MAX_CHARACTERS or not phrase.isprintable():
        raise SpatiaError(f"phrase: expected 1..{MAX_CHARACTERS} printable characters, got {phrase!r:.60}")
    words = re.findall(r"[\w'#.-]*\w", phrase.replace(",", " and "))
    while words:
        verb = next((v for v in _VERBS if [w.lower() for w in words[: len(v.split())]] == v.split()), None)
        if verb is None:
            break
        words = words[len(verb.split()) :]
    query = _query(words)
    if not (query.noun or query.colour or query.size or query.relations or query.order):
        raise SpatiaError(f"phrase: expected something to find, got {phrase!r}")
    return query


def _query(words: list[str]) -> Query:
    """A noun phrase with all its relations."""
    begin = _next_relation(words, 0)
    query = _noun(words[: len(words) if begin is None else begin[0]])
    while begin is not None:
        at, length, kind = begin
        end = _next_and_relation(words, at + length)
        query = _related(query, kind, words[at + length : len(words) if end is None else end])
        begin = None if end is None else _next_relation(words, end + 1)
    return query


def _related(query: Query, kind: str, rest: list[str]) -> Query:
    """The query with one more relation, to what the rest of the words say."""
    if kind.endswith(" me"):
        return _to_me(query, kind.removesuffix(" me"), rest)
    if [w.lower() for w in rest] in (["me"], ["the", "camera"], ["camera"], ["here"], ["you"]):
        return _to_me(query, "nearest" if kind == "near" else kind, [])
    if kind == "between":
        a, b = _halves(rest)
        return replace(query, relations=(*query.relations, Relation(kind, (_query(a), _query(b)))))
    if not rest:
        raise SpatiaError(f"phrase: expected something after {kind!r}, got nothing")
    if kind in ("nearest", "farthest"):
        rank = query.order.rank if query.order else 1
        return replace(query, order=Order(kind, rank, _query(rest)))
    return replace(query, relations=(*query.relations, Relation(kind, (_query(rest),))))


def _to_me(query: Query, kind: str, rest: list[str]) -> Query:
    """The query with a relation to the camera, and whatever was said after it."""
    if kind in ORDERS.values():
        rank, by = (query.order.rank, query.order.by) if query.order else (1, kind)
        query = replace(query, order=Order(kind if by in ("nearest", kind) else by, rank))
    else:
        query = replace(query, relations=(*query.relations, Relation(kind, ())))
    again = _next_relation(rest, 0)
    return query if again is None else _related(query, again[2], rest[again[0] + again[1] :])


def _halves(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after "and"."""
    small = [w.lower() for w in words]
    if "and" not in small or small.index("and") in (0, len(words) - 1):
        raise SpatiaError(f"phrase: expected two things after 'between', joined by 'and', got {' '.join(words)!r}")
    at = small.index("and")
    return words[:at], words[at + 1 :]


def _next_relation(words: list[str], start: int) -> tuple[int, int, str] | None:
    """Where the first relation from a word on begins, how many words it has, and which it is."""
    small = [w.lower() for w in words]
    for at in range(start, len(words)):
        for length in range(min(6, len(words) - at), 0, -1):
            kind = RELATIONS.get(" ".join(small[at : at + length]))
            # "nearest" before its noun is an order, after it a relation.
            if kind and not (length == 1 and kind in ORDERS and not _content(small[:at])):
                return at, length, kind
        if small[at] in ("to", "from") and at > 0 and any(w in ORDERS for w in small[start:at]):
            return at, 1, "farthest" if small[at] == "from" else "nearest"
    return None


def _content(words: list[str]) -> list[str]:
    """Words that may name something."""
    skipped = _FILLERS | ORDERS.keys() | ORDINALS.keys() | SIZES.keys() | COLOUR_OF.keys()
    return [w for w in words if w not in skipped]


def _next_and_relation(words: list[str], start: int) -> int | None:
    """Where an "and" stands that a relation follows directly."""
    small = [w.lower() for w in words]
    for at in range(start, len(words) - 1):
        if small[at] == "and":
            rest = at + 1
            while rest < len(words) and small[rest] in _FILLERS:
                rest += 1
            found = _next_relation(words, rest)
            if found is not None and found[0] == rest:
                return at
    return None


def _noun(words: list[str]) -> Query:
    """Adjectives and noun, without relations."""
    colour, size, order, rank, left = "", "", "", 0, list[str]()
    for at, word in enumerate(words):
        small = word.lower()
        if small in SHADES and any(w.lower() in COLOUR_OF for w in words[at + 1 : at + 2]):
            continue
        number = re.fullmatch(r"(\d+)(st|nd|rd|th)", small)
        if small in ORDINALS or number:
            rank = ORDINALS[small] if number is None else int(number[1])
        elif small in ORDERS and not order:
            order = ORDERS[small]
        elif small in COLOUR_OF and not colour:
            colour = COLOUR_OF[small]
        elif small in SIZES and not size:
            size = SIZES[small]
        elif (small not in _FILLERS or (small == "of" and left)) and small != "and":  # a sheet of paper
            left.append(word)
    said = " ".join(w for w in words if w.lower() not in ("the", "a", "an"))
    chosen = Order(order or "nearest", rank or 1) if order or rank else None
    noun = concepts([w for word in left for w in words_of(word)])
    return Query(said, noun, colour, size, (), chosen, " ".join(left))

"""The words of grounding: what things are called, which words mean the same, and what is a kind of what.

A name and a phrase are read alike: split into words, words of one meaning made one (:func:`concepts`). The last concept
says what a thing is, those before it which one: a ``KitchenTable_01_001`` is a table, and a kitchen table.
"""

from __future__ import annotations

import re
from functools import cache

SAME = {
    "air conditioner": "airconditioner, air conditioning, air con, aircon, ac unit",
    "arm": "robot arm, robotic arm, manipulator",
    "armchair": "easy chair, arm chair",
    "ball": "sphere",
    "bed": "",
    "bench": "",
    "bin": "trash, trash can, trashcan, trash bin, garbage, garbage can, garbage bin, wastebasket, rubbish bin, dustbin",
    "board": "notice board, noticeboard, bulletin board",
    "book": "",
    "bottle": "flask",
    "box": "crate, carton, package, parcel",
    "cabinet": "cupboard, sideboard, dresser, chest of drawers, commode",
    "camera": "webcam",
    "car": "automobile, auto",
    "carpet": "rug, mat",
    "ceiling": "",
    "chair": "",
    "chandelier": "hanging lamp, pendant lamp",
    "cup": "mug",
    "curtain": "drape, drapes, drapery",
    "desk": "writing desk, work desk, workstation",
    "door": "doorway",
    "dumbbell": "dumb bell, dumbbells, weights, barbell",
    "equipment": "machine",
    "exercise": "fitness, gym, workout",
    "floor": "ground",
    "handle": "knob, door handle, doorknob",
    "house": "building",
    "lamp": "light",
    "monitor": "computer screen, display",
    "nightstand": "night stand, bedside table, night table, bedside cabinet",
    "oven": "",
    "paper": "sheet of paper, document",
    "pavement": "sidewalk",
    "pedestrian": "person, human, man, woman, walker, somebody, someone",
    "picture": "painting, portrait, photo, photograph, poster, picture frame, photo frame, artwork",
    "plant": "potted plant, houseplant, house plant, flower, flowerpot, flower pot",
    "pole": "post, lamp post, lamppost, street lamp, street light",
    "rack": "",
    "range hood": "rangehood, cooker hood, extractor hood, extractor, exhaust hood, kitchen hood",
    "refrigerator": "fridge, freezer, ice box",
    "road": "street, roadway",
    "shelf": "bookcase, bookshelf, shelves, shelving, book shelf, book case",
    "skirting": "skirting board, baseboard",
    "sofa": "couch, settee, loveseat, love seat",
    "spice box": "seasoning, seasoning box, spices, spice rack",
    "stove": "cooking bench, cooktop, cook top, hob, cooker",
    "table": "",
    "tableware": "dishes, crockery, dinnerware",
    "tablet": "tablet computer, tablet pc, ipad",
    "television": "tv, telly, tv set, television set, tv screen, television screen",
    "tree": "",
    "utensils": "kitchen utensils, utensil, cutlery, kitchenware, kitchen utensil",
    "vase": "urn",
    "wall": "",
    "wardrobe": "closet, armoire",
    "window": "",
    "workbench": "",
}
"""A concept, and what else it is called."""

KINDS_OF = {
    "chair": "seat, furniture", "armchair": "chair", "sofa": "seat, furniture", "bench": "seat, furniture", "bed": "furniture",
    "table": "furniture", "desk": "table", "nightstand": "cabinet, table", "cabinet": "storage, furniture",
    "wardrobe": "cabinet", "shelf": "storage, furniture", "rack": "shelf", "refrigerator": "appliance", "stove": "appliance",
    "range hood": "appliance", "air conditioner": "appliance", "oven": "appliance", "television": "screen, appliance",
    "monitor": "screen", "tablet": "screen", "chandelier": "lamp", "car": "vehicle", "arm": "robot", "curtain": "textile",
    "carpet": "textile", "cup": "tableware", "tree": "plant", "dumbbell": "equipment", "ball": "toy", "bin": "container",
    "box": "container", "vase": "container", "bottle": "container",
}  # fmt: skip
"""What a concept is a kind of."""

ANYTHING = frozenset({"thing", "object", "item", "one", "something", "anything"})
"""Words for whatever it is."""

COLOURS = {
    "red": "crimson, scarlet", "orange": "", "yellow": "golden, gold", "green": "", "cyan": "turquoise, teal",
    "blue": "navy", "purple": "violet, lilac, magenta", "pink": "rosy", "brown": "wooden", "beige": "cream, tan, sand",
    "white": "", "grey": "gray, silver", "black": "",
}  # fmt: skip
"""Colour words, and what else they are called."""

COLOUR_OF = {word: colour for colour, others in COLOURS.items() for word in (colour, *filter(None, others.split(", ")))}
SHADES = frozenset({"dark", "light", "bright", "pale", "deep", "coloured", "colored"})
"""Words before a colour that are read over."""


def _singular(word: str) -> str:
    """The word without a plural's ending, where that is plain."""
    if len(word) > 4 and word.endswith("shelves"):
        return word[:-3] + "f"
    if len(word) > 4 and word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@cache
def _table() -> dict[tuple[str, ...], str]:
    """Words of a meaning, in a row -> concept."""
    table = {}
    for concept, others in SAME.items():
        for said in (concept, *filter(None, others.split(", "))):
            table[tuple(said.split())] = concept
    for wholes in KINDS_OF.values():
        for whole in wholes.split(", "):
            table.setdefault(tuple(whole.split()), whole)
    return table


LONGEST = 4
"""Words in the longest of all names for one concept."""


def concepts(words: list[str]) -> tuple[str, ...]:
    """Words with those of one meaning made one, the longest names first; a word that is not known stays as it is."""
    table, out, i = _table(), list[str](), 0
    while i < len(words):
        for n in range(min(LONGEST, len(words) - i), 0, -1):
            row = tuple(words[i : i + n])
            known = table.get(row) or table.get((*row[:-1], _singular(row[-1])))
            if known or n == 1:
                out.append(known or _singular(row[0]))
                i += n
                break
    return tuple(out)


def words_of(name: str) -> list[str]:
    """The words of a name, in small letters, without numbers and single letters: ``KitchenTable_01`` -> kitchen, table."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return [word.lower() for word in re.findall(r"[A-Za-z]+", spaced) if len(word) > 1]


@cache
def wider(concept: str) -> frozenset[str]:
    """Everything a concept is a kind of, itself included."""
    out, left = {concept}, [concept]
    while left:
        for whole in filter(None, KINDS_OF.get(left.pop(), "").split(", ")):
            if whole not in out:
                out.add(whole)
                left.append(whole)
    return frozenset(out)


def fits(asked: tuple[str, ...], named: tuple[str, ...]) -> float:
    """How well a thing's concepts answer to those asked for: 1 it is that, 0.5 it is a kind of that, 0 it is not."""
    if not asked or asked[-1] in ANYTHING:
        return 1.0
    if not named or not set(asked[:-1]) <= set(named[:-1]) | ANYTHING:
        return 0.0
    if asked == named or asked[-1] == named[-1]:
        return 1.0
    return 0.5 if asked[-1] in wider(named[-1]) else 0.0

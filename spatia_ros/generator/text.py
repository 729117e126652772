"""The words the generator understands, and how a phrase becomes their numbers.

The vocabulary is stated, not learned: what the procedural scenes contain and how they look. A word
outside it is an error that names the nearest known ones, never a guess in silence.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

import numpy as np

from spatia_ros.types import Int64, SpatiaError

PAD = 0
"""Not a word: padding, and a prompt that was not given."""
LENGTH = 16
"""Words of a phrase at most; shorter ones are padded to it."""
MAX_CHARACTERS = 400

VOCABULARY: dict[str, tuple[str, ...]] = {
    "place": ("room", "corridor", "desk", "street", "house", "kitchen", "office", "bedroom", "bathroom", "hall", "city"),
    "actor": ("pedestrian", "car", "box", "ball", "arm", "robot", "bicycle", "truck", "animal"),
    "thing": (
        "chair", "table", "sofa", "bed", "cupboard", "shelf", "lamp", "picture", "door", "window", "wall", "floor", "ceiling",
        "plant", "screen", "book", "cup", "building", "tree", "road", "pavement", "sign", "kerb",
    ),
    "time of day": ("morning", "noon", "afternoon", "evening", "night"),
    "weather": ("clear", "overcast", "fog", "rain", "snow", "sunny", "wet"),
    "light": ("bright", "dim", "dark", "warm", "cold", "light", "shadow"),
    "material": ("wood", "brick", "tile", "carpet", "concrete", "plaster", "metal", "glass", "fabric", "paper", "stone", "grass"),
    "colour": ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "grey", "black", "brown", "beige"),
    "size": ("small", "large", "tall", "low", "wide", "narrow", "long", "short"),
    "state": ("moving", "still", "empty", "crowded", "open", "closed", "plain", "patterned", "new", "old"),
    "relation": ("left", "right", "behind", "before", "near", "nearest", "far", "farthest", "above", "below", "beside"),
    "verb": ("go", "look", "find", "follow", "turn", "stop"),
    "number": ("one", "two", "three", "many", "no"),
}
"""What each word is about. Trained networks know a word by its number, its place here from 1 on: new kinds go to the end."""
WORDS: tuple[str, ...] = ("", *(word for words in VOCABULARY.values() for word in words))
NUMBER_OF = {word: number for number, word in enumerate(WORDS) if number != PAD}
SILENT = frozenset(("a", "an", "the", "and", "with", "of", "in", "on", "at", "to", "is", "are", "it", "there"))
"""Understood, and left out: they change nothing."""
SAME_AS = {
    "gray": "grey", "hallway": "corridor", "person": "pedestrian", "people": "pedestrian", "bike": "bicycle",
    "carpeted": "carpet", "wooden": "wood", "tiled": "tile", "foggy": "fog", "rainy": "rain", "snowy": "snow",
    "big": "large", "little": "small", "couch": "sofa", "sidewalk": "pavement", "shelves": "shelf",
    "ahead": "before", "closest": "nearest", "over": "above", "under": "below",
}


def tokenise(phrase: str) -> Int64:
    """The words of a phrase as their numbers, int64 [LENGTH], padded with PAD; an empty phrase is all PAD.

    Case, commas and full stops do not matter, nor whether a word stands in the plural.

    Raises:
        SpatiaError: naming every unknown word and the nearest known ones, or that the phrase is too long.
    """
    if len(phrase) > MAX_CHARACTERS:
        raise SpatiaError(f"prompt: expected at most {MAX_CHARACTERS} characters, got {len(phrase)}")
    heard = [word for word in re.split(r"[\s,.;:-]+", phrase.lower()) if word and word not in SILENT]
    known = [_known(word) for word in heard]
    unknown = [word for word, found in zip(heard, known, strict=True) if found is None]
    if unknown:
        raise SpatiaError(f"prompt {phrase!r}: expected words of the vocabulary (docs/generator.md), got {_suggest(unknown)}")
    if len(known) > LENGTH:
        raise SpatiaError(f"prompt {phrase!r}: expected at most {LENGTH} words (not counting 'the', 'of'), got {len(known)}")
    tokens = np.full(LENGTH, PAD, np.int64)
    tokens[: len(known)] = [NUMBER_OF[word] for word in known if word is not None]
    return tokens


def _known(word: str) -> str | None:
    """The word of the vocabulary that is meant; None when there is none."""
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        form = SAME_AS.get(form, form)
        if form in NUMBER_OF:
            return form
    return None


def _suggest(unknown: list[str]) -> str:
    """Unknown words, each with the nearest known ones."""
    known = [*NUMBER_OF, *SAME_AS]
    nearest = {word: get_close_matches(word, known, n=3, cutoff=0.5) for word in dict.fromkeys(unknown)}
    return ", ".join(f"{word!r} (nearest: {', '.join(near) or 'none'})" for word, near in nearest.items())


def detokenise(tokens: Int64) -> str:
    """The words that numbers int64 [S] stand for, padding left out.

    Raises:
        SpatiaError: for a number that is no word's.
    """
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < len(WORDS):
        raise SpatiaError(f"tokens: expected numbers of 0..{len(WORDS) - 1}, got {tokens.min()}..{tokens.max()}")
    return " ".join(WORDS[token] for token in tokens.tolist() if token != PAD)

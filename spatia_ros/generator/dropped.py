"""Leaving out conditions, to measure what each is worth: as training leaves them out, so that the network knows how it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatia_ros.generator.anchor import FRAME_CHANNELS, NO_CLOCK
from spatia_ros.generator.condition import CONTEXT_SIZE, ClipCondition, Context
from spatia_ros.generator.image import MULTIPLE
from spatia_ros.generator.rays import RAY_CHANNELS
from spatia_ros.types import Float32, SpatiaError

CONDITIONS = ("memory_render", "references", "rays", "animation_time", "text")
"""What can be left out. References are all frames of the context, recent ones too."""
FAR, RAYS = slice(8, 10), slice(13, 15)
"""Channels of an image: distance to the known, and pixel rays."""


def conditions_in(words: str) -> frozenset[str]:
    """The conditions that words name, with commas between them; none for an empty text.

    Raises:
        SpatiaError: for a word that is none.
    """
    named = frozenset(word.strip() for word in words.split(",") if word.strip())
    if unknown := sorted(named - set(CONDITIONS)):
        raise SpatiaError(f"generator.drop: expected words of {', '.join(CONDITIONS)}, got {', '.join(unknown)}")
    return named


def clip_without(told: ClipCondition, dropped: frozenset[str]) -> ClipCondition:
    """A clip's condition without some of what it is told; dropped references are :func:`nothing_known`."""
    if "memory_render" in dropped:
        views = tuple(replace(view, image=_blank(view.image), settled=None) for view in told.views)
        image, nowhere = np.stack([view.image for view in views]), np.ones_like(told.uncovered)
        told = replace(told, views=views, image=image, memory=np.zeros_like(told.memory), uncovered=nowhere)
    if "rays" in dropped:
        told = replace(told, rays=np.zeros_like(told.rays))
    if "animation_time" in dropped:
        told = replace(told, animation=np.full_like(told.animation, NO_CLOCK))
    if "text" in dropped:
        told = replace(told, tokens=np.zeros_like(told.tokens))
    return told


def _blank(image: Float32) -> Float32:
    """An image [15, H, W] that shows nothing: far from the known everywhere, and where its pixels look."""
    out = np.zeros_like(image)
    out[FAR], out[RAYS] = 1.0, image[RAYS]
    return out


def context_without(context: Context, dropped: frozenset[str]) -> Context:
    """A context without some of what it is told."""
    if "references" in dropped:
        return nothing_known()
    if "rays" in dropped:
        context = replace(context, rays=np.zeros_like(context.rays))
    if "animation_time" in dropped:
        context = replace(context, animation=np.full_like(context.animation, NO_CLOCK))
    return context


def nothing_known() -> Context:
    """One context frame that is not there: zeros, which the networks leave out."""
    rows, cols = CONTEXT_SIZE
    return Context(
        np.zeros((1, FRAME_CHANNELS, rows, cols), np.float32),
        np.zeros((1, RAY_CHANNELS, rows // MULTIPLE, cols // MULTIPLE), np.float32),
        np.zeros(1, np.float32), np.full(1, NO_CLOCK, np.float32),
    )

"""What a generator carries from clip to clip: the frames it made last, and the context it looks at.

A context is a handful of clean frames in the units of one anchor: recent frames of the generator's
own, the newest and ever sparser older ones with their true times (Video4Spatial's non-contiguous
context, arXiv 2512.03040), and retrieved keyframes that saw the same space (Spatia, arXiv
2512.15716). While it is held, its keys and values are computed once, so a frame costs what a frame
costs however long the run. It is taken anew for a reason, and the reason is kept in :attr:`Stream.why`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from spatia_ros.generator.anchor import Anchor
from spatia_ros.generator.box import DrawnBox
from spatia_ros.generator.condition import MAX_CONTEXT, ClipView, Context, ContextFrame, context_in
from spatia_ros.generator.image import ViewImage
from spatia_ros.geometry import rotation_error_deg
from spatia_ros.memory import Keyframe
from spatia_ros.types import Float32, Float64, Frame, Int64, SpatiaError

BACK = (1, 2, 4, 8, 16)
"""Which recent frames a context takes: so many frames back, as many of them as there is room for."""
LEAST_RECENT = 2
"""Recent frames that retrieved ones do not crowd out."""
HOLD_FRAMES = 8
"""Frames made with one context at most: memory hands over what the newest frames invented, context how they looked."""
HOLD_S = 2.0
"""A frame shown at another time than this from the anchor's asks for new context."""
MOVED = 0.2
"""The camera has left the context's neighbourhood when it is this far from the anchor, in units of the anchor's depth."""
TURNED_DEG = 10.0
"""As MOVED, in degrees: a sixth of a usual field of view has then turned away from the anchor."""

Why = Literal["held", "first", "handover", "edited", "moved", "turned", "late", "old", "references"]
"""Why a context was taken: none was there; a clip of several frames begins; a keyframe in it was changed; the camera has
moved or turned away; the clock has; it has served its frames; memory has other frames to offer. Or it was held."""


@dataclass(frozen=True, slots=True)
class Held:
    """A context and what it is good for.

    Args:
        anchor: what it, and the clips made with it, are relative to. context: None when nothing is known yet.
        references: the keyframes in it. offered: the best that memory offered when it was taken.
        made: frames made with it so far.
    """

    anchor: Anchor
    context: Context | None
    references: tuple[Keyframe, ...]
    offered: tuple[Keyframe, ...]
    made: int = 0


@dataclass(frozen=True, slots=True)
class StreamState:
    """Everything a :class:`Stream` is at one moment; its arrays are never written to."""

    recent: tuple[ContextFrame, ...]
    held: Held | None
    computed: dict[str, Float32]
    why: Why
    boxes: tuple[DrawnBox | None, ...] = ()
    prompt: Int64 | None = None


@dataclass(frozen=True, slots=True)
class Aside:
    """A context that is not in use now, with what was computed of it, and the prompt it is for."""

    held: Held | None
    computed: dict[str, Float32]
    prompt: Int64 | None


@dataclass(slots=True)
class Stream:
    """The state of one world's generator: bounded, however long the world runs.

    Args:
        context_frames: frames of a context at most; 0: nothing is carried.
        recent: the last frames, the newest at the end. held: the context in use.
        computed: what was computed of it by name (keys, values, noise), valid as long as it is held.
        why: why the last clip's context was taken, or that it was held.
        boxes: of each frame of the last clip, where the network drew the box of what the prompt names; None: nowhere.
        prompt: the words asked for, as numbers; None: those that the generator was opened with.
    """

    context_frames: int
    recent: tuple[ContextFrame, ...] = ()
    held: Held | None = None
    computed: dict[str, Float32] = field(default_factory=dict)
    why: Why = "held"
    boxes: tuple[DrawnBox | None, ...] = ()
    prompt: Int64 | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.context_frames <= MAX_CONTEXT:
            raise SpatiaError(f"stream: expected 0..{MAX_CONTEXT} context frames, got {self.context_frames}")

    def prepare(self, shown: ClipView, first: ViewImage) -> Held:
        """The context a clip is made with: the one in use, or a new one anchored at the clip's first view.

        Args:
            first: the image of that view.
        """
        self.why = why_renew(self.held, shown)
        if self.held is None or self.why != "held":
            self.held, self.computed = self._take(shown, first), {}
        self.held = replace(self.held, made=self.held.made + len(shown))
        return self.held

    def _take(self, shown: ClipView, first: ViewImage) -> Held:
        anchor = Anchor.of(first, shown.T_world_cams[0], float(shown.times_s[0]), float(shown.animation_s[0]))
        recent = [self.recent[-back] for back in BACK if back <= len(self.recent)]
        known = {frame.time_s for frame in recent[:LEAST_RECENT]}
        offered = [k for k in by_turns(shown.references) if k.stamp_ns * 1e-9 not in known]
        references = offered[: max(self.context_frames - len(recent[:LEAST_RECENT]), 0)]
        frames = recent[: self.context_frames - len(references)]
        frames += [ContextFrame.of_keyframe(k, k.stamp_ns * 1e-9) for k in references]
        context = context_in(anchor, frames) if frames else None
        return Held(anchor, context, tuple(references), shown.references[0][: self.context_frames])

    def follow(self, frames: Sequence[Frame], animation_s: Float64) -> None:
        """Take note of the frames of a clip, so that the next ones go on from them.

        Args:
            animation_s: float64 [T], the animation time each shows.
        """
        if self.context_frames:
            made = [ContextFrame.of(f, animation_s=float(a)) for f, a in zip(frames, animation_s, strict=True)]
            self.recent = (*self.recent, *made)[-BACK[-1] :]

    def put_aside(self, other: Aside | None) -> Aside:
        """Go on with another context (None: one to be taken anew, of the same prompt); gives back the one in use.

        Recent frames stay.
        """
        aside = Aside(self.held, self.computed, self.prompt)
        self.held, self.computed, self.prompt = (other.held, other.computed, other.prompt) if other else (None, {}, self.prompt)
        return aside

    def snapshot(self) -> StreamState:
        """The whole state, independent of what the stream does next."""
        return StreamState(self.recent, self.held, dict(self.computed), self.why, self.boxes, self.prompt)

    def restore(self, state: StreamState) -> None:
        """Go back to a snapshot, which stays usable."""
        self.recent, self.held, self.computed, self.why = state.recent, state.held, dict(state.computed), state.why
        self.boxes, self.prompt = state.boxes, state.prompt


def by_turns(references: Sequence[Sequence[Keyframe]]) -> list[Keyframe]:
    """The keyframes of several views, the best of each first, none twice."""
    most = max((len(each) for each in references), default=0)
    ordered = [each[rank] for rank in range(most) for each in references if rank < len(each)]
    return list({id(keyframe): keyframe for keyframe in ordered}.values())


def why_renew(held: Held | None, shown: ClipView) -> Why:
    """Why a clip asks for new context, or "held"; the first reason that applies."""
    if held is None:
        return "first"
    if len(shown) > 1:
        return "handover"
    offered = shown.references[0]
    stamps = {k.stamp_ns: k for k in offered}
    if any(stamps.get(k.stamp_ns, k) is not k for k in held.references):
        return "edited"
    anchor, T_world_cam = held.anchor, shown.T_world_cams[0]
    if np.linalg.norm(T_world_cam[:3, 3] - anchor.T_world_anchor[:3, 3]) > MOVED * anchor.scale_m:
        return "moved"
    if rotation_error_deg(anchor.T_world_anchor[:3, :3], T_world_cam[:3, :3]) > TURNED_DEG:
        return "turned"
    if max(abs(shown.times_s[0] - anchor.time_s), abs(shown.animation_s[0] - anchor.animation_s)) > HOLD_S:
        return "late"
    if held.made >= HOLD_FRAMES:
        return "old"
    best = offered[: max(len(held.offered), 1)]
    same = sum(any(k is other for other in held.offered) for k in best)
    return "references" if 2 * same < len(best) else "held"

"""Spatia's published form as one of our generators: condition, then sample, a clip at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatia_ros.generator.big.canvas import Canvas, covered, fitted, off, onto
from spatia_ros.generator.big.codec import whole
from spatia_ros.generator.big.depth import Estimator, in_metres
from spatia_ros.generator.big.sampler import Clip, Sampler
from spatia_ros.generator.big.words import Words
from spatia_ros.generator.sample import Generated
from spatia_ros.memory import Keyframe
from spatia_ros.types import Bool, Camera, Float32, Float64, SpatiaError, UInt8, View

HISTORY = 9
"""Frames of the clip before that a clip begins with."""
MAX_REFERENCES = 7
MAX_CLIP = 121
"""Frames of the longest clip the weights were made for (the first; later ones had 9 + 72)."""
FIRST_FRAME_SHARE = 0.9
"""A first clip begins with what memory shows at its first pose, if that is at least this share of the picture."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked for, and what is not wanted, in words."""

    asked: str = "A place seen by a moving camera, realistic, sharp, even light."
    shunned: str = "blurry, noisy, low quality, watermark, subtitles, flicker, cut to another scene, distorted shapes"


@dataclass(frozen=True, slots=True)
class BigCondition:
    """What one clip is made from.

    Args:
        memory: uint8 [T, H, W, 3], coverage: bool [T, H, W], depth: float32 [T, H, W] metres: what memory shows.
        references: uint8 [H', W', 3] each, at their own sizes; masked parts grey.
        history: uint8 [N, H, W, 3], the frames before, N = 0 at the start and 9 at most.
    """

    memory: UInt8
    coverage: Bool
    depth: Float32
    camera: Camera
    references: tuple[UInt8, ...]
    history: UInt8


class BigGenerator:
    """Wan2.2-TI2V-5B with Spatia's weights.

    It draws colour alone; depth is the estimator's, brought to the metres of what memory shows. What it drew last is the
    beginning of what it draws next, so its state belongs to the world's (:meth:`snapshot`).

    Args:
        sampler: the networks. words: prompts to embeddings. depth: any depth estimator (``spatia_ros.seed``).
        rows, columns: the canvas the networks work at, px.
    """

    name = "spatia-wan"
    max_clip = MAX_CLIP

    def __init__(
        self, sampler: Sampler, words: Words, depth: Estimator, prompts: Prompts = Prompts(), references: int = MAX_REFERENCES,
        rows: int = 704, columns: int = 1248,
    ) -> None:
        if not 0 <= references <= MAX_REFERENCES:
            raise SpatiaError(f"big generator: expected 0..{MAX_REFERENCES} references, got {references}")
        self.sampler, self.words, self.depth, self.prompts = sampler, words, depth, prompts
        self.references, self.rows, self.columns = references, rows, columns
        self._history: UInt8 | None = None

    def snapshot(self) -> UInt8 | None:
        """The frames the next clip begins with, uint8 [N, H, W, 3]; None before the first."""
        return self._history

    def restore(self, state: UInt8 | None) -> None:
        """Go back to a snapshot."""
        self._history = state

    def condition(
        self, views: Sequence[View], camera: Camera, T_world_cams: Float64, references: Sequence[Keyframe]
    ) -> BigCondition:
        """What a clip of T views of memory is made from.

        Raises:
            SpatiaError: when the clip is longer than the weights know.
        """
        if not 1 <= len(views) <= MAX_CLIP or len(T_world_cams) != len(views):
            got = f"{len(views)} and {len(T_world_cams)}"
            raise SpatiaError(f"big generator: expected 1..{MAX_CLIP} views and as many poses, got {got}")
        shape = views[0].rgb.shape
        before = self._history
        history = before if before is not None and before.shape[1:] == shape else np.zeros((0, *shape), np.uint8)
        return BigCondition(
            np.stack([v.rgb for v in views]), np.stack([v.coverage for v in views]), np.stack([v.depth for v in views]), camera,
            tuple(_unmasked(k) for k in references[: self.references]), history,
        )

    def sample(self, condition: BigCondition, rng: np.random.Generator) -> list[Generated]:
        """T frames; the same condition and generator state give the same frames."""
        frames, height, width = condition.depth.shape
        canvas = fitted(height, width, self.rows, self.columns)
        clip = as_clip(condition, canvas)
        drawn = self.sampler.sample(clip, self.words(self.prompts.asked), self.words(self.prompts.shunned), rng)
        begun = len(condition.history)
        rgb = np.stack([off(canvas, picture, height, width) for picture in drawn[begun : begun + frames]])
        self._history = np.concatenate([condition.history, rgb])[-HISTORY:]
        return [self._with_depth(*frame, condition.camera) for frame in zip(rgb, condition.depth, strict=True)]

    def _with_depth(self, rgb: UInt8, remembered: Float32, camera: Camera) -> Generated:
        depth, spread = in_metres(self.depth.estimate(rgb, camera), remembered)
        return Generated(rgb, depth, spread)


def as_clip(condition: BigCondition, canvas: Canvas) -> Clip:
    """A condition on the model's canvas, its length made whole by standing still at the end.

    The history's frames stand for what memory shows at their poses: memory has taken them in since.
    """
    shown = np.concatenate([condition.history, condition.memory])
    coverage = np.concatenate([np.ones(condition.history.shape[:3], np.bool_), condition.coverage])
    seen = np.where(coverage[..., None], shown, np.uint8(0))
    order = np.minimum(np.arange(whole(len(seen))), len(seen) - 1)
    memory = np.stack([onto(canvas, picture) for picture in seen])[order]
    known = memory[: len(condition.history)]
    if not len(condition.history) and condition.coverage[0].mean() >= FIRST_FRAME_SHARE:
        known = memory[:1]
    references = np.zeros((len(condition.references), canvas.rows, canvas.columns, 3), np.uint8)
    for i, picture in enumerate(condition.references):
        references[i] = onto(fitted(picture.shape[0], picture.shape[1], canvas.rows, canvas.columns), picture)
    covers = np.stack([covered(canvas, mask) for mask in coverage])[order]
    return Clip(memory, covers, known, references, history=bool(len(condition.history)))


def _unmasked(reference: Keyframe) -> UInt8:
    """A reference's colour with grey where it is masked."""
    return reference.rgb if reference.masked is None else np.where(reference.masked[..., None], np.uint8(128), reference.rgb)

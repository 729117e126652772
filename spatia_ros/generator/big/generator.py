"""Spatia's published form as one of our generators: condition, then sample, a clip at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spatia_ros.generator.big.canvas import Canvas, covered, fitted, off, onto
from spatia_ros.generator.big.codec import whole
from spatia_ros.generator.big.depth import Estimator, in_metres
from spatia_ros.generator.big.sampler import Clip, Sampler
from spatia_ros.generator.big.words import Words
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.sample import Generated
from spatia_ros.memory import Keyframe
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame, SpatiaError, UInt8

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


class History:
    """The frames the next clip begins with, and what it is to show: what is carried from clip to clip."""

    def __init__(self) -> None:
        self.frames: tuple[UInt8, ...] = ()
        self.prompt = ""

    def follow(self, frames: Sequence[Frame], animation_s: Float64) -> None:  # noqa: ARG002  (Wan knows no clock but its own)
        """Take note of the frames of a clip."""
        self.frames = (*self.frames, *(frame.rgb for frame in frames))[-HISTORY:]

    def put_aside(self, other: str | None) -> str:
        """Go on with another prompt (None: the same); gives back the one in use. There is no context beside it."""
        before, self.prompt = self.prompt, self.prompt if other is None else other
        return before

    def snapshot(self) -> tuple[tuple[UInt8, ...], str]:
        """The frames, which nobody changes, and the prompt."""
        return self.frames, self.prompt

    def restore(self, state: tuple[tuple[UInt8, ...], str]) -> None:
        """Go back to a snapshot."""
        self.frames, self.prompt = state

    def of_size(self, height: int, width: int) -> UInt8:
        """The frames uint8 [N, H, W, 3]; none if they have another size."""
        fitting = [rgb for rgb in self.frames if rgb.shape[:2] == (height, width)]
        return np.stack(fitting) if fitting else np.zeros((0, height, width, 3), np.uint8)


class BigGenerator:
    """Wan2.2-TI2V-5B with Spatia's weights, a clip at a time.

    It draws colour alone; depth is the estimator's, brought to the metres of what memory shows.

    Args:
        sampler: the networks. words: prompts to embeddings. depth: any depth estimator (``spatia_ros.seed``).
        references: kept frames it is shown, at most. rows, columns: the canvas the networks work at, px.
    """

    name = "spatia-wan"

    def __init__(
        self, sampler: Sampler, words: Words, depth: Estimator, prompts: Prompts = Prompts(), references: int = MAX_REFERENCES,
        rows: int = 704, columns: int = 1248,
    ) -> None:
        if not 0 <= references <= MAX_REFERENCES:
            raise SpatiaError(f"big generator: expected 0..{MAX_REFERENCES} references, got {references}")
        self.sampler, self.words, self.depth, self.prompts = sampler, words, depth, prompts
        self.references, self.rows, self.columns = references, rows, columns

    @property
    def steps(self) -> int:
        """Steps of the solver."""
        return self.sampler.schedule.steps

    def in_steps(self, steps: int) -> BigGenerator:
        """The same networks, the solver taking another number of steps."""
        sampler = Sampler(self.sampler.network, self.sampler.codec, replace(self.sampler.schedule, steps=steps))
        return BigGenerator(sampler, self.words, self.depth, self.prompts, self.references, self.rows, self.columns)

    def ask(self, prompt: str, stream: History) -> None:
        """Have a stream follow a prompt, in any words; an empty one is the settings'."""
        stream.prompt = prompt

    def stream(self) -> History:
        """What is carried from clip to clip: the last frames."""
        return History()

    def condition(self, shown: ClipView, stream: History) -> BigCondition:
        """What a clip is made from.

        Raises:
            SpatiaError: when the clip is longer than the weights know.
        """
        if len(shown) > MAX_CLIP:
            raise SpatiaError(f"big generator: expected clips of at most {MAX_CLIP} frames (generator.clip), got {len(shown)}")
        views = shown.views
        return BigCondition(
            np.stack([v.rgb for v in views]), np.stack([v.coverage for v in views]), np.stack([v.depth for v in views]),
            shown.camera, tuple(_unmasked(k) for k in chosen(shown.references, self.references)),
            stream.of_size(shown.camera.height, shown.camera.width),
        )

    def sample(self, told: BigCondition, stream: History, rng: np.random.Generator) -> list[Generated]:
        """T frames; the same condition and generator state give the same frames."""
        frames, height, width = told.depth.shape
        canvas = fitted(height, width, self.rows, self.columns)
        asked, shunned = self.words(stream.prompt or self.prompts.asked), self.words(self.prompts.shunned)
        drawn = self.sampler.sample(as_clip(told, canvas), asked, shunned, rng)
        begun = len(told.history)
        rgb = [off(canvas, picture, height, width) for picture in drawn[begun : begun + frames]]
        return [self._with_depth(*frame, told.camera) for frame in zip(rgb, told.depth, strict=True)]

    def _with_depth(self, rgb: UInt8, remembered: Float32, camera: Camera) -> Generated:
        depth, spread = in_metres(self.depth.estimate(rgb, camera), remembered)
        return Generated(rgb, depth, spread)


def chosen(offered: Sequence[Sequence[Keyframe]], count: int) -> list[Keyframe]:
    """The references of a clip: each frame's best, then each frame's second best, none twice, ``count`` at most."""
    depth = max((len(each) for each in offered), default=0)
    in_turn = [each[rank] for rank in range(depth) for each in offered if rank < len(each)]
    unique = {id(keyframe): keyframe for keyframe in in_turn}
    return list(unique.values())[:count]


def as_clip(condition: BigCondition, canvas: Canvas) -> Clip:
    """A condition on the model's canvas, its length made whole by standing still at the end.

    The history's frames stand for what memory shows at their poses: memory has taken them in since. References come with a
    history only: the weights for a first clip never saw any.
    """
    shown = np.concatenate([condition.history, condition.memory])
    coverage = np.concatenate([np.ones(condition.history.shape[:3], np.bool_), condition.coverage])
    seen = np.where(coverage[..., None], shown, np.uint8(0))
    order = np.minimum(np.arange(whole(len(seen))), len(seen) - 1)
    memory = np.stack([onto(canvas, picture) for picture in seen])[order]
    known = memory[: len(condition.history)]
    if not len(condition.history) and condition.coverage[0].mean() >= FIRST_FRAME_SHARE:
        known = memory[:1]
    offered = condition.references if len(condition.history) else ()
    references = np.zeros((len(offered), canvas.rows, canvas.columns, 3), np.uint8)
    for i, picture in enumerate(offered):
        references[i] = onto(fitted(picture.shape[0], picture.shape[1], canvas.rows, canvas.columns), picture)
    covers = np.stack([covered(canvas, mask) for mask in coverage])[order]
    return Clip(memory, covers, known, references, history=bool(len(condition.history)))


def _unmasked(reference: Keyframe) -> UInt8:
    """A reference's colour with grey where it is masked."""
    return reference.rgb if reference.masked is None else np.where(reference.masked[..., None], np.uint8(128), reference.rgb)

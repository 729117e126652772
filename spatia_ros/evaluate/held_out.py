"""Clips of procedural scenes that training never drew, each of which needs one condition; and a generator drawing them."""

from __future__ import annotations

import numpy as np

from spatia_ros.evaluate.deprived import Deprived
from spatia_ros.generator import Generated, Generator
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.dropped import clip_without
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.generator.stream import Held, Stream
from spatia_ros.train.clip_scenes import Plan
from spatia_ros.train.clip_sources import Material, shard_runs
from spatia_ros.train.clips import Clip
from spatia_ros.train.example import example_of
from spatia_ros.types import Frame

SOURCES = {
    "memory_render": "check-memory", "references": "check-references", "rays": "check-rays", "animation_time": "check-animation",
}
"""Conditions, and the kind of clip that cannot be told right without it."""
FRAMES = 4


def held_out_clips(seed: int, count: int, size: tuple[int, int]) -> dict[str, list[Clip]]:
    """``count`` clips for each condition, drawn from the seed.

    Args:
        size: width and height, px.
    """
    plan = Plan(size=size, frames=FRAMES)
    groups: dict[str, list[Clip]] = {}
    for k, (name, source) in enumerate(SOURCES.items()):
        rng = np.random.default_rng([seed, 0xAB1A, k])
        clips: list[Clip] = []
        while len(clips) < count:
            clips += [clip for run in shard_runs(source, len(clips), Material(), plan, rng) for clip in run]
        groups[name] = clips[:count]
    return groups


def draw(generator: Generator | Deprived, clip: Clip, rng: np.random.Generator) -> list[Generated]:
    """The clip's frames as a generator draws them from what the clip gives to go by.

    A generator of space, time and context is given the clip's own context, as in training; others condition themselves on what
    memory shows and retrieves, after the latest sights.
    """
    inner = generator.inner if isinstance(generator, Deprived) else generator
    if isinstance(inner, SpaceTimeGenerator):
        example = example_of(clip, None, np.random.default_rng(0))
        told = clip_without(example.told, inner.dropped)
        return inner.sample(told, Stream(0, held=Held(told.anchor, example.context, (), ())), rng)
    stream = generator.stream()
    shown = shown_by(clip)
    latest = [clip.sights[k] for k in sorted(clip.context)]
    kept = [s.keyframe for s in latest]
    frames = [Frame(k.rgb, k.depth, k.camera, k.T_world_cam, k.stamp_ns) for k in kept]
    stream.follow(frames, np.array([0.0 if s.animation_s is None else s.animation_s for s in latest]))
    return generator.sample(generator.condition(shown, stream), stream, rng)


def shown_by(clip: Clip) -> ClipView:
    """What memory shows and retrieves along a clip."""
    references = tuple(tuple(clip.sights[k].lends for k in each) for each in clip.retrieved)
    times = np.array([t.stamp_ns for t in clip.targets]) * 1e-9
    clock = times if clip.animation_s is None else np.asarray(clip.animation_s, np.float64)
    poses = np.stack([t.T_world_cam for t in clip.targets])
    return ClipView(clip.views, references, clip.targets[0].camera, poses, times, clock)

"""Frames generated together, for a world that is asked for them one by one: a path whose next poses are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from spatia_ros.generator import Generated, Generator
from spatia_ros.generator.condition import ClipView
from spatia_ros.types import Float64, Int64
from spatia_ros.world import World


class Coming(NamedTuple):
    """What is known of the way ahead.

    Args:
        after_ns: int64 [N], time from the frame that is being made. T_world_cam: float64 [N, 4, 4].
    """

    after_ns: Int64
    T_world_cam: Float64


class ClipAhead:
    """A world's generator, asked for a clip whenever the frame in question was not made with the one before.

    The frames are those of one clip: from what memory shows when it begins. Each enters memory when its turn comes, so one
    that nobody came for never does.

    Args:
        inner: the world's own generator; whatever else is asked of this one is asked of that.
        coming: the poses after the one that is being made; those of one clip are taken.
    """

    def __init__(self, world: World, inner: Generator, coming: Callable[[], Coming]) -> None:
        self._world, self._inner, self._coming = world, inner, coming
        self.name, self.references = inner.name, inner.references
        self._ready: deque[tuple[Float64, Generated]] = deque()
        self._poses: Float64 = np.zeros((0, 4, 4))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def ready(self) -> int:
        """Frames that are made and wait for their turn."""
        return len(self._ready)

    def condition(self, shown: ClipView, stream: Any) -> Any:
        """The frame itself where it is ready; else what the generator is told of the clip that begins with it."""
        if self._ready:
            T_world_cam, made = self._ready.popleft()
            if np.array_equal(T_world_cam, shown.T_world_cams[0]):
                return made
            self._ready.clear()  # another way was gone
        whole = self._with_coming(shown)
        self._poses = whole.T_world_cams[1:]
        return self._inner.condition(whole, stream)

    def sample(self, told: Any, stream: Any, rng: np.random.Generator) -> list[Generated]:
        """The first frame of the clip; the others wait."""
        if isinstance(told, Generated):
            return [told]
        made = self._inner.sample(told, stream, rng)
        self._ready.extend(zip(self._poses, made[1:], strict=True))
        return made[:1]

    def _with_coming(self, shown: ClipView) -> ClipView:
        """The clip that begins with a frame: what memory shows along it now."""
        world, (after_ns, poses) = self._world, self._coming()
        count = world.config.generator.clip - 1
        after_ns, poses = after_ns[:count], poses[:count]
        if not len(poses):
            return shown
        times_s = shown.times_s[0] + after_ns * 1e-9
        start_s = world.start_ns * 1e-9
        animation_s = start_s + world.cast.clock.at(times_s - start_s)
        views = [
            world.memory.render(world.camera, T, round(time_s * 1e9)) for T, time_s in zip(poses, times_s.tolist(), strict=True)
        ]
        found = [tuple(world.memory.retrieve(v, world.camera, T, self.references)) for v, T in zip(views, poses, strict=True)]
        return ClipView(
            (*shown.views, *views), (*shown.references, *found), shown.camera, np.concatenate([shown.T_world_cams, poses]),
            np.concatenate([shown.times_s, times_s]), np.concatenate([shown.animation_s, animation_s]),
        )  # fmt: skip

"""What the deadline policy makes of a world's frames: which generator draws them, how often, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spatia_ros.generator import Generator, ProjectionGenerator
from spatia_ros.generator.generators import MemoryAlone, Stepwise
from spatia_ros.nodes.deadline import Deadline, Quality, Rung, ladder
from spatia_ros.nodes.settings import DeadlineSettings
from spatia_ros.world import World

WORDS = {
    Quality.FULL: "every frame as configured",
    Quality.FEWER_STEPS: "fewer sampling steps",
    Quality.PROJECTION: "memory alone is drawn, nothing is invented",
    Quality.LOWER_RATE: "memory alone is drawn, and frames come more rarely",
}
"""What each quality means."""


def steps_of(generator: Generator) -> int:
    """Sampling steps of a generator as configured; 0: it samples nothing; 1 where it knows none."""
    if isinstance(generator, Stepwise):
        return generator.steps
    return 0 if isinstance(generator, ProjectionGenerator) else 1


class Relief:
    """Follows a :class:`.deadline.Deadline` while the policy says so, and has each frame made as its rung says.

    Args:
        settings: the newest settings of the policy. tell: takes a line on each change, warning or not.
    """

    def __init__(self, settings: Callable[[], DeadlineSettings], tell: Callable[[str, bool], None]) -> None:
        self._settings, self._tell = settings, tell
        self._alone = MemoryAlone()
        self._deadline = Deadline(ladder(0, 1), settings())

    @property
    def rung(self) -> Rung:
        """How frames are made now."""
        return self._deadline.rung

    @property
    def concern(self) -> str:
        """What has given way, in words; empty when nothing has."""
        return "" if self.rung.quality is Quality.FULL else f"deadline: {WORDS[self.rung.quality]}"

    def prepare(self, world: World, gives_way: bool = True) -> Rung:
        """How the next frame of a world is to be made: its generator, or the policy, may be another than before.

        Args:
            gives_way: false for a frame that is to be as configured, however long it takes.
        """
        settings = self._settings()
        rungs = ladder(steps_of(world.generator), settings.slowest)
        if rungs != self._deadline.rungs:
            self._became(lambda: self._replace(rungs))
        self._deadline.rules = settings
        if settings.policy == "keep" and self.rung.quality is not Quality.FULL:
            self._became(self._deadline.reset)
        return self.rung if gives_way else rungs[0]

    def _replace(self, rungs: tuple[Rung, ...]) -> None:
        self._deadline = Deadline(rungs, self._settings())

    @contextmanager
    def drawing(self, world: World, rung: Rung) -> Iterator[None]:
        """Within, the world's frames are made as a rung says."""
        if rung.quality is Quality.FULL:
            yield
            return
        generator = world.generator
        with world.drawn_by(generator.in_steps(rung.steps) if rung.steps and isinstance(generator, Stepwise) else self._alone):
            yield

    def took(self, cost_s: float, period_s: float) -> None:
        """Take note of what a frame took, where the policy is to give way."""
        if self._settings().policy == "degrade":
            self._became(lambda: self._deadline.took(cost_s, period_s))

    def _became(self, change: Callable[[], object]) -> None:
        before = self.rung
        change()
        after = self.rung
        if after != before and {before.quality, after.quality} != {Quality.FULL}:
            rate = f", one frame every {after.every} periods" if after.every > 1 else ""
            steps = f", sampling steps {after.steps}" if after.steps else ""
            worse = after.quality > before.quality or after.every > before.every or 0 < after.steps < before.steps
            self._tell(f"deadline: {WORDS[after.quality]}{steps}{rate}", worse)

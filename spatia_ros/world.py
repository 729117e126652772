"""The World: render the memory, generate what is missing, update the memory; and what moves, drawn over it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatia_ros.actors import Cast, CastSnapshot
from spatia_ros.actors.draw import Drawn
from spatia_ros.actors.stage import Stage, staged
from spatia_ros.config import WorldConfig
from spatia_ros.engine.runtimes import open_engines
from spatia_ros.generator import Generated, Generator, ProjectionGenerator
from spatia_ros.generator.big.weights import is_big, open_big
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.memory import Keyframe, Memory, MemorySnapshot
from spatia_ros.memory.exposure import evened
from spatia_ros.pixels import provenance, trusted_depth
from spatia_ros.slam import Verdict, drift_of, verify
from spatia_ros.types import (
    UNJUDGED,
    Camera,
    Float64,
    Frame,
    SpatiaError,
    Step,
    Trajectory,
    UInt8,
    View,
    check_array,
    check_pose,
)


@dataclass(frozen=True, slots=True)
class WorldSnapshot:
    """Everything a :class:`World` is at one moment: restored, the same commands give the same frames."""

    memory: MemorySnapshot
    cast: CastSnapshot
    stream: Any
    rng_state: dict[str, Any]
    index: int
    time_ns: int
    prompt: str = ""


@dataclass
class Asked:
    """What some frames are asked for apart from all others. With a seed, those go on as if nothing had been drawn for these.

    Args:
        prompt: what is to be seen; None: the world's own prompt.
        seed: of their randomness; None: they take the world's, as all others do.
        begun: frames of the same seed that were made before these, in another go; they are not drawn again.
    """

    prompt: str | None = None
    seed: int | None = None
    begun: int = 0
    _context: Any = None

    def __post_init__(self) -> None:
        entropy = [self.seed or 0, self.begun] if self.begun else self.seed
        self._rng = None if self.seed is None else np.random.default_rng(entropy)


class World:
    """A place a camera can move in, and what moves there.

    Two layers: the static place is rendered, generated, verified and remembered as if nothing moved; then the
    actors are drawn over each finished frame. So none can enter memory, and none changes what another leaves in sight.

    Args:
        config: the one configuration. memory: what is known of the place so far.
        generator: what fills and refines the rest. camera: intrinsics of every frame. cast: what moves.
    """

    def __init__(
        self, config: WorldConfig, memory: Memory, generator: Generator, camera: Camera, cast: Cast | None = None
    ) -> None:
        self.config, self.memory, self.generator, self.camera = config, memory, generator, camera
        self.cast = Cast() if cast is None else cast
        self.stream = generator.stream()
        self.rng, self.seed = np.random.default_rng(config.seed), config.seed
        self.prompt = config.generator.prompt
        self.index = 0
        self.time_ns = 0
        self.start_ns = 0
        """The stamp at which the clock of the cast begins: its times are seconds from then."""
        self.frozen = False
        """While true, frames are generated but memory does not change."""
        self.judging = True
        """While false, frames are neither judged nor remembered: what memory did not show has the verdict UNJUDGED."""

    def advance(
        self, trajectory: Trajectory, animation_s: Float64 | None = None, shown: Callable[[Step], None] | None = None
    ) -> Step:
        """Move the camera along a path and give back what it sees, one frame a pose.

        A clip of frames is rendered from memory and completed by the generator together; then the actors are drawn over
        each; then its verified new part is folded into memory, so later frames show the same inventions.

        Args:
            animation_s: float64 [T], the animation time each frame is to show, s from the world's start; None: what
                the cast's clock says.
            shown: told of each frame (a step of one, read-only, its verdict still UNJUDGED) as soon as its pixels are
                done, before memory takes it up.

        Returns:
            A :class:`Step` of ``len(trajectory)`` frames; its poses are the commanded ones.
        """
        first, seen = self.index, list[_Seen]()
        for clip, tau_s in self._clips(trajectory, animation_s):
            watch, clock_s = _Stopwatch(len(clip)), self.start_ns * 1e-9 + tau_s
            view = self._show(clip, clock_s)
            watch.lap("render_ms")
            told = self.generator.condition(view, self.stream)
            generated = self.generator.sample(told, self.stream, self.rng)
            watch.lap("generate_ms")
            for t, made in enumerate(generated):
                fresh = self._picture(view, made, t, int(clip.stamps_ns[t]), float(tau_s[t]), given=animation_s is not None)
                fresh.measures.update(watch.laps)
                if shown is not None:
                    shown(_alone(self.index, self.seed, fresh))
                seen.append(self._remember(fresh, made, t))
                self.index, self.time_ns = self.index + 1, fresh.frame.stamp_ns
            self.stream.follow([s.frame for s in seen[-len(clip) :]], clock_s)
        return _step(first, self.seed, trajectory, self.camera, seen)

    def _picture(self, shown: ClipView, made: Generated, t: int, stamp_ns: int, tau_s: float, *, given: bool) -> _Seen:
        """Frame t of a clip, finished, with the actors in it; not judged yet."""
        watch, view = _Stopwatch(), shown.views[t]
        frame = Frame(made.rgb, trusted_depth(made, view), self.camera, shown.T_world_cams[t], stamp_ns)
        stage = self._stage(frame, shown.references[t], tau_s, given=given)
        watch.lap("actors_ms")
        reasons = ~view.coverage * np.uint8(UNJUDGED)
        return _Seen(frame, view, stage, tau_s, provenance(view, stage.drawn), reasons, dict(stage.counts), watch.laps)

    def _remember(self, seen: _Seen, made: Generated, before: int) -> _Seen:
        """Judge a frame, the ``before + 1``-th of its clip, and fold what is accepted of it into memory."""
        if not self.judging:
            return seen
        watch, frame = _Stopwatch(), seen.frame
        verdict = self._verify(made, self._shown_now(seen.view, frame, before), frame.T_world_cam)
        drift = drift_of(made, seen.view, self.camera, self.config.tracking)
        watch.lap("verify_ms")
        merged = {} if self.frozen else self.memory.integrate(frame, sensed=False, mask=verdict.accepted)
        watch.lap("integrate_ms")
        counts, measures = verdict.counts | merged | seen.counts, seen.measures | watch.laps | drift
        return seen._replace(reasons=verdict.reasons, counts=counts, measures=measures)

    def _show(self, clip: Trajectory, clock_s: Float64) -> ClipView:
        """What memory shows along a clip, and for each of its frames the keyframes that saw the same space."""
        views, references = [], []
        for stamp_ns, T_world_cam in zip(clip.stamps_ns.tolist(), clip.T_world_cam, strict=True):
            views.append(self.memory.render(self.camera, T_world_cam, stamp_ns))
            references.append(tuple(self.memory.retrieve(views[-1], self.camera, T_world_cam, self.generator.references)))
        return ClipView(tuple(views), tuple(references), self.camera, clip.T_world_cam, clip.times_s, clock_s)

    def _shown_now(self, view: View, frame: Frame, before: int) -> View:
        """What memory shows at a frame once the ``before`` earlier ones of its clip have entered it.

        Frames of a clip agree on what they invent as far as they were sampled together; where they do not, memory
        takes the first one's word.
        """
        if not before or self.frozen:
            return view
        return self.memory.render(self.camera, frame.T_world_cam, frame.stamp_ns)

    def _verify(self, generated: Generated, view: View, T_world_cam: Float64) -> Verdict:
        witnesses = self.memory.retrieve(view, self.camera, T_world_cam, self.config.verify.keyframes)
        return verify(generated, view, self.camera, T_world_cam, witnesses, self.config.verify)

    def _clips(self, trajectory: Trajectory, animation_s: Float64 | None) -> Iterator[tuple[Trajectory, Float64]]:
        """A path by clips, each with the animation time its frames are to show: the clock's unless it is given."""
        t_s = np.asarray((trajectory.stamps_ns - self.start_ns) * 1e-9, np.float64)
        tau_s = self.cast.clock.at(t_s) if animation_s is None else animation_s
        check_array("animation_s", tau_s, (len(trajectory),), np.float64)
        if not np.isfinite(tau_s).all():
            raise SpatiaError("animation_s: expected finite seconds, got NaN or infinity")
        length = self.config.generator.clip
        for i, clip in enumerate(trajectory.clips(length)):
            yield clip, tau_s[i * length : i * length + len(clip)]

    def _stage(self, frame: Frame, references: Sequence[Keyframe], tau_s: float, *, given: bool) -> Stage:
        """The finished static frame with the actors in it, as they are at an animation time."""
        if not len(self.cast):
            nobody, nothing = np.zeros(frame.depth.shape, np.uint16), np.zeros(frame.depth.shape, bool)
            return Stage(Drawn(frame.rgb, frame.depth, nobody, nothing), (), {})
        t_s, config = (frame.stamp_ns - self.start_ns) * 1e-9, self.config
        posed = self.cast.at(t_s, tau_s if given else None)
        return staged(posed, frame, references, self.generator, self.start_ns * 1e-9, config.seed, config.actors)

    def ask(self, prompt: str) -> None:
        """Say what is to be seen from the next frame on; empty: nothing is asked for.

        Raises:
            SpatiaError: when the generator does not understand it, or reads no text; the prompt before stays.
        """
        if prompt != self.prompt:
            self.generator.ask(prompt, self.stream)
            self.stream.put_aside(None)  # what was computed of its context is of the prompt before
            self.prompt = prompt

    @contextmanager
    def asked(self, asked: Asked) -> Iterator[None]:
        """Within, frames are made as they are asked for there; memory is the same.

        Raises:
            SpatiaError: when the prompt cannot be followed.
        """
        if asked.prompt is None and asked.seed is None:
            yield
            return
        own, context = (self.prompt, self.seed, self.rng), self.stream.put_aside(asked._context)
        if asked._rng is not None and asked.seed is not None:
            self.seed, self.rng = asked.seed, asked._rng
        try:
            if asked.prompt is not None:
                self.generator.ask(asked.prompt, self.stream)
                self.prompt = asked.prompt
            yield
        finally:
            asked._context = self.stream.put_aside(context)
            self.prompt, self.seed, self.rng = own

    @contextmanager
    def drawn_by(self, generator: Generator) -> Iterator[None]:
        """Within, frames are made by another generator.

        One that carries on the world's own (the same networks in other steps) goes on with its stream; any other begins
        without a past, and what the world's own carries waits as it is.
        """
        own = self.generator, self.stream
        if generator.name != self.generator.name:
            self.stream = generator.stream()
        self.generator = generator
        try:
            yield
        finally:
            self.generator, self.stream = own

    def observe(self, frame: Frame) -> dict[str, int]:
        """Fold a measured frame into memory, in its exposure (mapping a real camera); returns the counts of the fusion."""
        self.time_ns = max(self.time_ns, frame.stamp_ns)
        return self.memory.integrate(evened(frame, self.memory), sensed=True)

    def look(self, T_world_cam: Float64) -> Step:
        """:meth:`advance` by one frame to a single pose, one frame period after the last."""
        check_pose("T_world_cam", T_world_cam)
        stamp_ns = self.time_ns + round(1e9 / self.config.frame_rate_hz)
        return self.advance(Trajectory(np.array([stamp_ns], np.int64), T_world_cam[None]))

    def snapshot(self) -> WorldSnapshot:
        """The whole state, independent of what the world does next."""
        rng_state = dict(self.rng.bit_generator.state)
        parts = self.memory.snapshot(), self.cast.snapshot(), self.stream.snapshot()
        return WorldSnapshot(*parts, rng_state, self.index, self.time_ns, self.prompt)

    def restore(self, snapshot: WorldSnapshot) -> None:
        """Go back to a snapshot, which stays usable."""
        self.memory.restore(snapshot.memory)
        self.cast.restore(snapshot.cast)
        self.stream.restore(snapshot.stream)
        self.rng.bit_generator.state = snapshot.rng_state
        self.index, self.time_ns, self.prompt = snapshot.index, snapshot.time_ns, snapshot.prompt


def open_generator(config: WorldConfig) -> Generator:
    """The generator a config names.

    Raises:
        SpatiaError: when its engine is missing, foreign or stale, saying how to get it; or the prompt cannot be followed.
    """
    wanted = config.generator
    if is_big(wanted.name):
        from spatia_ros.seed.networks import NetworkDepth

        return open_big(Path(wanted.name), NetworkDepth, wanted.prompt)
    if wanted.name != ProjectionGenerator.name:
        return SpaceTimeGenerator(wanted.name, open_engines(wanted.name, wanted.runtime, wanted.threads), wanted)
    if wanted.prompt:
        raise SpatiaError(f"generator.prompt: expected none, as generator {wanted.name!r} reads no text, got {wanted.prompt!r}")
    return ProjectionGenerator()


def open_world(config: WorldConfig, frames: Iterable[Frame], generator: Generator | None = None) -> World:
    """A world seeded from measured frames; the camera left open in the config is the first frame's.

    Args:
        generator: in place of opening the configured one.

    Raises:
        SpatiaError: when there is no frame.
    """
    memory, camera, last_ns = Memory(config.memory), None, 0
    for frame in frames:
        camera, last_ns = camera or frame.camera, max(last_ns, frame.stamp_ns)
        memory.integrate(evened(frame, memory))
    if camera is None:
        raise SpatiaError("open_world: expected at least one frame to seed memory from, got none")
    world = World(config, memory, generator or open_generator(config), config.camera.camera(camera))
    world.time_ns = world.start_ns = last_ns
    return world


class _Stopwatch:
    """Milliseconds between laps, by name, shared out over so many frames."""

    def __init__(self, frames: int = 1) -> None:
        self.laps: dict[str, float] = {}
        self._frames = frames
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = (now - self._last) * 1e3 / self._frames
        self._last = now


class _Seen(NamedTuple):
    """One frame of a step: counts are summed over the step, measures averaged."""

    frame: Frame
    view: View
    stage: Stage
    tau_s: float
    provenance: UInt8
    reasons: UInt8
    counts: dict[str, int]
    measures: dict[str, float]


def _alone(index: int, seed: int, seen: _Seen) -> Step:
    """A step of one frame, whose arrays are the frame's own and so may not be written to."""

    def own(array: np.ndarray) -> np.ndarray:
        view = array[None]
        view.flags.writeable = False
        return view

    frame, drawn, coverage = seen.frame, seen.stage.drawn, seen.view.coverage
    remembered = {"remembered_ratio": np.count_nonzero(coverage) / coverage.size}
    return Step(
        index, seed, Trajectory(np.array([frame.stamp_ns], np.int64), frame.T_world_cam[None]), frame.camera,
        own(drawn.rgb), own(drawn.depth), own(seen.view.coverage), own(seen.provenance), own(seen.reasons), own(drawn.ids),
        np.array([seen.tau_s]), (seen.stage.actors,), {**seen.counts, **seen.measures, **remembered},
    )  # fmt: skip


def _step(first: int, seed: int, trajectory: Trajectory, camera: Camera, seen: list[_Seen]) -> Step:
    """Stack T frames; a measure that some frames lack is averaged over those that have it."""
    totals = {name: float(sum(s.counts.get(name, 0) for s in seen)) for name in sorted({n for s in seen for n in s.counts})}
    names = dict.fromkeys(name for s in seen for name in s.measures)
    means = {name: float(np.mean([s.measures[name] for s in seen if name in s.measures])) for name in names}
    coverage, drawn = np.stack([s.view.coverage for s in seen]), [s.stage.drawn for s in seen]
    return Step(
        first, seed, trajectory, camera, np.stack([d.rgb for d in drawn]), np.stack([d.depth for d in drawn]), coverage,
        np.stack([s.provenance for s in seen]), np.stack([s.reasons for s in seen]),
        np.stack([d.ids for d in drawn]), np.array([s.tau_s for s in seen]), tuple(s.stage.actors for s in seen),
        totals | means | {"remembered_ratio": float(coverage.mean())},
    )

"""What a recording of a place with movers is turned into, to be looked at from elsewhere at any animation time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from spatia_ros.actors import Cast
from spatia_ros.actors.stage import staged
from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.footage import Footage, Shown, TakeFootage
from spatia_ros.evaluate.scene_cast import scene_cast
from spatia_ros.evaluate.time_control import Pipeline, Render
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.memory import Keyframe, Memory
from spatia_ros.slam.lift import lift
from spatia_ros.spacetime import timed, world_of
from spatia_ros.types import Float64, SpatiaError, Trajectory, UInt8
from spatia_ros.world import World, open_generator

ORACLE_PX = 0.8
"""Spacing of the oracle's points, px, from the middle of the target's way."""

FARTHEST_M = 60.0
"""What is farther is not remembered."""


def ours(config: WorldConfig) -> Pipeline:
    """The recording's frames alone: split, lifted, remembered, and drawn again, as :mod:`spatia_ros.spacetime` does."""

    def pipeline(footage: Footage, source: Sequence[Shown]) -> Render:
        reaching = _reaching(config, source)
        lifted = lift([shown.frame for shown in source], reaching)
        return render_of(world_of(lifted, reaching, open_generator(reaching), footage.camera))

    return pipeline


def oracle(config: WorldConfig) -> Pipeline:
    """A perfect lift: memory of the source's pixels that truly stand still, and the scene's own movers as actors.

    What remains is what memory, generator and drawing cost, and the shadows of movers.
    """

    def pipeline(footage: Footage, source: Sequence[Shown]) -> Render:
        if not isinstance(footage, TakeFootage):
            raise SpatiaError(f"oracle: expected a procedural take, got {footage.name}, of which there are pictures alone")
        reaching, path = _reaching(config, source), footage.paths["target"]
        memory = Memory(reaching.memory)
        for shown in source:
            rim = cv2.dilate(shown.moving.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            memory.integrate(shown.frame, mask=~rim & (shown.frame.depth > 0))
        middle = path[len(path) // 2]
        spacing = ORACLE_PX * _distance(footage, middle) / footage.camera.fx
        cast = scene_cast(footage.take.scene, footage.camera, middle[:3, 3], spacing)
        world = World(reaching, memory, open_generator(reaching), footage.camera, cast)
        world.start_ns, world.time_ns = source[0].frame.stamp_ns, source[-1].frame.stamp_ns
        return render_of(world)

    return pipeline


def _reaching(config: WorldConfig, source: Sequence[Shown]) -> WorldConfig:
    """The configuration with a sensor that reaches as far as the recording shows: a street is wider than a room."""
    far = max(float(shown.frame.depth.max()) for shown in source)
    memory = config.memory.model_copy(update={"max_range_m": min(max(config.memory.max_range_m, far), FARTHEST_M)})
    return config.model_copy(update={"memory": memory})


def _distance(footage: TakeFootage, T_world_cam: Float64) -> float:
    """To the nearest mover, half-way through the recording, m."""
    half = float(footage.times_s[-1]) / 2
    return float(min(np.linalg.norm(a.middle(half) - T_world_cam[:3, 3]) for a in footage.take.scene.actors))


def render_of(world: World) -> Render:
    """Every pattern from the same start: what one invents is not known to the next.

    A static picture does not depend on what moves before it, so where the generator does not ask for the animation time either,
    the path is flown once, and each pattern's actors are drawn over the same frames: bit for bit what the world's own ``advance``
    gives, at a tenth of its price.
    """

    def render(T_world_cam: Float64, animation_s: Mapping[str, Float64]) -> dict[str, UInt8]:
        path, start = timed(T_world_cam, world.config.frame_rate_hz, world.time_ns), world.snapshot()
        if not isinstance(world.generator, SpaceTimeGenerator):
            return _flown_once(world, path, animation_s)
        out = {}
        for name, tau_s in animation_s.items():
            out[name] = world.advance(path, tau_s).rgb
            world.restore(start)
        return out

    return render


def _flown_once(world: World, path: Trajectory, animation_s: Mapping[str, Float64]) -> dict[str, UInt8]:
    """Pictures of every pattern over one flight; the world is left as it was."""
    start, cast = world.snapshot(), world.cast
    out: dict[str, list[UInt8]] = {name: [] for name in animation_s}
    world.cast = Cast()
    for clip in path.clips(world.config.generator.clip):
        references, first = [_references(world, clip, t) for t in range(len(clip))], len(next(iter(out.values())))
        for t, frame in enumerate(world.advance(clip).frames()):
            for name, tau_s in animation_s.items():
                posed = cast.at((frame.stamp_ns - world.start_ns) * 1e-9, float(tau_s[first + t]))
                start_s, config = world.start_ns * 1e-9, world.config
                stage = staged(posed, frame, references[t], world.generator, start_s, config.seed, config.actors)
                out[name].append(stage.drawn.rgb)
    world.cast = cast
    world.restore(start)
    return {name: np.stack(pictures) for name, pictures in out.items()}


def _references(world: World, clip: Trajectory, t: int) -> tuple[Keyframe, ...]:
    """The keyframes that saw what a frame sees, as the world asks for them before a clip."""
    T_world_cam = clip.T_world_cam[t]
    view = world.memory.render(world.camera, T_world_cam, int(clip.stamps_ns[t]))
    return tuple(world.memory.retrieve(view, world.camera, T_world_cam, world.generator.references))

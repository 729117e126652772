"""Runs that go on past what was seen: a world invents its way, and the clip is what comes after, with the truth to it.

A generator is trained on memories of real places, and run on memories of its own inventions: errors that lead to larger
ones are never shown to it. Here they are: the clips are of the very states a world gets into under that generator
(dataset aggregation, Ross et al., arXiv 1011.0686; its own rollouts as conditions, Self Forcing, arXiv 2506.08009), and the
truth is the scene's. What is far from anything seen nobody can foretell; its mean can be, and does not drift.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros.config import GeneratorConfig, WorldConfig
from spatia_ros.generator import Generator
from spatia_ros.generator.condition import MAX_CLIP
from spatia_ros.generator.stream import BACK
from spatia_ros.geometry import pose
from spatia_ros.memory import Keyframe
from spatia_ros.train.clip_scenes import CONTEXT, COVERAGE, PATH, Place, Plan, Recorded, prompt_of
from spatia_ros.train.clips import FRAME_NS, Clip, Sight, context_of, look_back
from spatia_ros.train.scene_at import SceneAt
from spatia_ros.types import Camera, Float64, Step
from spatia_ros.world import World, open_generator

TURN_DEG = (0.7, 4.0)
"""Least and most of a turn a frame."""
FARTHEST_DEG = 110.0
"""A way ends this far from where it began."""
STOPS = (4, 50)
"""Fewest and most frames a world goes on by before a clip is taken."""
STRIDES = (1, 1, 2, 4)
"""Frames between two of a clip: a world makes each, but a clip may leave it more to invent at once."""
SWAY_M, NOD_RAD = 0.06, 0.08
"""How far the camera swings aside, and up and down, on its turn: within the clearance of every path."""


@lru_cache(maxsize=1)
def inventor(engine: str) -> Generator:
    """The generator a world goes on by.

    Raises:
        SpatiaError: when there is no such engine.
    """
    return open_generator(WorldConfig(generator=GeneratorConfig(name=engine, threads=1)))


def run_of(place: Place, plan: Plan, generator: Generator, rng: np.random.Generator) -> list[Clip]:
    """The clips of one run, each farther on than the one before; they share their sights. None where memory has no keyframe.

    Raises:
        SpatiaError: when the scene has no free path.
    """
    camera = Camera.from_fov(*plan.size, float(np.radians(rng.uniform(48, 82))))
    poses, scene = place.scene.random_path(rng, PATH), SceneAt(place.scene, [], place.air)
    recorded = Recorded.of(scene, camera, poses, rng)
    memory = recorded.memory
    if not len(memory.keyframes):
        return []
    world = World(WorldConfig(memory=memory.config, seed=int(rng.integers(1 << 31))), memory, generator, camera)
    world.time_ns = world.start_ns = recorded.end_ns
    way = turned(memory.keyframes.keyframes[int(rng.integers(len(memory.keyframes)))].T_world_cam, rng)
    prompt = prompt_of(place, scene, [], None) if rng.random() < 0.5 else ""
    sights = {sight.keyframe.stamp_ns: _at_its_time(sight.keyframe) for sight in recorded.sights}
    clips, made = list[Clip](), list[int]()
    for stop in sorted(set(np.exp(rng.uniform(*np.log(STOPS), plan.clips)).astype(int).tolist())):
        stride = int(rng.choice(STRIDES))
        ahead = way[stop : stop + stride * (plan.frames - 1) + 1 : stride]
        if len(ahead) < plan.frames:
            break
        for T_world_cam in way[world.index : stop]:
            sight = _made(world.look(T_world_cam))
            made.append(sight.keyframe.stamp_ns)
            sights[made[-1]] = sight
        sights |= {key.stamp_ns: _at_its_time(key) for key in memory.keyframes.keyframes}
        recent = [list(sights).index(made[-back]) for back in BACK if back <= len(made)]
        clip = _clip(scene, world, list(sights.values()), recent, ahead, plan, prompt, rng)
        if clip is not None:
            clips.append(clip)
    return sharing(clips, list(sights.values()))


def turned(T_world_cam: Float64, rng: np.random.Generator) -> Float64:
    """A camera's way float64 [n, 4, 4] from a pose on: a turn to one side about the world's vertical, swaying as it goes."""
    step = float(np.exp(rng.uniform(*np.log(TURN_DEG)))) * rng.choice((-1.0, 1.0))
    k = np.arange(1, min(int(FARTHEST_DEG / abs(step)), STOPS[1] + STRIDES[-1] * MAX_CLIP) + 1)
    swing = np.sin(k / k[-1] * np.pi * rng.uniform(0.5, 2.0))
    about_z = Rotation.from_rotvec(np.radians(step) * k[:, None] * (0.0, 0.0, 1.0)).as_matrix()
    about_x = Rotation.from_rotvec(rng.uniform(-NOD_RAD, NOD_RAD) * swing[:, None] * (1.0, 0.0, 0.0)).as_matrix()
    eyes = T_world_cam[:3, 3] + swing[:, None] * rng.uniform(-SWAY_M, SWAY_M, 3)
    return np.stack([pose(z @ T_world_cam[:3, :3] @ x, eye) for z, x, eye in zip(about_z, about_x, eyes, strict=True)])


def _made(step: Step) -> Sight:
    """A frame a world made, as it would look back at it."""
    none, way = np.zeros(step.depth[0].shape, bool), step.trajectory
    return _at_its_time(Keyframe(step.rgb[0], step.depth[0], none, step.camera, way.T_world_cam[0], int(way.stamps_ns[0])))


def _at_its_time(key: Keyframe) -> Sight:
    return Sight(key, key.stamp_ns * 1e-9)


def _clip(
    scene: SceneAt, world: World, sights: list[Sight], recent: list[int], ahead: Float64, plan: Plan, prompt: str,
    rng: np.random.Generator,
) -> Clip | None:
    """What comes next where a world has got to, or None where memory shows too little or too much of it."""
    stamps = world.time_ns + FRAME_NS * (1 + np.arange(len(ahead)))
    targets = tuple(scene.look_at(world.camera, T, 0.0, int(t)).frame for T, t in zip(ahead, stamps, strict=True))
    views, retrieved = look_back(world.memory, sights, targets, plan.references)
    if not COVERAGE[0] <= float(np.mean([v.coverage.mean() for v in views])) <= COVERAGE[1]:
        return None
    context = context_of(retrieved, recent, [], CONTEXT, rng)
    still = np.zeros((len(targets), *targets[0].depth.shape), bool)
    return Clip(views, targets, stamps * 1e-9, retrieved, context, (), prompt, None, still, still)


def sharing(clips: list[Clip], sights: list[Sight]) -> list[Clip]:
    """Clips that share those of the sights which some of them need."""
    used = sorted({k for clip in clips for each in (clip.context, *clip.retrieved) for k in each})
    number, kept = {k: i for i, k in enumerate(used)}, tuple(sights[k] for k in used)
    return [
        replace(
            clip, sights=kept, context=tuple(number[k] for k in clip.context),
            retrieved=tuple(tuple(number[k] for k in each) for each in clip.retrieved),
        )
        for clip in clips
    ]

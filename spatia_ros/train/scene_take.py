"""Takes: a scene whose movers are prominent, a camera that records them, and another camera's way to look at them from.

Everything in a take is a function of (camera pose, animation time), so all of its (camera, time) pairs are known exactly: the
full grid of SpaceTimePilot's CamxTime (arXiv 2512.25075, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_actors import TAU_S, Actor
from spatia_ros.train.scene_arcs import Arc, source_arc, target_arc
from spatia_ros.train.scene_at import SceneAt, Seen
from spatia_ros.train.scene_crowd import EYE_CLEAR_M, crowd
from spatia_ros.train.scenes import KINDS, glb_scene, random_scene
from spatia_ros.types import Camera, Float64, SpatiaError

DOMAIN = 0x6A1D
"""Takes are drawn from (seed, this, ...): never from what training draws its scenes from."""
SCENES, ATTEMPTS = 12, 40
"""Scenes drawn for a take at most, and ways tried in each."""
MOST_MOVERS = 3
RADIUS_M = {"desk": (0.7, 1.2), "street": (4.5, 9.0)}
"""How far from the movers cameras are; elsewhere 1.8 to 3.2 m."""
CHANGED = 0.06
"""Share of a picture, on average, that shows another thing than at time 0: what a time that is ignored costs shows there."""
SHARE = (0.04, 0.4)
"""Share of a picture that movers cover, on average."""
GLANCE_PX = 64


@dataclass(frozen=True, slots=True)
class TakePlan:
    """How takes are made.

    Args:
        size: width and height, px. frames: of each camera's way, and of the source video. hfov_rad: horizontal field of view.
    """

    size: tuple[int, int] = (256, 160)
    frames: int = 31
    hfov_rad: float = 1.1

    def __post_init__(self) -> None:
        if not 2 <= self.frames <= 240:
            raise SpatiaError(f"take: expected 2..240 frames, got {self.frames}")
        Camera.from_fov(*self.size, self.hfov_rad)

    @property
    def camera(self) -> Camera:
        """Of every frame."""
        return Camera.from_fov(*self.size, self.hfov_rad)


@dataclass(frozen=True, slots=True)
class Take:
    """A scene, its movers, and two ways of a camera.

    Args:
        name, kind: of the scene. scene: with its movers. camera: of every frame.
        paths: ``T_world_cam`` [N, 4, 4] by name: "source" is the recording's, "target" the other. way: what the target's is.
    """

    name: str
    kind: str
    scene: SceneAt
    camera: Camera
    paths: Mapping[str, Float64]
    way: str

    @property
    def times_s(self) -> Float64:
        """Animation times [N] of the source video's frames, s."""
        return np.linspace(0.0, TAU_S, len(self.paths["source"]), dtype=np.float64)

    def look(self, path: str, index: int, tau_s: float, stamp_ns: int = 0) -> Seen:
        """What the camera sees at pose ``index`` of a path, the movers being where they are at ``tau_s``."""
        return self.scene.look_at(self.camera, self.paths[path][index], float(tau_s), stamp_ns)


def procedural_take(kind: str, seed: int, plan: TakePlan) -> Take:
    """The take of a number: the same kind, seed and plan give the same take.

    Raises:
        SpatiaError: for an unknown kind, or when none is found.
    """
    if kind not in KINDS:
        raise SpatiaError(f"take: expected a kind of {', '.join(KINDS)}, got {kind!r}")
    for k in range(SCENES):
        rng = np.random.default_rng([seed, DOMAIN, list(KINDS).index(kind), k])
        found = _take(f"{kind}_{seed}", kind, random_scene(rng, kind), plan, rng)
        if found is not None:
            return found
    raise SpatiaError(f"take: {kind} {seed}: expected movers and cameras that see them, found none in {SCENES} scenes")


def house_take(path: Path, seed: int, plan: TakePlan) -> Take:
    """A take in the half of a mesh (x above its middle) that training never has cameras in.

    Raises:
        SpatiaError: when the file is no mesh, or there is no room for movers and cameras.
    """
    rng = np.random.default_rng([seed, DOMAIN])
    scene = glb_scene(path, rng)
    areas, middle = scene.walk.areas.copy(), scene.walk.areas[0].mean(0)[0]
    areas[:, 0, 0] = np.maximum(areas[:, 0, 0], middle)
    scene.walk = replace(scene.walk, areas=areas, focus=scene.walk.focus[scene.walk.focus[:, 0] >= middle])
    found = _take(f"{path.parent.name}_{seed}", "house", scene, plan, rng, 4 * ATTEMPTS)
    if found is None:
        raise SpatiaError(f"take: {path}: expected room for movers and cameras, found none for seed {seed}")
    return found


def _take(name: str, kind: str, scene: Scene, plan: TakePlan, rng: np.random.Generator, attempts: int = ATTEMPTS) -> Take | None:
    """A take in this scene; None where none is found."""
    for _ in range(attempts):
        try:
            looks = scene.random_path(rng, 6)
        except SpatiaError:
            return None
        actors = crowd(scene, kind, plan.camera, looks, rng, MOST_MOVERS)
        if not actors:
            continue
        first = source_arc(_watched(actors[0]), rng.uniform(*RADIUS_M.get(kind, (1.8, 3.2))), *_from(looks, actors[0], rng), rng)
        way, second = target_arc(first, rng)
        paths = {"source": first.poses(plan.frames), "target": second.poses(plan.frames)}
        if not all(_is_free(scene, actors, arc, kind) for arc in (first, second)):
            continue
        take = Take(name, kind, SceneAt(scene, actors), plan.camera, paths, way)
        if all(_is_prominent(take, name) for name in paths):
            return take
    return None


def _watched(actor: Actor) -> Float64:
    """float64 [3], the middle of where a mover goes."""
    return np.mean([actor.middle(t) for t in np.linspace(0, TAU_S, 7)], axis=0)


def _from(looks: Float64, actor: Actor, rng: np.random.Generator) -> tuple[float, float]:
    """Angle (rad) and height above a mover's middle (m) to see it from: near one that saw it when it was placed."""
    way = looks[rng.integers(len(looks)), :3, 3] - _watched(actor)
    return float(np.arctan2(way[1], way[0]) + rng.normal(0, 0.3)), float(np.clip(way[2], -0.2, 1.2) + 0.3 * actor.body.height_m)


def _is_free(scene: Scene, actors: list[Actor], arc: Arc, kind: str) -> bool:
    """Whether the way keeps clear of everything, and nothing still stands between it and the middle."""
    eyes = arc.poses(9)[:, :3, 3]
    if (scene.distance(eyes) < scene.walk.clearance_m).any():
        return False
    for actor in actors:
        places = np.stack([actor.middle(t) for t in np.linspace(0, TAU_S, 7)])
        least = (0.3 if kind == "desk" else 1.0) * EYE_CLEAR_M + 1.2 * actor.body.radius_m
        if (np.linalg.norm(eyes[:, None, :2] - places[None, :, :2], axis=-1) < least).any():
            return False
    return all(scene.sees(eye, arc.middle) for eye in eyes)


def _is_prominent(take: Take, path: str) -> bool:
    """Whether movers take up enough of the pictures along a path, and move enough."""
    glance = take.camera.resized(GLANCE_PX, GLANCE_PX * take.camera.height // take.camera.width)
    poses, scene = take.paths[path], take.scene
    shares, changes = [], []
    for k, tau in zip(np.linspace(0, len(poses) - 1, 5).astype(int), np.linspace(0, TAU_S, 5), strict=True):
        scene.pose(0.0)
        before = scene.render_ids(glance, poses[k])
        scene.pose(float(tau))
        now = scene.render_ids(glance, poses[k])
        shares.append(np.isin(now, scene.numbers).mean())
        changes.append((now != before).mean())
    return SHARE[0] <= np.mean(shares) <= SHARE[1] and min(shares) >= 0.25 * SHARE[0] and np.mean(changes[1:]) >= CHANGED

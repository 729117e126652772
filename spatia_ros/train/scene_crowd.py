"""Movers for a scene and a camera's way: placed where that camera sees them, where they touch nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spatia_ros.geometry import inverse
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_actors import TAU_S, Actor, Body, Way, body
from spatia_ros.types import Camera, Float64

ATTEMPTS = 40
TOUCH_M = 0.1
"""What of a body is nearer to the ground than this (for a body of natural size) may touch it."""
CLEAR_M = 0.04
EYE_CLEAR_M = 0.35
MOMENTS = np.linspace(0.0, TAU_S, 8)

SHARES = {
    "room": {"pedestrian": 0.4, "box": 0.25, "ball": 0.2, "arm": 0.15},
    "corridor": {"pedestrian": 0.6, "box": 0.2, "ball": 0.2},
    "desk": {"box": 0.4, "ball": 0.3, "arm": 0.3},
    "street": {"pedestrian": 0.5, "car": 0.35, "ball": 0.1, "box": 0.05},
    "house": {"pedestrian": 0.5, "box": 0.2, "ball": 0.2, "arm": 0.1},
}
"""Kinds of movers in kinds of scenes."""
SPEED_M_S = {"pedestrian": (0.0, 1.3), "car": (0.5, 6.0), "box": (0.0, 0.8), "ball": (0.0, 1.2), "arm": (0.0, 0.0)}
DISTANCE_M = {"desk": (0.4, 1.1), "street": (3.0, 16.0)}
"""How far from the camera movers are; elsewhere 1.4 to 4.5 m."""
DESK_SCALE = (0.25, 0.45)
"""Movers on desks are so much smaller."""


def crowd(scene: Scene, kind: str, camera: Camera, poses: Float64, rng: np.random.Generator, most: int) -> list[Actor]:
    """Up to ``most`` movers, fewer where there is no room for them.

    Args:
        kind: of scene, a key of :data:`SHARES`. poses: ``T_world_cam`` [N, 4, 4] the camera may be at.
    """
    actors: list[Actor] = []
    names, shares = list(SHARES[kind]), list(SHARES[kind].values())
    for _ in range(most):
        scale = rng.uniform(*DESK_SCALE) if kind == "desk" else 1.0
        thing = scaled(body(str(rng.choice(names, p=shares)), rng), scale)
        for _ in range(ATTEMPTS):
            actor = _drawn(scene, thing, camera, poses, rng, DISTANCE_M.get(kind, (1.4, 4.5)), scale)
            if actor is not None and _is_free(scene, actor, poses, scale) and not any(_meet(actor, other) for other in actors):
                actors.append(actor)
                break
    return actors


def scaled(thing: Body, scale: float) -> Body:
    """The body at another size."""
    joints: Callable[[float, float], Float64] = thing.joints

    def smaller(tau_s: float, travelled_m: float) -> Float64:
        T = joints(tau_s, travelled_m / scale)
        T[:, :3, 3] *= scale
        return T

    mesh = replace(thing.mesh, vertices=thing.mesh.vertices * scale)
    return replace(thing, mesh=mesh, joints=smaller, height_m=thing.height_m * scale, radius_m=thing.radius_m * scale)


def _drawn(
    scene: Scene, thing: Body, camera: Camera, poses: Float64, rng: np.random.Generator, distance_m: tuple[float, float],
    scale: float,
) -> Actor | None:
    """A mover that passes, at some time, through some place some pose looks at."""
    T = poses[rng.integers(len(poses))]
    u, v = rng.uniform(0.15, 0.85) * camera.width, rng.uniform(0.45, 0.9) * camera.height
    ray = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
    way = T[:3, :3] @ ray
    # Straight on, at the height of the eye, and from there down to what is below.
    there = T[:3, 3] + rng.uniform(*distance_m) * way / np.linalg.norm(way)
    if thing.kind == "car":
        there = _in_lane(scene, there, rng)
    if not scene.sees(T[:3, 3], there):
        return None
    ground = scene.below(there)
    if ground is None:
        return None
    along = np.arctan2(scene.walk.T_world_area[1, 0], scene.walk.T_world_area[0, 0]) + np.pi * rng.integers(2)
    yaw = along + rng.normal(0, 0.03) if thing.kind == "car" else rng.uniform(0, 2 * np.pi)
    speed = scale * rng.uniform(*SPEED_M_S[thing.kind])
    turn = 0.0 if thing.kind in ("car", "arm") else rng.normal(0, 0.4)
    start = Way(0.0, 0.0, 0.0, yaw, speed, turn)
    passed = start.at(rng.uniform(0.1, 0.9) * TAU_S)[:2, 3]
    return Actor(thing, replace(start, x=there[0] - passed[0], y=there[1] - passed[1], z=ground))


def _in_lane(scene: Scene, there: Float64, rng: np.random.Generator) -> Float64:
    """The place moved sideways to near the middle of the street, where no cars are parked, at the height of an eye."""
    area = scene.walk.T_world_area
    local = inverse(area) @ np.append(there, 1.0)
    local[1:3] = rng.normal(0.0, 0.4), rng.uniform(1.0, 2.0)
    return (area @ local)[:3]


def _is_free(scene: Scene, actor: Actor, poses: Float64, scale: float) -> bool:
    """Whether it touches nothing on its way but the ground, and comes near no camera."""
    floor, places = actor.way.z + TOUCH_M * scale, [actor.posed(t)[0] for t in MOMENTS]
    eyes = poses[:, :3, 3]
    for points in places:
        middle = 0.5 * (points.min(0) + points.max(0))
        if (np.linalg.norm(eyes - middle, axis=1) < scale * EYE_CLEAR_M + 0.8 * actor.body.radius_m).any():
            return False
    body = np.concatenate([points[points[:, 2] > floor][::7] for points in places])
    return len(body) > 0 and bool((scene.distance(body) >= CLEAR_M * scale).all()) and _on_ground(scene, actor)


def _on_ground(scene: Scene, actor: Actor) -> bool:
    """Whether level ground is below all of its way."""
    for t in MOMENTS[::3]:
        middle = actor.way.at(t)[:3, 3] + (0, 0, 0.5 * actor.body.height_m)
        ground = scene.below(middle)
        if ground is None or abs(ground - actor.way.z) > 0.03:
            return False
    return True


def _meet(a: Actor, b: Actor) -> bool:
    gaps = [np.linalg.norm((a.middle(t) - b.middle(t))[:2]) for t in MOMENTS]
    return bool(min(gaps) < 0.8 * (a.body.radius_m + b.body.radius_m))


def in_picture(actor: Actor, tau_s: float, camera: Camera, T_world_cam: Float64) -> bool:
    """Whether a mover's middle lies in the picture (it may be hidden)."""
    x, y, z = (inverse(T_world_cam) @ np.append(actor.middle(tau_s), 1.0))[:3]
    u, v = camera.fx * x / max(z, 1e-6) + camera.cx, camera.fy * y / max(z, 1e-6) + camera.cy
    return bool(z > 0 and 0 <= u < camera.width and 0 <= v < camera.height)

"""A place for an object to move in a scene, and a camera that moves and sees all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.geometry import inverse, look_at, pose
from spatia_ros.train.scene_moving import MovingScene
from spatia_ros.types import Camera, Float64, SpatiaError

ATTEMPTS = 6000
CLEAR_M, EYE_CLEAR_M = 0.04, 0.25
FLOOR_M = 0.06
"""Of the object, what is nearer to the floor than this may touch."""
LEAST_SEEN, LEAST_AREA = 0.85, 0.012
"""Share of the object that must not be hidden, and its share of the picture."""
GLANCE_PX = 64
Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Stage:
    """Where an object goes and a camera that watches.

    Args:
        pivot: float64 [3], middle of the object as the scene has it. start, end: float64 [3], where that middle goes, m.
        turn_rad: how far the object turns about the vertical on its way.
        eye: float64 [3], middle of the camera's path. sway_m: half its length.
    """

    pivot: Float64
    start: Float64
    end: Float64
    turn_rad: float
    eye: Float64
    sway_m: float

    def displacement(self, progress: float) -> Float64:
        """float64 [4, 4] for :meth:`MovingScene.place`, ``progress`` 0 at the start and 1 at the end of the way."""
        c, s = np.cos(progress * self.turn_rad), np.sin(progress * self.turn_rad)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        middle = self.start + progress * (self.end - self.start)
        return pose(turn, middle - turn @ self.pivot)

    def view(self, time: float, progress: float) -> Float64:
        """``T_world_cam`` at a time from 0 to 1: a slow sway, the gaze drawn a little after the object."""
        middle = 0.5 * (self.start + self.end)
        across = np.cross(middle - self.eye, Z)
        across /= np.linalg.norm(across)
        eye = self.eye + self.sway_m * np.sin(2 * np.pi * time) * across + (0, 0, 0.08 * np.sin(5 * time))
        drawn = 0.3 * (self.start + progress * (self.end - self.start) - middle)
        return look_at(eye, middle + drawn, Z)


def stage(scene: MovingScene, camera: Camera, rng: np.random.Generator, length_m: float = 1.6) -> Stage:
    """A straight way of ``length_m`` where the object touches nothing, seen freely by a camera that touches nothing.

    Raises:
        SpatiaError: when none is found.
    """
    surface = scene.object_surface(0.08, rng)
    low, high = surface.min(0), surface.max(0)
    pivot = 0.5 * (low + high)
    body = surface[surface[:, 2] > low[2] + FLOOR_M][::3]
    glance = camera.resized(GLANCE_PX, GLANCE_PX * camera.height // camera.width)
    for _ in range(ATTEMPTS):
        found = _drawn(scene, pivot, low[2], length_m, rng)
        if _touches_nothing(scene, found, body) and _is_seen(scene, found, glance):
            return found
    raise SpatiaError(f"stage: expected free floor of {length_m} m that can be watched, found none in {ATTEMPTS} attempts")


def _drawn(scene: MovingScene, pivot: Float64, floor_m: float, length_m: float, rng: np.random.Generator) -> Stage:
    walk = scene.walk
    area = walk.areas[rng.integers(len(walk.areas))]
    middle = (walk.T_world_area @ np.append(rng.uniform(area[0], area[1]), 1.0))[:3]
    middle[2] = pivot[2]
    way, round_about = rng.uniform(0, 2 * np.pi, 2)
    half = 0.5 * length_m * np.array([np.cos(way), np.sin(way), 0.0])
    eye = middle + rng.uniform(1.6, 3.0) * np.array([np.cos(round_about), np.sin(round_about), 0.0])
    eye[2] = floor_m + rng.uniform(1.2, 1.7)
    return Stage(pivot, middle - half, middle + half, rng.uniform(-1.0, 1.0), eye, 0.3)


def _touches_nothing(scene: MovingScene, found: Stage, body: Float64) -> bool:
    eyes = np.stack([found.view(t, 0.5)[:3, 3] for t in np.linspace(0, 1, 9)])
    if (scene.rest_distance(eyes) < EYE_CLEAR_M).any():
        return False
    places = [found.displacement(p) for p in np.linspace(0, 1, 9)]
    return bool((scene.rest_distance(np.concatenate([body @ T[:3, :3].T + T[:3, 3] for T in places])) >= CLEAR_M).all())


def _is_seen(scene: MovingScene, found: Stage, glance: Camera) -> bool:
    for p in np.linspace(0, 1, 5):
        T_world_cam = found.view(p, p)
        scene.place(found.displacement(p))
        alone = scene.object_alone(glance, T_world_cam).sum()
        if alone < LEAST_AREA * glance.width * glance.height or not _in_picture(found, p, glance):
            return False
        if scene.object_mask(glance, T_world_cam).sum() < LEAST_SEEN * alone:
            return False
    return True


def _in_picture(found: Stage, progress: float, glance: Camera) -> bool:
    """Whether the object's middle is well inside the picture."""
    middle = np.append(found.start + progress * (found.end - found.start), 1.0)
    x, y, z = (inverse(found.view(progress, progress)) @ middle)[:3]
    u, v = glance.fx * x / z + glance.cx, glance.fy * y / z + glance.cy
    return bool(z > 0 and 0.1 < u / glance.width < 0.9 and 0.1 < v / glance.height < 0.9)

"""A corridor round a block, walked round once: the place where drift shows, since nothing is seen twice before the end."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_furniture import Palette
from spatia_ros.train.scene_light import Lighting
from spatia_ros.train.scene_room import Interior, Plan, ceiling_lamp, rectangle, shell, walk
from spatia_ros.types import Float64, SpatiaError

OUTER_M, WIDTH_M, HEIGHT_M = 10.4, 2.4, 2.6
ROUND_M = 1.0
"""Radius of the walked corners."""
AHEAD_M = 1.2
"""The camera looks at where it will be this much later."""
EYE_M, SWAY_M = 1.45, 0.08
TURN = 0.1
"""Drift of heading (radians) beside that of position (metres): on the way round, either moves the end about as far."""
BEYOND_M = 2.5
"""Walked on past the start, so that the place is seen again and not just met."""


def ring(rng: np.random.Generator, *, threads: int = 1) -> Scene:
    """A corridor 2.4 m wide round a block of 5.6 m; walls with doors, pictures and boards. z up, metres."""
    s, w = OUTER_M, WIDTH_M
    outer = np.array([(0, 0), (s, 0), (s, s), (0, s)], np.float64)
    # Clockwise, so that its walls face the corridor.
    inner = np.array([(w, w), (w, s - w), (s - w, s - w), (s - w, w)], np.float64)
    floors = [(0, 0, s, w), (0, s - w, s, s), (0, w, w, s - w), (s - w, w, s, s - w)]
    rooms = Interior(Plan(outer, np.stack([rectangle(*f) for f in floors]), HEIGHT_M), Palette(rng))
    block = Interior(Plan(inner, np.zeros((0, 2, 2)), HEIGHT_M), rooms.palette, rooms.builder)
    for part in (rooms, block):
        shell(part, doors=6)
    for x in (w / 2, s / 2, s - w / 2):
        for y in (w / 2, s / 2, s - w / 2):
            if (x, y) != (s / 2, s / 2):
                ceiling_lamp(rooms, x, y)
    light = Lighting(tuple(rooms.lamps), (0.8, 0.78, 0.74))
    return Scene(rooms.builder.mesh(), light, walk(rooms), rng, None, threads)


def round_path(step_m: float = 0.1) -> Float64:
    """``T_world_cam`` [n, 4, 4] once round the corridor's middle and a little on, looking ahead, swaying as one who walks."""
    line = _rounded_square(WIDTH_M / 2, OUTER_M - WIDTH_M / 2, ROUND_M)
    lap_m = float(np.linalg.norm(np.diff(line, axis=0, append=line[:1]), axis=1).sum())
    at = np.arange(0.0, lap_m + BEYOND_M, step_m)
    eye, ahead = _along(line, at), _along(line, at + AHEAD_M)
    sway = SWAY_M * np.sin(2.1 * at)
    eyes = np.column_stack([eye, EYE_M + 0.3 * sway])
    targets = np.column_stack([ahead, EYE_M - 0.12 + sway])
    return np.stack([geometry.look_at(e, t, np.array([0.0, 0.0, 1.0])) for e, t in zip(eyes, targets, strict=True)])


def _rounded_square(low: float, high: float, radius: float) -> Float64:
    """[N, 2] points 1 cm apart, anticlockwise from the middle of the lower side."""
    turn = np.linspace(-np.pi / 2, 0, 200)
    corner = radius * np.column_stack([np.cos(turn), np.sin(turn)]) + (high - radius, low + radius)
    quarter = np.concatenate([[((low + high) / 2, low)], corner])
    centre = np.full(2, (low + high) / 2)
    turns = [Rotation.from_euler("z", -90 * k, degrees=True).as_matrix()[:2, :2] for k in range(4)]
    points = np.concatenate([(quarter - centre) @ R + centre for R in turns])
    return _along(points, np.arange(0.0, np.linalg.norm(np.diff(points, axis=0, append=points[:1]), axis=1).sum(), 0.01))


def _along(line: Float64, at_m: np.ndarray) -> Float64:
    """Points of a closed line [N, 2] at distances along it."""
    closed = np.concatenate([line, line[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    return np.column_stack([np.interp(at_m % length[-1], length, closed[:, k]) for k in range(2)])


def drifted(T_world_cam: Float64, rng: np.random.Generator, *, ratio: float = 0.01) -> Float64:
    """A path as dead reckoning would have it: every step a little wrong in position and heading, the errors adding up.

    The error of a step has a constant part and one as large that wanders over about 3 m, so what adds up along the path is
    neither a straight line nor white noise. The last heading is off by exactly ``TURN * ratio`` radians per metre of the
    way, the last position by exactly ``ratio`` times the way.

    Args:
        T_world_cam: float64 [N, 4, 4], true; world z up.
        rng: draws the errors.

    Returns:
        float64 [N, 4, 4]; the first pose is the true one.

    Raises:
        SpatiaError: when the turning alone moves the end farther than that.
    """
    step = np.linalg.norm(np.diff(T_world_cam[:, :3, 3], axis=0), axis=1)
    way, n = float(step.sum()), len(step)
    wander = gaussian_filter1d(rng.normal(size=(n + 240, 4)), max(1.0, 3.0 / max(way / n, 1e-3)), axis=0)[120 : n + 120]
    wander /= np.maximum(wander.std(0), 1e-12)
    heading = rng.uniform(0, 2 * np.pi)
    constant = np.array([np.cos(heading), np.sin(heading), 0.2, 1.0])
    error = np.cumsum(step[:, None] * (constant + np.array([0.7, 0.7, 0.2, 0.7]) * wander), axis=0)
    turned = _turned(T_world_cam, np.concatenate([[0.0], error[:, 3] * TURN * ratio * way / error[-1, 3]]))
    return _ending_off(turned, T_world_cam, error[:, :3], ratio * way)


def _turned(T_world_cam: Float64, heading_error: Float64) -> Float64:
    """The path whose every step starts from a heading that is off by so much (radians, [N])."""
    R = Rotation.from_rotvec(heading_error[:, None] * np.array([0.0, 0.0, 1.0])).as_matrix()
    out = T_world_cam.copy()
    out[:, :3, :3] = R @ T_world_cam[:, :3, :3]
    steps = np.einsum("nij,nj->ni", R[:-1], np.diff(T_world_cam[:, :3, 3], axis=0))
    out[1:, :3, 3] = T_world_cam[0, :3, 3] + np.cumsum(steps, axis=0)
    return out


def _ending_off(turned: Float64, true: Float64, shift: Float64, off_m: float) -> Float64:
    """The path with a multiple of ``shift`` [N - 1, 3] added, so that its end is ``off_m`` from the true end."""
    already = turned[-1, :3, 3] - true[-1, :3, 3]
    if (by_turning := float(np.linalg.norm(already))) >= off_m:
        raise SpatiaError(f"drifted: expected turning to move the end by less than {off_m:.3f} m, got {by_turning:.3f}")
    a, b, c = shift[-1] @ shift[-1], 2 * already @ shift[-1], already @ already - off_m**2
    out = turned.copy()
    out[1:, :3, 3] += (-b + np.sqrt(b**2 - 4 * a * c)) / (2 * a) * shift
    return out

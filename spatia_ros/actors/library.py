"""Simple moving things made here: somebody walking, a car, a box, a ball, a robot arm.

Each stands on z = 0 of its own frame and goes along +x (y left, z up). Legs, wheels and the ball move with the way gone
along the track; the arm moves with time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from spatia_ros.actors.actor import Actor
from spatia_ros.actors.body import BodyPoints
from spatia_ros.actors.clock import Clock
from spatia_ros.actors.jointed import JointedBody, Part, paced, rolling
from spatia_ros.actors.shapes import COLOURS, Colour, Solid, cylinder, limb, painted, pillow, plain, shape_of, tapered
from spatia_ros.actors.track import PoseTrack
from spatia_ros.types import Float64, SpatiaError

SCALES = (0.01, 100.0)
PHASES = 24
"""Poses kept of a turn of a gait."""
STRIDE_M = 1.4
"""Two steps of somebody 1.75 m tall."""
SWING_RAD = 0.45
WHEEL_M, BALL_M = 0.32, 0.2
SKIN, HAIR, TROUSERS, SHOE = (204, 154, 124), (58, 42, 32), (54, 58, 76), (44, 40, 40)


def about_y(angle_rad: float, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Float64:
    """A turn that swings a hanging limb forward for positive angles, then a move: [4, 4]."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, 0, -s, x], [0, 1, 0, y], [s, 0, c, z], [0, 0, 0, 1.0]])


def _near(p: Float64, y: float, z: float, wide: float, high: float) -> np.ndarray:
    """Which places [N, 3] lie in a patch around (+-y, z), seen along x."""
    return (np.abs(np.abs(p[:, 1]) - y) < wide) & (np.abs(p[:, 2] - z) < high)


def _scaled(T: Float64, scale: float) -> Float64:
    out = T.copy()
    out[..., :3, 3] *= scale
    return out


def _cycle(period: float, poses: list[Float64], scale: float) -> PoseTrack:
    """A track that goes through poses [4, 4] once a period and begins again."""
    return PoseTrack(np.linspace(0.0, period, len(poses), dtype=np.float64), _scaled(np.stack(poses), scale), loop=True)


def pedestrian(colour: Colour, scale: float, spacing_m: float) -> tuple[Part, ...]:
    """Somebody 1.75 m tall; a phase of 1 is two steps, and at a quarter and three quarters both feet are down."""
    thigh, shin, upper, fore, hip = 0.44, 0.42, 0.29, 0.25, 0.92
    shoulder = 1.42
    cloth, dark, skin = plain(colour, 0.08), plain(TROUSERS, 0.08), plain(SKIN, 0.035)
    collar = painted(cloth, (lambda p: p[:, 2] > 0.28, (236, 232, 224)))
    face = painted(
        skin,
        (lambda p: (p[:, 2] > 0.05) | ((p[:, 0] < -0.015) & (p[:, 2] > -0.05)), HAIR),
        (lambda p: _near(p, 0.032, 0.015, 0.012, 0.009) & (p[:, 0] > 0), (30, 26, 24)),
        (lambda p: _near(p, 0.0, -0.062, 0.028, 0.007) & (p[:, 0] > 0), (150, 70, 66)),
    )
    trunk = [
        pillow((0.24, 0.41, 0.62), collar, 0.7).at(0, 0, hip + 0.27),
        pillow((0.25, 0.36, 0.26), dark, 0.7).at(0, 0, hip + 0.02),
        limb(0.1, 0.11, 0.12, skin).at(0, 0, shoulder + 0.12),
        pillow((0.2, 0.165, 0.25), face).at(0.015, 0, shoulder + 0.24),
        pillow((0.05, 0.03, 0.04), skin).at(0.118, 0, shoulder + 0.225),
    ]
    sole = painted(plain(SHOE), (lambda p: p[:, 2] < -0.03, (210, 206, 200)))
    shoe = pillow((0.27, 0.1, 0.1), sole, 0.6).at(0.055, 0, -shin - 0.02)
    sleeve = painted(cloth, (lambda p: p[:, 2] < -upper + 0.03, SKIN))
    shapes = [
        trunk, *[[limb(thigh, 0.175, 0.125, dark)]] * 2, *[[limb(shin, 0.12, 0.09, dark), shoe]] * 2,
        *[[limb(upper, 0.11, 0.09, sleeve)]] * 2,
        *[[limb(fore, 0.085, 0.065, skin), pillow((0.06, 0.085, 0.13), skin, 0.8).at(0.005, 0, -fore - 0.05)]] * 2,
    ]

    def joints(p: float) -> list[Float64]:
        legs = [about_y(s * SWING_RAD * np.sin(p), 0, s * 0.1, hip - 0.05) for s in (1, -1)]
        knees = [about_y(-0.75 * max(0.0, s * np.cos(p)), 0, 0, -thigh) for s in (1, -1)]
        arms = [about_y(-s * 0.8 * SWING_RAD * np.sin(p), 0, s * 0.255, shoulder - 0.02) for s in (1, -1)]
        elbows = [about_y(0.3 - s * 0.2 * np.sin(p), 0, 0, -upper) for s in (1, -1)]
        shins, fores = [a @ b for a, b in zip(legs, knees, strict=True)], [a @ b for a, b in zip(arms, elbows, strict=True)]
        return [np.eye(4), *legs, *shins, *arms, *fores]

    poses = [joints(p) for p in np.linspace(0.0, 2 * np.pi, PHASES + 1)]
    for pose in poses:  # the lower foot on the ground
        lift = min(float((shoe.vertices @ T[2, :3]).min() + T[2, 3]) for T in pose[3:5])
        for T in pose:
            T[2, 3] -= lift
    made = _once_each(shapes, spacing_m, scale)
    return tuple(Part(shape, _cycle(1.0, [pose[k] for pose in poses], scale)) for k, shape in enumerate(made))


def steps(track: PoseTrack, scale: float) -> Clock:
    """The phase of a walk along a track: whole steps between rests, so that rests find both feet down."""
    phase, begun, travelled = 0.25, 0, track.travelled_m() / (STRIDE_M * scale)
    phases = [phase]
    while begun < len(travelled) - 1:
        end = begun + 1
        goes = travelled[end] > travelled[begun]
        while goes and end < len(travelled) - 1 and travelled[end + 1] > travelled[end]:
            end += 1
        way = travelled[end] - travelled[begun]
        steps = max(round(2 * way), 1) / 2 if way > 0.25 else way
        share = (travelled[begun + 1 : end + 1] - travelled[begun]) / way if goes else np.zeros(end - begun)
        phases += (phase + steps * share).tolist()
        phase, begun = phases[-1], end
    return paced(track, np.array(phases))


def _once_each(shapes: list[list[Solid]], spacing_m: float, scale: float) -> list[BodyPoints]:
    """The points of parts, those that are the same list made once."""
    made: dict[int, BodyPoints] = {}
    for solids in shapes:
        if id(solids) not in made:
            made[id(solids)] = shape_of(solids, spacing_m, scale)
    return [made[id(solids)] for solids in shapes]


def car(colour: Colour, scale: float, spacing_m: float) -> tuple[Part, ...]:
    """A car 4.2 m long; the phase of its wheels is the way it makes, m."""
    glass, rubber, chrome = (44, 54, 64), plain((34, 34, 36), 0.1), (188, 190, 194)
    sheet = painted(
        plain(colour, 0.02, 0.3),
        (lambda p: np.abs(p[:, 2] + 0.17) < 0.035, (58, 58, 60)),
        (lambda p: (p[:, 0] > 1.95) & _near(p, 0.62, 0.1, 0.16, 0.075), (250, 246, 226)),
        (lambda p: (p[:, 0] < -1.95) & _near(p, 0.64, 0.12, 0.15, 0.08), (168, 22, 26)),
        (lambda p: (p[:, 0] > 1.95) & _near(p, 0.0, 0.02, 0.4, 0.07), (52, 54, 58)),
        (lambda p: (np.abs(p[:, 0]) > 1.95) & _near(p, 0.0, -0.08, 0.26, 0.05), (236, 236, 232)),
        (lambda p: (np.abs(p[:, 1]) > 0.8) & (np.abs(np.abs(p[:, 0] + 0.05) - 0.6) < 0.012), (60, 60, 62)),
        (lambda p: (np.abs(p[:, 1]) > 0.8) & (np.abs(p[:, 0] + 0.35) < 0.08) & (np.abs(p[:, 2] - 0.16) < 0.02), chrome),
    )
    pillars = painted(
        plain(glass, 0.05, 0.4),
        (lambda p: (np.abs(p[:, 0] + 0.1) < 0.05) & (np.abs(p[:, 1]) > 0.45), colour),
        (lambda p: p[:, 2] > 0.45, colour),
    )
    hull = [
        pillow((4.2, 1.74, 0.62), sheet, 0.35).at(0, 0, 0.58),
        tapered((2.5, 1.52), (1.45, 1.22), 0.5, pillars, -0.12).at(-0.25, 0, 0.84),
        pillow((0.12, 0.2, 0.14), plain(colour), 0.6).at(0.72, 0.9, 0.98),
        pillow((0.12, 0.2, 0.14), plain(colour), 0.6).at(0.72, -0.9, 0.98),
    ]
    spokes = painted(
        rubber,
        (lambda p: np.hypot(p[:, 0], p[:, 1]) < 0.62 * WHEEL_M, chrome),
        (lambda p: _between_spokes(np.arctan2(p[:, 1], p[:, 0]), np.hypot(p[:, 0], p[:, 1]) / WHEEL_M), (64, 66, 70)),
    )
    wheel = [cylinder(WHEEL_M, 0.22, spokes).at(0, 0, -0.11).turned("x", np.pi / 2)]
    feet = [(x, y, WHEEL_M) for x in (-1.3, 1.3) for y in (-0.79, 0.79)]
    shell, tyre = shape_of(hull, spacing_m, scale), shape_of(wheel, min(spacing_m, 0.026 * scale), scale)
    tyre = BodyPoints(tyre.xyz, tyre.rgb, spacing_m)
    turns = np.linspace(0.0, 2 * np.pi, 9)
    period = 2 * np.pi * WHEEL_M * scale
    parts = [Part(tyre, _cycle(period, [about_y(-a, *foot) for a in turns], scale)) for foot in feet]
    return Part(shell, PoseTrack.still(np.eye(4))), *parts


def _between_spokes(angle: Float64, share: Float64) -> np.ndarray:
    """Where a wheel of five spokes is open, by angle and by share of its radius."""
    return (np.cos(5 * angle) < 0.1) & (np.abs(share - 0.36) < 0.2)


def box(colour: Colour, scale: float, spacing_m: float) -> tuple[Part, ...]:
    """A parcel of 0.6 x 0.4 x 0.4 m with tape around it and a label on top."""

    def label(p: Float64, wide: float, high: float) -> np.ndarray:
        return (p[:, 2] > 0.19) & (np.abs(p[:, 0] - 0.12) < wide) & (np.abs(p[:, 1] + 0.1) < high)

    paint = painted(
        plain(colour, 0.06, 0.05),
        (lambda p: np.abs(p[:, 1]) < 0.028, (214, 188, 140)),
        (lambda p: label(p, 0.09, 0.06), (238, 238, 234)),
        (lambda p: label(p, 0.07, 0.04) & (np.sin(p[:, 0] * 300) > 0.3), (40, 40, 44)),
    )
    shape = shape_of([pillow((0.6, 0.4, 0.4), paint, 0.08).at(0, 0, 0.2)], spacing_m, scale)
    return (Part(shape, PoseTrack.still(np.eye(4))),)


def ball(colour: Colour, scale: float, spacing_m: float) -> tuple[Part, ...]:
    """A beach ball of 0.4 m with six stripes; its phase is the way it rolls, m."""
    other = (236, 232, 222)
    paint = painted(
        plain(colour, 0.02, 0.2),
        (lambda p: np.sin(3 * np.arctan2(p[:, 2], p[:, 0])) > 0, other),
        (lambda p: np.abs(p[:, 1]) > 0.93 * BALL_M, (240, 196, 60)),
    )
    shape = shape_of([pillow((2 * BALL_M,) * 3, paint)], spacing_m, scale)
    turns = [about_y(-a, 0, 0, BALL_M) for a in np.linspace(0.0, 2 * np.pi, 9)]
    return (Part(shape, _cycle(2 * np.pi * BALL_M * scale, turns, scale)),)


def arm(colour: Colour, scale: float, spacing_m: float) -> tuple[Part, ...]:
    """A robot arm on a pedestal that reaches and turns; its phase is time, and after eight seconds it begins again."""
    paint, grey, dark = plain(colour, 0.03, 0.1), plain((92, 96, 100), 0.04), plain((48, 50, 54), 0.04)
    joint = painted(grey, (lambda p: np.abs(p[:, 2]) > 0.075, COLOURS["silver"]))
    low, high = 0.48, 0.42
    shoulder, elbow = (cylinder(r, w, joint).at(z=-w / 2).turned("x", np.pi / 2) for r, w in ((0.09, 0.2), (0.08, 0.18)))
    fingers = [pillow((0.035, 0.025, 0.16), grey, 0.4).at(0, y, 0.1) for y in (-0.065, 0.065)]
    shapes = [
        [cylinder(0.24, 0.06, dark), cylinder(0.14, 0.34, grey)],
        [cylinder(0.15, 0.14, paint), shoulder],
        [tapered((0.15, 0.13), (0.11, 0.11), low, paint), elbow.at(z=low)],
        [tapered((0.11, 0.1), (0.08, 0.08), high, paint), pillow((0.1, 0.1, 0.1), grey).at(z=high)],
        [pillow((0.07, 0.18, 0.06), dark, 0.4), *fingers],
    ]

    def joints(tau: float) -> list[Float64]:
        p = 2 * np.pi * tau / 8.0
        c, s = np.cos(1.2 * np.sin(p)), np.sin(1.2 * np.sin(p))
        turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0.34], [0, 0, 0, 1.0]])
        first = turn @ about_y(-0.35 - 0.45 * np.sin(2 * p + 0.5), 0, 0, 0.14)
        second = first @ about_y(-1.1 - 0.6 * np.sin(2 * p + 1.9), 0, 0, low)
        return [np.eye(4), turn, first, second, second @ about_y(-0.7 * np.sin(3 * p), 0, 0, high + 0.05)]

    poses = [joints(tau) for tau in np.linspace(0.0, 8.0, 6 * PHASES + 1)]
    return tuple(Part(shape_of(s, spacing_m, scale), _cycle(8.0, [p[k] for p in poses], scale)) for k, s in enumerate(shapes))


def along(track: PoseTrack, _scale: float) -> Clock:
    """The phase of what rolls."""
    return rolling(track)


def timed(_track: PoseTrack, _scale: float) -> Clock:
    """The phase of what moves with time alone."""
    return Clock.REAL


class Kind(NamedTuple):
    """A thing of the library.

    Args:
        parts: (colour 0..255, scale, spacing_m) -> what it is made of. gait: (track, scale) -> their phase.
        description: in a line.
        low, high: the box it stays in at its usual size in its own frame, m.
        colour: the word for its usual one. spacing_m: usual distance of its points, at its usual size.
    """

    parts: Callable[[Colour, float, float], tuple[Part, ...]]
    gait: Callable[[PoseTrack, float], Clock]
    description: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    colour: str
    spacing_m: float


LIBRARY: dict[str, Kind] = {
    "pedestrian": Kind(pedestrian, steps, "somebody walking, 1.8 m", (-0.6, -0.35, 0.0), (0.6, 0.35, 1.85), "blue", 0.015),
    "car": Kind(car, along, "a car with turning wheels, 4.2 m long", (-2.1, -1.0, 0.0), (2.1, 1.0, 1.34), "red", 0.035),
    "box": Kind(box, timed, "a parcel, 0.6 x 0.4 x 0.4 m", (-0.3, -0.2, 0.0), (0.3, 0.2, 0.4), "brown", 0.01),
    "ball": Kind(ball, along, "a striped ball that rolls, 0.4 m", (-0.2, -0.2, 0.0), (0.2, 0.2, 0.4), "red", 0.009),
    "arm": Kind(arm, timed, "a robot arm at work, 1.5 m", (-1.3, -1.3, 0.0), (1.3, 1.3, 1.6), "orange", 0.014),
}


def make(
    kind: str, track: PoseTrack, colour: str | None = None, scale: float = 1.0, spacing_m: float | None = None
) -> JointedBody:
    """A body of the library.

    Args:
        kind: one of :data:`LIBRARY`. track: ``T_world_actor`` over animation time.
        colour: one of :data:`spatia_ros.actors.shapes.COLOURS`; None: its usual one.
        scale: times its usual size. spacing_m: distance of its points; None: its usual one, times scale.

    Raises:
        SpatiaError: for an unknown kind or colour, or a scale out of range.
    """
    if kind not in LIBRARY:
        raise SpatiaError(f"actor.kind: expected one of {', '.join(LIBRARY)}, got {kind!r}")
    known = LIBRARY[kind]
    word = known.colour if colour is None else colour
    if word not in COLOURS:
        raise SpatiaError(f"actor.colour: expected one of {', '.join(COLOURS)}, got {word!r}")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise SpatiaError(f"actor.scale: expected {SCALES[0]}..{SCALES[1]}, got {scale}")
    parts = _parts(kind, word, scale, known.spacing_m * scale if spacing_m is None else spacing_m)
    return JointedBody(parts, track, known.gait(track, scale))


@lru_cache(maxsize=16)
def _parts(kind: str, colour: str, scale: float, spacing_m: float) -> tuple[Part, ...]:
    """The latest things made are kept: the next of the same looks costs nothing."""
    return LIBRARY[kind].parts(COLOURS[colour], scale, spacing_m)


def library_actor(
    kind: str, name: str = "", track: PoseTrack | None = None, colour: str | None = None, scale: float = 1.0,
    spacing_m: float | None = None,
) -> Actor:
    """A thing of the library as an actor, on a track or at rest in the origin."""
    body = make(kind, PoseTrack.still(np.eye(4)) if track is None else track, colour, scale, spacing_m)
    return Actor(name, kind, body, colour=colour or LIBRARY[kind].colour)

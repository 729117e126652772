"""Depth from one picture: the one interface of all estimators, and how their numbers become metres.

Networks differ in what they give. A *metric* one gives metres. One that is right up to *scale* needs one known length.
An *inverse* one gives ``p`` with ``1 / z = a p + b``, a and b unknown: it needs two. A floor can give both of
them: on a plane ``1 / z`` is affine in the ray, ``w . (x, y, 1)``, with ``|w| = 1 / height``; under a level camera
its last part is 0, which tells b, and the camera's height tells a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np

from spatia_ros.generator import Generator
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.image import BLIND_DEPTH_M
from spatia_ros.geometry import pixel_rays
from spatia_ros.memory import Keyframe
from spatia_ros.types import Camera, Float32, Float64, SpatiaError, UInt8, View, check_array

Kind = Literal["metric", "scale", "inverse"]
"""What an estimate is right up to: nothing, one factor, or a factor and an offset of 1 / depth."""

FLOOR_TRIES = 400
FLOOR_TOLERANCE = 0.03
FLOOR_SHARE = 0.15
"""Share of the lower half of the picture that a floor must fill to be believed."""
REFINEMENTS = 4
MIN_DEPTH_M, MAX_DEPTH_M = 0.05, 200.0


class Known(NamedTuple):
    """A distance somebody measured: pixel (u, v) of the picture shows a surface ``depth_m`` ahead (z-depth)."""

    u: float
    v: float
    depth_m: float


class Estimate(NamedTuple):
    """What an estimator says of a picture."""

    values: Float32  # [H, W]: depth, or p of an inverse estimate; not above 0: unknown
    kind: Kind
    camera: Camera | None  # the intrinsics it saw in the picture, if it tells


class DepthEstimator(Protocol):
    """Anything that tells depth from one picture."""

    name: str

    def estimate(self, rgb: UInt8, camera: Camera | None) -> Estimate:
        """Of a picture uint8 [H, W, 3]; ``camera`` where it is known."""


class GeneratorDepth:
    """The generator's own depth head, asked about a picture that is all colour and no memory.

    Its depth is mostly a membrane from what is remembered, and where nothing is remembered that is close to
    one distance everywhere. See docs/data.md.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator, self.name = generator, f"the depth of {generator.name}"

    def estimate(self, rgb: UInt8, camera: Camera | None) -> Estimate:
        """Depth up to a factor."""
        height, width = rgb.shape[:2]
        camera = camera or Camera.from_fov(width, height, 1.2)
        blank, guess = np.zeros((height, width), np.float32), np.full((height, width), BLIND_DEPTH_M, np.float32)
        nothing = View(np.zeros_like(rgb), blank, blank > 0, blank, blank)
        shown = Keyframe(rgb, guess, np.zeros(guess.shape, bool), camera, np.eye(4), 0)
        stream = self.generator.stream()
        told = self.generator.condition(ClipView.still(nothing, [shown], camera, np.eye(4)), stream)
        (generated,) = self.generator.sample(told, stream, np.random.default_rng(0))
        return Estimate(generated.depth, "scale", None)


@dataclass(frozen=True, slots=True)
class Floor:
    """A floor in a picture.

    Args:
        w: float64 [3], its 1 / depth (or p) is ``w . (x, y, 1)`` of the ray. share: of the picture, 0..1.
    """

    w: Float64
    share: float


def find_floor(q: Float64, camera: Camera, rng: np.random.Generator, tilted: bool) -> Floor | None:
    """The lowest plane of a picture, as RANSAC (Fischler and Bolles, 1981) finds it; None when there is none.

    Args:
        q: float64 [H, W], 1 / depth or p of an inverse estimate, not above 0 where unknown.
        tilted: the camera may look up or down by 40 degrees (q is 1 / depth), else it is level (q may be offset).
    """
    step = max(int(np.sqrt(q.size / 20_000)), 1)
    # A floor is looked for below the middle; the rest of the picture may not lie beneath it.
    rows = slice(int(0.45 * q.shape[0]), None, step)
    values: np.ndarray = q[rows, ::step].ravel()
    rays: np.ndarray = pixel_rays(camera)[rows, ::step].reshape(-1, 3)[values > 0]
    values = np.asarray(values[values > 0])
    if len(values) < 100:
        return None
    spread = float(np.percentile(values, 95) - np.percentile(values, 5))
    tolerance = FLOOR_TOLERANCE * (np.abs(values) if tilted else np.full(len(values), spread))
    # Of an inverse estimate a wall is as good a plane as a floor, but it does not grow downwards.
    least = 0.0 if tilted else 0.5 * spread / float(np.ptp(rays[:, 1]))
    best, chosen = 0.0, None
    for _ in range(FLOOR_TRIES):
        three = rng.choice(len(values), 3, replace=False)
        try:
            w = np.asarray(np.linalg.solve(rays[three], values[three]), np.float64)
        except np.linalg.LinAlgError:
            continue
        if not _floor_like(w, tilted) or w[1] <= least:
            continue
        error = values - rays @ w
        on, beneath = np.abs(error) < tolerance, error < -3 * tolerance
        if on.sum() - 2.0 * beneath.sum() > best:
            best, chosen = float(on.sum() - 2.0 * beneath.sum()), on
    if chosen is None or chosen.sum() < FLOOR_SHARE * len(values):
        return None
    for n in range(REFINEMENTS):  # ever closer, so that what merely borders on the floor drops out
        w = np.asarray(np.linalg.lstsq(rays[chosen], values[chosen], rcond=None)[0], np.float64)
        close = np.abs(values - rays @ w) < tolerance / (1 + n)
        chosen = close if close.sum() > FLOOR_SHARE * len(values) / 2 else chosen
    return Floor(w, float(chosen.mean())) if _floor_like(w, tilted) and w[1] > least else None


def _floor_like(w: Float64, tilted: bool) -> bool:
    """Whether a plane ``w`` faces up: its 1 / depth grows downwards in the picture, and it does not lean sideways."""
    if w[1] <= 0 or abs(w[0]) > 0.27 * w[1]:  # 15 degrees
        return False
    return not tilted or abs(w[2]) < 0.84 * w[1]  # 40 degrees


@dataclass(frozen=True, slots=True)
class Scaled:
    """Depth in metres, and how it came to be.

    Args:
        depth: float32 [H, W], metres, 0 = unknown. floor: in 1 / metres. story: in sentences.
    """

    depth: Float32
    floor: Floor | None
    story: list[str]


def to_metres(
    estimate: Estimate, camera: Camera, camera_height_m: float = 0.0, known: Sequence[Known] = (), seed: int = 0
) -> Scaled:
    """An estimate in metres.

    Args:
        camera_height_m: of the camera above the floor in the picture; 0: not known.
        known: measured distances, one or (for an inverse estimate without a floor) two.

    Raises:
        SpatiaError: when the kind of estimate needs a length that is not given or not to be found in the picture.
    """
    check_array("estimate", estimate.values, (camera.height, camera.width), np.float32)
    values = np.where(np.isfinite(estimate.values), estimate.values, 0.0).astype(np.float64)
    if not (values > 0).any():
        raise SpatiaError("photo: expected depth somewhere in the picture, got none")
    rng = np.random.default_rng(seed)
    measured = [(_at(values, k), k.depth_m) for k in known]
    if estimate.kind == "inverse":
        q, floor, story = _inverse_to_metres(values, camera, camera_height_m, measured, rng)
    else:
        q = np.where(values > 0, 1.0 / np.maximum(values, 1e-9), 0.0)
        floor = find_floor(q, camera, rng, tilted=True)
        q, floor, story = _scaled(q, floor, estimate.kind, camera_height_m, [(1.0 / p, z) for p, z in measured])
    depth = np.where(q > 1.0 / MAX_DEPTH_M, 1.0 / np.maximum(q, 1.0 / MAX_DEPTH_M), 0.0)
    return Scaled(np.where(depth >= MIN_DEPTH_M, depth, 0.0).astype(np.float32), floor, story)


def _at(values: Float64, known: Known) -> float:
    """The estimate around a pixel: the median of 5 x 5."""
    height, width = values.shape
    if not (0 <= known.u < width and 0 <= known.v < height and 0 < known.depth_m < MAX_DEPTH_M):
        raise SpatiaError(f"known distance: expected a pixel of {width}x{height} and 0..{MAX_DEPTH_M} m, got {tuple(known)}")
    u, v = int(known.u), int(known.v)
    around = values[max(v - 2, 0) : v + 3, max(u - 2, 0) : u + 3]
    if not (around > 0).any():
        raise SpatiaError(f"known distance: expected a pixel with estimated depth, got ({u}, {v}), which has none")
    return float(np.median(around[around > 0]))


def _scaled(
    q: Float64, floor: Floor | None, kind: Kind, height_m: float, measured: list[tuple[float, float]]
) -> tuple[Float64, Floor | None, list[str]]:
    """1 / depth that is right up to a factor, times that factor."""
    if measured:
        factor = float(np.median([1.0 / (z * p) for p, z in measured]))
        story = f"its scale is that of {len(measured)} known distance{'s' if len(measured) > 1 else ''}"
    elif height_m > 0:
        if floor is None:
            raise SpatiaError(
                "photo: expected a floor in the lower part of the picture to take the camera's height from, found none: "
                "give a known distance instead"
            )
        factor = 1.0 / (height_m * float(np.linalg.norm(floor.w)))
        story = f"its scale is that of a camera {height_m:g} m above the floor, which fills {floor.share:.0%} of its lower half"
    elif kind == "metric":
        return q, floor, ["its scale is the estimator's own word"]
    else:
        raise SpatiaError("photo: this estimator does not know metres: give the camera's height or a known distance")
    return q * factor, None if floor is None else Floor(floor.w * factor, floor.share), [story]


def _inverse_to_metres(
    p: Float64, camera: Camera, height_m: float, measured: list[tuple[float, float]], rng: np.random.Generator
) -> tuple[Float64, Floor | None, list[str]]:
    """1 / depth from an inverse estimate: a p + b."""
    if len(measured) >= 2:
        A = np.array([[value, 1.0] for value, _ in measured])
        inverse = np.array([1.0 / z for _, z in measured])
        (a, b), _, rank, _ = np.linalg.lstsq(A, inverse, rcond=None)
        if rank < 2 or a <= 0:
            raise SpatiaError(f"photo: expected known distances that tell near from far, got {measured} (estimate, metres)")
        q = np.where(p > 0, a * p + b, 0.0)
        return q, find_floor(q, camera, rng, tilted=True), [f"its scale is that of {len(measured)} known distances"]
    if not measured and height_m <= 0:
        raise SpatiaError(
            "photo: this estimator tells only near from far: give the camera's height above the floor, or two known distances"
        )
    floor = find_floor(p, camera, rng, tilted=False)
    if floor is None:
        raise SpatiaError(
            "photo: expected a floor in the lower part of the picture to tell depth from, found none: give two known distances"
        )
    level = p - floor.w[2]
    w = np.array([floor.w[0], floor.w[1], 0.0])
    a = 1.0 / (max(height_m, 1e-9) * float(np.linalg.norm(w)))
    by = f"a camera {height_m:g} m above it"
    if measured:
        a, by = 1.0 / (measured[0][1] * max(measured[0][0] - floor.w[2], 1e-9)), "a known distance"
    told = f"its scale is that of {by}, over a floor that fills {floor.share:.0%} of its lower half, the camera taken as level"
    return np.where(p > 0, a * level, 0.0), Floor(a * w, floor.share), [told]

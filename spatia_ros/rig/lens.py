"""Lenses: where a ray meets the image, and an image bent as a lens bends it.

The models and the order of their numbers are those of sensor_msgs/CameraInfo and OpenCV: ``plumb_bob`` (k1 k2 p1 p2 k3;
Brown, 1966), ``rational_polynomial`` (k1 k2 p1 p2 k3 k4 k5 k6) and ``equidistant`` (k1 k2 k3 k4; Kannala and Brandt,
PAMI 2006). A place is always seen through a pinhole; what a lens shows is looked up in that picture, ray by ray.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from spatia_ros.types import MAX_IMAGE_SIDE_PX, Bool, Camera, Float32, Float64, SpatiaError

MODELS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
"""Distortion models, and how many numbers each takes."""
MAX_ANGLE_RAD = np.radians(75.0)
"""Rays farther from the axis are not drawn: the pinhole picture behind them would be many times the lens's."""
MAX_COEFFICIENT = 1e3
NEWTON_STEPS = 24
DONE_PX = 1e-6
MISFIT_PX = 0.02
"""A pixel whose ray, bent again, ends farther from it than this has no ray: the model folds over there."""


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole camera behind a lens.

    Args:
        camera: size and intrinsics (K) of the image as it comes out of the lens.
        model: one of :data:`MODELS`. coefficients: its numbers; all zero: no lens at all.
    """

    camera: Camera
    model: str = "plumb_bob"
    coefficients: tuple[float, ...] = (0.0,) * 5

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise SpatiaError(f"lens: expected a model of {', '.join(MODELS)}, got {self.model!r}")
        d = np.asarray(self.coefficients, np.float64)
        if d.shape != (MODELS[self.model],) or not np.isfinite(d).all() or np.abs(d).max() > MAX_COEFFICIENT:
            expected = f"{MODELS[self.model]} finite numbers for {self.model}"
            raise SpatiaError(f"lens: expected {expected}, got {list(self.coefficients)}")

    @property
    def bends(self) -> bool:
        """Whether it changes anything. An equidistant lens does so with all numbers zero."""
        return self.model == "equidistant" or any(self.coefficients)

    def bent(self, xy: Float64) -> Float64:
        """Where rays [..., 2] (x / z, y / z) go on the image plane at z = 1: what K maps to pixels."""
        bend = {"plumb_bob": _brown, "rational_polynomial": _brown, "equidistant": _equidistant}[self.model]
        return bend(xy, np.asarray(self.coefficients, np.float64))

    def project(self, points: Float64) -> Float64:
        """Pixels [N, 2] (centres at +0.5) of points [N, 3] before the camera."""
        bent = self.bent(points[:, :2] / points[:, 2:])
        c = self.camera
        return np.asarray(bent * (c.fx, c.fy) + (c.cx, c.cy))

    def rays(self) -> tuple[Float64, Bool]:
        """The ray [H, W, 2] (x / z, y / z) of every pixel centre, and which pixels have one [H, W].

        Newton's method on :meth:`bent`; a ray counts when it leads back to its pixel, on the side of the model that does
        not fold over, within :data:`MAX_ANGLE_RAD` of the axis.
        """
        return _rays_of(self)

    def _step(self, xy: Float64, wanted: Float64) -> tuple[Float64, Bool]:
        """A step of Newton's method for rays [N, 2], nowhere a long one; and which of them are not turned over there."""
        missing, J = self.bent(xy) - wanted, self._jacobian(xy)
        turned = J[:, 0, 0] * J[:, 1, 1] - J[:, 0, 1] * J[:, 1, 0]
        step = np.stack([
            J[:, 1, 1] * missing[:, 0] - J[:, 0, 1] * missing[:, 1],
            J[:, 0, 0] * missing[:, 1] - J[:, 1, 0] * missing[:, 0],
        ], -1) / turned[:, None]  # fmt: skip
        length = np.linalg.norm(step, axis=1, keepdims=True)
        limit = 0.5 * (1.0 + np.linalg.norm(xy, axis=1, keepdims=True))
        return xy - step * np.minimum(1.0, limit / np.maximum(length, 1e-300)), turned > 0

    def _jacobian(self, xy: Float64) -> Float64:
        """How :meth:`bent` changes with a ray [N, 2, 2], by central differences."""
        h = 1e-6 * (1.0 + np.linalg.norm(xy, axis=1, keepdims=True))
        along = [(self.bent(xy + h * e) - self.bent(xy - h * e)) / (2 * h) for e in np.eye(2)]
        return np.stack(along, -1)

    def pinhole(self, margin_px: int = 0) -> tuple[Camera, int, int]:
        """The pinhole camera whose picture holds every ray of the lens: its focal lengths, and room around.

        Args:
            margin_px: more room, on each side.

        Returns:
            The camera, and how many columns and rows of it lie left of and above the lens's own image (0 or more).

        Raises:
            SpatiaError: when it would be larger than an image may be.
        """
        c = self.camera
        sides: Float64 = np.zeros(4)
        if self.bends:
            xy, sound = self.rays()
            if not sound.any():
                raise SpatiaError(f"lens: expected a {self.model} with rays in its image, got {list(self.coefficients)}")
            px = xy[sound] * (c.fx, c.fy) + (c.cx, c.cy)
            low, high = px.min(0) - 1.0, px.max(0) + 1.0
            sides = np.maximum([-low[0], -low[1], high[0] - c.width, high[1] - c.height], 0.0)
        left, top, right, bottom = (np.ceil(sides).astype(int) + margin_px).tolist()
        width, height = c.width + left + right, c.height + top + bottom
        if max(width, height) > MAX_IMAGE_SIDE_PX:
            got = f"{width}x{height} for an image of {c.width}x{c.height}"
            raise SpatiaError(f"lens: expected a view of at most {MAX_IMAGE_SIDE_PX} px a side behind it, got {got}")
        return c.cropped(-left, -top, width, height), left, top

    def places(self, source: Camera) -> tuple[Float32, Float32]:
        """Where in a pinhole picture each pixel's ray is: columns and rows float32 [H, W], as ``cv2.remap`` takes them.

        A pixel without a ray is sent outside.
        """
        xy, sound = self.rays()
        place = xy * (source.fx, source.fy) + (source.cx - 0.5, source.cy - 0.5)
        place[~sound] = -10.0
        return place[..., 0].astype(np.float32), place[..., 1].astype(np.float32)


@lru_cache(maxsize=4)
def _rays_of(lens: Lens) -> tuple[Float64, Bool]:
    c = lens.camera
    u, v = np.meshgrid((np.arange(c.width) + 0.5 - c.cx) / c.fx, (np.arange(c.height) + 0.5 - c.cy) / c.fy)
    wanted = np.stack([u, v], -1).reshape(-1, 2)
    xy = _start_equidistant(wanted, lens.coefficients) if lens.model == "equidistant" else wanted.copy()
    sound, left = np.zeros(len(xy), np.bool_), np.arange(len(xy))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(NEWTON_STEPS):
            xy[left], upright = lens._step(xy[left], wanted[left])
            misfit = np.abs((lens.bent(xy[left]) - wanted[left]) * (c.fx, c.fy)).max(1)
            done = misfit < DONE_PX
            sound[left] = (misfit < MISFIT_PX) & upright
            left = left[~done]
            if not len(left):
                break
        sound &= np.linalg.norm(xy, axis=1) < np.tan(MAX_ANGLE_RAD)
    rays, has = np.where(sound[:, None], xy, 0.0).reshape(c.height, c.width, 2), sound.reshape(c.height, c.width)
    for array in (rays, has):  # all who ask are given the same
        array.flags.writeable = False
    return rays, has


def remapped(picture: np.ndarray, places: tuple[Float32, Float32], *, linear: bool) -> np.ndarray:
    """A picture looked up at places [H, W]: between pixels for colour, the nearest for what has no between; 0 outside."""
    how = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
    return np.asarray(cv2.remap(picture, *places, how, borderMode=cv2.BORDER_CONSTANT, borderValue=0))


def _brown(xy: Float64, d: Float64) -> Float64:
    """OpenCV's model: radial (a polynomial, or a quotient of two) and tangential."""
    k1, k2, p1, p2, k3 = d[:5]
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if len(d) == 8:
        radial = radial / (1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7])))
    tangential = [2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
    return np.stack([x * radial + tangential[0], y * radial + tangential[1]], -1)


def _angle_bent(angle: Float64, d: Float64) -> Float64:
    """theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)."""
    t2 = angle * angle
    return np.asarray(angle * (1 + t2 * (d[0] + t2 * (d[1] + t2 * (d[2] + t2 * d[3])))))


def _equidistant(xy: Float64, d: Float64) -> Float64:
    """Distance from the middle grows with the angle to the axis."""
    r = np.linalg.norm(xy, axis=-1, keepdims=True)
    return np.asarray(xy * np.where(r > 1e-9, _angle_bent(np.arctan(r), d) / np.maximum(r, 1e-12), 1.0))


def _start_equidistant(bent: Float64, coefficients: tuple[float, ...]) -> Float64:
    """Rays [N, 2] to start from: the angle solved for alone (Newton), since tan runs away from it."""
    d = np.asarray(coefficients, np.float64)
    r = np.linalg.norm(bent, axis=1)
    angle = np.minimum(r, MAX_ANGLE_RAD)
    for _ in range(NEWTON_STEPS):
        t2 = angle * angle
        slope = 1 + t2 * (3 * d[0] + t2 * (5 * d[1] + t2 * (7 * d[2] + t2 * 9 * d[3])))
        step = (_angle_bent(angle, d) - r) / np.where(np.abs(slope) < 1e-3, 1e-3, slope)
        angle = np.clip(angle - np.clip(step, -0.3, 0.3), 0.0, np.pi / 2 - 1e-3)
    return np.asarray(bent * np.where(r > 1e-9, np.tan(angle) / np.maximum(r, 1e-12), 1.0)[:, None])

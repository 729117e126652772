"""What a depth camera makes of an exact picture: noise, quantisation, holes, exposure, pose error.

Depth noise and disparity quantisation follow Khoshelham & Elberink (Sensors 2012): both grow with z^2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros.geometry import pose
from spatia_ros.train.scene_texture import noise
from spatia_ros.types import Float32, Frame, UInt8


@dataclass(frozen=True, slots=True)
class Sensor:
    """One camera's character.

    Args:
        noise_per_m: standard deviation of depth at 1 m, metres; grows with z^2.
        step_per_m: quantisation step at 1 m, metres; grows with z^2.
        max_range_m: nothing farther is measured.
        edge_px: depth is lost within about this distance of a depth step.
        thin_holes: share of pixels lost in thin, branching cracks (depth warped between cameras).
        speckle: share of pixels lost one by one.
        blobs: share of pixels lost in patches (dark or shiny surfaces).
        colour_noise: standard deviation of colour, 0..255.
        exposure: standard deviation of log exposure between frames.
        vignette: darkening of the corners, 0..1.
        blur_px: standard deviation of the lens's blur.
        position_m, rotation_rad: standard deviations of the reported pose.
    """

    noise_per_m: float = 0.0015
    step_per_m: float = 0.0028
    max_range_m: float = 8.0
    edge_px: float = 1.0
    thin_holes: float = 0.0
    speckle: float = 0.002
    blobs: float = 0.02
    colour_noise: float = 2.0
    exposure: float = 0.02
    vignette: float = 0.1
    blur_px: float = 0.4
    position_m: float = 0.0
    rotation_rad: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator) -> Sensor:
        """A camera between a synthetic one and a time-of-flight map warped to colour (a third in thin holes)."""
        if rng.random() < 0.15:
            return cls(0.0, 0.0, 80.0, 0.0, 0.0, 0.0, 0.0, rng.uniform(0, 1), 0.0, 0.0, 0.0)
        return cls(
            rng.uniform(0.0005, 0.004),
            rng.choice((0.0, 0.0028)),
            rng.uniform(4.0, 10.0),
            rng.uniform(0, 2.5),
            rng.choice((0.0, rng.uniform(0.05, 0.4))),
            rng.choice((0.0, 0.002, 0.03)),
            rng.choice((0.0, rng.uniform(0, 0.15))),
            rng.uniform(0.5, 5),
            rng.choice((0.0, 0.02, 0.06)),
            rng.uniform(0, 0.3),
            rng.uniform(0, 0.8),
            rng.choice((0.0, rng.uniform(0, 0.006))),
            rng.choice((0.0, rng.uniform(0, 0.004))),
        )


def observe(frame: Frame, sensor: Sensor, rng: np.random.Generator) -> Frame:
    """The frame as this sensor would have recorded it."""
    T = frame.T_world_cam
    if sensor.position_m > 0 or sensor.rotation_rad > 0:
        turn = Rotation.from_rotvec(rng.normal(0, sensor.rotation_rad, 3)).as_matrix()
        T = T @ pose(turn, rng.normal(0, sensor.position_m, 3))
    return replace(frame, rgb=_colour(frame.rgb, sensor, rng), depth=_depth(frame.depth, sensor, rng), T_world_cam=T)


def _colour(rgb: UInt8, sensor: Sensor, rng: np.random.Generator) -> UInt8:
    height, width = rgb.shape[:2]
    image = rgb.astype(np.float32)
    if sensor.blur_px > 0:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur_px)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    gain = np.exp(rng.normal(0, sensor.exposure)) * (1 - sensor.vignette * (x * x + y * y) / 2)
    grain = rng.normal(0, sensor.colour_noise, rgb.shape).astype(np.float32)
    return np.clip(image * gain[..., None] + grain + 0.5, 0, 255).astype(np.uint8)


def _depth(depth: Float32, sensor: Sensor, rng: np.random.Generator) -> Float32:
    z = depth.astype(np.float64)
    z += rng.normal(0, 1, z.shape) * sensor.noise_per_m * z**2
    if sensor.step_per_m > 0:
        # Equal steps of inverse depth are steps of depth that grow with z^2.
        inverse = np.round(1 / np.maximum(z, 1e-3) / sensor.step_per_m) * sensor.step_per_m
        z = 1 / np.maximum(inverse, 1e-6)
    lost = (depth <= 0) | (depth > sensor.max_range_m) | _holes(depth, sensor, rng)
    return np.where(lost, 0, z).astype(np.float32)


def _holes(depth: Float32, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    lost = rng.random(depth.shape) < sensor.speckle
    if sensor.edge_px > 0:
        lost |= _near_steps(depth, sensor.edge_px, rng)
    if sensor.thin_holes > 0:
        # Level lines of noise are thin and branch; more of them where the field is steeper.
        field = np.abs(noise(rng, *depth.shape, slope=0.9, finest=0.25))
        lost |= field < np.quantile(field, sensor.thin_holes)
    if sensor.blobs > 0:
        field = noise(rng, *depth.shape, slope=1.8)
        lost |= field > np.quantile(field, 1 - sensor.blobs)
    return lost


def _near_steps(depth: Float32, reach_px: float, rng: np.random.Generator) -> np.ndarray:
    box = np.ones((3, 3), np.uint8)
    step = cv2.dilate(depth, box) - cv2.erode(depth, box) > 0.05 * depth + 0.02
    away = cv2.distanceTransform((~step).astype(np.uint8), cv2.DIST_L2, 3)
    return away < np.abs(rng.normal(0, reach_px, depth.shape)) - 0.5

"""What tracking keeps of an image: sizes to register, features and a thumbnail to know it again; and where it was taken."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from spatia_ros.config import TrackingConfig
from spatia_ros.memory.keyframes import Samples
from spatia_ros.slam import features
from spatia_ros.slam.features import Features
from spatia_ros.slam.odometry import Target
from spatia_ros.slam.pyramid import build_pyramid
from spatia_ros.types import Camera, Float32, Float64, UInt8

THUMBNAIL = (16, 12)
"""Width and height of the picture that tells which keyframes look alike."""
MIN_KNOWN = 0.02
"""Share of the pixels that must have depth for an image to be registered."""


class TrackedImage:
    """An image with its pyramid, its features (found when first asked for) and its thumbnail.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown. camera: intrinsics of both.

    Raises:
        SpatiaError: on images of another size or type, or depth that is not finite.
    """

    def __init__(self, rgb: UInt8, depth: Float32, camera: Camera, config: TrackingConfig) -> None:
        self.pyramid = build_pyramid(rgb, depth, camera, width_px=config.width_px, levels=config.levels)
        self._source: tuple[UInt8, Float32, Camera] | None = (rgb, depth, camera)
        self._features: Features | None = None

    @property
    def has_depth(self) -> bool:
        """Whether enough is known to register it."""
        return bool((self.pyramid.levels[-1].depth > 0).mean() >= MIN_KNOWN)

    @cached_property
    def thumbnail(self) -> Float32:
        """The picture at 16x12, zero mean, unit length: its product with another is their correlation."""
        small = cv2.resize(self.pyramid.levels[-1].intensity, THUMBNAIL, interpolation=cv2.INTER_AREA)
        small = small - small.mean()
        return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)

    def features(self) -> Features:
        """The image's features; the image itself is let go of."""
        if self._source is not None:
            self._features, self._source = features.describe(*self._source), None
        assert self._features is not None
        return self._features

    def samples(self, T_world_cam: Float64) -> Samples:
        """The coarse grid on which overlap is counted, at a pose."""
        coarsest = self.pyramid.levels[-1]
        return Samples.of(coarsest.depth, coarsest.camera, T_world_cam)


class TrackingKeyframe:
    """A tracked image with its pose and time."""

    def __init__(self, image: TrackedImage, T_world_cam: Float64, stamp_ns: int) -> None:
        self.image, self.stamp_ns = image, stamp_ns
        self.move(T_world_cam)

    def move(self, T_world_cam: Float64) -> None:
        """Put it at another pose."""
        self.T_world_cam = T_world_cam
        self.samples = self.image.samples(T_world_cam)

    @property
    def target(self) -> Target:
        """What images are registered to."""
        return Target(self.image.pyramid, self.T_world_cam)

"""The measures: how alike two pictures or two depth images are.

Colours are uint8 0..255, depths metres. Figures that too few pixels define are NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from spatia_ros.types import Bool, Float32, Float64, UInt8, check_array

MIN_PIXELS = 64
"""Fewer pixels than this define no figure."""
MAX_PSNR_DB = 100.0
"""What equal pictures get, for infinity is no number to average."""
RATIO = 0.8
"""Largest distance of the best match over that of the second best (Lowe, IJCV 2004)."""
INLIER_PX = 3.0


def psnr(a: UInt8, b: UInt8, mask: Bool | None = None) -> float:
    """Peak signal-to-noise ratio of two pictures uint8 [H, W, 3] in dB, over the pixels of a mask [H, W]."""
    check_array("psnr.b", b, a.shape, a.dtype)
    difference = a.astype(np.float64) - b if mask is None else a[mask].astype(np.float64) - b[mask]
    if difference.size < 3 * MIN_PIXELS:
        return float("nan")
    mse = float(np.mean(difference**2))
    return min(10.0 * np.log10(255.0**2 / mse), MAX_PSNR_DB) if mse > 0 else MAX_PSNR_DB


def ssim(a: UInt8, b: UInt8) -> float:
    """Structural similarity of two pictures uint8 [H, W, 3], mean over pixels and channels.

    Wang et al., IEEE TIP 2004, equation 13: Gaussian window of 11 x 11 px and sigma 1.5, K1 0.01,
    K2 0.03; windows that leave the picture are not counted.
    """
    check_array("ssim.b", b, a.shape, np.uint8)
    x, y = a.astype(np.float64), b.astype(np.float64)
    mx, my = _window(x), _window(y)
    vx, vy, cov = _window(x * x) - mx * mx, _window(y * y) - my * my, _window(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(index[5:-5, 5:-5].mean())


def _window(image: Float64) -> Float64:
    return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5), np.float64)


class DepthErrors(NamedTuple):
    """Sums over pixels, so that those of several frames add up to a pooled mean."""

    pixels: int
    relative: float
    within: int

    def __add__(self, other: tuple) -> DepthErrors:
        return DepthErrors(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def absrel(self) -> float:
        """Mean of |d - d*| / d* over all pixels summed."""
        return self.relative / self.pixels if self.pixels >= MIN_PIXELS else float("nan")

    @property
    def delta_125(self) -> float:
        """Share of pixels with max(d / d*, d* / d) < 1.25 (Eigen et al., NeurIPS 2014)."""
        return self.within / self.pixels if self.pixels >= MIN_PIXELS else float("nan")


def depth_errors(depth: Float32, truth: Float32, mask: Bool) -> DepthErrors:
    """Errors of a depth image against the measured one, where both are known and the mask holds; all [H, W]."""
    check_array("depth_errors.truth", truth, depth.shape, np.float32)
    known = mask & (truth > 0) & (depth > 0)
    d, t = depth[known].astype(np.float64), truth[known].astype(np.float64)
    return DepthErrors(len(d), float((np.abs(d - t) / t).sum()), int((np.maximum(d / t, t / d) < 1.25).sum()))


def gain(a: UInt8, b: UInt8, mask: Bool) -> Float64:
    """Per-channel gain float64 [3] that brings picture a nearest to b over a mask, by least squares; 1 where undefined."""
    x, y = a[mask].astype(np.float64), b[mask].astype(np.float64)
    power = (x * x).sum(0)
    return np.where(power > 0, (x * y).sum(0) / np.maximum(power, 1e-9), 1.0)


def brightened(rgb: UInt8, factor: Float64) -> UInt8:
    """A picture with each channel multiplied by its gain."""
    return _rounded(rgb * factor)


def recoloured(rgb: UInt8, truth: UInt8, mask: Bool) -> UInt8:
    """A picture through the affine map of its colours, twelve numbers, that brings it nearest to the truth over a mask.

    One of a single colour becomes the truth's mean.
    """
    if not mask.any():
        return rgb
    with_one = np.concatenate([rgb, np.ones((*mask.shape, 1))], -1)
    mapping = np.linalg.lstsq(with_one[mask], truth[mask].astype(np.float64), rcond=None)[0]
    return _rounded(with_one @ mapping)


def _rounded(rgb: Float64) -> UInt8:
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)


def match_ratio(first: UInt8, last: UInt8) -> float:
    """How much of one picture is found again in another, where it was: SIFT inliers over those with itself.

    SIFT matches that pass Lowe's ratio test and one homography by RANSAC (3 px), divided by the same
    count of the first picture with itself. Figures of other matchers (RoMa, say) do not compare.
    """
    with_itself = _inliers(first, first)
    return _inliers(first, last) / with_itself if with_itself else float("nan")


def _inliers(a: UInt8, b: UInt8) -> int:
    sift = cv2.SIFT.create()
    (ka, da), (kb, db) = (sift.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None) for image in (a, b))
    if da is None or db is None or len(kb) < 2:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(da, db, 2)
    good = [best for best, second in pairs if best.distance < RATIO * second.distance]
    if len(good) < 4:
        return 0
    src, dst = np.array([ka[m.queryIdx].pt for m in good]), np.array([kb[m.trainIdx].pt for m in good])
    _, inlier = cv2.findHomography(src, dst, cv2.RANSAC, INLIER_PX)
    return 0 if inlier is None else int(inlier.sum())

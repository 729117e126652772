"""Where a camera's latents look, and where what they see lies, in the anchor's frame."""

from __future__ import annotations

import numpy as np

from spatia_ros import geometry
from spatia_ros.generator.anchor import MIN_DEPTH_M, Anchor
from spatia_ros.generator.fill import membrane
from spatia_ros.generator.image import MULTIPLE, ViewImage, check_finite
from spatia_ros.types import Bool, Camera, Float32, Float64

RAY_CHANNELS = 9
"""What is told of the ray of a latent: its direction 3, its moment 3, and where the anchor sees the surface it meets 3."""
SEEN = slice(6, 9)
"""The last of these."""
MOMENT_LIMIT = 8.0
"""Moments of rays are cut here, in units of the anchor's depth."""


def rays_in(
    anchor: Anchor, camera: Camera, T_world_cam: Float64, cells: tuple[int, int], depth: Float32 | None = None
) -> Float32:
    """Rays of the middles of a camera's latents, float32 [9, rows, cols]: direction d, moment o x d, where the anchor sees it.

    In the anchor's frame, lengths in units of the anchor's depth (Pluecker rays as the camera condition:
    SpaceTimePilot, arXiv 2512.25075). The last three are the unit direction from the anchor to the surface
    that the ray meets: the same for all cameras that look at it, as far as depth is right.

    Args:
        cells: rows and columns of latents; MULTIPLE pixels of the camera each, those past its border too.
        depth: float32 [rows, cols], metres, how far each ray goes; None: not known, the last three are zero.
    """
    T = geometry.inverse(anchor.T_world_anchor) @ T_world_cam
    v, u = ((np.arange(n) + 0.5) * MULTIPLE for n in cells)
    x, y = np.meshgrid((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy)
    d = np.stack([x, y, np.ones_like(x)], -1) @ T[:3, :3].T
    seen = np.zeros_like(d) if depth is None else d * depth[..., None] + T[:3, 3]
    seen /= np.maximum(np.linalg.norm(seen, axis=-1, keepdims=True), MIN_DEPTH_M)
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    moment = np.cross(np.broadcast_to(T[:3, 3] / anchor.scale_m, d.shape), d)
    told = np.concatenate([d, moment.clip(-MOMENT_LIMIT, MOMENT_LIMIT), seen], -1)
    rays = told.transpose(2, 0, 1).astype(np.float32)
    check_finite("rays", rays)
    return rays


def depth_of_cells(image: ViewImage) -> Float32:
    """Depth at the middles of a view's latents, as known or guessed: float32 [h, w], metres."""
    middles = slice(MULTIPLE // 2, None, MULTIPLE)
    return np.exp(image.image[3, middles, middles] + np.float32(image.log_depth_mean))


def depth_of_context(depth: Float32, hidden: Bool | None) -> Float32 | None:
    """Depth of a context frame's latents, float32 [5, 8], metres; where nothing is known a membrane; None: nothing is anywhere.

    Args:
        depth: float32 [80, 128], metres, 0 = unknown. hidden: bool [80, 128], not to be told of.
    """
    known = depth > 0 if hidden is None else (depth > 0) & ~hidden
    (h, w), side = depth.shape, MULTIPLE
    inverse = np.where(known, 1.0 / np.maximum(depth, MIN_DEPTH_M), 0.0)
    count, total = (a.reshape(h // side, side, w // side, side).sum((1, 3)) for a in (known, inverse))
    if not count.any():
        return None
    filled, _ = membrane((total / np.maximum(count, 1)).astype(np.float32)[..., None], count > 0)
    return (1.0 / np.maximum(filled[..., 0], MIN_DEPTH_M)).astype(np.float32)

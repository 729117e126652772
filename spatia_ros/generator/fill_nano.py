"""What fill-nano is told of one frame: the view's image, and reference frames whole.

Reference frames come along small, with the Pluecker rays of their pixels in the target camera's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.generator.image import ViewImage, guess_depth, view_image
from spatia_ros.generator.recall import Recalled, recall
from spatia_ros.memory import Keyframe
from spatia_ros.types import Camera, Float32, Float64, UInt8, View

REFERENCE_CHANNELS = 11
"""Colour 3, log-depth 1, depth known 1, Pluecker direction 3 and moment 3."""
PACKED_REFERENCES = 2
"""References given whole; all of them are asked for recall."""
REFERENCE_SIZE = (40, 64)
"""Rows and columns a reference is shrunk to."""


@dataclass(frozen=True, slots=True)
class Condition(ViewImage):
    """One frame's condition.

    Args:
        references: float32 [K, REFERENCE_CHANNELS, 40, 64]. The rest is the view's image.
    """

    references: Float32


def condition(view: View, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]) -> Condition:
    """The condition of one frame from what memory shows and the frames that saw the same space."""
    depth = guess_depth(view)
    recalled = recall(depth, ~view.coverage, camera, T_world_cam, references)
    return assemble(view, depth, recalled, camera, T_world_cam, references)


def assemble(
    view: View, depth: Float32, recalled: Recalled, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]
) -> Condition:
    """The condition of one frame from its parts (see :func:`.image.view_image`)."""
    told = view_image(view, depth, recalled, camera, references)
    mean, scale, log_depth = told.colour_mean, told.colour_scale, told.log_depth_mean
    packed = [pack_reference(k, T_world_cam, mean, scale, log_depth) for k in references[:PACKED_REFERENCES]]
    nothing = np.zeros((1, REFERENCE_CHANNELS, *REFERENCE_SIZE), np.float32)
    return Condition(told.image, mean, scale, log_depth, told.size, np.stack(packed) if packed else nothing)


def pack_reference(reference: Keyframe, T_world_cam: Float64, mean: Float32, scale: float, log_depth: float) -> Float32:
    """A reference as float32 [REFERENCE_CHANNELS, 40, 64], rays in the target camera's frame; masked pixels are the mean.

    Pluecker rays as in the camera-controlled video literature (SpaceTimePilot, arXiv 2512.25075,
    camera condition): unit direction d and moment o x d of every pixel's ray.
    """
    rows, cols = REFERENCE_SIZE
    rgb = cv2.resize(_neutral(reference, mean), (cols, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    depth = cv2.resize(reference.surface_m, (cols, rows), interpolation=cv2.INTER_NEAREST)
    known = depth > 0
    T_cam_ref = geometry.inverse(T_world_cam) @ reference.T_world_cam
    rays = geometry.pixel_rays(reference.camera.resized(cols, rows)) @ T_cam_ref[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    moment = np.cross(np.broadcast_to(T_cam_ref[:3, 3], rays.shape), rays)
    out = np.empty((REFERENCE_CHANNELS, rows, cols), np.float32)
    out[:3] = ((rgb - mean) / scale).transpose(2, 0, 1)
    out[3] = np.where(known, np.log(np.maximum(depth, 1e-3)) - log_depth, 0.0)
    out[4] = known
    out[5:8] = rays.transpose(2, 0, 1)
    out[8:11] = moment.transpose(2, 0, 1)
    return out


def _neutral(reference: Keyframe, mean: Float32) -> UInt8:
    """A reference's colour uint8 [H, W, 3] with the mean (0..1) of the view where it is masked."""
    if reference.masked is None:
        return reference.rgb
    grey = np.clip(mean * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return np.where(reference.masked[..., None], grey, reference.rgb)

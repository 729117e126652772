"""What the generator is told: one place, shared by training and inference.

A view of memory becomes a normalised image: colour relative to what is visible in it (so a plain
white room asks for next to no change), log-depth relative to the visible depth. Holes are filled
twice by a smooth membrane: from memory alone, and from memory with what the references recall (see
:mod:`.recall`). The network adds to the second, knowing both. Reference frames come along whole,
small, with the Pluecker rays of their pixels in the target camera's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.generator.fill import membrane
from spatia_ros.generator.recall import Recalled, recall
from spatia_ros.memory import Keyframe
from spatia_ros.memory.keyframes import SILENT
from spatia_ros.types import Camera, Float32, Float64, UInt8, View

INPUT_CHANNELS = 15
"""Filled colour 3 and log-depth 1, coverage 1, sensed 1, age 1, recalled 1, distance to the known without and
with recall 2, colour filled without recall 3, pixel ray x y 2 (last)."""
REFERENCE_CHANNELS = 11
"""Colour 3, log-depth 1, depth known 1, Pluecker direction 3 and moment 3."""
PACKED_REFERENCES = 2
"""References given whole; all of them are asked for recall."""
REFERENCE_SIZE = (40, 64)
"""Rows and columns a reference is shrunk to."""
MULTIPLE = 16
"""Image sides are padded to a multiple of this."""
MIN_SCALE = 0.03
"""Smallest colour spread a view is normalised by (colours in 0..1)."""
BLIND_DEPTH_M = 2.0
"""Depth assumed where memory shows nothing at all: a room's."""
AGE_SCALE_S = 10.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One frame's condition.

    Args:
        image: float32 [INPUT_CHANNELS, H, W], H and W padded to MULTIPLE.
        references: float32 [K, REFERENCE_CHANNELS, 40, 64].
        colour_mean: float32 [3], colour_scale: float, of the visible colour in 0..1.
        log_depth_mean: float, of the visible depth in metres.
        size: rows and columns before padding.
    """

    image: Float32
    references: Float32
    colour_mean: Float32
    colour_scale: float
    log_depth_mean: float
    size: tuple[int, int]


def visible_statistics(view: View, references: Sequence[Keyframe]) -> tuple[Float32, float, float]:
    """Colour mean [3] and spread (0..1) and mean log-depth of what is visible; the references' if nothing is."""
    rgb, depth = view.rgb[view.coverage], view.depth[view.coverage]
    if len(rgb) < 64 and references:
        surface = references[0].surface_m
        rgb, depth = references[0].rgb[surface != SILENT], surface[surface > 0]
    if not len(rgb) or not len(depth):
        return np.full(3, 0.5, np.float32), 0.25, float(np.log(2.0))
    mean = rgb.mean(0, dtype=np.float64) / 255.0
    spread = np.sqrt(np.mean((rgb / 255.0 - mean) ** 2))
    return mean.astype(np.float32), max(float(spread), MIN_SCALE), float(np.log(depth).mean())


def guess_depth(view: View) -> Float32:
    """Depth [H, W] in metres everywhere: remembered, or a membrane in inverse depth, which keeps planes planes."""
    if not view.coverage.any():
        return np.full(view.depth.shape, BLIND_DEPTH_M, np.float32)
    inverse = np.where(view.coverage, 1.0 / np.maximum(view.depth, 1e-3), 0.0).astype(np.float32)
    filled, _ = membrane(inverse[..., None], view.coverage)
    return (1.0 / np.maximum(filled[..., 0], 1e-3)).astype(np.float32)


def condition(view: View, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]) -> Condition:
    """The condition of one frame from what memory shows and the frames that saw the same space."""
    depth = guess_depth(view)
    recalled = recall(depth, ~view.coverage, camera, T_world_cam, references)
    return assemble(view, depth, recalled, camera, T_world_cam, references)


def assemble(
    view: View, depth: Float32, recalled: Recalled, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]
) -> Condition:
    """The condition of one frame from its parts (training forgets some of them on purpose).

    Args:
        depth: float32 [H, W], metres, :func:`guess_depth` of the view.
        recalled: what references lend to the pixels the view does not cover.
    """
    h, w = view.depth.shape
    mean, scale, log_depth = visible_statistics(view, references)
    known = view.coverage | recalled.known
    rgb = np.where(view.coverage[..., None], view.rgb, recalled.rgb).astype(np.float32)
    seen = (rgb / np.float32(255.0) - mean) / np.float32(scale)
    plain, far = membrane(seen, view.coverage)
    filled, far_recalled = membrane(seen, known)
    image = np.zeros((INPUT_CHANNELS, -(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE), np.float32)
    image[:3, :h, :w] = filled.transpose(2, 0, 1)
    image[3, :h, :w] = np.log(depth) - np.float32(log_depth)
    image[4, :h, :w] = view.coverage
    image[5, :h, :w] = view.sensed
    image[6, :h, :w] = np.minimum(view.age_s / AGE_SCALE_S, 1.0)
    image[7, :h, :w] = recalled.known
    image[8, :h, :w] = far
    image[9, :h, :w] = far_recalled
    image[10:13, :h, :w] = plain.transpose(2, 0, 1)
    image[13, :h, :w] = (np.arange(w, dtype=np.float32) + np.float32(0.5 - camera.cx)) / np.float32(camera.fx)
    image[14, :h, :w] = ((np.arange(h, dtype=np.float32) + np.float32(0.5 - camera.cy)) / np.float32(camera.fy))[:, None]
    # Padding repeats the border, so that the network sees no edge that is not there.
    image[:, h:, :w] = image[:, h - 1 : h, :w]
    image[:, :, w:] = image[:, :, w - 1 : w]
    packed = [pack_reference(k, T_world_cam, mean, scale, log_depth) for k in references[:PACKED_REFERENCES]]
    nothing = np.zeros((1, REFERENCE_CHANNELS, *REFERENCE_SIZE), np.float32)
    return Condition(image, np.stack(packed) if packed else nothing, mean, scale, log_depth, (h, w))


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

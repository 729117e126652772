"""One view of memory as the network's image: normalised by itself, its holes filled without learning.

Colour is relative to what is visible in the view (so a plain white room asks for next to no
change), log-depth relative to the visible depth. Holes are filled twice by a smooth membrane: from
memory alone, and from memory with what the references recall (see :mod:`.recall`) and with what
memory doubts to be in sight. The network adds to the second, knowing both. Training and inference
share this very code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros.generator.fill import membrane
from spatia_ros.generator.planes import carried_on
from spatia_ros.generator.recall import Recalled, recall
from spatia_ros.memory import Keyframe
from spatia_ros.memory.keyframes import SILENT
from spatia_ros.types import Bool, Camera, Float32, Float64, SpatiaError, View

INPUT_CHANNELS = 15
"""Filled colour 3 and log-depth 1, coverage 1, sensed 1, age 1, recalled 1, distance to the known without and
with recall 2, colour filled without recall 3, pixel ray x y 2 (last)."""
MULTIPLE = 16
"""Image sides are padded to a multiple of this; a latent stands for so many pixels a side."""
MIN_SCALE = 0.03
"""Smallest colour spread a view is normalised by (colours in 0..1)."""
BLIND_DEPTH_M = 2.0
"""Depth assumed where memory shows nothing at all: a room's."""
NEARER = np.float32(2.0)
"""Planes bring a surface at most so many times nearer than the membrane has it; in recordings they ask for less than 1.5."""
THIN = np.float32(0.2)
"""How far from the known (see :func:`.fill.membrane`) planes count fully. A thin hole mostly lies beside what stands before it,
and shows what is behind: on ``fr1_xyz``, between its frames, planes in such holes cost depth a seventh."""
AGE_SCALE_S = 10.0
DOUBTED_DEPTH, DOUBTED_COLOUR = np.float32(10.0), np.float32(3.0)
"""Trust in the depth and the colour of surfaces that memory doubts to be in sight (see :func:`.fill.membrane`). Measured on
procedural scenes and ``icl_livingroom``: from 3 on it makes little difference."""


@dataclass(frozen=True, slots=True)
class ViewImage:
    """One view as the network sees it, and what undoes its normalisation.

    Args:
        image: float32 [INPUT_CHANNELS, H, W], H and W padded to MULTIPLE.
        colour_mean: float32 [3], colour_scale: float, of the visible colour in 0..1.
        log_depth_mean: float, of the visible depth in metres.
        size: rows and columns before padding.
        settled: bool [*size], pixels whose fill no network is to change: surfaces that memory holds; None: none.
    """

    image: Float32
    colour_mean: Float32
    colour_scale: float
    log_depth_mean: float
    size: tuple[int, int]
    settled: Bool | None = None


def visible_statistics(view: View, references: Sequence[Keyframe]) -> tuple[Float32, float, float]:
    """Colour mean [3] and spread (0..1) and mean log-depth of what is visible; the references' if nothing is."""
    rgb, shown, depth = view.rgb, view.coverage, view.depth[view.coverage]
    if len(depth) < 64 and references:
        surface = references[0].surface_m
        rgb, shown, depth = references[0].rgb, surface != SILENT, surface[surface > 0]
    if not shown.any() or not len(depth):
        return np.full(3, 0.5, np.float32), 0.25, float(np.log(2.0))
    mean, deviation = cv2.meanStdDev(rgb, mask=shown.view(np.uint8))
    spread = np.sqrt(np.mean((np.asarray(deviation, np.float64) / 255.0) ** 2))
    return (mean[:, 0] / 255.0).astype(np.float32), max(float(spread), MIN_SCALE), float(np.log(depth).mean())


def guess_depth(view: View) -> Float32:
    """Depth [H, W] in metres everywhere: remembered, or a membrane in inverse depth, or, where they come nearer than it, planes.

    What memory doubts to be in sight draws the membrane towards it: something unseen may stand before it; mostly nothing does.
    Planes that come nearer are floors, tables and near walls that go on past the rim; those that recede mostly meet something.
    """
    depth, trust = view.depth, None
    if view.doubted is not None:
        depth = np.where(view.coverage, depth, view.doubted.depth)
        trust = DOUBTED_DEPTH * (view.doubted.there & ~view.coverage)
    if not depth.any():
        return np.full(view.depth.shape, BLIND_DEPTH_M, np.float32)
    inverse = np.where(depth > 0, 1.0 / np.maximum(depth, 1e-3), 0.0).astype(np.float32)
    filled, far = membrane(inverse[..., None], view.coverage, trust)
    smooth = filled[..., 0]
    planes = np.clip(carried_on(inverse, view.coverage, trust), smooth, NEARER * smooth)
    nearer = smooth + np.minimum(far * np.float32(1.0 / THIN), np.float32(1.0)) * (planes - smooth)
    return (1.0 / np.maximum(np.where(depth > 0, smooth, nearer), 1e-3)).astype(np.float32)


def lent_to(
    view: View, depth: Float32, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]
) -> Recalled:
    """Colours for the pixels a view does not cover: of surfaces it doubts to be in sight, elsewhere what references recall.

    Args:
        depth: float32 [H, W], metres, :func:`guess_depth` of the view.
    """
    if view.doubted is None:
        return recall(depth, ~view.coverage, camera, T_world_cam, references)
    doubted = view.doubted.there & ~view.coverage
    recalled = recall(depth, ~view.coverage & ~doubted, camera, T_world_cam, references)
    rgb = np.where(doubted[..., None], view.doubted.rgb, recalled.rgb)
    return Recalled(rgb, np.where(doubted, DOUBTED_COLOUR, recalled.trust))


def view_image(view: View, depth: Float32, recalled: Recalled, camera: Camera, references: Sequence[Keyframe]) -> ViewImage:
    """The image of one view from its parts (training forgets some of them on purpose).

    Args:
        depth: float32 [H, W], metres, :func:`guess_depth` of the view.
        recalled: what is lent to the pixels the view does not cover (:func:`lent_to`).
        references: stand in for statistics of a view that shows next to nothing.

    Raises:
        SpatiaError: when the view holds a number that is not finite.
    """
    h, w = view.depth.shape
    mean, scale, log_depth = visible_statistics(view, references)
    rgb = np.where(view.coverage[..., None], view.rgb, recalled.rgb).astype(np.float32)
    seen = (rgb / np.float32(255.0) - mean) / np.float32(scale)
    plain, far = membrane(seen, view.coverage)
    filled, far_recalled = membrane(seen, view.coverage, recalled.trust)
    image = np.zeros((INPUT_CHANNELS, -(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE), np.float32)
    image[:3, :h, :w] = filled.transpose(2, 0, 1)
    image[3, :h, :w] = np.log(depth) - np.float32(log_depth)
    image[4, :h, :w] = view.coverage
    image[5, :h, :w] = view.sensed
    image[6, :h, :w] = np.clip(view.age_s / AGE_SCALE_S, 0.0, 1.0)
    image[7, :h, :w] = np.minimum(recalled.trust, 1.0)
    image[8, :h, :w] = far
    image[9, :h, :w] = far_recalled
    image[10:13, :h, :w] = plain.transpose(2, 0, 1)
    image[13, :h, :w] = (np.arange(w, dtype=np.float32) + np.float32(0.5 - camera.cx)) / np.float32(camera.fx)
    image[14, :h, :w] = ((np.arange(h, dtype=np.float32) + np.float32(0.5 - camera.cy)) / np.float32(camera.fy))[:, None]
    # Padding repeats the border, so that the network sees no edge that is not there.
    image[:, h:, :w] = image[:, h - 1 : h, :w]
    image[:, :, w:] = image[:, :, w - 1 : w]
    check_finite("the image of a view", image)
    settled = None if view.doubted is None else view.doubted.there & ~view.coverage
    return ViewImage(image, mean, scale, log_depth, (h, w), settled)


def check_finite(name: str, array: Float32) -> None:
    """Raise :class:`SpatiaError` when an array holds NaN or infinity."""
    if not np.isfinite(array).all():
        raise SpatiaError(f"{name}: expected finite numbers, got {np.size(array) - int(np.isfinite(array).sum())} that are not")

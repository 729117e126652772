"""A memory from one photograph: its pixels where an estimator says they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from spatia_ros.config import MemoryConfig
from spatia_ros.geometry import pose
from spatia_ros.memory import Memory
from spatia_ros.seed.depth import DepthEstimator, Floor, Known, to_metres
from spatia_ros.seed.seeded import Report, Seeded, silent, timed
from spatia_ros.types import MAX_IMAGE_SIDE_PX, Camera, Float64, Frame, SpatiaError, UInt8

SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_BYTES = 1 << 28
LONGEST_PX = 1280
"""Larger photographs are made smaller: finer than this no estimator sees."""
ASSUMED_FOV_RAD = 1.13
"""Of a photograph that does not say: 65 degrees across its longer side, a telephone's main camera."""
FULL_FRAME_MM = 36.0
_FOCAL_35MM, _EXIF_IFD = 0xA405, 0x8769


def read_photo(path: Path | str, fov_rad: float = 0.0) -> tuple[UInt8, Camera | None]:
    """A photograph uint8 [H, W, 3], turned upright, at most 1280 px long; and its camera.

    Args:
        fov_rad: horizontal field of view; 0: what the EXIF 35 mm focal length tells, and None when it does not.

    Raises:
        SpatiaError: when the file is missing, too large, or no photograph.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise SpatiaError(f"photo: expected a JPEG or PNG of at most {MAX_BYTES} bytes, got {path}")
    try:
        with Image.open(path) as image:
            if image.format not in ("JPEG", "PNG") or max(image.size) > 4 * MAX_IMAGE_SIDE_PX or min(image.size) < 32:
                raise SpatiaError(f"photo: {path}: expected a JPEG or PNG of at least 32 px, got {image.format} {image.size}")
            focal_35mm = float(image.getexif().get_ifd(_EXIF_IFD).get(_FOCAL_35MM, 0) or 0)
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except SpatiaError:
        raise
    except Exception as error:
        # The decoder raises whatever its parts raise on a malformed file.
        raise SpatiaError(f"photo: {path}: expected a complete JPEG or PNG, got {type(error).__name__}: {error}") from error
    upright.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
    rgb = np.asarray(upright)
    height, width = rgb.shape[:2]
    if fov_rad:
        if not 0.05 < fov_rad < 3.0:
            raise SpatiaError(f"photo: field of view: expected 0.05..3 radians, got {fov_rad}")
        return rgb, Camera.from_fov(width, height, fov_rad)
    if focal_35mm > 1:
        f = focal_35mm / FULL_FRAME_MM * max(width, height)
        return rgb, Camera(width, height, f, f, width / 2, height / 2)
    return rgb, None


def seed_photo(
    path: Path | str, config: MemoryConfig, estimator: DepthEstimator, fov_rad: float = 0.0, camera_height_m: float = 0.0,
    known: Sequence[Known] = (), report: Report = silent,
) -> Seeded:
    """The place a photograph shows, as far as it shows it.

    The world's z is up and its origin on the floor below the camera, where a floor is found; else the camera is
    taken as level, at its height above the origin. ``known`` pixels are of the photograph as the file has it, upright.

    Raises:
        SpatiaError: when the photograph cannot be read, or its scale cannot be told.
    """
    path = Path(path)
    rgb, camera = read_photo(path, fov_rad)
    report(f"asking {estimator.name}", 0.0)
    estimate = estimator.estimate(rgb, camera)
    story = [f"one photograph, {rgb.shape[1]}x{rgb.shape[0]} px, its depth by {estimator.name}: estimated, not measured"]
    camera = camera or estimate.camera
    if camera is None:
        longer = max(rgb.shape[:2])
        f = longer / (2 * np.tan(ASSUMED_FOV_RAD / 2))
        camera = Camera(rgb.shape[1], rgb.shape[0], float(f), float(f), rgb.shape[1] / 2, rgb.shape[0] / 2)
        assumed = f"{np.degrees(ASSUMED_FOV_RAD):.0f} degrees across the longer side"
        story.append(f"its field of view is not known: {assumed} are assumed")
    shrunk = _shrunk(path, rgb)
    scaled = to_metres(estimate, camera, camera_height_m, [Known(k.u * shrunk, k.v * shrunk, k.depth_m) for k in known])
    T_world_cam = upright_pose(scaled.floor, camera_height_m)
    far = float(np.percentile(scaled.depth[scaled.depth > 0], 98)) if scaled.depth.any() else 1.0
    range_m = float(np.clip(1.02 * far, config.max_range_m, 1000.0))
    memory = Memory(config.model_copy(update={"max_range_m": range_m}))
    counts = memory.integrate(Frame(rgb, scaled.depth, camera, T_world_cam, 0))
    if not len(memory):
        raise SpatiaError(f"photo: {path}: expected depth of one surface somewhere, got none fit for memory")
    report("done", 1.0)
    figures = {"added": counts["added"], "kind": estimate.kind, "farthest_m": round(far, 3), "fx_px": round(camera.fx, 1)}
    return Seeded(path.stem, memory, camera, T_world_cam, timed(T_world_cam[None]), story + scaled.story, figures)


def _shrunk(path: Path, rgb: UInt8) -> float:
    """How many pixels of ``rgb`` one pixel of the file is."""
    with Image.open(path) as image:
        return max(rgb.shape[:2]) / max(image.size)


def upright_pose(floor: Floor | None, camera_height_m: float) -> Float64:
    """``T_world_cam`` with z up: level without a floor, else with the floor as z = 0."""
    level = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    if floor is None:
        return pose(level, np.array([0.0, 0.0, camera_height_m]))
    up = -floor.w / np.linalg.norm(floor.w)  # in camera axes, away from the floor
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    forward /= np.linalg.norm(forward)
    R_world_cam = np.stack([forward, np.cross(up, forward), up])
    return pose(R_world_cam, np.array([0.0, 0.0, 1.0 / float(np.linalg.norm(floor.w))]))


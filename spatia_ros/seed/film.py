"""A film without depth: images or a video, given depth by an estimator so that one frame agrees with the next.

Estimators see one picture at a time, and most are right only up to a factor, or a factor and an offset of 1 / depth, other in
every frame. The first frame is brought to metres as a photograph is (see :mod:`.depth`); every other is fitted to the one
before it, pixel by pixel: between neighbouring frames of a film most pixels show nearly the same place.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import numpy as np

from spatia_ros.seed.depth import MAX_DEPTH_M, MIN_DEPTH_M, DepthEstimator, Estimate, to_metres
from spatia_ros.seed.photo import ASSUMED_FOV_RAD, read_photo
from spatia_ros.seed.seeded import Report, silent
from spatia_ros.sequence import Sequence
from spatia_ros.types import Bool, Camera, Float32, Float64, SpatiaError, UInt8

IMAGES = (".png", ".jpg", ".jpeg")
VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi")
RATE_HZ = 30.0
"""Of a folder of images, which does not say when they were taken."""
MAX_FRAMES, MAX_BYTES = 20_000, 4 << 30
"""Frames of a film, and bytes of the depth that is kept of it."""
FIT_ROUNDS, FIT_POINTS = 6, 8000
FIT_SHARE, FIT_OFF = 0.6, 0.01
"""Share of the pixels that agree best, and how far off (of the median) any may be: others show something else than before."""


def is_film(path: Path) -> bool:
    """Whether a path is a video, or a folder of images without depth."""
    return path.suffix.lower() in VIDEOS or (path.is_dir() and not (path / "depth").is_dir() and bool(_images(path)))


def read_film(path: Path | str, fov_rad: float = 0.0) -> Sequence:
    """A film as an unposed recording without depth (all 0).

    Args:
        path: a video, or a folder of images in order of their names (or its ``rgb`` folder).
        fov_rad: horizontal field of view; 0: what the first image's EXIF tells, or 65 degrees.

    Raises:
        SpatiaError: when there is no film, it is too long, or its frames differ in size.
    """
    path = Path(path)
    if path.suffix.lower() in VIDEOS and path.is_file():
        shots, stamps = _video(path)
        camera, frames = None, partial(_shot, shots)
    else:
        files = _images(path)
        if not files:
            raise SpatiaError(f"film: expected a video ({', '.join(VIDEOS)}) or a folder of images, got {path}")
        stamps = np.round(np.arange(len(files)) * 1e9 / RATE_HZ).astype(np.int64)
        camera = read_photo(files[0], fov_rad)[1]
        frames = partial(_photo, files)
    if not 1 <= len(stamps) <= MAX_FRAMES:
        raise SpatiaError(f"film {path}: expected 1..{MAX_FRAMES} frames, got {len(stamps)}")
    height, width = frames(0).shape[:2]
    camera = Camera.from_fov(width, height, fov_rad) if fov_rad else camera or Camera.from_fov(width, height, ASSUMED_FOV_RAD)

    def load(index: int) -> tuple[UInt8, Float32]:
        rgb = frames(index)
        if rgb.shape != (height, width, 3):
            raise SpatiaError(f"film {path}: expected frames of {width}x{height}, got {rgb.shape[1]}x{rgb.shape[0]} in {index}")
        return rgb, np.zeros((height, width), np.float32)

    return Sequence.unposed(path.stem, camera, stamps, load, {})


def _shot(shots: list[UInt8], index: int) -> UInt8:
    return shots[index]


def _photo(files: list[Path], index: int) -> UInt8:
    return read_photo(files[index])[0]


def _images(folder: Path) -> list[Path]:
    inner = folder / "rgb" if (folder / "rgb").is_dir() else folder
    return sorted(p for p in inner.iterdir() if p.suffix.lower() in IMAGES) if inner.is_dir() else []


def _video(path: Path) -> tuple[list[UInt8], np.ndarray]:
    """All frames of a video, and their times in ns from 0."""
    shots, times = list[UInt8](), list[float]()
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                shots.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                times.append(float(frame.time if frame.time is not None else len(times) / RATE_HZ))
                if len(shots) > MAX_FRAMES or len(shots) * shots[0].nbytes > MAX_BYTES:
                    raise SpatiaError(f"film {path}: expected at most {MAX_FRAMES} frames of {MAX_BYTES} bytes, got more")
    except (av.FFmpegError, IndexError) as error:
        raise SpatiaError(f"film: expected a video, {path} is none that can be read: {error}") from None
    if not shots:
        raise SpatiaError(f"film {path}: expected at least one frame, got none")
    stamps = np.round((np.array(times) - times[0]) * 1e9).astype(np.int64)
    return shots, np.maximum.accumulate(stamps + np.arange(len(stamps)) * (np.diff(stamps, prepend=-1) <= 0))


def with_depth(
    sequence: Sequence, estimator: DepthEstimator, camera_height_m: float = 0.0, report: Report = silent
) -> Sequence:
    """A recording with an estimator's depth in place of its own.

    Args:
        camera_height_m: of the first camera above the floor in its picture, where the estimator gives no metres.

    Raises:
        SpatiaError: when the first frame cannot be brought to metres, or the film is too long to keep its depth.
    """
    n, c = len(sequence), sequence.camera
    if n * c.width * c.height * 2 > MAX_BYTES:
        raise SpatiaError(f"film {sequence.name}: expected at most {MAX_BYTES} bytes of depth, got {n} of {c.width}x{c.height}")
    kept: list[np.ndarray] = []
    before: Float32 | None = None
    for index in range(n):
        estimate = estimator.estimate(sequence.images(index)[0], c)
        before = to_metres(estimate, c, camera_height_m).depth if before is None else fitted(estimate, before)
        kept.append(before.astype(np.float16))
        report("estimating depth", (index + 1) / n)

    def load(index: int) -> tuple[UInt8, Float32]:
        return sequence.load(index)[0], kept[index].astype(np.float32)

    return replace(sequence, load=load)


def fitted(estimate: Estimate, before: Float32) -> Float32:
    """An estimate as depth float32 [H, W], m, fitted to the depth of the frame before; metres are taken as they are."""
    values = np.where(np.isfinite(estimate.values), estimate.values, 0).astype(np.float64)
    if estimate.kind == "metric":
        q = np.where(values > 0, 1.0 / np.maximum(values, 1e-9), 0.0)
    else:
        p = values if estimate.kind == "inverse" else np.where(values > 0, 1.0 / np.maximum(values, 1e-9), 0.0)
        a, b = _fit(p, before, offset=estimate.kind == "inverse")
        q = np.where(values > 0, a * p + b, 0.0)
    depth = np.where(q > 1.0 / MAX_DEPTH_M, 1.0 / np.maximum(q, 1.0 / MAX_DEPTH_M), 0.0)
    return np.where(depth >= MIN_DEPTH_M, depth, 0.0).astype(np.float32)


def _fit(p: Float64, before: Float32, offset: bool) -> tuple[float, float]:
    """Factor and offset that bring p [H, W] to 1 / depth of the frame before, by least squares over those that agree."""
    known = (p > 0) & (before > 0)
    if not known.any():
        return 1.0, 0.0
    x, y = p[known], 1.0 / before[known].astype(np.float64)
    every = max(1, len(x) // FIT_POINTS)
    x, y = x[::every], y[::every]
    a, b = float(np.median(y / x)), 0.0
    near: Bool = np.ones(len(x), bool)
    for _ in range(FIT_ROUNDS):
        if offset:
            rows = np.column_stack([x[near], np.ones(near.sum())])
            a, b = (float(v) for v in np.linalg.lstsq(rows, y[near], rcond=None)[0])
        else:
            a = float((x[near] @ y[near]) / (x[near] @ x[near]))
        off = np.abs(a * x + b - y)
        near = np.asarray(off <= max(float(np.quantile(off, FIT_SHARE)), FIT_OFF * float(np.median(y))))
    return a, b

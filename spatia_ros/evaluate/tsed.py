"""TSED: do generated frames agree on the geometry their cameras were told?

Thresholded symmetric epipolar distance (Yu et al., ICCV 2023): of all pairs of frames, the share that have enough SIFT matches
and whose median symmetric epipolar distance, under the commanded poses, is below a threshold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros import geometry
from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.camera import features, matched
from spatia_ros.evaluate.flights import between_seeds
from spatia_ros.evaluate.novel_view import known
from spatia_ros.evaluate.prepare import DepthDelay
from spatia_ros.record.files import write_json, write_text
from spatia_ros.sequence import Sequence
from spatia_ros.types import Camera, Float64, UInt8

LEAST_MATCHES = 10
THRESHOLDS_PX = (2, 4, 8)
GAPS = (1, 4)
"""Frames between the two of a pair."""
STANDING_M = 1e-4
"""A camera that only turns has no epipolar lines: a match is then held against where its pixel must be."""


def fundamental(camera: Camera, T_world_a: Float64, T_world_b: Float64) -> Float64:
    """F [3, 3] with x_b^T F x_a = 0 for pixels of one camera model at two poses: K^-T [t]x R K^-1."""
    T_b_a = geometry.inverse(T_world_b) @ T_world_a
    x, y, z = T_b_a[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    K_inverse = np.linalg.inv(camera.K)
    return np.asarray(K_inverse.T @ cross @ T_b_a[:3, :3] @ K_inverse)


def symmetric_distances(F: Float64, a: Float64, b: Float64) -> Float64:
    """Mean distance in px of matched pixels [M, 2] to each other's epipolar lines: [M]."""
    x_a, x_b = (np.column_stack([p, np.ones(len(p))]) for p in (a, b))
    in_b, in_a = x_a @ F.T, x_b @ F
    off = np.abs((x_b * in_b).sum(1))
    return np.asarray(0.5 * (off / np.linalg.norm(in_b[:, :2], axis=1) + off / np.linalg.norm(in_a[:, :2], axis=1)))


def tsed(pictures: list[UInt8], camera: Camera, T_world_cam: Float64) -> dict[str, Any]:
    """The figures of a flight: by gap and threshold, and the share of pairs with enough matches."""
    seen = [features(rgb) for rgb in pictures]
    figures: dict[str, Any] = {}
    for gap in GAPS:
        medians = [_median(seen[i], seen[i + gap], camera, T_world_cam[i], T_world_cam[i + gap]) for i in range(len(seen) - gap)]
        got = np.array([m for m in medians if m is not None])
        shares = {f"{limit}px": known(float((got < limit).sum() / max(len(medians), 1))) for limit in THRESHOLDS_PX}
        enough = known(len(got) / max(len(medians), 1))
        figures[f"gap_{gap}"] = {"pairs": len(medians), "enough_matches": enough, **shares}
    return figures


def _median(a: tuple, b: tuple, camera: Camera, T_a: Float64, T_b: Float64) -> float | None:
    """Median symmetric epipolar distance of a pair, px; None with too few matches."""
    pairs = matched(a[1], b[1])
    if len(pairs) < LEAST_MATCHES:
        return None
    at_a, at_b = a[0][pairs[:, 0]], b[0][pairs[:, 1]]
    if np.linalg.norm(T_a[:3, 3] - T_b[:3, 3]) < STANDING_M:
        return float(np.median(np.linalg.norm(_turned(at_a, camera, T_a, T_b) - at_b, axis=1)))
    return float(np.median(symmetric_distances(fundamental(camera, T_a, T_b), at_a, at_b)))


def _turned(pixels: Float64, camera: Camera, T_a: Float64, T_b: Float64) -> Float64:
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ (camera.K @ T_b[:3, :3].T @ T_a[:3, :3] @ np.linalg.inv(camera.K)).T
    return np.asarray(rays[:, :2] / rays[:, 2:])


def evaluate_tsed(sequence: Sequence, config: WorldConfig, out_dir: Path, depth_delay: DepthDelay = "auto") -> dict[str, Any]:
    """Fly along a recording of which memory has every 8th frame, and hold pairs of generated frames against each other.

    The same is done with the recorded frames themselves and without memory. Writes ``figures.json`` and ``config.yaml``.

    Returns:
        The figures, as docs/evaluation.md names them.

    Raises:
        SpatiaError: when the recording is too short.
    """
    outing = between_seeds(sequence, config, depth_delay)
    by_name = {name: tsed(frames, outing.camera, outing.T_world_cam) for name, frames in outing.rgb.items()}
    figures: dict[str, Any] = {"sequence": sequence.name, "generator": config.generator.name, **by_name["ours"]}
    figures |= {name: by_name[name] for name in ("recorded", "no_memory")}
    figures |= {"least_matches": LEAST_MATCHES, "matcher": "sift", "depth_delay_s": round(outing.depth_delay_s, 4)}
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    return figures

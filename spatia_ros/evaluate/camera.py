"""Camera error: is a generated frame seen from where the camera was told to be?

Each frame's pose is found from the frame alone: SIFT features matched to those of the measured frames memory was made from,
whose depth makes them points in space, then PnP. No pose of a generated frame is taken from the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.flights import between_seeds
from spatia_ros.evaluate.measures import RATIO
from spatia_ros.evaluate.novel_view import known
from spatia_ros.evaluate.prepare import DepthDelay
from spatia_ros.record.files import write_json, write_text
from spatia_ros.sequence import Sequence as Recording
from spatia_ros.types import Camera, Float32, Float64, Frame, UInt8

SEEDS = 12
"""Measured frames features are taken from, spread evenly."""
LEAST_INLIERS = 20
REPROJECTION_PX = 3.0
FAINTEST = 0.02
"""Contrast of the faintest features: half of OpenCV's default, as pictures here are small."""
MATCHED_SEEDS = 4
"""Seeds whose matches a pose is found from: those with most of them."""
BASELINE_M = 0.1
"""Directions of motion are compared between frames at least this far apart."""
RTA_DEG = (15.0, 30.0)


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Features of one measured frame that have depth.

    Args:
        descriptors: float32 [N, 128]. points: float64 [N, 3], world, metres.
    """

    descriptors: Float32
    points: Float64


def landmarks(frame: Frame) -> Landmarks:
    """The features of a measured frame, as points in the world."""
    pixels, descriptors = features(frame.rgb)
    camera = frame.camera
    columns, rows = np.floor(pixels).astype(int).T
    depth = frame.depth[np.clip(rows, 0, camera.height - 1), np.clip(columns, 0, camera.width - 1)].astype(np.float64)
    rays = np.column_stack([(pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy), np.ones(len(pixels))])
    there = depth > 0
    points = (rays * depth[:, None])[there] @ frame.T_world_cam[:3, :3].T + frame.T_world_cam[:3, 3]
    return Landmarks(descriptors[there], points)


def features(rgb: UInt8) -> tuple[Float64, Float32]:
    """SIFT features of a picture: positions [N, 2] in px with centres at +0.5, descriptors [N, 128]."""
    found, descriptors = cv2.SIFT.create(contrastThreshold=FAINTEST).detectAndCompute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None)
    if descriptors is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    return np.array([k.pt for k in found]) + 0.5, np.asarray(descriptors, np.float32)


def matched(a: Float32, b: Float32) -> np.ndarray:
    """Pairs [M, 2] of rows of two sets of descriptors that pass Lowe's ratio test."""
    if not len(a) or len(b) < 2:
        return np.zeros((0, 2), int)
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(a, b, 2)
    return np.array([(m.queryIdx, m.trainIdx) for m, second in pairs if m.distance < RATIO * second.distance], int).reshape(-1, 2)


def find_pose(
    rgb: UInt8, camera: Camera, seeds: Sequence[Landmarks], most_seeds: int = MATCHED_SEEDS, within_px: float = REPROJECTION_PX
) -> Float64 | None:
    """``T_world_cam`` of a picture by its features alone; None where too few agree on one.

    Args:
        most_seeds: found from the matches with so many seeds, those with most of them. within_px: of where it says they are.
    """
    pixels, descriptors = features(rgb)
    pairs = [(seed, matched(descriptors, seed.descriptors)) for seed in seeds]
    best = sorted(pairs, key=lambda pair: -len(pair[1]))[:most_seeds]
    at = np.concatenate([pixels[m[:, 0]] for _, m in best]) if best else np.zeros((0, 2))
    points = np.concatenate([seed.points[m[:, 1]] for seed, m in best]) if best else np.zeros((0, 3))
    if len(at) < LEAST_INLIERS:
        return None
    cv2.setRNGSeed(0)  # RANSAC draws from OpenCV's own generator
    found, r, t, inliers = cv2.solvePnPRansac(
        points, at, camera.K, None, iterationsCount=500, reprojectionError=within_px, flags=cv2.SOLVEPNP_AP3P
    )
    if not found or inliers is None or len(inliers) < LEAST_INLIERS:
        return None
    chosen = inliers.ravel()
    r, t = cv2.solvePnPRefineLM(points[chosen], at[chosen], camera.K, None, r, t)
    return geometry.inverse(geometry.pose(np.asarray(cv2.Rodrigues(r)[0], np.float64), np.asarray(t, np.float64).ravel()))


def errors(found: Sequence[Float64 | None], commanded: Float64) -> dict[str, Any]:
    """The figures of poses found beside those commanded [N, 4, 4]; a frame whose pose is not found counts as missed.

    Rotation (180 / pi) arccos((tr(R^T R~) - 1) / 2), translation |t - t~| in metres (nothing is scaled: memory is metric),
    WorldScore's camera control sqrt((1 - clip(e_R / 15)) (1 - clip(e_t / 0.5))), and the share of pairs of frames whose direction
    of motion is within 15 and 30 degrees (RTA).
    """
    there = [i for i, T in enumerate(found) if T is not None]
    poses = {i: np.asarray(found[i]) for i in there}
    turned = np.array([geometry.rotation_error_deg(poses[i][:3, :3], commanded[i][:3, :3]) for i in there])
    moved = np.array([np.linalg.norm(poses[i][:3, 3] - commanded[i][:3, 3]) for i in there])
    control = np.sqrt((1 - np.clip(turned / 15.0, 0, 1)) * (1 - np.clip(moved / 0.5, 0, 1)))
    angles = _directions(poses, commanded)
    figures: dict[str, Any] = {"frames": len(found), "estimated": known(len(there) / max(len(found), 1))}
    for name, values in (("rot_deg", turned), ("trans_m", moved)):
        figures |= {name: _mean(values), f"{name}_median": known(float(np.median(values))) if len(values) else None}
    figures |= {f"rta_{limit:.0f}": _share(angles, limit) for limit in RTA_DEG}
    return figures | {"camera_control": known(float(control.sum() / max(len(found), 1)))}


def _directions(poses: dict[int, Float64], commanded: Float64) -> Float64:
    """Degrees between found and commanded direction of motion, of every pair of frames apart; 180 where a pose is not known."""
    angles = []
    for i in range(len(commanded)):
        for j in range(i + 1, len(commanded)):
            wanted = _seen_motion(commanded[i], commanded[j])
            if np.linalg.norm(wanted) < BASELINE_M:
                continue
            if i not in poses or j not in poses:
                angles.append(180.0)
                continue
            got = _seen_motion(poses[i], poses[j])
            cosine = got @ wanted / max(float(np.linalg.norm(got) * np.linalg.norm(wanted)), 1e-12)
            angles.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    return np.array(angles)


def _seen_motion(T_a: Float64, T_b: Float64) -> Float64:
    """Where camera b is, in camera a's axes."""
    return np.asarray(T_a[:3, :3].T @ (T_b[:3, 3] - T_a[:3, 3]))


def _share(angles: Float64, limit: float) -> float | None:
    return known(float((angles < limit).mean())) if len(angles) else None


def _mean(values: Float64) -> float | None:
    return known(float(values.mean())) if len(values) else None


def evaluate_camera(sequence: Recording, config: WorldConfig, out_dir: Path, depth_delay: DepthDelay = "auto") -> dict[str, Any]:
    """Fly along a recording of which memory has every 8th frame, and find out where each generated frame was seen from.

    The same is done with the recorded frames themselves (the floor of the method) and without memory. Writes ``figures.json``,
    ``poses.json`` and ``config.yaml`` to ``out_dir``.

    Returns:
        The figures, as docs/evaluation.md names them.

    Raises:
        SpatiaError: when the recording is too short.
    """
    outing = between_seeds(sequence, config, depth_delay)
    chosen = np.unique(np.linspace(0, len(outing.seeds) - 1, SEEDS).round().astype(int))
    seeds = [landmarks(outing.seeds[i]) for i in chosen]
    found = {name: [find_pose(rgb, outing.camera, seeds) for rgb in frames] for name, frames in outing.rgb.items()}
    figures: dict[str, Any] = {"sequence": sequence.name, "generator": config.generator.name}
    figures |= errors(found["ours"], outing.T_world_cam)
    figures |= {name: errors(found[name], outing.T_world_cam) for name in ("recorded", "no_memory")}
    figures |= {"method": "sift + pnp against the measured frames", "depth_delay_s": round(outing.depth_delay_s, 4)}
    write_json(out_dir / "figures.json", figures)
    listed = {name: [None if T is None else T.tolist() for T in poses] for name, poses in found.items()}
    write_json(out_dir / "poses.json", {"commanded": outing.T_world_cam.tolist(), **listed})
    write_text(out_dir / "config.yaml", dump(config))
    return figures

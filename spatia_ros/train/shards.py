"""Pairs on disk: numbered shards, each written at once and whole, so that building can resume."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from spatia_ros.generator.condition import PACKED_REFERENCES, REFERENCE_SIZE
from spatia_ros.generator.recall import Recalled
from spatia_ros.memory import Keyframe
from spatia_ros.train.pairs import Pair
from spatia_ros.types import Camera, Frame, SpatiaError, View

MAX_SHARD_BYTES = 1 << 31
AGE_STEP_S = 0.1


def shard_path(folder: Path, source: str, number: int) -> Path:
    """``folder/source-00012.npz``."""
    return folder / f"{source}-{number:05d}.npz"


def _camera_row(camera: Camera) -> list[float]:
    return [camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy]


def _camera(row: np.ndarray) -> Camera:
    return Camera(int(row[0]), int(row[1]), *(float(v) for v in row[2:]))


def write_shard(path: Path, pairs: Sequence[Pair]) -> None:
    """Write pairs of one image size to a shard, all or nothing."""
    (rows, cols), n, references = REFERENCE_SIZE, len(pairs), PACKED_REFERENCES
    ref_rgb = np.zeros((n, references, rows, cols, 3), np.uint8)
    ref_depth = np.zeros((n, references, rows, cols), np.float16)
    ref_pose = np.tile(np.eye(4), (n, references, 1, 1))
    ref_camera = np.zeros((n, references, 6))
    for i, pair in enumerate(pairs):
        for k, reference in enumerate(pair.references):
            ref_rgb[i, k], ref_depth[i, k], ref_pose[i, k] = reference.rgb, reference.depth, reference.T_world_cam
            ref_camera[i, k] = _camera_row(reference.camera)
    fields = {
        "view_rgb": np.stack([p.view.rgb for p in pairs]),
        "view_depth": np.stack([p.view.depth for p in pairs]).astype(np.float16),
        "view_sensed": np.stack([p.view.sensed > 0.5 for p in pairs]),
        "view_age": np.stack([np.clip(p.view.age_s / AGE_STEP_S, 0, 255) for p in pairs]).astype(np.uint8),
        "recalled_rgb": np.stack([p.recalled.rgb for p in pairs]),
        "recalled_trust": np.stack([np.ceil(p.recalled.trust * 255.0) for p in pairs]).astype(np.uint8),
        "target_rgb": np.stack([p.target.rgb for p in pairs]),
        "target_depth": np.stack([p.target.depth for p in pairs]).astype(np.float16),
        "camera": np.array([_camera_row(p.target.camera) for p in pairs]),
        "pose": np.stack([p.target.T_world_cam for p in pairs]),
        "ref_rgb": ref_rgb, "ref_depth": ref_depth, "ref_pose": ref_pose, "ref_camera": ref_camera,
        "ref_count": np.array([len(p.references) for p in pairs]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **fields)
    os.replace(partial, path)


def read_shard(path: Path) -> list[Pair]:
    """The pairs of a shard.

    Raises:
        SpatiaError: when the file is not a shard.
    """
    if path.stat().st_size > MAX_SHARD_BYTES:
        raise SpatiaError(f"shard {path}: expected at most {MAX_SHARD_BYTES} bytes, got {path.stat().st_size}")
    try:
        with np.load(path, allow_pickle=False) as file:
            fields = {name: file[name] for name in file.files}
        return [_pair(fields, i) for i in range(len(fields["pose"]))]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise SpatiaError(f"shard {path}: not a shard of training pairs ({error}); delete it and build again") from None


def _pair(fields: dict[str, np.ndarray], i: int) -> Pair:
    depth = fields["view_depth"][i].astype(np.float32)
    view = View(
        fields["view_rgb"][i], depth, depth > 0, fields["view_sensed"][i].astype(np.float32),
        fields["view_age"][i].astype(np.float32) * np.float32(AGE_STEP_S),
    )
    truth = fields["target_depth"][i].astype(np.float32)
    target = Frame(fields["target_rgb"][i], truth, _camera(fields["camera"][i]), fields["pose"][i])
    references = tuple(
        Keyframe(
            fields["ref_rgb"][i, k], fields["ref_depth"][i, k].astype(np.float32), np.ones(REFERENCE_SIZE, bool),
            _camera(fields["ref_camera"][i, k]), fields["ref_pose"][i, k], 0,
        )
        for k in range(int(fields["ref_count"][i]))
    )
    recalled = Recalled(fields["recalled_rgb"][i], fields["recalled_trust"][i].astype(np.float32) / np.float32(255.0))
    return Pair(view, recalled, target, references)

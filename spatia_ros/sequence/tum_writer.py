"""Writing the TUM RGB-D layout that :mod:`spatia_ros.sequence.tum` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import yaml

from spatia_ros.geometry import quat_xyzw
from spatia_ros.sequence.draft import draft_of
from spatia_ros.sequence.sequence import Sequence
from spatia_ros.types import Camera, Frame, SpatiaError

DEPTH_SCALE = 1000.0
"""Stored depth is in millimetres; farther than 65.5 m does not fit and is stored as unknown."""


def write_tum(frames: Sequence | Iterable[Frame], folder: Path | str) -> Path:
    """Frames as PNG (lossless) with rgb.txt, depth.txt, groundtruth.txt and camera.yaml; returns the folder.

    Raises:
        SpatiaError: when the folder exists, there are no frames, their times do not increase, or
            they have different cameras. Nothing is left behind then.
    """
    folder = Path(folder)
    with draft_of(folder) as draft:
        for name in ("rgb", "depth"):
            (draft / name).mkdir(parents=True)
        first: Camera | None = None
        last_ns, lines = -1, []
        for frame in frames.frames() if isinstance(frames, Sequence) else frames:
            first = first or frame.camera
            if frame.camera != first or frame.stamp_ns <= last_ns:
                raise SpatiaError(
                    f"write_tum: expected one camera and times from 0 that increase, got {first} then {frame.camera}, "
                    f"{last_ns} ns then {frame.stamp_ns} ns"
                )
            last_ns = frame.stamp_ns
            lines.append((_write_images(draft, frame), _pose(frame)))
        if first is None:
            raise SpatiaError("write_tum: expected at least one frame, got none")
        for name in ("rgb", "depth"):
            _write_list(draft / f"{name}.txt", "timestamp filename", [f"{stamp} {name}/{stamp}.png" for stamp, _ in lines])
        head = "timestamp tx ty tz qx qy qz qw (T_world_cam, OpenCV axes, metres)"
        _write_list(draft / "groundtruth.txt", head, [f"{stamp} {pose}" for stamp, pose in lines])
        (draft / "camera.yaml").write_text(camera_yaml(first))
    return folder


def _write_images(draft: Path, frame: Frame) -> str:
    """Write both images of a frame; returns their stamp in seconds, as the lists and names have it."""
    stamp = f"{frame.stamp_ns // 1_000_000_000}.{frame.stamp_ns % 1_000_000_000:09d}"
    units = np.round(frame.depth * DEPTH_SCALE)
    units[units > np.iinfo(np.uint16).max] = 0
    for kind, image in (("rgb", cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)), ("depth", units.astype(np.uint16))):
        if not cv2.imwrite(str(draft / kind / f"{stamp}.png"), image):
            raise SpatiaError(f"write_tum: expected to write {draft / kind / stamp}.png, the disk refused")
    return stamp


def _write_list(path: Path, head: str, lines: list[str]) -> None:
    path.write_text("\n".join([f"# {head}", *lines]) + "\n")


def _pose(frame: Frame) -> str:
    return " ".join(f"{x:.9f}" for x in (*frame.T_world_cam[:3, 3], *quat_xyzw(frame.T_world_cam)))


def camera_yaml(camera: Camera) -> str:
    """A ROS calibration file with ``depth_scale``: metres = stored depth / depth_scale."""
    fx, fy, cx, cy = map(float, camera.calibration())

    def matrix(rows: int, columns: int, data: list[float]) -> dict[str, object]:
        return {"rows": rows, "cols": columns, "data": data}

    return yaml.safe_dump(
        {
            "image_width": camera.width, "image_height": camera.height, "camera_name": "camera", "depth_scale": DEPTH_SCALE,
            "camera_matrix": matrix(3, 3, [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]),
            "distortion_model": "plumb_bob", "distortion_coefficients": matrix(1, 5, [0.0] * 5),
            "rectification_matrix": matrix(3, 3, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
            "projection_matrix": matrix(3, 4, [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]),
        },
        sort_keys=False, default_flow_style=None,
    )

"""A finished map in pictures: from above, frame by frame beside what it shows, and over time."""

from __future__ import annotations

import numpy as np

from spatia_ros.cli.mapping import Made
from spatia_ros.evaluate.trajectory import PathError
from spatia_ros.geometry import inverse
from spatia_ros.record.chart import line_chart
from spatia_ros.record.map_picture import Journey, draw_map
from spatia_ros.record.plan import draw_plan
from spatia_ros.record.upright import upright
from spatia_ros.types import Float64, Frame, Trajectory, UInt8

VIEWS = 4
"""Frames of the report shown beside what the map makes of them."""


def picture_of(made: Made, error: PathError | None) -> UInt8:
    """The map from above."""
    points, path = made.memory.points(), made.path
    eyes = path.T_world_cam[:, :3, 3]
    up = upright(path.T_world_cam, points.xyz)
    plan = draw_plan(points.xyz, points.rgb, made.memory.config.voxel_m, up, eyes)
    kept = [keyframe.T_world_cam[:3, 3] for keyframe in made.memory.keyframes.keyframes]
    return draw_map(plan, Journey(
        eyes, lost_steps(made), np.array(kept, np.float64).reshape(-1, 3), loop_ends(made),
        None if error is None or made.source.truth is None else true_eyes(made.source.truth, error),
    ), made.source.recorded.name)  # fmt: skip


def lost_steps(made: Made) -> np.ndarray:
    """bool [T], frames of the path before which the camera had been lost."""
    found = np.flatnonzero(~made.lost)
    return np.diff(found, prepend=found[0]) > 1


def loop_ends(made: Made) -> Float64:
    """float64 [L, 2, 3], where both keyframes of every loop were."""
    at = np.searchsorted(made.path.stamps_ns, np.array(made.loops, np.int64).reshape(-1, 2)).clip(0, len(made.path) - 1)
    return np.asarray(made.path.T_world_cam[at][:, :, :3, 3], np.float64)


def true_eyes(truth: Trajectory, error: PathError) -> Float64:
    """float64 [N, 3], the true path in the map's frame, while the map's lasts."""
    T_path_truth = inverse(error.T_truth_path)
    during = (truth.stamps_ns >= error.stamps_ns[0]) & (truth.stamps_ns <= error.stamps_ns[-1])
    return np.asarray(truth.T_world_cam[during][:, :3, 3] @ T_path_truth[:3, :3].T + T_path_truth[:3, 3], np.float64)


def some_frames(made: Made) -> list[Frame]:
    """Frames spread over the path, at the poses they have in the map."""
    recorded, path = made.source.recorded, made.path
    chosen = np.unique(np.linspace(0, len(path) - 1, VIEWS).round().astype(int))
    index = np.searchsorted(recorded.stamps_ns, path.stamps_ns[chosen])
    return [
        Frame(*recorded.images(int(i)), recorded.camera, path.T_world_cam[k], int(path.stamps_ns[k]))
        for i, k in zip(index, chosen, strict=True)
    ]


def charts(made: Made, error: PathError | None) -> list[tuple[str, str]]:
    """What a frame cost, and how far from the truth each was."""
    out = []
    if len(made.frame_ms) > 1:
        cost = line_chart(range(len(made.frame_ms)), {"ms": made.frame_ms}, "frame of this run", "ms")
        out.append(("What a frame costs", cost))
    if error is not None:
        seconds = ((error.stamps_ns - error.stamps_ns[0]) * 1e-9).tolist()
        out.append(("Distance from the true path", line_chart(seconds, {"cm": (100 * error.errors_m).tolist()}, "time, s", "cm")))
    return out

"""Camera paths over the true one, and their error over time, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatia_ros.evaluate.trajectory import PathError
from spatia_ros.types import Float64, Trajectory, UInt8

COLOURS = ("#2a9d8f", "#d1495b", "#8d6cab")


def draw_paths(title: str, truth: Trajectory, paths: Sequence[tuple[str, Trajectory, PathError | None]]) -> UInt8:
    """uint8 [H, W, 3]: left the paths as seen along the direction they vary least in, right distance to the truth over time.

    Args:
        paths: name, path, and its error (whose rigid alignment is applied before drawing) of each; None: it is left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((12.8, 5.4), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    plan, time = figure.subplots(1, 2)
    true = truth.T_world_cam[:, :3, 3]
    centre, axes = true.mean(0), np.linalg.svd(true - true.mean(0), full_matrices=False)[2][:2]

    def flat(points: Float64) -> Float64:
        return (points - centre) @ axes.T

    plan.plot(*flat(true).T, color="#555555", linewidth=2.5, alpha=0.6, label="truth")
    for colour, (name, path, error) in zip(COLOURS, paths, strict=False):
        if error is None:
            continue
        aligned = path.T_world_cam[:, :3, 3] @ error.T_truth_path[:3, :3].T + error.T_truth_path[:3, 3]
        plan.plot(*flat(aligned).T, color=colour, linewidth=1.3, label=f"{name}: ATE {100 * error.ate_rmse_m:.1f} cm")
        seconds = (error.stamps_ns - truth.stamps_ns[0]) * 1e-9
        time.semilogy(seconds, np.maximum(100 * error.errors_m, 1e-2), color=colour, linewidth=1.3, label=name)
    reach = 0.6 * np.ptp(flat(true), axis=0).max() + 0.05
    plan.set(title=title, xlabel="m", ylabel="m", aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    time.set(title="distance to the truth", xlabel="time, s", ylabel="cm")
    for part in (plan, time):
        part.grid(alpha=0.25)
        part.legend(loc="best", fontsize=9)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])

"""How well the camera's path is found from its images alone, beside Open3D's odometry on the same frames."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.open3d_odometry import METHODS, Chain
from spatia_ros.evaluate.slam_picture import draw_paths
from spatia_ros.evaluate.trajectory import MAX_SKEW_S, PathError, path_error
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.record.poses import write_poses
from spatia_ros.sequence import Sequence
from spatia_ros.slam.mapper import Mapper
from spatia_ros.types import SpatiaError, Trajectory

MIN_FRAMES = 3


@dataclass(frozen=True, slots=True)
class Run:
    """One method's path through a recording.

    Args:
        name: of the method. path: of the frames it gave a pose to. error: against the truth; None: nothing to compare.
    """

    name: str
    path: Trajectory
    error: PathError | None


def evaluate_slam(sequence: Sequence, config: WorldConfig, out_dir: Path) -> dict[str, Any]:
    """Track a recording whose poses are withheld, and compare the path with them.

    The first pose alone is told, so that paths start at one place; before they are compared a rigid motion is fitted
    anyway (evo, SE(3), no scale). Truth is the recorded path, interpolated at the times of the frames between poses at
    most a second apart; estimate and truth are associated by evo within 20 ms. Nothing else of the truth is used: a
    delay between depth and colour is not taken out, as finding it takes poses.

    Writes ``figures.json``, ``trajectory.txt`` (TUM), ``truth.txt``, ``open3d.txt``, ``paths.png`` and ``config.yaml``.

    Returns:
        The figures, as docs/evaluation.md names them.

    Raises:
        SpatiaError: when the recording has fewer than three frames.
    """
    if len(sequence) < MIN_FRAMES:
        raise SpatiaError(f"sequence {sequence.name}: expected at least {MIN_FRAMES} frames, got {len(sequence)}")
    truth, first = sequence.trajectory(), sequence.T_world_cam[0]
    mapper = Mapper(config, sequence.camera, poses="tracked")
    chains: dict[str, Chain] = {method: Chain(sequence.camera, method, first) for method in METHODS}
    live, states, laps_ms = [], [], []
    for i in tqdm(range(len(sequence)), desc=sequence.name, unit="frame"):
        rgb, depth = sequence.load(i)
        start = time.perf_counter()
        step = mapper.observe(rgb, depth, int(sequence.stamps_ns[i]), first if i == 0 else None)
        laps_ms.append((time.perf_counter() - start) * 1e3)
        live.append(step.T_world_cam)
        states.append(step.state)
        for chain in chains.values():
            chain.add(rgb, depth)
    mapped = mapper.finish()
    known = np.array([state != "lost" for state in states])
    ours = _run("spatia", mapped.trajectory, truth)
    others = [_run(name, Trajectory(sequence.stamps_ns, np.stack(chain.poses)), truth) for name, chain in chains.items()]
    best = min(others, key=lambda run: run.error.ate_rmse_m if run.error else np.inf)
    figures = _figures(ours, states) | {
        "loops": len(mapped.loops), "open3d_ate_rmse_m": _ate(best), "open3d_method": best.name,
        "open3d": {run.name: {**_errors(run), "failed": chains[run.name].failed} for run in others},
        "live": _errors(_run("live", Trajectory(sequence.stamps_ns[known], np.stack(live)[known]), truth)),
        "frame_ms": round(float(np.median(laps_ms)), 2), "keyframes": mapped.figures["keyframes"],
        "sequence": sequence.name, "frames": len(sequence), "max_time_difference_s": MAX_SKEW_S,
        "alignment": "SE(3), by " + (ours.error.aligned_by if ours.error else "nothing"),
        "path_m": round(ours.error.length_m, 3) if ours.error else None,
    }  # fmt: skip
    _leave(out_dir, figures, config, truth, ours, best)
    return figures


def _run(name: str, path: Trajectory, truth: Trajectory) -> Run:
    return Run(name, path, path_error(path, truth) if len(path) >= MIN_FRAMES else None)


def _ate(run: Run) -> float | None:
    return None if run.error is None else round(run.error.ate_rmse_m, 5)


def _errors(run: Run) -> dict[str, float | None]:
    e = run.error
    if e is None:
        return dict.fromkeys(("ate_rmse_m", "ate_max_m", "rpe_trans_m", "rpe_rot_deg"))
    return {
        "ate_rmse_m": round(e.ate_rmse_m, 5), "ate_max_m": round(e.ate_max_m, 5),
        "rpe_trans_m": round(e.rpe_trans_m, 5), "rpe_rot_deg": round(e.rpe_rot_deg, 4),
    }  # fmt: skip


def _figures(ours: Run, states: list[str]) -> dict[str, Any]:
    tracked = sum(state != "lost" for state in states) / len(states)
    return {**_errors(ours), "tracked_fraction": round(tracked, 4), "relocalised": states.count("relocalised")}


def _leave(out_dir: Path, figures: dict[str, Any], config: WorldConfig, truth: Trajectory, ours: Run, best: Run) -> None:
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    write_poses(out_dir / "trajectory.txt", ours.path)
    write_poses(out_dir / "truth.txt", truth)
    write_poses(out_dir / "open3d.txt", best.path)
    named = [("spatia", ours.path, ours.error), (f"Open3D {best.name}, chained", best.path, best.error)]
    write_bytes(out_dir / "paths.png", encode_png(draw_paths(str(figures["sequence"]), truth, named)))

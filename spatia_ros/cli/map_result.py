"""What a finished map leaves behind: picture, path, figures, report."""

from __future__ import annotations

import argparse
import shlex
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.cli.map_drawing import charts, picture_of, some_frames
from spatia_ros.cli.mapping import Made
from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.trajectory import PathError, path_error
from spatia_ros.record.files import encode_png, write_bytes, write_json
from spatia_ros.record.map_report import compared_views, write_map_report
from spatia_ros.record.poses import write_poses
from spatia_ros.record.report import Page
from spatia_ros.types import SpatiaError, Trajectory

Rows = list[tuple[str, str, str]]
FILES = {
    ".spatia": "the memory: spatia run --memory, spatia ros world --memory, spatia memory",
    ".html": "the report", ".png": "the map from above", ".json": "the figures, for programs",
    ".cast.npz": "what moves: spatia run --actors takes it by a script",
    ".poses.txt": "the path of the camera (TUM)", ".ply": "the points, for other programs",
}  # fmt: skip


def leave(made: Made, config: WorldConfig, args: argparse.Namespace) -> tuple[Rows, dict[str, Any], list[str]]:
    """Write everything beside the memory file; returns the figures for people and for programs, and the files."""
    error = error_of(made)
    figures, rows = figures_of(made, error), rows_of(made, error)
    write_poses(args.out.with_suffix(".poses.txt"), made.path)
    write_json(args.out.with_suffix(".json"), figures)
    if args.no_ply:
        args.out.with_suffix(".ply").unlink(missing_ok=True)  # an older one would be of another map
    else:
        made.memory.export_ply(args.out.with_suffix(".ply"))
    if not args.no_report:
        picture = picture_of(made, error)
        write_bytes(args.out.with_suffix(".png"), encode_png(picture))
        parts = compared_views(made.memory, some_frames(made)), charts(made, error)
        write_map_report(args.out.with_suffix(".html"), page_of(made, rows, config, args), picture, *parts)
    return rows, figures, [str(file) for file, _ in files_of(args.out)]


def files_of(out: Path) -> list[tuple[Path, str]]:
    """The files beside a memory file that are there, and what each is."""
    return [(out.with_suffix(ending), note) for ending, note in FILES.items() if out.with_suffix(ending).is_file()]


def page_of(made: Made, rows: Rows, config: WorldConfig, args: argparse.Namespace) -> Page:
    """What the report says."""
    withheld = "Its poses were withheld: the camera was tracked from its images alone."
    how = withheld if args.poses == "tracked" else "The frames were folded in at the poses they came with."
    part = f"Interrupted: this is the map of the first {made.frames} of {len(made.source.indices)} frames. "
    return Page(
        title=f"Map of {made.source.recorded.name.replace('_', ' ')}", summary=how if made.complete else part + how, figures=rows,
        config=dump(config), files=[(file.name, note) for file, note in files_of(args.out)], command=command_line(args),
    )  # fmt: skip


def command_line(args: argparse.Namespace) -> str:
    """The command that does this again."""
    words = ["spatia", "map"]
    for option in ("sequence", "poses", "truth", "every", "first", "last", "out", "config"):
        value = getattr(args, option)
        words += [f"--{option}", str(value)] if value is not None else []
    words += [flag for flag in ("--no-loops", "--no-dynamics") if getattr(args, flag[2:].replace("-", "_"))]
    return shlex.join(words + [word for assignment in args.assignments for word in ("--set", assignment)])


def error_of(made: Made) -> PathError | None:
    """The path against the true one; None where that is not known or shares too few times with it."""
    if made.source.truth is None:
        return None
    try:
        return path_error(made.path, made.source.truth)
    except SpatiaError:
        if made.complete:
            raise
        return None


def figures_of(made: Made, error: PathError | None) -> dict[str, Any]:
    """The figures for programs."""
    f, recorded = made.figures, made.source.recorded
    figures: dict[str, Any] = {
        "sequence": recorded.name, "complete": made.complete, "frames": made.frames, "points": int(f["points"]),
        "keyframes": len(made.memory.keyframes), "path_m": round(length_m(made.path), 3),
        "tracked_fraction": round(1.0 - float(made.lost.mean()), 4), "lost": int(f["lost"]), "relocalised": int(f["relocalised"]),
        "loops": int(f["loops"]), "false_loops": int(f["false_loops"]), "corrections": int(f["corrections"]),
        "corrected_m": round(float(f["corrected_m"]), 4), "carved": int(f["carved"]), "refused": int(f["refused"]),
        "moving_pixels": int(f["held"]), "frames_evened": int(f["evened"]), "seconds": round(float(f["spent_s"]), 2),
        "frame_ms": round(statistics.median(made.frame_ms), 2) if made.frame_ms else None,
    }  # fmt: skip
    if error is not None:
        figures |= {
            "ate_rmse_m": round(error.ate_rmse_m, 5), "ate_max_m": round(error.ate_max_m, 5), "pairs": error.pairs,
            "rpe_trans_m": round(error.rpe_trans_m, 5), "rpe_rot_deg": round(error.rpe_rot_deg, 4),
            "aligned_by": error.aligned_by,
        }  # fmt: skip
    return figures


def length_m(path: Trajectory) -> float:
    """How far the camera went, metres."""
    return float(np.linalg.norm(np.diff(path.T_world_cam[:, :3, 3], axis=0), axis=1).sum())


def rows_of(made: Made, error: PathError | None) -> Rows:
    """The figures for people: name, value, what it means."""
    f, total, voxel_cm = made.figures, len(made.source.indices), made.memory.config.voxel_m * 100
    each = f", {statistics.median(made.frame_ms):.0f} ms each" if made.frame_ms else ""
    camera = made.source.recorded.camera
    held = f["held"] / (made.frames * camera.width * camera.height)
    loops = f"closed; {f['false_loops']:.0f} left out again, the map moved by {f['corrected_m'] * 100:.1f} cm at most"
    rows = [
        ("frames", f"{made.frames} of {made.source.recorded.name}{each}", f"of {total} asked for; reading them not counted"),
        ("path", f"{length_m(made.path):.1f} m", "how far the camera went"),
        ("points", f"{len(made.memory):,}", f"voxels of {voxel_cm:g} cm; {f['carved']:,.0f} were carved away again"),
        ("keyframes", f"{len(made.memory.keyframes)}", "kept at full resolution"),
        ("moving", f"{held:.2%} of pixels", "kept out of the map because they did not fit what stays"),
        ("exposure", f"{f['evened']:.0f} frames evened", "brought to the brightness and white of what was mapped before them"),
        ("loops", f"{f['loops']:.0f}", loops),
        ("lost", f"{f['lost']:.0f} frames", f"not tracked and not mapped; found again {f['relocalised']:.0f} times"),
    ]
    if error is None:
        return rows
    far = f"distance from the true path, at most {error.ate_max_m * 100:.1f} cm; over {error.pairs} poses, {error.length_m:.1f} m"
    step = f"{error.rpe_trans_m * 100:.2f} cm, {error.rpe_rot_deg:.2f}°"
    return rows + [
        ("ATE", f"{error.ate_rmse_m * 100:.2f} cm RMSE", f"{far}; rigidly aligned by {error.aligned_by}"),
        ("RPE", step, "RMSE of the motion from one compared pose to the next"),
    ]

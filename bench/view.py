#!/usr/bin/env python3
"""Drawing a scanned room at 640x480, part by part; what keyframes and belief add, against the same in torch.

    python bench/view.py [--size 640x480] [--rounds 31] [--json FILE]

The voxels alone, the whole view, and the step between them (`memory/sharpen.py`) beside its readable twin
(`memory/truth.py`), taking turns. Needs torch. Close what else computes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout as it is

import numpy as np
import torch

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.evaluate.timing import interleaved
from spatia_ros.memory import Memory, belief, truth, warp
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.memory.memory import WITNESSES
from spatia_ros.memory.sharpen import sharpen
from spatia_ros.memory.texels import beside_steps
from spatia_ros.record.files import write_json
from spatia_ros.train.scan import builtin_scan


def tensor(array: np.ndarray) -> torch.Tensor:
    """As the twins take it."""
    return torch.from_numpy(np.asarray(array, np.float64))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="640x480", help="of the picture")
    parser.add_argument("--rounds", type=int, default=31, help="repetitions of each")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    scan, c = builtin_scan(), MemoryConfig()
    memory, plain = Memory(c), Memory(c.model_copy(update={"warp_keyframes": 0, "max_unknown_ray": 1.0, "keyframes": 1}))
    for frame in scan.frames():
        memory.integrate(frame)
        plain.integrate(frame)
    camera, T = frame.camera.resized(width, height), frame.T_world_cam @ geometry.pose(np.eye(3), np.array([0.03, 0.0, 0.02]))
    drawn, kept, K = plain.render(camera, T, 0), memory.keyframes, intrinsics_of(camera)
    shared = kept.overlap(drawn.depth, camera, T)
    keyframes, grids = kept.drawing(shared, T, c.warp_keyframes), kept.measured_grids(kept.rank(shared, T)[:WITNESSES])
    deepest = warp.deepest_nearby(drawn.depth, camera.fx, c.splat_scale * c.voxel_m)
    asked, parts = belief.witnesses(*grids, T), (drawn.rgb, drawn.depth, drawn.sensed, drawn.age_s)
    lent = [
        (tensor(k.rgb), tensor(k.depth), torch.from_numpy(k.sensed), torch.from_numpy(beside_steps(k.depth)),
         tensor(intrinsics_of(k.camera)), tensor(geometry.inverse(k.T_world_cam))) for k in keyframes
    ]  # fmt: skip
    told = [tensor(each) for each in (*parts[:3], deepest, K, T)], tuple(tensor(each) for each in grids)
    timings = interleaved(f"draw {options.size}", {
        "view": lambda: memory.render(camera, T, 0), "voxels": lambda: plain.render(camera, T, 0),
        "sharpen": lambda: sharpen(
            *(part.copy() for part in parts), deepest, K, T, keyframes, asked, c.edge_ratio, c.max_unknown_ray
        ),
        "sharpen_torch": lambda: truth.sharpened(*told[0], lent, told[1], c.edge_ratio, c.max_unknown_ray),
    }, options.rounds)  # fmt: skip
    figures = {f"{name}_{options.size}_ms": timing.median_ms for name, timing in timings.items()}
    figures |= {
        "sharpen_speedup_vs_torch": timings["sharpen_torch"].median_ms / timings["sharpen"].median_ms,
        "points": float(len(memory)), "keyframes": float(len(keyframes)), "noise": timings["view"].noise,
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:32} {value:12.3f}")
    if options.json:
        write_json(options.json, figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

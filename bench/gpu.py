#!/usr/bin/env python3
"""Hold every CUDA path against its twin on the CPU, and time both.

    python bench/gpu.py [--engine nano] [--json FILE]

The memory's paths, then an engine's networks by every runtime there is (torch with and without CUDA
graphs, in float32 and float16, ONNX Runtime, TensorRT), then frames a second of each size of the
network at 512x288 and 1280x720 with the share of the card's measured limits. Exits with 1 when a
path disagrees with its twin, with 2 when there is no CUDA.
``--device cpu`` runs the same checks without a GPU (the table then compares the CPU with itself).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout as it is

from gpu_networks import Row, Speed, card_limits, network_rows, speed, speed_table

from spatia_ros.config import MemoryConfig
from spatia_ros.evaluate.bench_memory import wall_frame
from spatia_ros.generator.network import PRESETS
from spatia_ros.memory import truth
from spatia_ros.memory.keyframes import Samples, intrinsics_of
from spatia_ros.types import Camera, Frame, SpatiaError

ROUNDS = 11
MEMORY = MemoryConfig()
SIZES = ((512, 288), (1280, 720))
"""Sizes frames a second are counted at."""


class Check(NamedTuple):
    """A path to compare: the same function of the same inputs on both devices."""

    name: str
    function: Callable[..., object]
    inputs: tuple[object, ...]
    tolerance: float
    stray: float
    """Share of values that may differ by more: ties and roundings at a pixel's rim."""


def memory_checks(frame: Frame) -> list[Check]:
    """The torch twins of the memory's kernels, on one frame of a wavy wall and a camera beside it."""
    intrinsics, here = torch.from_numpy(intrinsics_of(frame.camera)), torch.from_numpy(frame.T_world_cam)
    beside = here.clone()
    beside[:3, 3] = torch.tensor([0.1, -0.05, 0.2], dtype=beside.dtype)
    depth, rgb = torch.from_numpy(frame.depth).double(), torch.from_numpy(frame.rgb).double()
    xyz = truth.backproject(depth, intrinsics, here).reshape(-1, 3)
    samples = Samples.of(frame.depth, frame.camera, frame.T_world_cam)
    grid, cells, T_grid = (torch.from_numpy(a)[None] for a in (samples.grid, samples.intrinsics, samples.T_cam_world))
    told = torch.from_numpy(samples.points), torch.from_numpy(samples.reach)
    inside, camera = torch.linalg.inv(beside), frame.camera
    as_seen = (depth, intrinsics, beside)
    return [
        Check("backproject", truth.backproject, as_seen, 1e-9, 0.0),
        Check("fit_to_fuse", truth.fit_to_fuse, (depth, 0.1, 8.0, MEMORY.edge_ratio), 0.0, 0.0),
        Check("fuse", truth.fuse, (xyz, rgb.reshape(-1, 3), MEMORY.voxel_m), 1e-6, 0.0),
        Check("fuse_features", truth.fuse, (xyz, rgb.reshape(-1, 3).repeat(1, 8), MEMORY.voxel_m), 1e-6, 0.0),
        Check("shown", truth.shown, (*told, grid.double(), cells, T_grid, 2 * MEMORY.edge_ratio, 1.5), 0.0, 0.0),
        Check("seen_through", truth.seen_through, (xyz, 1.1 * depth, intrinsics, inside, 0.04, 0.02), 0.0, 1e-4),
        Check("splat", depth_of_splat, (xyz, inside, intrinsics, camera.width, camera.height, 0.006, 8.0), 1e-9, 1e-4),
        Check(
            "warp", truth.warp, (depth, depth + 0.1, intrinsics, beside, rgb, depth, intrinsics, here, MEMORY.edge_ratio),
            1e-4, 1e-4,
        ),
        Check("unknown_ray_share", truth.unknown_ray_share, (*as_seen, grid.double(), cells, T_grid), 1e-9, 1e-3),
    ]


def depth_of_splat(*inputs: object) -> Tensor:
    """The depth of a splat: which of two points at one depth wins is not said."""
    return truth.splat(*inputs)[0]


def compare(check: Check, device: str) -> Row:
    """Run a check on both devices."""
    there = tuple(value.to(device) if isinstance(value, Tensor) else value for value in check.inputs)
    expected, cpu_ms = timed(lambda: check.function(*check.inputs), "cpu")
    got, device_ms = timed(lambda: check.function(*there), device)
    differing, values = 0, 0
    for a, b in zip(flat(expected), flat(got), strict=True):
        if a.shape != b.shape:
            return Row(check.name, a.numel(), 1.0, check.stray, cpu_ms, device_ms)
        same = torch.isclose(b, a, rtol=check.tolerance, atol=check.tolerance, equal_nan=True)
        differing += int((~same).sum())
        values += a.numel()
    return Row(check.name, values, differing / max(values, 1), check.stray, cpu_ms, device_ms)


def flat(result: object) -> list[Tensor]:
    """The tensors of a result, on the CPU."""
    parts = result if isinstance(result, tuple) else (result,)
    return [part.detach().cpu().double() for part in parts if isinstance(part, Tensor)]


def timed(function: Callable[[], object], device: str) -> tuple[object, float]:
    """The result, and the median milliseconds of a run, the device's queue emptied each time."""
    laps = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        result = function()
        if device != "cpu":
            torch.cuda.synchronize(device)
        laps.append((time.perf_counter() - start) * 1e3)
    return result, float(np.median(laps[1:]))


def table(rows: list[Row], device: str) -> str:
    """The rows as text."""
    lines = [f"{'path':<34}{'values':>10}{'differing':>12}{'allowed':>10}{'cpu ms':>10}{device + ' ms':>10}  verdict"]
    for r in rows:
        verdict = "same" if r.good else "DIFFERS"
        lines.append(
            f"{r.name:<34}{r.values:>10}{r.differing:>12.2e}{r.allowed:>10.0e}{r.cpu_ms:>10.2f}{r.device_ms:>10.2f}  {verdict}"
        )
    return "\n".join(lines)


def speeds_on(device: str, steps: int) -> list[Speed]:
    """Frames a second of every size of the network, printed."""
    limits = card_limits(device)
    print(f"\nmeasured: {limits[0]:.0f} TFLOP/s in float16, {limits[1]:.0f} GB/s; a frame takes {steps} denoising steps")
    speeds = [speed(name, config, size, device, steps, limits) for name, config in PRESETS.items() for size in SIZES]
    print(speed_table(speeds))
    return speeds


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="where the paths run (default: %(default)s)")
    parser.add_argument("--engine", default="nano", help="generator to check, or 'none' (default: %(default)s)")
    parser.add_argument("--width", type=int, default=640, help="of the frame the memory's paths are given, px")
    parser.add_argument("--steps", type=int, default=1, help="denoising steps of a frame (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    return parser.parse_args()


def main() -> int:
    """Check everything; the exit code says how it went."""
    args = arguments()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("bench/gpu.py: this machine has no CUDA device that torch can use; nothing was checked.", file=sys.stderr)
        return 2
    frame = wall_frame(Camera.from_fov(args.width, args.width * 3 // 4, 1.0))
    rows = [compare(check, args.device) for check in memory_checks(frame)]
    if args.engine != "none":
        try:
            rows += network_rows(args.engine, args.device, [(256, 160), (320, 192), (512, 288)])
        except SpatiaError as error:
            print(f"bench/gpu.py: {error}", file=sys.stderr)
            return 2
    if args.device == "cuda":
        print(torch.cuda.get_device_name())
    print(table(rows, args.device))
    speeds = speeds_on(args.device, args.steps) if args.device != "cpu" else []
    if args.json:
        found = {"paths": [r._asdict() | {"good": r.good} for r in rows], "speeds": [s._asdict() for s in speeds]}
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if all(r.good for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

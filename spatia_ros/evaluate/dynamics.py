"""A place with one object moving through it while the camera moves: what of the object stays in static memory?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from spatia_ros import geometry
from spatia_ros.actors import Mover
from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.ghosts import ghosts, kept, near, voxel_centres
from spatia_ros.evaluate.pictures import strip
from spatia_ros.memory import Memory
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.slam.dynamics import StaticDynamic
from spatia_ros.train.scene_moving import MovingScene
from spatia_ros.train.scene_stage import Stage, stage
from spatia_ros.train.sensor import Sensor, observe
from spatia_ros.types import Bool, Camera, Float64, Frame, UInt8

CAMERA = Camera.from_fov(320, 240, 1.2)
RATE_HZ = 10.0
FRAMES = 80
NOISY = Sensor(step_per_m=0.0, blobs=0.0, exposure=0.0, vignette=0.0, blur_px=0.0)
"""Depth noise of 1.5 mm at 1 m that grows with z^2, depth lost along edges and in a few single pixels, grain in colour."""
OUTLINE = (255, 64, 160)
SURFACE_CONFIDENCE = 2.0
"""A point of the control that fewer observations agreed on may be noise: whether it is kept says nothing of the surface."""
COLUMNS = ("frame, what was held back outlined", "memory without the split", "memory with the split", "memory without the object")


def _leaves(time: float) -> float:
    return max(0.0, (time - 0.35) / 0.65)


def _stops(time: float) -> float:
    return min(1.0, time / 0.5)


SCENARIOS: dict[str, Callable[[float], float]] = {"moves": float, "leaves": _leaves, "stops": _stops}
"""How far along its way the object is (0..1) at a time of the run (0..1)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario, filmed: frames with the object and without it, its true pixels bool [H, W], its displacements."""

    frames: list[Frame]
    empty: list[Frame]
    truth: list[Bool]
    displacements: list[Float64]


def evaluate_dynamics(
    config: WorldConfig, scenes: dict[str, MovingScene], out_dir: Path, frames: int = FRAMES, noise: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Three scenarios in each scene, each with and without the split.

    Writes ``figures.json``, ``config.yaml`` and ``dynamics.png`` to ``out_dir``.

    Args:
        scenes: by name. frames: of each run, at 10 Hz. noise: depth as a sensor measures it; exact otherwise.

    Returns:
        The figures, as docs/evaluation.md names them.
    """
    runs, rows = [], []
    for name, scene in scenes.items():
        rng = np.random.default_rng(seed)
        way, surface = stage(scene, CAMERA, rng), scene.object_surface(config.memory.voxel_m, rng)
        for scenario, progress in SCENARIOS.items():
            run = film(scene, way, progress, frames, noise, seed, f"{name}, {scenario}")
            figures, row = _measured(config, scene, run, surface, scenario)
            runs.append({"scene": name, "scenario": scenario, **figures})
            rows.append([(picture, text or f"{name}: {scenario}") for picture, text in row])
    figures = _summary(runs) | {
        "frames": frames, "voxel_m": config.memory.voxel_m, "width_px": CAMERA.width, "height_px": CAMERA.height,
        "depth_noise": noise, "runs": runs,
    }
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    write_bytes(out_dir / "dynamics.png", encode_png(strip(COLUMNS, rows)))
    return figures


def film(
    scene: MovingScene, way: Stage, progress: Callable[[float], float], frames: int, noise: bool, seed: int, title: str = "film"
) -> Run:
    """Render a run. The gaze follows a clock and not the object, so that every scenario of a stage has the same camera path."""
    run = Run([], [], [], [])
    for i in tqdm(range(frames), desc=title, unit="frame", leave=False):
        time = i / (frames - 1)
        T_world_cam, displacement = way.view(time, time), way.displacement(progress(time))
        for place, into in ((displacement, run.frames), (None, run.empty)):
            scene.place(place)
            exact = scene.render(CAMERA, T_world_cam, round(i * 1e9 / RATE_HZ), antialias=False)
            into.append(observe(exact, NOISY, np.random.default_rng((seed, i))) if noise else exact)
        scene.place(displacement)
        run.truth.append(scene.object_mask(CAMERA, T_world_cam))
        run.displacements.append(displacement)
    return run


@dataclass(frozen=True, slots=True)
class Mapped:
    """A memory and, of each frame: what was held back, what moved, and what splitting it took."""

    memory: Memory
    held: list[Bool]
    movers: list[list[Mover]]
    split_ms: list[float]


def mapped(config: WorldConfig, frames: list[Frame]) -> Mapped:
    """The memory of posed frames, with what moves kept out if the configuration says so."""
    out, dynamics = Mapped(Memory(config.memory), [], [], []), StaticDynamic(config.dynamics)
    for frame in frames:
        begin = perf_counter()
        split = dynamics.split(frame, out.memory)
        out.split_ms.append(1e3 * (perf_counter() - begin))
        out.held.append(~split.static)
        out.movers.append(split.movers)
        out.memory.integrate(frame, mask=split.static)
    return out


def _measured(
    config: WorldConfig, scene: MovingScene, run: Run, surface: Float64, scenario: str
) -> tuple[dict[str, Any], list[tuple[UInt8, str]]]:
    """The figures of a run, and its row of pictures."""
    off = config.model_copy(update={"dynamics": config.dynamics.model_copy(update={"enabled": False})})
    ours, without, control = mapped(config, run.frames), mapped(off, run.frames), mapped(off, run.empty)
    voxel_m = config.memory.voxel_m
    points, beside, empty = (_xyz(m.memory) for m in (ours, without, control))
    everywhere = [surface @ T[:3, :3].T + T[:3, 3] for T in run.displacements]
    rests: Float64 = np.zeros((0, 3))
    if scenario == "stops":
        rests = np.concatenate([everywhere[-1], _xyz(mapped(off, _standing(run)).memory)])
    twice = control.memory.points().confidence >= SURFACE_CONFIDENCE

    def errors(xyz: Float64) -> dict[str, float]:
        return {
            **ghosts(xyz, everywhere, rests, empty, scene.rest_distance, voxel_m),
            "kept": kept(xyz, empty[twice], run.frames, voxel_m), "kept_of_all": kept(xyz, empty, run.frames, voxel_m),
        }

    figures: dict[str, Any] = errors(points)
    held, truth = np.stack(ours.held), np.stack(run.truth)
    figures |= {
        "without_split": errors(beside),
        "held_of_object": float((held & truth).sum() / max(truth.sum(), 1)),
        "held_of_static": float((held & ~truth).sum() / (~truth).sum()),
        "split_ms": float(np.median(ours.split_ms)),
    }
    if scenario == "stops":
        figures["settled"] = _settled(points, run, voxel_m)
    texts = ["", *(f"ghosts {100 * figure['ghosts']:.2f} %" for figure in (figures["without_split"], figures)), "control"]
    return figures, list(zip(_pictures(run, ours, without, control), texts, strict=True))


def _xyz(memory: Memory) -> Float64:
    """Its points [N, 3], m."""
    return memory.points().xyz.astype(np.float64)


def _standing(run: Run) -> list[Frame]:
    """The frames at the end of a run in which the object no longer moves."""
    stands = [np.array_equal(displacement, run.displacements[-1]) for displacement in run.displacements]
    return [frame for frame, still in zip(run.frames, stands, strict=True) if still]


def _settled(points: Float64, run: Run, voxel_m: float) -> float:
    """Share of the object's surface as the last frame shows it that memory holds within two voxels."""
    last = run.frames[-1]
    shown, _ = geometry.backproject(np.where(run.truth[-1], last.depth, np.float32(0)), last.camera, last.T_world_cam)
    return float(near(voxel_centres(shown, voxel_m), points, 2 * voxel_m).mean())


def _pictures(run: Run, *memories: Mapped) -> Iterator[UInt8]:
    """The frame at two thirds of the run with the outline of what was held back, and the memories there in the end."""
    at = 2 * len(run.frames) // 3
    frame, held = run.frames[at], memories[0].held[at].astype(np.uint8)
    outlined = frame.rgb.copy()
    contours, _ = cv2.findContours(held, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outlined, contours, -1, OUTLINE, 1)
    yield outlined
    for each in memories[1], memories[0], memories[2]:
        yield each.memory.render(frame.camera, frame.T_world_cam, run.frames[-1].stamp_ns).rgb


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst of all runs, ours and the control's."""
    worst = {name: max(run[name] for run in runs) for name in ("ghosts", "ghosts_swept")}
    beside = {name: max(run["without_split"][name] for run in runs) for name in ("ghosts", "ghosts_swept")}
    worst |= {name: min(run[name] for run in runs) for name in ("kept", "kept_of_all")}
    beside |= {name: min(run["without_split"][name] for run in runs) for name in ("kept", "kept_of_all")}
    return worst | {"without_split": beside, "split_ms": float(np.median([run["split_ms"] for run in runs]))}

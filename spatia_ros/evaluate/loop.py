"""A loop walked with drift: is it found, and how far is the map from the truth with it and without it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from tqdm import tqdm

from spatia_ros import config as configs
from spatia_ros import geometry
from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.loop_scene import drifted, ring, round_path
from spatia_ros.memory import Memory
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.record.map_picture import Journey, draw_map
from spatia_ros.record.panels import BACKGROUND
from spatia_ros.record.plan import draw_plan
from spatia_ros.slam.loops import apart_m, apart_rad
from spatia_ros.slam.mapper import Mapped, Mapper, Poses
from spatia_ros.train.scan import FRAME_NS
from spatia_ros.train.scene import Scene
from spatia_ros.train.sensor import Sensor, observe
from spatia_ros.types import Camera, Float32, Float64, Frame, SpatiaError, UInt8

CAMERA = Camera.from_fov(320, 240, 1.2)
SENSOR = Sensor(blobs=0.0)
"""Depth noise of 1.5 mm at 1 m growing with its square, quantised disparity, exposure that changes, blur and grain."""
SAMPLE = 200_000
"""Points of a map that are measured."""
COMPLETE_M = 0.05
FALSE_M, FALSE_RAD = 0.1, 0.05
"""A loop is false when its motion is this far from the true one."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What was recorded on the way round.

    Args:
        scene: where. T_true: float64 [N, 4, 4]. T_drifted: the same path as reckoned. frames: as recorded.
    """

    scene: Scene
    T_true: Float64
    T_drifted: Float64
    frames: list[Frame]

    def images(self, index: int) -> tuple[UInt8, Float32]:
        """Colour and depth of a frame."""
        return self.frames[index].rgb, self.frames[index].depth

    def path_m(self) -> float:
        """Way travelled, metres."""
        return float(np.linalg.norm(np.diff(self.T_true[:, :3, 3], axis=0), axis=1).sum())


def recorded(seed: int, drift: float, step_m: float) -> Walk:
    """The built-in corridor, walked round once, with a drift of ``drift`` metres per metre; everything drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    scene, T = ring(rng), round_path(step_m)
    frames = []
    for k in tqdm(range(len(T)), desc="recording", unit="frame"):
        frames.append(observe(scene.render(CAMERA, T[k], k * FRAME_NS), SENSOR, rng))
    return Walk(scene, T, drifted(T, rng, ratio=drift), frames)


def evaluate_loop(
    config: WorldConfig, out_dir: Path, *, poses: Poses = "given", drift: float = 0.01, step_m: float = 0.1
) -> dict[str, Any]:
    """Map a walk round a block with and without closing the loop, and compare with the map from true poses.

    Writes ``figures.json``, ``map.png`` (both maps from above) and ``config.yaml`` to ``out_dir``.

    Args:
        poses: "given" with injected drift, or "tracked" from the images alone (drift is then the tracker's own).
        drift: injected, metres per metre travelled. step_m: between frames.

    Returns:
        The figures, as docs/evaluation.md names them.
    """
    if poses not in ("given", "tracked"):
        raise SpatiaError(f"evaluate loop: expected poses given or tracked, got {poses!r}")
    if not (0.0 < drift <= 0.1 and 0.02 <= step_m <= 0.5):
        raise SpatiaError(f"evaluate loop: expected a drift in 0..0.1 and a step of 0.02..0.5 m, got {drift} and {step_m}")
    walk = recorded(config.seed, drift, step_m)
    truth = Memory(config.memory)
    for frame in tqdm(walk.frames, desc="map from true poses", unit="frame"):
        truth.integrate(frame)
    measure = _measure(truth, walk.scene)
    without = _mapped(walk, closing(config, False), poses, "without closure").finish()
    mapper = _mapped(walk, closing(config, True), poses, "with closure")
    bent = measure(mapper.memory)
    mapped = mapper.finish(walk.images, lambda numbers: tqdm(numbers, desc="integrating again", unit="frame"))
    made_anew = measure(mapped.memory)
    figures = _figures(walk, config, poses, mapper, mapped, without) | {
        "map_error_m": made_anew["error_m"], "map_error_without_closure_m": measure(without.memory)["error_m"],
        "completeness": made_anew["completeness"], "made_anew": made_anew, "bent": bent,
        "without_closure": measure(without.memory), "true_poses": measure(truth),
    }  # fmt: skip
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", configs.dump(config))
    picture = _side_by_side(_drawn(without, walk, figures, False), _drawn(mapped, walk, figures, True))
    write_bytes(out_dir / "map.png", encode_png(picture))
    return figures


def closing(config: WorldConfig, wanted: bool) -> WorldConfig:
    """The config with loops looked for, or not, whatever the poses are."""
    loops = config.loops.model_copy(update={"enabled": wanted, "correct_given": wanted})
    return config.model_copy(update={"loops": loops})


def _mapped(walk: Walk, config: WorldConfig, poses: Poses, what: str) -> Mapper:
    mapper = Mapper(config, CAMERA, poses=poses)
    for frame, T in zip(tqdm(walk.frames, desc=what, unit="frame"), walk.T_drifted, strict=True):
        mapper.observe(frame.rgb, frame.depth, frame.stamp_ns, T)
    return mapper


def _measure(truth: Memory, scene: Scene) -> Callable[[Memory], dict[str, float]]:
    """A function from a map to its figures against the map from true poses and against the scene's surfaces."""
    reference = truth.points().xyz
    tree = cKDTree(reference)

    def figures(memory: Memory) -> dict[str, float]:
        xyz = _some(memory.points().xyz)
        near = tree.query(xyz, workers=-1)[0]
        missing = cKDTree(memory.points().xyz).query(_some(reference), workers=-1)[0]
        return {
            "error_m": round(float(near.mean()), 5), "error_95_m": round(float(np.quantile(near, 0.95)), 5),
            "surface_error_m": round(float(scene.distance(xyz).mean()), 5),
            "completeness": round(float((missing < COMPLETE_M).mean()), 4),
            "points": len(memory),
        }  # fmt: skip

    return figures


def _some(xyz: np.ndarray) -> np.ndarray:
    """At most SAMPLE points, evenly chosen."""
    return xyz[:: max(1, len(xyz) // SAMPLE)]


def _figures(walk: Walk, config: WorldConfig, poses: Poses, mapper: Mapper, mapped: Mapped, without: Mapped) -> dict[str, Any]:
    stamps = mapped.trajectory.stamps_ns
    true = walk.T_true[stamps // FRAME_NS]
    before = without.trajectory.T_world_cam[-1]
    return {
        "poses": poses, "seed": config.seed, "frames": len(walk.frames), "path_m": round(walk.path_m(), 3),
        "drift_before_m": round(apart_m(before, walk.T_true[without.trajectory.stamps_ns[-1] // FRAME_NS]), 4),
        "drift_after_m": round(apart_m(mapped.trajectory.T_world_cam[-1], true[-1]), 4),
        "ate_rmse_m": _ate(mapped, walk), "ate_rmse_without_closure_m": _ate(without, walk),
        "loops": len(mapped.loops), "false_loops": _false_loops(mapper, walk), "lost": int(mapped.figures["lost"]),
        "keyframes": int(mapped.figures["keyframes"]), "corrections": int(mapped.figures["corrections"]),
    }  # fmt: skip


def _ate(mapped: Mapped, walk: Walk) -> float:
    """RMSE of positions; both paths start at the same pose, so nothing is aligned."""
    true = walk.T_true[mapped.trajectory.stamps_ns // FRAME_NS]
    return round(float(np.sqrt(((mapped.trajectory.T_world_cam[:, :3, 3] - true[:, :3, 3]) ** 2).sum(1).mean())), 5)


def _false_loops(mapper: Mapper, walk: Walk) -> int:
    """Believed loops whose motion is not the true one."""
    T = walk.T_true[np.array([node.stamp_ns for node in mapper.graph.nodes]) // FRAME_NS]
    wrong = 0
    for loop in mapper.graph.loops:
        T_i_j = geometry.inverse(T[loop.i]) @ T[loop.j]
        wrong += apart_m(loop.T_i_j, T_i_j) > FALSE_M or apart_rad(loop.T_i_j, T_i_j) > FALSE_RAD
    return wrong


def _drawn(mapped: Mapped, walk: Walk, figures: dict[str, Any], closed: bool) -> UInt8:
    points, path = mapped.memory.points(), mapped.trajectory.T_world_cam[:, :3, 3]
    # Both maps the same way round.
    plan = draw_plan(points.xyz, points.rgb, mapped.memory.config.voxel_m, np.array([0.0, 0.0, 1.0]), path, axes=np.eye(3))
    at = {int(t): p for t, p in zip(mapped.trajectory.stamps_ns, path, strict=True)}
    ends = np.array([[at[a], at[b]] for a, b in mapped.loops]).reshape(-1, 2, 3)
    error = figures["map_error_m"] if closed else figures["map_error_without_closure_m"]
    title = f"{'loop closed' if closed else 'without closure'}: map {100 * error:.1f} cm off"
    return draw_map(plan, Journey(path, loops=ends, true_path=walk.T_true[:, :3, 3]), title)


def _side_by_side(left: UInt8, right: UInt8) -> UInt8:
    height = max(len(left), len(right))
    padded = [np.pad(p, ((0, height - len(p)), (0, 0), (0, 0))) for p in (left, right)]
    for p, original in zip(padded, (left, right), strict=True):
        p[len(original) :] = BACKGROUND
    return np.concatenate(padded, axis=1)

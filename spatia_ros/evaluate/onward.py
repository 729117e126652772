"""How a place goes on past its scan: a camera turns away from all that was seen, every frame going on from inventions.

Far from anything seen nobody can say what is there, and no generator comes near the truth. But a place can stay likely:
as light, as colourful as what was seen of it. One that is a little off in each frame, and is told so in the next, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.flights import world_of
from spatia_ros.evaluate.measures import depth_errors, psnr
from spatia_ros.evaluate.novel_view import mean
from spatia_ros.evaluate.pictures import strip
from spatia_ros.evaluate.sources import HFOV_RAD
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.geometry import pose
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.slam.verify import REASONS
from spatia_ros.types import Camera, Float32, Float64, Frame, SpatiaError, UInt8

DEGREES = (5.0, 15.0, 30.0, 60.0, 90.0)
STEP_DEG = 1.5
"""A turn of 45 degrees a second at 30 frames a second."""
SEEN = 24
"""Poses of the walk that memory is made from."""
BRIGHT, DARK = 250, 5
"""Levels from which on all three channels are white, and down to which they are black."""
KINDS = ("room", "corridor", "desk", "street")
HELD = REASONS.index("accepted")
"""Verdicts up to this one: memory showed it, or has taken it in."""
METHODS = ("generated", "projection", "mean", "truth")


class Picture(NamedTuple):
    """What is seen at one angle.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], m, 0 where nothing is met. kept: share of it that memory holds from now on.
    """

    rgb: UInt8
    depth: Float32
    kept: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One scene, turned away from.

    Args:
        name: of the scene. colour: float64 [3], the mean of all that was seen, levels.
        pictures: by method, one for each of the angles.
    """

    name: str
    colour: Float64
    pictures: dict[str, list[Picture]]


def evaluate_onward(
    config: WorldConfig, out_dir: Path, scenes: int = 8, seed: int = 1000, degrees: Sequence[float] = DEGREES,
    step_deg: float = STEP_DEG,
) -> dict[str, Any]:
    """Turn away from what was seen of procedural scenes, and compare what is invented with the truth and with what was seen.

    Args:
        seed: of the first scene; scenes go through rooms, corridors, desks and streets, and turn left and right in turn.
        degrees: how far the camera has turned, rising. step_deg: from one frame to the next.

    Returns:
        The figures, as docs/evaluation.md names them: lists in the order of ``degrees``.

    Raises:
        SpatiaError: for angles that do not rise, or steps larger than the first of them.
    """
    if not degrees or any(b <= a for a, b in zip((0.0, *degrees), degrees, strict=False)) or not 0 < step_deg <= degrees[0]:
        raise SpatiaError(f"onward: expected rising degrees, and steps of at most the first, got {list(degrees)} in {step_deg}")
    size = (config.camera.width_px, config.camera.height_px)
    turns = [
        _turn(config, k, seed + k, degrees, step_deg, size)
        for k in tqdm(range(scenes), desc="turning away", unit="scene")
    ]
    figures: dict[str, Any] = {
        "generator": config.generator.name, "scenes": scenes, "seed": seed, "step_deg": step_deg, "degrees": list(degrees),
    } | figures_of(turns)
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    write_bytes(out_dir / "strip.png", encode_png(_strip(turns, degrees)))
    return figures


def _turn(config: WorldConfig, k: int, seed: int, degrees: Sequence[float], step_deg: float, size: tuple[int, int]) -> Turn:
    from spatia_ros.train.scenes import random_scene  # Open3D is heavy

    rng, kind = np.random.default_rng([seed, 0x0A3D]), KINDS[k % len(KINDS)]
    scene = random_scene(rng, kind)
    walk, camera = scene.random_path(rng, SEEN), Camera.from_fov(*size, HFOV_RAD)
    seen = [scene.render(camera, T, 100_000_000 * (i + 1)) for i, T in enumerate(walk)]
    way = turning(walk[-1], step_deg * (-1.0) ** k, int(np.ceil(degrees[-1] / step_deg)))
    at = [min(round(d / step_deg), len(way)) - 1 for d in degrees]
    pictures = {"generated": gone_on(config, seen, way, at), "projection": gone_on(_null(config), seen, way, at)}
    colour = np.concatenate([f.rgb.reshape(-1, 3) for f in seen]).mean(0)
    flat = np.broadcast_to(np.round(colour).astype(np.uint8), (size[1], size[0], 3))
    truths = [scene.render(camera, way[i]) for i in at]
    pictures["mean"] = [Picture(flat, np.zeros(flat.shape[:2], np.float32), 0.0)] * len(at)
    pictures["truth"] = [Picture(truth.rgb, truth.depth, 1.0) for truth in truths]
    return Turn(f"{kind} {seed}", colour, pictures)


def _null(config: WorldConfig) -> WorldConfig:
    generator = config.generator.model_copy(update={"name": ProjectionGenerator.name, "prompt": ""})
    return config.model_copy(update={"generator": generator})


def turning(T_world_cam: Float64, step_deg: float, n: int) -> Float64:
    """``T_world_cam`` float64 [n, 4, 4] of a camera that turns on the spot about its own vertical, from a pose on."""
    yaw = np.radians(step_deg) * np.arange(1, n + 1)
    turns = [np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]) for a in yaw]
    return np.stack([T_world_cam @ pose(turn, np.zeros(3)) for turn in turns])


def gone_on(config: WorldConfig, seen: Sequence[Frame], way: Float64, at: Sequence[int]) -> list[Picture]:
    """The pictures a world gives at some poses of a way that it goes all of, a frame at a time."""
    world, pictures = world_of(config, seen), dict[int, Picture]()
    world.time_ns = world.start_ns = seen[-1].stamp_ns
    for i, T_world_cam in enumerate(way):
        step = world.look(T_world_cam)
        if i in at:
            pictures[i] = Picture(step.rgb[0], step.depth[0], float((step.verdict[0] <= HELD).mean()))
    return [pictures[i] for i in at]


def figures_of(turns: Sequence[Turn]) -> dict[str, Any]:
    """Means over scenes, a list over the angles for each method.

    Returns:
        "psnr": dB against the truth. "depth": AbsRel over what the truth meets. "kept": share of a picture that memory held, or
        holds from then on. "off": how far the mean colour of a picture is from the mean of what was seen, levels (root of
        the mean square over channels). "blown": share of pixels that are white or black. The last two hold the truth as
        well: how far places are from what was seen of them.
    """
    angles = range(len(turns[0].pictures["truth"]))

    def over(measure: Any, methods: Sequence[str]) -> dict[str, list[float | None]]:
        return {m: [mean([measure(t.pictures[m][a], t, a) for t in turns]) for a in angles] for m in methods}

    return {
        "psnr": over(lambda p, turn, a: psnr(p.rgb, turn.pictures["truth"][a].rgb), METHODS[:3]),
        "depth": over(lambda p, turn, a: absrel(p.depth, turn.pictures["truth"][a].depth), METHODS[:2]),
        "kept": over(lambda p, *_: p.kept, METHODS[:2]),
        "off": over(lambda p, turn, _: colour_off(p.rgb, turn.colour), METHODS),
        "blown": over(lambda p, *_: blown(p.rgb), METHODS),
    }


def absrel(depth: Float32, truth: Float32) -> float:
    """AbsRel where the truth meets something; NaN where it does nowhere."""
    return depth_errors(depth, truth, truth > 0).absrel


def colour_off(rgb: UInt8, colour: Float64) -> float:
    """How far a picture's mean colour is from another, levels of 255."""
    return float(np.sqrt(np.mean((rgb.reshape(-1, 3).mean(0) - colour) ** 2)))


def blown(rgb: UInt8) -> float:
    """Share of pixels that are white or black, all channels together."""
    return float(((rgb >= BRIGHT).all(-1) | (rgb <= DARK).all(-1)).mean())


def _strip(turns: Sequence[Turn], degrees: Sequence[float]) -> UInt8:
    rows = []
    for turn in turns:
        for method, said in (("generated", "ours"), ("truth", "truth")):
            pictures = zip(turn.pictures[method], degrees, strict=True)
            shown = [(picture.rgb, f"{turn.name}, {said}, {d:g} degrees") for picture, d in pictures]
            rows.append(shown)
    return strip([f"{d:g} degrees" for d in degrees], rows)

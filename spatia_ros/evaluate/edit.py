"""Remove a thing by its name: is it gone from every later frame, and is everything else as it was?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.measures import psnr
from spatia_ros.evaluate.novel_view import known
from spatia_ros.evaluate.pictures import strip
from spatia_ros.geometry import look_at
from spatia_ros.memory import Memory
from spatia_ros.memory.edit import Editor
from spatia_ros.memory.regions import Object
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.train import scene_glb
from spatia_ros.train.scene_moving import MovingScene
from spatia_ros.train.scenes import Scene, glb_scene
from spatia_ros.types import Bool, Camera, Float64, Frame, SpatiaError, Step, Trajectory
from spatia_ros.world import World, open_generator

OBJECTS = ("SofaC_01_001", "KitchenTable_01_001", "Ball_01_001", "Refrigerator_01_001")
HFOV_RAD = 1.2
ANGLES, RADII_M, HEIGHTS_M = 24, (1.4, 2.0, 2.8), (0.8, 1.3, 1.7)
"""Eyes are looked for on circles around the thing: directions, distances from it, heights above the floor."""
SEED_EYES, TURNS_RAD = 12, tuple(np.arange(6) * np.pi / 3)
"""Places memory is made from, at most; from each the camera looks at the thing, and all around."""
LEAST_SHARE = 0.01
"""Share of the picture a thing fills at least, in the views it is judged in."""
NEAREST_M = 0.35
"""No surface is nearer to an eye, in any direction it looks in."""
RIM_PX = 3
"""Pixels this near to the thing's outline are neither it nor unaffected."""
SAME_COLOUR = 16
"""Levels in every channel within which a pixel has the colour the thing has there."""
SAME_DEPTH_M, SAME_DEPTH_RATIO = 0.05, 0.02
"""And the depth: metres, and relative to depth, whichever is more."""


@dataclass(frozen=True, slots=True)
class Views:
    """Cameras around a thing: ``seed`` are what memory is made from, ``path`` is flown later. float64 [N, 4, 4]."""

    seed: Float64
    path: Float64


def evaluate_edit(
    path: Path, config: WorldConfig, out_dir: Path, objects: Sequence[str] = OBJECTS, frames: int = 12
) -> dict[str, Any]:
    """Remove each object from a memory of the scene, fly around where it stood, and look for it.

    Memory is made anew for each object from exact RGB-D frames around it, with the object numbers as labels.
    The same path is flown in the unedited memory, in one whose points were removed but no keyframe masked, and in one
    made from frames without the object: what the test finds there it takes for the object.
    Writes ``figures.json``, ``strip.png`` and ``config.yaml`` to ``out_dir``.

    Args:
        path: a .glb file of named objects, metres, z up. frames: of the path around each object.

    Returns:
        The figures, as docs/evaluation.md names them.

    Raises:
        SpatiaError: for a name the file does not have, or a thing no camera finds room around.
    """
    names = scene_glb.object_names(path)
    scene, camera = glb_scene(path), Camera.from_fov(config.camera.width_px, config.camera.height_px, HFOV_RAD)
    config = _reaching(config, float(np.linalg.norm(np.ptp(scene.mesh.vertices, axis=0))))
    each: dict[str, dict[str, Any]] = {}
    rows = []
    for name in tqdm(objects, desc="edit", unit="object"):
        numbers = [number for number, said in names.items() if said == name]
        if not numbers:
            raise SpatiaError(f"object {name!r}: expected one of {', '.join(sorted(set(names.values())))}")
        each[name], row = _remove(MovingScene(scene, numbers), names, name, config, camera, frames)
        rows.append(row)
    figures = {"generator": config.generator.name, **_summary(each), "objects": each}
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    columns = ["unedited", "edited", "truth without it", "points removed, keyframes not masked"]
    write_bytes(out_dir / "strip.png", encode_png(strip(columns, rows)))
    return figures


def _reaching(config: WorldConfig, span_m: float) -> WorldConfig:
    """The configuration with a sensor that reaches across the scene, so that what is far is measured and not invented."""
    memory = config.memory.model_copy(update={"max_range_m": max(config.memory.max_range_m, span_m)})
    return config.model_copy(update={"memory": memory})


def views_around(scene: MovingScene, camera: Camera, low: Float64, high: Float64, frames: int) -> Views:
    """Cameras around a thing of these bounds: half of the places found for memory, others, in turn, for the path.

    Raises:
        SpatiaError: when there are too few places with the thing in view and nothing right before the camera.
    """
    small, centre, found = camera.resized(80, 48), (low + high) / 2, []
    reach = float(np.linalg.norm((high - low)[:2])) / 2
    for k in range(ANGLES):
        angle = 2 * np.pi * k / ANGLES
        for radius, height in zip(RADII_M, HEIGHTS_M, strict=True):
            eye = centre + (radius + reach) * np.array([np.cos(angle), np.sin(angle), 0.0])
            eye[2] = height
            T = look_at(eye, centre, np.array([0.0, 0.0, 1.0]))
            depth = scene.render(small, T, antialias=False).depth
            if scene.object_mask(small, T).mean() >= LEAST_SHARE and depth[depth > 0].min() >= NEAREST_M:
                found.append(T)
    if len(found) < 6:
        raise SpatiaError(f"evaluate edit: expected at least 6 places to see the object from, found {len(found)}")
    eyes, rest = found[::2], found[1::2]
    eyes = [eyes[i * len(eyes) // SEED_EYES] for i in range(SEED_EYES)] if len(eyes) > SEED_EYES else eyes
    seed = [_turned(T, turn) for T in eyes for turn in TURNS_RAD]
    return Views(np.stack(seed), np.stack([rest[i * len(rest) // frames] for i in range(frames)]))


def _turned(T_world_cam: Float64, angle: float) -> Float64:
    """The camera turned about the vertical through its eye."""
    c, s = np.cos(angle), np.sin(angle)
    out = T_world_cam.copy()
    out[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ T_world_cam[:3, :3]
    return out


def _remove(
    scene: MovingScene, names: dict[int, str], name: str, config: WorldConfig, camera: Camera, frames: int
) -> tuple[dict[str, Any], list]:
    """One object's figures, and its row of pictures."""
    corners = scene.mesh.vertices[scene.mesh.faces[np.isin(scene.mesh.obj, [n for n, said in names.items() if said == name])]]
    views = views_around(scene, camera, corners.min((0, 1)), corners.max((0, 1)), frames)
    memory = _memory(scene, names, config, camera, views.seed)
    stamps_ns = 10**9 * (len(views.seed) + 1) + 10**8 * np.arange(frames, dtype=np.int64)
    flight = Trajectory(stamps_ns, views.path)
    world, kept = World(config, memory, open_generator(config), camera), list(memory.keyframes.keyframes)
    start = world.snapshot()
    unedited = world.advance(flight)
    world.restore(start)
    counts = Editor(world.memory).remove(Object(name))
    edited = world.advance(flight)
    world.restore(start)
    Editor(world.memory).remove(Object(name))
    for i, keyframe in enumerate(kept):
        world.memory.keyframes.replace(i, keyframe)
    unmasked = world.advance(flight)
    truths = [Truth.of(scene, camera, T) for T in views.path]
    scene.place(None)
    never = World(config, _memory(scene, names, config, camera, views.seed), open_generator(config), camera).advance(flight)
    scene.place(np.eye(4))
    figures = _figures(truths, unedited, edited, unmasked, never) | {"seed_frames": len(views.seed), "frames": frames}
    figures |= {"points_removed": counts["removed"], "keyframes_masked": counts["keyframes"]}
    return figures, _row(name, truths, unedited, edited, unmasked)


def _memory(scene: Scene, names: dict[int, str], config: WorldConfig, camera: Camera, poses: Float64) -> Memory:
    """A memory of exact frames, every point with the name of its object."""
    memory = Memory(config.memory)
    memory.names.update(names)
    for i, T in enumerate(poses):
        frame = scene.render(camera, T, i * 10**9)
        memory.integrate(frame, label=scene.render_ids(camera, T).astype(np.uint16))
    return memory


@dataclass(frozen=True, slots=True)
class Truth:
    """What a camera would really see, with the thing and without it; ``covered`` bool [H, W] are the thing's pixels."""

    there: Frame
    gone: Frame
    covered: Bool

    @classmethod
    def of(cls, scene: MovingScene, camera: Camera, T_world_cam: Float64) -> Truth:
        """Both renderings; the light of the scene stays as it is, the thing's shadow with it."""
        scene.place(np.eye(4))
        there, covered = scene.render(camera, T_world_cam), scene.object_mask(camera, T_world_cam)
        scene.place(None)
        gone = scene.render(camera, T_world_cam)
        scene.place(np.eye(4))
        return cls(there, gone, covered)

    def still_shown(self, rgb: np.ndarray, depth: np.ndarray) -> tuple[Bool, Bool, Bool]:
        """Which pixels show the thing by colour, which by depth, and of which that can be said: bool [H, W] each.

        A pixel shows it by depth if its depth is the thing's within tolerance, and nearer to that than to what is
        behind; by colour likewise, where all that is behind within one pixel counts, for a picture drawn from
        memory may be off by a part of one. Where both truths are alike within tolerance, nothing can be said.
        """
        there, gone = self.there.rgb.astype(int), self.gone.rgb.astype(int)
        apart = np.abs(there - gone).max(-1) > SAME_COLOUR
        off = np.abs(rgb - there)
        around = np.pad(gone, ((1, 1), (1, 1), (0, 0)), mode="edge")
        h, w = self.covered.shape
        off_gone = np.min([np.abs(rgb - around[y : y + h, x : x + w]).sum(-1) for y in range(3) for x in range(3)], 0)
        colour = apart & (off.max(-1) <= SAME_COLOUR) & (off.sum(-1) < off_gone)
        near, far = self.there.depth, self.gone.depth
        tolerance = np.maximum(SAME_DEPTH_M, SAME_DEPTH_RATIO * near)
        deep = np.abs(near - far) > tolerance
        close = deep & (np.abs(depth - near) <= tolerance) & (np.abs(depth - near) < np.abs(depth - far))
        return self.covered & colour, self.covered & close, self.covered & (apart | deep)


def _figures(truths: list[Truth], unedited: Step, edited: Step, unmasked: Step, never: Step) -> dict[str, Any]:
    by_frame = [_cleared(truth, edited, i) for i, truth in enumerate(truths)]
    told = np.array([frame[3] for frame in by_frame], np.float64)
    shown, colour, depth = (np.array([frame[k] for frame in by_frame]) for k in range(3))
    apart = [~_grown(t.covered, RIM_PX) for t in truths]
    outside = [psnr(unedited.rgb[i], edited.rgb[i], apart[i]) for i in range(len(truths))]
    sensed = [psnr(unedited.rgb[i], edited.rgb[i], _measured(unedited, edited, i) & apart[i]) for i in range(len(truths))]
    seen_before = sum(_cleared(t, unedited, i)[0] for i, t in enumerate(truths))
    mistaken = np.array([_cleared(t, never, i)[0] for i, t in enumerate(truths)])
    without_masks = sum(_cleared(t, unmasked, i)[0] for i, t in enumerate(truths))
    return {
        "cleared": float(1 - shown.sum() / told.sum()),
        "cleared_worst_frame": float((1 - shown / np.maximum(told, 1)).min()),
        "cleared_never_there": float(1 - mistaken.sum() / told.sum()),
        "cleared_never_there_worst_frame": float((1 - mistaken / np.maximum(told, 1)).min()),
        "shown_by_colour": float(colour.sum() / told.sum()), "shown_by_depth": float(depth.sum() / told.sum()),
        "pixels": int(told.sum()), "pixels_covered": int(sum(t.covered.sum() for t in truths)),
        "cleared_unedited": float(1 - seen_before / told.sum()), "cleared_without_masks": float(1 - without_masks / told.sum()),
        "unaffected_psnr": known(float(np.nanmean(outside))), "unaffected_psnr_worst_frame": known(float(np.nanmin(outside))),
        "unaffected_sensed_psnr": known(float(np.nanmean(sensed))),
        "unaffected_sensed_psnr_worst_frame": known(float(np.nanmin(sensed))),
        "invented_where_it_was": float(np.mean([(~edited.coverage[i])[t.covered].mean() for i, t in enumerate(truths)])),
    }  # fmt: skip


def _cleared(truth: Truth, step: Step, i: int) -> tuple[int, int, int, int]:
    """Pixels that show the thing (either way, by colour, by depth), and those of which it can be said."""
    colour, depth, told = truth.still_shown(step.rgb[i].astype(int), step.depth[i])
    return int((colour | depth).sum()), int(colour.sum()), int(depth.sum()), int(told.sum())


def _measured(a: Step, b: Step, i: int) -> Bool:
    """Pixels that both runs remember from a sensor alone: bool [H, W]."""
    return (a.provenance[i] == 255) & (b.provenance[i] == 255)


def _grown(mask: Bool, by_px: int) -> Bool:
    import cv2

    side = 2 * by_px + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)


def _summary(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    each = list(objects.values())
    return {
        "cleared_mean": float(np.mean([f["cleared"] for f in each])), "cleared_worst": min(f["cleared"] for f in each),
        "unaffected_psnr_mean": float(np.mean([f["unaffected_psnr"] for f in each])),
        "unaffected_psnr_worst": min(f["unaffected_psnr"] for f in each),
        "cleared_worst_frame": min(f["cleared_worst_frame"] for f in each),
        "unaffected_psnr_worst_frame": min(f["unaffected_psnr_worst_frame"] for f in each),
    }  # fmt: skip


def _row(name: str, truths: list[Truth], unedited: Step, edited: Step, unmasked: Step) -> list:
    """The frame in which the object is largest."""
    i = int(np.argmax([t.covered.sum() for t in truths]))
    cleared = [1 - _cleared(truths[i], s, i)[0] / max(_cleared(truths[i], s, i)[3], 1) for s in (edited, unmasked)]
    return [
        (unedited.rgb[i], name), (edited.rgb[i], f"{cleared[0]:.2%} of its pixels no longer show it"),
        (truths[i].gone.rgb, ""), (unmasked.rgb[i], f"{cleared[1]:.2%}"),
    ]  # fmt: skip

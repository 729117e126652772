"""The box the generator draws of what the prompt names, against the box that geometry gives.

Held-out clips of procedural scenes in each of which the prompt first names a thing that moves. The geometric
answer is the box of the pixels that show it. The network is not told it; it is told the prompt, the memory
(which never holds what moves), its context, and the clip's clock.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.novel_view import mean
from spatia_ros.evaluate.pictures import strip
from spatia_ros.generator.box import DrawnBox, cells_of, iou, read_box
from spatia_ros.generator.dropped import clip_without
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.generator.stream import Held, Stream
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.train.clip_scenes import Plan
from spatia_ros.train.clip_set import VALIDATION
from spatia_ros.train.clip_sources import Material, shard_runs
from spatia_ros.train.clips import Clip
from spatia_ros.train.example import Example, example_of
from spatia_ros.types import Float32, Float64, SpatiaError, UInt8
from spatia_ros.world import open_generator

FRAMES = 4
IN_SIGHT = 0.5
"""Share of a clip's frames that must show the thing, not too small a one."""
LEAST_AREA = 0.01
"""Of the frame, that its box has there."""
CLIPS = 16
SHOWN = 6
MIDDLE = 0.35
"""Sides of the control's box, as shares of the frame's."""


def named_clips(seed: int, count: int, size: tuple[int, int]) -> list[Clip]:
    """Clips drawn from a seed, one of a run, whose prompt names something that a good part of the frames shows.

    Args:
        size: width and height, px.
    """
    rng, plan, clips = np.random.default_rng([seed, 0xB0C5]), Plan(size=size, frames=FRAMES), list[Clip]()
    while len(clips) < count:
        for run in shard_runs(VALIDATION, len(clips), Material(), plan, rng):
            clips += [c for c in run if c.boxes is not None and _shown(c.boxes, size) >= IN_SIGHT][:1]
    return clips[:count]


def _shown(boxes: Float64, size: tuple[int, int]) -> float:
    """Share of frames in which the thing's box is large enough; NaN, out of sight, is not."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return float((areas >= LEAST_AREA * size[0] * size[1]).mean())


def evaluate_box(config: WorldConfig, out_dir: Path, seed: int, clips: int = CLIPS) -> dict[str, Any]:
    """Have the boxes of held-out clips drawn, and compare them with the geometric ones.

    Returns:
        The figures, as docs/navigation.md names them.

    Raises:
        SpatiaError: when the generator draws no boxes.
    """
    generator = open_generator(config)
    if not isinstance(generator, SpaceTimeGenerator):
        raise SpatiaError(f"box: expected a generator of space, time and context, got {config.generator.name!r}")
    size = (config.camera.width_px or 256, config.camera.height_px or 160)
    found: dict[str, list[Boxes]] = {"drawn": [], "no_prompt": [], "cells": [], "middle": []}
    pointed: list[tuple[bool, float]] = []
    held_out = named_clips(seed, clips, size)
    for clip in tqdm(held_out, desc="boxes", unit="clip"):
        assert clip.boxes is not None
        example = example_of(clip, None, np.random.default_rng(0))
        drawn = channel_drawn(generator, example, seed)
        unasked = channel_drawn(generator, example, seed, frozenset({"text"}))
        found["drawn"].append(tuple(read_box(each, size[::-1]) for each in drawn))
        found["no_prompt"].append(tuple(read_box(each, size[::-1]) for each in unasked))
        pointed += [pointing(each, true[0]) for each, true in zip(drawn, example.box, strict=True) if (true > 0).any()]
        found["cells"].append(_read_back(clip.boxes, example, size))
        found["middle"].append((_middle(size),) * len(clip))
    truths = [clip.boxes for clip in held_out if clip.boxes is not None]
    figures: dict[str, Any] = {"generator": config.generator.name, "clips": clips, "seed": seed}
    figures |= {name: figures_of(boxes, truths, size) for name, boxes in found.items()}
    hits, shares = zip(*pointed, strict=True)
    figures["pointing"] = {"hit": mean([float(hit) for hit in hits]), "by_chance": mean(list(shares))}
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    write_bytes(out_dir / "strip.png", encode_png(_strip(held_out, found["drawn"])))
    return figures


Boxes = tuple[DrawnBox | None, ...]


def channel_drawn(
    generator: SpaceTimeGenerator, example: Example, seed: int, less: frozenset[str] = frozenset()
) -> Float32:
    """The box channel a generator draws of a clip's frames, float32 [T, h, w]; nothing tells it where the box is.

    Args:
        less: conditions that are left out.
    """
    stream = Stream(0, held=Held(example.told.anchor, example.context, (), ()))
    told = clip_without(example.told, generator.dropped | less)
    return generator.latents(told, stream, np.random.default_rng(seed))[:, -1]


def pointing(drawn: Float32, true: Float32) -> tuple[bool, float]:
    """Whether the highest cell of a channel [h, w] lies in the true box, and how likely that is by chance."""
    inside = true > 0
    return bool(inside.ravel()[int(drawn.argmax())]), float(inside.mean())


def _read_back(boxes: Float64, example: Example, size: tuple[int, int]) -> Boxes:
    """True boxes drawn into cells and read from them: as right as a drawn box can be."""
    rows, cols = example.box.shape[2:]
    return tuple(read_box(drawn[0], size[::-1]) for drawn in cells_of(boxes, (rows, cols)))


def _middle(size: tuple[int, int]) -> DrawnBox:
    """A control that knows nothing: a box in the middle."""
    (width, height), half = size, MIDDLE / 2
    return DrawnBox((0.5 - half) * width, (0.5 - half) * height, (0.5 + half) * width, (0.5 + half) * height)


def figures_of(drawn: list[Boxes], truths: list[Float64], size: tuple[int, int]) -> dict[str, float | None]:
    """How boxes of clips compare with the true ones float64 [T, 4] (NaN: out of sight), over all frames.

    Returns:
        "iou": mean over the frames in sight, 0 where none is drawn; "found": share of them with IoU of half or more;
        "drawn": share with a box at all; "centre_error": mean distance of middles where both are, as a share of the
        frame's diagonal; "false": share of frames out of sight with a box.
    """
    pairs = [pair for boxes, true in zip(drawn, truths, strict=True) for pair in zip(boxes, true, strict=True)]
    seen = [(box, true) for box, true in pairs if np.isfinite(true).all()]
    both = [(box.as_array(), true) for box, true in seen if box is not None]
    overlaps = [0.0 if box is None else iou(box.as_array(), true) for box, true in seen]
    middles = [np.linalg.norm((box[:2] + box[2:] - true[:2] - true[2:]) / 2) / np.hypot(*size) for box, true in both]
    hidden = [box for box, true in pairs if not np.isfinite(true).all()]
    return {
        "iou": mean(overlaps), "found": mean([float(o >= 0.5) for o in overlaps]),
        "drawn": mean([float(box is not None) for box, _ in seen]),
        "centre_error": mean([float(m) for m in middles]), "false": mean([float(box is not None) for box in hidden]),
        "frames": len(seen), "frames_out_of_sight": len(hidden),
    }


def _strip(clips: list[Clip], drawn: list[Boxes]) -> UInt8:
    rows = []
    for clip, boxes in list(zip(clips, drawn, strict=True))[:SHOWN]:
        assert clip.boxes is not None
        row = []
        for target, true, box in zip(clip.targets, clip.boxes, boxes, strict=True):
            shown = _outlined(target.rgb, true, (255, 255, 255))
            shown = shown if box is None else _outlined(shown, box.as_array(), (255, 60, 60))
            row.append((shown, f"{clip.prompt.split(' ')[0]}: {_said(box, true)}"))
        rows.append(row)
    return strip(["white: geometric, red: drawn", *[""] * (FRAMES - 1)], rows)


def _said(box: DrawnBox | None, true: Float64) -> str:
    if not np.isfinite(true).all():
        return "out of sight"
    return "none drawn" if box is None else f"IoU {iou(box.as_array(), true):.2f}"


def _outlined(rgb: UInt8, box: Float64, colour: tuple[int, int, int]) -> UInt8:
    if not np.isfinite(box).all():
        return rgb
    left, top, right, bottom = (int(v) for v in box.round())
    return np.asarray(cv2.rectangle(rgb.copy(), (left, top), (right - 1, bottom - 1), colour, 1), np.uint8)

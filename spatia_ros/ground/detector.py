"""Objects in pictures by words: any open-vocabulary detector, and how its boxes become things in space.

:class:`NetworkDetector` runs a public network (OWL-ViT, OWLv2, Grounding DINO ...) from a local folder, through Hugging
Face ``transformers``: what ``save_pretrained`` of the model and of its processor leave. Nothing is ever downloaded, and
no code of the folder is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spatia_ros.geometry import pixel_rays
from spatia_ros.ground.thing import MOST_POINTS, Thing
from spatia_ros.types import Bool, Float32, Float64, Frame, SpatiaError, UInt8

MOST_QUERIES = 64
MOST_BOXES = 100
BIN_RATIO = 0.06
"""Depths within this ratio of each other are one surface, in looking for what of a box is the thing."""
BREADTHS = 1.2
"""A thing is at most so many times as deep as its box is wide or high, whichever is more."""
SAME_PLACE = 0.2
"""Sightings of one word whose boxes overlap by this share of the smaller one are one thing."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A box of a picture.

    Args:
        label: one of the words asked for. score: 0..1. box_px: left, top, right, bottom, px.
    """

    label: str
    score: float
    box_px: tuple[float, float, float, float]


class Detector(Protocol):
    """Anything that finds words in a picture."""

    name: str

    def detect(self, rgb: UInt8, words: Sequence[str]) -> list[Detection]:
        """Boxes of what the words say in a picture uint8 [H, W, 3]."""


class NetworkDetector:
    """An open-vocabulary detector from a folder.

    Args:
        folder: see the module. threshold: detections of a lower score are left out.

    Raises:
        SpatiaError: when torch or transformers are not installed, or the folder holds no such detector.
    """

    def __init__(self, folder: Path | str, threshold: float = 0.2) -> None:
        folder = Path(folder)
        if not 0.0 <= threshold <= 1.0:
            raise SpatiaError(f"detector: expected a threshold of 0..1, got {threshold}")
        if not (folder / "config.json").is_file():
            raise SpatiaError(f"detector: expected a folder with config.json of a detector, got {folder}")
        try:
            import torch
            from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor
        except ImportError as error:
            raise SpatiaError(
                "detector: networks need torch and transformers: pip install -r requirements/train.txt "
                f"-c requirements/constraints.txt ({error})"
            ) from error
        try:
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._model: Any = AutoModelForZeroShotObjectDetection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
        except Exception as error:
            # The loaders raise whatever their parts raise on files that are not theirs.
            raise SpatiaError(f"detector: {folder}: not an open-vocabulary detector: {type(error).__name__}: {error}") from error
        self._torch, self.threshold, self.name = torch, threshold, f"the detector in {folder.name}"
        self._model.eval()

    def detect(self, rgb: UInt8, words: Sequence[str]) -> list[Detection]:
        """See :class:`Detector`; the best first.

        Raises:
            SpatiaError: for no words, or too many.
        """
        if not 0 < len(words) <= MOST_QUERIES:
            raise SpatiaError(f"detector: expected 1..{MOST_QUERIES} words, got {len(words)}")
        height, width = rgb.shape[:2]
        asked = [[f"a {word}" for word in words]]
        inputs = self._processor(text=asked, images=rgb, return_tensors="pt")
        with self._torch.inference_mode():
            outputs = self._model(**inputs)
        found = self._read(outputs, inputs, (height, width), asked)
        if not len(found["scores"]):  # the readers still give a word then
            return []
        out = []
        labels = self._labels(found, asked[0])
        for score, label, box in zip(found["scores"].tolist(), labels, found["boxes"].tolist(), strict=True):
            left, top, right, bottom = (float(np.clip(v, 0, m)) for v, m in zip(box, (width, height) * 2, strict=True))
            if 0 <= label < len(words) and right - left >= 1 and bottom - top >= 1:
                out.append(Detection(words[label], float(score), (left, top, right, bottom)))
        return sorted(out, key=lambda d: -d.score)[:MOST_BOXES]

    def _read(self, outputs: Any, inputs: Any, size: tuple[int, int], asked: list[list[str]]) -> dict[str, Any]:
        """The processor's own reading of a network's outputs: scores, labels and boxes in pixels of the picture."""
        read = self._processor.post_process_grounded_object_detection
        if self._model.config.model_type in ("owlvit", "owlv2"):
            return dict(read(outputs, target_sizes=[size], threshold=self.threshold, text_labels=asked)[0])
        return dict(read(outputs, inputs["input_ids"], target_sizes=[size], threshold=self.threshold, text_labels=asked)[0])

    @staticmethod
    def _labels(found: dict[str, Any], asked: list[str]) -> list[int]:
        """Which of the words each box is of, -1 for none of them."""
        said = found.get("text_labels")
        if said is None:
            return [int(v) for v in found["labels"]]
        return [next((i for i, word in enumerate(asked) if text and (text in word or word in text)), -1) for text in said]


def lift(detection: Detection, frame: Frame) -> Thing | None:
    """The thing in space that a box of a frame shows: its points, without what is before and behind; None without depth.

    Of a box, the depth most of its middle has is the thing's; from there outwards goes what hangs together in depth.
    """
    left, top, right, bottom = (round(v) for v in detection.box_px)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    depth = frame.depth[top:bottom, left:right]
    chosen = _foreground(depth, max((right - left) / frame.camera.fx, (bottom - top) / frame.camera.fy))
    if chosen is None:
        return None
    rays = pixel_rays(frame.camera)[top:bottom, left:right]
    points = (rays * depth[..., None])[chosen] @ frame.T_world_cam[:3, :3].T + frame.T_world_cam[:3, 3]
    rgb = frame.rgb[top:bottom, left:right][chosen]
    some = np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int)
    xyz = points[some].astype(np.float32)
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    return Thing(detection.label, detection.label, "detector", xyz, rgb[some], low, high, score=detection.score)


def _foreground(depth: Float32, breadth: float) -> Bool | None:
    """Which pixels of a box [h, w] show the thing in it. ``breadth`` is the box's larger side at a depth of 1 m."""
    known = depth > 0
    h, w = depth.shape
    middle = np.zeros_like(known)
    middle[h // 4 : h - h // 4, w // 4 : w - w // 4] = True
    values = np.sort(depth[known & middle] if (known & middle).any() else depth[known])
    if not len(values):
        return None
    # The depth around which, within a ratio, most of the middle lies.
    ends = np.searchsorted(values, values * (1 + BIN_RATIO), side="right")
    start = int(np.argmax(ends - np.arange(len(values))))
    near, far = float(values[start]), float(values[ends[start] - 1])
    reach = BREADTHS * breadth * near
    ordered = np.sort(depth[known])
    while True:  # what continues in depth without a step belongs to it
        inside = ordered[(ordered >= near * (1 - BIN_RATIO / 2)) & (ordered <= far * (1 + BIN_RATIO / 2))]
        new_near, new_far = float(inside[0]), float(inside[-1])
        if (new_near, new_far) == (near, far) or new_far - new_near > reach:
            break
        near, far = new_near, new_far
    return np.asarray(known & (depth >= near) & (depth <= far))


def things_seen(detector: Detector, frames: Iterable[Frame], words: Sequence[str]) -> list[Thing]:
    """What a detector finds in posed frames, lifted; what several frames show at one place is one thing."""
    found: list[Thing] = []
    for frame in frames:
        for detection in detector.detect(frame.rgb, words):
            thing = lift(detection, frame)
            if thing is not None:
                found = _merged(found, thing)
    count: dict[str, int] = {}
    out = []
    for thing in sorted(found, key=lambda t: -t.score):
        count[thing.kind] = count.get(thing.kind, 0) + 1
        out.append(replace(thing, name=f"{thing.kind} {count[thing.kind]}"))
    return out


def _merged(found: list[Thing], thing: Thing) -> list[Thing]:
    """The things with one more, joined to those at its place."""
    rest = []
    for other in found:
        if other.kind == thing.kind and _overlap(other, thing) >= SAME_PLACE:
            xyz, rgb = np.concatenate([other.xyz, thing.xyz]), np.concatenate([other.rgb, thing.rgb])
            some = np.linspace(0, len(xyz) - 1, min(len(xyz), MOST_POINTS)).astype(int)
            low, high = _joined_box(other, thing)
            score = max(other.score, thing.score)
            thing = Thing(thing.name, thing.kind, "detector", xyz[some], rgb[some], low, high, score=score)
        else:
            rest.append(other)
    return [*rest, thing]


def _joined_box(a: Thing, b: Thing) -> tuple[Float64, Float64]:
    return np.minimum(a.low, b.low), np.maximum(a.high, b.high)


def _overlap(a: Thing, b: Thing) -> float:
    """Volume two boxes share, of the smaller one's; thin boxes count as 5 cm thick."""
    thick = 0.025
    both = np.clip(np.minimum(a.high, b.high) - np.maximum(a.low, b.low) + 2 * thick, 0.0, None)
    smaller = min(float(np.prod(a.size + 2 * thick)), float(np.prod(b.size + 2 * thick)))
    return float(np.prod(both)) / smaller

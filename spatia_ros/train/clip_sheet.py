"""A picture of clips, to look at what is learned from: a row each, of memory's views, context, and truths."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from spatia_ros.train.clip_augment import augment
from spatia_ros.train.clip_set import ClipSet
from spatia_ros.train.clips import Clip
from spatia_ros.types import UInt8

TILE = (160, 100)
"""Width and height of one picture, px."""
FRAMES, CONTEXT = 4, 4


def row(clip: Clip) -> UInt8:
    """Views, context frames, truths side by side, with animation times (s) and boxes; uint8 [100, W, 3]."""
    taus: list[float | None] = [None] * len(clip) if clip.animation_s is None else [float(t) for t in clip.animation_s]
    views = [_tile(v.rgb) for v in clip.views[:FRAMES]]
    context = [_tile(clip.sights[k].keyframe.rgb, clip.sights[k].animation_s) for k in clip.context[:CONTEXT]]
    truths = []
    for i, target in enumerate(clip.targets[:FRAMES]):
        rgb = target.rgb.copy()
        if clip.boxes is not None and np.isfinite(clip.boxes[i]).all():
            left, top, right, bottom = (int(x) for x in clip.boxes[i])
            cv2.rectangle(rgb, (left, top), (right - 1, bottom - 1), (255, 255, 0), 1)
        truths.append(_tile(rgb, taus[i]))
    black = np.zeros((TILE[1], TILE[0], 3), np.uint8)
    columns = [each + [black] * (n - len(each)) for each, n in ((views, FRAMES), (context, CONTEXT), (truths, FRAMES))]
    picture = np.concatenate([tile for column in columns for tile in column], 1)
    cv2.putText(picture, clip.prompt[:60], (4, TILE[1] - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def _tile(rgb: UInt8, animation_s: float | None = None) -> UInt8:
    tile = cv2.resize(rgb, TILE, interpolation=cv2.INTER_AREA)
    if animation_s is not None:
        cv2.putText(tile, f"{animation_s:.2f}", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 0), 1, cv2.LINE_AA)
    return tile.astype(np.uint8, copy=False)


def write_sheet(path: Path, clips: ClipSet, count: int, seed: int) -> None:
    """Draw random clips, augmented as for training, to a PNG."""
    rng = np.random.default_rng(seed)
    rows = [row(augment(clips.pick(rng), rng)[0]) for _ in range(count)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])

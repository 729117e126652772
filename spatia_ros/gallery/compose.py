"""Films as pictures for people: captions, two takes side by side with the pixels that differ, strips."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from spatia_ros.gallery.shoot import Shot
from spatia_ros.record.panels import BACKGROUND, FAINT, TEXT, font
from spatia_ros.types import Bool, UInt8

DIFFERS = (255, 64, 150)
BAR, LINE, GAP = 28, 20, 4
STRIP_HEIGHT = 180


def differing(a: Shot, b: Shot) -> Bool:
    """bool [H, W]: pixels that are not the same to the bit."""
    return np.asarray((a.rgb != b.rgb).any(-1), bool)


def stray(a: Shot, b: Shot) -> int:
    """How many pixels differ that show an actor in neither of two takes."""
    return int((differing(a, b) & (a.segmentation == 0) & (b.segmentation == 0)).sum())


def likeness_db(a: Shot, b: Shot) -> float:
    """PSNR between two shots over the pixels that show an actor in neither; 99 at most."""
    still = (a.segmentation == 0) & (b.segmentation == 0)
    error = float(((a.rgb[still].astype(np.float64) - b.rgb[still]) ** 2).mean()) if still.any() else 0.0
    return min(99.0, float(10 * np.log10(255.0**2 / max(error, 1e-12))))


def difference_picture(a: Shot, b: Shot) -> UInt8:
    """uint8 [H, W, 3]: the first in faint grey, where the second differs in pink."""
    grey = 28 + 0.35 * cv2.cvtColor(a.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    light = 0.35 + 0.65 * np.maximum(a.rgb, b.rgb).max(-1, keepdims=True) / 255.0
    return np.where(differing(a, b)[..., None], np.array(DIFFERS) * light, grey).clip(0, 255).astype(np.uint8)


def clocks(shot: Shot) -> str:
    """Which moment everybody shows, in words."""
    by_tau: dict[float, list[str]] = {}
    for actor in shot.actors:
        by_tau.setdefault(round(actor.tau_s, 2), []).append(actor.name)
    if len(by_tau) <= 1:
        return f"animation {next(iter(by_tau), shot.animation_s):.1f} s"
    usual = max(by_tau, key=lambda tau: len(by_tau[tau]))
    others = [f"{' and '.join(names)} {tau:.1f} s" for tau, names in by_tau.items() if tau != usual]
    return f"animation {usual:.1f} s, {', '.join(others)}"


def captioned(pictures: Sequence[UInt8], left: Sequence[str], right: str, below: str = "") -> UInt8:
    """uint8 [H, W, 3]: pictures side by side under a bar with a word over each, one at the right end, and a line below them."""
    height = BAR + LINE * bool(below)
    gap = np.full((pictures[0].shape[0], GAP, 3), BACKGROUND, np.uint8)
    row = np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], 1)
    image = Image.fromarray(np.concatenate([np.full((height, row.shape[1], 3), BACKGROUND, np.uint8), row]))
    draw = ImageDraw.Draw(image)
    for k, word in enumerate(left):
        draw.text((8 + k * (pictures[0].shape[1] + GAP), 6), word, fill=TEXT, font=font(15))
    draw.text((image.width - 8, 6), right, fill=FAINT, font=font(15), anchor="ra")
    draw.text((8, 6 + LINE), below, fill=FAINT, font=font(15))
    out = np.asarray(image)
    return np.ascontiguousarray(np.pad(out, ((0, out.shape[0] % 2), (0, out.shape[1] % 2), (0, 0)), mode="edge"))


def panels(shots: Sequence[Shot], names: Sequence[str]) -> tuple[list[UInt8], list[str]]:
    """The pictures of one moment, and what each is: the takes, and for two of them what differs."""
    pictures, words = [shot.rgb for shot in shots], list(names)
    if len(shots) == 2:
        pictures.append(difference_picture(*shots))
        words.append("pixels that differ")
    return pictures, words


def moment(shots: Sequence[Shot], names: Sequence[str], title: str) -> UInt8:
    """The picture of one moment of a film: its takes, captioned."""
    pictures, words = panels(shots, names)
    if len(shots) == 1:  # a title and all clocks are more than one line of a small picture holds
        return captioned(pictures, [title], "", f"camera {shots[0].at_s:.1f} s, {clocks(shots[0])}")
    return captioned(pictures, words, f"{shots[0].at_s:.1f} s")


def strip(moments: Sequence[Sequence[Shot]], names: Sequence[str]) -> UInt8:
    """uint8 [H, W, 3]: moments of a film, in a row; of two takes, one moment a row."""
    if len(names) == 2:
        rows = []
        for k, shots in enumerate(moments):
            pictures, words = panels(shots, names)
            small = [_small(picture) for picture in pictures]
            rows.append(_labelled(small, words if k == 0 else [], f"{shots[0].at_s:.1f} s"))
        return np.concatenate(rows)
    small = [_small(shots[0].rgb) for shots in moments]
    per_row = 3 if len(small) > 4 else len(small)
    words = [f"{shots[0].at_s:.1f} s: {clocks(shots[0])}" for shots in moments]
    rows = [_labelled(small[k : k + per_row], words[k : k + per_row], "") for k in range(0, len(small), per_row)]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_widened(row, width) for row in rows])


def _small(rgb: UInt8) -> UInt8:
    width = round(rgb.shape[1] * STRIP_HEIGHT / rgb.shape[0])
    return np.asarray(cv2.resize(rgb, (width, STRIP_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _labelled(pictures: Sequence[UInt8], words: Sequence[str], right: str) -> UInt8:
    return captioned(pictures, words, right)


def _widened(row: UInt8, width: int) -> UInt8:
    wide = np.full((row.shape[0], width, 3), BACKGROUND, np.uint8)
    wide[:, : row.shape[1]] = row
    return wide

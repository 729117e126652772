#!/usr/bin/env python3
"""What the network begins from: how long the image of a view takes, with and without what memory doubts to be in sight.

    python bench/fill.py [--size 320x192] [--json FILE]

The built-in room, its memory made from the first 30 % of the scan, seen along all of it. The image of each view is made as
it is and without its doubted surfaces, by turns; the first round is not measured. Medians over views, ms. Likewise depth guessed
with planes that go on and by the membrane alone, and how far either is off what the scan measured where memory shows nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout as it is

from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.bench_loop import world_of
from spatia_ros.generator import image
from spatia_ros.generator.condition import ClipView, images_of
from spatia_ros.record.files import write_json
from spatia_ros.train.scan import builtin_scan
from spatia_ros.types import Bool, Float32, View

ROUNDS = 9


def views(size: tuple[int, int]) -> Iterator[tuple[ClipView, Float32]]:
    """Every third view of the scan, with what memory retrieves for it; and the depth measured there."""
    scan = builtin_scan()
    world, small = world_of(WorldConfig(), scan, size), scan.resized(*size)
    for i in range(0, len(small), 3):
        frame = small.frame(i)
        view = world.memory.render(world.camera, frame.T_world_cam, 0)
        references = world.memory.retrieve(view, world.camera, frame.T_world_cam, world.generator.references)
        yield ClipView.still(view, references, world.camera, frame.T_world_cam), frame.depth


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of some work."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def guessed_by_membrane(view: View) -> Float32:
    """Depth where no plane goes on."""
    with mock.patch.object(image, "carried_on", lambda inverse, *_: inverse):
        return image.guess_depth(view)


def absrel(guess: Float32, truth: Float32, where: Bool) -> float:
    """Mean relative error of depth."""
    return float((np.abs(guess - truth)[where] / truth[where]).mean())


def of_guesses(told: list[tuple[ClipView, Float32]]) -> dict[str, float]:
    """Depth guessed either way: time, median over views; error, over all their pixels that memory does not show."""
    shown = [(each.views[0], depth) for each, depth in told]
    ways = (image.guess_depth, guessed_by_membrane)
    rounds = [[[timed(partial(way, view)) for way in ways] for view, _ in shown] for _ in range(ROUNDS + 1)][1:]
    ms = np.median(np.median(np.array(rounds), axis=0), axis=0)
    open_to = [(view, depth, ~view.coverage & (depth > 0)) for view, depth in shown]
    truth, where = (np.stack([each[n] for each in open_to]) for n in (1, 2))
    with_planes, alone = (absrel(np.stack([way(view) for view, *_ in open_to]), truth, where) for way in ways)
    return {
        "guess_ms": round(float(ms[0]), 2), "guess_by_membrane_ms": round(float(ms[1]), 2),
        "guess_slowdown_vs_membrane": round(float(ms[0] / ms[1]), 2), "guess_absrel": round(float(with_planes), 4),
        "guess_by_membrane_absrel": round(float(alone), 4),
    }  # fmt: skip


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="320x192", help="width x height, px")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    seen = list(views((width, height)))
    told = [shown for shown, _ in seen if shown.views[0].doubted is not None]
    untold = [replace(shown, views=(replace(shown.views[0], doubted=None),)) for shown in told]
    pairs = list(zip(told, untold, strict=True))
    rounds = [[[timed(partial(images_of, shown)) for shown in pair] for pair in pairs] for _ in range(ROUNDS + 1)][1:]
    with_ms, without_ms = np.median(np.array(rounds), axis=0).T
    shares = [shown.views[0].doubted.there.mean() for shown in told if shown.views[0].doubted is not None]
    figures = {
        "size": asked.size, "views": len(told), "doubted_share": round(float(np.mean(shares)), 3),
        "image_ms": round(float(np.median(with_ms)), 2), "image_without_doubted_ms": round(float(np.median(without_ms)), 2),
        "difference_ms": round(float(np.median(with_ms - without_ms)), 2), **of_guesses(seen),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:28s} {value}")
    if asked.json:
        write_json(asked.json, figures)


if __name__ == "__main__":
    main()

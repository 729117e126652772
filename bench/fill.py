#!/usr/bin/env python3
"""What the network begins from: how long the image of a view takes, with and without what memory doubts to be in sight.

    python bench/fill.py [--size 320x192] [--json FILE]

The built-in room, its memory made from the first 30 % of the scan, seen along all of it. The image of each view is made as
it is and without its doubted surfaces, by turns; the first round is not measured. Medians over views, ms.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout as it is

from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.bench_loop import world_of
from spatia_ros.generator.condition import ClipView, images_of
from spatia_ros.record.files import write_json
from spatia_ros.train.scan import builtin_scan

ROUNDS = 9


def views(size: tuple[int, int]) -> Iterator[ClipView]:
    """Every third view of the scan that shows something doubted, with what memory retrieves for it."""
    scan = builtin_scan()
    world = world_of(WorldConfig(), scan, size)
    for T_world_cam in scan.T_world_cam[::3]:
        view = world.memory.render(world.camera, T_world_cam, 0)
        if view.doubted is not None:
            references = world.memory.retrieve(view, world.camera, T_world_cam, world.generator.references)
            yield ClipView.still(view, references, world.camera, T_world_cam)


def timed(shown: ClipView) -> float:
    """Milliseconds of one image."""
    start = time.perf_counter()
    images_of(shown)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="320x192", help="width x height, px")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    told = list(views((width, height)))
    untold = [replace(shown, views=(replace(shown.views[0], doubted=None),)) for shown in told]
    rounds = [[(timed(a), timed(b)) for a, b in zip(told, untold, strict=True)] for _ in range(ROUNDS + 1)][1:]
    with_ms, without_ms = np.median(np.array(rounds), axis=0).T
    shares = [shown.views[0].doubted.there.mean() for shown in told if shown.views[0].doubted is not None]
    figures = {
        "size": asked.size, "views": len(told), "doubted_share": round(float(np.mean(shares)), 3),
        "image_ms": round(float(np.median(with_ms)), 2), "image_without_doubted_ms": round(float(np.median(without_ms)), 2),
        "difference_ms": round(float(np.median(with_ms - without_ms)), 2),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:28s} {value}")
    if asked.json:
        write_json(asked.json, figures)


if __name__ == "__main__":
    main()

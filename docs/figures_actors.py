"""Draws the figures of docs/actors.md, by the code they explain.

    python docs/figures_actors.py                    # into docs/images, a minute
    python docs/figures_actors.py --out DIR --width 64 --only library
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figures import GAP, UP, Studio, draw_all, strip

from spatia_ros import geometry
from spatia_ros.actors import Cast, PoseTrack, pattern, script
from spatia_ros.actors.draw import draw
from spatia_ros.actors.library import LIBRARY, library_actor
from spatia_ros.actors.patterns import SHAPES
from spatia_ros.record.panels import BACKGROUND
from spatia_ros.train.scan import scan
from spatia_ros.types import Camera, Float64, UInt8

SCRIPT = """
actors:
  - {name: walker, kind: pedestrian, colour: green, path: [[0, 1.2, 2.3, 0, 5], [3, 4.0, 2.55, 0, 5]]}
  - {name: ball, kind: ball, path: [[0, 3.3, 3.6, 0, -100], [3, 2.9, 2.2, 0, -100]]}
"""
CHANGES = {
    "as it is": "",
    "frozen at 1 s": "clock: {pattern: freeze, start_s: 1, length_s: 9}",
    "the walker backwards": "edit: [{name: walker, clock: {pattern: reverse, end_s: 3}}]",
    "the ball a second earlier": "edit: [{name: ball, earlier_s: 1}]",
}
EYE, TARGET, DRIFT = np.array([0.8, 3.9, 1.6]), np.array([3.0, 1.7, 0.6]), np.array([0.25, 0.1, 0.0])
MOMENTS_S = (0.0, 1.0, 2.0, 3.0)


def library(studio: Studio) -> UInt8:
    """Each thing of the library at work."""
    panels = []
    for kind, known in LIBRARY.items():
        cast = Cast()
        cast.add(library_actor(kind, "", PoseTrack.path([[0, 0, 0, 0, 0], [1, 1, 0, 0, 0]])))
        (posed,) = cast.at(0.0)
        middle = (posed.low + posed.high) / 2
        away = 1.05 * float(np.linalg.norm(posed.high - posed.low))
        T = geometry.look_at(middle + away * np.array([0.62, -0.7, 0.36]), middle, UP)
        panels.append((_on_grey(studio.camera, T, cast), f"{kind}: {known.description}"))
    return strip(panels)


def _on_grey(camera: Camera, T_world_cam: Float64, cast: Cast) -> UInt8:
    shade = np.linspace(226, 168, camera.height)[:, None, None]
    rgb = np.broadcast_to(shade, (camera.height, camera.width, 3)).astype(np.uint8)
    return draw(rgb, np.zeros(rgb.shape[:2], np.float32), cast.at(0.0), camera, T_world_cam).rgb


def patterns(studio: Studio) -> UInt8:
    """Animation time over time, for each of the ten."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.8, 4.6), dpi=max(20, 100 * studio.camera.width // 320))
    canvas = FigureCanvasAgg(figure)
    t = np.linspace(-1, 7, 801)
    for k, name in enumerate(SHAPES):
        axes = figure.add_subplot(2, 5, k + 1)
        axes.axvspan(0, 4, color="0.92")
        axes.plot(t, pattern(name, 0.0, 4.0, at_s=0.0).at(t), linewidth=2)
        axes.set(title=name, xlim=(-1, 7), ylim=(-1.2, 7), xticks=(0, 4), yticks=(0, 4))
        axes.grid(True, linewidth=0.5)
    figure.supxlabel("time t, s")
    figure.supylabel("animation time tau, s")
    figure.tight_layout()
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def times(studio: Studio) -> UInt8:
    """One scene four times: as it is, bullet time, one actor rewound, one a second earlier."""
    way = np.stack([geometry.look_at(EYE, TARGET + t * DRIFT, UP) for t in MOMENTS_S])
    seen = scan(studio.scene, studio.camera, len(way), np.random.default_rng(1), path=way)
    memory = studio.memory([*studio.scan, *seen])
    pictures = []
    for caption, change in CHANGES.items():
        cast, panels = script.load_text(SCRIPT + change, Path), []
        for t, T in zip(MOMENTS_S, way, strict=True):
            view = memory.render(studio.camera, T, 0)
            said = f"{t:g} s: {caption}" if t == MOMENTS_S[0] else f"{t:g} s"
            panels.append((draw(view.rgb, view.depth, cast.at(t), studio.camera, T).rgb, said))
        pictures.append(strip(panels))
    gap = np.full((GAP, pictures[0].shape[1], 3), BACKGROUND, np.uint8)
    return np.concatenate([row for picture in pictures for row in (picture, gap)][:-1])


FIGURES = {"library": library, "patterns": patterns, "times": times}


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the figures asked for."""
    draw_all(FIGURES, "actors", __doc__ or "", argv)


if __name__ == "__main__":
    main()

"""The box channel: drawn, read back, carried by the stream, and compared with geometry."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_engine import tiny_engine
from tiny_networks import CHANNELS, Arrays, TinyNetworks

from spatia_ros.config import GeneratorConfig, from_dict
from spatia_ros.evaluate.box import evaluate_box, figures_of, pointing
from spatia_ros.generator.box import DrawnBox, cells_of, iou, read_box
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.types import Camera, Float32, SpatiaError, View

SIZE = (64, 96)


def test_a_box_is_drawn_into_cells_and_read_back() -> None:
    boxes = np.array([[16.0, 32.0, 64.0, 64.0], [20.0, 5.0, 22.0, 9.0], [np.nan] * 4, [80.0, 48.0, 96.0, 60.0]])
    cells = cells_of(boxes, (4, 6))
    assert cells.shape == (4, 1, 4, 6)
    assert read_box(cells[0, 0], SIZE) == DrawnBox(16.0, 32.0, 64.0, 64.0, 1.0)
    small = read_box(cells[1, 0], SIZE)
    assert small is not None
    assert (small.left, small.top) == (16.0, 0.0), "what is smaller than a cell has the cell its middle lies in"
    assert read_box(cells[2, 0], SIZE) is None, "out of sight"
    assert (cells[2] == -1).all()
    cut = read_box(cells[3, 0], (60, 90))
    assert cut is not None
    assert (cut.right, cut.bottom) == (90.0, 60.0), "a box ends where the frame does"


def test_the_largest_group_is_the_box_and_says_how_sure_it_is() -> None:
    drawn = np.full((4, 6), -0.5, np.float32)
    drawn[0, 0] = 3.0
    drawn[2, 2:5] = (0.2, 0.4, 0.6)
    box = read_box(drawn, SIZE)
    assert box is not None
    assert box.as_array().tolist() == [32.0, 32.0, 80.0, 48.0]
    assert box.sure == pytest.approx(0.4)


def test_iou_has_known_values() -> None:
    a = np.array([0.0, 0.0, 2.0, 2.0])
    assert iou(a, a) == 1.0
    assert iou(a, a + (1.0, 0.0, 1.0, 0.0)) == pytest.approx(1 / 3)
    assert iou(a, a + 5.0) == 0.0
    assert iou(0 * a, 0 * a) == 0.0


class Drawing(TinyNetworks):
    """Draws the same box into every frame that a prompt is told for."""

    def denoise(self, inputs: Arrays) -> dict[str, Float32]:
        z0 = super().denoise(inputs)["z0"]
        z0[:, :, -1] = -1.0
        if inputs["text"].any():
            z0[:, :, -1, 1, 2:4] = 0.9
        return {"z0": z0}


def still(frames: int = 1) -> ClipView:
    depth = np.full((32, 64), 2.0, np.float32)
    view = View(np.full((32, 64, 3), 90, np.uint8), depth, depth > 0, np.sign(depth), 0 * depth)
    camera, times = Camera.from_fov(64, 32, 1.0), 0.1 * np.arange(frames)
    return ClipView((view,) * frames, ((),) * frames, camera, np.tile(np.eye(4), (frames, 1, 1)), times, times)


def test_the_stream_tells_what_box_was_drawn_last() -> None:
    generator = SpaceTimeGenerator("tiny", Drawing(), GeneratorConfig(prompt="red ball"))
    stream, rng = generator.stream(), np.random.default_rng(0)
    assert stream.boxes == ()
    generator.sample(generator.condition(still(2), stream), stream, rng)
    box = DrawnBox(32.0, 16.0, 64.0, 32.0, pytest.approx(0.9))
    assert stream.boxes == (box, box)
    state = stream.snapshot()
    silent = SpaceTimeGenerator("tiny", Drawing(), GeneratorConfig())
    stream.computed.clear()
    silent.sample(silent.condition(still(), stream), stream, rng)
    assert stream.boxes == (None,)
    stream.restore(state)
    assert stream.boxes == (box, box)


def test_a_told_box_is_read_back_as_told() -> None:
    generator = SpaceTimeGenerator("tiny", TinyNetworks(), GeneratorConfig(steps=2))
    stream, rng = generator.stream(), np.random.default_rng(0)
    told = generator.condition(still(), stream)
    told.box[:] = cells_of(np.array([[0.0, 0.0, 32.0, 16.0]]), (2, 4))
    assert told.box.shape[2:] == (2, 4)
    generator.sample(told, stream, rng)
    assert stream.boxes == (DrawnBox(0.0, 0.0, 32.0, 16.0, 1.0),)
    assert CHANNELS == 5


def test_figures_count_what_is_missed_and_what_is_not_there() -> None:
    true = np.array([[0.0, 0.0, 32.0, 32.0], [0.0, 0.0, 32.0, 32.0], [np.nan] * 4, [np.nan] * 4])
    half = DrawnBox(0.0, 0.0, 32.0, 16.0)
    figures = figures_of([(half, None, half, None)], [true], (96, 64))
    assert figures["iou"] == pytest.approx(0.25), "a half where one is drawn, 0 where none is"
    assert figures["found"] == figures["drawn"] == figures["false"] == 0.5
    assert figures["centre_error"] == pytest.approx(8 / np.hypot(96, 64), abs=1e-4)
    assert (figures["frames"], figures["frames_out_of_sight"]) == (2, 2)


def test_pointing_is_the_highest_cell() -> None:
    true = cells_of(np.array([[16.0, 16.0, 48.0, 32.0]]), (4, 6))[0, 0]
    drawn = np.full((4, 6), -1.0, np.float32)
    drawn[1, 2] = -0.8
    assert pointing(drawn, true) == (True, pytest.approx(2 / 24))
    assert pointing(-drawn, true)[0] is False


def test_held_out_boxes_are_drawn_and_compared(tmp_path) -> None:
    config = from_dict({
        "camera": {"width_px": 64, "height_px": 48},
        "generator": {"name": str(tiny_engine()), "runtime": "onnxruntime", "threads": 1},
    })
    figures = evaluate_box(config, tmp_path, seed=5, clips=1)
    assert figures["cells"]["drawn"] == 1.0
    assert figures["cells"]["frames"] + figures["cells"]["frames_out_of_sight"] == 4
    assert figures["cells"]["frames"] >= 2
    assert figures["cells"]["iou"] > figures["drawn"]["iou"]
    assert 0 < figures["pointing"]["by_chance"] < 0.6
    assert (tmp_path / "figures.json").exists()
    assert (tmp_path / "strip.png").stat().st_size > 1000
    with pytest.raises(SpatiaError, match="expected a generator of space, time and context"):
        evaluate_box(from_dict({"generator": {"name": "projection"}}), tmp_path, 0)

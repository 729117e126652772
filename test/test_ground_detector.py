"""Open-vocabulary detectors: networks of a local folder are run as they are, and their boxes become things in space."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from test_edit import CAMERA, pose_at, room_frame, room_memory

from spatia_ros.config import WorldConfig
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.geometry import project
from spatia_ros.ground import navigate
from spatia_ros.ground.detector import Detection, NetworkDetector, lift, things_seen
from spatia_ros.types import SpatiaError
from spatia_ros.world import World

RGB = np.random.default_rng(0).integers(0, 255, (96, 160, 3), dtype=np.uint8)


@dataclass
class RedFinder:
    """Finds what is red, whatever it is asked for."""

    name: str = "red finder"
    asked: list[list[str]] = field(default_factory=list)

    def detect(self, rgb, words):
        self.asked.append(list(words))
        red = (rgb[..., 0] > 200) & (rgb[..., 1] < 60)
        if not red.any():
            return []
        rows, cols = np.nonzero(red.any(1))[0], np.nonzero(red.any(0))[0]
        # A box as loose as a detector's.
        return [Detection(words[0], 0.9, (cols[0] - 3.0, rows[0] - 3.0, cols[-1] + 4.0, rows[-1] + 4.0))]


@pytest.mark.parametrize("kind", ["owlv2", "owlvit", "grounding-dino"])
def test_a_network_of_a_folder_detects(tmp_path, kind):
    pytest.importorskip("transformers", reason="detectors need transformers")
    from tiny_detectors import tiny_dino, tiny_owl

    folder = tiny_dino(tmp_path) if kind == "grounding-dino" else tiny_owl(tmp_path, kind)
    detector = NetworkDetector(folder, threshold=0.0)
    found = detector.detect(RGB, ["red ball", "chair"])
    assert found
    assert {d.label for d in found} <= {"red ball", "chair"}
    for d in found:
        left, top, right, bottom = d.box_px
        assert 0 <= left < right <= 160
        assert 0 <= top < bottom <= 96
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    assert found == detector.detect(RGB, ["red ball", "chair"])
    some = NetworkDetector(folder, threshold=found[0].score * 0.999).detect(RGB, ["red ball", "chair"])
    assert 0 < len(some) <= len(found)
    assert NetworkDetector(folder, threshold=1.0).detect(RGB, ["chair"]) == []
    with pytest.raises(SpatiaError, match="words"):
        detector.detect(RGB, [])


def test_owl_boxes_lie_where_their_patches_are(tmp_path):
    """With box heads that say next to nothing, a box sits about its patch of the padded square."""
    pytest.importorskip("transformers", reason="detectors need transformers")
    from tiny_detectors import tiny_owl

    found = NetworkDetector(tiny_owl(tmp_path), threshold=0.0).detect(RGB, ["chair"])
    middles = np.array([[(d.box_px[0] + d.box_px[2]) / 2, (d.box_px[1] + d.box_px[3]) / 2] for d in found])
    assert np.ptp(middles[:, 0]) > 80, "all across the picture, not in one place"


@pytest.mark.parametrize("content", [None, "{}", '{"model_type": "bert"}'])
def test_a_folder_without_a_detector_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(SpatiaError, match="detector"):
        NetworkDetector(tmp_path)


def test_a_box_becomes_the_thing_in_it():
    frame, label = room_frame(pose_at(0.4))
    (detection,) = RedFinder().detect(frame.rgb, ["ball"])
    ball = lift(detection, frame)
    # The side of a ball of 0.8 m that faces the camera, without the wall behind it.
    radius = np.linalg.norm(ball.xyz, axis=1)
    assert np.quantile(np.abs(radius - 0.8), 0.97) < 0.02
    assert len(ball.xyz) > 0.9 * min((label == 7).sum(), 4000)
    uv, _ = project(ball.xyz.astype(np.float64), CAMERA, frame.T_world_cam)
    left, top, right, bottom = detection.box_px
    assert ((uv >= (left, top)) & (uv <= (right, bottom))).all()


def test_a_box_without_depth_is_nothing():
    frame, _ = room_frame(pose_at(0.0))
    frame.depth[:] = 0.0
    assert lift(Detection("ball", 0.5, (10.0, 10.0, 40.0, 40.0)), frame) is None


def test_several_pictures_of_one_thing_are_one_thing():
    frames = [room_frame(pose_at(2 * np.pi * i / 6), i)[0] for i in range(6)]
    (ball,) = things_seen(RedFinder(), frames, ["ball"])
    assert ball.name == "ball 1"
    np.testing.assert_allclose(ball.middle, 0.0, atol=0.1)
    np.testing.assert_allclose(ball.size, 1.6, atol=0.15)


def test_a_detector_finds_what_has_no_name():
    memory = room_memory(8)
    memory.names.clear()
    world, start, finder = World(WorldConfig(), memory, ProjectionGenerator(), CAMERA), pose_at(0.3), RedFinder()
    assert not navigate(world, "the red globe", start).found
    answer = navigate(world, "the red globe", start, detector=finder)
    assert finder.asked[0] == ["red globe"]
    assert answer.found
    assert answer.target.source == "detector"
    np.testing.assert_allclose(answer.target.position, 0.0, atol=0.1)
    assert answer.target.box_px is not None

"""Scene navigation from pictures alone: what the network is told, how it is guided, and the figures' known answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_engine import tiny_engine
from tiny_networks import Arrays, TinyNetworks
from tiny_room import room_depth, room_rgb, swaying

from spatia_ros import geometry
from spatia_ros.config import GeneratorConfig, from_dict
from spatia_ros.evaluate.navigation import Ablations, evaluate_navigation, modes_of, stretches_of
from spatia_ros.evaluate.scene_distance import STRIDE, Scene, nearest_alike, nearest_alike_truth, scene_distance
from spatia_ros.generator.anchor import NO_CLOCK
from spatia_ros.generator.condition import ClipView, images_of
from spatia_ros.generator.dropped import FAR, RAYS
from spatia_ros.generator.navigation import (
    INDEX_S,
    Guidance,
    Video,
    anchor_of,
    blank_view,
    context_of,
    navigate,
    path_told,
)
from spatia_ros.generator.navigation import (
    Path as Way,
)
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.generator.text import tokenise
from spatia_ros.sequence import Sequence
from spatia_ros.types import Camera, Frame, SpatiaError, View

CAMERA = Camera.from_fov(72, 40, 1.2)
NO_WORDS = tokenise("")


def seen(t: float, T_world_moved: np.ndarray | None = None) -> Frame:
    """The tiny room at a time; the whole world may be moved, and nothing then looks different."""
    T = swaying(t)
    there = T if T_world_moved is None else T_world_moved @ T
    return Frame(room_rgb(T, CAMERA), room_depth(T, CAMERA), CAMERA, there, round(t * 1e9))


def video_of(frames: list[Frame]) -> Video:
    return Video(tuple(f.rgb for f in frames), np.array([f.stamp_ns * 1e-9 for f in frames]))


def way_of(last: Frame, targets: list[Frame]) -> Way:
    back = geometry.inverse(last.T_world_cam)
    times_s = last.stamp_ns * 1e-9 + 0.1 * np.arange(1, len(targets) + 1)
    return Way(CAMERA, np.stack([back @ t.T_world_cam for t in targets]), times_s)


GIVEN, ASKED = [seen(t) for t in (0.0, 0.4, 1.7)], [seen(t) for t in (0.9, 0.6, 0.3, 0.2, 0.1)]


def test_context_holds_pictures_and_true_times_and_nothing_else() -> None:
    context = context_of(video_of(GIVEN))
    assert context.frames[:, :3].std() > 0.5, "the pictures"
    assert not context.frames[:, 3:].any(), "no depth, and none known"
    assert not context.rays.any(), "no poses"
    assert (context.animation == NO_CLOCK).all()
    np.testing.assert_allclose(context.time, [0.0, -1.3, -1.7], atol=1e-6)  # newest first, gaps as they were
    neighbours = context_of(video_of(GIVEN), "contiguous")
    np.testing.assert_allclose(neighbours.time, [0.0, -INDEX_S, -2 * INDEX_S], atol=1e-6)
    assert np.array_equal(neighbours.frames, context.frames)


def test_where_the_world_is_says_nothing() -> None:
    moved = geometry.pose(swaying(5.0)[:3, :3], np.array([40.0, -7.0, 3.0]))
    elsewhere = [[seen(f.stamp_ns * 1e-9, moved) for f in frames] for frames in (GIVEN, ASKED)]
    here, there = ((video_of(a), way_of(a[-1], b)) for a, b in ((GIVEN, ASKED), elsewhere))
    told = [path_told(anchor_of(video), way, NO_WORDS) for video, way in (here, there)]
    np.testing.assert_allclose(told[0].rays, told[1].rays, atol=1e-5)
    assert np.ptp(told[0].rays[:, 0], axis=0).max() > 0.05, "the frames' cameras differ"
    assert not told[0].memory.any()
    assert (told[0].uncovered == 1).all()


def test_a_blank_view_is_what_an_empty_memory_leaves_of_a_view() -> None:
    depth = room_depth(swaying(0.0), CAMERA)
    view = View(room_rgb(swaying(0.0), CAMERA), depth, depth > 0, np.sign(depth), 0 * depth)
    (ordinary,) = images_of(ClipView.still(view, (), CAMERA, np.eye(4)))
    blank = blank_view(anchor_of(video_of(GIVEN)), CAMERA)
    np.testing.assert_allclose(blank.image[RAYS], ordinary.image[RAYS], atol=1e-6)  # padding repeats the border in both
    assert (blank.image[FAR] == 1).all()
    assert not blank.image[:8].any()
    assert blank.size == ordinary.size


class Noting(TinyNetworks):
    """Keeps every call, not only the last of each network."""

    def note(self, name: str, inputs: Arrays) -> None:
        super().note(name, inputs)
        self.calls = [*getattr(self, "calls", []), (name, inputs)]

    def of(self, name: str) -> list[Arrays]:
        return [inputs for called, inputs in self.calls if called == name]


def flown(networks: TinyNetworks, guidance: Guidance, **asked: object) -> list[np.ndarray]:
    generator = SpaceTimeGenerator("tiny", networks, GeneratorConfig(prompt="red room", guidance=7.0, drop="rays"))
    return navigate(generator, video_of(GIVEN), way_of(GIVEN[-1], ASKED), np.random.default_rng(0), guidance, **asked)


def test_a_path_is_drawn_clip_by_clip_from_one_context() -> None:
    networks = Noting(push=1.0)
    drawn = flown(networks, Guidance(1.0))
    assert [rgb.shape for rgb in drawn] == [(40, 72, 3)] * len(ASKED)
    assert networks.asked["context"] == 1, "taken up once, and no other branch asked"
    told = networks.of("denoise")
    assert [t["z"].shape[1] for t in told] == [4, 1]
    assert all(t["rays"].any() and not t["memory"].any() for t in told), "what the settings drop or guide does not count here"
    assert networks.of("context")[0]["latents"][0, :, :3].std() > 0.1


def test_joint_guidance_drops_path_prompt_and_context_together() -> None:
    networks = Noting(push=1.0)
    flown(networks, Guidance(2.0))
    told, untold = networks.of("context")
    assert not told["rays"].any()
    assert untold["latents"].std() == pytest.approx(1.0, abs=0.1), "pure noise"
    assert np.array_equal(untold["time"], told["time"])
    bare, led = networks.of("denoise")[:2]
    assert led["rays"].any()
    assert not bare["rays"].any()
    assert [t["tokens"].any() for t in networks.of("text")] == [True, False]


def test_guidance_by_the_instruction_alone_keeps_the_context() -> None:
    networks = Noting(push=1.0)
    flown(networks, Guidance(2.0, jointly=False))
    told, untold = networks.of("context")
    assert np.array_equal(untold["latents"], told["latents"])
    assert not networks.of("denoise")[0]["rays"].any()


def test_what_is_left_out_is_measured() -> None:
    networks = Noting()
    flown(networks, Guidance(1.0), without=("references",))
    assert not networks.of("context")[0]["latents"].any()
    flown(networks, Guidance(1.0), without=("rays",))
    assert not networks.of("denoise")[-1]["rays"].any()


def test_a_video_that_goes_back_in_time_is_refused() -> None:
    with pytest.raises(SpatiaError, match="rising times"):
        video_of(GIVEN[::-1])
    with pytest.raises(SpatiaError, match=r"1\.\.9 pictures, got 0"):
        Video((), np.zeros(0))


def walk(frames: int = 20) -> Sequence:
    shots = [seen(0.05 * i) for i in range(frames)]
    stamps, poses = np.array([round(1e9 + 1e8 * i) for i in range(frames)]), np.stack([s.T_world_cam for s in shots])
    return Sequence("walk", CAMERA, stamps, poses, lambda i: (shots[i].rgb, shots[i].depth))


def test_stretches_are_flown_back_between_what_was_given() -> None:
    first, last = stretches_of(walk(), "recordings", 2, pictures=3, span=12)
    stamps = lambda frames: [round(f.stamp_ns * 1e-8) - 10 for f in frames]  # noqa: E731
    assert stamps(first.spread) == [0, 6, 12]
    assert stamps(first.targets) == [9, 3]
    assert stamps(first.latest) == [10, 11, 12]
    assert stamps(last.spread) == [7, 13, 19]
    np.testing.assert_allclose(first.times_s, [2.3, 2.4])
    np.testing.assert_allclose(first.spread[-1].T_world_cam @ first.path.T_last_cams[0], first.targets[0].T_world_cam, atol=1e-9)
    with pytest.raises(SpatiaError, match="expected 17 frames or more"):
        stretches_of(walk(12), "recordings", 1, pictures=9)


def test_scene_distance_has_known_values() -> None:
    depth = np.full((64, 64), 2.0, np.float32)
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:, :32, 0], rgb[:, 32:, 2] = 200, 200  # a red half and a blue one
    camera = Camera(64, 64, 64.0, 64.0, 32.0, 32.0)
    truth = Frame(rgb, depth, camera, np.eye(4), 0)
    scene = Scene.of([truth])
    assert scene_distance(rgb, truth, scene) == 0.0
    assert scene_distance(rgb // 2 + 60, truth, scene) == 1.0, "colours that are nowhere"
    # Swapped halves: each column's colour begins at the middle; the wall is as wide as it is far.
    columns = 64 // STRIDE
    away = np.mean([(columns // 2 - c) * STRIDE / 64 for c in range(columns // 2)])
    assert scene_distance(rgb[:, ::-1].copy(), truth, scene) == pytest.approx(away, abs=1e-6)
    assert np.isnan(scene_distance(rgb, replace(truth, depth=0 * depth), scene))


def test_the_nearest_of_a_colour_is_found_as_the_slow_way_finds_it() -> None:
    rng = np.random.default_rng(0)
    points = [rng.uniform(-2, 2, (n, 3)).astype(np.float32) for n in (50, 200)]
    colours = [rng.integers(0, 256, (n, 3)).astype(np.int16) for n in (50, 200)]
    given = (points[0], colours[0], points[1], colours[1])
    fast, slow = nearest_alike(*given, 25), nearest_alike_truth(*given, 25)
    assert 5 < np.isinf(slow).sum() < 45
    np.testing.assert_allclose(fast, slow, rtol=1e-5)


def test_every_mode_is_drawn_and_compared(tmp_path: Path) -> None:
    config = from_dict({
        "camera": {"width_px": 72, "height_px": 40}, "memory": {"voxel_m": 0.05},
        "generator": {"name": str(tiny_engine()), "runtime": "onnxruntime", "threads": 1},
    })
    stretches = stretches_of(walk(), "procedural", 2, pictures=3, span=12)
    figures = evaluate_navigation(stretches, config, tmp_path, 1.5, Ablations(True, True, True, (3.0,)))
    ablated = {"contiguous_indices", "contiguous_frames", "no_guidance", "instruction_guidance", "weight_3"}
    controls = {"no_context", "no_path", "memory", "last_picture", "mean_colour"}
    assert set(figures["rows"]) == {"navigation"} | ablated | controls
    assert set(figures["margins"]) == ablated | controls
    assert figures["margins"]["memory"]["psnr"] == pytest.approx(
        figures["rows"]["navigation"]["psnr"] - figures["rows"]["memory"]["psnr"], abs=1e-4
    )
    assert figures["rows"]["memory"]["psnr"] > 15 > figures["rows"]["navigation"]["psnr"], "random weights draw nothing true"
    assert figures["rows"]["memory"]["sd"] < figures["rows"]["navigation"]["sd"]
    assert figures["targets"] == 4
    assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(json.dumps(figures))
    assert (tmp_path / "strip.png").stat().st_size > 1000
    with pytest.raises(SpatiaError, match="expected a generator of space, time and context, got 'projection'"):
        evaluate_navigation(stretches, from_dict({"generator": {"name": "projection"}}), tmp_path)


def test_without_flags_there_are_controls_alone() -> None:
    assert list(modes_of(2.0, Ablations())) == ["navigation", "no_context", "no_path"]
    assert modes_of(2.0, Ablations())["navigation"].guidance == Guidance(2.0, jointly=True)

"""Exposure: recordings of a painted room whose camera brightens, darkens and tints what it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from speckled_room import round_the_ball
from tiny_room import CAMERA, room_depth, room_rgb

from spatia_ros.cli.place import place_of_sequence
from spatia_ros.config import WorldConfig, override
from spatia_ros.evaluate import novel_view
from spatia_ros.evaluate.flights import world_of
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import EvenFrames, evened, exposed, exposure_between, exposure_to
from spatia_ros.seed.frames import seed_frames
from spatia_ros.sequence import Sequence as Recorded
from spatia_ros.sequence.tum_writer import write_tum
from spatia_ros.slam.lift import lift
from spatia_ros.slam.live_map import LiveMap
from spatia_ros.train.clip_sources import frames_of
from spatia_ros.types import Frame, SpatiaError
from spatia_ros.world import open_world

CONFIG = override(WorldConfig(), ["memory.voxel_m=0.03", "generator.name=projection", "actors.complete=false"])
OFF = override(CONFIG, ["memory.even_exposure=false"])
POSES = round_the_ball(24, 0.4)
STOPS = np.array([[1.6 * np.sin(0.9 * k), 1.6 * np.sin(0.9 * k) + 0.2 * np.sin(k), 1.6 * np.sin(0.9 * k) - 0.3 * np.cos(k) + 0.3]
                  for k in range(len(POSES))]) * np.log(2.0)  # fmt: skip
STOPS -= STOPS[0]


def true_frames() -> list[Frame]:
    return [Frame(room_rgb(T), room_depth(T), CAMERA, T, 10**9 + 10**8 * k) for k, T in enumerate(POSES)]


def as_taken() -> list[Frame]:
    """The same by a camera that is left to itself; the first frame is as it should be."""
    return [replace(f, rgb=exposed(f.rgb, change)) for f, change in zip(true_frames(), STOPS, strict=True)]


def recorded(frames: Sequence[Frame]) -> Recorded:
    stamps_ns, poses = np.array([f.stamp_ns for f in frames]), np.stack([f.T_world_cam for f in frames])
    return Recorded("room", CAMERA, stamps_ns, poses, lambda i: (frames[i].rgb, frames[i].depth), {})


def error(memory: Memory) -> float:
    """Mean difference in grey levels between what a memory shows and what is there."""
    shown = [(memory.render(f.camera, f.T_world_cam, f.stamp_ns), f.rgb) for f in true_frames()[::4]]
    return float(np.mean([np.abs(v.rgb[v.coverage].astype(float) - rgb[v.coverage]).mean() for v, rgb in shown]))


def test_exposure_follows_its_formula() -> None:
    rgb = np.arange(768, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    change = np.array([0.7, -1.2, 0.0])
    x = rgb / 255.0
    with np.errstate(divide="ignore", invalid="ignore"):
        light = x**2 / (1.0 - x**2) * np.exp(change)
        right = np.where(np.isinf(light), 1.0, np.sqrt(light / (1.0 + light)))
    np.testing.assert_array_equal(exposed(rgb, change), (255.0 * right + 0.5).astype(np.uint8))


def test_black_and_white_stay_and_an_exposure_can_be_undone() -> None:
    rgb = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    bright = exposed(rgb, np.full(3, 1.0))
    assert bright.reshape(-1, 3)[[0, -1]].tolist() == [[0] * 3, [255] * 3]
    assert (np.diff(bright.reshape(-1, 3)[:, 0].astype(int)) >= 0).all()
    back = exposed(bright, np.full(3, -1.0)).astype(int)
    assert np.abs(back - rgb).max() <= 2


@pytest.mark.parametrize("change", [np.array([0.0, np.nan, 0.0]), np.array([0.0, 0.0, np.inf]), np.full(3, -800.0), np.zeros(2)])
def test_a_factor_that_is_none_is_refused(change: np.ndarray) -> None:
    with pytest.raises(SpatiaError, match="log_factor"):
        exposed(np.zeros((4, 4, 3), np.uint8), change)


def test_an_exposure_is_found_among_noise_and_what_has_changed() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(20, 220, (5000, 3)).astype(np.uint8)
    change = np.array([1.1, 0.9, 0.7])
    b = exposed(a[None], change)[0].astype(float) + rng.normal(0, 4, a.shape)
    b[:1200] = rng.integers(0, 255, (1200, 3))  # a quarter of the pixels shows something else
    found = exposure_between(a, b.clip(0, 255).astype(np.uint8))
    np.testing.assert_allclose(found, change, atol=0.08)


def test_what_is_black_or_white_tells_no_exposure() -> None:
    dark = np.full((500, 3), 3, np.uint8)
    assert exposure_between(dark, np.full((500, 3), 120, np.uint8)) is None
    assert exposure_between(np.full((500, 3), 120, np.uint8), np.full((500, 3), 253, np.uint8)) is None
    assert exposure_between(np.full((50, 3), 120, np.uint8), np.full((50, 3), 140, np.uint8)) is None


def test_a_channel_that_says_nothing_goes_with_the_others() -> None:
    a = np.random.default_rng(0).integers(40, 200, (4000, 3)).astype(np.uint8)
    b = exposed(a[None], np.full(3, 0.8))[0]
    a[:, 2] = b[:, 2] = 0
    found = exposure_between(a, b)
    np.testing.assert_allclose(found, 0.8, atol=0.05)


def test_a_channel_whose_pixels_disagree_goes_with_the_others() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(40, 200, (4000, 3)).astype(np.uint8)
    b = exposed(a[None], np.full(3, 0.8))[0]
    a[200:, 2] = 0  # blue shows in few, and there it may be anything, mostly lighter
    b[:200, 2] = rng.integers(20, 250, 200)
    a[:200, 2] = rng.integers(10, 120, 200)
    np.testing.assert_allclose(exposure_between(a, b), 0.8, atol=0.1)


def test_a_frame_comes_to_the_exposure_of_what_is_remembered() -> None:
    frames, memory = true_frames(), Memory(CONFIG.memory)
    memory.integrate(frames[0])
    change = np.array([-0.9, -1.0, -1.2])
    dark = replace(frames[1], rgb=exposed(frames[1].rgb, change))
    np.testing.assert_allclose(exposure_to(memory, dark), -change, atol=0.08)
    even = evened(dark, memory)
    assert np.abs(even.rgb.astype(int) - frames[1].rgb).mean() < 4 < np.abs(dark.rgb.astype(int) - frames[1].rgb).mean()
    np.testing.assert_array_equal(even.depth, dark.depth)


def test_a_small_picture_tells_the_exposure_as_well_as_the_whole() -> None:
    memory, change = Memory(CONFIG.memory), np.array([0.8, 0.9, 1.0])
    memory.integrate(true_frames()[0])
    bright = replace(true_frames()[1], rgb=exposed(true_frames()[1].rgb, change))
    np.testing.assert_allclose(exposure_to(memory, bright, 64), exposure_to(memory, bright, CAMERA.width), atol=0.02)


def test_frames_of_one_exposure_are_left_as_they_are() -> None:
    memory = Memory(CONFIG.memory)
    for frame in true_frames():
        assert evened(frame, memory) is frame
        memory.integrate(frame)


def test_what_stands_before_a_surface_says_nothing_of_its_light() -> None:
    memory, change = Memory(CONFIG.memory), np.full(3, 0.8)
    memory.integrate(true_frames()[0])
    bright = exposed(true_frames()[1].rgb, change)
    depth = true_frames()[1].depth.copy()
    bright[:, :112], depth[:, :112] = 40, 0.6  # a dark board, over seven tenths of the picture
    found = exposure_to(memory, replace(true_frames()[1], rgb=bright, depth=depth))
    np.testing.assert_allclose(found, -change, atol=0.1)


def test_a_change_too_small_to_see_is_none() -> None:
    frames, memory = true_frames(), Memory(CONFIG.memory)
    memory.integrate(frames[0])
    for log_factor, alike in ((0.02, True), (0.06, False)):
        other = replace(frames[1], rgb=exposed(frames[1].rgb, np.full(3, log_factor)))
        assert (evened(other, memory) is other) == alike


def test_nothing_to_compare_with_leaves_a_frame_as_it_is() -> None:
    dark = as_taken()[2]
    empty, unseen, invented, off = (Memory(c.memory) for c in (CONFIG, CONFIG, CONFIG, OFF))
    away = true_frames()[0]
    unseen.integrate(replace(away, T_world_cam=away.T_world_cam @ np.diag([-1.0, 1.0, -1.0, 1.0])))  # half a turn
    invented.integrate(true_frames()[2], sensed=False)
    off.integrate(true_frames()[2])
    for memory in (empty, unseen, invented, off):
        assert evened(dark, memory) is dark


def farthest(frames: Sequence[Frame]) -> float:
    """Largest mean difference in grey levels between a frame and the true one."""
    return max(float(np.abs(a.rgb.astype(float) - b.rgb).mean()) for a, b in zip(frames, true_frames(), strict=True))


def lifted(frames: list[Frame], config: WorldConfig) -> Memory:
    return lift(frames, config).memory


def live(frames: list[Frame], config: WorldConfig) -> Memory:
    made = LiveMap(config)
    for frame in frames:
        made.integrate(frame)
    return made.memory


def observed(frames: list[Frame], config: WorldConfig) -> Memory:
    world = open_world(config, frames[:4], ProjectionGenerator())
    for frame in frames[4:]:
        world.observe(frame)
    return world.memory


def seeded(frames: list[Frame], config: WorldConfig, folder: Path) -> Memory:
    return seed_frames(write_tum(frames, folder / "room"), config).memory


def tried(frames: list[Frame], config: WorldConfig) -> Memory:
    return novel_view._Trial(config, recorded(frames), list(range(len(frames)))).world.memory


WAYS: dict[str, Callable[[list[Frame], WorldConfig, Path], Memory]] = {
    "open_world and World.observe": lambda frames, config, _: observed(frames, config),
    "LiveMap": lambda frames, config, _: live(frames, config),
    "lift": lambda frames, config, _: lifted(frames, config),
    "seed_frames": seeded,
    "place_of_sequence": lambda frames, config, _: place_of_sequence(recorded(frames), len(frames), config).memory,
    "flights.world_of": lambda frames, config, _: world_of(config, frames).memory,
    "novel view": lambda frames, config, _: tried(frames, config),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_memory_is_even_however_it_is_made(way: str, tmp_path: Path) -> None:
    made = WAYS[way](as_taken(), CONFIG, tmp_path)
    assert error(made) < 3.0


def test_without_it_there_are_seams() -> None:
    assert error(live(as_taken(), OFF)) > 20.0


def test_a_map_counts_the_frames_it_evened() -> None:
    made = LiveMap(CONFIG)
    counts = [made.integrate(frame)["evened"] for frame in as_taken()]
    assert counts[0] == 0
    assert sum(counts) > 15
    assert set(counts) == {0, 1}


def test_frames_for_training_have_one_exposure(tmp_path: Path) -> None:
    folder = write_tum(as_taken(), tmp_path / "room")
    frames_of.cache_clear()
    read = frames_of(folder, (CAMERA.width, CAMERA.height), 1)
    assert farthest(read) < 5.0
    assert farthest(as_taken()) > 20.0


def test_frames_known_whole_can_be_asked_for_in_any_order() -> None:
    taken, memory, shown = as_taken(), Memory(CONFIG.memory), list[int]()
    even = EvenFrames(taken, CONFIG.memory, lambda numbers: (shown.append(k) or k for k in numbers))
    one_by_one = []
    for frame in taken:
        one_by_one.append(evened(frame, memory))
        memory.integrate(one_by_one[-1])
    assert len(even) == len(taken)
    assert shown == list(range(len(taken)))
    np.testing.assert_array_equal(even[7].rgb, one_by_one[7].rgb)
    for a, b in zip(even[3:6], one_by_one[3:6], strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)

"""What a node's world starts from."""

import numpy as np
import pytest
import trimesh
from harness import START, wall_frame, wall_memory

from spatia_ros.config import CameraConfig, GeneratorConfig, MemoryConfig, WorldConfig
from spatia_ros.nodes.seeding import open_seed, warm_up, with_memory
from spatia_ros.nodes.settings import SourceSettings
from spatia_ros.sequence import write_tum
from spatia_ros.types import SpatiaError

CONFIG = WorldConfig(generator=GeneratorConfig(name="projection"), camera=CameraConfig(width_px=96, height_px=64))


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Six frames before the wall, 0.1 s apart, each 1 cm to the left of the last."""
    frames = []
    for i in range(6):
        T = START.copy()
        T[1, 3] = 0.01 * i
        frames.append(wall_frame(T, (i + 1) * 100_000_000))
    return write_tum(frames, tmp_path_factory.mktemp("data") / "wall")


def test_a_recording_in_part(recording):
    seed = open_seed(CONFIG, SourceSettings(sequence="wall", first=1, frames=2, every=3), recording.parent)
    np.testing.assert_allclose(seed.T_world_cam[:3, 3], (0, 0.01, 1), atol=1e-6)
    assert seed.world.time_ns == 500_000_000  # frames 1 and 4
    assert len(seed.world.memory) > 1000
    assert seed.story == "2 of 6 frames of wall"


def test_a_saved_memory_and_the_camera_it_was_made_with(tmp_path):
    wall_memory().save(tmp_path / "wall.spatia")
    seed = open_seed(CONFIG, SourceSettings(memory="wall.spatia"), tmp_path)
    np.testing.assert_array_equal(seed.T_world_cam, START)
    assert len(seed.world.memory) == len(wall_memory())
    assert seed.world.camera == wall_frame().camera


def test_a_mesh(tmp_path):
    trimesh.creation.box((1, 1, 1)).export(tmp_path / "cube.ply")
    seed = open_seed(CONFIG, SourceSettings(place="cube.ply"), tmp_path)
    assert seed.world.look(seed.T_world_cam).coverage.mean() > 0.1
    assert "12 triangles" in seed.story


def test_a_photograph_is_sent_to_where_its_scale_is_asked_for(tmp_path):
    (tmp_path / "room.jpg").touch()
    with pytest.raises(SpatiaError, match="spatia seed"):
        open_seed(CONFIG, SourceSettings(place="room.jpg"), tmp_path)


def test_nothing_yet():
    seed = open_seed(CONFIG, SourceSettings(), None)
    step = seed.world.look(seed.T_world_cam)
    assert not step.coverage.any()
    assert step.rgb.shape == (1, 64, 96, 3)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SourceSettings(sequence="wall", memory="wall.spatia"), "a place or a cloud_topic, got 'wall' and 'wall.spatia'"),
        (SourceSettings(sequence="wall", first=6), r"expected a frame of 0..5, got 6"),
        (SourceSettings(sequence="missing"), "missing"),
        (SourceSettings(memory="missing.spatia"), "missing.spatia"),
    ],
)
def test_what_cannot_be_opened_says_why(recording, source, words):
    with pytest.raises(SpatiaError, match=words):
        open_seed(CONFIG, source, recording.parent)


def test_warming_up_leaves_no_trace(recording):
    """The same frames come out of a world that was warmed up and one that was not."""
    cold, warm = (open_seed(CONFIG, SourceSettings(sequence="wall"), recording.parent) for _ in range(2))
    warm_up(warm.world)
    frames = [seed.world.look(START) for seed in (cold, warm)]
    assert (frames[0].index, frames[0].trajectory.stamps_ns) == (frames[1].index, frames[1].trajectory.stamps_ns)
    np.testing.assert_array_equal(frames[0].rgb, frames[1].rgb)
    assert len(cold.world.memory) == len(warm.world.memory)


@pytest.mark.parametrize("reach", [(0.0, 8.0), (0.0, 0.01), (5.0, 1000.0), (100.0, 1000.0)])
def test_a_world_warms_up_whatever_range_its_memory_has(reach):
    memory = MemoryConfig(min_range_m=reach[0], max_range_m=reach[1])
    warm_up(open_seed(CONFIG.model_copy(update={"memory": memory}), SourceSettings(), None).world)


def test_another_memory_in_the_same_world(recording):
    world = open_seed(CONFIG, SourceSettings(sequence="wall"), recording.parent).world
    world.frozen = True
    world.look(START)
    other = with_memory(world, wall_memory())
    assert (other.camera, other.generator, other.frozen, other.index) == (world.camera, world.generator, True, 0)
    assert len(other.memory) == len(wall_memory())

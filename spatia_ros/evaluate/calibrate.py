"""What a generator's networks are given while a world runs along a recording: the batches int8 is calibrated with."""

from __future__ import annotations

from collections.abc import Callable

from spatia_ros.config import CameraConfig, WorldConfig
from spatia_ros.engine.calibration import Batches, Recorder
from spatia_ros.engine.runtimes import open_engines
from spatia_ros.evaluate.closed_loop import out_and_back
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.sequence import Sequence
from spatia_ros.world import World, open_world

SEED_SHARE = 0.3


def recorded_batches(
    name: str, config: WorldConfig, sequence: Sequence, size: tuple[int, int], frames: int, most: int,
    told: Callable[[int], object],
) -> Batches:  # fmt: skip
    """Run a world on the float32 engine and keep what its networks were given.

    Args:
        name: the engine. config: of the world; its generator section says steps, context and prompt.
        sequence: memory is made from its first frames; the path goes along all of it and back.
        size: width and height of the frames, px. frames: of the path. most: batches kept of each graph.
        told: called with the number of frames done.
    """
    small = sequence.resized(*size)
    generator = config.generator.model_copy(update={"name": name, "runtime": "onnxruntime"})
    camera = CameraConfig(width_px=size[0], height_px=size[1])
    config = config.model_copy(update={"generator": generator, "camera": camera})
    recorder = Recorder(open_engines(name, "onnxruntime", generator.threads), most)
    seeded = open_world(
        config.model_copy(update={"generator": generator.model_copy(update={"name": "projection", "prompt": ""})}),
        (small.frame(i) for i in range(max(1, round(SEED_SHARE * len(small))))),
    )
    world = World(config, seeded.memory, SpaceTimeGenerator(name, recorder.engines, generator), seeded.camera)
    world.time_ns = seeded.time_ns
    for done, pose in enumerate(out_and_back(small, len(small), config.frame_rate_hz).clips(1)):
        if done == frames:
            break
        world.advance(pose)
        told(done + 1)
    return recorder.batches

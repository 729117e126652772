"""A memory from RGB-D frames: at their recorded poses, or at those that tracking finds."""

from __future__ import annotations

from pathlib import Path

from spatia_ros.config import WorldConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import evened
from spatia_ros.seed.photo import upright_pose
from spatia_ros.seed.seeded import Report, Seeded, silent
from spatia_ros.sequence import Poses, Sequence, open_sequence
from spatia_ros.sequence.delay import without_depth_delay
from spatia_ros.slam.mapper import Mapper
from spatia_ros.types import SpatiaError


def seed_frames(
    path: Path | str, config: WorldConfig, poses: Poses = "any", every: int = 1, report: Report = silent
) -> Seeded:
    """The place a recording shows: a TUM folder, a bag, or a plain folder of images, of one frame or many.

    Without poses (or with ``poses="none"``) the camera is tracked, loops are closed, and the world begins level at the
    first camera, z up.

    Raises:
        SpatiaError: when the recording cannot be read, or has no frame that can be placed.
    """
    sequence = open_sequence(path, poses=poses)
    if every < 1:
        raise SpatiaError(f"every: expected at least 1, got {every}")
    indices = range(0, len(sequence), every)
    return _posed(sequence, indices, config, report) if sequence.posed else _tracked(sequence, indices, config, report)


def _posed(sequence: Sequence, indices: range, config: WorldConfig, report: Report) -> Seeded:
    sequence = without_depth_delay(sequence)
    indices = range(0, len(sequence), indices.step)  # taking a delay out may cost the first and last frames
    memory = Memory(config.memory)
    for n, index in enumerate(indices):
        memory.integrate(evened(sequence.frame(index), memory))
        report("folding frames in", (n + 1) / len(indices))
    story = [f"{len(indices)} of {len(sequence)} frames of {sequence.name}, at their recorded poses"]
    figures = {"frames": len(indices), "tracked": False}
    path = sequence.trajectory()
    return Seeded(sequence.name, memory, sequence.camera, path.T_world_cam[0], path, story, figures)


def _tracked(sequence: Sequence, indices: range, config: WorldConfig, report: Report) -> Seeded:
    mapper = Mapper(config, sequence.camera, poses="tracked")
    for n, index in enumerate(indices):
        rgb, depth = sequence.images(index)
        mapper.observe(rgb, depth, int(sequence.stamps_ns[index]), None if n else upright_pose(None, 0.0))
        report("tracking frames", (n + 1) / len(indices))
    mapped = mapper.finish(lambda n: sequence.images(indices[n]))
    lost = int(mapped.figures["lost"])
    story = [f"{len(indices)} of {len(sequence)} frames of {sequence.name}, which has no poses: tracked from the first one"]
    if lost:
        story.append(f"the camera was lost in {lost} frames, which are left out")
    figures = {"frames": len(indices), "tracked": True, **mapped.figures}
    start = mapped.trajectory.T_world_cam[0]
    return Seeded(sequence.name, mapped.memory, sequence.camera, start, mapped.trajectory, story, figures)

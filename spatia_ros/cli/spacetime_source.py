"""The recording of ``spatia spacetime``: opened, given depth and poses where it has none, and taken apart once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatia_ros.cli.options import progress
from spatia_ros.cli.place import reporting
from spatia_ros.config import WorldConfig
from spatia_ros.on_demand import OnDemand
from spatia_ros.record.lifted_folder import load_lifted, save_lifted
from spatia_ros.sequence import Sequence, open_sequence
from spatia_ros.sequence.delay import without_depth_delay
from spatia_ros.slam.lift import Lifted, lift
from spatia_ros.spacetime import nearest_frame
from spatia_ros.types import Camera, Frame, SpatiaError, UInt8


class Shots(OnDemand[Frame]):
    """Frames of a posed recording, read when asked for."""

    def __init__(self, sequence: Sequence, every: int) -> None:
        self._sequence, self._numbers = sequence, range(0, len(sequence), every)

    def __len__(self) -> int:
        return len(self._numbers)

    def made(self, index: int) -> Frame:
        """A frame, read."""
        return self._sequence.frame(self._numbers[index])


@dataclass(frozen=True, slots=True)
class Recording:
    """What is taken apart.

    Args:
        sequence: with depth; without poses where they are to be found. every: N-th frames used. identity: what decides it.
    """

    sequence: Sequence
    every: int
    identity: dict[str, Any]

    def framed(self, config: WorldConfig) -> Camera:
        """Its camera, cropped to the shape of the configured picture."""
        return self.sequence.resized(config.camera.width_px, config.camera.height_px).camera

    def shown(self, lifted: Lifted, tau_s: float, size: tuple[int, int]) -> UInt8:
        """The recorded picture nearest to an animation time, uint8 [H, W, 3], at a size."""
        number = nearest_frame(lifted, tau_s)
        stamp = int(lifted.trajectory.stamps_ns[number])
        index = int(abs(self.sequence.stamps_ns - stamp).argmin())
        return self.sequence.resized(*size).images(index)[0]


def opened(args: argparse.Namespace, config: WorldConfig) -> Recording:
    """The recording that the arguments name; its depth estimated where they say so.

    Raises:
        SpatiaError: on what is no recording, or has no depth and no estimator.
    """
    from spatia_ros.seed.film import is_film, read_film, with_depth

    film = args.sequence.exists() and is_film(args.sequence) and not (args.sequence / "rgb.txt").is_file()
    if film and args.depth_model is None:
        raise SpatiaError(f"{args.sequence}: has no depth: name a folder with a depth network by --depth-model")
    wanted = {"given": "required", "tracked": "none", None: "any"}[args.poses]
    sequence = read_film(args.sequence) if film else open_sequence(args.sequence, poses=wanted)  # type: ignore[arg-type]
    if args.depth_model is not None:
        from spatia_ros.seed.networks import NetworkDepth

        with reporting() as report:
            sequence = with_depth(sequence, NetworkDepth(args.depth_model), args.camera_height, report)
    elif sequence.posed:
        sequence = without_depth_delay(sequence)
    identity = {
        "sequence": str(args.sequence.resolve()), "frames": len(sequence), "every": args.every, "posed": sequence.posed,
        "depth_model": str(args.depth_model or ""), "camera_height_m": args.camera_height,
        **{name: getattr(config, name).model_dump() for name in ("memory", "dynamics", "actors", "tracking", "loops")},
    }  # fmt: skip
    return Recording(sequence, args.every, identity)


def taken_apart(recording: Recording, config: WorldConfig, folder: Path) -> Lifted:
    """The recording's memory and cast: from the folder where an earlier run left it, or made now and left there."""
    lifted = load_lifted(folder, recording.identity)
    if lifted is not None:
        print(f"{folder}: the recording is taken apart already")
        return lifted
    sequence = recording.sequence if recording.sequence.posed else tracked(recording, config)
    every = recording.every if recording.sequence.posed else 1
    lifted = lift(Shots(sequence, every), config, shown)
    save_lifted(lifted, folder, recording.identity)
    return lifted


def shown(numbers: Iterable[int], what: str, total: int) -> Iterator[int]:
    """Goes through numbers with a progress bar."""
    return progress(numbers, what, total)


def tracked(recording: Recording, config: WorldConfig) -> Sequence:
    """The frames whose pose is found from the images, with it; the first one upright.

    Raises:
        SpatiaError: when the camera is lost in all but a few.
    """
    from dataclasses import replace

    import numpy as np

    from spatia_ros.seed.photo import upright_pose
    from spatia_ros.slam.mapper import Mapper

    sequence = recording.sequence
    indices = range(0, len(sequence), recording.every)
    mapper = Mapper(config, sequence.camera, poses="tracked")
    for n, index in enumerate(progress(indices, "tracking the camera")):
        rgb, depth = sequence.images(index)
        mapper.observe(rgb, depth, int(sequence.stamps_ns[index]), None if n else upright_pose(None, 0.0))
    path = mapper.finish().trajectory
    if len(path) < 2:
        raise SpatiaError(f"{sequence.name}: expected the camera to be tracked through some frames, it was in {len(path)}")
    at = np.searchsorted(sequence.stamps_ns, path.stamps_ns).tolist()
    return replace(
        sequence, stamps_ns=path.stamps_ns, T_world_cam=path.T_world_cam, load=lambda i: sequence.load(at[i]), poses=None
    )

"""Go to what a phrase means: find it, plan a collision-free way to a view of it, and fly the camera there.

Left behind, besides what spatia run leaves: grounding.json (the answer: object, box in space and in the last picture,
position, distance), framed.png (the last picture with the box), above.png (the way from above), video.mp4.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spatia_ros.cli.cast import cast_identity
from spatia_ros.cli.grounding import NOT_FOUND, add_phrase, detector_of, start_of, told, world_of
from spatia_ros.cli.options import config_of, examples, print_table, progress, write_json_of
from spatia_ros.cli.place import open_place

if TYPE_CHECKING:
    import numpy as np

    from spatia_ros.ground import Grounded
    from spatia_ros.record.run_folder import RunFolder
    from spatia_ros.types import Float64
    from spatia_ros.world import World

EXAMPLES = examples("""
spatia goto "the fridge" --place house.glb --out out/fridge
spatia goto "the chair left of the table" --memory house.spatia --pose "0.25 1.45 1.2 -0.5 0.5 -0.5 0.5"
spatia goto "the red ball" --memory house.spatia --actors toys.yaml --set ground.speed_m_s=1.0
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia goto``."""
    add_phrase(parser)
    parser.add_argument("--out", type=Path, default=Path("out/goto"), metavar="DIR", help="its folder (default: out/goto)")
    parser.add_argument("--overwrite", action="store_true", help="start anew where --out holds a run")
    parser.add_argument("--no-video", action="store_true", help="leave out video.mp4")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; 1 when nothing fits, or no way leads there."""
    from spatia_ros.cli.run import fly, identity
    from spatia_ros.config import dump
    from spatia_ros.ground import navigate, parse
    from spatia_ros.record.files import write_json
    from spatia_ros.record.run_folder import RunFolder
    from spatia_ros.world import open_generator

    config = config_of(args)
    parse(args.phrase)  # before anything that takes long
    generator, detector = open_generator(config), detector_of(args, config)
    place = open_place(args, config)
    config = place.effective(config)
    world, start = world_of(args, place, config, generator), start_of(args, place)
    answer = navigate(world, args.phrase, start, detector=detector)
    write_json_of(args, answer.as_dict())
    if answer.trajectory is None:
        print_table(told(answer))
        return NOT_FOUND
    made_of = identity(place, config, answer.trajectory) | cast_identity(args)
    folder = RunFolder(args.out, made_of, place.camera, with_actors=len(world.cast) > 0)
    if args.overwrite:
        folder.clear()
    above = _from_above(world, answer, start)
    folder.resume(world)
    folder.create(dump(config))
    fly(world, answer.trajectory, folder)
    write_json(args.out / "grounding.json", answer.as_dict())
    _write_pictures(args, folder, world, answer, above)
    way = f"{answer.length_m:.1f} m, nowhere nearer than {answer.clearance_m:.2f} m to anything known"
    print_table([*told(answer), ("way", way), ("left in", str(args.out))])
    return 0


def _from_above(world: World, answer: Grounded, start: Float64) -> np.ndarray:
    """The way over the place as memory holds it before the flight."""
    import numpy as np

    from spatia_ros.geometry import up_of
    from spatia_ros.record.grounding import way_from_above

    assert answer.trajectory is not None
    assert answer.target is not None
    points, way = world.memory.points(), np.concatenate([start[None], answer.trajectory.T_world_cam])
    title = f"{answer.phrase!r}: {answer.target.name}"
    return way_from_above(
        points.xyz, points.rgb, world.memory.config.voxel_m, up_of(way), way, answer.target.low, answer.target.high, title
    )


def _write_pictures(args: argparse.Namespace, folder: RunFolder, world: World, answer: Grounded, above: np.ndarray) -> None:
    """framed.png, above.png and the video, whose last second shows the box."""
    from spatia_ros.record.files import encode_png, write_bytes
    from spatia_ros.record.grounding import boxed
    from spatia_ros.record.video import write_video

    assert answer.target is not None
    label = f"{answer.target.name}, {answer.target.distance_m:.1f} m from the start"
    framed = boxed(folder[len(folder) - 1].rgb, answer.target.box_px, label)
    write_bytes(args.out / "framed.png", encode_png(framed))
    write_bytes(args.out / "above.png", encode_png(above))
    if not args.no_video:
        rate_hz = world.config.frame_rate_hz
        frames = [shot.rgb for shot in progress((folder[i] for i in range(len(folder))), "video", total=len(folder))]
        write_video(args.out / "video.mp4", [*frames, *[framed] * max(round(rate_hz), 1)], rate_hz)

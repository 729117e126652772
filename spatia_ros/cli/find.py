"""Find what a phrase means: which thing, where it is, how far, and where in the view; or what comes nearest to it, and why not.

A phrase is made of names and classes of the memory's named objects (spatia edit MEMORY list) and of actors, of colours,
sizes, and relations; left, right, behind and in front are as seen from the camera. docs/grounding.md says all of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spatia_ros.cli.grounding import NOT_FOUND, add_phrase, detector_of, start_of, told, world_of
from spatia_ros.cli.options import config_of, examples, print_table, write_json_of
from spatia_ros.cli.place import open_place

EXAMPLES = examples("""
spatia find "the fridge" --place house.glb
spatia find "the second chair from the left" --memory house.spatia --pose "0.25 1.45 1.2 -0.5 0.5 -0.5 0.5"
spatia find "the person nearest to the sofa" --memory house.spatia --actors people.yaml
spatia find "a coffee mug" --sequence data/lounge --detector models/owlv2
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia find``."""
    add_phrase(parser)
    parser.add_argument("--picture", type=Path, metavar="PNG", help="the view, with a box around what was found")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; 1 when nothing fits."""
    from spatia_ros.generator import ProjectionGenerator
    from spatia_ros.ground import find, parse

    config = config_of(args)
    parse(args.phrase)  # before anything that takes long
    detector = detector_of(args, config)
    place = open_place(args, config)
    config = place.effective(config)
    world, start = world_of(args, place, config, ProjectionGenerator()), start_of(args, place)
    answer = find(world, args.phrase, start, detector=detector)
    write_json_of(args, answer.as_dict())
    rows = told(answer)
    if args.picture:
        from spatia_ros.record.files import encode_png, write_bytes
        from spatia_ros.record.grounding import boxed

        world.frozen = True
        target = answer.target
        label = f"{target.name}, {target.distance_m:.1f} m" if target else ""
        write_bytes(args.picture, encode_png(boxed(world.look(start).rgb[0], target.box_px if target else None, label)))
        rows.append(("picture", str(args.picture)))
    print_table(rows)
    return 0 if answer.found else NOT_FOUND

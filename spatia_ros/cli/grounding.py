"""What ``spatia find`` and ``spatia goto`` share: the phrase, the world it is asked in, and the answer in words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.cast import cast_of
from spatia_ros.cli.options import add_config, add_json, pose_of
from spatia_ros.cli.place import Place, add_place

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.generator import Generator
    from spatia_ros.ground import Grounded
    from spatia_ros.ground.detector import Detector
    from spatia_ros.types import Float64
    from spatia_ros.world import World

NOT_FOUND = 1
"""Exit code of a phrase that fits nothing, or a thing no way leads to."""


def add_phrase(parser: argparse.ArgumentParser) -> None:
    """The arguments of both commands."""
    parser.add_argument("phrase", metavar="PHRASE", help='what to look for: "the red chair left of the table"')
    add_place(parser)
    group = parser.add_argument_group("how to look for it")
    group.add_argument("--actors", type=Path, metavar="FILE", help="what moves there: a script (.yaml), or a saved cast (.npz)")
    parser.set_defaults(time=None, time_file=None)
    group.add_argument("--pose", metavar="'X Y Z QX QY QZ QW'", help="where the camera is (default: the place's start)")
    group.add_argument(
        "--detector", type=Path, metavar="DIR", help="an open-vocabulary detector (OWL-ViT, OWLv2, Grounding DINO as "
        "save_pretrained leaves it): it is shown the memory's keyframes",
    )  # fmt: skip
    add_config(parser)
    add_json(parser)


def world_of(args: argparse.Namespace, place: Place, config: WorldConfig, generator: Generator) -> World:
    """The world the arguments name, with its actors."""
    world = place.world(config, generator)
    cast = cast_of(args)
    world.cast = world.cast if cast is None else cast
    return world


def start_of(args: argparse.Namespace, place: Place) -> Float64:
    """Where the camera is: where it was said to be, else where the place begins (a recording: where memory ends)."""
    if args.pose:
        return pose_of(args.pose)
    return place.recorded.T_world_cam[0 if place.whole else place.seeded - 1]


def detector_of(args: argparse.Namespace, config: WorldConfig) -> Detector | None:
    """The detector of the folder that was given."""
    if args.detector is None:
        return None
    from spatia_ros.ground.detector import NetworkDetector

    return NetworkDetector(args.detector, config.ground.threshold)


def told(answer: Grounded) -> list[tuple[str, str]]:
    """An answer as rows of a table."""
    rows: list[tuple[str, str]] = []
    target = answer.target
    if target is None:
        rows.append(("not found", answer.reason))
    else:
        where = {"memory": "in memory", "actor": f"actor {target.actor_id}", "detector": "seen by the detector"}[target.source]
        rows += [("found", f"{target.name} ({target.kind}, {where})"), ("position", f"{_point(target.position)} m")]
        rows += [("box", f"{_point(target.low)} to {_point(target.high)} m"), ("distance", f"{target.distance_m:.2f} m")]
        seen = "not in the picture" if target.box_px is None else f"{_box(target.box_px)} px, {target.visible:.0%} of it visible"
        rows.append(("in the last view" if answer.trajectory else "in the view", seen))
    if answer.reason and target is not None:
        rows.append(("no way", answer.reason))
    for i, candidate in enumerate(answer.candidates[:5]):
        line = f"{candidate.name}, {candidate.distance_m:.1f} m away: {candidate.why}"
        rows.append(("" if i else ("nearest to it" if target is None else "others"), line))
    return rows


def _point(p: Any) -> str:
    return "(" + ", ".join(f"{v:.2f}" for v in p) + ")"


def _box(box: tuple[float, float, float, float]) -> str:
    return "({:.0f}, {:.0f}) to ({:.0f}, {:.0f})".format(*box)

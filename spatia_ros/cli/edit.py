"""Change a saved memory in 3D: remove, move, recolour or add things; every later frame shows the change.

A part is named by what it is called, or by where it is; several of these together mean what lies in all of them:

  --object NAME                     all points with a name (spatia edit MEMORY list)
  --box "X0 Y0 Z0 X1 Y1 Z1"         from corner to corner, m
  --sphere "X Y Z R"                around a point, m
  --half-space "X Y Z NX NY NZ"     the side of a plane that its normal points to
  --component "X Y Z R"             what hangs together at a point, no farther than R from it, without floor and walls

The memory that is read is not changed: the edited one is written to --out (which may be the same file). Keyframes
that saw the old state are masked, not cut: nothing of what was recorded is lost.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, config_of, examples, print_table, write_json_of

if TYPE_CHECKING:
    from spatia_ros.memory import Memory
    from spatia_ros.memory.edit import Editor
    from spatia_ros.memory.regions import Region
    from spatia_ros.types import Float64, UInt8

EXAMPLES = examples("""
spatia edit house.spatia list
spatia edit house.spatia --out bare.spatia remove --object SofaC_01_001 --picture removed.png
spatia edit room.spatia --out room.spatia remove --component "1.2 0.4 0.5 0.8"
spatia edit house.spatia --out moved.spatia move --object Ball_01_001 --by "0.5 -1 0" --turn-deg 30
spatia edit house.spatia --out red.spatia recolour --object SofaC_01_001 --rgb "180 20 20" --blend 0.6
spatia edit house.spatia --out more.spatia add chair.glb --at "1.5 2 0" --turn-deg 90 --name chair
""")
TAKES_A_PART = ("remove", "move", "recolour")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia edit``."""
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="a memory saved by seed, run, map or the node")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the edited memory goes")
    verbs = parser.add_subparsers(title="what to do", metavar="EDIT", required=True, dest="edit")
    listed = verbs.add_parser("list", help="everything with a name: points and bounds")
    add_json(listed)
    listed.set_defaults(run=run_list)
    help_of = {
        "remove": "take points away", "move": "take points elsewhere", "recolour": "mix a colour in",
        "add": "put the points of a mesh or cloud file in",
    }  # fmt: skip
    for name, purpose in help_of.items():
        verb = verbs.add_parser(name, help=purpose)
        _add_own(verb, name)
        if name in TAKES_A_PART:
            _add_part(verb)
        _add_picture(verb)
        add_json(verb)
        add_config(verb)
        verb.set_defaults(run=run_edit)


def _add_own(verb: argparse.ArgumentParser, name: str) -> None:
    if name == "add":
        verb.add_argument("file", type=Path, metavar="FILE", help="GLB, glTF, OBJ, DAE; PLY, PCD, LAS, LAZ")
        verb.add_argument("--at", default="0 0 0", metavar="'X Y Z'", help="where the file's origin goes, m (default: 0 0 0)")
        verb.add_argument("--name", default="", help="what to call it (default: the names in the file)")
        verb.add_argument("--up", default="", metavar="AXIS", help="of the file: x, y, z, -x, -y, -z (default: what it says)")
        verb.add_argument("--unit-m", type=float, default=0.0, metavar="M", help="metres per unit of the file")
    if name == "move":
        verb.add_argument("--by", default="0 0 0", metavar="'X Y Z'", help="how far, m")
    if name in ("add", "move"):
        verb.add_argument("--turn-deg", type=float, default=0.0, metavar="DEG", help="turn about --axis first, degrees")
        verb.add_argument("--axis", default="0 0 1", metavar="'X Y Z'", help="what it is turned about (default: z)")
    if name == "recolour":
        verb.add_argument("--rgb", required=True, metavar="'R G B'", help="the colour, 0..255")
        verb.add_argument("--blend", type=float, default=0.7, metavar="B", help="1 leaves nothing of the old colour")


def _add_part(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("the part (several: what lies in all of them)")
    group.add_argument("--object", metavar="NAME", help="what is called this")
    group.add_argument("--box", metavar="'X0 Y0 Z0 X1 Y1 Z1'", help="what lies in a box, m")
    group.add_argument("--sphere", metavar="'X Y Z R'", help="what lies in a ball, m")
    group.add_argument("--half-space", metavar="'X Y Z NX NY NZ'", help="one side of a plane: a point, the normal")
    group.add_argument("--component", metavar="'X Y Z R'", help="what hangs together at a point, within R of it, m")


def _add_picture(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("a picture of before and after")
    group.add_argument("--picture", type=Path, metavar="PNG", help="before, after, and where the pixels of after come from")
    group.add_argument("--keyframe", type=int, metavar="N", help="from this keyframe (default: that saw most of the change)")
    group.add_argument("--pose", metavar="'X Y Z QX QY QZ QW'", help="or from this pose: T_world_cam, OpenCV axes, m")


def run_list(args: argparse.Namespace) -> int:
    """``spatia edit MEMORY list``."""
    from spatia_ros.memory import Memory
    from spatia_ros.memory.edit import things

    found = things(Memory.load(args.memory))
    write_json_of(args, {t.name: {"points": t.points, "low": t.low.tolist(), "high": t.high.tolist()} for t in found})
    spans = [" to ".join("(" + ", ".join(f"{v:7.2f}" for v in c) + ")" for c in (t.low, t.high)) for t in found]
    print_table([(t.name, f"{t.points:>9,} points  {span} m") for t, span in zip(found, spans, strict=True)])
    if not found:
        print("no point has a name: use --box, --sphere, --half-space or --component")
    return 0


def run_edit(args: argparse.Namespace) -> int:
    """The other verbs of ``spatia edit``."""
    from spatia_ros.memory import Memory
    from spatia_ros.memory.edit import Editor
    from spatia_ros.types import SpatiaError

    if args.out is None:
        raise SpatiaError(f"--out: expected where the edited memory goes, before the word {args.edit}")
    memory = Memory.load(args.memory)
    before = memory.snapshot() if args.picture else None
    kept = list(memory.keyframes.keyframes)
    counts = apply(Editor(memory), args)
    memory.save(args.out)
    write_json_of(args, counts)
    rows = [(name, f"{value:,}") for name, value in counts.items()]
    if before is not None:
        _write_picture(args, before, memory, kept)
        rows.append(("picture", str(args.picture)))
    print_table([*rows, ("left in", str(args.out))])
    return 0


def apply(editor: Editor, args: argparse.Namespace) -> dict[str, int]:
    """Make the edit that the arguments name; returns what it counted."""
    from spatia_ros.memory.edit import turned_about

    if args.edit == "add":
        from spatia_ros.seed.part import points_of

        at, axis = numbers("--at", args.at, 3), numbers("--axis", args.axis, 3)
        points, names = points_of(args.file, editor.memory.config, args.up, args.unit_m)
        return editor.add(points, turned_about(0.0 * at, axis, args.turn_deg, at), args.name, names)
    part = part_of(args)
    if args.edit == "remove":
        return editor.remove(part)
    if args.edit == "recolour":
        return editor.recolour(part, numbers("--rgb", args.rgb, 3), args.blend)
    middle = editor.middle_of(part)
    return editor.move(part, turned_about(middle, numbers("--axis", args.axis, 3), args.turn_deg, numbers("--by", args.by, 3)))


def part_of(args: argparse.Namespace) -> Region:
    """The region that the arguments name."""
    from spatia_ros.memory.regions import Both, Box, Component, HalfSpace, Object, Sphere
    from spatia_ros.types import SpatiaError

    parts: list[Region] = [Object(args.object)] if args.object else []
    if args.box:
        corners = numbers("--box", args.box, 6)
        parts.append(Box(corners[:3], corners[3:]))
    if args.sphere:
        ball = numbers("--sphere", args.sphere, 4)
        parts.append(Sphere(ball[:3], ball[3]))
    if args.half_space:
        plane = numbers("--half-space", args.half_space, 6)
        parts.append(HalfSpace(plane[:3], plane[3:]))
    if args.component:
        seed = numbers("--component", args.component, 4)
        parts.append(Component(seed[:3], seed[3]))
    if not parts:
        raise SpatiaError(f"{args.edit}: expected a part: --object, --box, --sphere, --half-space or --component")
    return parts[0] if len(parts) == 1 else Both(parts)


def numbers(name: str, text: str, count: int) -> Float64:
    """So many finite numbers, separated by blanks or commas."""
    import numpy as np

    from spatia_ros.types import SpatiaError

    try:
        values = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise SpatiaError(f"{name}: expected {count} numbers, got {text!r}")
    return values


def _write_picture(args: argparse.Namespace, before: Any, memory: Memory, kept: list) -> None:
    """Before and after as the world shows them, generator and all, side by side."""
    import numpy as np

    from spatia_ros.record.files import encode_png, write_bytes
    from spatia_ros.world import World, open_generator

    config, keyframes = config_of(args), memory.keyframes.keyframes
    seen = [0 if new is old or new.masked is None else int(new.masked.sum()) for old, new in zip(kept, keyframes, strict=True)]
    keyframe = keyframes[_chosen(args, seen)]
    T_world_cam = keyframe.T_world_cam
    if args.pose:
        from spatia_ros.cli.options import pose_of

        T_world_cam = pose_of(args.pose)
    world = World(config, memory, open_generator(config), keyframe.camera)
    world.frozen, world.time_ns = True, keyframe.stamp_ns
    after = world.look(T_world_cam)
    edited = memory.snapshot()
    memory.restore(before)
    shown = [world.look(T_world_cam).rgb[0], after.rgb[0], np.repeat(after.provenance[0][..., None], 3, -1)]
    memory.restore(edited)
    write_bytes(args.picture, encode_png(_side_by_side(shown)))


def _chosen(args: argparse.Namespace, seen: list[int]) -> int:
    from spatia_ros.types import SpatiaError

    if not seen:
        raise SpatiaError("--picture: expected a memory with keyframes to take a camera from")
    index = max(range(len(seen)), key=seen.__getitem__) if args.keyframe is None else args.keyframe
    if not 0 <= index < len(seen):
        raise SpatiaError(f"--keyframe: expected 0..{len(seen) - 1}, got {index}")
    return index


def _side_by_side(pictures: list[UInt8]) -> UInt8:
    import numpy as np

    return np.concatenate(pictures, 1)

"""Make the first memory of a place from whatever there is of it.

  mesh     GLB, glTF, OBJ, DAE, PLY with faces, STL: every voxel of the surface with its texture, every object by its name
  cloud    PLY, PCD, LAS, LAZ: points as they are; grey by intensity or height where they have no colours
  photo    one JPEG or PNG: its depth is estimated, by the generator (weak) or a depth network in a folder (--depth-model)
  frames   RGB-D: a TUM folder, a bag, or a folder of colour and depth images with intrinsics; tracked where poses lack

Leaves a memory file that run, edit, the ROS nodes and every other command take, and a picture of what was seeded,
from the start pose and from above.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, config_of, count, examples, print_table, write_json_of
from spatia_ros.cli.place import depth_of_generator, reporting

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.seed import DepthEstimator, Known, Seeded
    from spatia_ros.types import UInt8

EXAMPLES = examples("""
spatia seed house.glb --out out/house.spatia                      # then: spatia run --memory out/house.spatia
spatia seed house.glb --objects                                   # list the objects an edit can name, and their bounds
spatia seed scan.laz --set memory.voxel_m=0.05 --out out/hall.spatia
spatia seed model.obj --up y --unit 0.001                         # a model in millimetres
spatia seed room.jpg --depth-model models/depth-anything --camera-height 1.5
spatia seed room.jpg --known-distance 640,410,2.3                 # pixel u,v of the photograph shows a surface 2.3 m ahead
spatia seed recording/ --poses tracked                            # leave recorded poses aside
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia seed``."""
    out = Path("out/seed.spatia")
    parser.add_argument("path", type=Path, metavar="PATH", help="what there is of the place")
    parser.add_argument("--out", type=Path, default=out, metavar="FILE", help=f"memory file (default: {out})")
    parser.add_argument("--kind", default="auto", metavar="KIND", help="auto (by what PATH is), mesh, cloud, photo or frames")
    parser.add_argument("--no-picture", action="store_true", help="do not draw the picture beside the memory file")
    space = parser.add_argument_group("mesh and cloud")
    space.add_argument("--up", default="", metavar="AXIS", help="x, y, z, -x, -y or -z (default: what the file or format says)")
    space.add_argument("--unit", type=float, default=0.0, metavar="M", help="metres per unit (default: what the file says, or 1)")
    space.add_argument("--eye-height", type=float, default=1.4, metavar="M", help="of the start above the floor (default: 1.4)")
    space.add_argument("--views", type=int, default=200, metavar="N", help="keyframes rendered of a mesh at most (default: 200)")
    space.add_argument("--finest", action="store_true", help="keep the configured voxel_m however sparse a cloud is")
    space.add_argument("--objects", action="store_true", help="list the objects of a mesh with their bounds")
    picture = parser.add_argument_group("photo (its scale: from one of these, where the estimator does not know metres)")
    picture.add_argument("--depth-model", type=Path, metavar="DIR", help="folder of a Hugging Face depth-estimation model")
    picture.add_argument("--depth-kind", default="", metavar="KIND", help="what the model gives: metric, scale or inverse")
    picture.add_argument("--camera-height", type=float, default=0.0, metavar="M", help="of the camera above the floor")
    picture.add_argument(
        "--known-distance", action="append", default=[], metavar="U,V,M", help="a pixel and how far ahead it is; may be repeated"
    )
    picture.add_argument("--fov", type=float, default=0.0, metavar="DEG", help="horizontal field of view (default: EXIF, or 65)")
    frames = parser.add_argument_group("frames")
    frames.add_argument("--poses", choices=("any", "tracked"), default="any", help="any: recorded ones, if there are (default)")
    frames.add_argument("--every", type=count, default=1, metavar="N", help="use every N-th frame (default: 1)")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.record.files import encode_png, write_bytes
    from spatia_ros.seed import SeedOptions, kind_of, open_place

    config, began = config_of(args), time.monotonic()
    kind = kind_of(args.path) if args.kind == "auto" else args.kind
    options = SeedOptions(
        kind=kind, up=args.up, unit_m=args.unit, eye_m=args.eye_height, finest=args.finest, views=max(args.views, 0),
        poses=args.poses, every=args.every, estimator=_estimator(args, config) if kind == "photo" else None,
        camera_height_m=args.camera_height, known=tuple(_known(text) for text in args.known_distance),
        fov_rad=args.fov * 3.141592653589793 / 180,
    )  # fmt: skip
    with reporting() as report:
        seeded = open_place(args.path, config, options, report)
    seeded.memory.save(args.out)
    files = [str(args.out)]
    if not args.no_picture:
        files.append(str(args.out.with_suffix(".png")))
        write_bytes(args.out.with_suffix(".png"), encode_png(picture_of(seeded)))
    figures = figures_of(seeded, kind) | {"seconds": round(time.monotonic() - began, 1)}
    write_json_of(args, figures)
    for sentence in seeded.story:
        print(f"{sentence[0].upper()}{sentence[1:]}.")
    print_table(table(seeded, figures, args.objects) + [("left in", ", ".join(files))])
    return 0


def _estimator(args: argparse.Namespace, config: WorldConfig) -> DepthEstimator:
    if args.depth_model is None:
        return depth_of_generator(config)
    from spatia_ros.seed.networks import NetworkDepth

    return NetworkDepth(args.depth_model, args.depth_kind)


def _known(text: str) -> Known:
    from spatia_ros.seed import Known
    from spatia_ros.types import SpatiaError

    try:
        u, v, depth_m = (float(word) for word in text.split(","))
    except ValueError:
        raise SpatiaError(f"--known-distance: expected U,V,M such as 640,410,2.3, got {text!r}") from None
    return Known(u, v, depth_m)


def figures_of(seeded: Seeded, kind: str) -> dict[str, Any]:
    """What was seeded, in plain values."""
    xyz = seeded.memory.points().xyz
    return {
        "name": seeded.name, "kind": kind, "points": len(xyz), "bounds_m": [xyz.min(0).tolist(), xyz.max(0).tolist()],
        "keyframes": len(seeded.memory.keyframes), "origin_m": seeded.origin_m.tolist(),
        "T_world_cam": seeded.T_world_cam.tolist(), "story": seeded.story,
        "object_bounds_m": {name: list(corners) for name, corners in seeded.objects.items()}, **seeded.figures,
    }  # fmt: skip


def table(seeded: Seeded, figures: dict[str, Any], objects: bool) -> list[tuple[str, str]]:
    """The figures for people."""
    low, high = figures["bounds_m"]
    size = " x ".join(f"{b - a:.2f}" for a, b in zip(low, high, strict=True))
    rows = [
        ("points", f"{figures['points']:,} in voxels of {seeded.memory.config.voxel_m:.3g} m"),
        ("bounds", f"{_corner(low)} to {_corner(high)} m, {size} m"),
        ("keyframes", f"{figures['keyframes']}"),
        ("start", f"{_corner(seeded.T_world_cam[:3, 3])} m"),
    ]
    if seeded.objects:
        names = list(seeded.objects)
        rows.append(("objects", f"{len(names)}: " + ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")))
    if objects:
        rows += [(f"  {name}", f"{_corner(a)} to {_corner(b)} m") for name, (a, b) in seeded.objects.items()]
    return rows


def _corner(xyz: Any) -> str:
    return "(" + ", ".join(f"{float(v):.2f}" for v in xyz) + ")"


def picture_of(seeded: Seeded) -> UInt8:
    """What memory shows at the start, and the place from above with the way through it: uint8 [H, W, 3]."""
    import numpy as np

    from spatia_ros.geometry import inverse
    from spatia_ros.record.map_picture import Journey, draw_map
    from spatia_ros.record.panels import enlarged
    from spatia_ros.record.plan import draw_plan

    view = seeded.memory.render(seeded.camera, seeded.T_world_cam, 0)
    points, eyes = seeded.memory.points(), seeded.recorded.T_world_cam[:, :3, 3]
    up = -inverse(seeded.T_world_cam)[:3, :3].T[:, 1]
    axis = np.eye(3)[np.abs(up).argmax()] * np.sign(up[np.abs(up).argmax()])
    plan = draw_plan(points.xyz, points.rgb, seeded.memory.config.voxel_m, axis, eyes, 900)
    above = draw_map(plan, Journey(np.ascontiguousarray(eyes)), seeded.name)
    return np.concatenate([enlarged(view.rgb, above.shape[0]), above], 1)

"""Look into a saved memory: what it holds, how it looks from a pose, its points for other programs.

A file that is damaged or not a memory is refused with a sentence and exit code 2; it is never changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.memory_files import add_verbs, check, opened
from spatia_ros.cli.options import add_json, count, examples, pose_of, print_table, write_json_of

if TYPE_CHECKING:
    from spatia_ros.memory import Memory

EXAMPLES = examples("""
spatia memory info out/run/memory.spatia
spatia memory ply out/run/memory.spatia out/run/points.ply
spatia memory export out/run/memory.spatia points.glb            # or .pcd, .ply
spatia memory render out/run/memory.spatia picture.png --keyframe 3 --size 640x384
spatia memory render out/run/memory.spatia picture.png --pose "1.5 3.4 1.45 0.7 0 0 -0.7"
spatia memory verify out/run/memory.spatia
spatia memory merge kitchen.spatia hall.spatia --out flat.spatia
spatia memory migrate written-by-release-1.spatia new.spatia
spatia memory convert out/run/memory.spatia coarse.spatia --voxel-m 0.05
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia memory``."""
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", required=True)
    info = verbs.add_parser("info", help="points, bounds, keyframes, size; checks every checksum")
    ply = verbs.add_parser("ply", help="write the points as PLY (position, colour, confidence, sensed)")
    export = verbs.add_parser("export", help="write the points as .ply, .pcd or .glb, by the file's ending")
    render = verbs.add_parser("render", help="write a picture of the memory: colour | depth | where each pixel comes from")
    convert = verbs.add_parser("convert", help="write the memory with another voxel size")
    for verb in (info, ply, export, render, convert):
        verb.add_argument("memory", type=Path, metavar="FILE", help="a memory saved by run, map or the node")
    add_json(info)
    ply.add_argument("out", type=Path, metavar="PLY")
    render.add_argument("out", type=Path, metavar="PNG")
    export.add_argument("out", type=Path, metavar="OUT")
    export.add_argument("--up", default="z", choices=("z", "y", "-y"), help="what is up in the memory (default: z); y in a GLB")
    pose = render.add_mutually_exclusive_group()
    pose.add_argument("--keyframe", type=int, default=0, metavar="N", help="from where this keyframe was taken (default: 0)")
    pose.add_argument("--pose", metavar="'X Y Z QX QY QZ QW'", help="from this pose: T_world_cam, OpenCV axes, metres")
    render.add_argument("--size", default="", metavar="WxH", help="of the picture, px (default: the keyframe's)")
    convert.add_argument("out", type=Path, metavar="OUT")
    convert.add_argument("--voxel-m", type=float, required=True, metavar="M", help="side of a voxel, m")
    convert.add_argument("--keyframes", type=count, metavar="N", help="keep at most this many keyframes")
    add_verbs(verbs)
    actions = {info: run_info, ply: run_ply, export: run_export, render: run_render, convert: run_convert}
    for verb, action in actions.items():
        verb.set_defaults(run=action)


def run_info(args: argparse.Namespace) -> int:
    """``spatia memory info``."""
    memory = opened(args.memory)
    state = check(memory)
    figures = describe(memory) | {"bytes": args.memory.stat().st_size}
    write_json_of(args, figures)
    corners: list[list[float]] = figures["bounds_m"] or []
    print_table([
        ("file", f"{args.memory}, {figures['bytes'] / 1e6:.1f} MB, {state}"),
        ("points", f"{figures['points']:,}, {figures['sensed_share']:.0%} from a sensor, voxels of {figures['voxel_m']:g} m"),
        ("bounds", " to ".join("(" + ", ".join(f"{v:.2f}" for v in corner) + ")" for corner in corners) + " m"),
        ("keyframes", f"{figures['keyframes']}" + (f" of {figures['keyframe_size']}" if figures["keyframes"] else "")),
    ])  # fmt: skip
    return 0


def describe(memory: Memory) -> dict[str, Any]:
    """What a memory holds, in plain values."""
    keyframes, sensed, corners = memory.keyframes.keyframes, 0, []
    for points in memory.chunks():
        sensed += int(points.sensed.sum())
        corners += [points.xyz.min(0).tolist(), points.xyz.max(0).tolist()]
    bounds = [list(map(min, zip(*corners, strict=True))), list(map(max, zip(*corners, strict=True)))] if corners else None
    return {
        "points": len(memory), "voxel_m": memory.config.voxel_m, "bounds_m": bounds,
        "sensed_share": round(sensed / max(len(memory), 1), 4),
        "keyframes": len(keyframes),
        "keyframe_size": f"{keyframes[0].camera.width}x{keyframes[0].camera.height}" if keyframes else None,
    }  # fmt: skip


def run_ply(args: argparse.Namespace) -> int:
    """``spatia memory ply``."""
    memory = opened(args.memory)
    memory.export_ply(args.out)
    print_table([("points", f"{len(memory):,}"), ("left in", str(args.out))])
    return 0


def run_export(args: argparse.Namespace) -> int:
    """``spatia memory export``."""
    from spatia_ros.formats.cloud_export import SUFFIXES, encode_points
    from spatia_ros.record.files import write_bytes
    from spatia_ros.types import SpatiaError

    suffix = args.out.suffix.lower()
    if suffix == ".ply":
        return run_ply(args)
    if suffix not in SUFFIXES:
        raise SpatiaError(f"{args.out}: expected a name ending in .ply, {' or '.join(SUFFIXES)}")
    points = opened(args.memory).points()
    write_bytes(args.out, encode_points(suffix, points.xyz, points.rgb, args.up))
    print_table([("points", f"{len(points.xyz):,}"), ("left in", str(args.out))])
    return 0


def run_render(args: argparse.Namespace) -> int:
    """``spatia memory render``."""
    import numpy as np

    from spatia_ros.pixels import provenance
    from spatia_ros.record.files import encode_png, write_bytes
    from spatia_ros.record.panels import Film
    from spatia_ros.record.shot import Shot
    from spatia_ros.types import Camera, SpatiaError

    memory = opened(args.memory)
    keyframes = memory.keyframes.keyframes
    if not (0 <= args.keyframe < len(keyframes) or (args.pose and not keyframes)):
        raise SpatiaError(f"--keyframe: expected 0..{len(keyframes) - 1}, got {args.keyframe}; or give --pose")
    # A memory built from a cloud has none.
    keyframe = keyframes[args.keyframe] if keyframes else None
    camera = keyframe.camera if keyframe else Camera.from_fov(640, 480, np.radians(60.0))
    if args.size:
        camera = camera.resized(*_size(args.size))
    T_world_cam = keyframe.T_world_cam if keyframe and not args.pose else pose_of(args.pose)
    view = memory.render(camera, T_world_cam, keyframe.stamp_ns if keyframe else 0)
    film = Film([Shot(0, T_world_cam, view.rgb, view.depth, provenance(view))], args.memory.stem)
    write_bytes(args.out, encode_png(np.concatenate(film.panels(0), 1)))
    print_table([("remembered", f"{view.coverage.mean():.0%} of the picture"), ("left in", str(args.out))])
    return 0


def _size(text: str) -> tuple[int, int]:
    from spatia_ros.types import SpatiaError

    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise SpatiaError(f"--size: expected WIDTHxHEIGHT in pixels, such as 640x384, got {text!r}")
    return int(width), int(height)


def run_convert(args: argparse.Namespace) -> int:
    """``spatia memory convert``."""
    from spatia_ros.config import WorldConfig, override
    from spatia_ros.memory import Memory

    source = opened(args.memory)
    config = override(WorldConfig(memory=source.config), [f"memory.voxel_m={args.voxel_m}"]).memory
    kept = source.keyframes.keyframes[: args.keyframes]
    memory = Memory(config)
    memory.epoch_ns, memory.names = source.epoch_ns, dict(source.names)
    for points in source.chunks():
        memory.add_points(points)
    for keyframe in kept:
        memory.keyframes.append(keyframe)
    memory.save(args.out)
    print_table([("points", f"{len(source):,} -> {len(memory):,}"), ("keyframes", f"{len(kept)}"), ("left in", str(args.out))])
    return 0

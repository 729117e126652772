"""The command line: ``spatia COMMAND``. A command is a module of this package, imported only when it is asked for."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "doctor": "examine this host: ROS, image transport, messages, GPU, weights, disk; says what to do",
    "demo": "scan, fly out past the edge of the scan and back, all through ROS 2; leaves a video and a report",
    "run": "fly a camera through a world; leaves frames, poses, figures, video and the memory",
    "seed": "make a memory of a mesh, a point cloud, a photograph, or frames with or without poses",
    "spacetime": "see a recording of moving things from any camera at any of its times",
    "gallery": "make a gallery of films: bullet time, time backwards, edits that stay, what-ifs",
    "map": "build a memory from a recording, with its poses or without; leaves a report",
    "edit": "change a saved memory in 3D: remove, move, recolour, add; list what has a name",
    "find": "find what a phrase means: which thing, where, how far; or what comes nearest to it",
    "goto": "go to what a phrase means, without collision, until it is framed; leaves frames, video, box and map",
    "memory": "look into a saved memory: info, picture, PLY",
    "ros": "start the ROS 2 nodes, command a path, record the topics",
    "evaluate": "measure: novel views, closed loop, long horizon, camera, tracking, moving things, edits",
    "bench": "measure speed",
    "clips": "build training clips from procedural scenes, meshes and recordings",
    "grid": "write full (camera x time) grids of scenes with things that move",
    "train": "train the generator",
    "export": "turn trained weights into an engine",
    "build-engine": "build TensorRT engines for this GPU, or plan them for a device",
}
BAD_INPUT = 2
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2: bad input, 130: interrupted)."""
    argv = sys.argv[1:] if argv is None else argv
    chosen = next((word for word in argv if not word.startswith("-")), None)
    args = build_parser(chosen).parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("\nspatia: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; the interpreter would complain once more
        return 1
    except Exception as error:
        from spatia_ros.types import SpatiaError

        if not isinstance(error, (SpatiaError, OSError)):
            raise
        print(f"spatia: error: {error}", file=sys.stderr)
        return BAD_INPUT


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line; only the chosen command's own arguments are filled in."""
    parser = argparse.ArgumentParser(
        prog="spatia", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="A scanned place as a world that a robot camera can be simulated in.",
        epilog="Start with:  spatia demo\nEvery command explains itself:  spatia COMMAND --help",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        sub = commands.add_parser(name, help=purpose, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            module = import_module(f"spatia_ros.cli.{name.replace('-', '_')}")
            sub.description, sub.epilog = module.__doc__, module.EXAMPLES
            module.add_arguments(sub)
    return parser

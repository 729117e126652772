"""The ROS 2 side: nodes to start, and tools beside them. Everything runs in the environment ROS needs here
(Fast DDS profile, library paths), which is set for you; ROS_DOMAIN_ID is yours.

world    a world to be in: cmd_pose, cmd_trajectory, cmd_vel, initialpose in; colour, depth, provenance, tf, odom out
mapper   RGB-D topics of a camera or another simulator in; a memory out
fly      command a camera path to a running world node, and wait for its last frame
call     call a service of a running node (for hosts without ros2 service call)
goal     send a goal to an action, tell how it goes; Ctrl-C cancels it (for hosts without ros2 action send_goal)
record   record topics to an MCAP file or a rosbag2 folder, until Ctrl-C (for hosts without ros2 bag)
play     publish a bag again, with its time as /clock
mend     close a bag whose recorder was killed
soak     minutes of random commands, edits, saves, kills and restarts of a world, while a checker verifies every promise
cycle    configure, activate, clean up one node again and again, and say what it holds
soak-actors   minutes of random clocks, spawns and deletions in a live world beside its twin without actors, all checked
soak-map   the same recording mapped over and over: as many points each time, and no memory use that grows
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from spatia_ros.cli import bag_arguments, soak, soak_actors, soak_map
from spatia_ros.cli.camera_topics import DEVICES
from spatia_ros.cli.options import examples
from spatia_ros.cli.place import SEQUENCE_HELP

EXAMPLES = examples("""
spatia ros world --sequence data/lounge                     # a world seeded from a recording
spatia ros world --memory out/run/memory.spatia --set frames.map_up=y --ros-args -r __ns:=/robot1
spatia ros world --params config/world.yaml --set camera.width_px=512
spatia ros world --sequence builtin --rig config/rigs/mobile_base.yaml
spatia ros world --memory house.spatia --robot robot1       # topics /robot1/..., frames robot1/odom, robot1/base_link, ...
spatia ros mapper --device realsense --set sensor.pose_source=tracked
spatia ros mapper --set memory.voxel_m=0.02 --ros-args -r color/image_raw:=/d435/color/image_raw
spatia ros fly --trajectory path.txt --save-ply after.ply   # poses as TUM lines: t tx ty tz qx qy qz qw
spatia ros call memory/save '{path: now.spatia}'
spatia ros goal export_dataset '{format: 1, folder: flight, seed: 1}' --trajectory path.txt
spatia ros record --out run.mcap
spatia ros record --out run --split-mb 1000                 # a rosbag2 folder of several files
spatia ros play run.mcap --clock 100
spatia ros soak --minutes 20 --json out/soak.json           # make soak MINUTES=20
spatia ros soak --minutes 0 --kills 50                      # kill -9 at 50 random moments
spatia ros soak-actors --minutes 10 --json out/soak.json
spatia ros soak-map --minutes 10
""")
_RUNNER, _TOOL = "spatia_ros.nodes.runner", "spatia_ros.nodes.tools.tool"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia ros``."""
    verbs = parser.add_subparsers(title="what to start", metavar="WHAT", required=True)
    world = verbs.add_parser("world", help="the world node")
    mapper = verbs.add_parser("mapper", help="the mapper node")
    for node in (world, mapper):
        node.add_argument("--params", action="append", default=[], metavar="FILE", help="parameter file (YAML); may be repeated")
        node.add_argument("--set", action="append", default=[], dest="assignments", metavar="NAME=VALUE", help="one parameter")
        node.add_argument("--respawn", action="store_true", help="start it again when it dies or hangs, where it was")
        node.add_argument("--write-params", metavar="FILE", help="write every parameter with its default, described, and stop")
        node.add_argument("--ros-args", nargs=argparse.REMAINDER, default=[], help="what follows goes to ROS as it is")
    source = world.add_mutually_exclusive_group()
    source.add_argument("--sequence", metavar="PATH", help=f"{SEQUENCE_HELP}; 'builtin' is the built-in room")
    source.add_argument("--memory", type=Path, metavar="FILE", help="a saved memory")
    world.add_argument("--actors", type=Path, metavar="FILE", help="what moves there: a script of actors (docs/actors.md)")
    world.add_argument("--rig", type=Path, metavar="FILE", help="the cameras: a rig file (YAML) or a URDF (docs/rigs.md)")
    world.add_argument("--robot", metavar="NAME", help="one of several robots: its namespace, and the prefix of its frames")
    world.set_defaults(run=run_node, node="world", device=None)
    mapper.add_argument("--device", choices=sorted(DEVICES), help="take the topic names of this camera's own driver")
    mapper.set_defaults(run=run_node, node="mapper", sequence=None, memory=None, actors=None, rig=None, robot=None)
    fly = verbs.add_parser("fly", help="command a camera path")
    fly.add_argument("--trajectory", type=Path, required=True, metavar="FILE", help="TUM file of camera poses, OpenCV axes")
    fly.add_argument("--map-up", default="z", choices=("z", "y", "-y"), help="the node's parameter frames.map_up (default: z)")
    fly.add_argument("--save", default="", metavar="FILE.spatia", help="then have the node save its memory in its data folder")
    fly.add_argument("--save-ply", default="", metavar="FILE.ply", help="then have the node export its points")
    fly.set_defaults(run=run_fly)
    call = verbs.add_parser("call", help="call a service")
    call.add_argument("service", metavar="NAME", help="such as memory/save, or robot1/memory/save")
    call.add_argument("request", nargs="?", default="{}", metavar="YAML", help="such as '{path: now.spatia}'")
    call.set_defaults(run=run_call)
    goal = verbs.add_parser("goal", help="send a goal to an action")
    goal.add_argument("action", metavar="NAME", help="such as export_dataset, or robot1/navigate_to_object")
    goal.add_argument("goal", nargs="?", default="{}", metavar="YAML", help="such as '{phrase: the red chair}'")
    goal.add_argument("--trajectory", type=Path, metavar="FILE", help="camera poses (TUM or w2c lines) for the goal's path")
    goal.add_argument("--map-up", default="z", choices=("z", "y", "-y"), help="of the trajectory: the node's frames.map_up")
    goal.set_defaults(run=run_goal)
    record = verbs.add_parser("record", help="record all topics")
    bag_arguments.add_record(record)
    record.set_defaults(run=lambda args: become(_TOOL, "record", *bag_arguments.record_words(args)))
    play = verbs.add_parser("play", help="publish a bag again")
    bag_arguments.add_play(play)
    play.set_defaults(run=lambda args: become(_TOOL, "play", *bag_arguments.play_words(args)))
    mend = verbs.add_parser("mend", help="close a bag whose recorder was killed")
    bag_arguments.add_mend(mend)
    mend.set_defaults(run=lambda args: become(_TOOL, "mend", str(args.bag)))
    soak.add_arguments(verbs.add_parser("soak", help="play with a world, kill it, and check every promise"))
    cycle = verbs.add_parser("cycle", help="a trial of the lifecycle: a node configured and cleaned up again and again")
    cycle.add_argument("--node", choices=("world", "mapper"), default="world", help="which node (default: world)")
    cycle.add_argument("--cycles", type=int, default=100, help="how often (default: 100)")
    cycle.add_argument("--frames", type=int, default=2, help="frames of work in each (default: 2)")
    cycle.add_argument("--set", action="append", default=[], dest="assignments", metavar="NAME=VALUE", help="one parameter")
    cycle.set_defaults(run=run_cycle)
    soak_actors.add_arguments(verbs.add_parser("soak-actors", help="a trial of the actors: random changes, everything checked"))
    soak_map.add_arguments(verbs.add_parser("soak-map", help="map the same recording over and over, and watch memory use"))


def run_node(args: argparse.Namespace) -> int:
    """``spatia ros world`` and ``spatia ros mapper``."""
    words = [word for file in args.params for word in ("--params", file)]
    words += [word for assignment in args.assignments for word in ("--set", assignment)]
    if args.sequence:
        place = args.sequence if args.sequence == "builtin" else str(Path(args.sequence).resolve())
        words += ["--set", f"source.sequence={place}"]
    if args.memory:
        words += ["--set", f"source.memory={args.memory.resolve()}"]
    if args.actors:
        words += ["--set", f"source.actors={args.actors.resolve()}"]
    if args.rig:
        words += ["--set", f"rig.file={args.rig.resolve()}"]
    if args.robot:
        words += ["--set", f"frames.prefix={args.robot}/"]
    words += ["--respawn"] if args.respawn else []
    words += ["--write-params", args.write_params] if args.write_params else []
    names = DEVICES[args.device].remappings() if args.device else {}
    names |= {"__ns": f"/{args.robot}"} if args.robot else {}
    ros = [word for name, value in names.items() for word in ("-r", f"{name}:={value}")] + args.ros_args
    words += ["--ros-args", *ros] if ros else []
    return become(_RUNNER, args.node, *words)


def run_fly(args: argparse.Namespace) -> int:
    """``spatia ros fly``."""
    words = ["--trajectory", str(args.trajectory), f"--map-up={args.map_up}", "--save", args.save, "--save-ply", args.save_ply]
    return become(_TOOL, "fly", *words)


def run_goal(args: argparse.Namespace) -> int:
    """``spatia ros goal``."""
    words = ["--trajectory", str(args.trajectory)] if args.trajectory else []
    return become("spatia_ros.nodes.tools.send_goal", args.action, args.goal, f"--map-up={args.map_up}", *words)


def run_call(args: argparse.Namespace) -> int:
    """``spatia ros call``."""
    return become("spatia_ros.nodes.tools.call", args.service, args.request)


def run_cycle(args: argparse.Namespace) -> int:
    """``spatia ros cycle``."""
    words = [word for assignment in args.assignments for word in ("--set", assignment)]
    words += ["--node", args.node, "--cycles", str(args.cycles), "--frames", str(args.frames)]
    return become("spatia_ros.nodes.tools.cycle", *words)


def become(module: str, *arguments: str) -> int:
    """Go on as ``python -m module arguments``, so that signals and the exit code are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])

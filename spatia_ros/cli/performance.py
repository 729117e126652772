"""The demo's flight: what each process is given, and the three of them over ROS."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from spatia_ros.cli import flight
from spatia_ros.cli.options import progress_bar
from spatia_ros.cli.place import Place
from spatia_ros.cli.processes import Child, Troupe
from spatia_ros.config import WorldConfig, dump
from spatia_ros.record.files import write_text
from spatia_ros.record.poses import write_poses
from spatia_ros.types import Float64, SpatiaError

if TYPE_CHECKING:
    from tqdm import tqdm

IMAGES = ("camera/color/image_raw", "camera/depth/image_rect", "camera/provenance", "camera/color/metadata", "/tf", "/tf_static")
"""What the recorder must hear before the flight begins."""
START_LIMIT_S, FRAME_LIMIT_S, CLOSE_LIMIT_S = 180.0, 20.0, 60.0
_UP = {(0, 0, 1): "z", (0, 1, 0): "y", (0, -1, 0): "-y"}


def prepare(place: Place, config: WorldConfig, frames: int, out: Path) -> str:
    """Write the seed memory, the node's parameters and the path; returns the recording's axis that points up."""
    recorded = place.recorded.T_world_cam
    poses = flight.out_and_back(recorded, place.seeded, place.outlook, frames)
    write_poses(out / "commanded.txt", flight.timed(poses, config.frame_rate_hz))
    write_text(out / "config.yaml", dump(config))
    place.memory.save(out / "seed.spatia")
    map_up = up_axis(recorded)
    write_parameters(out / "world.yaml", config, out, "seed.spatia", map_up)
    return map_up


def write_parameters(path: Path, config: WorldConfig, folder: Path, memory: str, map_up: str) -> None:
    """The parameter file of a world node that starts from a memory in its data folder."""
    parameters = config.model_dump() | {
        "data_dir": str(folder.resolve()),
        "source": {"memory": memory},
        "frames": {"map_up": map_up},
        # As fast as frames can be made; cloud messages would fill the recording otherwise.
        "motion": {"real_time": False},
        "cloud": {"max_points": 60_000, "max_bytes_per_s": 1e6},
    }
    write_text(path, yaml.dump({"/**": {"ros__parameters": parameters}}, Dumper=_Quoting, sort_keys=False))


class _Quoting(yaml.SafeDumper):
    """Writes words in quotes: ROS reads a bare y as true."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def up_axis(T_world_cam: Float64) -> str:
    """The world axis that is up along a recorded path, as the parameter ``frames.map_up`` names it ("z" when none is)."""
    axis = flight.up_of(T_world_cam)
    return _UP.get(tuple(np.round(axis).astype(int).tolist()), "z") if np.abs(axis).max() > 0.999 else "z"


def perform(out: Path, map_up: str, frames: int) -> int:
    """Fly: world node, recorder and pilot as processes of their own; returns the points in memory at the end.

    Raises:
        SpatiaError: when a process dies or falls silent, with the end of its log; none is left running.
    """
    domain = free_domain()
    print(f"starting the world node and the recorder (ROS_DOMAIN_ID={domain})")
    with Troupe(out / "logs", {"ROS_DOMAIN_ID": str(domain)}) as troupe:
        troupe.start("world node", "spatia_ros.nodes.runner", "world", "--params", str(out / "world.yaml"))
        recorder = troupe.start(
            "recorder", "spatia_ros.nodes.tools.tool", "record", "--out", str(out / "run.mcap"), "--wait-for", *IMAGES
        )
        troupe.wait("the recorder to hear the node", lambda: any("ready" in r for r in recorder.reports), START_LIMIT_S)
        pilot = troupe.start(
            "pilot", "spatia_ros.nodes.tools.tool", "fly", "--trajectory", str(out / "commanded.txt"), f"--map-up={map_up}",
            "--listeners", "2", "--save", "memory.spatia", "--save-ply", "memory.ply",
        )  # fmt: skip
        _watch(troupe, pilot, frames)
        code = recorder.stop(CLOSE_LIMIT_S)
        if code != 0 or not (out / "run.mcap").is_file():
            words = f"its last lines ({recorder.log}):\n{recorder.last_words()}"
            raise SpatiaError(f"the recorder ended with exit code {code}; {words}")
    return int(next(report["points"] for report in pilot.reports if report.get("saved") == "memory.spatia"))


def _watch(troupe: Troupe, pilot: Child, frames: int) -> None:
    """Show the flight until the pilot is done."""
    with progress_bar("flying over ROS 2", frames) as bar:
        troupe.wait("the flight to end", lambda: _landed(pilot, bar), START_LIMIT_S + FRAME_LIMIT_S * frames, leaving=[pilot])


def _landed(pilot: Child, bar: tqdm) -> bool:
    done = max((report.get("frames", 0) for report in list(pilot.reports)), default=0)
    bar.update(done - bar.n)
    return pilot.process.poll() == 0


def free_domain() -> int:
    """A ROS_DOMAIN_ID of 1..101 that nobody on this machine uses.

    A participant holds its domain's discovery port, 7400 + 250 * domain (DDSI-RTPS 9.6.1.1).
    """
    for domain in np.random.default_rng().permutation(np.arange(1, 102)).tolist():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain))
            except OSError:
                continue
            return int(domain)
    raise SpatiaError("ROS: expected a free ROS_DOMAIN_ID of 1..101, all are in use on this machine")

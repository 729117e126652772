"""A recording taken apart, on disk: so that it is taken apart once, whatever cameras and times it is then seen at.

    memory.spatia     what stands still
    cast.npz          what moves
    recording.json    camera, its path and times, figures, and what all of it was made from; written last
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.actors.cast_file import load as load_cast
from spatia_ros.actors.cast_file import save as save_cast
from spatia_ros.memory import Memory
from spatia_ros.record.files import write_json
from spatia_ros.slam.lift import Lifted
from spatia_ros.types import Camera, SpatiaError, Trajectory

MEMORY, CAST, FACTS = "memory.spatia", "cast.npz", "recording.json"
MAX_FACTS_BYTES = 1 << 26


def save_lifted(lifted: Lifted, folder: Path, identity: dict[str, Any]) -> None:
    """Write a recording taken apart: memory.spatia, cast.npz, and, last, recording.json, without which the others do not count.

    Args:
        identity: what it was made from, as plain values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lifted.memory.save(folder / MEMORY, exact=True)
    save_cast(lifted.cast, folder / CAST)
    write_json(folder / FACTS, _facts_of(lifted, identity))


def load_lifted(folder: Path, identity: dict[str, Any] | None = None) -> Lifted | None:
    """What :func:`save_lifted` wrote; None where nothing is, or it was made from something else than ``identity``.

    Raises:
        SpatiaError: when a file is damaged.
    """
    path = folder / FACTS
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_FACTS_BYTES:
        raise SpatiaError(f"{path}: expected at most {MAX_FACTS_BYTES} bytes, got {path.stat().st_size}")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        camera, stamps = Camera(**facts["camera"]), np.array(facts["stamps_ns"], np.int64)
        poses = np.array(facts["T_world_cam"], np.float64).reshape(-1, 4, 4)
        figures = {str(k): float(v) for k, v in facts["figures"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise SpatiaError(f"{path}: expected the facts of a recording, got something else ({error!r:.200})") from None
    if identity is not None and facts.get("identity") != json.loads(json.dumps(identity)):
        return None
    return Lifted(Memory.load(folder / MEMORY), load_cast(folder / CAST), Trajectory(stamps, poses), camera, figures)


def _facts_of(lifted: Lifted, identity: dict[str, Any]) -> dict[str, Any]:
    """What of a recording is in neither memory nor cast, as plain values."""
    c = lifted.camera
    return {
        "identity": identity, "figures": lifted.figures, "stamps_ns": lifted.trajectory.stamps_ns.tolist(),
        "camera": {"width": c.width, "height": c.height, "fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy},
        "T_world_cam": lifted.trajectory.T_world_cam.reshape(-1, 16).tolist(),
    }  # fmt: skip

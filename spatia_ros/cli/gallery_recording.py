"""The gallery's film of a recording: a procedural street is filmed by a moving camera, and ``spatia spacetime`` does the rest."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatia_ros.gallery.page import Entry
    from spatia_ros.types import UInt8

NAME, TITLE = "from-a-recording", "Another camera, another time, from a recording"
SENTENCE = (
    "Left, what was recorded of each moment; right, the same moments from a camera that was never there, time standing in the "
    "middle: what moved was taken out of the recording and made an actor."
)
KIND, SEED, SIZE, FRAMES = "street", 1, (320, 192), 31
WORDS = "--camera orbit:0.6 --first-camera 15 --time bullet-time --frames 46"
SETTINGS = ("memory.voxel_m=0.03", "memory.max_range_m=40", "verify.max_range_m=30", "frame_rate_hz=15")
FACTS, VIDEO, STRIP, POSTER = "film.json", "spacetime.mp4", "strip.png", "strip.jpg"
COLUMNS = (0, 2, 4, 7)
"""Of the eight moments of the strip, those on the page."""


def words(out: Path, assignments: list[str]) -> list[str]:
    """The command that makes the film of the recording, without ``spatia``; the user's settings last."""
    settings = [word for value in (*SETTINGS, *assignments) for word in ("--set", value)]
    sequence = ["--sequence", str(out / "places" / "recording")]
    return ["spacetime", *sequence, *shlex.split(WORDS), "--out", str(out / NAME), *settings]


def facts(out: Path, assignments: list[str]) -> dict[str, Any] | None:
    """What is known of the film, where it is there and was made by this very command."""
    folder = out / NAME
    if not all((folder / name).is_file() for name in (VIDEO, STRIP, POSTER, FACTS)):
        return None
    try:
        known = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except ValueError:
        return None
    mine = isinstance(known, dict) and known.get("made_from") == _identity(out, assignments)
    return dict(known) if mine else None


def make(out: Path, assignments: list[str]) -> dict[str, Any]:
    """Record the street, unless that was done, and make the film; returns what is known of it."""
    import cv2
    import numpy as np

    from spatia_ros.cli import build_parser
    from spatia_ros.record.files import encode_jpeg, write_bytes, write_json
    from spatia_ros.types import SpatiaError

    _record(out / "places" / "recording")
    args = build_parser("spacetime").parse_args([*words(out, assignments), "--map", str(out / "places" / "recording_map")])
    args.overwrite = True
    args.run(args)
    strip = cv2.imread(str(out / NAME / STRIP), cv2.IMREAD_COLOR)
    if strip is None:
        raise SpatiaError(f"{out / NAME / STRIP}: expected a PNG, got none")
    write_bytes(out / NAME / POSTER, encode_jpeg(_some_columns(np.asarray(strip[..., ::-1], np.uint8))))
    figures = json.loads((out / NAME / "figures.json").read_text(encoding="utf-8"))
    known = {"made_from": _identity(out, assignments), "frames": figures["frames"], "actors": figures["actors"]}
    write_json(out / NAME / FACTS, known)
    return known


def entry(out: Path, assignments: list[str]) -> Entry:
    """The film on the page."""
    from spatia_ros.gallery.page import Entry

    command = shlex.join(["spatia", *words(out, assignments)])
    return Entry(NAME, TITLE, SENTENCE, f"{NAME}/{VIDEO}", f"{NAME}/{POSTER}", (), command)


def _identity(out: Path, assignments: list[str]) -> str:
    told = [KIND, SEED, SIZE, FRAMES, words(out, assignments)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _record(folder: Path) -> None:
    """The street as a recording (TUM), unless it is there."""
    from spatia_ros.cli.options import progress
    from spatia_ros.sequence.tum_writer import write_tum
    from spatia_ros.train.scene_take import TakePlan, procedural_take

    if folder.is_dir():
        return
    take = procedural_take(KIND, SEED, TakePlan(size=SIZE, frames=FRAMES))
    folder.parent.mkdir(parents=True, exist_ok=True)
    seconds = enumerate(progress(take.times_s.tolist(), "recording the street"))
    write_tum((take.look("source", k, s, stamp_ns=round(1e9 * (1 + s))).frame for k, s in seconds), folder)


def _some_columns(strip: UInt8) -> UInt8:
    """A few of the eight columns of a strip."""
    import numpy as np

    width = strip.shape[1] // 8
    return np.ascontiguousarray(np.concatenate([strip[:, k * width : (k + 1) * width] for k in COLUMNS], 1))

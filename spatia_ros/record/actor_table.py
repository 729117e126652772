"""Where every actor was in every frame of a run: a CSV file that people, spreadsheets and programs read alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from spatia_ros import geometry
from spatia_ros.record.files import write_text
from spatia_ros.types import ActorState, SpatiaError

COLUMNS = (
    "frame", "stamp_ns", "animation_s", "id", "name", "kind", "tau_s", "x", "y", "z", "qx", "qy", "qz", "qw",
    "low_x", "low_y", "low_z", "high_x", "high_y", "high_z", "vx", "vy", "vz",
)  # fmt: skip
"""Metres in the world, seconds, m/s; ``T_world_actor`` as position and quaternion; low and high of the world-axis box.
Frames in which nobody is there have no row."""
Row = tuple[str, ...]


def rows_of(frame: int, stamp_ns: int, animation_s: float, actors: Iterable[ActorState]) -> list[Row]:
    """The rows of one frame, numbers with as many digits as tell them apart."""
    rows = list[Row]()
    for a in actors:
        numbers = (a.tau_s, *a.T_world_actor[:3, 3], *geometry.quat_xyzw(a.T_world_actor), *a.low, *a.high, *a.velocity)
        texts = tuple(repr(float(number)) for number in numbers)
        rows.append((str(frame), str(stamp_ns), repr(float(animation_s)), str(a.id), a.name, a.kind, *texts))
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the table, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(path: Path, frames: int) -> list[Row]:
    """The rows of the first so many frames.

    Raises:
        SpatiaError: when the file is not such a table.
    """
    try:
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        kept = [tuple(row) for row in rows if int(row[0]) < frames]
        numbers = np.array([[float(value) for value in row[6:]] for row in kept]).reshape(len(kept), -1)
    except (OSError, UnicodeDecodeError, ValueError, IndexError, csv.Error) as error:
        raise SpatiaError(f"{path}: expected a table of actors, got something else ({error!r})") from None
    if tuple(header) != COLUMNS or any(len(row) != len(COLUMNS) for row in kept) or not np.isfinite(numbers).all():
        raise SpatiaError(f"{path}: expected the columns {', '.join(COLUMNS)}, finite numbers in them")
    return kept

"""A cast in one file: an .npz of plain arrays, and a text that says what they are.

Nothing in it is executed, every size is checked against the file before anything is set aside for it, and what is
written is either whole or not there. What is read is what was saved, bit by bit.
"""

from __future__ import annotations

import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.actors.actor import Actor
from spatia_ros.actors.body import Body, BodyPoints, RigidBody
from spatia_ros.actors.cast import MAX_ACTORS, Cast
from spatia_ros.actors.clock import Clock
from spatia_ros.actors.jointed import MAX_PARTS, JointedBody, Part
from spatia_ros.actors.observed import MAX_OBSERVATIONS, Observation, ObservedBody
from spatia_ros.actors.track import PoseTrack
from spatia_ros.types import SpatiaError, check_array

FORMAT = "spatia cast 1"
MAX_FILE_BYTES = 4 << 30
MAX_UNPACKED_BYTES = 2 << 30
MAX_TEXT_BYTES = 64 << 20
MAX_ARRAYS = 8 * MAX_ACTORS
TEXT = "cast"
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError, LookupError, TypeError, OSError, EOFError,
    RuntimeError, MemoryError, OverflowError,
)  # fmt: skip
"""What the readers of a damaged file raise."""

Arrays = dict[str, np.ndarray]


def save(cast: Cast, path: Path | str) -> None:
    """Write a cast, atomically.

    Raises:
        SpatiaError: for a body that is none of ours.
    """
    path, arrays = Path(path), Arrays()
    actors = [_actor_out(actor, f"a{k}", arrays) for k, actor in enumerate(cast)]
    text = json.dumps({"format": FORMAT, "clock": cast.clock.as_dict(), "actors": actors}, allow_nan=False).encode()
    if len(text) > MAX_TEXT_BYTES or sum(a.nbytes for a in arrays.values()) > MAX_UNPACKED_BYTES - MAX_TEXT_BYTES:
        raise SpatiaError(f"{path}: expected a cast of at most {MAX_UNPACKED_BYTES} bytes, got a larger one")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:  # never through a link that somebody put there
            np.savez_compressed(file, **{TEXT: np.frombuffer(text, np.uint8)}, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path | str) -> Cast:
    """Read a cast.

    Raises:
        SpatiaError: when the file is missing, damaged, too large, or says what cannot be.
    """
    path = Path(path)
    if not path.is_file():
        raise SpatiaError(f"cast: expected a file, {path} is not one")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise SpatiaError(f"cast: {path}: expected at most {MAX_FILE_BYTES} bytes, got {path.stat().st_size}")
    try:
        return _cast_in(*_read(path))
    except SpatiaError as error:
        raise SpatiaError(f"cast: {path}: {error}") from None
    except DAMAGED as error:
        raise SpatiaError(f"cast: {path}: not readable: {type(error).__name__}: {error!s:.300}") from error


def _read(path: Path) -> tuple[Any, Arrays]:
    """The text and the arrays of a file, their sizes believed only where the file bears them out."""
    arrays = Arrays()
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if len(members) > MAX_ARRAYS or total > MAX_UNPACKED_BYTES:
            bounds = f"{MAX_ARRAYS} arrays of {MAX_UNPACKED_BYTES} bytes together"
            raise SpatiaError(f"expected at most {bounds}, got {len(members)} of {total}")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays or not name.isidentifier():
                raise SpatiaError(f"expected arrays by name, each once, got {member.filename[:80]!r}")
            arrays[name] = _read_array(archive, member)
    text = arrays.pop(TEXT, None)
    if text is None or text.dtype != np.uint8 or text.ndim != 1 or text.nbytes > MAX_TEXT_BYTES:
        raise SpatiaError(f"expected a text of at most {MAX_TEXT_BYTES} bytes that says what the arrays are, got none")
    try:
        return json.loads(text.tobytes()), arrays
    except RecursionError:
        raise SpatiaError("expected a text that is not nested without end") from None


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise SpatiaError(f"{member.filename}: expected an array of version 1.0, got {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype not in (np.uint8, np.float32, np.float64, np.int64) or fortran or len(shape) > 3 or min(shape, default=0) < 0:
            raise SpatiaError(f"{member.filename}: expected plain numbers in rows, got {dtype} {list(shape)}")
        # As Python's integers, which do not overflow.
        size = dtype.itemsize
        for n in shape:
            size *= int(n)
        if size > member.file_size:
            raise SpatiaError(f"{member.filename}: cut short: expected {size} bytes, got at most {member.file_size}")
        data = file.read(size + 1)
    if len(data) != size:
        raise SpatiaError(f"{member.filename}: expected {size} bytes, got {len(data)}")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _cast_in(text: Any, arrays: Arrays) -> Cast:
    values = _mapping("the text", text, {"format", "clock", "actors"})
    if values["format"] != FORMAT:
        raise SpatiaError(f"format: expected {FORMAT!r}, got {values['format']!r:.80}")
    if not isinstance(values["actors"], list) or len(values["actors"]) > MAX_ACTORS:
        raise SpatiaError(f"actors: expected a list of at most {MAX_ACTORS}")
    cast = Cast(Clock.from_dict(values["clock"]))
    for k, each in enumerate(values["actors"]):
        try:
            cast.add(_actor_in(each, arrays))
        except SpatiaError as error:
            raise SpatiaError(f"actors[{k}]: {error}") from None
    return cast


def _actor_out(actor: Actor, key: str, arrays: Arrays) -> dict[str, Any]:
    return {
        "id": actor.id, "name": actor.name, "kind": actor.kind, "colour": actor.colour, "facts": dict(actor.facts),
        "clock": actor.clock.as_dict(), "T_world_placed": actor.T_world_placed.tolist(),
        "body": _body_out(actor.body, key, arrays),
    }  # fmt: skip


def _actor_in(values: Any, arrays: Arrays) -> Actor:
    values = _mapping("actor", values, {"id", "name", "kind", "colour", "facts", "clock", "T_world_placed", "body"})
    if not isinstance(values["id"], int) or values["id"] < 1:
        raise SpatiaError(f"id: expected a number from 1, got {values['id']!r:.80}")
    if not isinstance(values["facts"], Mapping):
        raise SpatiaError("facts: expected a mapping")
    if not (values["colour"] is None or isinstance(values["colour"], str)):
        raise SpatiaError(f"colour: expected a word or nothing, got {values['colour']!r:.80}")
    placed = np.array(values["T_world_placed"], np.float64)
    body, clock = _body_in(values["body"], arrays), Clock.from_dict(values["clock"])
    return Actor(values["name"], values["kind"], body, values["id"], clock, placed, values["colour"], values["facts"])


def _body_out(body: Body, key: str, arrays: Arrays) -> dict[str, Any]:
    extra: dict[str, Any]
    kind = {RigidBody: "rigid", JointedBody: "jointed", ObservedBody: "observed"}.get(type(body))
    if isinstance(body, RigidBody):
        tracks, shapes, extra = [body.track], [body.shape], {"outside": body.outside}
    elif isinstance(body, JointedBody):
        tracks, shapes = [body.track, *(p.track for p in body.parts)], [p.shape for p in body.parts]
        extra = {"outside": body.outside, "gait": body.gait.as_dict()}
    elif isinstance(body, ObservedBody):
        tracks = [body.track]
        shapes = [o.points for o in body.observations] + ([] if body.shape is None else [body.shape])
        extra = {"reach_s": body.reach_s, "rigid": body.rigid}
    if kind is None:
        raise SpatiaError(f"cast: expected a rigid, jointed or observed body, got {type(body).__name__}")
    arrays[f"{key}_xyz"] = np.concatenate([s.xyz for s in shapes])
    arrays[f"{key}_rgb"] = np.concatenate([s.rgb for s in shapes])
    arrays[f"{key}_points"] = np.array([len(s) for s in shapes], np.int64)
    arrays[f"{key}_spacing"] = np.array([s.spacing_m for s in shapes], np.float64)
    arrays[f"{key}_times"] = np.concatenate([t.times_s for t in tracks])
    arrays[f"{key}_T"] = np.concatenate([t.T for t in tracks])
    arrays[f"{key}_poses"] = np.array([len(t.times_s) for t in tracks], np.int64)
    return {"body": kind, "arrays": key, "complete": body.complete, "loops": [t.loop for t in tracks], **extra}


def _body_in(values: Any, arrays: Arrays) -> Body:
    kind = values.get("body") if isinstance(values, Mapping) else None
    extra = {"rigid": {"outside"}, "jointed": {"outside", "gait"}, "observed": {"reach_s", "rigid"}}.get(kind or "")
    if extra is None:
        raise SpatiaError(f"body: expected one of rigid, jointed, observed, got {kind!r:.80}")
    values = _mapping("body", values, {"body", "arrays", "complete", "loops"} | extra)
    if not isinstance(values["complete"], bool) or not isinstance(values["arrays"], str):
        raise SpatiaError("body: expected complete to be a truth and arrays a name")
    shapes, tracks = _shapes_in(values["arrays"], arrays), _tracks_in(values["arrays"], values["loops"], arrays)
    if kind == "rigid" and len(shapes) == len(tracks) == 1:
        return RigidBody(shapes[0], tracks[0], values["complete"], values["outside"])
    if kind == "jointed" and len(tracks) == len(shapes) + 1:
        parts = tuple(Part(shape, track) for shape, track in zip(shapes, tracks[1:], strict=True))
        return JointedBody(parts, tracks[0], Clock.from_dict(values["gait"], "gait"), values["complete"], values["outside"])
    seen = len(tracks[0].times_s) if tracks else 0
    if kind == "observed" and len(tracks) == 1 and len(shapes) in (seen, seen + 1):
        if isinstance(values["reach_s"], bool) or not isinstance(values["reach_s"], int | float):
            raise SpatiaError(f"reach_s: expected seconds, got {values['reach_s']!r:.80}")
        if not isinstance(values["rigid"], bool):
            raise SpatiaError(f"rigid: expected a truth, got {values['rigid']!r:.80}")
        times, T = tracks[0].times_s.tolist(), tracks[0].T
        observations = tuple(Observation(times[k], T[k], shapes[k]) for k in range(seen))
        shape = shapes[seen] if len(shapes) > seen else None
        return ObservedBody(observations, shape, values["reach_s"], values["complete"], values["rigid"])
    raise SpatiaError(f"body: expected shapes and tracks that fit a {kind} body, got {len(shapes)} and {len(tracks)}")


def _shapes_in(key: str, arrays: Arrays) -> list[BodyPoints]:
    counts, spacing = _array(arrays, f"{key}_points", (None,), np.int64), _array(arrays, f"{key}_spacing", (None,), np.float64)
    xyz, rgb = _array(arrays, f"{key}_xyz", (None, 3), np.float32), _array(arrays, f"{key}_rgb", (None, 3), np.uint8)
    ends = _ends(f"{key}_points", counts, len(xyz), MAX_OBSERVATIONS + 1)
    if len(spacing) != len(counts) or len(rgb) != len(xyz):
        raise SpatiaError(f"{key}: expected as many spacings as shapes and colours as points")
    return [BodyPoints(xyz[a:b], rgb[a:b], float(s)) for a, b, s in zip([0, *ends], ends, spacing, strict=False)]


def _tracks_in(key: str, loops: Any, arrays: Arrays) -> list[PoseTrack]:
    counts = _array(arrays, f"{key}_poses", (None,), np.int64)
    times, T = _array(arrays, f"{key}_times", (None,), np.float64), _array(arrays, f"{key}_T", (None, 4, 4), np.float64)
    ends = _ends(f"{key}_poses", counts, len(times), MAX_PARTS + 1)
    truths = isinstance(loops, list) and len(loops) == len(ends) and all(isinstance(loop, bool) for loop in loops)
    if len(T) != len(times) or not truths:
        raise SpatiaError(f"{key}: expected as many poses as times and loops as tracks")
    return [PoseTrack(times[a:b], T[a:b], loop) for a, b, loop in zip([0, *ends], ends, loops, strict=False)]


def _ends(name: str, counts: np.ndarray, total: int, most: int) -> list[int]:
    """Where consecutive stretches of so many rows end."""
    # Checked against the total one by one, so the sum cannot overflow.
    if not 1 <= len(counts) <= most or (counts < 1).any() or (counts > total).any() or int(counts.sum()) != total:
        raise SpatiaError(f"{name}: expected 1..{most} counts that add up to {total}, got {counts[:8].tolist()}")
    return [int(end) for end in np.cumsum(counts)]


def _array(arrays: Arrays, name: str, shape: tuple[int | None, ...], dtype: Any) -> np.ndarray:
    if name not in arrays:
        raise SpatiaError(f"{name[:80]}: expected an array, found none")
    check_array(name, arrays[name], shape, dtype)
    return arrays[name]


def _mapping(name: str, values: Any, keys: set[str]) -> Mapping[str, Any]:
    """A mapping of just these keys."""
    if not isinstance(values, Mapping) or set(values) != keys:
        got = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise SpatiaError(f"{name}: expected {', '.join(sorted(keys))}, got {str(got)[:200]}")
    return values

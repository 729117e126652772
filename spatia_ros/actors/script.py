"""Scripts: actors and clocks written down as YAML, read strictly. docs/actors.md lists every key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros.actors import edits
from spatia_ros.actors.actor import Actor, Fact
from spatia_ros.actors.body import RigidBody
from spatia_ros.actors.cast import MAX_ACTORS, Cast
from spatia_ros.actors.cast_file import load as load_cast
from spatia_ros.actors.clock import ENDS, MAX_KNOTS, Clock
from spatia_ros.actors.from_file import SCALES as FILE_SCALES
from spatia_ros.actors.from_file import shape_from_file
from spatia_ros.actors.jointed import JointedBody
from spatia_ros.actors.library import LIBRARY, SCALES, make
from spatia_ros.actors.patterns import SHAPES, pattern
from spatia_ros.actors.shapes import COLOURS
from spatia_ros.actors.track import PoseTrack
from spatia_ros.actors.yaml_reader import Value, read_yaml
from spatia_ros.formats.mesh_file import UPS, upright
from spatia_ros.geometry import pose
from spatia_ros.types import MAX_POSITION_M, Float64, SpatiaError

Files = Callable[[str], Path]
"""Where a file that a script names lies; raises for those it may not have."""
MAX_WAYPOINTS = 100_000
LONG_S = 1e6
CLOCK_KEYS = ("pattern", "start_s", "end_s", "length_s", "at_s", "knots", "before", "after", "rate")
CHANGES = ("name", "clock", "earlier_s", "faster", "moved")
LOOKS = ("kind", "file", "colour", "scale", "spacing_m", "up", "complete", "outside", "facts")
ACTOR_KEYS = (*CHANGES, *LOOKS, "path", "pose", "loop")


def load(path: Path | str, files: Files | None = None) -> Cast:
    """The cast of a script; files it names lie beside it unless said otherwise.

    Raises:
        SpatiaError: naming file, line and field.
    """
    path = Path(path)
    if not path.is_file():
        raise SpatiaError(f"script: expected a YAML file, {path} is not one")
    return load_text(path.read_bytes().decode(errors="replace"), files or (lambda name: path.parent / name), path.name)


def load_text(text: str, files: Files, source: str = "script") -> Cast:
    """The cast of a script's text.

    Raises:
        SpatiaError: naming source, line and field.
    """
    root = read_yaml(text, source).mapping((), ("up", "clock", "cast", "actors", "edit"))
    cast = Cast()
    if "cast" in root:
        with _at(root["cast"]):
            cast = load_cast(files(root["cast"].text()))
    if "clock" in root:
        cast.set_clock(_clock(root["clock"]))
    T_world_script = _upright(root["up"]) if "up" in root else np.eye(4)
    for each in root["actors"].items(MAX_ACTORS) if "actors" in root else ():
        with _at(each):
            cast.add(_actor(each, files, T_world_script))
    for each in root["edit"].items(MAX_ACTORS) if "edit" in root else ():
        _edit(cast, each, T_world_script)
    return cast


def actor_from(entry: str, files: Files, source: str = "actor") -> Actor:
    """The actor of one entry of ``actors``, as YAML text.

    Raises:
        SpatiaError: naming source, line and field.
    """
    return _actor(read_yaml(entry, source), files, np.eye(4))


def actor_in(entry: Value, files: Files, T_world_script: Float64) -> Actor:
    """The actor of an entry that stands in another document, in axes of its own (z up).

    Raises:
        SpatiaError: naming source, line and field.
    """
    return _actor(entry, files, T_world_script)


def clock_from(text: str, source: str = "clock") -> Clock:
    """The clock of one ``clock`` entry, as YAML text: ``{pattern: reverse, end_s: 3}``.

    Raises:
        SpatiaError: naming source, line and field.
    """
    return _clock(read_yaml(text, source))


def _actor(entry: Value, files: Files, T_world_script: Float64) -> Actor:
    values = entry.mapping((), ACTOR_KEYS)
    if "file" not in values and "kind" not in values:
        entry.fail("a kind or a file", "neither")
    track = _track(entry, values)
    name = values["name"].text() if "name" in values else ""
    facts = _facts(values["facts"]) if "facts" in values else {}
    colour = values["colour"].text(tuple(COLOURS)) if "colour" in values else None
    body, kind = _from_file(values, files, track) if "file" in values else _from_library(entry, values, track)
    if colour is None and "file" not in values:
        colour = LIBRARY[kind].colour
    with _at(entry):
        actor = Actor(name, kind, body, colour=colour, facts=facts, T_world_placed=T_world_script)
    return _changed(actor, values, T_world_script)


def _from_library(entry: Value, values: dict[str, Value], track: PoseTrack) -> tuple[JointedBody, str]:
    for key in ("up", "complete"):
        if key in values:
            values[key].fail("no such key without a file", key)
    kind = values["kind"].text(tuple(LIBRARY))
    colour = values["colour"].text(tuple(COLOURS)) if "colour" in values else None
    scale = values["scale"].number(*SCALES) if "scale" in values else 1.0
    with _at(entry):
        body = make(kind, track, colour, scale, _spacing(values))
    if "outside" in values:
        body = replace(body, outside=values["outside"].text(("hold", "absent")))
    return body, kind


def _from_file(values: dict[str, Value], files: Files, track: PoseTrack) -> tuple[RigidBody, str]:
    name, file = values["file"].text(), values["file"]
    colour = np.array(COLOURS[values["colour"].text(tuple(COLOURS))], np.uint8) if "colour" in values else None
    scale = values["scale"].number(*FILE_SCALES) if "scale" in values else 1.0
    up = values["up"].text(UPS) if "up" in values else ""
    with _at(file):
        shape, closed = shape_from_file(files(name), scale, _spacing(values), up, colour)
    complete = values["complete"].truth() if "complete" in values else closed
    outside = values["outside"].text(("hold", "absent")) if "outside" in values else "hold"
    return RigidBody(shape, track, complete, outside), values["kind"].text() if "kind" in values else Path(name).stem


def _spacing(values: dict[str, Value]) -> float | None:
    return values["spacing_m"].number(1e-4, 10.0) if "spacing_m" in values else None


def _track(entry: Value, values: dict[str, Value]) -> PoseTrack:
    """Where it is: a path [[t_s, x, y, z, yaw_deg], ...], or a pose [x, y, z, yaw_deg] or with a quaternion."""
    if ("path" in values) == ("pose" in values):
        entry.fail("either a path or a pose", "both" if "path" in values else "neither")
    if "pose" in values:
        with _at(values["pose"]):
            return PoseTrack.still(pose_in(values["pose"]))
    rows = [row.numbers("t_s x y z yaw_deg") for row in values["path"].items(MAX_WAYPOINTS)]
    if not rows:
        values["path"].fail("at least one waypoint")
    if any(b[0] <= a[0] for a, b in pairwise(rows)):
        values["path"].fail("rising times", [row[0] for row in rows][:8])
    with _at(values["path"]):
        track = PoseTrack.path(rows)
        return PoseTrack(track.times_s, track.T, loop=True) if "loop" in values and values["loop"].truth() else track


def pose_in(value: Value) -> Float64:
    """``[x, y, z, yaw_deg]`` or ``[x, y, z, qx, qy, qz, qw]`` as a matrix [4, 4]."""
    given = [item.number() for item in value.items(7)]
    if len(given) not in (4, 7):
        value.fail("4 numbers (x, y, z, yaw_deg) or 7 (x, y, z, qx, qy, qz, qw)")
    position = np.array(given[:3])
    if np.abs(position).max() > MAX_POSITION_M:
        value.fail(f"a position within {MAX_POSITION_M:g} m")
    if len(given) == 4:
        return pose(Rotation.from_euler("z", given[3], degrees=True).as_matrix(), position)
    if abs(float(np.linalg.norm(given[3:])) - 1.0) > 5e-3:
        value.fail("a unit quaternion")
    return pose(Rotation.from_quat(given[3:]).as_matrix(), position)


def _upright(value: Value) -> Float64:
    """Script axes (z up) in a world where another axis is up."""
    return pose(upright(value.text(UPS)).T, np.zeros(3))


def _facts(value: Value) -> dict[str, Fact]:
    out: dict[str, Fact] = {}
    for key, fact in value.mapping().items():
        tag = fact.node.tag.rsplit(":", 1)[-1]
        out[key] = fact.truth() if tag == "bool" else fact.number() if tag in ("int", "float") else fact.text()
    return out


def _edit(cast: Cast, entry: Value, T_world_script: Float64) -> None:
    """One entry of ``edit``: changes to an actor that is there, or its removal."""
    values = entry.mapping(("name",), (*CHANGES[1:], "remove"))
    with _at(entry):
        actor = cast.find(values["name"].text())
        if "remove" in values and values["remove"].truth():
            cast.remove(actor.id)
        else:
            cast.replace(_changed(actor, values, T_world_script))


def _changed(actor: Actor, values: dict[str, Value], T_world_script: Float64) -> Actor:
    """An actor with the changes of an entry, in the order: clock, faster, earlier, moved."""
    if "clock" in values:
        actor = replace(actor, clock=_clock(values["clock"]))
    if "faster" in values:
        actor = edits.faster(actor, values["faster"].number(1e-3, 1e3))
    if "earlier_s" in values:
        actor = edits.earlier(actor, values["earlier_s"].number(-LONG_S, LONG_S))
    if "moved" in values:
        with _at(values["moved"]):
            T = T_world_script @ pose_in(values["moved"]) @ np.linalg.inv(T_world_script)
            actor = edits.moved(actor, T)
    return actor


def _clock(value: Value) -> Clock:
    """A mapping of a pattern, of knots, or of a rate."""
    values = value.mapping((), CLOCK_KEYS)
    kinds = [key for key in ("pattern", "knots", "rate") if key in values]
    if len(kinds) != 1:
        value.fail("one of pattern, knots, rate", f"{', '.join(kinds) or 'none'}")
    allowed = {"pattern": CLOCK_KEYS[:5], "knots": CLOCK_KEYS[5:8], "rate": ("rate",)}[kinds[0]]
    for key, each in values.items():
        if key not in allowed:
            each.fail(f"one of {', '.join(allowed)} beside {kinds[0]}", f"the key {key!r}")
    with _at(value):
        if "pattern" in values:
            return _pattern(values)
        if "rate" in values:
            return Clock.line(0.0, 0.0, values["rate"].number(-1e3, 1e3))
        knots = np.array([row.numbers("t_s tau_s") for row in values["knots"].items(MAX_KNOTS)], np.float64).reshape(-1, 2)
        usual = "continue" if len(knots) > 1 else "hold"
        ends = [values[end].text(ENDS) if end in values else usual for end in ("before", "after")]
        return Clock(knots, ends[0], ends[1])


def _pattern(values: dict[str, Value]) -> Clock:
    """start_s: when it begins and what it shows first; end_s: the last it shows; length_s: how long it takes; at_s: when."""
    given = {key: values[key].number(-LONG_S, LONG_S) for key in CLOCK_KEYS[1:5] if key in values}
    start = given.get("start_s", 0.0)
    end = given.get("end_s", start + given.get("length_s", 1.0))
    if "end_s" not in given and "length_s" not in given:
        values["pattern"].fail("a length_s or an end_s beside it", "neither")
    return pattern(values["pattern"].text(tuple(SHAPES)), start, end, given.get("length_s"), given.get("at_s"))


@contextmanager
def _at(value: Value) -> Iterator[None]:
    """Errors from within say where in the script they come from."""
    try:
        yield
    except SpatiaError as error:
        if str(error).startswith(f"{value.source}:"):
            raise
        raise SpatiaError(f"{value.source}:{value.node.start_mark.line + 1}: {value.name or 'entry'}: {error}") from None

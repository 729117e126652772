"""What can be spawned, and how a request becomes an actor: library kinds, files of the data folder, entries of a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from rclpy.exceptions import InvalidNamespaceException
from rclpy.validate_namespace import validate_namespace
from simulation_interfaces.msg import Bounds, Resource, Spawnable
from simulation_interfaces.srv import SpawnEntity

from spatia_ros.actors import Actor, Cast, PoseTrack, edits
from spatia_ros.actors.from_file import SUFFIXES, actor_file
from spatia_ros.actors.library import LIBRARY, make
from spatia_ros.actors.script import actor_from
from spatia_ros.nodes.files import DataFolder
from spatia_ros.nodes.simulation.entities import Entities, box_message
from spatia_ros.nodes.simulation.entity_filter import Refused
from spatia_ros.nodes.simulation.uris import uri_of
from spatia_ros.types import SpatiaError

Code = SpawnEntity.Response
SCHEME = "library"
SCRIPT_SUFFIXES = (".yaml", ".yml")
FORMATS = ("library", "yaml", *(suffix[1:] for suffix in SUFFIXES))
MAX_SPAWNABLES = 1000
MAX_ENTRY_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,99}")


def resource_of(request: Any) -> tuple[str, str]:
    """URI and resource string of a request to spawn: fields of its own (1.x), or of its resource (2.x)."""
    resource = getattr(request, "entity_resource", request)
    return resource.uri, resource.resource_string


def resource_fields(uri: str = "", resource_string: str = "") -> dict[str, Any]:
    """The fields of a request to spawn that name the resource, in the shape this host has."""
    if hasattr(SpawnEntity.Request, "uri"):
        return {"uri": uri, "resource_string": resource_string}
    return {"entity_resource": Resource(uri=uri, resource_string=resource_string)}


def actor_of(request: Any, files: DataFolder) -> Actor:
    """The actor that a request describes, at its own place, with its number and name left open.

    Raises:
        Refused: with the code that says what is wrong with the resource.
    """
    uri, text = resource_of(request)
    if not uri and not text:
        raise Refused(Code.NO_RESOURCE, "spawn: expected a uri or a resource_string, got neither")
    if not uri:
        return _parsed(lambda: actor_from(_entry(text), files.inside))
    try:
        named = uri_of(uri)
    except SpatiaError as error:
        raise Refused(Code.UNSUPPORTED_FORMAT, f"spawn: {error}") from None
    if named.scheme == SCHEME:
        return _from_library((named.path or named.host).strip("/"), named.query)
    if not named.is_file:
        raise Refused(Code.UNSUPPORTED_FORMAT, f"spawn: expected {SCHEME}:KIND or a file of the data folder, got {uri!r:.200}")
    return _from_file(_existing(named.path, files), named.path, files)


def _from_library(kind: str, query: str) -> Actor:
    if kind not in LIBRARY:
        raise Refused(Code.MISSING_ASSETS, f"spawn: expected one of {', '.join(LIBRARY)}, got {kind!r:.80}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = set(options) - {"colour", "scale"}
    if unknown:
        raise Refused(Code.RESOURCE_PARSE_ERROR, f"spawn: expected colour and scale after {kind}?, got {sorted(unknown)!r:.200}")
    colour = options.get("colour") or LIBRARY[kind].colour

    def built() -> Actor:
        body = make(kind, PoseTrack.still(np.eye(4)), colour=colour, scale=_number(options.get("scale", "1")))
        return Actor("", kind, body, colour=colour, facts={"source": SCHEME})

    return _parsed(built)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpatiaError(f"spawn: scale: expected a number, got {text!r:.80}") from None


def _existing(name: str, files: DataFolder) -> Path:
    try:
        path = files.inside(name)
    except (SpatiaError, OSError) as error:
        raise Refused(Code.MISSING_ASSETS, str(error)) from None
    if path.suffix.lower() not in (*SUFFIXES, *SCRIPT_SUFFIXES):
        raise Refused(Code.UNSUPPORTED_FORMAT, f"spawn: expected a file of {', '.join(FORMATS)}, got {path.name!r}")
    if not path.is_file():
        raise Refused(Code.MISSING_ASSETS, f"spawn: {name!r} does not exist in the data folder")
    return path


def _from_file(path: Path, name: str, files: DataFolder) -> Actor:
    if path.suffix.lower() in SCRIPT_SUFFIXES:
        if path.stat().st_size > MAX_ENTRY_BYTES:
            raise Refused(Code.RESOURCE_PARSE_ERROR, f"spawn: {name!r}: expected at most {MAX_ENTRY_BYTES} bytes")
        return _parsed(lambda: actor_from(path.read_text(encoding="utf-8"), files.inside))
    return _parsed(lambda: replace(actor_file(path, path.stem), facts={"source": path.name}))


def _entry(text: str) -> str:
    if len(text) > MAX_ENTRY_BYTES:
        raise SpatiaError(f"spawn: resource_string: expected at most {MAX_ENTRY_BYTES} characters, got {len(text)}")
    return text


def _parsed(build: Any) -> Actor:
    try:
        return build()
    except (SpatiaError, OSError, UnicodeDecodeError) as error:
        raise Refused(Code.RESOURCE_PARSE_ERROR, str(error)) from None


def full_name(request: Any, actor: Actor, entities: Entities, reserved: set[str]) -> str:
    """The name the new entity is to have: as asked for, or generated where that is allowed.

    Raises:
        Refused: when the name or the namespace is none, or is taken and may not be changed.
    """
    prefix = request.entity_namespace.strip("/")
    if prefix:
        try:
            validate_namespace("/" + prefix)
        except InvalidNamespaceException as error:
            raise Refused(Code.NAMESPACE_INVALID, f"entity_namespace: {error}") from None
        prefix += "/"
    name = request.name or actor.name
    if not name and request.allow_renaming:
        name = actor.kind
    if not _NAME.fullmatch(name) or prefix + name in reserved:
        rule = "a letter, then letters, digits, spaces and _ . - (100 at most), no name of a frame"
        raise Refused(Code.NAME_INVALID, f"name: expected {rule}, got {prefix + name!r:.120}")
    return unique(prefix + name, entities, request.allow_renaming)


def unique(name: str, entities: Entities, may_change: bool) -> str:
    """The name, or where that is taken and may be changed the first of NAME_2, NAME_3 ... that is free."""
    taken = set(entities.names())
    if name not in taken:
        return name
    if not may_change:
        raise Refused(Code.NAME_NOT_UNIQUE, f"name: expected one that is free, got {name!r}")
    return next(candidate for k in range(2, len(taken) + 3) if (candidate := f"{name}_{k}") not in taken)


def add(actor: Actor, request: Any, entities: Entities, cast: Cast, reserved: set[str]) -> Actor:
    """Take an actor into the cast (on the world's thread): the frame its path is in at the pose asked for, its seconds from now.

    Returns:
        The actor as it is there, with its name and number.
    """
    name = full_name(request, actor, entities, reserved)
    pose = request.initial_pose
    T_world = entities.pose_in_world(pose.header.frame_id, pose.pose, "initial_pose")
    return cast.find(cast.add(edits.earlier(replace(edits.moved(actor, T_world), id=0, name=name), -entities.animation_s)))


def spawnables(sources: list[str], files: DataFolder) -> tuple[list[Spawnable], list[str]]:
    """Everything that can be spawned: library kinds, then files of the data folder and of the folders in it that are named.

    Returns:
        The list, and those sources that are no folder inside the data folder.
    """
    found = [spawnable(f"{SCHEME}:{name}", kind.description, box_message(kind.low, kind.high)) for name, kind in LIBRARY.items()]
    folders, unknown = [files.root], []
    for source in sources:
        try:
            folder = files.inside(source)
        except SpatiaError:
            folder = None
        if folder is not None and folder.is_dir():
            folders.append(folder)
        else:
            unknown.append(source)
    for path in _files_in(folders, files):
        name = str(path.relative_to(files.root))
        found.append(spawnable(name, f"{path.suffix[1:]} file, {path.stat().st_size} bytes", Bounds(type=Bounds.TYPE_EMPTY)))
        if len(found) >= MAX_SPAWNABLES:
            break
    return found, unknown


def _files_in(folders: list[Path], files: DataFolder) -> Iterator[Path]:
    for folder in folders:
        for path in sorted(folder.iterdir()):
            inside = path.resolve().is_relative_to(files.root)
            if inside and path.suffix.lower() in (*SUFFIXES, *SCRIPT_SUFFIXES) and path.is_file():
                yield path


def spawnable(uri: str, description: str, bounds: Bounds) -> Spawnable:
    """A spawnable of either shape of the message (1.x: uri; 2.x: a resource)."""
    msg = Spawnable(description=description, spawn_bounds=bounds)
    getattr(msg, "entity_resource", msg).uri = uri
    return msg

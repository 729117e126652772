"""Which worlds there are to be loaded, and how a request becomes one: builtin ones, files of the data folder, descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from simulation_interfaces.msg import Result
from simulation_interfaces.srv import GetAvailableWorlds, LoadWorld

from spatia_ros import geometry
from spatia_ros.actors import Cast, cast_file, script
from spatia_ros.actors.cast import MAX_ACTORS
from spatia_ros.actors.from_file import SUFFIXES as ACTOR_SUFFIXES
from spatia_ros.actors.library import LIBRARY
from spatia_ros.actors.yaml_reader import Value, read_yaml
from spatia_ros.formats import cloud_file, mesh_file
from spatia_ros.generator import Generator
from spatia_ros.nodes.files import DataFolder
from spatia_ros.nodes.seeding import Seed, open_seed
from spatia_ros.nodes.settings import SourceSettings, WorldSettings
from spatia_ros.nodes.simulation.entity_filter import Refused
from spatia_ros.nodes.simulation.scene import BUILTIN, EMPTY, ROOM, Label, NamedPose, kind_of_world
from spatia_ros.nodes.simulation.uris import uri_of
from spatia_ros.types import Float64, SpatiaError

Code = LoadWorld.Response
SCRIPTS = (".yaml", ".yml")
CASTS = (".npz", *SCRIPTS)
FORMATS = ("builtin", "spatia", "yaml", "tum", "rosbag2", "mcap", *(s[1:] for s in (*mesh_file.SUFFIXES, *cloud_file.SUFFIXES)))
KEYS = ("name", "description", "tags", "place", "first", "frames", "every", "actors", "start", "poses")
COUNTS = {"first": (0, 10_000_000), "frames": (0, 10_000_000), "every": (1, 100_000)}
POSE_KEYS = ("pose", "description", "tags", "size")
MAX_TEXT_BYTES = 1 << 20
MAX_WORLDS, MAX_POSES, MAX_TAGS, MAX_WORDS = 1000, 256, 32, 1000


@dataclass
class Plan:
    """A world that can be opened: where it comes from, who is there, where the rig starts, and what was left out."""

    label: Label
    source: SourceSettings
    cast: Cast = field(default_factory=Cast)
    T_map_base: Float64 | None = None
    left_out: list[str] = field(default_factory=list)


class Worlds:
    """Worlds for one node.

    Args:
        files: where files are read from. T_map_world: turns a recording's world into the map, as for the node's own.
    """

    def __init__(self, files: DataFolder, settings: WorldSettings, T_map_world: Float64) -> None:
        self._files, self._settings, self._T_map_world = files, settings, T_map_world

    # What is asked for

    def plan(self, uri: str, text: str, *, whole: bool = False, lenient: bool = False) -> Plan:
        """What a request asks for; nothing but descriptions is read yet.

        Args:
            uri: a builtin world or a file. text: a description, where that is empty.
            whole: elements that are not known are refused, not left out. lenient: missing or unsupported assets are left out.

        Raises:
            Refused: with the code that says what is wrong.
        """
        if not uri and not text:
            raise Refused(Code.NO_RESOURCE, "load_world: expected a uri or a resource_string, got neither")
        if not uri:
            return self._described(text, Label("world", text=text), "resource_string", whole, lenient)
        path = self._path(uri)
        if path is not None and path.suffix.lower() in SCRIPTS:
            return self._described(read_text(path), Label(path.stem, uri), path.name, whole, lenient)
        source, kind = self._source(uri, path)
        if path is None:
            uri = ROOM if source.sequence else EMPTY
            return Plan(Label(uri, uri, description=BUILTIN[uri], tags=(kind,)), source)
        return Plan(Label(path.stem, uri, description=f"{kind}: {path.name}", tags=(kind,)), source)

    def _path(self, uri: str) -> Path | None:
        """The file that a URI names; None: a builtin world."""
        try:
            named = uri_of(uri)
        except SpatiaError as error:
            raise Refused(Code.UNSUPPORTED_FORMAT, f"load_world: {error}") from None
        if named.scheme == "builtin" or uri == "builtin":
            if uri not in ("builtin", *BUILTIN):
                raise Refused(Code.MISSING_ASSETS, f"load_world: expected one of {', '.join(BUILTIN)}, got {uri!r:.80}")
            return None
        if not named.is_file:
            expected = "expected a builtin world or a file of the data folder"
            raise Refused(Code.UNSUPPORTED_FORMAT, f"load_world: {expected}, got {uri!r:.200}")
        try:
            path = self._files.inside(named.path)
        except (SpatiaError, OSError) as error:
            raise Refused(Code.MISSING_ASSETS, str(error)) from None
        if not path.exists():
            raise Refused(Code.MISSING_ASSETS, f"load_world: {uri!r:.200} does not exist in the data folder")
        return path

    def _source(self, uri: str, path: Path | None) -> tuple[SourceSettings, str]:
        """Where memory comes from, and the word for that."""
        if path is None:
            return SourceSettings(sequence="" if uri == EMPTY else "builtin"), "builtin"
        kind = kind_of_world(path)
        if not kind:
            raise Refused(Code.UNSUPPORTED_FORMAT, f"load_world: expected one of {', '.join(FORMATS)}, got {path.name!r:.100}")
        key = {"memory": "memory", "recording": "sequence"}.get(kind, "place")
        return SourceSettings(**{key: str(path)}), kind

    # Descriptions

    def _described(self, text: str, label: Label, source: str, whole: bool, lenient: bool) -> Plan:
        with _parsed():
            if len(text.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
                raise SpatiaError(f"{source}: expected at most {MAX_TEXT_BYTES} bytes")
            root, unknown = _known(read_yaml(text, source), KEYS, ("place",))
            plan = Plan(_labelled(label, root), SourceSettings())
            if "start" in root:
                plan.T_map_base = script.pose_in(root["start"])
            poses = root["poses"].mapping() if "poses" in root else {}
            if len(poses) > MAX_POSES:
                root["poses"].fail(f"at most {MAX_POSES} of them", len(poses))
            plan.label = replace(plan.label, poses=tuple(_named_pose(name, each, unknown) for name, each in poses.items()))
        if unknown and whole:
            raise Refused(Code.UNSUPPORTED_ELEMENTS, f"{source}: expected only {', '.join(KEYS)}; got {', '.join(unknown)[:300]}")
        plan.left_out += unknown
        plan.source = self._place(root)
        for leave_out in self._join(plan.cast, root):
            if not lenient:
                raise leave_out
            plan.left_out.append(str(leave_out))
        return plan

    def _place(self, root: dict[str, Value]) -> SourceSettings:
        with _parsed():
            uri = root["place"].text()
        path = self._path(uri)
        if path is not None and path.suffix.lower() in SCRIPTS:
            raise Refused(Code.UNSUPPORTED_FORMAT, f"load_world: place: expected no other description, got {uri!r:.200}")
        source, _ = self._source(uri, path)
        with _parsed():
            counts: dict[str, int] = {key: int(root[key].number(*COUNTS[key])) for key in COUNTS if key in root}
            if counts and not source.sequence:
                raise SpatiaError(f"load_world: {', '.join(counts)}: are for recordings, got {uri!r:.200}")
            return SourceSettings(sequence=source.sequence, **counts) if counts else source

    def _join(self, cast: Cast, root: dict[str, Value]) -> Iterator[Refused]:
        """Have the described actors join a cast; those whose assets are missing or of no use come back as what to say of them."""
        if "actors" not in root:
            return
        T_world_map, actors = geometry.inverse(self._T_map_world), root["actors"]
        with _parsed():
            entries = list(actors.items(MAX_ACTORS)) if actors.is_list else None
            name = "" if actors.is_list else actors.text()
        if entries is None:
            problem = self._problem(name, CASTS)
            if problem is not None:
                yield problem
                return
            with _parsed():
                path = self._files.inside(name)
                cast_saved = path.suffix.lower() == ".npz"
                loaded = cast_file.load(path) if cast_saved else script.load_text(read_text(path), self._files.inside, path.name)
                cast.restore(loaded.snapshot())
            return
        for entry in entries:
            with _parsed():
                values = entry.mapping((), script.ACTOR_KEYS)
                asset, kind = values.get("file"), values.get("kind")
                problem = self._problem(asset.text(), ACTOR_SUFFIXES) if asset else None
                if kind and not asset and kind.text() not in LIBRARY:
                    expected = f"expected one of {', '.join(LIBRARY)}"
                    problem = Refused(Code.MISSING_ASSETS, f"{kind.name}: {expected}, got {kind.text()!r:.80}")
            if problem is not None:
                yield problem
                continue
            with _parsed():
                cast.add(script.actor_in(entry, self._files.inside, T_world_map))

    def _problem(self, name: str, suffixes: tuple[str, ...]) -> Refused | None:
        """What is wrong with an asset before it is read, if anything."""
        try:
            path = self._files.inside(name)
        except (SpatiaError, OSError) as error:
            return Refused(Code.MISSING_ASSETS, str(error))
        if path.suffix.lower() not in suffixes:
            return Refused(Code.UNSUPPORTED_ASSETS, f"actors: expected a file of {', '.join(suffixes)}, got {path.name!r:.100}")
        if not path.is_file():
            return Refused(Code.MISSING_ASSETS, f"actors: {name!r:.200} does not exist in the data folder")
        return None

    # Opening

    def open(self, plan: Plan, generator: Generator) -> Seed:
        """The planned world; takes as long as its files are large.

        Raises:
            Refused: when what is there is no such thing.
        """
        with _parsed():
            seed = open_seed(self._settings.world(), plan.source, self._files.root, generator)
        seed.world.cast = plan.cast
        return seed

    # What there is

    def available(self, sources: list[str], *, offline: bool, go_on: bool) -> tuple[list[Label], list[str]]:
        """Worlds that can be loaded: builtin ones, those of the data folder and of more folders in it; and what went wrong.

        Args:
            offline: remote sources are left aside. go_on: sources that cannot be searched do not end the search.

        Raises:
            Refused: on a source that cannot be searched, unless ``go_on``.
        """
        found = [Label(uri, uri, description=said, tags=("builtin",)) for uri, said in BUILTIN.items()]
        failed: list[str] = []
        for source in [None, *sources]:
            try:
                if offline and source is not None and not uri_of(source).is_file:
                    continue
                found += self._in_folder(self._files.root if source is None else self._folder(source), MAX_WORLDS - len(found))
            except (SpatiaError, OSError) as error:
                if not go_on:
                    default = GetAvailableWorlds.Response.DEFAULT_SOURCES_FAILED
                    code = default if source is None else Result.RESULT_OPERATION_FAILED
                    raise Refused(code, f"get_available_worlds: {error}") from None
                failed.append(str(error))
        return list({label.uri: label for label in found}.values()), failed

    def _folder(self, source: str) -> Path:
        named = uri_of(source)
        if not named.is_file:
            raise SpatiaError(f"source: expected a folder of the data folder, as nothing remote is read; got {source!r:.200}")
        folder = self._files.inside(named.path)
        if not folder.is_dir():
            raise SpatiaError(f"source: expected a folder of the data folder, got {source!r:.200}")
        return folder

    def _in_folder(self, folder: Path, most: int) -> list[Label]:
        found: list[Label] = []
        for path in sorted(folder.iterdir()):
            if len(found) >= most:
                break
            if path.name.startswith(".") or not path.resolve().is_relative_to(self._files.root):
                continue
            uri = str(path.relative_to(self._files.root))
            if path.suffix.lower() in SCRIPTS:
                found += self._listed(path, uri)
            elif kind := kind_of_world(path):
                size = f", {path.stat().st_size} bytes" if path.is_file() else ""
                found.append(Label(path.stem, uri, description=f"{kind}: {path.name}{size}", tags=(kind,)))
        return found

    def _listed(self, path: Path, uri: str) -> list[Label]:
        """A file as what it describes, if that is a world."""
        try:
            root, _ = _known(read_yaml(read_text(path), path.name), KEYS, ("place",))
            return [_labelled(Label(path.stem, uri), root)]
        except (SpatiaError, OSError):
            return []


def read_text(path: Path) -> str:
    """The text of a description.

    Raises:
        Refused: when it is larger than one may be, or cannot be read.
    """
    with _parsed():
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise SpatiaError(f"{path.name}: expected at most {MAX_TEXT_BYTES} bytes")
        return path.read_text(encoding="utf-8")


@contextmanager
def _parsed() -> Iterator[None]:
    """What goes wrong within is wrong with the resource."""
    try:
        yield
    except Refused:
        raise
    except (SpatiaError, OSError, UnicodeError) as error:
        raise Refused(Code.RESOURCE_PARSE_ERROR, str(error)) from None


def _known(value: Value, keys: tuple[str, ...], needed: tuple[str, ...] = ()) -> tuple[dict[str, Value], list[str]]:
    """The values of known keys, and the names of the others."""
    values = value.mapping()
    missing = [key for key in needed if key not in values]
    if missing:
        value.fail(f"a mapping with {', '.join(needed)}", f"no {', '.join(missing)}")
    return {k: v for k, v in values.items() if k in keys}, [v.name for k, v in values.items() if k not in keys]


def _labelled(label: Label, root: dict[str, Value]) -> Label:
    name = words(root["name"]) if "name" in root else label.name
    said = words(root["description"]) if "description" in root else ""
    return replace(label, name=name, description=said, tags=_tags(root))


def words(value: Value) -> str:
    """A short text."""
    text = value.text()
    if len(text) > MAX_WORDS or not text.replace("\n", " ").isprintable():
        value.fail(f"at most {MAX_WORDS} printable characters")
    return text


def _tags(values: dict[str, Value]) -> tuple[str, ...]:
    return tuple(words(each) for each in values["tags"].items(MAX_TAGS)) if "tags" in values else ()


def _named_pose(name: str, value: Value, unknown: list[str]) -> NamedPose:
    values, others = _known(value, POSE_KEYS, ("pose",))
    unknown += others
    size = values["size"].numbers("x y z") if "size" in values else None
    if size and min(size) < 0:
        values["size"].fail("lengths")
    if not name or len(name) > MAX_WORDS or not name.isprintable():
        value.fail(f"a name of at most {MAX_WORDS} printable characters")
    said = words(values["description"]) if "description" in values else ""
    x_y_z = None if size is None else (size[0], size[1], size[2])
    return NamedPose(name, script.pose_in(values["pose"]), said, _tags(values), x_y_z)

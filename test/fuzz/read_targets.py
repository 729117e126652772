"""Targets that read files of the core: settings, scripts, casts, recordings, rigs, what runs leave; models are beside."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from file_target import FileTarget, as_yaml
from model_files import OBJ, models, picture

from spatia_ros import config, geometry
from spatia_ros.actors import cast_file, script
from spatia_ros.generator.text import tokenise
from spatia_ros.ground import phrase
from spatia_ros.record import actor_table, map_journal
from spatia_ros.sequence import (
    bag_folder,
    bag_topics,
    calibration,
    folder,
    mcap_file,
    open_sequence,
    tum,
    w2c,
    write_bag,
    write_tum,
)
from spatia_ros.sequence.mcap_records import Topic
from spatia_ros.types import Camera, Frame

CAMERA = Camera(24, 16, 20.0, 21.0, 12.0, 8.0)
SCRIPT = {
    "clock": {"pattern": "loop", "length_s": 2},
    "actors": [
        {
            "name": "a",
            "kind": "ball",
            "path": [[0, 0, 0, 0, 0], [1, 2, 0, 0, 90]],
            "spacing_m": 0.2,
            "clock": {"knots": [[0, 0], [1, 2]]},
        },
        {"name": "b", "kind": "box", "pose": [0, 0, 0, 0], "spacing_m": 0.3, "facts": {"a": 1}, "scale": 0.5, "colour": "red"},
        {"name": "c", "kind": "pedestrian", "path": [[0, 0, 0, 0, 0], [2, 1, 0, 0, 0]], "spacing_m": 0.3, "loop": True},
    ],
    "edit": [{"name": "b", "faster": 2, "moved": [1, 0, 0, 0]}],
}
CALIBRATION = {
    "image_width": 24, "image_height": 16, "camera_name": "c", "distortion_model": "plumb_bob",
    "camera_matrix": {"rows": 3, "cols": 3, "data": [20.0, 0, 12, 0, 21.0, 8, 0, 0, 1]},
    "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.1, 0, 0, 0, 0]}, "depth_scale": 1000.0, "depth_delay_s": 0.01,
}  # fmt: skip
POSES = b"# time x y z qx qy qz qw\n0.1 0 0 0 0 0 0 1\n0.2 1 0 0 0 0 0.1 0.99498744\n0.30000001 1e-3 -2.5 0 0 0 0 1\n"
ROOM = "name, red chair left of the table; the nearest plant behind it and not the second lamp near me"


def frames(n: int = 3) -> list[Frame]:
    """A few RGB-D frames of noise before a camera that moves."""
    rng, out = np.random.default_rng(1), []
    for k in range(n):
        T = geometry.look_at(np.array((0.1 * k, 0.0, 1.0)), np.array((1.0, 2.0, 1.0)), np.array((0.0, 0.0, 1.0)))
        depth = np.round(rng.uniform(0.5, 4.0, (16, 24)), 3).astype(np.float32)
        out.append(Frame(rng.integers(0, 255, (16, 24, 3), np.uint8), depth, CAMERA, T, (5_000 + k * 100) * 10**6))
    return out


def _sequence(path: Path) -> None:
    sequence = open_sequence(path)
    for k in range(min(len(sequence), 4)):
        sequence.frame(k)


def settings() -> Iterator[FileTarget]:
    """Settings, scripts and texts a person writes."""
    written = config.dump(config.WorldConfig()).encode()
    yield FileTarget("config", "config.yaml", [written], config.load, tree=yaml.safe_load(written), text=as_yaml)
    yield FileTarget(
        "config_override",
        "set.txt",
        [b"memory.voxel_m=0.05", b"seed=3"],
        _override,
        words=[b"memory.", b"=", b"generator.name=", b"seed="],
    )
    text = as_yaml(SCRIPT).encode()
    beside = lambda at: (at / "mesh.obj").write_bytes(OBJ.replace(b"mtllib a.mtl\n", b"")) and None  # noqa: E731
    words = [b"file: mesh.obj", b"kind: car", b"knots:", b"pattern: bullet-time", b"- {", b"name:", b"cast: a.npz", b"up: -y"]
    yield FileTarget("actor_script", "actors.yaml", [text], script.load, beside=beside, words=words, tree=SCRIPT, text=as_yaml)
    clock = {"pattern": "reverse", "start_s": 0, "end_s": 3.0}
    yield FileTarget(
        "clock",
        "clock.yaml",
        [as_yaml(clock).encode()],
        lambda p: script.clock_from(p.read_text(errors="replace")),
        tree=clock,
        text=as_yaml,
    )
    phrases = [w.strip().encode() for w in ROOM.split(";")]
    yield FileTarget(
        "phrase",
        "phrase.txt",
        phrases,
        lambda p: phrase.parse(p.read_text(errors="replace")),
        words=[w.encode() for w in ROOM.split()],
    )
    prompts = [b"a wooden table", b"red sofa and a tall plant", b"kitchen"]
    yield FileTarget(
        "prompt", "prompt.txt", prompts, lambda p: tokenise(p.read_text(errors="replace")), words=[b"sofa", b"red", b"a"]
    )


def _override(path: Path) -> None:
    config.override(config.WorldConfig(), path.read_text(errors="replace").splitlines())


def recordings() -> Iterator[FileTarget]:
    """Recordings: TUM folders, camera paths, plain folders, bags."""
    top = Path(tempfile.mkdtemp(prefix="fuzz-valid-"))
    room, bag = write_tum(frames(), top / "room"), write_bag(frames(), top / "walk.mcap")
    lines = (room / "groundtruth.txt").read_bytes()

    def copied(at: Path) -> None:
        for path in room.rglob("*"):
            if path.is_file():
                (at / path.relative_to(room)).parent.mkdir(parents=True, exist_ok=True)
                (at / path.relative_to(room)).write_bytes(path.read_bytes())

    yield FileTarget("tum_poses", "poses.txt", [POSES, lines], tum.read_poses)
    for name in ("groundtruth.txt", "rgb.txt", "depth.txt"):
        outside = [b"../../../../etc/passwd", b"rgb/", b"/etc/hostname"]
        yield FileTarget(
            f"tum_{name[:-4]}", name, [(room / name).read_bytes()], _sequence, whole=True, beside=copied, words=outside
        )
    yield FileTarget("camera_yaml", "camera.yaml", [as_yaml(CALIBRATION).encode()], _calibrated, tree=CALIBRATION, text=as_yaml)
    T = [f.T_world_cam for f in frames()]
    rows = [geometry.inverse(each).tolist() for each in T]
    by_line = lambda tree: "\n".join(json.dumps(row) for row in tree) if isinstance(tree, list) else json.dumps(tree)  # noqa: E731
    yield FileTarget(
        "w2c", "w2c.txt", [w2c.w2c_text(np.stack(T)).encode()], lambda p: w2c.read_camera_path(p, 10.0), tree=rows, text=by_line
    )
    yield FileTarget("w2c_intrinsics", "intrinsics.txt", [b"[0.8 1.1 0.5 0.5]\n"], lambda p: w2c.read_intrinsics(p, 24, 16))

    def pictures(at: Path) -> None:
        for part, data in (("rgb/1.jpg", picture(".jpg")), ("depth/1.png", picture(".png", True))):
            (at / part).parent.mkdir(exist_ok=True)
            (at / part).write_bytes(data)

    K = {"intrinsic_matrix": [20.0, 0, 0, 0, 21.0, 0, 12, 8, 1], "width": 24, "height": 16, "depth_scale": 1000.0}
    read = lambda p: folder.read_folder(p).load(0)  # noqa: E731
    yield FileTarget("folder_json", "intrinsic.json", [json.dumps(K).encode()], read, whole=True, beside=pictures, tree=K)
    yield FileTarget(
        "folder_matrix", "intrinsics.txt", [b"20 0 12\n0 21 8\n0 0 1\n", b"20 21 12 8"], read, whole=True, beside=pictures
    )
    words = [b"sensor_msgs/msg/Image", b"/tf", b"mcap", b"zstd", b"\x89MCAP0\r\n"]
    yield FileTarget("bag_mcap", "walk.mcap", [bag.read_bytes()], _sequence, words=words)
    yield FileTarget("bag_mend", "walk.mcap", [bag.read_bytes(), bag.read_bytes()[:-3000]], _mended, words=words)
    yield FileTarget("bag_go_on", "own.mcap", *_own_bag(top / "own"))
    db3 = write_bag(frames(), top / "walk")
    files = {p.name: p.read_bytes() for p in db3.iterdir()}
    for name, data in files.items():
        others = {n: d for n, d in files.items() if n != name}

        def rest(at: Path, others: dict[str, bytes] = others) -> None:
            for other, content in others.items():
                (at / other).write_bytes(content)

        kind = "bag_metadata" if name.endswith(".yaml") else "bag_db3"
        tree = yaml.safe_load(data) if name.endswith(".yaml") else None
        yield FileTarget(
            kind, name, [data], _sequence, whole=True, beside=rest, tree=tree, text=as_yaml, words=[b"../../etc/passwd"]
        )
    topics = {"colour": "/c", "depth": "/d", "info": "/i", "pose": "/tf"}
    yield FileTarget("bag_topics", "walk.mcap.topics.yaml", [as_yaml(topics).encode()], _topics, tree=topics, text=as_yaml)


def _mended(path: Path) -> None:
    """Mend a copy: what is mended is written to."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        mcap_file.mend(copy)
        mcap_file.mend(copy)  # a second time there is nothing to do


def _own_bag(folder: Path) -> tuple[list[bytes], Any]:
    """A recording of ours, and going on with a copy of it whose one file is another."""
    bag = bag_folder.BagFolder(folder)
    number = bag.add(Topic("/t", "std_msgs/msg/String", "string data", "", "hash"))
    bag.write(number, 10**9, b"\0\1\0\0\2\0\0\0a\0")
    bag.close()

    def go_on(path: Path) -> None:
        with tempfile.TemporaryDirectory() as top:
            copy = Path(top) / "bag"
            shutil.copytree(folder, copy)
            next(copy.glob("*.mcap")).write_bytes(path.read_bytes())
            bag_folder.BagFolder(copy, go_on=True).close()

    return [next(folder.glob("*.mcap")).read_bytes()], go_on


def _calibrated(path: Path) -> None:
    calibration.read_camera_yaml(path).undistortion()


def _topics(path: Path) -> None:
    bag_topics.beside(path.with_name("walk.mcap"))


def rigs() -> Iterator[FileTarget]:
    """Cameras of a rig: our own YAML, and the URDF of a robot."""
    from spatia_ros.nodes.rig.file import open_rig

    read = lambda p: open_rig(p, "base_link", CAMERA)  # noqa: E731
    examples = Path(__file__).parents[2] / "config" / "rigs"
    for path in sorted(examples.glob("*.yaml"))[:1]:
        tree = yaml.safe_load(path.read_text())
        yield FileTarget("rig_yaml", "rig.yaml", [path.read_bytes()], read, tree=tree, text=as_yaml)
    robots = [path.read_bytes() for path in sorted([*examples.glob("*.urdf"), *examples.glob("*.xacro")])]
    if robots:
        words = [
            b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>",
            b"<joint",
            b"</link>",
            b'rpy="nan 0 0"',
            b'xyz="1 2"',
            b"<sensor type='camera'>",
            b"inf",
        ]
        yield FileTarget("rig_urdf", "robot.urdf", robots, read, words=words)


def saved() -> Iterator[FileTarget]:
    """What runs write and read again: casts, journals, tables."""
    top = Path(tempfile.mkdtemp(prefix="fuzz-valid-"))
    cast_file.save(script.load_text(as_yaml(SCRIPT), Path), top / "cast.npz")
    npz = (top / "cast.npz").read_bytes()
    yield FileTarget("cast_npz", "cast.npz", [npz], cast_file.load)
    with np.load(io.BytesIO(npz), allow_pickle=False) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    tree = {
        "text": json.loads(kept[cast_file.TEXT].tobytes()),
        "arrays": {n: [a.dtype.str, list(a.shape)] for n, a in kept.items() if n != cast_file.TEXT},
    }
    yield FileTarget("cast_values", "cast.npz", [npz], cast_file.load, tree=tree, text=_Packed(kept))
    journal = map_journal.MapJournal({"a": 1})
    for k, frame in enumerate(frames()):
        journal.append(frame.stamp_ns, "tracked", frame.T_world_cam, {"added": k})
    journal.write(top / "journal.json")
    text = (top / "journal.json").read_bytes()
    yield FileTarget(
        "map_journal", "journal.json", [text], lambda p: map_journal.MapJournal.read(p, {"a": 1}), tree=json.loads(text)
    )
    columns = ",".join(actor_table.COLUMNS)
    row = ",".join("1" if name not in ("name", "kind") else "a" for name in actor_table.COLUMNS)
    yield FileTarget("actor_table", "actors.csv", [f"{columns}\n{row}\n{row}\n".encode()], lambda p: actor_table.read_rows(p, 5))


class _Packed:
    """A cast's tree as an .npz: the text, and its arrays cut or filled to the type and shape the tree has."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays

    def __call__(self, tree: Any) -> Any:
        data, said = io.BytesIO(), tree.get("arrays") if isinstance(tree, dict) else None
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            text = json.dumps(tree["text"] if isinstance(tree, dict) and "text" in tree else tree).encode()
            self._add(archive, cast_file.TEXT, np.frombuffer(text, np.uint8))
            for name, (kind, shape) in itertools.islice(said.items() if isinstance(said, dict) else (), 100):
                size = min(int(np.prod(shape, dtype=np.float64)), 10_000)
                values = np.resize(self._arrays.get(name, np.zeros(1)).reshape(-1), size).astype(np.dtype(kind))
                self._add(archive, name, values.reshape(shape))
        return _Bytes(data.getvalue())

    def _add(self, archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
        with archive.open(f"{name}.npy", "w") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


class _Bytes:
    """Bytes where a text is expected."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def encode(self, errors: str = "strict") -> bytes:
        return self._data


def targets() -> Iterator[FileTarget]:
    """All of them."""
    yield from settings()
    yield from recordings()
    yield from models()
    yield from rigs()
    yield from saved()

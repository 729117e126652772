"""Hostile input, made from a seed: run by test_fuzz.py in a process of its own, so that a crash is seen and not suffered.

    python fuzz_cases.py KIND FIRST COUNT

prints the number of each case before it is tried; whatever is not a SpatiaError ends the process.
"""

from __future__ import annotations

import faulthandler
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.memory import Points
from spatia_ros.types import Camera, Frame, SpatiaError

ODD = np.array([
    0.0, -0.0, 1e-45, 1e-38, -1e-38, 1e-6, 0.01, -0.01, 1.0, -1.0, 7.99, 8.01, 167772.16, 1e6, -1e9,
    2**31 * 0.01, -(2**31) * 0.01, 9e15, 1e18, 9.3e18, 1e30, -1e30, 3.4e38, np.inf, -np.inf, np.nan,
])  # fmt: skip


def odd_floats(rng: np.random.Generator, shape: tuple[int, ...], share: float, finite: bool = False) -> np.ndarray:
    """Plain numbers with a share of odd ones among them."""
    odd = ODD[np.isfinite(ODD)] if finite else ODD
    return np.where(rng.random(shape) < share, rng.choice(odd, shape), rng.normal(0, 2, shape))


def odd_pose(rng: np.random.Generator) -> np.ndarray:
    T = geometry.pose(Rotation.random(random_state=int(rng.integers(2**31))).as_matrix(), rng.normal(0, 2, 3))
    if rng.random() < 0.5:
        T[:3, 3] = odd_floats(rng, (3,), 0.5)
        if rng.random() < 0.8:
            T[:3, 3] = np.clip(np.nan_to_num(T[:3, 3]), -1e9, 1e9)
    if rng.random() < 0.1:
        T[rng.integers(4), rng.integers(4)] = rng.choice(ODD)
    return T


def odd_camera(rng: np.random.Generator) -> Camera:
    width, height = (int(v) for v in rng.choice([1, 2, 3, 17, 64, 200], 2))
    if rng.random() < 0.05:
        width, height = (8192, 1) if rng.random() < 0.5 else (1, 8192)
    fx, fy = (float(v) for v in rng.choice([1e-3, 0.5, 30.0, 60.0, 1e5, 1e9], 2, p=[0.05, 0.1, 0.35, 0.35, 0.1, 0.05]))
    cx, cy = (float(v) for v in rng.choice([0.0, width / 2, -1e6, 1e9], 2, p=[0.2, 0.6, 0.15, 0.05]))
    if rng.random() < 0.05:
        fx, cy = (float(v) for v in rng.choice(ODD, 2))
    return Camera(width, height, fx, fy, cx, cy)


def check(memory: Memory) -> None:
    """A memory is in order: finite points, inside its bounds; its pictures are what their type says."""
    points = memory.points()
    assert np.isfinite(points.xyz).all(), "points that are not finite"
    assert np.isfinite(points.confidence).all(), "weights that are not finite"
    assert (points.confidence > 0).all(), "points without weight"
    assert len(points.xyz) == len(memory), "the count of points is wrong"


def look(memory: Memory, rng: np.random.Generator, cameras: int = 2) -> None:
    """Render from odd cameras at odd poses; View checks itself, NaN is checked here."""
    for _ in range(cameras):
        camera, T = odd_camera(rng), odd_pose(rng)
        try:
            view = memory.render(camera, T, int(rng.choice([0, -1, 10**18, 2**62])))
        except SpatiaError:
            continue
        assert np.isfinite(view.depth).all(), f"depth not finite: {camera} {T.tolist()}"
        assert (view.depth >= 0).all(), f"depth below zero: {camera} {T.tolist()}"
        assert np.isfinite(view.sensed).all(), "provenance not finite"
        assert np.isfinite(view.age_s).all(), "age not finite"
        memory.retrieve(view, camera, T, 3)


def cloud(rng: np.random.Generator) -> None:
    """Clouds with odd numbers, shapes and types."""
    memory, n = Memory(small(rng)), int(rng.choice([0, 1, 2, 50, 3000]))
    confidence = np.abs(odd_floats(rng, (n,), 0.1, finite=True))
    fields: dict[str, Any] = {
        "xyz": odd_floats(rng, (n, 3), 0.1, finite=rng.random() < 0.8).astype(np.float32),
        "rgb": rng.integers(0, 256, (n, 3)).astype(np.uint8),
        "confidence": np.clip(confidence, 1e-3 if rng.random() < 0.8 else 0.0, None).astype(np.float32),
        "sensed": rng.random(n) < 0.5, "last_seen_ns": rng.integers(-(2**62), 2**62, n),
        "label": rng.integers(0, 2**16, n).astype(np.uint16),
    }  # fmt: skip
    if rng.random() < 0.3:
        name = str(rng.choice(list(fields)))
        fields[name] = odd_array(rng, fields[name])
    memory.add_points(Points(**fields))
    check(memory)
    look(memory, rng)
    again(memory, rng)


def odd_array(rng: np.random.Generator, array: np.ndarray) -> Any:
    """The same thing in a shape or type it should not have."""
    choices: list[Callable[[], Any]] = [
        lambda: array.astype(rng.choice(["float64", "int32", "uint8", "complex64", "bool", "float16"])),
        lambda: array[: len(array) // 2], lambda: array.reshape(-1), lambda: array[None], lambda: np.asfortranarray(array),
        lambda: np.repeat(array, 2, 0)[::2], lambda: array.tolist(), lambda: None, lambda: np.array(array, object),
    ]  # fmt: skip
    return choices[rng.integers(len(choices))]()


def small(rng: np.random.Generator) -> MemoryConfig:
    voxel_m, range_m = float(rng.choice([0.001, 0.02, 0.1, 1.0])), float(rng.choice([8.0, 1000.0]))
    return MemoryConfig(voxel_m=voxel_m, max_points=20_000, max_range_m=range_m)


def frames(rng: np.random.Generator) -> None:
    """Frames with odd depth, from odd cameras at odd poses."""
    memory, camera = Memory(small(rng)), odd_camera(rng)
    for k in range(3):
        shape = camera.height, camera.width
        depth = np.abs(odd_floats(rng, shape, 0.2, finite=rng.random() < 0.8)).astype(np.float32)
        if rng.random() < 0.5:
            depth = np.full(shape, float(rng.choice(np.abs(ODD[:-3]))) if rng.random() < 0.3 else rng.uniform(0.1, 8), np.float32)
        rgb = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
        mask = rng.random(shape) < 0.8 if rng.random() < 0.5 else None
        if rng.random() < 0.1:
            mask = odd_array(rng, np.ones(shape, bool))
        stamp = int(rng.choice([0, k, -(2**60), 2**60]))
        try:
            memory.integrate(Frame(rgb, depth, camera, odd_pose(rng), stamp), sensed=bool(rng.random() < 0.7), mask=mask)
        except SpatiaError:
            continue
        check(memory)
    look(memory, rng)
    again(memory, rng)


def again(memory: Memory, rng: np.random.Generator) -> None:
    """What memory made of odd input can be saved and read again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "odd.spatia"
        try:
            memory.save(path)
            back = Memory.load(path)
        except SpatiaError as error:
            raise AssertionError(f"what was taken in could not be kept: {error}") from error
        assert len(back) == len(memory), f"{len(memory)} points saved, {len(back)} read"
        check(back)


def files(rng: np.random.Generator) -> None:
    """Memory files that are random, damaged, cut, or patched together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.spatia"
        memory, camera = Memory(MemoryConfig(voxel_m=0.05)), Camera(32, 24, 20, 20, 16, 12)
        for k in range(2):
            depth = np.abs(rng.normal(2, 0.3, (24, 32))).astype(np.float32)
            memory.integrate(Frame(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8), depth, camera, np.eye(4), k))
        memory.save(path)
        path.write_bytes(damaged(rng, path.read_bytes()))
        try:
            back = Memory.load(path) if rng.random() < 0.5 else Memory.open(path, write=False)
            check(back)
            look(back, rng, 1)
        except SpatiaError as error:  # an open file is checked where it is read
            say(error)
            return
        assert len(back) <= len(memory), "more points than were saved"


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """A file's bytes after something happened to them."""
    kind, at = int(rng.integers(7)), int(rng.integers(len(data)))
    noise = rng.bytes(int(rng.choice([1, 4, 8, 64, 1000])))
    if kind == 0:
        return rng.bytes(int(rng.choice([0, 1, 7, 100, 5000])))
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
    if kind == 3:
        return data[:at] + noise + data[at + len(noise) :]
    if kind == 4:
        return data[:at] + noise + data[at:]
    if kind == 5:
        return data + noise
    other = int(rng.integers(len(data)))
    return data[: min(at, other)] + data[max(at, other) :]


def readers(rng: np.random.Generator) -> None:
    """Every other kind of file, random or damaged."""
    from spatia_ros import config
    from spatia_ros.actors import cast_file, script
    from spatia_ros.formats.cloud_file import read_pieces
    from spatia_ros.formats.mesh_file import read_mesh
    from spatia_ros.sequence import open_sequence
    from spatia_ros.sequence.calibration import read_camera_yaml
    from spatia_ros.sequence.image_file import decode_depth, decode_rgb
    from spatia_ros.sequence.tum import read_poses

    sources: dict[str, tuple[bytes, Callable[[Path], Any]]] = {
        "a.ply": (PLY, lambda p: list(read_pieces(p))), "a.pcd": (PCD, lambda p: list(read_pieces(p))),
        "a.las": (b"LASF" + bytes(371), lambda p: list(read_pieces(p))), "a.glb": (_glb(), read_mesh), "a.obj": (OBJ, read_mesh),
        "a.dae": (b"<?xml version='1.0'?><COLLADA></COLLADA>", read_mesh),
        "a.mcap": (b"\x89MCAP0\r\n" + bytes(60), open_sequence), "a.db3": (b"SQLite format 3\x00" + bytes(200), open_sequence),
        "poses.txt": (b"0.1 0 0 0 0 0 0 1\n0.2 1 0 0 0 0 0 1\n", read_poses), "camera.yaml": (CALIBRATION, read_camera_yaml),
        "config.yaml": (b"memory:\n  voxel_m: 0.02\n", config.load), "cast.npz": (_cast(), cast_file.load),
        "actors.yaml": (ACTORS, script.load),
        "a.png": (PNG, lambda p: (decode_rgb(p.read_bytes(), "a", 4, 3), decode_depth(p.read_bytes(), "a", 4, 3))),
    }  # fmt: skip
    name = str(rng.choice(list(sources)))
    data, read = sources[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(damaged(rng, data))
        print(name, flush=True)
        read(path)


@lru_cache
def _cast() -> bytes:
    from spatia_ros.actors import cast_file, script

    with tempfile.TemporaryDirectory() as folder:
        cast_file.save(script.load_text(ACTORS.decode(), Path), Path(folder) / "cast.npz")
        return (Path(folder) / "cast.npz").read_bytes()


ACTORS = b"""clock: {pattern: loop, length_s: 2}
actors:
  - {name: a, kind: ball, path: [[0, 0, 0, 0, 0], [1, 2, 0, 0, 90]], spacing_m: 0.2, clock: {knots: [[0, 0], [1, 2]]}}
  - {name: b, kind: box, pose: [0, 0, 0, 0], spacing_m: 0.3, facts: {a: 1}}
edit: [{name: b, faster: 2, moved: [1, 0, 0, 0]}]
"""


def _png() -> bytes:
    import cv2

    return cv2.imencode(".png", np.arange(36, dtype=np.uint8).reshape(3, 4, 3))[1].tobytes()


PNG = _png()
PLY = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    b"property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n" + bytes(range(60))
)
PCD = (
    b"# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 3\nHEIGHT 1\n"
    b"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA binary\n" + bytes(range(48))
)
OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1 2 3\n"
CALIBRATION = (
    b"image_width: 4\nimage_height: 3\ndistortion_model: plumb_bob\n"
    b"camera_matrix: {rows: 3, cols: 3, data: [4, 0, 2, 0, 4, 1.5, 0, 0, 1]}\n"
    b"distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\ndepth_scale: 1000.0\n"
)


@lru_cache(maxsize=1)
def _glb() -> bytes:
    import trimesh

    return trimesh.Scene(trimesh.creation.box()).export(file_type="glb")


def fault(_: np.random.Generator) -> None:
    """What a fault in compiled code does; for the test of the test."""
    import ctypes

    ctypes.string_at(0)


def wrong(_: np.random.Generator) -> None:
    """What a wrong answer does; for the test of the test."""
    raise AssertionError("wrong")


KINDS = {"cloud": cloud, "frames": frames, "files": files, "readers": readers, "fault": fault, "wrong": wrong}


def say(error: SpatiaError) -> None:
    print(f"  refused: {str(error)[:200]}")
    if not str(error).strip():
        raise AssertionError("an error without a word")


def main(kind: str, first: int, count: int) -> None:
    faulthandler.enable()
    refused = 0
    for seed in range(first, first + count):
        print(f"{kind} {seed}", flush=True)
        try:
            KINDS[kind](np.random.default_rng(seed))
        except SpatiaError as error:
            refused += 1
            say(error)
    print(f"done: {count} tried, {refused} refused")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

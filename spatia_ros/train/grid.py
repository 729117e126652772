"""Sets of full grids: takes seen from every camera of their ways at every animation time, written and read.

A set is a folder with ``grid.json`` (what it was made of) and one folder a take: ``take.json`` (camera, poses, times, movers),
``source-000.npz``, ``target-000.npz`` ... (a row of :mod:`.grid_file` each) and ``sheet.png`` to look at. A row is written whole
or not at all, so a set that was interrupted is completed by writing it again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.train.grid_file import MAX_ROW_BYTES, Row, read_row, row_bytes, write_row
from spatia_ros.train.grid_sheet import sheet, write_picture
from spatia_ros.train.scene_actors import TAU_S
from spatia_ros.train.scene_take import Take, TakePlan, house_take, procedural_take
from spatia_ros.types import Camera, Float64, SpatiaError, check_pose

VERSION = 1
MANIFEST, TAKE, SHEET = "grid.json", "take.json", "sheet.png"
MAX_JSON_BYTES = 1 << 24
HOUSE = "house"
"""The kind of takes in a mesh; others are procedural."""


@dataclass(frozen=True, slots=True)
class GridPlan:
    """What a set is made of.

    Args:
        kinds: of the takes, in turn. takes: how many. seed: of the first; they are counted up.
        times: animation times of each camera, from 0 to the end of the animation, evenly.
        shots: size and length of the takes. mesh: .glb that takes of kind "house" are made in.
    """

    kinds: tuple[str, ...] = ("room", "street", "desk", "corridor")
    takes: int = 8
    seed: int = 0
    times: int = 31
    shots: TakePlan = field(default_factory=TakePlan)
    mesh: Path | None = None

    def __post_init__(self) -> None:
        if not self.kinds or self.takes < 1 or self.seed < 0:
            got = f"{self.kinds}, {self.takes}, {self.seed}"
            raise SpatiaError(f"grid: expected kinds, 1 take or more and a seed of 0 or more, got {got}")
        if HOUSE in self.kinds and self.mesh is None:
            raise SpatiaError("grid: expected a mesh for takes of kind house, got none")
        if self.times < 1 or row_bytes(self.times, *self.shots.size) > MAX_ROW_BYTES:
            raise SpatiaError(f"grid: expected 1 or more times and rows of {MAX_ROW_BYTES} bytes at most, got {self.times} times")

    def take(self, number: int) -> Take:
        """Take ``number`` of the set."""
        kind, seed = self.kinds[number % len(self.kinds)], self.seed + number
        if kind == HOUSE and self.mesh is not None:
            return house_take(self.mesh, seed, self.shots)
        return procedural_take(kind, seed, self.shots)

    @property
    def times_s(self) -> Float64:
        """Animation times [times] of every camera, s."""
        return np.linspace(0.0, TAU_S, self.times, dtype=np.float64)

    def folder_of(self, number: int) -> str:
        """Name of a take's folder."""
        return f"{self.kinds[number % len(self.kinds)]}-{self.seed + number:05d}"

    def cells(self) -> int:
        """Pictures of the whole set."""
        return self.takes * 2 * self.shots.frames * self.times


def write_grids(folder: Path, plan: GridPlan, workers: int = 1, show: bool = True) -> None:
    """Write the rows of a set that are missing, and a picture of each take.

    Args:
        show: a progress bar, counting pictures.

    Raises:
        SpatiaError: when the folder holds a set of another plan, or a take cannot be made.
    """
    _keep_manifest(folder, plan)
    with tqdm(total=plan.cells(), desc="grid", unit="picture", disable=not show) as bar:
        for pictures in _done(folder, plan, workers):
            bar.update(pictures)


def _done(folder: Path, plan: GridPlan, workers: int) -> Iterator[int]:
    """Pictures that are there, take by take, or row by row with one worker."""
    if workers <= 1:
        for number in range(plan.takes):
            yield from write_take(folder, plan, number)
        return
    # Threads of a forked parent would be missing in its children, hence a fresh interpreter for each.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_whole_take, folder, plan, k) for k in range(plan.takes)]):
            yield future.result()


def _whole_take(folder: Path, plan: GridPlan, number: int) -> int:
    return sum(write_take(folder, plan, number))


def write_take(folder: Path, plan: GridPlan, number: int) -> Iterator[int]:
    """Write what is missing of one take; yields the pictures of each row that is then there."""
    place = folder / plan.folder_of(number)
    if (place / SHEET).exists():
        yield 2 * plan.shots.frames * plan.times
        return
    take, rows = plan.take(number), []
    _write_json(place / TAKE, _said(take, plan))
    for path, poses in take.paths.items():
        for k in range(len(poses)):
            file = place / row_name(path, k)
            if not file.exists():
                write_row(file, row_of(take, path, k, plan.times_s))
            rows += [file] if path == "target" else []
            yield plan.times
    write_picture(place / SHEET, sheet([read_row(rows[k]) for k in np.linspace(0, len(rows) - 1, min(6, len(rows))).astype(int)]))


def row_name(path: str, index: int) -> str:
    """Name of the file of a camera."""
    return f"{path}-{index:03d}.npz"


def row_of(take: Take, path: str, index: int, times_s: Float64) -> Row:
    """What one camera of a take sees at all times."""
    seen = [take.look(path, index, tau) for tau in times_s]
    return Row(
        times_s, take.paths[path][index], np.stack([s.frame.rgb for s in seen]), np.stack([s.frame.depth for s in seen]),
        np.stack([s.ids for s in seen]).astype(np.uint16),
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """A take as it was written, whose pictures are read when they are asked for.

    Args:
        folder: of the take. name, kind: of its scene. camera: of every picture. times_s: float64 [T], of every row.
        paths: ``T_world_cam`` [N, 4, 4] by name. movers: number in ``ids``, kind and colour of what moves.
    """

    folder: Path
    name: str
    kind: str
    camera: Camera
    times_s: Float64
    paths: Mapping[str, Float64]
    movers: tuple[Mapping[str, Any], ...]

    @classmethod
    def open(cls, folder: Path) -> Grid:
        """The take in a folder.

        Raises:
            SpatiaError: when there is none.
        """
        said = _read_json(folder / TAKE)
        try:
            paths = {name: np.array(poses, np.float64) for name, poses in said["paths"].items()}
            for name, poses in paths.items():
                for k, T in enumerate(poses):
                    check_pose(f"{name}[{k}]", T)
            camera, times_s = Camera(**said["camera"]), np.array(said["times_s"], np.float64)
            return cls(folder, str(said["name"]), str(said["kind"]), camera, times_s, paths, tuple(said["movers"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SpatiaError(f"grid {folder}: {TAKE} cannot be read ({error}); delete it and write the grid again") from None

    @property
    def numbers(self) -> list[int]:
        """What movers are called in ``ids``."""
        return [int(mover["number"]) for mover in self.movers]

    def row(self, path: str, index: int) -> Row:
        """One camera of a way at all times.

        Raises:
            SpatiaError: when there is no such camera, or its file cannot be read.
        """
        if path not in self.paths or not 0 <= index < len(self.paths[path]):
            raise SpatiaError(f"grid {self.folder}: expected a camera of {', '.join(self.paths)}, got {path} {index}")
        row, size = read_row(self.folder / row_name(path, index)), (self.camera.height, self.camera.width)
        if row.depth.shape != (len(self.times_s), *size):
            raise SpatiaError(f"grid {self.folder}: expected {len(self.times_s)} pictures of {size}, got {row.depth.shape}")
        return row


def open_grids(folder: Path) -> list[Grid]:
    """Every take of a set, whole or not yet.

    Raises:
        SpatiaError: when the folder holds no set.
    """
    if _read_json(folder / MANIFEST).get("version") != VERSION:
        raise SpatiaError(f"grid {folder}: expected version {VERSION}; write it again")
    return [Grid.open(path.parent) for path in sorted(folder.glob(f"*/{TAKE}"))]


def _said(take: Take, plan: GridPlan) -> dict[str, Any]:
    movers = [
        {"number": int(n), "kind": a.body.kind, "colour": a.body.colour}
        for n, a in zip(take.scene.numbers, take.scene.actors, strict=True)
    ]
    return {
        "name": take.name, "kind": take.kind, "target": take.way, "movers": movers, "camera": asdict(take.camera),
        "times_s": plan.times_s.tolist(), "paths": {name: poses.tolist() for name, poses in take.paths.items()},
    }


def _keep_manifest(folder: Path, plan: GridPlan) -> None:
    """Say what a set is made of; a set of another making is left alone."""
    said = {
        "version": VERSION, "kinds": list(plan.kinds), "seed": plan.seed, "times": plan.times, "frames": plan.shots.frames,
        "size": list(plan.shots.size), "hfov_rad": plan.shots.hfov_rad, "mesh": plan.mesh.name if plan.mesh else None,
    }
    path = folder / MANIFEST
    if path.exists():
        there = _read_json(path)
        differ = sorted(k for k in said if there.get(k) != said[k])
        if differ:
            raise SpatiaError(f"grid: {folder} holds a set of other {', '.join(differ)}; choose another folder")
    _write_json(path, said)


def _write_json(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.json")
    partial.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")
    os.replace(partial, path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise SpatiaError(f"grid {path}: expected at most {MAX_JSON_BYTES} bytes, got {path.stat().st_size}")
        values = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise SpatiaError(f"grid {path}: cannot be read ({error})") from None
    if not isinstance(values, dict):
        raise SpatiaError(f"grid {path}: expected a mapping, got {type(values).__name__}")
    return values

"""The first memory of a place, from whatever there is of it: frames, clouds, meshes, one photograph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spatia_ros.config import WorldConfig
from spatia_ros.formats import cloud_file, mesh_file
from spatia_ros.seed import photo
from spatia_ros.seed.depth import DepthEstimator, Known
from spatia_ros.seed.seeded import Report, Seeded, silent
from spatia_ros.types import SpatiaError

__all__ = ["KINDS", "DepthEstimator", "Known", "SeedOptions", "Seeded", "kind_of", "open_place"]

Kind = Literal["frames", "cloud", "mesh", "photo"]
KINDS: tuple[Kind, ...] = ("frames", "cloud", "mesh", "photo")
RECORDINGS = (".mcap", ".db3")


@dataclass(frozen=True, slots=True)
class SeedOptions:
    """What a file does not say of itself; each kind of seed takes what concerns it.

    Args:
        kind: one of KINDS; empty: by what the path is.
        up: axis of a mesh or cloud that points up; empty: what the file says, or its format's custom.
        unit_m: metres per unit of a mesh or cloud; 0: what the file says, else 1.
        eye_m: height of the eye above the floor, where a start is to be found.
        finest: a cloud keeps the configured voxels however sparse it is.
        views: keyframes rendered of a mesh, at most.
        poses: tracked: those of a recording are left aside. every: frames of it used.
        estimator: of a photograph's depth. camera_height_m, known, fov_rad: see :mod:`.photo`.
    """

    kind: str = ""
    up: str = ""
    unit_m: float = 0.0
    eye_m: float = 1.4
    finest: bool = False
    views: int = 200
    poses: Literal["any", "tracked"] = "any"
    every: int = 1
    estimator: DepthEstimator | None = None
    camera_height_m: float = 0.0
    known: tuple[Known, ...] = ()
    fov_rad: float = 0.0


def kind_of(path: Path | str) -> Kind:
    """What a path can be a seed as, by its name (and a PLY by whether it has faces).

    Raises:
        SpatiaError: when nothing known is there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in RECORDINGS:
        return "frames"
    if not path.is_file():
        raise SpatiaError(f"seed: expected a file or folder, {path} does not exist")
    if suffix == ".ply":
        return "mesh" if mesh_file.ply_has_faces(path) else "cloud"
    if suffix in mesh_file.SUFFIXES:
        return "mesh"
    if suffix in cloud_file.SUFFIXES:
        return "cloud"
    if suffix in photo.SUFFIXES:
        return "photo"
    known = (*RECORDINGS, *mesh_file.SUFFIXES, *cloud_file.SUFFIXES, *photo.SUFFIXES)
    raise SpatiaError(f"seed: expected a recording's folder or one of {', '.join(dict.fromkeys(known))}, got {path.name!r}")


def open_place(
    path: Path | str, config: WorldConfig, options: SeedOptions | None = None, report: Report = silent
) -> Seeded:
    """The place that a recording, a point cloud, a mesh or a photograph shows.

    Args:
        report: told what is being done, and how much of it is.

    Raises:
        SpatiaError: saying what is wrong with what was given, or what else has to be known.
    """
    options = options or SeedOptions()
    if options.kind and options.kind not in KINDS:
        raise SpatiaError(f"seed: kind: expected one of {', '.join(KINDS)}, got {options.kind!r}")
    kind = options.kind or kind_of(path)
    if kind == "frames":
        from spatia_ros.seed.frames import seed_frames

        return seed_frames(path, config, "none" if options.poses == "tracked" else "any", options.every, report)
    if kind == "mesh":
        from spatia_ros.seed.mesh import seed_mesh

        return seed_mesh(path, config.memory, options.up, options.unit_m, options.eye_m, options.views, report)
    if kind == "cloud":
        from spatia_ros.seed.cloud import seed_cloud

        up, unit_m = options.up or "z", options.unit_m or 1.0
        return seed_cloud(path, config.memory, up, unit_m, options.eye_m, options.finest, report)
    if options.estimator is None:
        raise SpatiaError("seed: a photograph needs a depth estimator: a generator, or the folder of a depth network")
    return photo.seed_photo(
        path, config.memory, options.estimator, options.fov_rad, options.camera_height_m, options.known, report
    )

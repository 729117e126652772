"""A memory from a point cloud: moved near zero, turned upright, coloured where it has no colour, voxels to suit it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from spatia_ros.config import MemoryConfig
from spatia_ros.formats.cloud_file import CLASSES, PIECE_POINTS, Piece, count_of, read_pieces
from spatia_ros.formats.mesh_file import upright
from spatia_ros.memory import Memory, Points
from spatia_ros.seed.seeded import EYES, Report, Seeded, best_start, complete, remember_start, silent
from spatia_ros.seed.walk import FreeSpace, find_walk
from spatia_ros.types import Float64, SpatiaError, UInt8

RECENTRE_BEYOND_M = 1000.0
"""Coordinates larger than this are moved: single precision holds a tenth of a millimetre up to here."""
NEIGHBOURS = 8
"""A voxel as wide as the distance to this many neighbours holds a point nearly everywhere on a surface."""
GREYS = (50.0, 225.0)


@dataclass(slots=True)
class CloudSeed:
    """What is decided by the first piece of a cloud, and what was counted since."""

    R_up: Float64
    unit_m: float
    origin_m: Float64
    spacing_m: float
    grey_of: str
    grey_range: tuple[float, float]
    points: int = 0
    not_finite: int = 0
    low: Float64 = field(default_factory=lambda: np.full(3, np.inf))
    high: Float64 = field(default_factory=lambda: np.full(3, -np.inf))

    @classmethod
    def of(cls, piece: Piece, up: str, unit_m: float, name: str) -> CloudSeed:
        """Decide by a first piece.

        Raises:
            SpatiaError: when none of its points is finite, or ``up`` or ``unit_m`` are out of range.
        """
        if not (np.isfinite(unit_m) and 0 < unit_m <= 1e6):
            raise SpatiaError(f"cloud: unit: expected metres per unit in 0..1e6, got {unit_m}")
        R = upright(up)
        finite = np.isfinite(piece.xyz).all(1)
        if not finite.any():
            raise SpatiaError(f"cloud: {name}: expected finite points, got none of {len(piece.xyz)}")
        xyz = piece.xyz[finite] @ R.T * unit_m
        centre = np.median(xyz, 0)
        origin = np.round(centre) if np.abs(centre).max() > RECENTRE_BEYOND_M else np.zeros(3)
        grey_of = "" if piece.rgb is not None else "height"
        values = xyz[:, 2] - origin[2]
        if piece.rgb is None and piece.intensity is not None and np.ptp(piece.intensity[finite]) > 0:
            grey_of, values = "intensity", piece.intensity[finite]
        low, high = np.percentile(values, (2, 98))
        return cls(R, unit_m, origin, spacing_of(xyz - origin), grey_of, (float(low), float(high)))

    def placed(self, piece: Piece) -> Points:
        """The finite points of a piece, in metres, z up, near zero, with colours."""
        with np.errstate(invalid="ignore"):  # what is no number stays none
            xyz = piece.xyz @ self.R_up.T * self.unit_m - self.origin_m
        finite = np.asarray(np.isfinite(xyz).all(1))
        self.points += len(xyz)
        self.not_finite += int((~finite).sum())
        xyz = xyz[finite]
        if len(xyz):
            self.low, self.high = np.minimum(self.low, xyz.min(0)), np.maximum(self.high, xyz.max(0))
        rgb = self._grey(piece, xyz, finite) if piece.rgb is None else piece.rgb[finite]
        label = None if piece.label is None else piece.label[finite]
        return Points.measured(xyz.astype(np.float32), rgb, 0, label)

    def _grey(self, piece: Piece, xyz: Float64, finite: np.ndarray) -> UInt8:
        values = piece.intensity[finite] if self.grey_of == "intensity" and piece.intensity is not None else xyz[:, 2]
        low, high = self.grey_range
        share = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
        grey = (GREYS[0] + (GREYS[1] - GREYS[0]) * share).astype(np.uint8)
        return np.repeat(grey[:, None], 3, 1)

    def story(self, name: str) -> list[str]:
        """What was done to the cloud, in sentences."""
        told = [f"{self.points:,} points of {name}"]
        if self.not_finite:
            told.append(f"{self.not_finite:,} points without finite coordinates were left out")
        if self.origin_m.any():
            place = ", ".join(f"{v:.0f}" for v in self.origin_m)
            told.append(f"coordinates were moved by -({place}) m: far from zero, single precision loses millimetres")
        if self.grey_of:
            told.append(f"it has no colours: grey is its {self.grey_of}")
        return told


def spacing_of(xyz: Float64, sample: int = 4000) -> float:
    """Typical distance, metres, from a point [N, 3] to its 8th neighbour; 0 for fewer points than that."""
    if len(xyz) <= NEIGHBOURS:
        return 0.0
    # A compact part of the file would not do: neighbours of the chosen points must all be there.
    tree = cKDTree(xyz[:PIECE_POINTS])
    chosen = xyz[:PIECE_POINTS][:: max(min(len(xyz), PIECE_POINTS) // sample, 1)]
    distance, _ = tree.query(chosen, NEIGHBOURS + 1)
    return float(np.median(distance[:, NEIGHBOURS]))


def seed_cloud(
    path: Path | str, config: MemoryConfig, up: str = "z", unit_m: float = 1.0, eye_m: float = 1.4, finest: bool = False,
    report: Report = silent,
) -> Seeded:
    """The place a point cloud file describes.

    Args:
        config: the memory's. Voxels grow to the cloud's own spacing where that is coarser, unless ``finest``.
        up: axis of the file that points up. unit_m: metres per unit of the file.
        eye_m: height of the eye above the floor it stands on.

    Raises:
        SpatiaError: when the file is no usable cloud.
    """
    def share(what: str, points: float) -> None:
        report(what, min(points / total, 1.0))

    total = max(count_of(path), 1)
    return seed_pieces(read_pieces(path), Path(path).name, config, up, unit_m, eye_m, finest, share)


def seed_pieces(
    pieces: Iterable[Piece], name: str, config: MemoryConfig, up: str = "z", unit_m: float = 1.0, eye_m: float = 1.4,
    finest: bool = False, report: Report = silent,
) -> Seeded:
    """:func:`seed_cloud` of points that are in hand; ``report`` is told how many were read, not their share."""
    stream = iter(pieces)
    first = next(stream, None)
    if first is None or not len(first.xyz):
        raise SpatiaError(f"cloud: {name}: expected points, got none")
    seed = CloudSeed.of(first, up, unit_m, name)
    voxel_m = config.voxel_m if finest else float(np.clip(seed.spacing_m, config.voxel_m, 1.0))
    memory = Memory(config.model_copy(update={"voxel_m": voxel_m}))
    for piece in chain([first], stream):
        memory.add_points(seed.placed(piece))
        if piece.label is not None:
            memory.names.update({int(k): CLASSES[int(k)] for k in np.unique(piece.label) if k})
        report("reading points", float(seed.points))
    memory.config = complete(memory.config, seed.low, seed.high)
    memory.keyframes.config = memory.config
    story = seed.story(name)
    if voxel_m > config.voxel_m:
        story.append(f"voxels of {voxel_m:.3g} m suit its spacing; finer ones would leave gaps")
    if len(memory) >= memory.config.max_points:
        story.append(f"the cap of {memory.config.max_points:,} points was reached: what came later is missing")
    walk = find_walk(FreeSpace.of(memory.points().xyz, max(0.1, voxel_m)), eye_m)
    start, recorded = best_start(memory, walk, seed.low, seed.high)
    remember_start(memory, EYES, start)
    figures = {"read": seed.points, "not_finite": seed.not_finite, "voxel_m": voxel_m}
    return Seeded(Path(name).stem, memory, EYES, start, recorded, story, figures, {}, seed.origin_m)

"""A rig of cameras from a file: our own YAML, or the URDF of a robot.

Both speak of links with REP-103's axes (x forward, y left, z up), which become the core's cameras here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spatia_ros.formats.plain_yaml import read_yaml_file
from spatia_ros.nodes.rig.frames import mount_of
from spatia_ros.nodes.rig.urdf import read_urdf
from spatia_ros.rig import MAX_CAMERAS, MODELS, Lens, RigCamera, Shutter
from spatia_ros.types import Camera, SpatiaError

MAX_BYTES = 1 << 20
Vector = tuple[float, float, float]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Intrinsics(_Section):
    """K as CameraInfo has it: pixel centres at integers, px."""

    fx: float = Field(gt=0.0)
    fy: float = Field(gt=0.0)
    cx: float
    cy: float


class Distortion(_Section):
    """D as CameraInfo has it; missing numbers at the end are 0."""

    model: Literal["plumb_bob", "rational_polynomial", "equidistant"] = "plumb_bob"
    coefficients: tuple[float, ...] = Field(max_length=8)


class RollingShutter(_Section):
    """Rows exposed one after the other."""

    readout_s: float = Field(ge=0.0, le=1.0)
    direction: Literal["down", "up", "right", "left"] = "down"


class CameraEntry(_Section):
    """One camera; its mount is that of its link in base_link."""

    name: str
    xyz_m: Vector = (0.0, 0.0, 0.0)
    rpy_rad: Vector = (0.0, 0.0, 0.0)
    width_px: int = Field(ge=16, le=4096)
    height_px: int = Field(ge=16, le=4096)
    hfov_deg: float | None = Field(None, gt=0.0, lt=180.0)
    intrinsics: Intrinsics | None = None
    distortion: Distortion | None = None
    rolling_shutter: RollingShutter | None = None
    every: int = Field(1, ge=1, le=1000)
    link: str = ""
    optical: str = ""

    @model_validator(mode="after")
    def _one_of_two(self) -> CameraEntry:
        if (self.hfov_deg is None) == (self.intrinsics is None):
            raise ValueError("expected hfov_deg or intrinsics, one of them")
        return self

    def camera(self) -> RigCamera:
        """The camera it describes."""
        if self.intrinsics is not None:
            i = self.intrinsics
            pinhole = Camera.from_calibration(self.width_px, self.height_px, i.fx, i.fy, i.cx, i.cy)
        else:
            assert self.hfov_deg is not None  # one of the two is there
            pinhole = Camera.from_fov(self.width_px, self.height_px, float(np.radians(self.hfov_deg)))
        shutter = self.rolling_shutter and Shutter(self.rolling_shutter.readout_s, self.rolling_shutter.direction)
        mount = mount_of(self.xyz_m, self.rpy_rad)
        return RigCamera(self.name, mount, self._lens(pinhole), shutter or None, self.every, self.link, self.optical)

    def _lens(self, pinhole: Camera) -> Lens:
        if self.distortion is None:
            return Lens(pinhole)
        model, given = self.distortion.model, self.distortion.coefficients
        return Lens(pinhole, model, given + (0.0,) * (MODELS[model] - len(given)))


class RigEntry(_Section):
    """A rig file."""

    cameras: tuple[CameraEntry, ...] = Field(min_length=1, max_length=MAX_CAMERAS)


def open_rig(path: Path, base: str, usual: Camera) -> tuple[RigCamera, ...]:
    """The cameras of a rig file, the first one first: it is the one that makes the world go on.

    Args:
        base: the link that commands move, in a URDF. usual: the camera of a URDF's optical frames without a sensor.

    Raises:
        SpatiaError: naming the file, what was expected in it, and what came.
    """
    if path.suffix in (".urdf", ".xml"):
        cameras = read_urdf(path, base, usual, MAX_BYTES)
    elif path.suffix in (".yaml", ".yml"):
        cameras = _from_yaml(path)
    elif path.suffix == ".xacro":
        raise SpatiaError(f"rig.file: expected a URDF, got xacro: write one with `xacro {path.name} > {path.stem}`")
    else:
        raise SpatiaError(f"rig.file: expected a .yaml or .urdf file, got {str(path)!r}")
    names = [c.name for c in cameras] + [c.link for c in cameras] + [c.optical for c in cameras]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise SpatiaError(f"{path}: expected names of cameras and frames that differ, got {', '.join(twice)} more than once")
    if len(cameras) > MAX_CAMERAS:
        raise SpatiaError(f"{path}: expected at most {MAX_CAMERAS} cameras, got {len(cameras)}")
    if cameras[0].every != 1:
        raise SpatiaError(f"{path}: expected the first camera at every frame, got {cameras[0].name} every {cameras[0].every}")
    return cameras


def _from_yaml(path: Path) -> tuple[RigCamera, ...]:
    try:
        entry = RigEntry.model_validate(read_yaml_file(path, MAX_BYTES))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}, got {e['input']!r:.80}" for e in error.errors()]
        raise SpatiaError(f"{path}: " + "; ".join(lines)) from None
    try:
        return tuple(each.camera() for each in entry.cameras)
    except SpatiaError as error:
        raise SpatiaError(f"{path}: {error}") from None

"""The one configuration: frozen, strict, ranged, described, and written back with every run.

Every field carries its unit in its name or description. Unknown keys and values out of range
are refused. The ROS parameters, ``config/*.yaml`` and ``spatia run --config`` are all this tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spatia_ros.types import Camera, SpatiaError

MAX_CONFIG_BYTES = 1 << 20


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CameraConfig(_Section):
    """The camera the world is rendered to; zeros mean: take it from the seed."""

    width_px: int = Field(320, ge=32, le=4096, description="image width, px")
    height_px: int = Field(192, ge=32, le=4096, description="image height, px")
    fx_px: float = Field(0.0, ge=0.0, description="focal length in x, px; 0: the seed's, rescaled")
    fy_px: float = Field(0.0, ge=0.0, description="focal length in y, px; 0: the seed's, rescaled")
    cx_px: float = Field(0.0, ge=0.0, description="principal point in x, px, centres at +0.5; 0: the seed's, rescaled")
    cy_px: float = Field(0.0, ge=0.0, description="principal point in y, px, centres at +0.5; 0: the seed's, rescaled")

    def camera(self, seed: Camera) -> Camera:
        """This camera, with what is left at 0 taken from the seed's (resized to this size)."""
        base = seed.resized(self.width_px, self.height_px)
        return Camera(
            self.width_px, self.height_px,
            self.fx_px or base.fx, self.fy_px or base.fy, self.cx_px or base.cx, self.cy_px or base.cy,
        )


class MemoryConfig(_Section):
    """The point-cloud memory."""

    voxel_m: float = Field(0.01, ge=0.001, le=1.0, description="voxel side, m")
    min_range_m: float = Field(0.1, ge=0.0, le=100.0, description="nearer measurements are ignored, m")
    max_range_m: float = Field(8.0, gt=0.0, le=1000.0, description="farther measurements are ignored, m")
    edge_ratio: float = Field(
        0.06, gt=0.0, le=1.0,
        description="depth step between neighbours, relative to depth, beyond which a pixel is an edge and not fused",
    )
    carve_margin_m: float = Field(
        0.04, gt=0.0, le=10.0,
        description="a point this far in front of a measurement (plus carve_margin_ratio of depth) was seen through, m",
    )
    carve_margin_ratio: float = Field(0.02, ge=0.0, le=1.0, description="part of the carving margin that grows with depth")
    max_weight: float = Field(32.0, ge=1.0, le=1e4, description="observations a running mean remembers at most")
    max_unknown_ray: float = Field(
        0.55, gt=0.0, le=1.0,
        description=(
            "share of the way to a surface that may lie in space no keyframe saw to be empty; past it something unseen "
            "may stand between, and the pixel counts as not remembered"
        ),
    )
    splat_scale: float = Field(0.6, gt=0.0, le=4.0, description="half-width of a splat in voxel sides")
    max_points: int = Field(
        20_000_000, ge=1000, le=500_000_000,
        description="point cap; past it new space is refused and counted",
    )
    keyframes: int = Field(256, ge=1, le=100_000, description="keyframes kept at most")
    keyframe_gain: float = Field(
        0.08, ge=0.0, le=1.0,
        description="share of a frame that kept keyframes must not show for it to become one",
    )
    warp_keyframes: int = Field(4, ge=0, le=32, description="keyframes warped into a view at full resolution")
    fill_thin_px: int = Field(
        6, ge=0, le=64,
        description="depth holes of a keyframe thinner than this are filled from their rim, px",
    )


class GeneratorConfig(_Section):
    """What fills and refines what memory cannot show."""

    name: str = Field(
        "fill-nano",
        description=(
            "generator: fill-nano (learned), projection (null: holes keep the mean colour), or a folder with "
            "manifest.json"
        ),
    )
    references: int = Field(8, ge=0, le=16, description="reference frames retrieved for each step")
    threads: int = Field(2, ge=1, le=256, description="CPU threads of the engine")


class VerifyConfig(_Section):
    """What of a generated frame may enter memory."""

    depth_ratio: float = Field(
        0.1, gt=0.0, le=1.0,
        description="largest mean disagreement with remembered depth nearby, relative",
    )
    free_space_margin_ratio: float = Field(
        0.05, ge=0.0, le=1.0,
        description="a new point this far inside space a keyframe saw through is refused, relative to depth",
    )
    max_spread: float = Field(0.5, gt=0.0, le=10.0, description="largest relative depth error the generator may expect of itself")
    keyframes: int = Field(8, ge=0, le=256, description="measured frames a new point is held against")
    max_range_m: float = Field(6.0, gt=0.0, le=1000.0, description="inventions farther away stay out of memory, m")


class WorldConfig(_Section):
    """A world: its randomness, its clock, its camera, its parts."""

    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of all randomness")
    frame_rate_hz: float = Field(10.0, gt=0.0, le=1000.0, description="frames per simulated second")
    camera: CameraConfig = CameraConfig()
    memory: MemoryConfig = MemoryConfig()
    generator: GeneratorConfig = GeneratorConfig()
    verify: VerifyConfig = VerifyConfig()


def from_dict(values: dict[str, Any]) -> WorldConfig:
    """A config from nested plain values.

    Raises:
        SpatiaError: naming every unknown key and every value out of range, with what was expected.
    """
    try:
        return WorldConfig.model_validate(values)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()]
        raise SpatiaError("config: " + "; ".join(lines)) from None


def load(path: Path | str) -> WorldConfig:
    """A config from a YAML file (missing keys keep their defaults)."""
    path = Path(path)
    if not path.is_file():
        raise SpatiaError(f"config: expected a YAML file, {path} is not one")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise SpatiaError(f"config: expected at most {MAX_CONFIG_BYTES} bytes, {path} has {path.stat().st_size}")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise SpatiaError(f"config: {path} is not YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise SpatiaError(f"config: {path}: expected a mapping, got {type(values).__name__}")
    return from_dict(values or {})


def override(config: WorldConfig, assignments: list[str]) -> WorldConfig:
    """The config with ``section.key=value`` assignments applied (values parsed as YAML)."""
    values = config.model_dump()
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise SpatiaError(f"config: expected section.key=value, got {assignment!r}")
        *parents, leaf = name.split(".")
        node = values
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                raise SpatiaError(f"config: no section {parent!r} in {name!r}")
            node = node[parent]
        node[leaf] = yaml.safe_load(text)
    return from_dict(values)


def dump(config: WorldConfig) -> str:
    """The effective config as YAML."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False)

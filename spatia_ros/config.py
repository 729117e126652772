"""The one configuration: frozen, strict, ranged, described, and written back with every run.

Every field carries its unit in its name or description. Unknown keys and values out of range
are refused. The ROS parameters, ``config/*.yaml`` and ``spatia run --config`` are all this tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spatia_ros.formats.plain_yaml import parse_yaml
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
    island_share: float = Field(
        5e-4, ge=0.0, le=1.0,
        description="measured pixels with nothing measured around them are noise, in groups smaller than this share of the image",
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
    resident_points: int = Field(
        20_000_000, ge=1000, le=500_000_000,
        description="points of a memory attached to its file that are unpacked at a time; a file of more is opened, not loaded",
    )
    page_mb: int = Field(32, ge=1, le=100_000, description="what a frame first reads of an attached file at most, MB")
    feature_channels: int = Field(0, ge=0, le=32, description="length of the feature vector each point carries, 0: none")
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
    even_exposure: bool = Field(
        True, description="bring each frame a camera took to the exposure of what is remembered, before it is folded in"
    )


class GeneratorConfig(_Section):
    """What fills and refines what memory cannot show."""

    name: str = Field(
        "nano",
        description=(
            "generator: nano (learned), projection (null: holes keep the mean colour), or a folder with "
            "manifest.json"
        ),
    )
    runtime: str = Field(
        "auto",
        description="what runs the networks: auto, torch, onnxruntime, onnxruntime-int8, openvino or tensorrt",
    )
    references: int = Field(8, ge=0, le=16, description="reference frames retrieved for each frame")
    clip: int = Field(
        1, ge=1, le=121,
        description="frames of a path that are generated together: 1 to react to commands, up to 16 for smoother motion",
    )
    steps: int = Field(1, ge=1, le=64, description="steps from noise to frame")
    guidance: float = Field(
        1.0, ge=1.0, le=20.0,
        description="how far prompt and context are followed beyond what they say, at twice the cost; 1: as they say",
    )
    context_frames: int = Field(
        5, ge=0, le=9, description="recent and retrieved frames the network looks at"
    )
    prompt: str = Field("", max_length=400, description="what to see, in words of docs/generator.md; empty: nothing is asked for")
    drop: str = Field(
        "", max_length=200,
        description="conditions kept from the network, to measure them: of memory_render,references,rays,animation_time,text",
    )
    threads: int = Field(2, ge=1, le=256, description="CPU threads of the engine")


class VerifyConfig(_Section):
    """What of a generated frame may enter memory."""

    depth_ratio: float = Field(
        0.1, gt=0.0, le=1.0,
        description="largest mean disagreement with remembered depth nearby, relative",
    )
    colour_error: float = Field(0.2, gt=0.0, le=1.0, description="largest mean difference from remembered colour nearby (0..1)")
    free_space_margin_ratio: float = Field(
        0.05, ge=0.0, le=1.0,
        description="a new point this far inside space a keyframe saw through is refused, relative to depth",
    )
    max_spread: float = Field(0.5, gt=0.0, le=10.0, description="largest relative depth error the generator may expect of itself")
    keyframes: int = Field(8, ge=0, le=256, description="measured frames a new point is held against")
    max_range_m: float = Field(6.0, gt=0.0, le=1000.0, description="inventions farther away stay out of memory, m")


class TrackingConfig(_Section):
    """Finding the camera by what it sees."""

    width_px: int = Field(320, ge=40, le=4096, description="images are halved until they are at most this wide, px")
    levels: int = Field(3, ge=1, le=8, description="sizes tracked at, coarse to fine")
    iterations: tuple[int, ...] = Field((5, 8, 12), min_length=1, max_length=8, description="steps at most a size, finest first")
    stride_px: int = Field(2, ge=1, le=8, description="every so many pixels of the finest size are used, px")
    depth_noise_m: float = Field(0.002, gt=0.0, le=1.0, description="standard deviation of depth at 0 m, m")
    depth_noise_ratio: float = Field(0.002, ge=0.0, le=1.0, description="what it grows by with the square of depth, 1/m")
    colour_noise: float = Field(0.04, gt=0.0, le=1.0, description="standard deviation of intensity (0..1)")
    huber: float = Field(1.5, gt=0.0, le=100.0, description="residuals beyond so many standard deviations count linearly")
    gate_ratio: float = Field(0.04, gt=0.0, le=1.0, description="pixels farther from a surface are no match, relative to depth")
    targets: int = Field(3, ge=1, le=16, description="keyframes a frame is registered to at once")
    keyframes: int = Field(256, ge=2, le=100_000, description="keyframes kept at most")
    keyframe_information: float = Field(
        0.8, gt=0.0, le=1.0, description="a frame whose information about its pose falls to this share becomes a keyframe",
    )
    min_fitness: float = Field(0.1, ge=0.0, le=1.0, description="tracked: share of known pixels that lie on a remembered surface")
    min_fit: float = Field(0.45, ge=0.0, le=1.0, description="tracked: agreement in depth times share of contrast explained")
    sure_fit: float = Field(0.8, ge=0.0, le=1.0, description="below this the last frame alone is tried as well")
    max_colour_error: float = Field(
        0.1, gt=0.0, le=1.0, description="difference of intensity (0..1) that is no fit where there is no contrast to explain",
    )
    max_uncertainty_m: float = Field(
        0.02, gt=0.0, le=10.0, description="tracked: standard deviation of the pose in its weakest direction, m at 1 m",
    )
    max_speed_m_s: float = Field(10.0, gt=0.0, le=1000.0, description="faster is no motion of a camera, m/s")
    max_turn_rad_s: float = Field(15.0, gt=0.0, le=1000.0, description="faster is no motion of a camera, rad/s")
    relocalise_keyframes: int = Field(12, ge=1, le=1000, description="keyframes a lost frame is held against")
    min_matches: int = Field(12, ge=4, le=1000, description="feature matches that must agree on a motion")


class DynamicsConfig(_Section):
    """What of a measured frame is static, and may enter memory."""

    enabled: bool = Field(True, description="keep what moves out of static memory")
    margin_m: float = Field(
        0.03, gt=0.0, le=1.0,
        description="a point this far inside space that was seen to be free (plus its noise) does not belong there, m",
    )
    noise_per_m: float = Field(
        0.0015, ge=0.0, le=0.1,
        description="standard deviation of measured depth at 1 m, m; it grows with the square of depth",
    )
    sigmas: float = Field(3.0, ge=0.0, le=20.0, description="standard deviations of depth noise in a margin")
    min_area: float = Field(0.0015, gt=0.0, le=1.0, description="smaller groups of pixels are not followed, share of the image")
    settle_s: float = Field(2.0, ge=0.0, le=3600.0, description="what stands still this long becomes part of the place, s")
    witnesses: int = Field(24, ge=1, le=256, description="earlier depth images kept that say where space was free")


class ActorsConfig(_Section):
    """Moving things, kept beside the static memory."""

    actors: int = Field(64, ge=1, le=10_000, description="actors kept at most; the one not seen longest makes room")
    observations: int = Field(256, ge=1, le=100_000, description="times kept of each actor, the oldest out first")
    points: int = Field(4096, ge=1, le=1_000_000, description="points kept of one actor at one time")
    complete: bool = Field(True, description="let the generator complete the gaps of actors that were not seen from all sides")


class LoopsConfig(_Section):
    """Places seen again, and the drift they take out of a map."""

    enabled: bool = Field(True, description="look for loops while poses are tracked")
    correct_given: bool = Field(False, description="look for loops also when poses are given (they may have drifted)")
    keyframe_overlap: float = Field(0.7, ge=0.1, le=0.95, description="a new keyframe when the last one shows less of the view")
    keyframe_step: float = Field(0.5, gt=0.01, le=10.0, description="a new keyframe after this way at most (m + rad)")
    keyframes: int = Field(2000, ge=2, le=100_000, description="keyframes a place is looked for among, at most")
    features: int = Field(400, ge=50, le=5000, description="features kept of a keyframe")
    candidates: int = Field(4, ge=1, le=64, description="keyframes a new one is held against by look, and as many by position")
    gap: float = Field(4.0, ge=0.5, le=1000.0, description="a loop spans at least this way (m + rad)")
    min_inliers: int = Field(25, ge=8, le=1000, description="features that must agree on the motion")
    confirmations: int = Field(2, ge=1, le=10, description="keyframes that must find the same loop before it is believed")
    drift_ratio: float = Field(
        0.01, gt=0.0, le=0.5,
        description="expected drift of the poses, m (and half as many rad) per m and rad of the way",
    )
    max_drift_ratio: float = Field(0.08, gt=0.0, le=1.0, description="a loop that would mean more drift than this is refused")
    misfit_m: float = Field(0.1, gt=0.0, le=10.0, description="a loop that ends up this far from all others is left out, m")
    correct_m: float = Field(
        0.01, ge=0.0, le=1.0,
        description="the map is corrected once a keyframe is this far from where the map has it, m",
    )


class GroundConfig(_Section):
    """Finding things by words, and the way of the camera to them."""

    cell_m: float = Field(0.1, ge=0.01, le=2.0, description="side of the cells a way is searched in, m")
    clearance_m: float = Field(0.15, ge=0.0, le=10.0, description="the camera keeps at least this far from everything, m")
    comfort_m: float = Field(0.6, ge=0.0, le=10.0, description="and farther, up to this, where that costs little way, m")
    speed_m_s: float = Field(0.6, gt=0.0, le=50.0, description="speed of the camera at most, m/s")
    turn_deg_s: float = Field(50.0, gt=0.0, le=1000.0, description="how fast the camera turns at most, deg/s")
    ramp_s: float = Field(0.6, ge=0.0, le=10.0, description="time in which it reaches its speed, and comes to rest, s")
    threshold: float = Field(0.2, ge=0.0, le=1.0, description="score a detector's box needs")
    pictures: int = Field(32, ge=1, le=1000, description="keyframes a detector is shown at most")


class WorldConfig(_Section):
    """A world: its randomness, its clock, its camera, its parts."""

    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of all randomness")
    frame_rate_hz: float = Field(10.0, gt=0.0, le=1000.0, description="frames per simulated second")
    camera: CameraConfig = CameraConfig()
    memory: MemoryConfig = MemoryConfig()
    generator: GeneratorConfig = GeneratorConfig()
    verify: VerifyConfig = VerifyConfig()
    tracking: TrackingConfig = TrackingConfig()
    loops: LoopsConfig = LoopsConfig()
    dynamics: DynamicsConfig = DynamicsConfig()
    actors: ActorsConfig = ActorsConfig()
    ground: GroundConfig = GroundConfig()


def from_dict(values: dict[str, Any]) -> WorldConfig:
    """A config from nested plain values.

    Raises:
        SpatiaError: naming every unknown key and every value out of range, with what was expected.
    """
    try:
        return WorldConfig.model_validate(values)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r:.200}" for e in error.errors()]
        raise SpatiaError("config: " + "; ".join(lines)) from None


def load(path: Path | str) -> WorldConfig:
    """A config from a YAML file (missing keys keep their defaults)."""
    path = Path(path)
    if not path.is_file():
        raise SpatiaError(f"config: expected a YAML file, {path} is not one")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise SpatiaError(f"config: expected at most {MAX_CONFIG_BYTES} bytes, {path} has {path.stat().st_size}")
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"), f"config: {path}")
    except UnicodeDecodeError as error:
        raise SpatiaError(f"config: {path}: expected YAML in UTF-8, got {error}") from None
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
        node[leaf] = parse_yaml(text, f"config: {name}")
    return from_dict(values)


def dump(config: WorldConfig) -> str:
    """The effective config as YAML."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False)

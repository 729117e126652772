"""One camera of a rig: its place, lens and shutter, and the pinhole camera through which the place is seen for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from spatia_ros.rig.lens import Lens
from spatia_ros.rig.shutter import Shutter
from spatia_ros.types import Camera, Float64, SpatiaError, check_pose

MAX_CAMERAS = 32
MAX_EVERY = 1000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
SHUTTER_ROOM = 0.1
"""What a picture has around it, as a share of its longer side, so that a rolling shutter finds what was in view before."""


@dataclass(frozen=True, slots=True, eq=False)
class RigCamera:
    """A camera of a rig.

    Args:
        name: of its topics: a letter, then letters, digits and underscores.
        T_rig_cam: float64 [4, 4], where it is on the rig (its own axes are OpenCV's).
        lens: size, intrinsics and distortion. shutter: None: all rows are exposed at once.
        every: it is made at every so many frames.
        link, optical: names of its frames; empty: NAME_link, NAME_color_optical_frame.
    """

    name: str
    T_rig_cam: Float64
    lens: Lens
    shutter: Shutter | None = None
    every: int = 1
    link: str = ""
    optical: str = ""
    source: Camera = field(init=False)
    """The pinhole camera of the picture behind the lens."""
    offset: tuple[int, int] = field(init=False)
    """Columns and rows of that picture that lie left of and above the image."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SpatiaError(f"rig: expected a camera name of letters, digits and _, a letter first, got {self.name!r}")
        check_pose(f"rig.{self.name}", self.T_rig_cam)
        if not 1 <= self.every <= MAX_EVERY:
            raise SpatiaError(f"rig.{self.name}: expected it every 1..{MAX_EVERY} frames, got {self.every}")
        size = self.lens.camera
        room = round(SHUTTER_ROOM * max(size.width, size.height)) if self.rolls else 0
        source, left, top = self.lens.pinhole(room)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "offset", (left, top))
        object.__setattr__(self, "link", self.link or f"{self.name}_link")
        object.__setattr__(self, "optical", self.optical or f"{self.name}_color_optical_frame")

    @property
    def rolls(self) -> bool:
        """Whether rows are exposed one after the other."""
        return self.shutter is not None and self.shutter.readout_s > 0

    @property
    def plain(self) -> bool:
        """Whether its picture is the pinhole's as it is."""
        return not self.lens.bends and not self.rolls

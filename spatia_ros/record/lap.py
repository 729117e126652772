"""A short recording as arrays in one file, to be shown again and again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from spatia_ros.types import Camera, Float32, Float64, Frame, UInt8

FRAMES, EMPTY = "frames.npz", "empty.spatia"
"""What it is called in a trial's folder, and a memory of nothing beside it, in which every lap begins."""


class Lap(NamedTuple):
    """A recording: uint8 [N, H, W, 3], float32 [N, H, W] metres, float64 [N, 4, 4] ``T_map_cam``, and who saw it."""

    rgb: UInt8
    depth: Float32
    T_map_cam: Float64
    camera: Camera

    def save(self, path: Path) -> None:
        """Write it."""
        c = self.camera
        optics = np.array([c.width, c.height, c.fx, c.fy, c.cx, c.cy])
        np.savez(path, rgb=self.rgb, depth=self.depth, T_map_cam=self.T_map_cam, optics=optics)

    @classmethod
    def load(cls, path: Path) -> Lap:
        """Read it."""
        with np.load(path, allow_pickle=False) as file:
            w, h, *optics = file["optics"].tolist()
            return cls(file["rgb"], file["depth"], file["T_map_cam"], Camera(int(w), int(h), *optics))

    def frame(self, k: int, stamp_ns: int) -> Frame:
        """One of its frames."""
        return Frame(self.rgb[k], self.depth[k], self.camera, self.T_map_cam[k], stamp_ns)

"""The earlier depth images that are asked about a frame: where space was free, and what stood there before."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from spatia_ros import geometry
from spatia_ros.config import DynamicsConfig
from spatia_ros.memory import Keyframe, Memory
from spatia_ros.memory.keyframes import fill_thin, intrinsics_of
from spatia_ros.slam.free_space import Witness, cell_camera, lowest_around, stride_of, witness_of
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame

NEAREST, SPREAD = 4, 4
"""Witnesses asked of each frame: those whose view is most alike, and some spread over time."""
MOVED_M, TURNED_RAD, WAITED_S = 0.15, 0.15, 0.5
"""A frame becomes a witness when the camera or the clock has moved on this far since the last."""
LONGEST_S, PAUSE_S = 5.0, 0.2
"""How long ago one can ask what stood where; how often images are kept for that."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A frame at the size that is worked at.

    Args:
        depth: float32 [h, w], m, 0 beyond memory's range. lowest: float32 [h, w], see :class:`Witness`.
        camera: of the cells. T_world_cam: float64 [4, 4]. stamp_ns. stride: side of a cell, px.
        within: float32 [H, W], the frame's depth, thin holes filled, cut at memory's range.
        margin_m, spread: what counts as beyond noise is ``margin_m + spread * z^2``.
        shift: a surface may be shown this many cells beside where it is: poses err by that much.
    """

    depth: Float32
    lowest: Float32
    camera: Camera
    T_world_cam: Float64
    stamp_ns: int
    stride: int
    margin_m: float
    spread: float
    within: Float32 = field(repr=False)
    shift: int = 0

    def margin(self, z: Float32) -> Float32:
        """m, at depths z (m)."""
        return np.float32(self.margin_m) + np.float32(self.spread) * z * z

    def widened(self, factor: float) -> Cells:
        """The same with margins, and shifts allowed, this many times as wide."""
        return replace(self, margin_m=self.margin_m * factor, spread=self.spread * factor, shift=round(factor - 1.0))


def cells_of(frame: Frame, memory: Memory, config: DynamicsConfig) -> Cells:
    """The cells of a frame, with margins that suit the memory's voxels."""
    c, stride = memory.config, stride_of(frame.camera)
    filled = fill_thin(frame.depth, c.fill_thin_px, c.edge_ratio)
    camera, middle = cell_camera(frame.camera, stride), stride // 2
    depth = np.ascontiguousarray(filled[middle::stride, middle::stride][: camera.height, : camera.width])
    # What is measured farther than memory goes still says that all up to there is free.
    within = np.minimum(filled, np.float32(c.max_range_m))
    return Cells(
        np.where(depth <= c.max_range_m, depth, np.float32(0)), lowest_around(within, stride), camera, frame.T_world_cam,
        frame.stamp_ns, stride, max(config.margin_m, 2.0 * c.voxel_m), config.sigmas * config.noise_per_m, within,
    )


class Witnesses:
    """Depth images kept, of the stream's own frames; memory's keyframes are asked beside them.

    Args:
        most: how many of its own frames are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._own: list[Witness] = []
        self._of_keyframes: dict[int, tuple[Keyframe, Witness]] = {}
        self._recent: deque[Cells] = deque()

    def asked(self, cells: Cells, memory: Memory) -> list[Witness]:
        """The witnesses worth asking: own and the keyframes' nearest in view, and own spread over time."""
        own, known = self._own, [k for k in memory.keyframes.keyframes if k.sensed.any()]
        poses = np.array([w.T_world_cam for w in own] + [k.T_world_cam for k in known]).reshape(-1, 4, 4)
        order = np.argsort(_unlike(poses, cells.T_world_cam), kind="stable")[:NEAREST]
        chosen = {int(i) for i in order} | set(np.linspace(0, len(own) - 1, min(len(own), SPREAD)).astype(int).tolist())
        return [own[i] if i < len(own) else self._of_keyframe(known[i - len(own)], memory) for i in sorted(chosen)]

    def stood(self, cells: Cells, which: Bool, seconds: float, or_oldest: bool = False) -> Bool:
        """Which of some cells [h, w] show a surface that an image that long ago (5 s at most) shows at the same place.

        None, when no image is that old, unless the oldest there is will do.
        """
        ago_ns = min(seconds, LONGEST_S) * 1e9
        oldest = self._recent[0] if self._recent and or_oldest else None
        past = next((c for c in reversed(self._recent) if cells.stamp_ns - c.stamp_ns >= ago_ns), oldest)
        out = np.zeros_like(which)
        if past is None or not which.any():
            return out
        points, asked = geometry.backproject(np.where(which, cells.depth, np.float32(0)), cells.camera, cells.T_world_cam)
        pixels, z = geometry.project(points, past.camera, past.T_world_cam)
        inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < past.camera.width) & (pixels[:, 1] < past.camera.height)
        u, v = pixels[inside].astype(np.int64).T
        same = np.zeros(len(points), bool)
        near = z[inside].astype(np.float32)
        margin, reach = 0.5 * np.maximum(past.margin(near), cells.margin(near)), max(past.shift, cells.shift)
        wide = np.pad(past.depth, reach)
        for down in range(2 * reach + 1):
            for right in range(2 * reach + 1):
                same[inside] |= np.abs(wide[v + down, u + right] - near) < margin
        out[asked] = same
        return out

    def remember(self, cells: Cells) -> None:
        """Keep a frame when it is time; when full, the witness most like its neighbour makes room."""
        if not self._recent or cells.stamp_ns - self._recent[-1].stamp_ns >= PAUSE_S * 1e9:
            self._recent.append(cells)
            while len(self._recent) > 2 and cells.stamp_ns - self._recent[1].stamp_ns >= LONGEST_S * 1e9:
                self._recent.popleft()
        own = self._own
        soon = own and cells.stamp_ns - own[-1].stamp_ns < WAITED_S * 1e9
        if soon and _unlike(own[-1].T_world_cam[None], cells.T_world_cam)[0] < 1.0:
            return
        own.append(Witness(cells.lowest, intrinsics_of(cells.camera), cells.T_world_cam, cells.stamp_ns))
        if len(own) > self.most:
            gaps = [
                _unlike(a.T_world_cam[None], b.T_world_cam)[0] + abs(b.stamp_ns - a.stamp_ns) * 1e-9 / WAITED_S / 4
                for a, b in pairwise(own)
            ]
            del own[int(np.argmin(gaps))]

    def _of_keyframe(self, keyframe: Keyframe, memory: Memory) -> Witness:
        known = self._of_keyframes.get(id(keyframe))
        if known is None:
            measured = np.where(keyframe.sensed, keyframe.surface_m, np.float32(0)).clip(0, memory.config.max_range_m)
            known = keyframe, witness_of(measured, keyframe.camera, keyframe.T_world_cam, keyframe.stamp_ns)
            while len(self._of_keyframes) >= 4 * self.most:
                del self._of_keyframes[next(iter(self._of_keyframes))]
            self._of_keyframes[id(keyframe)] = known
        return known[1]


def near_any(shown: Float32, z: Float32, margin: Float32, shift: int) -> Bool:
    """Cells [h, w] whose depth z another image shows within a margin, there or at most ``shift`` cells beside."""
    out, wide = np.zeros(z.shape, bool), np.pad(shown, shift)
    h, w = z.shape
    for y in range(2 * shift + 1):
        for x in range(2 * shift + 1):
            there = wide[y : y + h, x : x + w]
            out |= (there > 0) & (np.abs(there - z) < margin)
    return out


def _unlike(poses: Float64, T_world_cam: Float64) -> Float64:
    """How far [N] poses [N, 4, 4] are from one: 1 is the step that makes a new witness."""
    moved = np.linalg.norm(poses[:, :3, 3] - T_world_cam[:3, 3], axis=1)
    cosine = (np.einsum("nij,ij->n", poses[:, :3, :3], T_world_cam[:3, :3]) - 1.0) / 2.0
    return np.hypot(moved / MOVED_M, np.arccos(np.clip(cosine, -1.0, 1.0)) / TURNED_RAD)

"""The memory: what has been seen of a place, ready to be looked at from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import get_num_threads

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.kernels import read_only
from spatia_ros.memory import belief, carve, draw, fold, fuse, occlude, splat, warp
from spatia_ros.memory.block_store import BlockStore
from spatia_ros.memory.blocks import live_places
from spatia_ros.memory.cull import visible_blocks
from spatia_ros.memory.islands import without_islands
from spatia_ros.memory.keyframes import Keyframe, KeyframeSet, intrinsics_of
from spatia_ros.memory.mapped import MAPPED, Pieces
from spatia_ros.memory.observe import Observed, observe
from spatia_ros.memory.paging import Pages, PagesState, all_chunks, go_back
from spatia_ros.memory.points import Points, feature_bits, since_ms
from spatia_ros.memory.sharpen import sharpen
from spatia_ros.types import (
    Bool,
    Camera,
    Doubted,
    Float16,
    Float32,
    Float64,
    Frame,
    Int64,
    SpatiaError,
    UInt8,
    UInt16,
    View,
    check_array,
    check_pose,
)

INVENTED_WEIGHT = 0.5
"""What one generated observation counts in a running mean; a measured one counts 1."""

WITNESSES = 32
"""Keyframes asked, at most, whether the way to a surface is empty."""


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """Everything a :class:`Memory` is, at one moment."""

    store: BlockStore
    keyframes: KeyframeSet
    epoch_ns: int | None
    names: dict[int, str]
    pages: PagesState | None


class Memory:
    """A voxel cloud with keyframes.

    ``integrate`` folds an RGB-D frame in, ``render`` looks at it from any camera, ``retrieve``
    finds the kept frames that see the same space. Fusing costs the frame and rendering the view;
    neither grows with the map. See :mod:`.blocks`, :mod:`.fuse`, :mod:`.splat`, :mod:`.warp`, and
    :mod:`.truth` for what each of them computes in plain torch.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self.config = config
        self.store = BlockStore(config.max_points, config.feature_channels)
        self.keyframes = KeyframeSet(config)
        self.epoch_ns: int | None = None
        self.names: dict[int, str] = {}
        """What the labels 1..65535 stand for."""
        self.pages: Pages | None = None
        """The file this memory is attached to (:meth:`open`), where what is not in ``store`` lies."""

    def __len__(self) -> int:
        return len(self.store) + (self.pages.packed_points(self) if self.pages else 0)

    def _milliseconds(self, stamp_ns: int) -> int:
        """Time since the first frame, bounded to what a point can hold (24 days either way)."""
        if self.epoch_ns is None:
            return 0
        return int(np.clip((stamp_ns - self.epoch_ns) // 1_000_000, -(2**31) + 1, 2**31 - 1))

    def integrate(
        self, frame: Frame, *, sensed: bool = True, mask: Bool | None = None,
        label: UInt16 | None = None, features: Float16 | None = None,
    ) -> dict[str, int]:
        """Fold a frame in: carve what it sees through, merge what it shows, keep it if it is news.

        Args:
            frame: measured, or generated (``sensed=False``: lower weight, never alters a measured
                point, does not carve).
            mask: bool [H, W], pixels allowed in; all when None.
            label: uint16 [H, W], what each pixel belongs to; 0 says nothing, any other replaces what the point had.
            features: float16 [H, W, C], C = ``config.feature_channels``, folded into running means.

        Returns:
            Counts: merged, added, replaced, kept, refused (point cap), out_of_reach, carved,
            keyframe (0 or 1).
        """
        c, camera = self.config, frame.camera
        accept = np.ones(frame.depth.shape, bool) if mask is None else mask
        check_array("mask", accept, frame.depth.shape, np.bool_)
        if label is not None:
            check_array("label", label, frame.depth.shape, np.uint16)
        bits = feature_bits("features", features, frame.depth.shape, c.feature_channels)
        if self.epoch_ns is None:
            self.epoch_ns = frame.stamp_ns
        threads, intrinsics, pages = get_num_threads(), intrinsics_of(camera), self.pages
        depth = without_islands(frame.depth, c.island_share) if sensed else frame.depth
        observed = observe(depth, accept, frame.rgb, label, intrinsics, frame.T_world_cam, c, threads)
        carved = self._carve(observed, camera, frame.T_world_cam) if sensed else 0
        counts = fold.fold_heaps(
            self.store, observed.heaps, c.voxel_m, self._milliseconds(frame.stamp_ns), sensed, 1.0 if sensed else INVENTED_WEIGHT,
            c.max_weight, threads, bits, (lambda keys: pages.unpack_blocks(self, keys)) if pages else None,
        )
        # What a sensor saw that is not the place's (things that move) must not be lent from its picture either.
        hidden = ~accept if sensed and not accept.all() else None
        kept = self.keyframes.offer(frame, observed.shown, np.full(observed.shown.shape, sensed), hidden)
        if pages:
            pages.make_room(self)
        return fuse.by_name(counts) | {"carved": carved, "keyframe": int(kept)}

    def _carve(self, observed: Observed, camera: Camera, T_world_cam: Float64) -> int:
        """Remove what a frame sees through; returns the number of points removed."""
        c, T_cam_world = self.config, geometry.inverse(T_world_cam)
        reach = min(float(observed.reach.max()), c.max_range_m)
        if self.pages:
            self.pages.unpack_in_view(self, camera, T_cam_world, reach)
        view = (intrinsics_of(camera), T_cam_world, camera.width, camera.height)
        return carve.carve(self.store.blocks, observed.limit, *view, c.voxel_m, reach, get_num_threads())

    def render(self, camera: Camera, T_world_cam: Float64, stamp_ns: int) -> View:
        """What memory shows at a camera: voxels for geometry, keyframes for detail.

        Raises:
            SpatiaError: on a pose that is not a finite rigid transform.
        """
        check_pose("T_world_cam", T_world_cam)
        view = self._voxels(camera, T_world_cam, self._milliseconds(stamp_ns))
        doubted = self._sharpen(*view, camera, T_world_cam) if len(self.keyframes) else None
        rgb, depth, sensed, age_s = view
        return View(rgb, depth, depth > 0, sensed, age_s, doubted)

    def _sharpen(
        self, rgb: UInt8, depth: Float32, sensed: Float32, age_s: Float32, camera: Camera, T_world_cam: Float64
    ) -> Doubted | None:
        """Sharpen a drawn view, in place, by the keyframes that saw the same surfaces; what is not believed goes elsewhere."""
        c, kept, intrinsics = self.config, self.keyframes, intrinsics_of(camera)
        shared = kept.overlap(depth, camera, T_world_cam)
        asked = kept.measured_grids(kept.rank(shared, T_world_cam)[:WITNESSES])
        deepest = warp.deepest_nearby(depth, max(camera.fx, camera.fy), c.splat_scale * c.voxel_m)
        return sharpen(
            rgb, depth, sensed, age_s, deepest, intrinsics, T_world_cam, kept.drawing(shared, T_world_cam, c.warp_keyframes),
            belief.witnesses(*asked, T_world_cam), c.edge_ratio, c.max_unknown_ray,
        )

    def _voxels(self, camera: Camera, T_world_cam: Float64, now_ms: int) -> tuple[UInt8, Float32, Float32, Float32]:
        c, w, h = self.config, camera.width, camera.height
        if self.pages is None:
            return draw.draw(
                self.store.blocks, geometry.inverse(T_world_cam), intrinsics_of(camera), w, h, c.voxel_m, c.splat_scale,
                self._far_m, now_ms, c.edge_ratio, get_num_threads(),
            )
        buffers, pieces = self._draw(camera, T_world_cam)
        assert pieces is not None
        return splat.close_pinholes(*self.pages.resolve(self, buffers, pieces, w, h, now_ms), c.edge_ratio)

    @property
    def _far_m(self) -> float:
        """How far one sees."""
        return max(self.config.max_range_m * 4.0, 20.0)

    def _draw(self, camera: Camera, T_world_cam: Float64) -> tuple[np.ndarray, Pieces | None]:
        """Packed z-buffers uint64 [threads, H * W] of the voxels in view (see :mod:`.splat`), and what of the file they show."""
        c, w, h = self.config, camera.width, camera.height
        intrinsics, T_cam_world = intrinsics_of(camera), geometry.inverse(T_world_cam)
        blocks, far = self.store.blocks, self._far_m
        visible = visible_blocks(blocks, T_cam_world, intrinsics, w, h, c.voxel_m, far)
        buffers = occlude.splat_unhidden(
            blocks, visible, T_cam_world, intrinsics, w, h, c.voxel_m, c.splat_scale, far, get_num_threads()
        )
        return buffers, self.pages.draw(self, buffers, camera, T_cam_world, far) if self.pages else None

    def _shown(self, camera: Camera, T_world_cam: Float64) -> tuple[UInt16, UInt16]:
        """Label uint16 [H, W] and features uint16 [H, W, C] (bits of float16) of the point each pixel shows, 0 without one."""
        check_pose("T_world_cam", T_world_cam)
        buffers, pieces = self._draw(camera, T_world_cam)
        at, b = splat.winners(buffers), self.store.blocks
        here = (at >= 0) & (at < MAPPED)
        label, features = np.zeros(at.shape, np.uint16), np.zeros((*at.shape, self.config.feature_channels), np.uint16)
        label[here], features[here] = b.label[at[here]], b.features[at[here]]
        if self.pages and pieces:
            self.pages.view.extras(pieces, at, label, features)
        shape = camera.height, camera.width
        return label.reshape(shape), features.reshape(*shape, -1)

    def render_depth(self, camera: Camera, T_world_cam: Float64) -> Float32:
        """Depth of the voxel each pixel shows, float32 [H, W], metres, 0 where there is none: no keyframes are asked.

        Raises:
            SpatiaError: on a pose that is not a finite rigid transform.
        """
        check_pose("T_world_cam", T_world_cam)
        word = self._draw(camera, T_world_cam)[0].min(0).reshape(camera.height, camera.width)
        depth = (word >> np.uint64(32)).astype(np.uint32).view(np.float32)
        return np.where(word == splat.FAR, np.float32(0.0), depth)

    def carve_within(self, keys: Int64, limit: Float32, camera: Camera, T_world_cam: Float64) -> int:
        """Weaken the points of some blocks that lie nearer to the camera than a limit, as seeing through them does.

        Args:
            keys: int64 [K], block keys, sorted. limit: float32 [H, W], depth in metres, 0 = spares everything.

        Returns:
            The number of points removed.
        """
        check_array("limit", limit, (camera.height, camera.width), np.float32)
        intrinsics, T_cam_world = intrinsics_of(camera), geometry.inverse(T_world_cam)
        if self.pages:
            self.pages.unpack_blocks(self, keys)
        blocks, reach = self.store.blocks, min(float(limit.max()), self.config.max_range_m)
        visible = visible_blocks(blocks, T_cam_world, intrinsics, camera.width, camera.height, self.config.voxel_m, reach)
        chosen = visible[np.isin(blocks.key[visible], keys)]
        dead = fuse.weaken_seen_through(blocks, chosen, limit, intrinsics, T_cam_world, 0.0, 0.0)
        return int(fuse.remove_weakened(blocks, chosen, dead))

    def render_labels(self, camera: Camera, T_world_cam: Float64) -> UInt16:
        """Label of the voxel each pixel shows, uint16 [H, W]; 0 where there is no voxel, or it has no label.

        Raises:
            SpatiaError: on a pose that is not a finite rigid transform.
        """
        return self._shown(camera, T_world_cam)[0]

    def render_features(self, camera: Camera, T_world_cam: Float64) -> Float32:
        """Features of the voxel each pixel shows, float32 [H, W, C]; zeros where there is no voxel, or it has none.

        Raises:
            SpatiaError: on a pose that is not a finite rigid transform.
        """
        return self._shown(camera, T_world_cam)[1].view(np.float16).astype(np.float32)

    def retrieve(self, view: View, camera: Camera, T_world_cam: Float64, k: int) -> list[Keyframe]:
        """The ``k`` keyframes whose visible space overlaps a rendered view most (IoU), best first."""
        return self.keyframes.retrieve(view.depth, camera, T_world_cam, k)

    def points(self) -> Points:
        """All points as arrays (a copy).

        Raises:
            SpatiaError: when an attached memory has more of them than may be unpacked (:meth:`chunks` gives them by parts).
        """
        if self.pages:
            self.pages.require_few(self)
            parts = list(self.chunks())
            return Points.joined(parts) if parts else Memory(self.config).points()
        b = self.store.blocks
        at = live_places(b)
        seen_ns = b.seen_ms[at].astype(np.int64) * 1_000_000 + (self.epoch_ns or 0)
        features = b.features[at].view(np.float16) if self.config.feature_channels else None
        rgb, sensed = (b.rgb[at] + 0.5).astype(np.uint8), b.sensed[at].astype(bool)
        return Points(b.xyz[at], rgb, b.weight[at], sensed, seen_ns, b.label[at], features)

    def add_points(self, points: Points) -> None:
        """Merge plain points in, voxel by voxel, each with its own confidence and provenance.

        Raises:
            SpatiaError: on arrays that are not what :class:`Points` says (see :meth:`Points.checked`).
        """
        points, n = points.checked(), len(points.xyz)
        bits = feature_bits("points.features", points.features, (n,), self.config.feature_channels)
        if self.epoch_ns is None and n:
            self.epoch_ns = int(points.last_seen_ns.min())
        key, voxel = fuse.locate_points(read_only(points.xyz), self.config.voxel_m)
        seen_ms = since_ms(points.last_seen_ns, self.epoch_ns or 0)
        self.merge_located(points.xyz, points.rgb, key, voxel, seen_ms, points.sensed, points.confidence, points.label, bits)
        if self.pages:
            self.pages.make_room(self)

    def chunks(self, low: Float64 | None = None, high: Float64 | None = None) -> Iterator[Points]:
        """All points, chunk by chunk (128 voxels a side), copies; memory must not change meanwhile.

        Args:
            low, high: float64 [3], metres: only the chunks that reach into this box.
        """
        for chunk in all_chunks(self, low, high):
            seen_ns = chunk.seen_ms.astype(np.int64) * 1_000_000 + (self.epoch_ns or 0)
            features = chunk.features.view(np.float16) if self.config.feature_channels else None
            rgb = (chunk.rgb + np.float32(0.5)).astype(np.uint8)
            yield Points(chunk.xyz, rgb, chunk.weight, chunk.sensed, seen_ns, chunk.label, features)

    def merge_located(
        self, xyz: Float32, rgb: np.ndarray, key: Int64, voxel: UInt16, seen_ms: np.ndarray, sensed: Bool, weight: Float32,
        label: UInt16, features: UInt16,
    ) -> dict[str, int]:
        """Merge observations whose block key [N] and voxel [N] are known, growing the store as needed.

        See :func:`spatia_ros.memory.fuse.merge` for the arrays (features are the bits of float16); returns the
        counts by name.
        """
        if self.pages:
            self.pages.unpack_blocks(self, key)
        return self.merge_unpacked(xyz, rgb, key, voxel, seen_ms, sensed, weight, label, features)

    def merge_unpacked(
        self, xyz: Float32, rgb: np.ndarray, key: Int64, voxel: UInt16, seen_ms: np.ndarray, sensed: Bool, weight: Float32,
        label: UInt16, features: UInt16,
    ) -> dict[str, int]:
        """:meth:`merge_located` for chunks of which the file, if there is one, is known to hold nothing more."""
        given = [read_only(array) for array in (xyz, rgb, key, voxel, seen_ms, sensed, weight, label, features)]
        counts, at, need = np.zeros(len(fuse.COUNT_NAMES), np.int64), 0, -1
        while need != fuse.DONE:
            at, need = fuse.merge(self.store.blocks, at, *given, self.config.max_weight, counts)
            if need != fuse.DONE:
                self.store.grow(need)
        return fuse.by_name(counts)

    def snapshot(self) -> MemorySnapshot:
        """An independent copy of the state."""
        pages = self.pages.state() if self.pages else None
        return MemorySnapshot(self.store.copy(), self.keyframes.copy(), self.epoch_ns, dict(self.names), pages)

    def restore(self, snapshot: MemorySnapshot) -> None:
        """Go back to a snapshot, which stays usable.

        Raises:
            SpatiaError: when the one is attached to a file that the other is not attached to.
        """
        go_back(self.pages, snapshot.pages)
        self.store, self.keyframes, self.epoch_ns = snapshot.store.copy(), snapshot.keyframes.copy(), snapshot.epoch_ns
        self.names = dict(snapshot.names)

    def save(self, path: Path | str, *, exact: bool = False) -> None:
        """Write to a file, all or nothing; to the quantum (see :mod:`.quantise`), or every number as it is when ``exact``."""
        from spatia_ros.memory import store

        store.save(self, path, exact)

    @staticmethod
    def load(path: Path | str) -> Memory:
        """The memory in a file, all unpacked, independent of it; SpatiaError says what is wrong with a file that is none."""
        from spatia_ros.memory import store

        return store.load(path)

    @staticmethod
    def open(path: Path | str, *, write: bool = True, config: MemoryConfig | None = None) -> Memory:
        """The memory in a file, left there and attached to it: unpacked where something changes, drawn from the file elsewhere.

        Args:
            write: so that :meth:`flush` can be called; one process at a time may.
            config: in place of the stored one; voxel size and feature channels must be the same.

        Raises:
            SpatiaError: saying what is wrong with the file.
        """
        from spatia_ros.memory import store

        return store.attach(path, write=write, config=config)

    def pack(self) -> None:
        """Write what changed to the file this memory is attached to, and unpack nothing until it is asked for.

        Raises:
            SpatiaError: when it is attached to none, or only for looking.
        """
        self._file("pack").pack_all(self)

    def flush(self) -> None:
        """Make everything so far survive a loss of power: written to the file this memory is attached to, and committed.

        Raises:
            SpatiaError: when it is attached to none, or only for looking.
        """
        self._file("flush").flush(self)

    def close(self) -> None:
        """Let go of the file this memory is attached to; what was not flushed is lost, and the memory empty."""
        self._file("close").log.close()
        self.pages = None

    def _file(self, verb: str) -> Pages:
        if self.pages is None:
            raise SpatiaError(f"{verb}: expected a memory attached to a file (Memory.open), got one that is not")
        return self.pages

    def export_ply(self, path: Path | str) -> None:
        """Write the points as a PLY that Open3D, CloudCompare and MeshLab open."""
        from spatia_ros.memory import store

        store.export_ply(self.points(), path)

"""A cloud as plain arrays: what goes into a memory and comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spatia_ros.types import Bool, Float16, Float32, Int64, SpatiaError, UInt8, UInt16, check_array

LEAST_CONFIDENCE = 1e-3
"""A point seen less than this is none, and what is divided by less overflows."""


class Points(NamedTuple):
    """The memory as plain arrays: metres in the world frame, one row a voxel."""

    xyz: Float32  # [N, 3]
    rgb: UInt8  # [N, 3]
    confidence: Float32  # [N], observations in the running mean, at most max_weight
    sensed: Bool  # [N], measured (true) or invented (false)
    last_seen_ns: Int64  # [N]
    label: UInt16  # [N], 0 = none; Memory.names says what the others stand for
    features: Float16 | None = None  # [N, C], zeros where a point has none; None: no point has any

    @classmethod
    def measured(cls, xyz: Float32, rgb: UInt8, stamp_ns: int = 0, label: UInt16 | None = None) -> Points:
        """Points a sensor saw once, at one time: xyz [N, 3] metres, world; rgb [N, 3]; label [N], none when None."""
        n = len(xyz)
        labels = np.zeros(n, np.uint16) if label is None else label
        return cls(xyz, rgb, np.ones(n, np.float32), np.ones(n, bool), np.full(n, stamp_ns, np.int64), labels)

    def checked(self) -> Points:
        """The same, in rows that lie one after another.

        Raises:
            SpatiaError: on arrays of another type or length, NaN or infinity, or a point without weight.
        """
        columns = {"xyz": (np.float32, 3), "rgb": (np.uint8, 3), "confidence": (np.float32, 0), "sensed": (np.bool_, 0),
                   "last_seen_ns": (np.int64, 0), "label": (np.uint16, 0)}  # fmt: skip
        check_array("points.xyz", self.xyz, (None, 3), np.float32)
        n = len(self.xyz)
        for name, (dtype, width) in columns.items():
            check_array(f"points.{name}", getattr(self, name), (n, width) if width else (n,), dtype)
        if not (np.isfinite(self.xyz).all() and np.isfinite(self.confidence).all()):
            raise SpatiaError("points: expected finite numbers, got NaN or infinity")
        if n and self.confidence.min() < LEAST_CONFIDENCE:
            raise SpatiaError(f"points.confidence: expected at least {LEAST_CONFIDENCE:g}, got {self.confidence.min():g}")
        rows = {name: np.ascontiguousarray(getattr(self, name)) for name in columns}
        return Points(**rows, features=self.features)

    def chosen(self, index: Int64) -> Points:
        """The points at these places (or where a mask is true)."""
        columns = {name: getattr(self, name)[index] for name in self._fields[:6]}
        return Points(**columns, features=None if self.features is None else self.features[index])

    @classmethod
    def joined(cls, parts: Sequence[Points]) -> Points:
        """At least one cloud, as one; all with features, or all without."""
        features = None if parts[0].features is None else np.concatenate([p.features for p in parts if p.features is not None])
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls._fields[:6]}
        return cls(**columns, features=features)


def since_ms(stamps_ns: Int64, epoch_ns: int) -> np.ndarray:
    """int32 [N], milliseconds since the epoch, bounded to what a point can hold (24 days either way)."""
    span_ns = (2**31 - 1) * 1_000_000
    low, high = max(epoch_ns - span_ns, -(2**63)), min(epoch_ns + span_ns, 2**63 - 1)
    return ((np.clip(stamps_ns, low, high) - epoch_ns) // 1_000_000).astype(np.int32)


def feature_bits(name: str, features: Float16 | None, shape: tuple[int, ...], channels: int) -> UInt16:
    """The bits uint16 [N, C] of feature vectors float16 [..., C], as the kernels take them; [0, C] for None."""
    if features is None:
        return np.empty((0, channels), np.uint16)
    check_array(name, features, (*shape, channels), np.float16)
    if not np.isfinite(features).all():
        raise SpatiaError(f"{name}: expected finite numbers, got NaN or infinity")
    return np.ascontiguousarray(features).view(np.uint16).reshape(-1, channels)

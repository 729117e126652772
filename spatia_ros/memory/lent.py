"""Arrays of several keyframes handed to one kernel, as addresses: a kernel takes no lists of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from spatia_ros import geometry
from spatia_ros.memory.keyframes import Keyframe, intrinsics_of
from spatia_ros.types import Float64


class Lent(NamedTuple):
    """What K keyframes lend a view. Whoever holds it holds the keyframes, too, or the addresses lead nowhere."""

    surface_m: np.ndarray  # int64 [K], where float32 [H, W] begins
    texels: np.ndarray  # int64 [K], where uint32 [H, W] begins
    size: np.ndarray  # int64 [K, 2], height and width, px
    intrinsics: np.ndarray  # float32 [K, 4], fx fy cx cy, px
    T_key_cam: np.ndarray  # float32 [K, 4, 4]


def lend(keyframes: Sequence[Keyframe], T_world_cam: Float64) -> Lent:
    """The keyframes as a kernel takes them that draws a view at a pose; of arrays that are as they should be, nothing is copied.

    Raises:
        ValueError: on arrays of another type, shape or layout.
    """
    keyframes = [keyframe for keyframe in keyframes if min(keyframe.depth.shape) >= 2]  # between pixels, and so of none alone
    K = len(keyframes)
    lent = Lent(np.empty(K, np.int64), np.empty(K, np.int64), np.empty((K, 2), np.int64), np.empty((K, 4), np.float32),
                np.empty((K, 4, 4), np.float32))  # fmt: skip
    for k, keyframe in enumerate(keyframes):
        h, w = keyframe.depth.shape
        lent.surface_m[k] = _address(keyframe.surface_m, np.float32, (h, w))
        lent.texels[k] = _address(keyframe.texels, np.uint32, (h, w))
        lent.size[k], lent.intrinsics[k] = (h, w), intrinsics_of(keyframe.camera)
        lent.T_key_cam[k] = geometry.inverse(keyframe.T_world_cam) @ T_world_cam
    return lent


def _address(array: np.ndarray, dtype: type, shape: tuple[int, int]) -> int:
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        kind, got = np.dtype(dtype), f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"keyframe: expected {kind} {list(shape)}, row by row, got {got} (strides {array.strides})")
    return int(array.__array_interface__["data"][0])


@intrinsic
def floats_at(_context: Any, address: Any) -> Any:
    """A pointer to the float32 that begin at an address (int64), for ``numba.carray``."""
    return _pointer(types.float32, address)


@intrinsic
def words_at(_context: Any, address: Any) -> Any:
    """A pointer to the uint32 that begin at an address (int64), for ``numba.carray``."""
    return _pointer(types.uint32, address)


def _pointer(kind: Any, address: Any) -> Any:
    def codegen(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], target.get_value_type(signature.return_type))

    return types.CPointer(kind)(address), codegen

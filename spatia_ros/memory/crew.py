"""Threads that share a kernel's work step by step, without being sent home in between.

Sending work to threads and waiting for all of them costs about as much as half a millisecond's work, every time; so a
kernel does it once. Its steps are cut into pieces, and whoever is free claims the next one. A thread that comes late, or
that the system takes away for a while, holds nobody up but with the piece it has in hand; one thread alone does all.

    for each in prange(threads):
        _share(np.int64(each), desk, ...)         # the same for every thread:

    while (piece := claim(desk, STEP, pieces)) >= 0:
        ...                                       # the piece's work
        hand_in(desk, STEP)
    wait_for(desk, STEP, pieces)                  # what the others did is seen from here on
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spatia_ros.kernels import njit

_LINE = 8
"""Counters a line of cache holds: each has one to itself, or threads would hold one another up."""
_PATIENCE = 1 << 10
"""Times a waiting thread looks before it lets others have its processor."""


@intrinsic
def _add_one(_context: Any, counts: Any, index: Any) -> Any:
    """Add 1 to an element of an int64 array, at once for all threads; returns what it was."""

    def codegen(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = target.make_array(signature.args[0])(target, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), ir.IntType(64)(1), "seq_cst")

    return types.int64(counts, index), codegen


@intrinsic
def _now(_context: Any, counts: Any, index: Any) -> Any:
    """An element of an int64 array as it is now; what was written before it was counted up is seen afterwards."""

    def codegen(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = target.make_array(signature.args[0])(target, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "seq_cst", 8)

    return types.int64(counts, index), codegen


@intrinsic
def _step_aside(_context: Any) -> Any:
    """Let another thread have the processor."""

    def codegen(target: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        name = "sched_yield"
        known = builder.module.globals.get(name)
        builder.call(known or ir.Function(builder.module, kind, name), [])
        return target.get_dummy_value()

    return types.void(), codegen


def desk(steps: int) -> np.ndarray:
    """Where so many steps' pieces are claimed and handed in: int64, all 0. One for each call of a kernel."""
    return np.zeros(2 * _LINE * (steps + 1), np.int64)


@njit(cache=True)
def claim(desk: np.ndarray, step: int, pieces: int) -> int:
    """The next of so many pieces of a step that nobody has, or -1."""
    piece = _add_one(desk, 2 * _LINE * step + _LINE)
    return piece if piece < pieces else -1


@njit(cache=True)
def hand_in(desk: np.ndarray, step: int) -> None:
    """Say that a claimed piece is done."""
    _add_one(desk, 2 * _LINE * (step + 1))


@njit(cache=True)
def wait_for(desk: np.ndarray, step: int, pieces: int) -> None:
    """Wait until all pieces of a step are done."""
    looked = 0
    while _now(desk, 2 * _LINE * (step + 1)) < pieces:
        looked += 1
        if looked > _PATIENCE:
            _step_aside()

"""Asking for memory before it is needed: runs of points lie anywhere, and no processor guesses where the next one is."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_BYTE, _INT = ir.IntType(8).as_pointer(), ir.IntType(32)
_READ, _KEEP, _DATA = 0, 3, 1


@intrinsic
def prefetch(_context: Any, array: Any, index: Any) -> Any:
    """Begin to load element ``index`` (int64) of a one-dimensional contiguous array. Never faults, changes nothing."""

    def codegen(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = target.make_array(signature.args[0])(target, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), _BYTE)
        kind = ir.FunctionType(ir.VoidType(), [_BYTE, _INT, _INT, _INT])
        function = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE], kind)
        builder.call(function, [place, _INT(_READ), _INT(_KEEP), _INT(_DATA)])
        return target.get_dummy_value()

    return types.void(array, index), codegen

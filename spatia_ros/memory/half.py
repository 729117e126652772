"""float16 in kernels: numba holds no such arrays on a CPU, so features travel as their bits, uint16."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def from_half(_context: Any, _bits: Any) -> Any:
    """The float32 that the bits (uint16) of a float16 stand for."""

    def codegen(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), codegen


@intrinsic
def to_half(_context: Any, _value: Any) -> Any:
    """The bits (uint16) of the float16 nearest to a float32."""

    def codegen(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), codegen

"""Several numbers changed by one instruction, where the compiler does not see by itself that it could."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

SUMS = 8
"""Numbers summed per heap: x, y, z within the voxel (metres), pixels, red, green, blue, and one of no meaning."""
PIXELS, RED = 3, 4
_BYTE, _INT, _REAL = ir.IntType(8), ir.IntType(32), ir.FloatType()
_EIGHT = ir.VectorType(_REAL, SUMS)


@intrinsic
def add_pixel(_context: Any, sums: Any, at: Any, _known: Any, x: Any, y: Any, z: Any, rgb: Any, byte: Any) -> Any:
    """Add a pixel to ``sums[at : at + SUMS]``, or put it there when they are not known yet (bool).

    Args:
        sums: float32 [N], rows of SUMS. x, y, z: float32. rgb: uint8 [M], of which the colour begins at ``byte``; one more
            byte is read, and summed where nothing is meant.
    """

    def codegen(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums_, at_, known_, x_, y_, z_, rgb_, byte_ = args
        data = target.make_array(signature.args[0])(target, builder, sums_).data
        colours = target.make_array(signature.args[6])(target, builder, rgb_).data
        row = builder.bitcast(builder.gep(data, [at_]), _EIGHT.as_pointer())
        four = builder.bitcast(builder.gep(colours, [byte_]), ir.VectorType(_BYTE, 4).as_pointer())
        colour = builder.uitofp(builder.zext(builder.load(four, align=1), ir.VectorType(_INT, 4)), ir.VectorType(_REAL, 4))
        place = ir.Constant(ir.VectorType(_REAL, 4), [0.0, 0.0, 0.0, 1.0])
        for k, value in enumerate((x_, y_, z_)):
            place = builder.insert_element(place, value, _INT(k))
        order = ir.Constant(ir.VectorType(_INT, SUMS), list(range(SUMS)))
        pixel = builder.shuffle_vector(place, colour, order)
        # By a mask and not by a choice: a choice between vectors would become a branch, and cannot be predicted.
        wide = ir.VectorType(_INT, SUMS)
        mask = builder.insert_element(ir.Constant(wide, ir.Undefined), builder.sext(known_, _INT), _INT(0))
        mask = builder.shuffle_vector(mask, mask, ir.Constant(wide, [0] * SUMS))
        old = builder.bitcast(builder.and_(builder.bitcast(builder.load(row, align=4), wide), mask), _EIGHT)
        builder.store(builder.fadd(old, pixel), row, align=4)
        return target.get_dummy_value()

    return types.void(sums, at, types.boolean, x, y, z, rgb, byte), codegen

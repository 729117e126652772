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
SAMPLE = 4
"""Numbers summed per sampled pixel: red, green, blue, each times its weight, and the weight."""
_LONG, _FOUR = ir.IntType(64), ir.VectorType(_REAL, SAMPLE)


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


def _spread(builder: Any, value: Any, lanes: int = SAMPLE) -> Any:
    """The same number in all lanes."""
    one = builder.insert_element(ir.Constant(ir.VectorType(_REAL, lanes), ir.Undefined), value, _INT(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INT, lanes), [0] * lanes))


def _texel_pair(builder: Any, texels: Any, at: Any) -> Any:
    """Red, green, blue and flags of a texel and of the one to its right, as floats."""
    both = ir.VectorType(_BYTE, 2 * SAMPLE)
    pair = builder.load(builder.bitcast(builder.gep(texels, [at]), both.as_pointer()), align=4)
    return builder.uitofp(builder.zext(pair, ir.VectorType(_INT, 2 * SAMPLE)), ir.VectorType(_REAL, 2 * SAMPLE))


@intrinsic
def add_sample(
    _context: Any, sums: Any, _x: Any, _keep: Any, texels: Any, _at: Any, _line: Any, _right: Any, _down: Any, _weight: Any
) -> Any:
    """Add a weighted bilinear sample to ``sums[SAMPLE * x : SAMPLE * (x + 1)]``, what is there times ``keep`` before.

    Args:
        sums: float32 [SAMPLE * N]. texels: uint32 [M], as in :mod:`.texels`. x, at: int64. line: int64, texels in a row.
        right, down: float32 in 0..1, where the sample lies between texel ``at`` and its neighbours. keep, weight: float32.
    """

    def codegen(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums_, x_, keep_, texels_, at_, line_, right_, down_, weight_ = args
        data = target.make_array(signature.args[0])(target, builder, sums_).data
        look = target.make_array(signature.args[3])(target, builder, texels_).data
        row = builder.bitcast(builder.gep(data, [builder.mul(x_, _LONG(SAMPLE))]), _FOUR.as_pointer())

        def between(a: Any, b: Any, share: Any) -> Any:
            return builder.fadd(a, builder.fmul(share, builder.fsub(b, a)))

        lanes = ir.VectorType(_INT, SAMPLE)

        def half(pair: Any, first: int) -> Any:
            return builder.shuffle_vector(pair, pair, ir.Constant(lanes, [first + k for k in range(SAMPLE)]))

        upper, lower = _texel_pair(builder, look, at_), _texel_pair(builder, look, builder.add(at_, line_))
        pair = between(upper, lower, _spread(builder, down_, 2 * SAMPLE))
        mean = between(half(pair, 0), half(pair, SAMPLE), _spread(builder, right_))
        colour = builder.insert_element(mean, ir.Constant(_REAL, 1.0), _INT(SAMPLE - 1))
        sample = builder.fmul(colour, _spread(builder, weight_))
        old = builder.fmul(builder.load(row, align=4), _spread(builder, keep_))
        builder.store(builder.fadd(old, sample), row, align=4)
        return target.get_dummy_value()

    real = types.float32
    return types.void(sums, types.int64, real, texels, types.int64, types.int64, real, real, real), codegen

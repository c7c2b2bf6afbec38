"""Sixteen raw pixels at a time to electrons, with variance and quality: a step of `kernels.calibrate`.

Vector instructions for the reasons given in `kernels.lanes`: all of a pixel in one go, where loops over rows
go three times through nine arrays, and windows that are parts of wider planes as fast as whole ones.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from sciastro.kernels.lanes import BITS, FLOATS, LANES, Code, number

__all__ = ["calibrate_lanes"]

NAN, INF = float("nan"), float("inf")


def _bits(value):
    return ir.Constant(BITS, [int(value)] * LANES)


def _counts(code, at):
    """Return 16 elements of the first array as float32."""
    kind = code.kinds[0].dtype
    element = code.context.get_value_type(kind)
    size = kind.bitwidth // 8
    raw = code.load(code.start(0), at, vector=ir.VectorType(element, LANES), size=size)
    if isinstance(kind, types.Integer):
        return (code.builder.sitofp if kind.signed else code.builder.uitofp)(raw, FLOATS)
    return raw if kind.bitwidth == 32 else code.builder.fptrunc(raw, FLOATS)


@intrinsic
def calibrate_lanes(
    _, raw, dark, dark_noise, flat, flat_noise, defects, gain, level, constant, saturation, flags, signal,
    with_variance, variance, quality, at,
):  # fmt: skip
    """Calibrate the 16 pixels of a row from `at` on; all arrays are rows without gaps.

    Parameters
    ----------
    raw, dark, dark_noise, flat, flat_noise, defects, gain, saturation, signal, variance, quality
        As in `kernels.calibrate.calibrate_window`; `variance` is written if `with_variance` is true.
    level, constant : float32
        Level of no light [adu], and the noise that does not depend on the light [electron2].
    flags : (uint16, uint16, uint16, uint16)
        Bits of saturated pixels, those without data, of a low flat, and not to be used.
    """
    f32 = types.float32
    sig = types.void(
        raw, dark, dark_noise, flat, flat_noise, defects, f32, f32, f32, f32, flags, signal, types.boolean,
        variance, quality, types.int64,
    )  # fmt: skip

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        gain, level, constant, saturation = (code.spread(arguments[k]) for k in range(6, 10))
        full, no_data, low_flat, unfit = (
            code.spread(builder.extract_value(arguments[10], k)) for k in range(4)
        )
        with_variance, at = arguments[12], arguments[15]
        value, flat = _counts(code, at), code.load(code.start(3), at)
        none, zero = _bits(0), number(0.0)

        def finite(x):  # x - x is 0, else NaN
            return builder.fcmp_ordered("==", builder.fsub(x, x), zero)

        lit = builder.fcmp_ordered(">", flat, zero)
        light = builder.fmul(gain, builder.fsub(value, code.load(code.start(1), at)))
        light = builder.fdiv(light, flat)
        there = builder.and_(finite(light), lit)
        light = builder.select(there, light, number(NAN))
        code.store(light, code.start(11), at)
        bits = [
            code.load(code.start(5), at, 0, BITS, 2),
            builder.select(builder.fcmp_ordered(">=", value, saturation), full, none),
            builder.select(finite(value), none, no_data),
            builder.select(lit, none, builder.or_(low_flat, unfit)),
            builder.select(there, none, unfit),
        ]
        code.store(code.either(bits), code.start(14), at, BITS, 2)
        with builder.if_then(with_variance):
            shot = builder.fmul(gain, builder.fsub(value, level))
            shot = builder.select(builder.fcmp_ordered(">", shot, zero), shot, zero)
            total = builder.fadd(shot, constant)
            square = builder.fmul(gain, gain)
            total = builder.fadd(total, builder.fmul(square, code.load(code.start(2), at)))
            square = builder.fmul(light, light)
            total = builder.fadd(total, builder.fmul(square, code.load(code.start(4), at)))
            inverse = builder.fdiv(number(1.0), flat)
            total = builder.fmul(builder.fmul(total, inverse), inverse)
            code.store(builder.select(there, total, number(NAN)), code.start(13), at)
        return context.get_dummy_value()

    return sig, codegen

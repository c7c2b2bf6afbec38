"""Sixteen pixels some of which touch input that must not be used: steps of `kernels.twopass`.

As `kernels.lanes`, with what is missing left out: a bad input counts as 0, the weight that is used and that
which is dropped are summed beside the values, and a pixel is divided by what it used. All 16 pixels are done
alike, those beside them that miss nothing too: they use a weight of 1, and their numbers do not change.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from sciastro.kernels.lanes import BITS, I64, LANES, TAPS, Code, number

__all__ = ["mend_column", "mend_row"]

_DO_NOT_USE = 1  # bit of core.quality.Quality
_BYTES, _SIGNS = ir.VectorType(ir.IntType(8), LANES), ir.VectorType(ir.IntType(1), LANES)
_NONE = ir.Constant(BITS, [0] * LANES)
INF, NAN = float("inf"), float("nan")


def _all(builder, conditions):
    out = conditions[0]
    for one in conditions[1:]:
        out = builder.and_(out, one)
    return out


@intrinsic
def mend_row(
    _, signal, variance, quality, left, table, a, b, exclude, planes, size, bits, causes, touched, at
):  # fmt: skip
    """Interpolate 16 pixels of a row from what they have; 21 inputs exist, and may be bad.

    Parameters
    ----------
    signal, variance, quality, left, table, a, b, exclude, planes, size, bits
        As in `lanes.filter_row`; sums and extremes leave bad inputs out. Where a pixel touches one, inputs
        without weight do not enter extremes and bits either. Two more planes are written: the sum of the
        weights of good inputs, and of the absolute weights of bad ones; 1 and 0 where none is bad.
    causes : uint16[...]
        Written: OR of the bits of bad inputs that have weight.
    touched : uint8[...]
        Written: 1 where one of the six inputs is bad, else 0.
    """
    i64 = types.int64
    sig = types.void(
        signal, variance, quality, i64, table, i64, i64, types.uint16, planes, i64, bits, causes, touched, i64
    )  # fmt: skip

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        left, a, b, size, at = (arguments[k] for k in (3, 5, 6, 9, 13))
        banned, zero = code.spread(arguments[7]), number(0.0)
        weights, taps = code.weights(code.start(4), a, b), []
        value = noise = good = lost = zero
        why, some_bad = _NONE, ir.Constant(_SIGNS, [0] * LANES)
        for k, w in enumerate(weights):
            s, v = code.load(code.start(0), left, k), code.load(code.start(1), left, k)
            q = code.load(code.start(2), left, k, BITS, 2)
            fine = [builder.fcmp_ordered("==", builder.fsub(x, x), zero) for x in (s, v)]
            fine += [builder.fcmp_ordered(">=", v, zero), builder.not_(code.has(q, banned))]
            fine, weighs = _all(builder, fine), builder.fcmp_unordered("!=", w, zero)
            bad = builder.not_(fine)
            value = builder.fadd(value, builder.fmul(w, builder.select(fine, s, zero)))
            noise = builder.fadd(noise, builder.fmul(builder.fmul(w, w), builder.select(fine, v, zero)))
            good = builder.fadd(good, builder.select(fine, w, zero))
            lost = builder.fadd(lost, builder.select(fine, zero, code.size(w)))
            why = builder.or_(why, builder.select(builder.and_(bad, weighs), q, _NONE))
            some_bad = builder.or_(some_bad, bad)
            taps.append((s, q, fine, weighs))
        lowest, highest, seen = number(INF), number(-INF), _NONE
        for s, q, fine, weighs in taps[1:5]:
            take = builder.and_(fine, builder.or_(weighs, builder.not_(some_bad)))
            lowest = code.least(builder.select(take, s, number(INF)), lowest)
            highest = code.most(builder.select(take, s, number(-INF)), highest)
            seen = builder.or_(seen, builder.select(take, q, _NONE))
        good = builder.select(some_bad, good, number(1.0))
        code.store_planes((value, noise, lowest, highest, good, lost), 8, size, at)
        code.store(seen, code.start(10), at, BITS, 2)
        code.store(why, code.start(11), at, BITS, 2)
        code.store(builder.zext(some_bad, _BYTES), code.start(12), at, _BYTES, 1)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def mend_column(
    _, hs, hv, low, high, used, dropped, bits, causes, touched, first, step, state, cell, cells, table, a, b,
    max_excluded, clamp, clamping, factor, pedestal, offset, out, spread, flags, at, mark,
):  # fmt: skip
    """Interpolate 16 pixels among six rows, some of which `mend_row` wrote.

    Parameters
    ----------
    hs, hv, low, high, bits, first, step, table, a, b, clamp, clamping, factor, pedestal, offset, out, spread
        As in `lanes.filter_column`.
    used, dropped, causes, touched
        From `mend_row`; looked at in rows whose state is not 0.
    state : uint8[row, cells]
        Whether these 16 pixels of an interpolated row touch bad input; `cell` is the place of the first.
    cells : int
        From one row to the next.
    max_excluded : float32
        Largest share of absolute weight that may be missing.
    flags
        As in `lanes.filter_column`; the causes and DO_NOT_USE where too much is missing, and the value NaN.
    mark : uint8[16]
        Written: 1 where weight is missing.
    """
    i64, f32 = types.int64, types.float32
    sig = types.void(
        hs, hv, low, high, used, dropped, bits, causes, touched, i64, i64, state, i64, i64, table, i64, i64,
        f32, f32, types.boolean, f32, f32, f32, out, spread, flags, i64, mark,
    )  # fmt: skip

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        first, step, cell, cells, a, b, most, clamp, clamping, factor, pedestal, offset, at = (
            arguments[k] for k in (9, 10, 12, 13, 15, 16, 17, 18, 19, 20, 21, 22, 26)
        )
        zero, one, unmarked = number(0.0), number(1.0), ir.Constant(_SIGNS, [0] * LANES)
        rows = [builder.add(first, builder.mul(step, ir.Constant(I64, k))) for k in range(TAPS)]
        weights = code.weights(code.start(14), a, b)
        value = code.total(weights, [code.load(code.start(0), row) for row in rows])
        noise = code.total(code.squared(weights), [code.load(code.start(1), row) for row in rows])
        good, lost, why, marked = zero, zero, _NONE, unmarked
        for k, (w, row) in enumerate(zip(weights, rows, strict=True)):
            place = builder.add(cell, builder.mul(cells, ir.Constant(I64, k)))
            dirty = builder.load(builder.gep(code.start(11), [place]))
            dirty = builder.icmp_unsigned("!=", dirty, ir.Constant(dirty.type, 0))
            beside = code.load(code.start(8), row, 0, _BYTES, 1)
            beside = builder.icmp_unsigned("!=", beside, ir.Constant(_BYTES, [0] * LANES))
            beside = builder.select(dirty, beside, unmarked)
            weight = builder.fmul(w, builder.select(dirty, code.load(code.start(4), row), one))
            less = builder.fmul(code.size(w), builder.select(dirty, code.load(code.start(5), row), zero))
            good, lost = builder.fadd(good, weight), builder.fadd(lost, less)
            carries = builder.and_(beside, builder.fcmp_unordered("!=", w, zero))
            cause = builder.select(carries, code.load(code.start(7), row, 0, BITS, 2), _NONE)
            why, marked = builder.or_(why, cause), builder.or_(marked, beside)
        marked = builder.and_(marked, builder.fcmp_unordered("!=", lost, zero))
        allowed = builder.fmul(code.spread(most), builder.fadd(code.size(good), lost))
        fine = _all(
            builder,
            [builder.fcmp_ordered("<=", lost, allowed), builder.fcmp_unordered(">", good, zero)],
        )
        gone = builder.and_(marked, builder.not_(fine))
        value = builder.select(marked, builder.fdiv(value, good), value)
        noise = builder.select(marked, builder.fdiv(noise, builder.fmul(good, good)), noise)
        value, noise = (builder.select(gone, number(NAN), x) for x in (value, noise))
        seen = code.either([code.load(code.start(6), row, 0, BITS, 2) for row in rows[1:5]])
        value = code.lifted(value, noise, seen, 2, 3, rows[1:5], clamp, clamping)
        code.write(value, noise, factor, pedestal, offset, 23, 24, at)
        unfit = builder.or_(why, ir.Constant(BITS, [_DO_NOT_USE] * LANES))
        code.store(builder.select(gone, unfit, seen), code.start(25), at, BITS, 2)
        code.store(builder.zext(marked, _BYTES), code.start(27), ir.Constant(I64, 0), _BYTES, 1)
        return context.get_dummy_value()

    return sig, codegen

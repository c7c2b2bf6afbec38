"""Pixels in which nothing can be rejected: found and averaged without sorting their samples.

Clipping never rejects a sample within `low` / `high` sigma of the median by the noise that the variances
state (`kernels.reduce`). Whether the highest sample is that near can be told without the median: it is where
more than half of the samples are no lower than the highest less `high` sigma, because the median then is not
lower either; likewise for the lowest. Two looks at the samples thus settle nine pixels in ten, which are
averaged on the way; the others are sorted. A pixel that is called calm is one that the sorted samples would
call so (SLACK covers rounding); one that is not called calm may still be.

Sums are of differences from the first sample. A pixel whose first sample is far from the others is not calm.
Sixteen pixels that miss no sample take a third of the instructions: sums are made as if nothing was missing,
and again, sample by sample, where they tell that something is (they are not finite, or a variance is not
positive). The numbers are the same.
Vector instructions for the reasons given in `kernels.lanes`: sums of sixteen pixels stay in registers.
"""

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from sciastro.kernels.lanes import BITS, I64, LANES, Code, number

__all__ = ["average_calm"]

SLACK = 1e-6  # of the values and limits that are compared: rounding of float32 sums
AHEAD = 128  # pixels
INF = float("inf")


class _Samples:
    """Loops over the frames of sixteen pixels; sums live in variables that become registers."""

    def __init__(self, code, frames, stride, shared, at):
        self.code, self.builder = code, code.builder
        self.frames, self.stride, self.shared, self.at = frames, stride, shared, at
        self.parts = self.builder.select(shared, code.start(3), code.start(1))

    def sums(self, *first):
        """Return variables of 16 numbers that begin at `first`."""
        return [cgutils.alloca_once_value(self.builder, number(value)) for value in first]

    def each(self, use, *, ahead=False):
        """Call ``use(present, value, variance, weight)`` for each frame."""
        builder, code = self.builder, self.code
        with cgutils.for_range(builder, self.frames) as loop:
            index = self._index(loop, ahead)
            x, v = code.load(code.start(0), index), code.load(code.start(1), index)
            part = code.load(self.parts, index)
            part = builder.select(code.spread(self.shared), part, number(1.0))
            w = builder.fmul(code.spread(self._weight(loop)), part)
            finite = builder.fcmp_ordered("==", builder.fsub(x, x), number(0.0))
            present = builder.and_(finite, builder.fcmp_ordered(">", v, number(0.0)))
            present = builder.and_(present, builder.fcmp_ordered(">", w, number(0.0)))
            use(present, x, v, w)

    def each_whole(self, use, *, ahead=False):
        """Call ``use(value, variance, weight)`` for each frame, as if no sample was missing."""
        code = self.code
        with cgutils.for_range(self.builder, self.frames) as loop:
            index = self._index(loop, ahead)
            use(code.load(code.start(0), index), code.load(code.start(1), index), self._weight(loop))

    def _index(self, loop, ahead):
        builder, code = self.builder, self.code
        index = builder.add(builder.mul(loop.index, self.stride), self.at)
        if ahead:
            for k in (0, 1):
                code.fetch(code.start(k), builder.add(index, ir.Constant(I64, AHEAD)))
        return index

    def _weight(self, loop):
        return self.builder.load(self.builder.gep(self.code.start(2), [loop.index]))

    def more(self, variable, value):
        """Add `value`."""
        self.builder.store(self.builder.fadd(self.builder.load(variable), value), variable)

    def add(self, variable, present, value):
        """Add `value` where the sample is present."""
        more = self.builder.select(present, value, number(0.0))
        self.builder.store(self.builder.fadd(self.builder.load(variable), more), variable)


@dataclass(frozen=True)
class _Sums:
    """Variables of sixteen sums each, in the order of `_sum_present`, and whether they hold already."""

    sums: list[Any]
    told: Any


def _sum_whole(samples, shared):
    """Sum the samples of 16 pixels as if none was missing, and tell if so."""
    code, builder, true = samples.code, samples.builder, ir.Constant(ir.IntType(1), 1)
    sums = samples.sums(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, INF, -INF)
    count, precision, total, norm, square, noise, origin, least, most = sums
    told = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(1), 0))
    some = builder.icmp_signed(">", samples.frames, ir.Constant(I64, 0))
    with builder.if_then(builder.and_(some, builder.not_(shared)), likely=True):
        first, (smallest,) = code.load(code.start(0), samples.at), samples.sums(INF)
        weighs = cgutils.alloca_once_value(builder, true)
        scalars = [cgutils.alloca_once_value(builder, ir.Constant(ir.FloatType(), 0.0)) for _ in range(2)]

        def enter(x, v, w):
            positive = builder.fcmp_ordered(">", w, ir.Constant(w.type, 0.0))
            builder.store(builder.and_(builder.load(weighs), positive), weighs)
            squared = builder.fmul(w, w)
            samples.more(scalars[0], w)
            samples.more(scalars[1], squared)
            for variable, choose, value in (
                (least, code.least, x), (most, code.most, x), (smallest, code.least, v)
            ):  # fmt: skip
                builder.store(choose(value, builder.load(variable)), variable)
            samples.more(precision, builder.fdiv(number(1.0), v))
            samples.more(total, builder.fmul(code.spread(w), builder.fsub(x, first)))
            samples.more(noise, builder.fmul(code.spread(squared), v))

        samples.each_whole(enter, ahead=True)
        fine = builder.fcmp_ordered(">", builder.load(smallest), number(0.0))
        for variable in (total, noise):  # x - x is 0 for finite numbers, else NaN
            value = builder.load(variable)
            finite = builder.fcmp_ordered("==", builder.fsub(value, value), number(0.0))
            fine = builder.and_(fine, finite)
        bits = builder.bitcast(fine, ir.IntType(LANES))
        every = builder.icmp_unsigned("==", bits, ir.Constant(bits.type, (1 << LANES) - 1))
        builder.store(builder.and_(every, builder.load(weighs)), told)
        builder.store(code.spread(builder.sitofp(samples.frames, ir.FloatType())), count)
        builder.store(first, origin)
        for variable, scalar in ((norm, scalars[0]), (square, scalars[1])):
            builder.store(code.spread(builder.load(scalar)), variable)
    return _Sums(sums, told)


def _sum_present(samples, sums):
    """Sum those samples of 16 pixels that are not missing."""
    code, builder = samples.code, samples.builder
    count, precision, total, norm, square, noise, origin, least, most = sums
    for variable, value in zip(sums, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, INF, -INF), strict=True):
        builder.store(number(value), variable)

    def enter(there, x, v, w):
        first = builder.and_(there, builder.fcmp_ordered("==", builder.load(count), number(0.0)))
        builder.store(builder.select(first, x, builder.load(origin)), origin)
        for variable, choose, none in ((least, code.least, INF), (most, code.most, -INF)):
            value = builder.select(there, x, number(none))
            builder.store(choose(value, builder.load(variable)), variable)
        squared = builder.fmul(w, w)
        for variable, value in (
            (count, number(1.0)), (precision, builder.fdiv(number(1.0), v)), (norm, w), (square, squared),
            (total, builder.fmul(w, builder.fsub(x, builder.load(origin)))),
            (noise, builder.fmul(squared, v)),
        ):  # fmt: skip
            samples.add(variable, there, value)

    samples.each(enter, ahead=True)


@intrinsic
def average_calm(
    _, values, variance, weight, share, shared, frames, stride, low, high, out, out_variance, coverage,
    present, at,
):  # fmt: skip
    """Average all samples of 16 pixels; return which pixels may hold one to be rejected, as bits of a number.

    Parameters
    ----------
    values, variance : float32[frame, pixel]
        Missing where the value is not finite or the variance not positive.
    weight : float32[frame]
        0 is missing.
    share : float32[frame, pixel]
        Factor of the weight of a sample, 0 is missing; looked at if `shared` is true.
    shared : bool
    frames, stride : int
        Number of frames and of pixels.
    low, high : float32
        Sigma about the median within which nothing is rejected.
    out, out_variance, coverage : float32[pixel]
    present : uint16[pixel]
        Written from `at` on, as by `kernels.reduce.combine`.
    """
    i64, f32 = types.int64, types.float32
    sig = i64(
        values, variance, weight, share, types.boolean, i64, i64, f32, f32, out, out_variance, coverage,
        present, i64,
    )  # fmt: skip

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        shared, frames, stride, low, high, at = (arguments[k] for k in (4, 5, 6, 7, 8, 13))
        samples, zero, one = _Samples(code, frames, stride, shared, at), number(0.0), number(1.0)
        whole = _sum_whole(samples, shared)
        with builder.if_then(builder.not_(builder.load(whole.told)), likely=False):
            _sum_present(samples, whole.sums)
        count, precision, total, norm, square, noise, origin, least, most = (
            builder.load(one) for one in whole.sums
        )
        mean = builder.fadd(origin, builder.fdiv(total, norm))  # 0 / 0 is NaN: no sample
        weights = builder.fmul(norm, norm)
        some = builder.fcmp_ordered(">", square, zero)
        effective = builder.select(some, builder.fdiv(weights, square), zero)
        for result, k in ((mean, 9), (builder.fdiv(noise, weights), 10), (effective, 11)):
            code.store(result, code.start(k), at)
        code.store(builder.fptoui(count, BITS), code.start(12), at, BITS, 2)

        floor = code.root(builder.fdiv(count, precision))
        low, high = code.spread(low), code.spread(high)
        scale = builder.fadd(code.size(least), code.size(most))
        scale = builder.fadd(scale, builder.fmul(builder.fadd(low, high), floor))
        slack = builder.fmul(scale, number(SLACK))
        lowest = builder.fadd(builder.fsub(most, builder.fmul(high, floor)), slack)
        highest = builder.fsub(builder.fadd(least, builder.fmul(low, floor)), slack)
        near_highest, near_lowest = samples.sums(0.0, 0.0)

        def compare(there, x, _v, _w):
            near = builder.and_(there, builder.fcmp_ordered(">=", x, lowest))
            samples.add(near_highest, near, one)
            near = builder.and_(there, builder.fcmp_ordered("<=", x, highest))
            samples.add(near_lowest, near, one)

        def compare_whole(x, _v, _w):
            samples.add(near_highest, builder.fcmp_ordered(">=", x, lowest), one)
            samples.add(near_lowest, builder.fcmp_ordered("<=", x, highest), one)

        with builder.if_else(builder.load(whole.told), likely=True) as (then, otherwise):
            with then:
                samples.each_whole(compare_whole)
            with otherwise:
                samples.each(compare)
        half = builder.fmul(count, number(0.5))
        calm = builder.and_(
            builder.fcmp_ordered(">", builder.load(near_highest), half),
            builder.fcmp_ordered(">", builder.load(near_lowest), half),
        )
        few = builder.fcmp_ordered("<", count, number(3.0))  # two samples cannot tell which is wrong
        doubtful = builder.bitcast(builder.not_(builder.or_(calm, few)), ir.IntType(LANES))
        return builder.zext(doubtful, I64)

    return sig, codegen

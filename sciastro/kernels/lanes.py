"""Sixteen pixels at a time: the inner steps of `kernels.twopass`, written as vector instructions.

The compiler vectorizes loops over hundreds of pixels well, but not these: sixteen pixels with weights of
their own, many arrays of which it must prove first that they do not overlap. Here the operations are given
as LLVM vector instructions of 16 lanes, which become two of 8 or four of 4 where the machine has no wider
ones. Products and sums are separate and in the order written (no fused multiply-add, no fastmath), so that
every machine gives the same numbers, and those of the loops that do the pixels left over.

Nothing here checks bounds: callers make sure that all 16 pixels (and the 5 inputs beyond) exist.
Pixels are counted from the start of flat or one-dimensional contiguous arrays.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = [
    "BITS",
    "FLOATS",
    "I64",
    "LANES",
    "TAPS",
    "Code",
    "add_sums",
    "bits_of_frames",
    "filter_column",
    "filter_row",
    "number",
]

LANES, TAPS = 16, 6
AHEAD = 256  # pixels that are fetched before they are wanted
_SATURATED = 2  # bit of core.quality.Quality

_F32, _I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FLOATS, BITS = ir.VectorType(_F32, LANES), ir.VectorType(ir.IntType(16), LANES)
_EIGHT = ir.VectorType(_F32, 8)
_RAMP = ir.Constant(FLOATS, [k / LANES for k in range(LANES)])


def number(value):
    """Return the constant `value` in every lane."""
    return ir.Constant(FLOATS, [value] * LANES)


class Code:
    """Instructions on 16 lanes, appended to a function that is being compiled."""

    def __init__(self, context, builder, kinds, values):
        self.context, self.builder = context, builder
        self.kinds, self.values = kinds, values

    def start(self, k):
        """Return the address of the first element of the array that is argument `k`."""
        kind = self.kinds[k]
        return self.context.make_array(kind)(self.context, self.builder, self.values[k]).data

    def _address(self, start, index, vector):
        return self.builder.bitcast(self.builder.gep(start, [index]), vector.as_pointer())

    def load(self, start, index, step=0, vector=FLOATS, size=4):
        """Return the elements from `index` + `step` on."""
        at = self.builder.add(index, ir.Constant(I64, step)) if step else index
        return self.builder.load(self._address(start, at, vector), align=size)

    def store(self, value, start, index, vector=FLOATS, size=4):
        """Write 16 elements from `index` on."""
        self.builder.store(value, self._address(start, index, vector), align=size)

    def store_planes(self, results, k, size, at):
        """Write vectors from `at` on, each `size` elements after the one before, into argument `k`."""
        for result in results:
            self.store(result, self.start(k), at)
            at = self.builder.add(at, size)

    def spread(self, value):
        """Return a number in every lane."""
        vector = ir.VectorType(value.type, LANES)
        one = self.builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
        return self._shuffle(one, 0)

    def _shuffle(self, vector, lane):
        mask = ir.Constant(ir.VectorType(_I32, LANES), [lane] * LANES)
        return self.builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def weights(self, table, a, b):
        """Return six vectors of weights that go from phase `a` to phase `b` in 16 pixels."""
        first, last = (
            self.load(table, self.builder.mul(phase, ir.Constant(I64, 8)), vector=_EIGHT) for phase in (a, b)
        )
        change = self.builder.fsub(last, first)
        return [
            self.builder.fadd(self._shuffle(first, k), self.builder.fmul(self._shuffle(change, k), _RAMP))
            for k in range(TAPS)
        ]

    def total(self, weights, inputs):
        """Return the sum of products, from the first to the last."""
        out = self.builder.fmul(weights[0], inputs[0])
        for w, x in zip(weights[1:], inputs[1:], strict=True):
            out = self.builder.fadd(out, self.builder.fmul(w, x))
        return out

    def squared(self, vectors):
        """Return the squares."""
        return [self.builder.fmul(one, one) for one in vectors]

    def least(self, a, b):
        """Return the smaller numbers, `b` where that cannot be told."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def most(self, a, b):
        """Return the larger numbers, `b` where that cannot be told."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def extreme(self, choose, inputs):
        """Return the least or most of four vectors."""
        return choose(choose(inputs[0], inputs[1]), choose(inputs[2], inputs[3]))

    def root(self, vector):
        """Return square roots."""
        kind = ir.FunctionType(FLOATS, [FLOATS])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.sqrt.v{LANES}f32")
        return self.builder.call(function, [vector])

    def size(self, vector):
        """Return absolute values."""
        zero = ir.Constant(FLOATS, [0.0] * LANES)
        return self.builder.select(
            self.builder.fcmp_ordered("<", vector, zero), self.builder.fsub(zero, vector), vector
        )

    def fetch(self, start, index):
        """Ask the machine for the element `index`, which will be wanted soon and need not exist."""
        address = self.builder.bitcast(self.builder.gep(start, [index]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        self.builder.call(function, [address, *(ir.Constant(_I32, k) for k in (0, 2, 1))])

    def lifted(self, value, noise, bits, low, high, rows, clamp, clamping):
        """Return values lifted to the lowest of the inputs less the tolerance; see `filter_column`."""
        builder = self.builder
        lowest = self.extreme(self.least, [self.load(self.start(low), row) for row in rows])
        highest = self.extreme(self.most, [self.load(self.start(high), row) for row in rows])
        full = self.has(bits, ir.Constant(BITS, [_SATURATED] * LANES))
        allowed = builder.select(full, number(0.0), self.spread(clamp))
        tolerance = builder.fmul(allowed, builder.fsub(highest, lowest))
        floor = builder.fsub(builder.fsub(lowest, tolerance), self.root(noise))
        lift = builder.and_(builder.fcmp_ordered("<", value, floor), self.spread(clamping))
        return builder.select(lift, floor, value)

    def write(self, value, noise, factor, pedestal, offset, out, spread, at):
        """Store ``(value - pedestal) * factor + offset`` and the variance in arguments `out` and `spread`."""
        builder, factor = self.builder, self.spread(factor)
        value = builder.fmul(builder.fsub(value, self.spread(pedestal)), factor)
        self.store(builder.fadd(value, self.spread(offset)), self.start(out), at)
        self.store(builder.fmul(builder.fmul(noise, factor), factor), self.start(spread), at)

    def either(self, vectors):
        """Return the OR of bits."""
        out = vectors[0]
        for one in vectors[1:]:
            out = self.builder.or_(out, one)
        return out

    def has(self, bits, some):
        """Return which lanes have one of the bits `some`."""
        none = ir.Constant(BITS, [0] * LANES)
        return self.builder.icmp_unsigned("!=", self.builder.and_(bits, some), none)


@intrinsic
def filter_row(_, signal, variance, quality, left, table, a, b, exclude, planes, size, bits, at):
    """Interpolate 16 pixels of a row; return whether one of their 21 inputs must not be used.

    Parameters
    ----------
    signal, variance : float32[...]
    quality : uint16[...]
        Input pixels.
    left : int
        First input of the first pixel.
    table : float32[PHASES * 8]
        Six weights by phase, and two zeros.
    a, b : int
        Phase at the first pixel, and that reached after the last one.
    exclude : uint16
        Bits of pixels that must not be used; nor must those that are not finite, or of negative variance.
    planes : float32[...]
    size : int
        Written from `at` on: value; and each `size` further on: variance, lowest and highest of the central
        four inputs.
    bits : uint16[...]
        Written: OR of the bits of the central four.
    """
    i64 = types.int64
    sig = types.boolean(signal, variance, quality, i64, table, i64, i64, types.uint16, planes, i64, bits, i64)

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        left, a, b, exclude, size, at = (arguments[k] for k in (3, 5, 6, 7, 9, 11))
        weights = code.weights(code.start(4), a, b)
        values = [code.load(code.start(0), left, k) for k in range(TAPS)]
        noises = [code.load(code.start(1), left, k) for k in range(TAPS)]
        flags = [code.load(code.start(2), left, k, BITS, 2) for k in range(TAPS)]
        value, noise = code.total(weights, values), code.total(code.squared(weights), noises)
        lowest, highest = (code.extreme(choose, values[1:5]) for choose in (code.least, code.most))
        code.store_planes((value, noise, lowest, highest), 8, size, at)
        code.store(code.either(flags[1:5]), code.start(10), at, BITS, 2)
        zero = ir.Constant(FLOATS, [0.0] * LANES)
        # x - x is 0 for finite numbers, else NaN; one input that is not finite makes the sum so too.
        fine = [builder.fcmp_ordered("==", builder.fsub(x, x), zero) for x in (value, noise)]
        fine += [builder.fcmp_ordered(">=", noises[k], zero) for k in (0, TAPS - 1)]
        for one in fine[1:]:
            fine[0] = builder.and_(fine[0], one)
        banned = code.has(code.either([flags[0], flags[-1]]), code.spread(exclude))
        bad = builder.bitcast(builder.or_(builder.not_(fine[0]), banned), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bad, ir.Constant(bad.type, 0))

    return sig, codegen


@intrinsic
def filter_column(
    _, hs, hv, low, high, bits, first, step, table, a, b, clamp, clamping, factor, pedestal, offset, out,
    spread, flags, at,
):  # fmt: skip
    """Interpolate 16 pixels among the six rows above each other, clamp, and write them.

    Parameters
    ----------
    hs, hv, low, high : float32[...]
    bits : uint16[...]
        Rows from `filter_row`; the uppermost of the six begins at `first`, the next `step` further on.
    table, a, b
        As in `filter_row`.
    clamp, clamping
        Undershoot allowed below the lowest of the central 4 x 4 inputs, and whether it is bounded. Where one
        of them is saturated none is.
    factor, pedestal, offset : float32
        ``out = (in - pedestal) * factor + offset``.
    out, spread : float32[n]
        Written from `at` on: value and variance.
    flags : uint16[n]
        Written: OR of the bits of the central four rows.
    """
    i64, f32 = types.int64, types.float32
    sig = types.void(
        hs, hv, low, high, bits, i64, i64, table, i64, i64, f32, types.boolean, f32, f32, f32, out, spread,
        flags, i64,
    )  # fmt: skip

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        first, step, a, b, clamp, clamping, factor, pedestal, offset, at = (
            arguments[k] for k in (5, 6, 8, 9, 10, 11, 12, 13, 14, 18)
        )
        rows = [builder.add(first, builder.mul(step, ir.Constant(I64, k))) for k in range(TAPS)]
        weights = code.weights(code.start(7), a, b)
        value = code.total(weights, [code.load(code.start(0), row) for row in rows])
        noise = code.total(code.squared(weights), [code.load(code.start(1), row) for row in rows])
        seen = code.either([code.load(code.start(4), row, 0, BITS, 2) for row in rows[1:5]])
        value = code.lifted(value, noise, seen, 2, 3, rows[1:5], clamp, clamping)
        code.write(value, noise, factor, pedestal, offset, 15, 16, at)
        code.store(seen, code.start(17), at, BITS, 2)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def add_sums(_, variance, x, spread, at, scale, factor, under, over, sums_at):
    """Add to `under` the input variance times ``scale * factor``, to `over` the output variance; 16 pixels.

    Parameters
    ----------
    variance : float32[w]
        Of the input row, from `x` on.
    spread : float32[n]
        Of the output row, from `at` on.
    under, over : float32[...]
        Added to, from `sums_at` on.
    """
    i64, f32 = types.int64, types.float32
    sig = types.void(variance, i64, spread, i64, f32, f32, under, over, i64)

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        x, at, scale, factor, sums_at = (arguments[k] for k in (1, 3, 4, 5, 8))
        gain = code.spread(builder.fmul(scale, factor))
        below, above = builder.fmul(gain, code.load(code.start(0), x)), code.load(code.start(2), at)
        for k, more in ((6, below), (7, above)):
            code.store(builder.fadd(code.load(code.start(k), sums_at), more), code.start(k), sums_at)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def bits_of_frames(_, quality, weight, frames, stride, first, some, every, at):
    """Write the OR and the AND of the bits of 32 pixels over all frames whose weight is above 0.

    Parameters
    ----------
    quality : uint16[frame, ...]
    weight : float32[frame]
    frames, stride : int
        Number of frames, and pixels from one to the next.
    first : int
        Where the pixels begin in the first frame.
    some, every : uint16[n]
        Written from `at` on: OR and AND.
    """
    i64 = types.int64
    sig = types.void(quality, weight, i64, i64, i64, some, every, i64)

    def codegen(context, builder, signature, arguments):
        code = Code(context, builder, signature.args, arguments)
        frames, stride, first, at = (arguments[k] for k in (2, 3, 4, 7))
        both = ir.VectorType(ir.IntType(16), 2 * LANES)
        none, full = (ir.Constant(both, [value] * 2 * LANES) for value in (0, 0xFFFF))
        carried, shared = (cgutils.alloca_once(builder, both) for _ in range(2))
        builder.store(none, carried)
        builder.store(full, shared)
        with cgutils.for_range(builder, frames) as loop:
            index = builder.add(builder.mul(loop.index, stride), first)
            code.fetch(code.start(0), builder.add(index, ir.Constant(I64, AHEAD)))
            there = builder.load(builder.gep(code.start(1), [loop.index]))
            there = builder.fcmp_ordered(">", there, ir.Constant(there.type, 0.0))
            bits = code.load(code.start(0), index, 0, both, 2)
            builder.store(builder.or_(builder.load(carried), builder.select(there, bits, none)), carried)
            builder.store(builder.and_(builder.load(shared), builder.select(there, bits, full)), shared)
        code.store(builder.load(carried), code.start(5), at, both, 2)
        code.store(builder.load(shared), code.start(6), at, both, 2)
        return context.get_dummy_value()

    return sig, codegen

"""Quality bits of a stack from the bits of its frames, by share of weight; what became of every sample."""

import numpy as np
from numba import njit

from sciastro.kernels.samples import (
    LOW,
)

__all__ = ["consensus"]

F0, F1 = np.float32(0.0), np.float32(1.0)
SPAN = 512  # pixels of a row whose missing samples are looked up frame by frame


@njit(nogil=True, cache=True, error_model="numpy")
def consensus(
    values,
    variance,
    quality,
    weight,
    share,
    marks,
    present,
    rim,
    flag_share,
    rejected_low,
    rejected_high,
    outlier_share,
    outlier,
    missing,
    groups,
    out,
    counts,
    causes,
):
    """Write the quality bits that a large enough share of the frames carries, and count lost samples.

    Parameters
    ----------
    values, variance : float32[frame, y, x]
        Samples; missing as in `kernels.reduce.combine`.
    quality : uint16[frame, y, x]
        Bits of each sample.
    weight : float32[frame]
        Frame weights; 0 is missing.
    share : float32[frame, y, x]
        Factor of the weight of a sample, 0 is missing; shape (0, 0, 0): 1 everywhere.
    marks : uint8[frame, y, x]
        `LOW` or `HIGH` of rejected samples.
    present : uint16[y, x]
        Samples that are not missing, from the kernel that combined them.
    rim : int
        Pixels at the border that are left out (of `out`, `counts` and `causes` too).
    flag_share : float
        A bit is set where frames with more than this share of the weight of the present samples carry it.
    rejected_low, rejected_high : uint16[y, x]
        Samples rejected; `outlier` is set where they are more than `outlier_share` of the present ones.
    outlier_share : float
    outlier, missing : uint16
        Bits to set; `missing` (and the OR of all frames) where no sample is present.
    groups : uint16[cause]
        Bits by which a missing sample is counted: the first group that it carries a bit of.
    out : uint16[y, x]
        Written.
    counts : int64[frame, 3 + cause]
        Added to: samples rejected below and above the center, then missing by group and by none.
    causes : uint16[1 + cause, y, x] or uint16[0, 0, 0]
        Added to: missing samples by group and by none.
    """
    n, rows, columns = values.shape
    any_bits, all_bits, used = np.empty(columns, np.uint16), np.empty(columns, np.uint16), 0
    places, carried = np.empty(SPAN, np.int64), np.empty(16, np.float32)
    for i in range(n):
        used += 1 if weight[i] > F0 else 0
    for y in range(rim, rows - rim):
        any_bits[:], all_bits[:] = 0, 0xFFFF
        for i in range(n):
            if weight[i] > F0:
                row = quality[i, y]
                for x in range(columns):  # the one pass over all samples; what follows is for few pixels
                    any_bits[x] |= row[x]
                    all_bits[x] &= row[x]
        for start in range(rim, columns - rim, SPAN):
            number = 0
            for x in range(start, min(start + SPAN, columns - rim)):
                places[number] = x
                number += 1 if present[y, x] < used else 0
            if number > 0:
                some = places[:number]
                _lost(values, variance, quality, weight, share, y, some, rim, groups, counts, causes)
        for x in range(rim, columns - rim):
            there, lost, bits = present[y, x], rejected_low[y, x] + rejected_high[y, x], np.uint16(0)
            if lost > 0:
                for i in range(n):
                    mark = marks[i, y, x]
                    if mark:
                        counts[i, 0 if mark == LOW else 1] += 1
            if there == 0:
                bits = any_bits[x] | missing
            else:
                bits = all_bits[x] if flag_share < F1 else np.uint16(0)
                some = any_bits[x] & ~bits
                if some:
                    bits |= _shared(values, variance, quality, weight, share, y, x, some, flag_share, carried)
                if lost > outlier_share * there:
                    bits |= outlier
            out[y - rim, x - rim] = bits


@njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True)
def _lost(values, variance, quality, weight, share, y, places, rim, groups, counts, causes):
    """Count the missing samples of some pixels of a row by what they carry.

    Frame by frame: a frame that does not reach a row misses it pixel after pixel.
    """
    for i in range(values.shape[0]):
        if not weight[i] > F0:
            continue
        value, noise, flags = values[i, y], variance[i, y], quality[i, y]  # a call per sample costs 20 ns
        part = share[i, y] if share.size > 0 else noise
        for x in places:
            if (abs(value[x]) < np.inf) & (noise[x] > F0) & (part[x] > F0):
                continue
            cause, bits = 0, flags[x]
            while cause < groups.size and not bits & groups[cause]:
                cause += 1
            counts[i, 2 + cause] += 1
            if causes.size > 0:
                causes[cause, y - rim, x - rim] += 1


@njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True)
def _shared(values, variance, quality, weight, share, y, x, candidates, flag_share, carried):
    """Return the bits that more than a share of the weight of the present samples carries.

    `carried` is float32[16] of scratch.
    """
    total, bits, shared = F0, np.uint16(0), share.size > 0
    carried[:] = F0
    for i in range(values.shape[0]):
        part = share[i, y, x] if shared else F1
        there = (abs(values[i, y, x]) < np.inf) & (variance[i, y, x] > F0) & (part > F0)
        if not (there and weight[i] > F0):
            continue
        w, some, b = weight[i] * part, quality[i, y, x] & candidates, 0
        total += w
        while some:
            if some & np.uint16(1):
                carried[b] += w
            some >>= np.uint16(1)
            b += 1
    for b in range(16):
        if carried[b] > flag_share * total:
            bits |= np.uint16(1 << b)
    return bits

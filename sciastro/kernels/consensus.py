"""Quality bits of a stack from the bits of its frames, by share of weight; what became of every sample."""

import numpy as np
from numba import njit

from sciastro.kernels.reduce import HIGH, LOW

__all__ = ["consensus"]

F0, F1 = np.float32(0.0), np.float32(1.0)
BLOCK = 512


@njit(nogil=True, cache=True, error_model="numpy")
def consensus(
    values,
    quality,
    weight,
    share,
    marks,
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
    values : float32[frame, y, x]
        Samples; NaN is missing.
    quality : uint16[frame, y, x]
        Bits of each sample.
    weight : float32[frame]
        Frame weights; 0 is missing.
    share : float32[frame, y, x]
        Factor of the weight of a sample, 0 is missing; shape (0, 0, 0): 1 everywhere.
    marks : uint8[frame, y, x]
        `LOW` or `HIGH` of rejected samples.
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
    shared = share.size > 0
    any_bits, total, count = (
        np.empty(BLOCK, np.uint16),
        np.empty(BLOCK, np.float32),
        np.empty(BLOCK, np.int32),
    )
    for y in range(rim, rows - rim):
        for start in range(rim, columns - rim, BLOCK):
            stop = min(start + BLOCK, columns - rim)
            m = stop - start
            any_bits[:m], total[:m], count[:m] = 0, 0, 0
            rejected = 0
            for x in range(start, stop):
                rejected += rejected_low[y, x] + rejected_high[y, x]
            for i in range(n):
                w = weight[i]
                if not w > 0:
                    continue
                v, q, here_all = values[i, y, start:stop], quality[i, y, start:stop], 0
                if shared:
                    s = share[i, y, start:stop]
                    for p in range(m):
                        here = (v[p] == v[p]) & (s[p] > F0)
                        any_bits[p] |= q[p]
                        total[p] += w * s[p] if here else F0
                        count[p] += 1 if here else 0
                        here_all += 1 if here else 0
                else:
                    for p in range(m):
                        here = v[p] == v[p]
                        any_bits[p] |= q[p]
                        total[p] += w if here else F0
                        count[p] += 1 if here else 0
                        here_all += 1 if here else 0
                if rejected:
                    low, high = _marked(marks[i, y, start:stop])
                    counts[i, 0] += low
                    counts[i, 1] += high
                if here_all < m:
                    _lost(values, quality, share, i, y, start, stop, rim, groups, counts, causes)
            for p in range(m):
                x = start + p
                bits = np.uint16(0)
                if count[p] == 0:
                    bits = any_bits[p] | missing
                else:
                    if any_bits[p]:
                        bits = _shared(
                            values, quality, weight, share, y, x, any_bits[p], flag_share * total[p]
                        )
                    if rejected_low[y, x] + rejected_high[y, x] > outlier_share * count[p]:
                        bits |= outlier
                out[y - rim, x - rim] = bits


@njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True)
def _marked(marks):
    """Return how many samples of a row are marked `LOW` and `HIGH`."""
    low, high = 0, 0
    for mark in marks:
        low += 1 if mark == LOW else 0
        high += 1 if mark == HIGH else 0
    return low, high


@njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True)
def _lost(values, quality, share, i, y, start, stop, rim, groups, counts, causes):
    """Count the missing samples of a row of a frame by what they carry."""
    for x in range(start, stop):
        if values[i, y, x] == values[i, y, x] and (share.size == 0 or share[i, y, x] > F0):
            continue
        cause, bits = 0, quality[i, y, x]
        while cause < groups.size and not bits & groups[cause]:
            cause += 1
        counts[i, 2 + cause] += 1
        if causes.size > 0:
            causes[cause, y - rim, x - rim] += 1


@njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True)
def _shared(values, quality, weight, share, y, x, candidates, enough):
    bits = np.uint16(0)
    for b in range(16):
        bit = np.uint16(1 << b)
        if not candidates & bit:
            continue
        carried = np.float32(0)
        for i in range(values.shape[0]):
            part = share[i, y, x] if share.size > 0 else F1
            here = values[i, y, x] == values[i, y, x] and weight[i] > 0 and part > F0
            if here and quality[i, y, x] & bit:
                carried += weight[i] * part
        if carried > enough:
            bits |= bit
    return bits

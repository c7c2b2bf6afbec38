"""Quality bits of a stack from the bits of its frames, by share of weight; what became of every sample."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.lanes import LANES, bits_of_frames
from sciastro.kernels.samples import LOW

__all__ = ["consensus"]

F0, F1 = np.float32(0.0), np.float32(1.0)
NONE = np.uint16(0)


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
    any_bits, all_bits = np.empty(columns, np.uint16), np.empty(columns, np.uint16)
    places, lacking = np.empty(columns, np.int64), np.empty(columns, np.int64)
    special = np.empty(columns, np.uint8)
    number_used, whole_weight = 0, F0
    carried, whole = np.empty(16, np.float32), flag_share < F1
    for i in range(n):
        number_used += 1 if weight[i] > F0 else 0
        whole_weight += weight[i] if weight[i] > F0 else F0
    used = np.uint16(number_used)
    for y in range(rim, rows - rim):
        _bits_of_row(quality, weight, y, any_bits, all_bits)
        here, low, high, found = present[y, rim:], rejected_low[y, rim:], rejected_high[y, rim:], out[y - rim]
        some_bits, every_bits = any_bits[rim:], all_bits[rim:]
        for x in range(columns - 2 * rim):  # vectorizes; what follows is for few pixels
            bits = every_bits[x] if whole else NONE
            found[x] = bits
            odd = (here[x] ^ used) | low[x] | high[x] | (some_bits[x] & ~bits)
            special[x] = (odd != NONE) | (used == NONE)
        number, short, left = 0, 0, np.int64(0)
        for x in range(columns - 2 * rim):
            places[number] = x
            number += special[x]
        for k in range(number):
            lacking[short] = rim + places[k]
            short += 1 if here[places[k]] < used else 0
            left += number_used - np.int64(here[places[k]])
        if short > 0:
            some = lacking[:short]
            _lost(values, variance, quality, weight, share, y, some, left, rim, groups, counts, causes)
        for k in range(number):
            x = places[k]
            there, lost, bits = here[x], low[x] + high[x], found[x]
            if lost > 0:
                for i in range(n):
                    mark = marks[i, y, rim + x]
                    if mark:
                        counts[i, 0 if mark == LOW else 1] += 1
            if there == 0:
                bits = some_bits[x] | missing
            else:
                some = some_bits[x] & ~bits
                if some:
                    full = whole_weight if there == used else F0
                    bits |= _shared(
                        values, variance, quality, weight, share, y, rim + x, some, flag_share, full, carried
                    )  # fmt: skip
                if lost > outlier_share * there:
                    bits |= outlier
            found[x] = bits


@inner
def _bits_of_row(quality, weight, y, any_bits, all_bits):
    """Write the OR and the AND of the bits of a row over all frames that have a weight."""
    n, rows, columns = quality.shape
    if columns >= 2 * LANES:
        for x in range(0, columns, 2 * LANES):  # the last ones together with pixels before them
            at = min(x, columns - 2 * LANES)
            bits_of_frames(quality, weight, n, rows * columns, y * columns + at, any_bits, all_bits, at)
        return
    any_bits[:], all_bits[:] = 0, 0xFFFF
    for i in range(n):
        if weight[i] > F0:
            for x in range(columns):
                any_bits[x] |= quality[i, y, x]
                all_bits[x] &= quality[i, y, x]


@inner
def _lost(values, variance, quality, weight, share, y, places, left, rim, groups, counts, causes):
    """Count the `left` missing samples of some pixels of a row by what they carry.

    Frame by frame: a frame that does not reach a row misses it pixel after pixel. Missing samples mostly
    carry bits, which are at hand; those that carry none are looked for afterwards, if any are left.
    """
    for bare in (False, True):
        for i in range(values.shape[0]):
            if left == 0 or not weight[i] > F0:
                continue
            value, noise, flags = values[i, y], variance[i, y], quality[i, y]  # a call per sample costs 20 ns
            part = share[i, y] if share.size > 0 else noise
            for x in places:
                bits = flags[x]
                if (bits == NONE) != bare:
                    continue
                if (abs(value[x]) < np.inf) & (noise[x] > F0) & (part[x] > F0):
                    continue
                cause = 0
                while cause < groups.size and not bits & groups[cause]:
                    cause += 1
                left -= 1
                counts[i, 2 + cause] += 1
                if causes.size > 0:
                    causes[cause, y - rim, x - rim] += 1


@inner
def _shared(values, variance, quality, weight, share, y, x, candidates, flag_share, whole, carried):
    """Return the bits that more than a share of the weight of the present samples carries.

    `whole` is the weight of all frames where no sample is missing, else 0; `carried` float32[16] of scratch.
    Values are looked at where needed: most pixels here have one frame with bits.
    """
    total, bits, shared, found = F0, NONE, share.size > 0, False
    carried[:] = F0
    for i in range(values.shape[0]):
        some, b = quality[i, y, x] & candidates, 0
        if some == NONE or not weight[i] > F0:
            continue
        part = share[i, y, x] if shared else F1
        if not ((abs(values[i, y, x]) < np.inf) & (variance[i, y, x] > F0) & (part > F0)):
            continue
        found = True
        while some:
            if some & np.uint16(1):
                carried[b] += weight[i] * part
            some >>= np.uint16(1)
            b += 1
    if not found:
        return bits
    if shared or not whole > F0:
        for i in range(values.shape[0]):
            part = share[i, y, x] if shared else F1
            if (abs(values[i, y, x]) < np.inf) & (variance[i, y, x] > F0) & (part > F0) & (weight[i] > F0):
                total += weight[i] * part
    else:
        total = whole
    for b in range(16):
        if carried[b] > flag_share * total:
            bits |= np.uint16(1 << b)
    return bits

"""Quality bits of a stack from the bits of its frames, by share of weight."""

import numpy as np
from numba import njit

__all__ = ["consensus"]

F0, F1 = np.float32(0.0), np.float32(1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def consensus(
    values,
    quality,
    weight,
    share,
    flag_share,
    rejected_low,
    rejected_high,
    outlier_share,
    outlier,
    missing,
    out,
):
    """Write the quality bits that a large enough share of the frames carries.

    Parameters
    ----------
    values : float32[frame, pixel]
        Samples; NaN is missing.
    quality : uint16[frame, pixel]
        Bits of each sample.
    weight : float32[frame]
        Frame weights; 0 is missing.
    share : float32[frame, pixel]
        Factor of the weight of a sample, 0 is missing; shape (0, 0): 1 everywhere.
    flag_share : float
        A bit is set where frames with more than this share of the weight of the present samples carry it.
    rejected_low, rejected_high : uint16[pixel]
        Samples rejected; `outlier` is set where they are more than `outlier_share` of the present ones.
    outlier_share : float
    outlier, missing : uint16
        Bits to set; `missing` (and the OR of all frames) where no sample is present.
    out : uint16[pixel]
        Written.
    """
    n_frames, n_pixels = values.shape
    block, shared = 512, share.size > 0
    any_bits = np.empty(block, np.uint16)
    total = np.empty(block, np.float32)
    count = np.empty(block, np.int32)
    for start in range(0, n_pixels, block):
        m = min(block, n_pixels - start)
        any_bits[:m], total[:m], count[:m] = 0, 0, 0
        for i in range(n_frames):
            w = weight[i]
            if not w > 0:
                continue
            x, q = values[i, start : start + m], quality[i, start : start + m]
            if shared:
                s = share[i, start : start + m]
                for p in range(m):
                    here = (x[p] == x[p]) & (s[p] > F0)
                    any_bits[p] |= q[p]
                    total[p] += w * s[p] if here else F0
                    count[p] += 1 if here else 0
                continue
            for p in range(m):
                here = x[p] == x[p]
                any_bits[p] |= q[p]
                total[p] += w if here else F0
                count[p] += 1 if here else 0
        for p in range(m):
            bits = np.uint16(0)
            if count[p] == 0:
                bits = any_bits[p] | missing
            else:
                if any_bits[p]:
                    bits = _shared(
                        values, quality, weight, share, start + p, any_bits[p], flag_share * total[p]
                    )
                if rejected_low[start + p] + rejected_high[start + p] > outlier_share * count[p]:
                    bits |= outlier
            out[start + p] = bits


@njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True)
def _shared(values, quality, weight, share, pixel, candidates, enough):
    bits = np.uint16(0)
    for b in range(16):
        bit = np.uint16(1 << b)
        if not candidates & bit:
            continue
        carried = np.float32(0)
        for i in range(values.shape[0]):
            part = share[i, pixel] if share.size > 0 else F1
            here = values[i, pixel] == values[i, pixel] and weight[i] > 0 and part > F0
            if here and quality[i, pixel] & bit:
                carried += weight[i] * part
        if carried > enough:
            bits |= bit
    return bits

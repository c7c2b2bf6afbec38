"""Turn pixels into the bytes of a FITS file and sum them for its checksum, in one pass over the cache.

The checksum of FITS (standard 4.0, section 4.4.2.7 and appendix J) is the ones' complement sum of 32-bit
big-endian words. A word's value does not depend on how we store it, so the native numbers are summed.
"""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["swap_in_place", "swap_pairs", "swap_rows", "swap_words", "swap_words_in_place"]


@njit(nogil=True, cache=True)
def swap_words(source, target):
    """Write uint32 words with their bytes reversed; return their sum (below 2^64 for 2^32 words).

    Parameters
    ----------
    source, target
        uint32 (n,); they may be the same.
    """
    total = np.uint64(0)
    for i in range(source.size):
        x = source[i]
        total += np.uint64(x)
        target[i] = (x << 24) | ((x & 0xFF00) << 8) | ((x >> 8) & 0xFF00) | (x >> 24)
    return total


@njit(nogil=True, cache=True)
def swap_pairs(source, target, flip):
    """Write uint16 numbers, exclusive-or `flip`, with their bytes reversed; return the sum of their pairs.

    Parameters
    ----------
    source, target
        uint16 (n,); they may be the same.
    flip
        32768 turns unsigned numbers into those that BZERO = 32768 shifts, 0 changes nothing.

    Returns
    -------
    uint64
        Sum of the big-endian 32-bit words (first number 2^16 + second); an odd last one is followed by 0.
    """
    high, low = np.uint64(0), np.uint64(0)
    flip = np.uint16(flip)
    half = source.size // 2
    for i in range(half):
        a, b = source[2 * i] ^ flip, source[2 * i + 1] ^ flip
        high += np.uint64(a)
        low += np.uint64(b)
        target[2 * i] = np.uint16((a << 8) | (a >> 8))
        target[2 * i + 1] = np.uint16((b << 8) | (b >> 8))
    if source.size % 2:
        a = source[source.size - 1] ^ flip
        high += np.uint64(a)
        target[source.size - 1] = np.uint16((a << 8) | (a >> 8))
    return (high << np.uint64(16)) + low


@njit(nogil=True, cache=True)
def swap_in_place(numbers, flip):
    """Reverse the bytes of every number, uint16 (n,), then exclusive-or `flip` (uint16): a FITS file read."""
    for i in range(numbers.size):
        x = numbers[i]
        numbers[i] = ((x << np.uint16(8)) | (x >> np.uint16(8))) ^ flip


@njit(nogil=True, cache=True)
def swap_words_in_place(words):
    """Reverse the bytes of every number, uint32 (n,).

    One array alone: two might overlap, and such a loop is not vectorized.
    """
    for i in range(words.size):
        x = words[i]
        words[i] = (x << 24) | ((x & 0xFF00) << 8) | ((x >> 8) & 0xFF00) | (x >> 24)


@njit(nogil=True, cache=True)
def swap_rows(source, columns, target, stride):
    """Write whole rows of numbers with their bytes reversed to where they belong in a larger plane.

    Parameters
    ----------
    source
        uint32 (rows * columns,).
    columns
        Of a row.
    target
        uint32, flat, beginning with the place of the first number; rows begin `stride` numbers apart.
    """
    for y in range(source.size // columns):
        row, out = source[y * columns : (y + 1) * columns], target[y * stride : y * stride + columns]
        for i in range(columns):
            x = row[i]
            out[i] = (x << 24) | ((x & 0xFF00) << 8) | ((x >> 8) & 0xFF00) | (x >> 24)

"""Sorting networks: compare-exchange pairs that sort the rows of a tile, every pixel at once.

Batcher's odd-even merge sort (Batcher 1968, AFIPS Spring Joint Computer Conference 32, 307): the
order of comparisons does not depend on the data, so the compiler vectorizes along the pixels.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["merge_network"]


@lru_cache(maxsize=512)
def merge_network(n: int) -> npt.NDArray[np.int32]:
    """Return the compare-exchange pairs that sort `n` rows.

    Parameters
    ----------
    n
        Number of rows (frames), 0 or more.

    Returns
    -------
    ndarray
        int32 (pairs, 2), read-only; put the smaller value into the first row of each pair, in order.
    """
    pairs: list[tuple[int, int]] = []
    p = 1
    while p < n:
        for k in (p >> s for s in range(p.bit_length())):
            pairs += [
                (i, i + k)
                for j in range(k % p, n - k, 2 * k)
                for i in range(j, min(j + k, n - k))
                if i // (2 * p) == (i + k) // (2 * p)
            ]
        p *= 2
    network = np.array(pairs, np.int32).reshape(-1, 2)
    network.setflags(write=False)
    return network

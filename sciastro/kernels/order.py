"""Order statistics without sorting. NumPy's ``median`` and ``sort`` take numba a second each to compile."""

from numba import njit

__all__ = ["median", "select"]


@njit(nogil=True, cache=True, error_model="numpy")
def select(values, n, k):
    """Return the k-th smallest of the first n values, which are reordered (Hoare 1961, CACM 4, 321)."""
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@njit(nogil=True, cache=True, error_model="numpy")
def median(values, n):
    """Return the median of the first n values (one or more, no NaN), which are reordered."""
    upper = select(values, n, n // 2)
    if n % 2:
        return upper
    lower = values[0]  # the lower half stands before the upper middle now
    for i in range(1, n // 2):
        lower = max(lower, values[i])
    return (lower + upper) / 2

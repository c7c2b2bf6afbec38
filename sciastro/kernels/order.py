"""Order statistics without sorting. NumPy's ``median`` and ``sort`` take numba a second each to compile."""

from sciastro.kernels.jit import njit

__all__ = ["median", "select"]


@njit(nogil=True, cache=True, error_model="numpy")
def select(values, n, k):
    """Return the k-th smallest of the first n values, which are reordered (Hoare 1961, CACM 4, 321).

    The partition has no branch that depends on a value (every value changes places with the first large one):
    on noise, which no processor foresees, that takes a third of the time.
    """
    low, high = 0, n - 1
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        large = low  # where the values at or above the pivot begin
        for i in range(low, high + 1):
            value = values[i]
            values[i], values[large] = values[large], value
            large += value < pivot
        if k < large:
            high = large - 1
            continue
        above = large  # where those above it begin
        for i in range(large, high + 1):
            value = values[i]
            values[i], values[above] = values[above], value
            above += value <= pivot
        if k < above:
            break
        low = above
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

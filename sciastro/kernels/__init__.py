"""Numba kernels: plain arrays in and out; imports numpy and numba only."""

__all__: list[str] = []

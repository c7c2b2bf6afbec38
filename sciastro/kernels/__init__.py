"""Numba kernels: plain arrays in and out; imports numpy and numba only."""

"""Stars in cells of the sky: bands of declination cut into columns, so that a circle is found at once."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["cell_of", "sort_cells", "stars_around", "thin_out"]


@inner
def cell_of(ra, dec, side, bands):
    """Return the cell of a direction [degree]: bands of declination, cut into columns about as wide.

    Parameters
    ----------
    side
        Height of a band [degree].
    bands
        int64[band + 1]: first cell of every band.
    """
    band = min(max(int((dec + 90.0) / side), 0), bands.size - 2)
    columns = bands[band + 1] - bands[band]
    return bands[band] + min(int((ra % 360.0) / 360.0 * columns), columns - 1)


@njit(nogil=True, cache=True, error_model="numpy")
def sort_cells(ra, dec, side, bands, start, order):
    """Sort stars into cells; within a cell they keep their order (counting sort).

    Parameters
    ----------
    ra, dec
        float64 [degree], brightest first.
    start
        Output int64[cell + 1]: first entry of every cell.
    order
        Output int32[star]: stars, cell by cell.
    """
    start[:] = 0
    for k in range(ra.size):
        start[cell_of(ra[k], dec[k], side, bands) + 1] += 1
    for c in range(start.size - 1):
        start[c + 1] += start[c]
    fill = start.copy()
    for k in range(ra.size):
        c = cell_of(ra[k], dec[k], side, bands)
        order[fill[c]] = k
        fill[c] += 1


@njit(nogil=True, cache=True, error_model="numpy")
def thin_out(ra, dec, side, bands, most, keep):
    """Keep the first `most` stars of every cell; sets bool `keep`[star], returns how many."""
    count = np.zeros(bands[-1], np.int32)
    kept = 0
    for k in range(ra.size):
        c = cell_of(ra[k], dec[k], side, bands)
        if count[c] < most:
            count[c] += 1
            keep[k] = True
            kept += 1
    return kept


@inner
def stars_around(ra0, dec0, radius, xyz, side, bands, start, order, out):
    """Write the stars within `radius` [degree] to `out`; return how many (at most its size)."""
    z = np.sin(np.radians(dec0))
    x = np.cos(np.radians(dec0)) * np.cos(np.radians(ra0))
    y = np.cos(np.radians(dec0)) * np.sin(np.radians(ra0))
    near = np.cos(np.radians(radius))
    first = max(int((dec0 - radius + 90.0) / side), 0)
    last = min(int((dec0 + radius + 90.0) / side), bands.size - 2)
    n = 0
    for band in range(first, last + 1):
        columns = bands[band + 1] - bands[band]
        # widest half width in right ascension of the circle within this band
        half = 360.0
        if abs(dec0) + radius < 89.9:
            s = np.sin(np.radians(radius)) / np.cos(np.radians(dec0))
            if s < 1.0:
                half = np.degrees(np.arcsin(s))
        width = 360.0 / columns
        if 2.0 * half + 2.0 * width >= 360.0:
            low, high = 0, columns - 1
        else:
            low = int(np.floor((ra0 - half) / width))
            high = int(np.floor((ra0 + half) / width))
        for column in range(low, high + 1):
            c = bands[band] + column % columns
            for p in range(start[c], start[c + 1]):
                k = order[p]
                if xyz[k, 0] * x + xyz[k, 1] * y + xyz[k, 2] * z >= near and n < out.size:
                    out[n] = k
                    n += 1
    return n

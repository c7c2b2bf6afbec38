"""The plane that touches the sky, for kernels: axes about a direction, stars on it, and the way back."""

import numpy as np

from sciastro.kernels.inner import inner

__all__ = ["away", "axes_at", "frame_middle", "on_plane", "place_of", "places_about"]


@inner
def place_of(x, y, z):
    """Return RA and Dec [degree] of a direction of any length."""
    norm = np.sqrt(x * x + y * y + z * z)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(z / norm))


@inner
def axes_at(ra, dec, axes):
    """Write east, north and the direction itself as rows of `axes`; `ra` and `dec` in radians."""
    axes[0, 0], axes[0, 1], axes[0, 2] = -np.sin(ra), np.cos(ra), 0.0
    axes[1, 0], axes[1, 1], axes[1, 2] = -np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)
    axes[2, 0], axes[2, 1], axes[2, 2] = np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)


@inner
def on_plane(xyz, k, axes):
    """Return (-east, north) of star `k` on the plane that touches at axes[2] [degree], and its depth."""
    depth = axes[2, 0] * xyz[k, 0] + axes[2, 1] * xyz[k, 1] + axes[2, 2] * xyz[k, 2]
    east = axes[0, 0] * xyz[k, 0] + axes[0, 1] * xyz[k, 1]
    north = axes[1, 0] * xyz[k, 0] + axes[1, 1] * xyz[k, 1] + axes[1, 2] * xyz[k, 2]
    return -np.degrees(east / depth), np.degrees(north / depth), depth


@inner
def places_about(ra0, dec0, ra, dec, near, n, x, y):
    """Write (-east, north) [degree] of the first `n` stars of `near` on the plane about (ra0, dec0)."""
    cd, sd = np.cos(np.radians(dec0)), np.sin(np.radians(dec0))
    for k in range(n):
        dra, d = np.radians(ra[near[k]] - ra0), np.radians(dec[near[k]])
        depth = sd * np.sin(d) + cd * np.cos(d) * np.cos(dra)
        x[k] = -np.degrees(np.cos(d) * np.sin(dra) / depth)
        y[k] = np.degrees((cd * np.sin(d) - sd * np.cos(d) * np.cos(dra)) / depth)


@inner
def frame_middle(ar, ai, zr, zi, wr, wi, mirror, width, height, axes):
    """Return RA and Dec [degree] of the middle of a frame under the similarity w + a (z - z0)."""
    ux, uy = 0.5 * (width - 1) - zr, mirror * 0.5 * (height - 1) - zi
    cx, cy = np.radians(wr + ar * ux - ai * uy), np.radians(wi + ar * uy + ai * ux)
    return place_of(
        axes[2, 0] - cx * axes[0, 0] + cy * axes[1, 0],
        axes[2, 1] - cx * axes[0, 1] + cy * axes[1, 1],
        axes[2, 2] - cx * axes[0, 2] + cy * axes[1, 2],
    )


@inner
def away(ra, dec, ra0, dec0, radius):
    """Return whether two directions are farther apart than `radius`; never from 180 on [degree]."""
    if radius >= 180.0:
        return False
    a, d, h = np.radians(ra - ra0), np.radians(dec), np.radians(dec0)
    return np.sin(d) * np.sin(h) + np.cos(d) * np.cos(h) * np.cos(a) < np.cos(np.radians(radius))

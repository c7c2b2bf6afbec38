"""Light of a star behind an opaque disk: quadratic limb darkening, on a circular orbit or a straight line.

Equations: Mandel & Agol 2002, ApJ 580, L171 (uniform source eq. 1, quadratic law eq. 7, their Table 1), with
Bulirsch's complete elliptic integral for K, E and Pi.
"""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["separation", "transit_flux", "transit_light"]

NEAR = 1e-9  # of a special case of the equations; between them nothing is gained by going closer


@njit(nogil=True, cache=True, error_model="numpy")
def _cel(kc, p, a, b):
    """Return Bulirsch's general complete elliptic integral (1969); `p` > 0."""
    kc = abs(kc)
    if kc < 1e-14:
        kc = 1e-14
    em = 1.0
    p = np.sqrt(p)
    b /= p
    f = a
    a += b / p
    g = kc / p
    b = 2.0 * (b + f * g)
    p += g
    g = em
    em += kc
    qc = kc
    for _ in range(30):
        if abs(g - kc) <= g * 1e-13:
            break
        kc = 2.0 * np.sqrt(qc)
        qc = kc * em
        f = a
        a += b / p
        g = qc / p
        b = 2.0 * (b + f * g)
        p += g
        g = em
        em += kc
    return 0.5 * np.pi * (b + a * em) / (em * (em + p))


@njit(nogil=True, cache=True, error_model="numpy")
def _one(z, p, u1, u2):
    """Return the flux with a disk of radius `p` at `z` from the center, in radii of the star."""
    if z >= 1.0 + p or p <= 0.0:
        return 1.0
    if z <= p - 1.0:
        return 0.0
    if z > NEAR and abs(z - p) < NEAR:  # the edge of the disk through the center: Pi has a pole there
        z = p + NEAR
    if abs(z - abs(1.0 - p)) < NEAR:
        z = abs(1.0 - p) + NEAR if p > 1.0 else 1.0 - p - NEAR
    z2, p2 = z * z, p * p
    # uniform part and the part of r squared
    if z <= 1.0 - p:
        uniform = p2
        square = 0.5 * p2 * (p2 + 2.0 * z2)
    else:
        k1 = np.arccos(min(max((1.0 - p2 + z2) / (2.0 * z), -1.0), 1.0))
        k0 = np.arccos(min(max((p2 + z2 - 1.0) / (2.0 * p * z), -1.0), 1.0))
        area = np.sqrt(max((4.0 * z2 - (1.0 + z2 - p2) ** 2) / 4.0, 0.0))
        uniform = (p2 * k0 + k1 - area) / np.pi
        root = np.sqrt(max((1.0 - (z - p) ** 2) * ((z + p) ** 2 - 1.0), 0.0))
        square = (k1 + p2 * (p2 + 2.0 * z2) * k0 - 0.25 * (1.0 + 5.0 * p2 + z2) * root) / (2.0 * np.pi)
    # the part of sqrt(1 - r squared)
    if z <= NEAR:
        linear = -2.0 / 3.0 * (1.0 - p2) ** 1.5 + 2.0 / 3.0
    else:
        a, b, q = (z - p) ** 2, (z + p) ** 2, p2 - z2
        if z > 1.0 - p:
            kc = np.sqrt(max(1.0 - (1.0 - a) / (4.0 * z * p), 0.0))
            k = _cel(kc, 1.0, 1.0, 1.0)
            e = _cel(kc, 1.0, 1.0, kc * kc)
            pi = _cel(kc, 1.0 / a, 1.0, 1.0)
            linear = (
                ((1.0 - b) * (2.0 * b + a - 3.0) - 3.0 * q * (b - 2.0)) * k
                + 4.0 * p * z * (z2 + 7.0 * p2 - 4.0) * e
                - 3.0 * q / a * pi
            ) / (9.0 * np.pi * np.sqrt(p * z))
        else:
            kc = np.sqrt(max(1.0 - 4.0 * z * p / (1.0 - a), 0.0))
            k = _cel(kc, 1.0, 1.0, 1.0)
            e = _cel(kc, 1.0, 1.0, kc * kc)
            pi = _cel(kc, b / a, 1.0, 1.0)
            linear = (
                2.0
                * (
                    (1.0 - 5.0 * z2 + p2 + q * q) * k
                    + (1.0 - a) * (z2 + 7.0 * p2 - 4.0) * e
                    - 3.0 * q / a * pi
                )
                / (9.0 * np.pi * np.sqrt(1.0 - a))
            )
        if z < p:
            linear += 2.0 / 3.0
    omega = 1.0 - u1 / 3.0 - u2 / 6.0
    dark = u1 + 2.0 * u2
    return 1.0 - ((1.0 - dark) * uniform + dark * linear + u2 * square) / omega


@njit(nogil=True, cache=True, error_model="numpy")
def transit_flux(z, p, u1, u2, out):
    """Fill float64[n] `out` with the flux at separations float64[n] `z`, in radii of the star.

    Parameters
    ----------
    p
        Radius of the planet over that of the star.
    u1, u2
        ``I(mu) / I(1) = 1 - u1 (1 - mu) - u2 (1 - mu)^2``.
    """
    for i in range(z.size):
        out[i] = _one(z[i], p, u1, u2) if np.isfinite(z[i]) else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def separation(time, t0, period, a, b, out):
    """Fill `out` with the separation of centers on a circular orbit; beyond the star it is large.

    Parameters
    ----------
    time, t0, period
        [d]; `period` 0 is a straight line with `a` radii of the star per day.
    a
        Half axis over the radius of the star, or speed.
    b
        Impact parameter.
    """
    for i in range(time.size):
        if period <= 0.0:
            out[i] = np.sqrt(b * b + (a * (time[i] - t0)) ** 2)
            continue
        phase = 2.0 * np.pi * (time[i] - t0) / period
        if np.cos(phase) <= 0.0:  # behind the star
            out[i] = 1e3
        else:
            out[i] = np.sqrt((a * np.sin(phase)) ** 2 + (b * np.cos(phase)) ** 2)


@njit(nogil=True, cache=True, error_model="numpy")
def _half_axis(k, duration, b, period):
    """Return `a` of `separation` by a transit's duration from first to fourth contact; 0: no orbit is so."""
    chord = (1.0 + k) ** 2 - b * b
    if not (chord > 0.0 and duration > 0.0 and k > 0.0 and b >= 0.0):
        return 0.0
    if period <= 0.0:
        return 2.0 * np.sqrt(chord) / duration
    if duration >= 0.5 * period:
        return 0.0
    a = np.sqrt(chord / np.sin(np.pi * duration / period) ** 2 + b * b)
    return a if a > 1.0 + k else 0.0  # the planet would touch the star


@njit(nogil=True, cache=True, error_model="numpy")
def transit_light(time, exposure, steps, shapes, period, out):
    """Fill float64[w, n] `out` with fluxes, averaged over exposures; NaN where no orbit is like that.

    Parameters
    ----------
    time, exposure
        float64[n] [d].
    steps
        Points at which an exposure is sampled.
    shapes
        float64[w, 6]: t0, k, duration (first to fourth contact) [d], b, u1, u2.
    period
        [d]; 0 is a straight line.
    """
    shifted, z, flux = np.empty(time.size), np.empty(time.size), np.empty(time.size)
    for w in range(shapes.shape[0]):
        t0, k, b = shapes[w, 0], shapes[w, 1], shapes[w, 3]
        a = _half_axis(k, shapes[w, 2], b, period)
        if not a > 0.0:
            out[w] = np.nan
            continue
        out[w] = 0.0
        for s in range(steps):
            part = (s + 0.5) / steps - 0.5
            for i in range(time.size):
                shifted[i] = time[i] + part * exposure[i]
            separation(shifted, t0, period, a, b, z)
            transit_flux(z, k, shapes[w, 4], shapes[w, 5], flux)
            for i in range(time.size):
                out[w, i] += flux[i] / steps

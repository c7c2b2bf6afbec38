"""Fit a TAN or TAN-SIP world coordinate system to stars, and carry one from the reference to a frame.

SIP (Shupe et al. 2005, ASP Conf. 347, 491): with u, v pixel offsets from CRPIX,
``(xi, eta) = CD (u + A(u, v), v + B(u, v))``; AP and BP give the way back. The fit is linear: a
polynomial from pixels to the tangent plane, moved until its constant term vanishes at CRPIX, whose
linear part is CD and whose rest, divided by CD, is A and B.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.plane import deproject, project
from sciastro.core import transform
from sciastro.core.wcs import center
from sciastro.errors import SolveError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["fit_wcs", "propagate", "round_trip", "start_at_middle"]

Floats = npt.NDArray[np.float64]

GRID = 24  # nodes per axis of the grids that inverse terms are fitted on
MARGIN = 0.03  # of the frame, that inverse terms also cover
MAX_INVERSE_ORDER = 6  # of AP and BP, unless the distortion itself has a higher one
INVERSE_GOAL = 0.002  # pixel: raise the order of AP and BP until their round trip is better
PROPAGATED_GOAL = 0.002  # pixel: raise the order of a carried WCS until its residual is better


def start_at_middle(wcs: "WCS", shape: tuple[int, int]) -> "WCS":
    """Return where `fit_wcs` best starts: a plain TAN with its reference pixel at the middle of the frame.

    Parameters
    ----------
    wcs
        Tells where that looks.
    shape
        Rows and columns.
    """
    from astropy.wcs import WCS

    out = WCS(naxis=2)
    out.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    out.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    out.wcs.crval = center(wcs, shape)
    return out


def fit_wcs(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    start: "WCS",
    order: int,
    shape: tuple[int, int] | None = None,
) -> "WCS":
    """Fit a WCS to pairs of pixel and sky positions by weighted least squares.

    Parameters
    ----------
    x, y
        Pixel positions (0-based).
    ra, dec
        ICRS positions at the epoch of the image [deg].
    weight
        Statistical weight (inverse variance) per star; None weighs all alike.
    start
        Its CRPIX becomes the reference pixel, its CRVAL the first tangent point.
    order
        1 for TAN, 2 and up for SIP of that order.
    shape
        Rows and columns; where None, the ``pixel_shape`` of `start`, else the extent of the stars.

    Returns
    -------
    WCS
        TAN or TAN-SIP (A, B, AP, BP), ICRS, with ``pixel_shape``.

    Raises
    ------
    SolveError
        With fewer stars than terms, or stars on one line.
    """
    px, py = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    right, up = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    if px.size < transform.n_terms(order):
        raise SolveError(
            f"are {px.size}, and a WCS of order {order} needs {transform.n_terms(order)}.",
            where="matched stars",
            remedy="Lower the order, or use a deeper catalog.",
        )
    root = None if weight is None else np.sqrt(np.asarray(weight, dtype=np.float64))
    size = shape or _shape_of(start, px, py)
    crpix = np.asarray(start.wcs.crpix, dtype=np.float64) - 1.0
    ra0, dec0 = (float(v) for v in start.wcs.crval)
    u, v = px - crpix[0], py - crpix[1]
    for _ in range(6):
        plane = project(right, up, ra0, dec0)
        c = transform.fit(u, v, plane[:, 0], plane[:, 1], order, root)
        moved = np.array([[c[0, 0], c[1, 0]]])
        new_ra, new_dec = deproject(moved, ra0, dec0)
        ra0, dec0 = float(new_ra[0]), float(new_dec[0])
        if np.hypot(*moved[0]) < 1e-12:
            break
    plane = project(right, up, ra0, dec0)
    c = transform.fit(u, v, plane[:, 0], plane[:, 1], order, root)
    cd = c[:, 1:3] / transform.SCALE
    if not np.all(np.isfinite(c)) or abs(np.linalg.det(cd)) < 1e-6 * np.sum(cd**2):
        raise SolveError("lie on one line.", where="matched stars", remedy="Match stars all over the frame.")
    distortion: Floats = np.asarray(np.linalg.solve(cd, c[:, 3:])) if order > 1 else np.empty((2, 0))
    return _make_wcs(cd, (ra0, dec0), crpix, distortion, order, size)


def _shape_of(start: "WCS", x: Floats, y: Floats) -> tuple[int, int]:
    if start.pixel_shape is not None:
        return int(start.pixel_shape[1]), int(start.pixel_shape[0])
    return int(np.ceil(y.max())) + 1, int(np.ceil(x.max())) + 1


def _make_wcs(
    cd: Floats,
    crval: tuple[float, float],
    crpix: Floats,
    distortion: Floats,
    order: int,
    shape: tuple[int, int],
) -> "WCS":
    from astropy.wcs import WCS, Sip

    wcs = WCS(naxis=2)
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = crval, crpix + 1.0, cd
    wcs.wcs.cunit, wcs.wcs.radesys = ["deg", "deg"], "ICRS"
    if order > 1:
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        a, b = _matrices(distortion, 2, order)
        ap, bp = _inverse(distortion, crpix, order, shape)
        wcs.sip = Sip(a, b, ap, bp, crpix + 1.0)
    else:
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.pixel_shape = (shape[1], shape[0])
    wcs.wcs.set()
    return wcs


def _matrices(terms: Floats, lowest: int, order: int) -> tuple[Floats, Floats]:
    """Return SIP matrices [i, j] of u**i v**j from transform terms of degree `lowest` up, in plain pixels."""
    out = np.zeros((2, order + 1, order + 1))
    column = 0
    for total in range(lowest, order + 1):
        for j in range(total + 1):
            out[:, total - j, j] = terms[:, column] / transform.SCALE**total
            column += 1
    return out[0], out[1]


def _distort(u: Floats, v: Floats, distortion: Floats, order: int) -> tuple[Floats, Floats]:
    high = transform.design(u, v, order)[:, 3:]
    return u + high @ distortion[0], v + high @ distortion[1]


def _inverse(distortion: Floats, crpix: Floats, order: int, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return AP and BP: the order is raised until the round trip over the frame is good."""
    u, v = _grid(shape, MARGIN)
    u, v = u - crpix[0], v - crpix[1]
    fu, fv = _distort(u, v, distortion, order)
    best = np.zeros((2, transform.n_terms(order)))
    used = order
    for trial in range(min(order, MAX_INVERSE_ORDER), max(order, MAX_INVERSE_ORDER) + 1):
        best, used = transform.fit(fu, fv, u - fu, v - fv, trial), trial
        back_u, back_v = transform.evaluate(best, fu, fv)
        if np.max(np.hypot(fu + back_u - u, fv + back_v - v)) < INVERSE_GOAL:
            break
    return _matrices(best, 0, used)


def _grid(shape: tuple[int, int], margin: float) -> tuple[Floats, Floats]:
    my, mx = margin * shape[0], margin * shape[1]
    x, y = np.meshgrid(np.linspace(-mx, shape[1] - 1 + mx, GRID), np.linspace(-my, shape[0] - 1 + my, GRID))
    return x.ravel(), y.ravel()


def round_trip(wcs: "WCS", shape: tuple[int, int]) -> float:
    """Return the largest error [pixel] of pixel -> focal plane -> pixel through AP and BP; 0 for TAN."""
    if wcs.sip is None:
        return 0.0
    x, y = _grid(shape, 0.0)
    # offsets from CRPIX on both sides: what a reader that trusts AP and BP computes
    fx, fy = wcs.sip_pix2foc(x, y, 0)
    bx, by = wcs.sip_foc2pix(fx, fy, 0)
    return float(np.max(np.hypot(bx - x, by - y)))


def propagate(
    reference: "WCS",
    from_reference: Floats,
    shape: tuple[int, int],
    *,
    min_order: int = 1,
    max_order: int = 5,
    near: tuple[float, float] | None = None,
) -> "tuple[WCS, float]":
    """Carry the WCS of the reference to a frame.

    Parameters
    ----------
    reference
        WCS of the reference grid.
    from_reference
        `core.transform` map from reference to frame pixels.
    shape
        Rows and columns of the frame.
    min_order, max_order
        Lowest and highest SIP order tried.
    near
        A place of the reference grid on the frame; None is found from the linear part of the map.

    Returns
    -------
    WCS, residual
        WCS of the frame, and its largest deviation from the composed map over the frame [pixel].

    Raises
    ------
    ValueError
        If `max_order` is below 1.
    SolveError
        If the map is missing (NaN) or cannot be inverted over the frame.
    """
    from astropy.wcs import WCS

    if not np.all(np.isfinite(from_reference)):
        raise SolveError(
            "is NaN.", where="from_reference", remedy="Register the frame first, or leave it out."
        )
    x, y = _grid(shape, 0.0)
    rx, ry = _invert(np.asarray(from_reference, dtype=np.float64), x, y, near)
    ra, dec = (np.asarray(v, dtype=np.float64) for v in reference.all_pix2world(rx, ry, 0))
    start = WCS(naxis=2)
    start.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    start.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    middle = _invert(
        np.asarray(from_reference), np.array([(shape[1] - 1) / 2]), np.array([(shape[0] - 1) / 2]), near
    )
    ra0, dec0 = reference.all_pix2world(*middle, 0)
    start.wcs.crval = [float(ra0[0]), float(dec0[0])]
    best: tuple[WCS, float] | None = None
    for order in range(min_order, max_order + 1):
        wcs = fit_wcs(x, y, ra, dec, start=start, order=order, shape=shape)
        residual = _residual(wcs, x, y, ra, dec)
        if best is None or residual < best[1]:
            best = wcs, residual
        if best[1] < PROPAGATED_GOAL:
            break
    if best is None:
        raise ValueError("max_order must be 1 or more")
    return best


def _residual(wcs: "WCS", x: Floats, y: Floats, ra: Floats, dec: Floats) -> float:
    """Return the largest distance [pixel] between given and fitted sky positions of pixels."""
    ra0, dec0 = (float(v) for v in wcs.wcs.crval)
    got_ra, got_dec = wcs.all_pix2world(x, y, 0)
    gone, want = project(got_ra, got_dec, ra0, dec0), project(ra, dec, ra0, dec0)
    scale = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix)))
    return float(np.max(np.hypot(*(gone - want).T)) / scale)


def _invert(
    c: Floats, x: Floats, y: Floats, near: tuple[float, float] | None = None
) -> tuple[Floats, Floats]:
    """Return the points that the map takes to (x, y).

    Raises
    ------
    SolveError
        If it does not converge: the map folds within the frame.
    """
    u, v = transform.invert(c, x, y, near)
    if np.isfinite(u).all() and np.isfinite(v).all():
        return u, v
    raise SolveError(
        "cannot be inverted over the frame.", where="from_reference", remedy="Lower `max_degree`."
    )

"""From SIP to TPV: the same distortion as polynomials of the tangent plane, for programs that read only that.

SCAMP and SWarp read TPV and skip SIP; others read SIP and skip TPV. SIP bends pixel offsets before CD, TPV
bends what CD makes of them. CD is linear and invertible, so that a SIP polynomial of degree n is a TPV
polynomial of degree n, exactly (Shupe et al. 2012, Proc. SPIE 8451, 84511M), up to degree 7, where TPV ends.
TPV has also terms in the radius; they stay zero.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.core.directions import unit_vectors
from sciastro.core.wcs import wcs_to_header
from sciastro.errors import HeaderError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["HIGHEST", "LIMIT", "RESIDUAL", "RESIDUAL_COMMENT", "header_as", "sip_to_tpv"]

Floats = npt.NDArray[np.float64]

HIGHEST = 7  # degree of TPV
LIMIT = 1.0  # mas: largest difference from the SIP solution that is written
RESIDUAL, RESIDUAL_COMMENT = "TPVRESID", "[mas] largest difference from the SIP fit"
NODES = 25  # per axis of the grid that both are compared on


def header_as(wcs: "WCS", distortion: str, shape: tuple[int, int] | None = None) -> fits.Header:
    """Return the cards of a WCS with its distortion as "sip" or "tpv".

    Parameters
    ----------
    wcs
        TAN, TAN-SIP, or anything else, which is written as it is.
    distortion
        "sip" writes `wcs` as it is; "tpv" converts SIP, and states the largest difference over the image in
        the card ``TPVRESID`` [mas].
    shape
        Rows and columns; None takes ``wcs.pixel_shape``.

    Raises
    ------
    HeaderError
        As `sip_to_tpv`.
    """
    if distortion != "tpv" or wcs.sip is None:
        return wcs_to_header(wcs)
    converted, residual = sip_to_tpv(wcs, shape)
    header = wcs_to_header(converted)
    header[RESIDUAL] = (float(f"{residual:.3g}"), RESIDUAL_COMMENT)
    return header


def sip_to_tpv(wcs: "WCS", shape: tuple[int, int] | None = None) -> "tuple[WCS, float]":
    """Return a TAN-SIP WCS as TPV, and the largest difference between both over the image [mas].

    Exact up to degree 7; of a higher degree, the least-squares polynomial of degree 7 over the image.

    Parameters
    ----------
    wcs
        TAN-SIP with A and B; AP and BP are left out, readers of TPV iterate.
    shape
        Rows and columns; None takes ``wcs.pixel_shape``.

    Raises
    ------
    HeaderError
        If it is no TAN-SIP, its size is unknown, or the difference exceeds 1 mas.
    """
    size = shape or (None if wcs.pixel_shape is None else (wcs.pixel_shape[1], wcs.pixel_shape[0]))
    if wcs.sip is None or wcs.sip.a is None or wcs.sip.b is None or "TAN" not in wcs.wcs.ctype[0]:
        raise HeaderError("is no TAN-SIP.", where="WCS", remedy="Write it as it is (distortion 'sip').")
    if size is None:
        raise HeaderError("has no image size.", where="WCS", remedy="Set its pixel_shape.")
    cd = np.asarray(wcs.pixel_scale_matrix, dtype=np.float64)
    order = max(len(wcs.sip.a), len(wcs.sip.b)) - 1
    pixels = _whole(wcs.sip.a, wcs.sip.b, order)
    if order <= HIGHEST:
        forth: Floats = np.einsum("ck,kij->cij", cd, pixels).astype(np.float64)
        plane = _substituted(forth, np.linalg.inv(cd).astype(np.float64))
    else:
        plane = _fitted(pixels, cd, np.asarray(wcs.sip.crpix, dtype=np.float64) - 1, size)
    out = _tpv(wcs, cd, plane, size)
    residual = _difference(wcs, out, size)
    if not residual <= LIMIT:
        raise HeaderError(
            f"of SIP order {order} differs by {residual:.3g} mas, and {LIMIT:g} mas is the limit.",
            where="TPV form",
            remedy="Write SIP (distortion 'sip').",
        )
    return out, residual


def _whole(a: Floats, b: Floats, order: int) -> Floats:
    """Return the polynomials u + A(u, v) and v + B(u, v), (2, i, j)."""
    out = np.zeros((2, order + 1, order + 1))
    out[0, : len(a), : len(a)] = a
    out[1, : len(b), : len(b)] = b
    out[0, 1, 0] += 1
    out[1, 0, 1] += 1
    return out


def _substituted(terms: Floats, matrix: Floats) -> Floats:
    """Return polynomials (2, i, j) of (u, v) as those of (x, y), where (u, v) = matrix (x, y)."""
    order = terms.shape[1] - 1
    out = np.zeros_like(terms)
    for i in range(order + 1):
        for j in range(order + 1 - i):
            for p in range(i + 1):  # u**i: p factors give x, the others y
                left = math.comb(i, p) * matrix[0, 0] ** p * matrix[0, 1] ** (i - p)
                for q in range(j + 1):
                    right = math.comb(j, q) * matrix[1, 0] ** q * matrix[1, 1] ** (j - q)
                    out[:, p + q, i + j - p - q] += terms[:, i, j] * left * right
    return out


def _fitted(pixels: Floats, cd: Floats, crpix: Floats, shape: tuple[int, int]) -> Floats:
    """Return the polynomials of degree `HIGHEST` of the tangent plane nearest to those of pixels."""
    x, y = _grid(shape)
    u, v = x - crpix[0], y - crpix[1]
    target = np.einsum(
        "ck,kn->cn", cd, np.stack([np.polynomial.polynomial.polyval2d(u, v, t) for t in pixels])
    )
    xi, eta = cd @ np.stack([u, v])
    reach = float(np.max(np.hypot(xi, eta)))
    places = [(i, k - i) for k in range(1, HIGHEST + 1) for i in range(k + 1)]
    design = np.stack([(xi / reach) ** i * (eta / reach) ** j for i, j in places], axis=1)
    solution, *_ = np.linalg.lstsq(design, target.T, rcond=None)
    out = np.zeros((2, HIGHEST + 1, HIGHEST + 1))
    for (i, j), values in zip(places, solution, strict=True):
        out[:, i, j] = values / reach ** (i + j)
    return out


def _numbers() -> dict[tuple[int, int], int]:
    """Return m of PV1_m by powers (of its own axis, of the other); odd degrees end with a radial term."""
    numbers, m = {}, 0
    for degree in range(HIGHEST + 1):
        for other in range(degree + 1):
            numbers[degree - other, other] = m
            m += 1
        m += degree % 2
    return numbers


def _tpv(wcs: "WCS", cd: Floats, plane: Floats, shape: tuple[int, int]) -> "WCS":
    from astropy.wcs import WCS

    out = WCS(naxis=2)
    out.wcs.crval, out.wcs.crpix, out.wcs.cd = wcs.wcs.crval, wcs.sip.crpix, cd
    out.wcs.cunit, out.wcs.radesys = ["deg", "deg"], wcs.wcs.radesys
    names = [name.replace("TAN-SIP", "TPV").replace("TAN", "TPV") for name in wcs.wcs.ctype]
    out.wcs.ctype = names
    cards = []
    for (own, other), m in _numbers().items():
        if own + other >= plane.shape[1]:
            continue
        for axis, value in ((1, plane[0, own, other]), (2, plane[1, other, own])):
            if value != 0 or m == 1:
                cards.append((axis, m, float(value)))
    out.wcs.set_pv(cards)
    out.pixel_shape = (shape[1], shape[0])
    out.wcs.set()
    return out


def _grid(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    x, y = np.meshgrid(np.linspace(-0.5, shape[1] - 0.5, NODES), np.linspace(-0.5, shape[0] - 0.5, NODES))
    return x.ravel(), y.ravel()


def _difference(one: "WCS", other: "WCS", shape: tuple[int, int]) -> float:
    """Return the largest distance between the positions that both give pixels of the image [mas]."""
    x, y = _grid(shape)
    vectors = []
    for wcs in (one, other):
        vectors.append(unit_vectors(*wcs.all_pix2world(x, y, 0)))
    chord = np.linalg.norm(vectors[0] - vectors[1], axis=-1)
    return float(np.rad2deg(chord.max()) * 3.6e6)

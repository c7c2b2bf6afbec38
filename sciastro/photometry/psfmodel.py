"""The point spread function of one image: tables on a fine grid, varying over the field.

The value at an offset is the share of a star's light that a pixel there receives (effective PSF: Anderson &
King 2000, PASP 112, 1360). Tables are coefficients of cubic B-splines, one per monomial of the position, as
in DAOPHOT's and PSFEx's polynomial variation.
"""

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.kernels.psf import add_models, combine, field_terms, psf_stamp

__all__ = ["PsfModel", "analytic_table", "grid_step", "moffat_model", "n_terms"]

Floats = npt.NDArray[np.float64]

MOFFAT_BETA = 3.0  # where nothing tells the wings
UNDERSAMPLED = 2.0  # pixel: narrower stars depend on where in a pixel they fall


def n_terms(order: int) -> int:
    """Return how many monomials a polynomial of `order` in two variables has."""
    return (order + 1) * (order + 2) // 2


def grid_step(fwhm: float) -> int:
    """Return nodes per pixel for stars of `fwhm` [pixel]: nine or so per width."""
    return int(np.clip(np.ceil(9.0 / fwhm), 2, 6))


@dataclass(frozen=True, kw_only=True, slots=True)
class PsfModel:
    """A PSF over a field.

    Attributes
    ----------
    tables
        float64 (term, node, node), B-spline coefficients; terms are the monomials 1, u, v, u2, uv, v2, ...
    step
        Nodes per pixel.
    field
        x0, y0, scale [pixel]: u = (x - x0) / scale, v likewise.
    fwhm
        Of the PSF with the pixel at the middle of the field [pixel].
    radius
        Beyond this the tables are 0 [pixel].
    total_radius
        A star's flux is the light within this radius, as that of aperture photometry; NaN where the tables
        themselves are of unit sum (no star could tell).
    normalization_err, scatter
        Relative error of that, common to all stars; relative scatter of fluxes that noise does not explain.
    blur
        Relative error of the profile per pixel.
    n_stars, kind, note
        Stars that it is from; "empirical", "moffat" (analytic, fitted) or "assumed" (no star); what else
        to know.
    stars
        (star, 2) x, y of those stars [pixel].
    """

    tables: Floats
    step: int
    field: tuple[float, float, float]
    fwhm: float
    radius: float
    total_radius: float = float("nan")
    normalization_err: float = float("nan")
    scatter: float = 0.0
    blur: float = 0.0
    n_stars: int = 0
    kind: str = "empirical"
    note: str = ""
    stars: Floats = dataclasses.field(default_factory=lambda: np.empty((0, 2)))

    @property
    def order(self) -> int:
        """Degree of the polynomial over the field."""
        return next(k for k in range(20) if n_terms(k) >= self.tables.shape[0])

    @property
    def frame(self) -> Floats:
        """Return `field` as kernels take it."""
        return np.array(self.field, dtype=np.float64)

    def terms(self, x: float, y: float) -> Floats:
        """Return the monomials at one place [pixel]."""
        out = np.empty(self.tables.shape[0])
        field_terms(float(x), float(y), self.frame, out)
        return out

    def at(self, x: float, y: float) -> Floats:
        """Return the table of coefficients at one place, (node, node)."""
        n = self.tables.shape[1]
        out = np.empty((n, n))
        combine(self.tables, self.terms(x, y), 0, n, 0, n, out)
        return out

    def stamp(self, x: float, y: float, half: int) -> Floats:
        """Return the share of light per pixel (2 half + 1, 2 half + 1) about the pixel that holds x, y."""
        n, side = self.tables.shape[1], 2 * half + 1
        out = np.empty((3, side, side))
        fx, fy = x - np.floor(x + 0.5), y - np.floor(y + 0.5)
        psf_stamp(self.tables, self.terms(x, y), self.step, fx, fy, half, False, np.empty((n, n)), out)
        return np.asarray(out[0])

    def values(self, x: float, y: float, across: Floats, down: Floats) -> Floats:
        """Return the PSF of a star at x, y at offsets from it [pixel]: all of `down` by all of `across`."""
        n = self.tables.shape[1]
        rows, columns = (_basis(offsets, self.step, n) for offsets in (down, across))
        return np.asarray(rows @ self.at(x, y) @ columns.T)

    def render(self, shape: tuple[int, int], x: Floats, y: Floats, flux: Floats) -> npt.NDArray[np.float32]:
        """Return the image of stars on nothing, float32 `shape`, in the unit of `flux`."""
        out = np.zeros(shape, np.float32)
        reach = np.full(len(x), np.ceil(self.radius))
        add_models(
            out, self.tables, self.frame, self.step, np.asarray(x, np.float64), np.asarray(y, np.float64),
            np.asarray(flux, np.float64), reach,
        )  # fmt: skip
        return out

    def scaled(self, factor: float) -> "PsfModel":
        """Return the model with all values times `factor`."""
        return replace(self, tables=self.tables * factor)

    def facts(self) -> dict[str, Any]:
        """Return what a table's meta and a header say about the model."""
        return {
            "psf_kind": self.kind,
            "psf_stars": self.n_stars,
            "psf_order": self.order,
            "psf_step": self.step,
            "psf_fwhm": self.fwhm,
            "psf_radius": self.radius,
            "total_radius": self.total_radius,
            "psf_normalization_err": self.normalization_err,
            "psf_scatter": self.scatter,
            "psf_blur": self.blur,
            "psf_note": self.note,
        }


def _basis(offsets: Floats, step: int, n: int) -> Floats:
    """Return the cubic B-splines of `n` nodes at offsets from the middle one [pixel], (offset, node)."""
    distance = np.abs(np.asarray(offsets, np.float64)[:, None] * step + (n - 1) // 2 - np.arange(n)[None])
    near = (4 - 6 * distance**2 + 3 * distance**3) / 6
    return np.asarray(np.where(distance < 1, near, np.where(distance < 2, (2 - distance) ** 3 / 6, 0.0)))


def node_offsets(radius: float, step: int) -> Floats:
    """Return the offsets of the nodes along one axis [pixel], the middle one 0."""
    half = int(np.ceil(radius * step)) + 2
    return np.arange(-half, half + 1) / step


def taper(radius: float, offsets: Floats) -> Floats:
    """Return 1 within 0.88 of `radius`, falling smoothly to 0 at `radius`, (node, node)."""
    r = np.hypot(offsets[:, None], offsets[None]) / radius
    t = np.clip((r - 0.88) / 0.12, 0, 1)
    return np.asarray(0.5 * (1 + np.cos(np.pi * t)))


def analytic_table(
    width: tuple[float, float, float], beta: float, offsets: Floats, *, inside: float
) -> Floats:
    """Return B-spline coefficients (node, node) of a Moffat that is integrated over pixels.

    Parameters
    ----------
    width
        a, b, c of ``q = a dx2 + 2 b dx dy + c dy2`` [1 / pixel2]; profile ``(1 + q)**-beta``.
    beta
        Exponent.
    offsets
        Of the nodes [pixel].
    inside
        The light within this radius [pixel] is 1.
    """
    from scipy.ndimage import spline_filter

    nodes, weights = np.polynomial.legendre.leggauss(4)
    total = np.zeros((offsets.size, offsets.size))
    a, b, c = width
    for v, wv in zip(nodes / 2, weights / 2, strict=True):
        for u, wu in zip(nodes / 2, weights / 2, strict=True):
            dx, dy = offsets[None] + u, offsets[:, None] + v
            total += wv * wu * (1 + a * dx**2 + 2 * b * dx * dy + c * dy**2) ** -beta
    step = round(1 / (offsets[1] - offsets[0]))
    near = np.hypot(offsets[:, None], offsets[None]) <= inside
    total *= step**2 / total[near].sum()
    return np.asarray(spline_filter(total * taper(float(offsets[-1] - 2 / step), offsets), order=3))


def isotropic(fwhm: float, beta: float) -> tuple[float, float, float]:
    """Return a, b, c of a round Moffat of `fwhm` [pixel]."""
    a = 4 * (2 ** (1 / beta) - 1) / fwhm**2
    return a, 0.0, a


def moffat_model(
    shape: tuple[int, int], fwhm: float, *, radius: float, inside: float, beta: float = MOFFAT_BETA
) -> PsfModel:
    """Return a round Moffat of seeing `fwhm` [pixel] for an image of `shape`, with the pixel in it."""
    step = grid_step(fwhm)
    intrinsic = float(np.sqrt(max(fwhm**2 - 0.6, (0.6 * fwhm) ** 2)))  # less the pixel's own width
    table = analytic_table(isotropic(intrinsic, beta), beta, node_offsets(radius, step), inside=inside)
    middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2, 0.5 * float(np.hypot(*shape)))
    return PsfModel(
        tables=table[None], step=step, field=middle, fwhm=float(fwhm), radius=radius, kind="assumed",
        note=f"no star could tell the profile: a round Moffat of the measured width, beta {beta:g}",
    )  # fmt: skip

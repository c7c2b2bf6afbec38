"""Stars that calibrate colors: their fluxes, and what their light should be by color or spectrum."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.photometry.locus import bp_rp_from, locus_photons

__all__ = ["ColorStars", "colored", "locus_color", "photons_of_stars"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColorStars:
    """Stars that calibrate: fluxes in all bands, colors, and spectra where they are measured.

    Attributes
    ----------
    flux, flux_err
        (star, band) [electron / s]; NaN or not positive is left out.
    b_v, bp_rp
        (star) [mag]; NaN unknown.
    b_v_err, bp_rp_err
        Their standard errors [mag]; NaN unknown, which counts as none.
    photons
        (star, wavelength) at `locus.WAVELENGTHS`, relative; rows of NaN without a measured spectrum; None
        for none.
    """

    flux: Floats
    flux_err: Floats
    b_v: Floats
    bp_rp: Floats
    b_v_err: Floats
    bp_rp_err: Floats
    photons: Floats | None = None

    @classmethod
    def of(
        cls,
        flux: npt.ArrayLike,
        flux_err: npt.ArrayLike,
        *,
        b_v: npt.ArrayLike | None = None,
        bp_rp: npt.ArrayLike | None = None,
        b_v_err: npt.ArrayLike | None = None,
        bp_rp_err: npt.ArrayLike | None = None,
        photons: npt.ArrayLike | None = None,
    ) -> "ColorStars":
        """Return them as float64, unknown colors as NaN."""
        rate = np.asarray(flux, dtype=np.float64)

        def known(values: npt.ArrayLike | None) -> Floats:
            return np.full(len(rate), np.nan) if values is None else np.asarray(values, dtype=np.float64)

        return cls(
            flux=rate,
            flux_err=np.asarray(flux_err, dtype=np.float64),
            b_v=known(b_v),
            bp_rp=known(bp_rp),
            b_v_err=known(b_v_err),
            bp_rp_err=known(bp_rp_err),
            photons=None if photons is None else np.asarray(photons, dtype=np.float64),
        )

    def sound(self) -> npt.NDArray[np.bool_]:
        """Return which stars have positive fluxes and errors in every band."""
        with np.errstate(invalid="ignore"):
            return np.asarray(
                (self.flux > 0).all(axis=1)
                & np.isfinite(self.flux_err).all(axis=1)
                & (self.flux_err > 0).all(axis=1)
            )

    def part(self, keep: npt.NDArray[np.bool_]) -> "ColorStars":
        """Return some of the stars."""
        photons = self.photons[keep] if self.photons is not None else None
        return ColorStars(
            flux=self.flux[keep], flux_err=self.flux_err[keep], b_v=self.b_v[keep], bp_rp=self.bp_rp[keep],
            b_v_err=self.b_v_err[keep], bp_rp_err=self.bp_rp_err[keep], photons=photons,
        )  # fmt: skip


def locus_color(stars: ColorStars) -> Floats:
    """Return BP-RP [mag] of each star, from B-V where Gaia's is unknown."""
    own = stars.bp_rp
    if np.isfinite(own).all():
        return own
    return np.asarray(np.where(np.isfinite(own), own, bp_rp_from(stars.b_v)))


def photons_of_stars(stars: ColorStars) -> Floats:
    """Return photons (star, wavelength): measured ones, else those of the locus; NaN beyond it."""
    photons = locus_photons(locus_color(stars))
    if stars.photons is None:
        return photons
    known = np.asarray(np.isfinite(stars.photons).all(axis=1), dtype=np.bool_)
    return np.asarray(np.where(known[:, None], stars.photons, photons))


def colored(stars: ColorStars, method: str) -> npt.NDArray[np.bool_]:
    """Return which stars have the color or spectrum that a method needs."""
    if method in ("empirical", "blackbody"):
        with np.errstate(invalid="ignore"):
            return np.asarray((stars.b_v > -0.4) & (stars.b_v < 2.2))
    color = np.isfinite(locus_color(stars))
    if method == "spectra" and stars.photons is not None:
        return np.asarray(color & np.isfinite(stars.photons).all(axis=1))
    return np.asarray(color & np.isfinite(photons_of_stars(stars)).all(axis=1))

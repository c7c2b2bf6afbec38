"""The response of a camera in several bands: the light expected of spectra, and where it falls.

Spectra are photons per wavelength on one grid (`locus.WAVELENGTHS`), (star, wavelength), in any unit:
only ratios between bands count. A band becomes a row of weights, ``integral T(lambda) hat_k(lambda) d
lambda`` with hat_k the linear interpolation of the grid, so that narrow bands are exact for spectra that
are linear between samples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError
from sciastro.photometry.bandpass import Bandpass
from sciastro.photometry.locus import WAVELENGTHS
from sciastro.photometry.spectra import LEAST_OVERLAP, Spectrum

__all__ = ["KNOTS", "Response", "hats", "make_response", "photons_of"]

Floats = npt.NDArray[np.float64]

KNOTS = 8  # of the piecewise-linear correction of a band
FINE = 20  # steps per cell of the grid
LEAST_INSIDE = 0.98  # share of a band that must lie on the grid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Response:
    """Weights of several bands on the grid of spectra.

    Attributes
    ----------
    bands
        Names, such as ("R", "G", "B").
    weights
        float64 (band, wavelength): electrons per photon per wavelength, integrated over each node.
    curves
        The passbands, air included.
    """

    bands: tuple[str, ...]
    weights: Floats
    curves: tuple[Bandpass, ...]

    def log_light(self, photons: Floats) -> Floats:
        """Return ln of the electrons of spectra (star, wavelength), (star, band)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.log(photons @ self.weights.T))

    def shares(self, photons: Floats, knots: Floats) -> Floats:
        """Return which part of each band's electrons falls on each knot, (star, band, knot); sums to 1.

        Parameters
        ----------
        knots
            (band, knot, wavelength), see `hats`.
        """
        total = photons @ self.weights.T
        parts = np.einsum("iw,bw,bkw->ibk", photons, self.weights, knots, optimize=True)
        return np.asarray(parts / total[:, :, None])

    def bent(self, log_factor: Floats) -> "Response":
        """Return it with each band times exp(log_factor), (band, wavelength)."""
        weights = self.weights * np.exp(log_factor)
        return Response(bands=self.bands, weights=weights, curves=self.curves)


def make_response(bands: dict[str, Bandpass], through: Bandpass | None = None) -> Response:
    """Return the response of `bands`, each behind `through` (air, a common filter) where it is given.

    Raises
    ------
    OptionError
        Where a band lies outside 330 to 1050 nm, where stars' spectra are known.
    """
    curves = {name: band * through if through is not None else band for name, band in bands.items()}
    rows = [_weights(name, band) for name, band in curves.items()]
    return Response(bands=tuple(curves), weights=np.stack(rows), curves=tuple(curves.values()))


def _weights(name: str, band: Bandpass) -> Floats:
    step = float(WAVELENGTHS[1] - WAVELENGTHS[0])
    fine = np.linspace(WAVELENGTHS[0], WAVELENGTHS[-1], FINE * (len(WAVELENGTHS) - 1) + 1)
    own = band.wavelength[(band.wavelength > fine[0]) & (band.wavelength < fine[-1])]
    fine = np.union1d(fine, own)
    middle, width = 0.5 * (fine[1:] + fine[:-1]), np.diff(fine)
    light = 0.5 * (band.at(fine[1:]) + band.at(fine[:-1])) * width
    every = band.grid()
    whole = float(np.trapezoid(band.at(every), every))
    if light.sum() < LEAST_INSIDE * whole:
        raise OptionError(
            f"covers {band.range_text()}.", where=f"passband of {name!r}",
            remedy=f"Spectra are known from {WAVELENGTHS[0]:.0f} to {WAVELENGTHS[-1]:.0f} nm; "
            "leave this band out, or check the unit of its wavelengths.",
        )  # fmt: skip
    place = (middle - WAVELENGTHS[0]) / step
    left = np.minimum(place.astype(np.int64), len(WAVELENGTHS) - 2)
    part = place - left
    out = np.bincount(left, light * (1 - part), minlength=len(WAVELENGTHS))
    out += np.bincount(left + 1, light * part, minlength=len(WAVELENGTHS))
    return np.asarray(out)


def hats(response: Response, count: int = KNOTS) -> Floats:
    """Return hat functions over each band, (band, knot, wavelength): knots at even shares of its light."""
    out = np.zeros((len(response.bands), count, len(WAVELENGTHS)))
    for b, weights in enumerate(response.weights):
        total = np.cumsum(weights) / weights.sum()
        knots = np.interp(np.linspace(0.005, 0.995, count), total, WAVELENGTHS)
        knots = np.maximum.accumulate(knots + 1e-6 * np.arange(count))
        for k in range(count):
            unit = np.zeros(count)
            unit[k] = 1.0
            out[b, k] = np.interp(WAVELENGTHS, knots, unit)
    return out


def photons_of(spectrum: Spectrum, response: Response | None = None) -> Floats:
    """Return photons per wavelength of a spectrum at `WAVELENGTHS`, relative to the largest.

    Raises
    ------
    OptionError
        If it covers less than 99 % of a band of `response`.
    """
    low, high = spectrum.wavelength[0], spectrum.wavelength[-1]
    grid = np.asarray(WAVELENGTHS)
    covered = (grid >= low - 1e-6) & (grid <= high + 1e-6)
    for name, weights in zip(response.bands, response.weights, strict=True) if response else ():
        share = float(weights[covered].sum() / weights.sum())
        if share < LEAST_OVERLAP:
            raise OptionError(
                f"covers {low:.0f} to {high:.0f} nm, {100 * share:.0f} % of band {name!r}.",
                where=f"spectrum {spectrum.name!r}",
                remedy="Give a spectrum that covers the bands, or check the unit of its wavelengths.",
            )
    flux = np.interp(WAVELENGTHS, spectrum.wavelength, spectrum.flux)
    photons = np.clip(flux, 0, None) * WAVELENGTHS
    return np.asarray(photons / photons.max())

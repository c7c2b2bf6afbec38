"""A field of stars of any spectra, measured through a known camera, for tests of spectra that are fetched."""

import numpy as np
from astropy import units as u
from astropy.table import QTable
from gaia_archive import GRID, Archive, gaia_stars

from sciastro.photometry.bandpass import load
from sciastro.photometry.locus import WAVELENGTHS, color_of
from sciastro.photometry.response import Response, photons_of
from sciastro.photometry.spectra import Spectrum, white_spectrum

BANDS = ("R", "G", "B")
FACTORS = np.array([0.71, 1.0, 0.56])
FIRST = 3017264300000000001


def true_gains(response: Response) -> np.ndarray:
    """Return what makes the Sun white."""
    light = np.exp(response.log_light(photons_of(white_spectrum("G2V"))[None])[0]) * FACTORS
    return light[1] / light


class Field:
    """Stars with spectra of their own, through a camera that is known, in a catalog and an archive."""

    def __init__(self, photons: np.ndarray, response: Response, rng: np.random.Generator) -> None:
        n = len(photons)
        flux = photons / WAVELENGTHS * 550e-16
        pair = load("gaia_BP"), load("gaia_RP")
        self.bp_rp = np.array(
            [color_of(Spectrum(name="", wavelength=WAVELENGTHS, flux=one), *pair) for one in flux]
        )
        self.source = FIRST + 7 * np.arange(n)
        self.ra, self.dec = 210.0 + rng.uniform(-0.2, 0.2, n), 54.0 + rng.uniform(-0.1, 0.1, n)
        light = np.exp(response.log_light(photons)) * FACTORS * rng.uniform(50, 500, (n, 1))
        err = light / rng.uniform(60, 400, (n, 1))
        self.tables = {}
        for k, band in enumerate(BANDS):
            columns = {
                "ra": self.ra * u.deg, "dec": self.dec * u.deg, "x": np.arange(n) * u.pix,
                "y": np.arange(n) * u.pix, "flux": (light + rng.normal(0, err))[:, k] * u.electron / u.s,
                "flux_err": err[:, k] * u.electron / u.s, "flags": np.zeros(n, dtype=np.int64),
            }  # fmt: skip
            self.tables[band] = QTable(columns)
        mags = rng.uniform(9, 13, n)
        stars = gaia_stars(self.source, self.ra, self.dec, mags, self.bp_rp)
        given = {int(s): np.interp(GRID, WAVELENGTHS, one) for s, one in zip(self.source, flux, strict=True)}
        self.archive = Archive(flux=given, stars=stars)

    def catalog(self, named: bool = True) -> QTable:
        names = [f"Gaia DR3 {s}" if named else f"TYC {k}-1-1" for k, s in enumerate(self.source)]
        columns = {"id": names, "ra": self.ra * u.deg, "dec": self.dec * u.deg, "bp_rp": self.bp_rp * u.mag}
        return QTable({**columns, "mag": np.full(len(names), 11.0) * u.mag}, meta={"epoch": 2016.0})

"""Star lists of a camera of known response under known air, for tests of color calibration."""

import numpy as np

from sciastro.photometry.atmosphere import air
from sciastro.photometry.bandpass import Bandpass, box, load
from sciastro.photometry.colorstars import ColorStars
from sciastro.photometry.locus import WAVELENGTHS, bp_rp_from, locus_photons
from sciastro.photometry.response import make_response, photons_of
from sciastro.photometry.spectra import white_spectrum

ASSUMED = {
    "bayer": {band: load(f"bayer_{band}") for band in "RGB"},
    "dichroic": {band: load(f"dichroic_{band}") * load("cmos") for band in "RGB"},
    "narrow": {"SII": box(672.4, 5), "Ha": box(656.3, 5), "OIII": box(500.7, 5)},
}
FACTORS = np.array([0.71, 1.0, 0.56])  # the camera's own, per band


def true_response(kind, *, airmass=1.4, tilt=0.0):
    """Return the camera as it is: the assumed one behind air, each band tilted about its middle."""
    bands = {}
    for k, (name, band) in enumerate(ASSUMED[kind].items()):
        grid = band.grid()
        lean = np.exp(tilt * (-1) ** k * (grid - band.pivot) / 100)
        bands[name] = Bandpass(name=name, wavelength=grid, throughput=band.at(grid) * lean)
    return make_response(bands, air(airmass, altitude=300.0))


def stars(rng, n, response, *, snr=(30, 300), gray=0.3, spread=0.01, colors=(0.3, 1.4), grown=False):
    """Return `ColorStars` of the locus: spectra with smooth wiggles of `spread`, photon noise, outliers."""
    bp_rp = rng.uniform(*colors, n)
    nodes = np.linspace(WAVELENGTHS[0], WAVELENGTHS[-1], 12)
    wiggle = np.array([np.interp(WAVELENGTHS, nodes, row) for row in rng.normal(0, spread, (n, 12))])
    photons = locus_photons(bp_rp) * np.exp(wiggle)
    light = np.exp(response.log_light(photons)) * FACTORS
    light *= np.exp(rng.normal(0, gray, n))[:, None]
    err = light / np.exp(rng.uniform(*np.log(snr), n))[:, None] * np.array([1.2, 0.9, 1.3])
    flux = light + rng.normal(0, err)
    if grown:
        flux[: n // 25, 0] *= 1.6  # blends, variables
    return ColorStars.of(flux, err, bp_rp=bp_rp, photons=photons), light


def true_gains(response, white="G2V"):
    """Return the gains that the camera really needs."""
    spectrum = white_spectrum(white)
    light = np.exp(response.log_light(photons_of(spectrum)[None])[0]) * FACTORS
    return light[1] / light


def b_v_stars(stars_, known):
    """Return the same stars with B-V in place of BP-RP."""
    b_v = np.linspace(-0.2, 1.45, 300)
    hue = np.interp(stars_.bp_rp, bp_rp_from(b_v), b_v)
    return ColorStars.of(stars_.flux, stars_.flux_err, b_v=np.where(known, hue, np.nan))

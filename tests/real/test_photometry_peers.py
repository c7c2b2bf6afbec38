"""Apertures on real images against SExtractor and photutils: the same stars, the same light.

Where the numbers differ, the test says why: the sky (a mesh of SExtractor's against our annulus, sources left
in photutils' annulus) and the error of pixels on the rim of the aperture, which count c2 V and not c V.
"""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import SigmaClip
from astropy.table import Table

from sciastro.kernels.aperture import aperture_sums
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.forced import ForcedOptions, forced_photometry
from sciastro.photometry.plane import make_plane
from sciastro.recipe.photometry import PhotometryOptions, measure_target
from sciastro.recipe.photometryimages import Given, read_targets

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not (DATA / "reference").is_dir(), reason="real reference data is not here")

OFF_EDGE, TRUNCATED = 8, 16  # bits of SExtractor's FLAGS


@pytest.fixture(scope="module")
def extracted():
    folder = DATA / "reference" / "sextractor"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cards of 1992
        image, back, rms = (
            fits.getdata(folder / f"{name}.fits").astype(np.float32) for name in ("image", "back", "rms")
        )
    catalog = Table.read(folder / "image.cat", format="ascii.sextractor")
    whole = np.asarray(catalog["FLAGS"]) & (OFF_EDGE | TRUNCATED) == 0
    return image, back, rms, catalog[whole]


def test_same_sky_same_flux_as_sextractor(extracted):
    image, back, rms, catalog = extracted
    x, y = (np.asarray(catalog[f"{axis}_IMAGE"], float) - 1 for axis in "XY")
    none = np.zeros(image.shape, np.uint16)
    sums = aperture_sums(image - back, rms**2, none.astype(bool), none, x, y, 5.0, np.ones((1, 1)))
    quoted = np.asarray(catalog["FLUXERR_APER"])
    assert np.abs(sums[0] - catalog["FLUX_APER"]).max() < 0.1 * quoted.min()
    # Errors: sum of c2 V, where SExtractor has the area times V.
    assert np.median(np.sqrt(sums[1]) / quoted) == pytest.approx(0.966, abs=0.005)


def test_local_sky_agrees_with_sextractor_within_errors(extracted):
    image, _, rms, catalog = extracted
    x, y = (np.asarray(catalog[f"{axis}_IMAGE"], float) - 1 for axis in "XY")
    got = forced_photometry(
        image, rms**2, np.zeros(image.shape, np.uint16), x, y, radius=5.0, fwhm=2.5, stars=(x, y),
        unit="adu", options=ForcedOptions(correct=False),
    )  # fmt: skip
    off = (got["flux"].value - catalog["FLUX_APER"]) / got["flux_err"].value
    assert len(off) >= 50
    assert abs(np.median(off)) < 0.3
    assert np.abs(off).max() < 2.5
    assert np.std(off) < 1.0
    assert np.median(got["flux_err"].value / catalog["FLUXERR_APER"]) == pytest.approx(1.016, abs=0.02)


def by_photutils(target, x, y, radius, ring, mask):
    """Return fluxes and errors of photutils with a clipped mean in the same annulus, free of `mask`."""
    from photutils.aperture import (
        ApertureStats,
        CircularAnnulus,
        CircularAperture,
        aperture_photometry,
    )

    places = np.column_stack([x, y])
    sky = ApertureStats(
        target.image, CircularAnnulus(places, *ring), sigma_clip=SigmaClip(3.5), sum_method="center",
        mask=mask,
    )  # fmt: skip
    circle = CircularAperture(places, radius)
    sums = aperture_photometry(target.image, circle, error=np.sqrt(target.variance))
    return np.asarray(sums["aperture_sum"]) - np.asarray(sky.mean) * circle.area, np.asarray(
        sums["aperture_sum_err"]
    )


IMAGES = [
    ("reference/iraf_devpix_M51.fits", Given(gain=2.0), 3.0, 10, 5.0, 3.0),
    ("calib_arcsat_m13/light/M13_sdss_r_20190503_084324.fits", Given(), None, 100, 4.0, 2.0),
]


@pytest.mark.parametrize(("name", "given", "fwhm", "least", "radius", "most"), IMAGES)
def test_photutils_on_the_same_pixels(name, given, fwhm, least, radius, most):
    pytest.importorskip("photutils")
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    target = next(iter(read_targets(path, given)))
    options = PhotometryOptions(radius=f"{radius}px", zeropoint="none", correct=False, fwhm=fwhm)
    found = measure_target(target, options=options)
    x, y = (np.asarray(found.table[name].value) for name in ("x", "y"))
    sound = found.stars.stars
    got = forced_photometry(
        target.image, target.variance, target.quality, x, y, radius=radius, fwhm=found.fwhm,
        stars=(sound["x"], sound["y"]), unit=target.unit, options=ForcedOptions(correct=False),
    )  # fmt: skip
    rows, columns = target.image.shape
    ring = (4.5 * found.fwhm, 8.0 * found.fwhm)
    inside = (np.minimum(x, columns - 1 - x) > ring[1]) & (np.minimum(y, rows - 1 - y) > ring[1])
    bad = int(SourceFlag.POOR_SKY | SourceFlag.CUT | SourceFlag.MIRRORED)
    alone = inside & (np.asarray(got["flags"]) & bad == 0)
    assert alone.sum() >= least
    mine, err = got["flux"].value[alone], got["flux_err"].value[alone]
    plane = make_plane(
        target.image, target.variance, target.quality, np.append(sound["x"], x), np.append(sound["y"], y),
        fwhm=found.fwhm, noise_correlation=1.0,
    )  # fmt: skip
    same, their_err = by_photutils(target, x[alone], y[alone], radius, ring, plane.avoid)
    off = (mine - same) / err
    assert abs(np.median(off)) < 0.05
    assert np.mean(np.abs(off) < 0.5) > 0.9  # a pixel of the annulus more or less, clipped or not
    # Left to itself, photutils' annulus holds stars, and its sky is higher where they are many.
    plain, _ = by_photutils(target, x[alone], y[alone], radius, ring, None)
    higher = np.median((mine - plain) / err)
    assert 0 <= higher < most
    pixels = np.sqrt(err**2 - (np.pi * radius**2 * got["sky_err"].value[alone]) ** 2)
    assert 0.9 < np.median(pixels / their_err) < 1.0

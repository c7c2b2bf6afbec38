"""Curves, spectra and the stellar locus against real ones."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from sciastro.io.curves import read_curves
from sciastro.photometry.bandpass import Bandpass, ab_magnitude, load, magnitude
from sciastro.photometry.locus import WAVELENGTHS, color_of, locus_spectrum
from sciastro.photometry.response import make_response, photons_of
from sciastro.photometry.spectra import Spectrum, vega, white_spectrum

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "spcc"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="real data of spcc is not here")
ALL = FOLDER / "SASP_data.fits"


def curve(name):
    found = read_curves(f"{ALL}#{name}")
    return Bandpass(name=name, wavelength=found.wavelength, throughput=found.only())


@pytest.fixture(scope="module")
def cameras():
    """Return real cameras and our generic shapes of their kind."""
    quantum = curve("IMX571")
    return {
        "color sensor": (
            {band: curve(f"SONY_COLOR_SENSOR_{band}-UVIRCUT") for band in "RGB"},
            {band: load(f"bayer_{band}") for band in "RGB"},
        ),
        "filters": (
            {band: curve(f"BAADER_{band}") * quantum for band in "RGB"},
            {band: load(f"dichroic_{band}") * load("cmos") for band in "RGB"},
        ),
    }


@pytest.fixture(scope="module")
def pickles():
    out = []
    with fits.open(ALL) as hdus:
        for hdu in hdus[1:]:
            if hdu.header["CTYPE"] != "SED" or hdu.name.startswith(("GALAXY", "AVERAGE", "FLAT")):
                continue
            first = np.unique(hdu.data["WAVELENGTH"], return_index=True)[1]
            out.append(
                Spectrum(
                    name=hdu.name, wavelength=hdu.data["WAVELENGTH"][first] / 10.0,
                    flux=hdu.data["FLUX"][first].astype(float),
                )
            )  # fmt: skip
    return out


def ratios(spectrum, bands):
    response = make_response(bands)
    light = response.log_light(photons_of(spectrum)[None])[0]
    return light[[0, 2]] - light[1]


def test_the_locus_against_the_library_of_pickles(pickles, cameras):
    gaia = [load("gaia_BP"), load("gaia_RP")]
    off = []
    for star in pickles:
        color = color_of(star, *gaia)
        # Supergiants (I, II) part from the locus of dwarfs and giants.
        plain = star.name.rstrip("0123456789").endswith(("V", "III")) and not star.name.endswith("II ")
        if -0.4 <= color <= 1.4 and plain:
            real, _ = cameras["color sensor"]
            off.append(ratios(star, real) - ratios(locus_spectrum(color), real))
    off = np.array(off)
    assert len(off) > 60
    assert np.abs(np.median(off, axis=0)).max() < 0.010
    assert (1.4826 * np.median(np.abs(off - np.median(off, axis=0)), axis=0)).max() < 0.020


@pytest.mark.parametrize("kind", ["color sensor", "filters"])
def test_generic_shapes_give_nearly_the_gains_of_real_ones(cameras, kind):
    """What counts is how ratios change from the stars to the white reference, a factor cancels."""
    real, ours = cameras[kind]
    white = white_spectrum("G2V")
    for color in (0.4, 1.1):
        star = locus_spectrum(color)
        true = ratios(white, real) - ratios(star, real)
        assert ratios(white, ours) - ratios(star, ours) == pytest.approx(true, abs=0.035)


def test_our_average_spiral_against_another(cameras):
    found = read_curves(f"{ALL}#AVERAGEGALAXY", negative=True)
    other = Spectrum(name="other", wavelength=found.wavelength, flux=found.only())
    for real, _ in cameras.values():
        assert ratios(white_spectrum("spiral"), real) == pytest.approx(ratios(other, real), abs=0.03)


def calspec(name):
    with fits.open(FOLDER / "calspec" / name) as hdus:
        wavelength, flux = hdus[1].data["WAVELENGTH"] / 10.0, hdus[1].data["FLUX"].astype(float)
    first = np.unique(wavelength, return_index=True)[1]
    return Spectrum(name=name, wavelength=wavelength[first], flux=flux[first])


@pytest.mark.filterwarnings("ignore:Invalid keyword for column")
def test_calspec_magnitudes_as_published():
    # V and B-V of ground photometry in the table of CALSPEC; some of them are good to 0.05 only.
    table = Table.read(FOLDER / "calspec_gaia_matching.csv", format="ascii.csv")
    listed = {str(row["Name"]).strip(): row for row in table}
    off = []
    for path in sorted((FOLDER / "calspec").glob("*.fits")):
        row = listed.get(path.name.split("_stis")[0])
        if row is not None:
            star = calspec(path.name)
            color = color_of(star, load("bessell_B"), load("bessell_V"))
            off.append([magnitude(star, load("bessell_V")) - float(row["V"]), color - float(row["B_V"])])
    off = np.array(off, float)
    assert len(off) >= 9
    assert np.abs(np.median(off, axis=0)).max() < 0.03
    assert np.median(np.abs(off), axis=0).max() < 0.04
    # BD+17 4708 defines AB: u g r i z = 10.560 9.640 9.350 9.250 9.230 (Fukugita et al. 1996)
    star = calspec("bd_17d4708_stisnic_007.fits")
    for band, mag in (("g", 9.640), ("r", 9.350), ("i", 9.250)):
        assert ab_magnitude(star, load(f"sdss_{band}")) == pytest.approx(mag, abs=0.03)
    ours, original = vega(), calspec("alpha_lyr_stis_011.fits")
    for name in ("bessell_B", "gaia_G", "sdss_r"):
        assert ab_magnitude(ours, load(name)) == pytest.approx(ab_magnitude(original, load(name)), abs=1e-3)


def test_xp_spectra_against_their_photometry():
    """Continuous spectra of 28 stars, decoded, have the G, BP and RP of their catalog rows."""
    pytest.importorskip("gaiaxpy")
    pytest.importorskip("pyarrow")
    from sciastro.io.xpspectra import _read, decode_continuous, read_star_spectra

    path = FOLDER / "gaia_dr3_xp_continuous_30.parquet"
    names, grids, fluxes = decode_continuous(_read(path), path)
    rows = _read(FOLDER / "gaia_dr3_xp_continuous_30_sources.parquet")
    known = {str(row["source_id"]): row for row in rows}
    off = []
    for name, grid, flux in zip(names, grids, fluxes, strict=True):
        star = Spectrum(
            name=name, wavelength=np.concatenate([[250.0], grid, [1150.0]]),
            flux=np.concatenate([flux[:1], flux, flux[-1:]]) * 100,
        )  # fmt: skip
        truth = [known[name][f"phot_{band}_mean_mag"] for band in ("g", "bp", "rp")]
        off.append([magnitude(star, load(f"gaia_{band}")) for band in ("G", "BP", "RP")] - np.array(truth))
    off = np.array(off, float)
    assert len(off) == 30
    assert np.abs(np.median(off, axis=0)).max() < 0.02
    assert off.std(axis=0).max() < 0.02
    assert np.abs(np.median(off[:, 1] - off[:, 2])) < 0.006
    assert len(read_star_spectra(path, np.asarray(WAVELENGTHS))) >= 28
    assert isinstance(rows, Table)

"""Colors by fetched spectra: those of the library of Pickles, and real ones of Gaia through GaiaXPy."""

import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from gaia_archive import Archive, serve
from spectra_field import BANDS, Field, true_gains

from sciastro.io.curves import read_curves
from sciastro.photometry.bandpass import Bandpass
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.locus import WAVELENGTHS
from sciastro.photometry.response import make_response
from sciastro.recipe.colorcurves import Site
from sciastro.recipe.setcolor import set_color

sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))
from faulty import FaultyServer

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "spcc"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="real data of spcc is not here")
ALL = FOLDER / "SASP_data.fits"


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Return a function that lets a server speak for an archive."""
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    with FaultyServer() as server:

        def speak(archive):
            for name, address in zip(("SPECTRA", "TAP"), serve(server, archive), strict=True):
                monkeypatch.setenv(f"SCIASTRO_GAIA_{name}", address)

        yield speak


def curve(name):
    found = read_curves(f"{ALL}#{name}")
    return Bandpass(name=name, wavelength=found.wavelength, throughput=found.only())


def pickles():
    """Return photons of the stars of the library, of all classes, from O to M."""
    out = []
    with fits.open(ALL) as hdus:
        for hdu in hdus[1:]:
            if hdu.header["CTYPE"] == "SED" and not hdu.name.startswith(("GALAXY", "AVERAGE", "FLAT")):
                first = np.unique(hdu.data["WAVELENGTH"], return_index=True)[1]
                grid, flux = hdu.data["WAVELENGTH"][first] / 10.0, hdu.data["FLUX"][first].astype(float)
                photons = np.interp(WAVELENGTHS, grid, flux) * WAVELENGTHS
                out.append(photons / photons.max())
    return np.array(out)


def test_gains_of_a_real_camera_by_the_library_of_pickles(served):
    response = make_response({band: curve(f"BAADER_{band}") * curve("IMX571") for band in BANDS})
    field = Field(pickles(), response, np.random.default_rng(3))
    served(field.archive)
    curves = {
        "filters": ",".join(f"{band}={ALL}#BAADER_{band}" for band in BANDS),
        "sensor": f"{ALL}#IMX571", "atmosphere": False,
    }  # fmt: skip

    def off(**options):
        found = set_color(
            field.tables, field.catalog(), cfa=False, site=Site(), sky={},
            options=ColorOptions(**curves, **options),
        ).calibration  # fmt: skip
        return np.array(found.gains) / true_gains(response) - 1, found

    by_spectra, found = off(spectra="gaia")
    err = np.array(found.errors) / np.array(found.gains)
    assert found.method == "spectra" and found.n_stars + found.n_left_out > 100
    assert np.abs(by_spectra).max() < 0.005
    assert (np.abs(by_spectra)[[0, 2]] < 3 * err[[0, 2]]).all()


def test_real_continuous_spectra_through_the_network(served):
    pytest.importorskip("gaiaxpy")
    pandas = pytest.importorskip("pandas")
    from sciastro.io.xpspectra import _numbers, read_star_spectra
    from sciastro.recipe import starspectra

    path = FOLDER / "gaia_dr3_xp_continuous_30.parquet"
    rows = {}
    for row in pandas.read_parquet(path).to_dict("records"):
        rows[int(row["source_id"])] = {
            name: _numbers(value, path).astype(float if name.endswith("coefficients") else np.float32)
            if "coefficient" in name else value
            for name, value in row.items()
        }  # fmt: skip
    served(Archive(continuous=rows))
    kept = {}
    assert starspectra._fetch(list(rows), kept) == [] and len(kept) == 30
    got, known = starspectra._photons(kept), read_star_spectra(path, WAVELENGTHS)
    assert max(np.abs(got[int(name)] - photons).max() for name, photons in known.items()) < 1e-6

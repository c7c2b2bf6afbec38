"""Files of star spectra."""

import numpy as np
import pytest
from astropy.table import Table

from sciastro.errors import FileError, UsageError
from sciastro.io.xpspectra import DEFAULT, read_star_spectra
from sciastro.photometry.locus import WAVELENGTHS


def test_sampled_spectra_become_photons(tmp_path):
    flux = 1 / DEFAULT
    rows = Table({"source_id": np.array([5, 7]), "flux": np.array([flux, 2 * flux])})
    rows.write(tmp_path / "a.fits")
    found = read_star_spectra(tmp_path / "a.fits", np.asarray(WAVELENGTHS))
    assert set(found) == {"5", "7"}
    inside = (WAVELENGTHS >= 336) & (WAVELENGTHS <= 1020)
    assert found["5"][inside] == pytest.approx(found["5"][inside][0], rel=1e-3)  # photon-flat


def test_one_row_per_wavelength(tmp_path):
    listed = Table({"source_id": np.repeat([5, 7], len(DEFAULT)), "wavelength": np.tile(DEFAULT, 2)})
    listed["flux"] = np.concatenate([1 / DEFAULT, DEFAULT])
    listed.write(tmp_path / "a.csv")
    found = read_star_spectra(tmp_path / "a.csv", np.asarray(WAVELENGTHS))
    assert found["7"][-1] > 3 * found["7"][0]


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"name": [1], "flux": [[1.0, 2.0]]}, "no column source_id"),
        ({"source_id": [1], "light": [1.0]}, "neither flux nor bp_coefficients"),
        ({"source_id": [1], "flux": [[1.0, 2.0]]}, "no column wavelength"),
    ],
)
def test_spectra_that_are_none(tmp_path, columns, match):
    Table(columns).write(tmp_path / "a.fits")
    with pytest.raises(FileError, match=match):
        read_star_spectra(tmp_path / "a.fits", np.asarray(WAVELENGTHS))
    with pytest.raises(FileError, match="does not exist"):
        read_star_spectra(tmp_path / "b.fits", np.asarray(WAVELENGTHS))


def test_continuous_spectra_ask_for_gaiaxpy(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gaiaxpy", None)
    Table({"source_id": [1], "bp_coefficients": ["(1.0, 2.0)"]}).write(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="GaiaXPy"):
        read_star_spectra(tmp_path / "a.csv", np.asarray(WAVELENGTHS))

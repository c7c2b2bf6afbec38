"""Broken files of curves and spectra are refused in words, whatever byte is wrong."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from sciastro.errors import SciastroError
from sciastro.io.curves import read_curves
from sciastro.io.xpspectra import read_star_spectra

GRID = np.arange(400.0, 701.0, 50.0)


def broken(good, seed):
    """Return the bytes with one to three wrong ones, or cut short."""
    rng = np.random.default_rng(seed)
    data = bytearray(good)
    for _ in range(int(rng.integers(1, 4))):
        data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
    return bytes(data[: int(rng.integers(1, len(data)))] if seed % 4 == 0 else data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ["csv", "ecsv", "fits"])
@pytest.mark.parametrize("kind", ["curve", "spectra"])
def test_only_errors_in_words(tmp_path, ending, kind):
    if kind == "curve":
        table = QTable({"wavelength": GRID * u.nm, "R": np.linspace(0, 1, GRID.size)})
    else:
        rows = {"source_id": np.repeat([11, 12], GRID.size), "wavelength": np.tile(GRID, 2)}
        table = QTable({**rows, "flux": np.linspace(1, 2, 2 * GRID.size)})
    path = tmp_path / f"a.{ending}"
    table.write(path, overwrite=True)
    good = path.read_bytes()
    refused = 0
    for seed in range(40):
        path.write_bytes(broken(good, seed))
        try:
            if kind == "curve":
                read_curves(path)
            else:
                read_star_spectra(path, GRID)
        except SciastroError as error:
            refused += 1
            assert str(path.name) in str(error)
    assert refused > 3

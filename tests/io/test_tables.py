import shutil
import subprocess

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from sciastro.errors import FileError, OutputError
from sciastro.io.tables import REQUIRED, read_sources, write_sources

UNITS = {"x": u.pix, "y": u.pix, "ra": u.deg, "dec": u.deg, "ra_err": u.arcsec, "dec_err": u.arcsec} | {
    "flux": u.electron / u.s, "flux_err": u.electron / u.s, "mag": u.mag, "mag_err": u.mag, "fwhm": u.pix
}  # fmt: skip


def sources(n=7):
    rng = np.random.default_rng(2)
    table = Table()
    for name in REQUIRED:
        values = rng.normal(100, 3, n)
        table[name] = values * UNITS[name] if name in UNITS else values
        table[name].info.description = f"What {name} is"
    table["id"] = np.arange(1, n + 1, dtype=np.int32)
    table["flags"] = np.full(n, 1 << 19 | 1 << 15, np.uint32)
    table["catalog_id"] = np.array([f"Gaia DR3 {k}" if k % 2 else "" for k in range(n)], dtype="U20")
    if n:
        table["mag"][0] = np.nan
    table.meta = {
        "aperture_radius": np.float64(4.5),
        "aperture_correction_err": float("nan"),
        "flag_meanings": {"65536 CROWDED": "a neighbor's light", "1 DO_NOT_USE": "no"},
        "zeropoint": {"mag": 22.0, "covariance": [[1e-4, 0.0], [0.0, 0.0]]},
    }
    return table


@pytest.mark.parametrize("n", [0, 1, 7])
def test_fits_passes_fitsverify(tmp_path, n):
    program = shutil.which("fitsverify")
    if program is None:
        pytest.skip("fitsverify is not installed")
    _, path = write_sources(tmp_path / "m13_g_sources", sources(n))
    result = subprocess.run([program, "-l", str(path)], capture_output=True, text=True, check=False)
    assert "0 warning(s) and 0 error(s)" in result.stdout, result.stdout[-3000:]


@pytest.mark.parametrize("which", [0, 1])
def test_round_trip(tmp_path, which):
    table = sources()
    paths = write_sources(tmp_path / "m13.v1_g_sources", table)
    assert paths[which].name == ("m13.v1_g_sources.ecsv", "m13.v1_g_sources.fits")[which]
    back = read_sources(paths[which])
    assert back.colnames == table.colnames
    for name in table.colnames:
        np.testing.assert_array_equal(np.asarray(back[name]), np.asarray(table[name]), err_msg=name)
        assert back[name].unit == table[name].unit
        assert not hasattr(back[name], "mask")
    assert np.isnan(back["mag"][0])
    assert back["flags"].dtype == np.uint32


def test_ecsv_keeps_descriptions_and_meta(tmp_path):
    ecsv, _ = write_sources(tmp_path / "m13", sources(), {"target": "M 13"})
    back = read_sources(ecsv)
    assert back["flux"].info.description == "What flux is"
    assert back.meta["target"] == "M 13"
    assert back.meta["flag_meanings"]["65536 CROWDED"] == "a neighbor's light"
    assert back.meta["zeropoint"]["mag"] == 22.0


def test_same_input_same_bytes(tmp_path):
    first = [path.read_bytes() for path in write_sources(tmp_path / "a", sources())]
    second = [path.read_bytes() for path in write_sources(tmp_path / "b", sources())]
    assert first == second


def test_missing_columns_are_refused(tmp_path):
    table = sources()
    table.remove_column("flux_err")
    with pytest.raises(OutputError, match="flux_err"):
        write_sources(tmp_path / "m13", table)


def test_no_table_of_sources_is_refused(tmp_path):
    Table({"a": [1]}).write(tmp_path / "a.ecsv", format="ascii.ecsv")
    with pytest.raises(FileError, match="no table of sources"):
        read_sources(tmp_path / "a.ecsv")
    with pytest.raises(FileError, match="cannot be read"):
        read_sources(tmp_path / "nothing.fits")

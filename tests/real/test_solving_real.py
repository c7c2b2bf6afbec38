"""Real files: a WCS put into their headers, and a night of a Seestar that does not say where it looks."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_nights import reduce

from sciastro.core.wcs import celestial_from_header, tan_wcs
from sciastro.io.fitscards import put_cards
from sciastro.io.reader import probe, read_pixels
from sciastro.recipe.solvewriting import header_of

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
FILES = (
    "wcs_fits/M6707HH_M67_DSS.fits",
    "wcs_fits/decam_1867p255/c4d_180225_074106_ood_g_ls9.S1.fits",
    "wcs_fits/reprojected_sdss_g.fits.bz2",
    "platesolve/panoptes_solved.fits.fz",
)
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data of ../shared are not here"),
    pytest.mark.whole_sky,
]


def verdict(path):
    """What fitsverify counts; nothing where it is not installed."""
    if shutil.which("fitsverify") is None:
        return ""
    words = ["fitsverify", "-q", path.name]
    return subprocess.run(words, cwd=path.parent, capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.parametrize("name", FILES)
def test_the_header_of_a_real_file_takes_a_wcs(name, tmp_path):
    path = tmp_path / Path(name).name
    shutil.copyfile(DATA / name, path)
    one, before, pixels = probe(path)[0], verdict(path), read_pixels(path)
    wcs = tan_wcs(100.0, 20.0, 1.5, one.shape, angle=20.0)
    put_cards(path, one.hdu, header_of(wcs), note="by a test")
    np.testing.assert_array_equal(read_pixels(path), pixels)
    assert verdict(path) == before
    got = celestial_from_header(probe(path)[0].header)
    np.testing.assert_allclose(got.all_pix2world(5, 7, 0), wcs.all_pix2world(5, 7, 0), atol=1e-10)


@pytest.mark.slow
def test_a_seestar_night_without_place_and_scale_is_found(tmp_path):
    night = tmp_path / "night"
    night.mkdir()
    for path in sorted((DATA / "osc_seestar_m94" / "session1").glob("*.fz"))[:4]:
        shutil.copyfile(path, night / path.name)
        with fits.open(night / path.name, mode="update") as hdus:
            for key in ("RA", "DEC", "FOCALLEN", "XPIXSZ", "YPIXSZ"):
                hdus[1].header.remove(key, ignore_missing=True)
    run = reduce(night, tmp_path / "out", "--set", "solve.blind_seconds=300")
    for row in run.summary["products"]:  # M 94 lies at 192.721, 41.120
        ra, dec = row["wcs"]["center_deg"]
        assert np.hypot((ra - 192.768) * np.cos(np.radians(dec)), dec - 41.125) < 0.01
        assert row["wcs"]["scale_arcsec_px"] == pytest.approx(4.751, rel=1e-3)
    assert any("found by its stars alone" in text for text in run.summary["warnings"])

"""A one-shot-color night against its truth: colors lie on one another, and their fluxes are in proportion."""

import numpy as np
import pytest
from acceptance import check_positions
from astropy.io import fits
from night_figures import MASKED, Night, robust_std
from scipy.spatial import cKDTree

from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.bands import star_rates
from sciastro.simulate.camera import XTRANS

pytestmark = pytest.mark.slow

SNR = 50  # of bright stars: circles on coarse pixels hold S/N below 60 or 80, however bright the star


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("color")
    write_night(night_plan("osc"), folder / "session")
    reduce_session(RunRequest(session=folder / "session", out=folder / "out", until="photometry"))
    return Night(folder / "session", folder / "out")


@pytest.fixture(scope="module")
def colors(night):
    return {name[-1]: night.band(name) for name in night.bands}


def _bright(band):
    flags, snr = np.asarray(band.table["flags"]), np.asarray(band.table["snr"])
    use = (flags & MASKED == 0) & (snr > SNR)
    return np.column_stack([band.table["x"].value, band.table["y"].value])[use]


def test_world_coordinates(night):
    check_positions(night)


@pytest.mark.parametrize("color", ["R", "B"])
def test_colors_lie_on_one_another(colors, color):
    # Superpixels have red and blue half a raw pixel apart; the stack must not.
    green, other = _bright(colors["G"]), _bright(colors[color])
    distance, index = cKDTree(other).query(green)
    shift = (other[index] - green)[distance < 0.7]
    assert len(shift) > 80
    assert np.abs(np.median(shift, axis=0)).max() < 0.01
    assert np.median(np.hypot(*shift.T)) < 0.05


def test_fluxes_are_in_proportion(colors):
    # All colors have the scale of one frame, and corrections to all the light that are known to 0.4 %.
    scales = {name: np.median(band.flux_ratios(snr=SNR, share=0.03)[0]) for name, band in colors.items()}
    for name in ("R", "B"):
        assert abs(scales[name] / scales["G"] - 1) < 0.01
    for band in colors.values():
        assert band.table.meta["aperture_correction_err"] < 0.006 * band.table.meta["aperture_correction"]


def test_gains_make_the_sun_gray(night, colors):
    rates = star_rates(("OSC-R", "OSC-G", "OSC-B"), [10.0], [0.65], night.truth.plan.telescope)[0]
    for name, true in (("R", rates[1] / rates[0]), ("B", rates[1] / rates[2])):
        header = fits.getheader(night.out / colors[name].row["image"])
        assert header["COLGAIN"] == pytest.approx(true, abs=3 * header["COLGERR"] + 0.005 * true)


CLEAN = {
    "sky.nebula": "none", "sky.faintest": 14.5, "sky.least_density": 0.0, "seeing": 7.0, "lights": 8,
    "camera.rows": 800, "camera.columns": 1000, "psf.halo": 0.0, "camera.hot_pixels": 2e-4,
    "camera.cosmic_rays": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def clear_session(tmp_path_factory):
    """Stars alone on a smooth sky, 1.7 superpixels wide."""
    folder = tmp_path_factory.mktemp("clear") / "session"
    write_night(night_plan("osc", CLEAN), folder)
    return folder


@pytest.mark.parametrize("method", ["superpixel", "bilinear"])
def test_errors_are_what_is_claimed(clear_session, tmp_path, method):
    recipe = load_recipe(None, [f"calibrate.debayer.method={method}"])
    reduce_session(RunRequest(session=clear_session, out=tmp_path / "out", until="photometry", recipe=recipe))
    reduced = Night(clear_session, tmp_path / "out")
    bands = {name[-1]: reduced.band(name) for name in reduced.bands}
    for band in bands.values():
        rows, stars = band.matched(snr=12, radius=4 * band.row["fwhm_px"], share=0.002)
        assert len(rows) > 100
        for name, true in zip("xy", band.star_xy, strict=True):
            off = band.table[name].value[rows] - true[stars]
            pull = (off - np.median(off)) / band.table[f"{name}_err"].value[rows]
            assert 0.8 < robust_std(pull) < 1.35
        ratio, _, _, _ = band.flux_ratios(snr=12, share=0.002)
        assert robust_std(ratio / band.scale) < 0.03
        assert 0.9 < np.median(band.pixel_scatter()) < 1.1
    for name in "RB":  # the flux of each color is unbiased: one scale for all
        assert abs(bands[name].scale / bands["G"].scale - 1) < 0.005


@pytest.mark.parametrize(("cfa", "seeing"), [("RGGB", 5.0), (XTRANS, 7.0), (XTRANS, 5.0)])
def test_errors_of_undersampled_stars(tmp_path, cfa, seeing):
    # 1.1 to 1.5 superpixels wide: positions were up to 2 times, fluxes up to 6 times as uncertain as told.
    plan = night_plan("osc", {**CLEAN, "seeing": seeing}, settings=[f"camera.cfa={cfa}"])
    write_night(plan, tmp_path / "session")
    reduce_session(RunRequest(session=tmp_path / "session", out=tmp_path / "out", until="photometry"))
    reduced = Night(tmp_path / "session", tmp_path / "out")
    for name in reduced.bands:
        band = reduced.band(name)
        rows, stars = band.matched(snr=12, radius=4 * band.row["fwhm_px"], share=0.002)
        assert len(rows) > 100
        u, v = (true[stars] / 300 for true in band.star_xy)
        terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
        for axis, true in zip("xy", band.star_xy, strict=True):
            # What is common to neighbors is the map of the frame, not the error of a star.
            off, err = band.table[axis].value[rows] - true[stars], band.table[f"{axis}_err"].value[rows]
            good = np.abs(off - np.median(off)) < 5 * robust_std(off)
            fit = np.linalg.lstsq(terms[good] / err[good, None], off[good] / err[good], rcond=None)[0]
            assert 0.75 < robust_std((off - terms @ fit) / err) < 1.35
        ratio, error, _, _ = band.flux_ratios(snr=12, share=0.002)
        assert 0.65 < robust_std((ratio - np.median(ratio)) / error) < 1.4

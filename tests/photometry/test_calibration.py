"""Zero point, color term, extinction and field term against simulated truth; limits, units, real catalogs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table

import sciastro
from sciastro.core.quality import Quality
from sciastro.errors import DatasetError, MatchError, OptionError
from sciastro.photometry.bandpass import load
from sciastro.photometry.extinction import fit_extinction
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.magnitudes import LimitOptions, calibrate_table, upper_limits
from sciastro.photometry.matching import match_catalog
from sciastro.photometry.references import AB_JY, REFERENCES, flux_scale, surface_brightness
from sciastro.photometry.robust import fit_linear, jackknife
from sciastro.photometry.steps import BandCalibration, calibrate_bands, calibrate_photometry, published
from sciastro.photometry.systems import catalog_magnitudes
from sciastro.photometry.zeropoint import ZeroPointOptions, fit_zeropoint

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
Z, C, K = 22.5, 0.08, 0.21
AT = ZeroPointOptions(color_reference=0.7)


def needs(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip("the shared data are absent")
    return path


def night(seed, frames=20, stars=60, clouds=2):
    """Return a night with clouds, variable transparency, scatter of stars and of the catalog, outliers."""
    rng = np.random.default_rng(seed)
    mass, color = np.linspace(1.05, 2.0, frames), rng.uniform(0.2, 1.4, stars)
    cat, cat_err = rng.uniform(10, 15, stars), rng.uniform(0.01, 0.03, stars)
    true = cat + rng.normal(0, cat_err)
    off = rng.normal(0, 0.01, frames)
    off[rng.choice(frames, clouds, replace=False)] -= rng.uniform(0.2, 0.6, clouds)
    frame, star = (a.ravel() for a in np.meshgrid(np.arange(frames), np.arange(stars)))
    err = 0.003 + 0.02 * 10 ** (0.3 * (true[star] - 14))
    mag = true[star] - (Z + C * (color[star] - 0.7) - K * (mass[frame] - 1.5) + off[frame])
    mag += rng.normal(0, 0.02, stars)[star] + rng.normal(0, err)
    wrong = rng.random(mag.size) < 0.02
    mag[wrong] += rng.normal(0, 0.5, wrong.sum())
    seen = rng.random(mag.size) > 0.1
    columns = {
        "mag_inst": mag, "mag_inst_err": err, "mag_cat": cat[star], "mag_cat_err": cat_err[star],
        "color": color[star],
    }  # fmt: skip
    table = QTable({"frame": frame[seen], "star": star[seen], "airmass": mass[frame][seen]})
    for name, values in columns.items():
        table[name] = values[seen] * u.mag
    return table


def test_nights_give_back_zero_point_color_term_and_extinction():
    pulls = []
    for seed in range(100):
        found, reason = fit_extinction(night(seed), zeropoint=AT)
        assert not reason
        zero = found.zeropoint
        off = [zero.mag - (Z - K * (zero.airmass - 1.5)), zero.color_term - C, K - zero.extinction]
        pulls.append(
            [*(off / np.sqrt(np.diag(zero.covariance))[:3]), (found.above[0] - Z - 1.5 * K) / found.above[1]]
        )
    pulls = np.array(pulls)
    assert zero.terms[:3] == ("zeropoint", "color", "airmass")
    assert (np.abs(pulls) < 2.2).mean(axis=0).min() >= 0.94
    assert (pulls.std(axis=0) < 1.2).all(), pulls.std(axis=0)
    assert (pulls.std(axis=0) > 0.8).all(), pulls.std(axis=0)
    assert (np.abs(pulls.mean(axis=0)) < 0.35).all()


def test_clouds_are_clipped_and_told():
    found, _ = fit_extinction(night(3, clouds=3), zeropoint=AT)
    assert (~found.frames["use"]).sum() == 3
    assert (np.abs(found.frames["residual"][~found.frames["use"]].value) > 0.1).all()
    assert found.scatter == pytest.approx(0.01, abs=0.006)
    assert found.frames["zeropoint"].unit == u.mag


def test_a_night_that_tells_no_extinction_says_so():
    table = night(4)
    few = table[np.asarray(table["frame"]) < 4]
    found, _ = fit_extinction(few, zeropoint=AT)
    assert "4 frames, 5 are needed" in found.reason
    assert found.zeropoint.terms == ("zeropoint", "color")
    assert np.isnan(found.above[0])
    found, _ = fit_extinction(few, zeropoint=ZeroPointOptions(color_reference=0.7, extinction=0.2))
    assert (found.zeropoint.extinction, found.zeropoint.extinction_err) == (0.2, 0.0)
    still = table.copy()
    still["airmass"] = 1.3
    assert "airmass spans 0.00" in fit_extinction(still, zeropoint=AT)[0].reason
    still["airmass"] = np.nan
    assert "airmass is unknown" in fit_extinction(still, zeropoint=AT)[0].reason
    lost = table.copy()
    lost["mag_inst"] = np.nan * u.mag
    assert fit_extinction(lost)[1] == "no star has a usable magnitude in any frame"
    with pytest.raises(DatasetError, match="has no column airmass"):
        fit_extinction(QTable(table[[name for name in table.colnames if name != "airmass"]]))


def field(seed, n, size):
    rng = np.random.default_rng(seed)
    color, cat = rng.uniform(0.2, 1.4, n), rng.uniform(9, 14, n)
    inst_err, cat_err = rng.uniform(0.002, 0.02, n), rng.uniform(0.01, 0.03, n)
    x, y = rng.uniform(0, 999, n), rng.uniform(0, 799, n)
    over = size * ((3 * ((x - 499.5) / 499.5) ** 2 - 1) / 2 - 0.7 * (y - 399.5) / 399.5)
    inst = cat + rng.normal(0, cat_err) - Z - C * (color - 0.7) - over
    inst += rng.normal(0, inst_err) + rng.normal(0, 0.01, n)
    return (inst, inst_err, cat, cat_err, color), {"x": x, "y": y, "shape": (800, 1000)}


def test_the_field_term_is_found_where_it_is_and_only_there():
    auto = ZeroPointOptions(color_reference=0.7, spatial="auto")
    flat = [
        fit_zeropoint(*a, **k, options=auto)[0].spatial for a, k in (field(s, 80, 0.0) for s in range(25))
    ]
    assert sum(degree > 0 for degree in flat) <= 1
    pulls = []
    for seed in range(30):
        values, places = field(seed, 200, 0.05)
        fit, _ = fit_zeropoint(*values, **places, options=auto)
        assert fit.spatial == 2
        sigma = dict(zip(fit.terms, np.sqrt(np.diag(fit.covariance)), strict=True))
        value = dict(zip(fit.terms, fit.coefficients, strict=True))
        # The zero point is that of the mean star.
        u_, v_ = (places["x"] - 499.5) / 499.5, (places["y"] - 399.5) / 399.5
        middle = float(np.mean(0.05 * ((3 * u_**2 - 1) / 2 - 0.7 * v_)))
        assert fit.err < 0.003
        truth = {"zeropoint": Z + middle, "color": C, "x": 0.0, "y": -0.035, "x2": 0.05, "xy": 0.0, "y2": 0.0}
        pulls.append([(value[name] - truth[name]) / sigma[name] for name in truth])
    pulls = np.array(pulls)
    assert (np.abs(pulls) < 2).mean() > 0.91
    assert 0.85 < pulls.std() < 1.15
    assert "% better" in fit.spatial_note
    assert np.array(fit.covariance).shape == (7, 7)


def test_a_field_term_of_too_few_stars_is_refused_with_words():
    values, places = field(1, 12, 0.05)
    fit, _ = fit_zeropoint(*values, **places, options=ZeroPointOptions(spatial="2"))
    assert (fit.spatial, fit.spatial_note) == (0, "12 stars are too few for a field term of degree 2")
    fit, _ = fit_zeropoint(*values, **places, options=ZeroPointOptions(spatial="auto"))
    assert "cannot show how the zero point changes" in fit.spatial_note


def test_a_known_extinction_takes_out_the_airmass_over_the_image():
    values, places = field(5, 100, 0.0)
    mass = 1.5 + 0.1 * (places["x"] - 499.5) / 499.5
    inst = values[0] + 0.3 * mass
    fit, _ = fit_zeropoint(
        inst, *values[1:], airmass=mass, options=ZeroPointOptions(color_reference=0.7, extinction=0.3)
    )
    assert fit.mag + 0.3 * fit.airmass == pytest.approx(Z, abs=4 * fit.err)
    assert fit.coefficients[fit.terms.index("airmass")] == -0.3
    at, _ = fit.at(fit.design(0.7, airmass=2.0))
    assert at[0] == pytest.approx(Z - 0.6, abs=4 * fit.err)
    fit, reason = fit_zeropoint(*values, options=ZeroPointOptions(extinction=0.3))
    assert not reason
    assert "airmass is unknown" in fit.note


def test_empirical_errors_agree_where_the_quoted_ones_are_right_and_warn_where_not():
    rng = np.random.default_rng(7)
    design = np.column_stack([np.ones(400), rng.uniform(-1, 1, 400)])
    err = np.full(400, 0.02)
    y = design @ [1.0, 0.1] + rng.normal(0, err)
    fit = fit_linear(design, y, err)
    left_out = jackknife(design, y, err**2)
    np.testing.assert_allclose(np.sqrt(np.diag(left_out)), np.sqrt(np.diag(fit.covariance)), rtol=0.15)
    # 40 stars on 10 frames each, all frames of a star off by the same: the residuals know, the errors do not.
    groups = np.repeat(np.arange(40), 10)
    y = y + rng.normal(0, 0.05, 40)[groups]
    by_star = np.sqrt(jackknife(design, y, err**2, groups)[0, 0])
    assert by_star == pytest.approx(0.05 / np.sqrt(40), rel=0.35)
    assert by_star > 5 * np.sqrt(np.linalg.inv(design.T @ design / 0.02**2)[0, 0])
    assert np.isnan(jackknife(design[:2], y[:2], err[:2] ** 2)).all()


def test_jackknife_is_that_of_real_refits():
    rng = np.random.default_rng(8)
    design, err = np.column_stack([np.ones(12), rng.uniform(-1, 1, 12)]), rng.uniform(0.01, 0.05, 12)
    y, groups = rng.normal(0, err), np.repeat(np.arange(6), 2)

    def solved(rows):
        w = 1 / err[rows] ** 2
        return np.linalg.solve(design[rows].T * w @ design[rows], design[rows].T * w @ y[rows])

    refits = np.array([solved(groups != k) for k in range(6)])
    slow = 5 / 6 * (refits - refits.mean(0)).T @ (refits - refits.mean(0))
    np.testing.assert_allclose(jackknife(design, y, err**2, groups), slow, rtol=1e-8)


def test_limits_hold_at_their_chance():
    rng = np.random.default_rng(9)
    true = rng.uniform(0, 6, 300_000)
    limit = upper_limits(true + rng.normal(0, 1.0, true.size), 1.0, 25.0, sigma=2.0)
    brighter = 25 - 2.5 * np.log10(true) < limit
    assert float(brighter[true > 2].mean()) == pytest.approx(0.02275, rel=0.06)  # one-sided 2 sigma
    assert not brighter[true < 2].any()  # a low draw of the noise never makes the limit deeper than 2 sigma
    # Hand-worked: flux -5, error 2, 3 sigma: 25 - 2.5 log10(6) = 23.0546.
    assert float(upper_limits(-5.0, 2.0, 25.0)) == pytest.approx(23.0546, abs=1e-4)


def test_tables_get_magnitudes_limits_and_shared_errors():
    fit, _ = fit_zeropoint(*field(2, 100, 0.0)[0], system="Johnson V", options=AT)
    table = QTable(
        {"flux": [1000.0, 4.0, -3.0, 1000.0, np.nan] * u.electron / u.s,
         "flux_err": [10.0, 1.0, 1.0, 10.0, 1.0] * u.electron / u.s, "color": [0.7, 0.7, np.nan, 3.0, 0.7]}
    )  # fmt: skip
    out = calibrate_table(table, fit, options=LimitOptions(sigma=3))
    assert out["mag"].value[0] == pytest.approx(fit.mag - 7.5)
    assert out["mag_err"].value[0] == pytest.approx(0.010857, rel=1e-3)
    assert list(np.isfinite(out["mag"].value)) == [True, False, False, True, False]
    assert list(np.isfinite(out["mag_limit"].value)) == [False, True, True, False, False]
    assert out["mag_limit"].value[2] == pytest.approx(fit.mag - 2.5 * np.log10(3))
    flags = np.asarray(out["flags"])
    assert list(flags & SourceFlag.FAINT != 0) == [False, True, True, False, False]
    assert list(flags & SourceFlag.COLOR_BEYOND != 0) == [False, False, False, True, False]
    # The color term's error grows away from the reference color; an unknown color takes the reference.
    assert out["mag_zp_err"].value[0] == pytest.approx(fit.err)
    assert out["mag_zp_err"].value[3] > 3 * fit.err
    assert out["color_assumed"].value[2] == pytest.approx(0.7)
    assert out.meta["mag_system"] == "Johnson V"
    assert table.colnames == ["flux", "flux_err", "color"]


def test_units_of_flux():
    # AB: 1 electron / s of magnitude 25 is 3630.78 Jy * 1e-10 = 363.078 nJy, and Jy have 8.90.
    scale = flux_scale(25.0, 0.02, "SDSS r", "nJy")
    assert scale.factor == pytest.approx(363.078, rel=1e-5)
    assert scale.relative_err == pytest.approx(0.0184207, rel=1e-4)
    assert flux_scale(25.0, 0.02, "SDSS r", "Jy").zeropoint == pytest.approx(8.90, abs=1e-3)
    # Vega: magnitude 0 in V is 3636 Jy and 3.631e-9 erg / s / cm2 / angstrom (Bessell et al. 1998).
    assert flux_scale(0.0, 0.0, "Johnson V", "Jy").factor == pytest.approx(3636.0)
    assert flux_scale(0.0, 0.0, "Johnson V", "erg").factor == pytest.approx(3.631e-9, rel=1e-4)
    for system, name in (("Pan-STARRS", "ps1"), ("SDSS", "sdss")):
        for band in "griz":  # SDSS with air, the curves here without
            pivot = 10 * load(f"{name}_{band}").pivot
            assert REFERENCES[f"{system} {band}"].pivot == pytest.approx(
                pivot, rel=2e-4 if name == "ps1" else 6e-3
            )
    assert flux_scale(0.0, 0.0, "Johnson V", "erg-hz").factor == pytest.approx(3.636e-20, rel=1e-6)
    assert pytest.approx(3630.78, abs=0.01) == AB_JY
    with pytest.raises(OptionError, match="has no flux density of magnitude 0"):
        flux_scale(20.0, 0.1, "Tycho VT", "Jy")
    with pytest.raises(OptionError, match="zero point: is unknown"):
        flux_scale(np.nan, 0.1, "Johnson V", "Jy")
    with pytest.raises(OptionError, match="bunit: is 'lumen'"):
        flux_scale(20.0, 0.1, "Johnson V", "lumen")
    # 4 electron / s in pixels of 2 arcsec are 1 per arcsec2.
    assert surface_brightness([4.0, -1.0], 22.0, 2.0)[0] == pytest.approx(22.0)
    assert np.isnan(surface_brightness([-1.0], 22.0, 2.0)[0])


def test_bad_stars_are_refused_or_told():
    values, _ = field(3, 60, 0.0)
    inst, inst_err, cat, cat_err, color = values
    fit, reason = fit_zeropoint(inst[:2], inst_err[:2], cat[:2], cat_err[:2], color[:2])
    assert fit is None
    assert "2 matched stars" in reason
    fit, _ = fit_zeropoint(inst, inst_err, cat, np.full(60, np.nan), color)
    assert "the catalog gives no errors" in fit.note
    assert fit.scatter > 0.01
    fit, _ = fit_zeropoint(inst, inst_err, cat, cat_err, np.full(60, np.nan))
    assert "0 stars have colors" in fit.note
    assert np.isnan(fit.color_reference)
    at, err = fit.at(fit.design(np.array([0.3, np.nan])))
    assert (at == fit.mag).all()
    assert err == pytest.approx(fit.err)


def measured(n=40, *, flags=0, seed=1):
    """Return a measured table and the catalog of the same stars, zero point 22.5, one arcmin apart."""
    rng = np.random.default_rng(seed)
    mag, color = rng.uniform(9, 13, n), rng.uniform(0.2, 1.4, n)
    inst = mag - Z - C * (color - 0.7) + rng.normal(0, 0.01, n)
    flux = 10 ** (-0.4 * inst)
    places = {"ra": (10 + np.arange(n) / 60) * u.deg, "dec": np.zeros(n) * u.deg}
    table = QTable(
        {**places, "x": np.arange(n) * 1.0 * u.pix, "y": np.arange(n) * 1.0 * u.pix,
         "flux": flux * u.electron / u.s, "flux_err": 0.01 * flux * u.electron / u.s,
         "mag_inst": inst * u.mag, "mag_inst_err": np.full(n, 0.01) * u.mag,
         "flags": np.full(n, flags, np.uint32)},
        meta={"band": "V"},
    )  # fmt: skip
    catalog = QTable(
        {**places, "mag": mag * u.mag, "mag_err": np.full(n, 0.01) * u.mag, "color": color * u.mag},
        meta={"catalog": "stars", "system": "Johnson V"},
    )
    return table, catalog


def test_why_there_is_no_zero_point():
    table, catalog = measured()
    assert calibrate_bands({"V": table}, catalog)["V"].zeropoint.mag == pytest.approx(Z, abs=0.02)
    for band in ("Ha", "unheard of"):
        assert f"no magnitude for filter {band!r}" in calibrate_bands({band: table}, catalog)[band].reason
    lost = calibrate_bands({"V": table}, catalog, options=ZeroPointOptions(system="SDSS z"))["V"]
    assert "the catalog does not lead to 'SDSS z'; known are Johnson U" in lost.reason
    full, _ = measured(flags=int(Quality.SATURATED))
    found = calibrate_bands({"V": full}, catalog)["V"]
    assert found.reason == "none of 40 matched stars is sound (40 saturated)"
    elsewhere = catalog.copy()
    elsewhere["dec"] = elsewhere["dec"] + 1 * u.deg
    assert calibrate_bands({"V": table}, elsewhere)["V"].reason == "no source is where a catalog star is"
    blind = QTable(table[[name for name in table.colnames if name not in ("ra", "dec")]])
    assert calibrate_bands({"V": blind}, catalog)["V"].reason == "the image has no world coordinates"
    two = calibrate_bands({"V": table[:2]}, catalog)["V"]
    assert two.reason == "2 matched stars have usable magnitudes; a zero point needs 3"
    plain = catalog.copy()
    plain["color"] = np.nan * u.mag
    flat = calibrate_bands({"V": table}, plain)["V"].zeropoint
    assert "no color term: 0 stars have colors" in flat.note
    dark = table.copy()
    dark["flux"], dark["mag_inst"] = -dark["flux"], np.nan * u.mag
    assert "0 matched stars have usable magnitudes" in calibrate_bands({"V": dark}, catalog)["V"].reason


def test_tables_in_tables_out():
    table, catalog = measured(60)
    catalog["id"] = [f"star {k}" for k in range(60)]
    plain = QTable(table[["ra", "dec", "flux", "flux_err"]])
    plain["flux"][0], plain["flux"][1] = 3 * plain["flux_err"][0], -plain["flux"][1]
    out = sciastro.calibrate_sources(plain, catalog, band="V")
    pytest.importorskip("pandas")
    by_pandas = sciastro.calibrate_sources(plain.to_pandas(), catalog.to_pandas(), band="V")
    np.testing.assert_allclose(by_pandas["mag"].value, out["mag"].value, rtol=1e-12)
    with pytest.raises(DatasetError, match="is list"):
        sciastro.calibrate_sources([1.0], catalog, band="V")
    assert plain.colnames == ["ra", "dec", "flux", "flux_err"]
    off = (out["mag"] - catalog["mag"]).value[2:]
    assert np.abs(off).max() < 0.06
    assert out.meta["zeropoint"]["system"] == "Johnson V"
    assert list(out["catalog_id"][:2]) == ["star 0", "star 1"]
    assert not out["calibrates"][:2].any()
    assert out["calibrates"][2:].sum() >= 55
    assert np.isfinite(out["mag_limit"][:2].value).all()
    assert out["mag"].unit == u.mag
    assert len(out.to_pandas()) == 60
    with pytest.raises(MatchError, match="no magnitude for filter 'Ha'"):
        sciastro.calibrate_sources(plain, catalog, band="Ha")
    with pytest.raises(DatasetError, match="has no column flux_err"):
        sciastro.calibrate_sources(QTable(plain[["ra", "dec", "flux"]]), catalog, band="V")


def test_published_magnitudes_take_the_color_of_their_star():
    table, catalog = measured(60)
    catalog["g_mag"], catalog["bp_rp"] = catalog["mag"], 1.2 * catalog["color"]
    for name in ("sky", "sky_err", "n_sky", "area"):
        table[name] = np.zeros(60)
    for name, unit in (("ra_err", u.arcsec), ("dec_err", u.arcsec)):
        table[name] = np.zeros(60) * unit
    fit = calibrate_bands({"V": table}, catalog)["V"]
    assert abs(fit.zeropoint.color_term) > 3 * fit.zeropoint.color_term_err
    out = published(table, fit, catalog)
    np.testing.assert_array_equal(out["color"].value, catalog["color"].value)
    assert np.std((out["mag"] - catalog["mag"]).value) < 0.015
    # The same zero point from a header finds the same color by its name, and none of another name.
    again = BandCalibration(zeropoint=fit.zeropoint, reason="", matches=fit.matches)
    np.testing.assert_allclose(published(table, again, catalog)["mag"].value, out["mag"].value)
    other = BandCalibration(
        zeropoint=replace(fit.zeropoint, color_name="g-r"), reason="", matches=fit.matches
    )
    assert np.isnan(published(table, other, catalog)["color"].value).all()


def test_the_covariance_is_in_the_dataset_and_its_json():
    import xarray as xr

    table, catalog = measured()
    ds = xr.Dataset(
        {"image": (("band", "y", "x"), np.ones((2, 4, 5), "float32"), {"units": "electron / s"})},
        coords={"band": ["V", "Ha"]},
    )
    out = calibrate_photometry(ds, sources={"V": table, "Ha": table}, catalog=catalog)
    matrix = out["zeropoint_covariance"]
    assert (matrix.attrs["units"], matrix.attrs["terms"]) == ("mag2", "zeropoint color")
    told = json.loads(out["zeropoint"].attrs["details"])
    np.testing.assert_array_equal(matrix.values[0], told["V"]["covariance"])
    assert matrix.values[0, 0, 0] == pytest.approx(float(out["zeropoint_err"][0]) ** 2)
    assert np.isnan(matrix.values[1]).all()
    assert told["V"]["kind"] == "Vega"
    assert told["V"]["err_empirical"] == pytest.approx(told["V"]["err"], rel=0.5)
    assert "Ha" in told["Ha"]["reason"]


# --- real catalogs ------------------------------------------------------------------------------


def peer(inst, inst_err, cat, cat_err, color, color_err):
    """Return the maximum of the likelihood of BANZAI's model: zero point, color term, scatter."""
    from scipy.optimize import minimize

    near = np.abs(cat - inst - np.median(cat - inst)) < 5 * 1.4826 * np.median(
        np.abs(cat - inst - np.median(cat - inst))
    )

    def loss(p):
        variance = p[2] ** 2 + inst_err**2 + cat_err**2 + color_err**2
        return 0.5 * np.sum(((cat - inst - p[0] - p[1] * color) ** 2 / variance + np.log(variance))[near])

    return minimize(
        loss, [np.median(cat - inst), 0, 0.05], method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-6}
    ).x


@pytest.mark.parametrize(
    ("name", "band", "pair", "seconds", "published"),
    [
        ("cpt1m012-fa06-20200113-0102-matched-cat.fits", "i", "ri", 250.032, 23.1),
        ("ogg2m001-ep04-20201006-0097-matched-cat.fits", "g", "gr", 60.0, 25.15),
    ],
)
def test_zero_points_of_las_cumbres(name, band, pair, seconds, published):
    # The zero points that BANZAI's own test expects of these catalogs, within 0.1 mag; here within 0.03.
    t = Table.read(needs(f"reference/lco_zeropoint/{name}"), hdu=1)
    t = t[np.array(t["flux"]) > 0]
    inst = -2.5 * np.log10(np.array(t["flux"]) / seconds)
    inst_err = 1.0857 * np.abs(np.array(t["fluxerr"]) / np.array(t["flux"]))
    cat, cat_err = np.array(t[f"{band}mag"]), np.array(t[f"{band}magerr"])
    color = np.array(t[f"{pair[0]}mag"] - t[f"{pair[1]}mag"])
    fit, reason = fit_zeropoint(
        inst, inst_err, cat, cat_err, color, options=ZeroPointOptions(color_reference=0.0)
    )
    assert not reason
    assert fit.mag == pytest.approx(published, abs=0.03)
    color_err = np.hypot(t[f"{pair[0]}magerr"], t[f"{pair[1]}magerr"])
    zero, term, _ = peer(inst, inst_err, cat, cat_err, color, color_err)
    assert fit.mag == pytest.approx(zero, abs=2 * fit.err)
    assert fit.color_term == pytest.approx(term, abs=2 * fit.color_term_err)
    assert fit.err_empirical == pytest.approx(fit.err, rel=0.35)


def of_ey_uma(name):
    """Return a catalog cone around EY UMa in our columns."""
    t = Table.read(needs(f"catalogs/ey_uma/all_{name}_ey_uma.ecsv"))

    def value(column):
        return np.ma.filled(np.ma.asarray(t[column], float), np.nan)

    apass = name == "apass"
    out = QTable(meta={"catalog": "APASS DR9" if apass else "ATLAS-REFCAT2", "system": "Johnson V"})
    places = ("RAJ2000", "DEJ2000") if apass else ("RA_ICRS", "DE_ICRS")
    out["ra"], out["dec"] = (value(column) * u.deg for column in places)
    prime = "'" if apass else ""
    bands = [(band, f"{band}{prime}mag") for band in "gri"] + (
        [("B", "Bmag"), ("V", "Vmag")] if apass else []
    )
    for band, column in bands:
        err = value(f"e_{column}")
        out[f"mag_{band}"], out[f"mag_{band}_err"] = (
            value(column) * u.mag,
            np.where(err > 0, err, np.nan) * u.mag,
        )
    return out


def test_the_night_of_ey_uma_against_two_catalogs():
    # 3,854 magnitudes of a night in R of the Feder Observatory. Both catalogs give the same k, since it does
    # not rest on them; their zero points differ as the catalogs themselves differ star by star.
    t = Table.read(needs("catalogs/ey_uma/2014-12-29-ey-uma-9.fits"))
    places = QTable({"ra": np.array(t["RA"], float) * u.deg, "dec": np.array(t["Dec"], float) * u.deg})
    stars, first = np.unique(np.array(t["star_id"]), return_index=True)
    found, magnitudes = {}, {}
    for name in ("apass", "refcat2"):
        catalog = of_ey_uma(name)
        matches = match_catalog(places[first], catalog, 3.0)
        mags = catalog_magnitudes(catalog, "R", "SDSS r")
        mag, err, color = (np.full(len(stars), np.nan) for _ in range(3))
        mag[matches.source], err[matches.source] = mags.mag[matches.star], mags.mag_err[matches.star]
        color[matches.source] = mags.color[matches.star]
        at = np.searchsorted(stars, np.array(t["star_id"]))
        table = QTable(
            {"frame": np.array(t["file"]), "star": np.array(t["star_id"]), "airmass": t["airmass"]}
        )
        values = {
            "mag_inst": t["mag_inst_R"], "mag_inst_err": t["mag_error"], "mag_cat": mag[at],
            "mag_cat_err": err[at], "color": color[at],
        }  # fmt: skip
        for column, value in values.items():
            table[column] = np.array(value, float) * u.mag
        found[name], reason = fit_extinction(
            table, system="SDSS r", zeropoint=ZeroPointOptions(color_reference=0.5)
        )
        assert not reason
        magnitudes[name] = mag
    apass, refcat = found["apass"].zeropoint, found["refcat2"].zeropoint
    assert apass.extinction == pytest.approx(refcat.extinction, abs=1e-6)
    both = np.isfinite(magnitudes["apass"]) & np.isfinite(magnitudes["refcat2"])
    off = np.median((magnitudes["refcat2"] - magnitudes["apass"])[both])
    assert refcat.mag - apass.mag == pytest.approx(off, abs=2.5 * np.hypot(apass.err, refcat.err))
    assert 0.02 < off < 0.08  # APASS is brighter here by that much: Gaia and Pan-STARRS agree against it
    assert refcat.rms < 0.05


def test_a_cluster_with_missing_magnitudes_calibrates():
    # NGC 2420 (An et al. 2008): 3,071 stars, 99.999 where a band is missing. Instrumental g of its own stars,
    # made with a zero point, a color term and noise; the errors are the catalog's own, up to 0.3 mag.
    t = Table.read(needs("catalogs/An2008_NGC2420_ugriz.csv"))
    rng = np.random.default_rng(4)
    catalog = QTable(meta={"catalog": "An 2008, NGC 2420"})
    catalog["ra"], catalog["dec"] = np.array(t["ra"]) * u.deg, np.array(t["dec"]) * u.deg
    for band in "gri":
        catalog[f"mag_{band}"], catalog[f"mag_{band}_err"] = t[band] * u.mag, t[f"{band}Error"] * u.mag
    mags = catalog_magnitudes(catalog, "g", "SDSS g")
    assert 0 < (~np.isfinite(mags.color)).sum() < 600
    inst = mags.mag - 24.0 - 0.1 * (mags.color - 0.6) + rng.normal(0, np.hypot(mags.mag_err, 0.01))
    fit, reason = fit_zeropoint(
        inst, np.full(len(inst), 0.01), mags.mag, mags.mag_err, mags.color, color_name=mags.color_name,
        options=ZeroPointOptions(color_reference=0.6),
    )  # fmt: skip
    assert not reason
    assert fit.color_name == "g-r"
    assert fit.mag == pytest.approx(24.0, abs=3 * fit.err)
    assert fit.color_term == pytest.approx(0.1, abs=3 * fit.color_term_err)
    assert fit.err < 0.002
    assert fit.err_empirical == pytest.approx(fit.err, rel=0.2)

"""Extinction of a night from frames: on a table that is made up, and on a whole simulated night."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from typer.testing import CliRunner

from sciastro.astrometry.airmass import airmass
from sciastro.cli import app
from sciastro.io.reference import cone
from sciastro.recipe.photometry import PhotometryOptions
from sciastro.recipe.photometrynight import night_of
from sciastro.recipe.simulated import night_plan, write_night

SITE = (-22.0, -68.0, 2400.0)


def table_of(frames=12, zero=21.0, k=0.18, seed=3):
    """Return fluxes in V of embedded stars around M 35, from low to high in the sky."""
    rng = np.random.default_rng(seed)
    stars = cone(92.27, 24.34, 0.6)
    stars = stars[np.isfinite(stars["color"].value)][:60]
    n = len(stars)
    times = np.datetime64("2026-01-10T00:30:00") + np.arange(frames) * np.timedelta64(1200, "s")
    parts = []
    for number, time in enumerate(times, start=1):
        ra, dec = stars["ra"].value, stars["dec"].value
        mass = airmass(ra, dec, SITE[0], SITE[1], np.full(n, time))
        inst = stars["mag"].value - zero + k * mass + rng.normal(0, 0.005) + rng.normal(0, 0.004, n)
        parts.append((np.full(n, number), np.arange(1, n + 1), np.full(n, str(time)), ra, dec, inst))
    frame, row, time, ra, dec, inst = (np.concatenate(part) for part in zip(*parts, strict=True))
    flux = 10 ** (-0.4 * inst)
    return QTable(
        {"frame": frame, "id": row, "time": time, "ra": ra * u.deg, "dec": dec * u.deg,
         "flux": flux * u.electron / u.s, "flux_err": 0.004 * flux * u.electron / u.s,
         "mag_inst": inst * u.mag, "mag_inst_err": np.full(inst.size, 0.004) * u.mag,
         "flags": np.zeros(inst.size, np.uint32)}
    )  # fmt: skip


def test_a_table_of_frames_tells_the_extinction():
    found = night_of(table_of(), "V", SITE, PhotometryOptions())
    row = found.as_dict()
    assert row["extinction"] == pytest.approx(0.18, abs=3 * row["extinction_err"])
    assert row["extinction_err"] < 0.02
    above, err = row["above_atmosphere"]
    assert above == pytest.approx(21.0, abs=3 * err)
    assert row["zeropoint"]["terms"] == ("zeropoint", "color", "airmass")
    assert np.array(row["zeropoint"]["covariance"]).shape == (3, 3)


def test_what_a_night_cannot_tell_is_told():
    table = table_of()
    row = night_of(table, "V", None, PhotometryOptions()).as_dict()
    assert (row["extinction"], row["reason"][:37]) == (None, "no extinction: the airmass is unknown")
    row = night_of(table, "Ha", SITE, PhotometryOptions()).as_dict()
    assert "no magnitude for filter 'Ha'" in row["reason"]
    dark = table.copy()
    dark["flux"] = -dark["flux"]
    reason = night_of(dark, "V", SITE, PhotometryOptions()).reason
    assert "no catalog star is sound" in reason
    assert "--catalog" in reason
    nowhere = table.copy()
    nowhere["ra"] = np.nan * u.deg
    assert night_of(nowhere, "V", SITE, PhotometryOptions()).reason == "no position is known"
    fixed = night_of(table[table["frame"] < 4], "V", SITE, PhotometryOptions(extinction=0.2)).as_dict()
    assert "3 frames, 5 are needed" in fixed["reason"]
    assert fixed["zeropoint"]["extinction"] == 0.2


@pytest.mark.slow
def test_a_simulated_night_gives_back_its_extinction(tmp_path):
    # B: 0.25 mag per airmass, from 1.45 to 1.68, haze of 0.5 per cent from frame to frame.
    plan = {
        "telescope.focal_length": 150.0, "telescope.aperture": 22.0, "seeing": 10.0, "sky.least_density": 0.0,
        "sky.faintest": 13.0, "lights": 12, "biases": 3, "bands": "B", "exposure": 1200.0, "haze": 0.005,
        "latitude": -22.0,
    }  # fmt: skip
    write_night(night_plan("tiny", plan), tmp_path / "night")
    run = CliRunner().invoke
    done = run(app, ["reduce", str(tmp_path / "night"), "-o", str(tmp_path / "out"), "--until", "photometry",
                     "--bunit", "nJy", "-q"])  # fmt: skip
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    product = summary["products"][0]
    assert (tmp_path / "out" / product["physical"]["image"]).is_file()
    assert product["physical"]["unit"] == "nJy"
    assert 15 < product["sky_mag_arcsec2"] < 24
    assert product["zeropoint"]["covariance"][0][0] == pytest.approx(product["zeropoint"]["err"] ** 2)
    done = run(app, ["photometry", str(tmp_path / "out"), "--frames", "-o", str(tmp_path / "p"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "p" / "photometry.json").read_text())
    night = next(row["night"] for row in told["images"] if row.get("night"))
    assert night["extinction"] == pytest.approx(0.25, abs=2.5 * night["extinction_err"])
    assert night["extinction_err"] < 0.02
    assert (tmp_path / "p" / "Tiny_B_frames_night.ecsv").is_file()

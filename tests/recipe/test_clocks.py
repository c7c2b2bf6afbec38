from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from session_frames import frame
from small_nights import command, edit, frames, make_night, reduce

from sciastro.errors import OptionError
from sciastro.recipe.clocks import backward_steps, site_from_text, site_of
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.session import ScanOptions

START = datetime(2024, 10, 27, 0, 50, tzinfo=UTC)


def row(*minutes):
    return [
        replace(frame("light"), path=f"lights/M31_{i:04d}.fits", time=START + timedelta(minutes=m))
        for i, m in enumerate(minutes)
    ]


def test_a_clock_that_was_set_back_shows():
    frames = row(0, 5, -50, -45)
    assert backward_steps(frames) == [("lights/M31_0001.fits", "lights/M31_0002.fits")]
    assert backward_steps(row(0, 5, 10)) == []
    other = [replace(one, filter="Ha") for one in row(-90, -80)]
    assert backward_steps([*row(0, 5), *other]) == []


def test_sites():
    assert site_from_text("") is None
    assert site_from_text("28.3, -16.5, 2390") == (28.3, -16.5, 2390.0)
    assert site_from_text("28.3 -16.5") == (28.3, -16.5, None)
    for bad in ("here", "1", "95, 0", "1,2,3,4"):
        with pytest.raises(OptionError):
            site_from_text(bad)
    here, there = (
        replace(frame("light"), site=(50.0, 8.0, 100.0)),
        replace(frame("light"), site=(1.0, 2.0, None)),
    )
    assert site_of([here, here]).height == 100.0
    assert site_of([here, there]) is None
    assert site_of([frame("bias")]) is None


def test_frames_and_products_have_barycentric_times(tmp_path):
    out = reduce(make_night(tmp_path / "night"), tmp_path / "out", "--keep", "calibrated").out
    with xr.open_dataset(out / "frames.h5", group="lights_0") as ds:
        assert ds["time"].attrs["scale"] == "utc"
        bjd, attrs = ds["bjd_tdb"].values, ds["bjd_tdb"].attrs
        jd = ds["time"].values.astype("M8[us]").astype(float) / 86400e6 + 2440587.5
    assert abs(bjd - jd).max() * 86400 < 500 + 70
    assert (abs(bjd - jd) * 86400 > 1).all()
    assert attrs["units"] == "d"
    assert attrs["scale"] == "tdb"
    assert attrs["site"].startswith("latitude 28.3")
    assert "RA " in attrs["coordinate"]
    product = next((out / "products").glob("*_G.fits"))
    header = fits.getheader(product)
    assert header["TIMESYS"] == "UTC"
    assert header["TREFPOS"] == "TOPOCENTER"
    assert header["DATE-BEG"] < header["DATE-AVG"] < header["DATE-END"]
    assert header["TELAPSE"] > 0
    assert bjd.min() - 0.001 < header["BJD_TDB"] < bjd.max() + 0.001
    exported = sorted(fits.getheader(path)["BJD_TDB"] for path in (out / "calibrated").glob("*.fits"))
    assert abs(np.array(exported) - np.sort(bjd)).max() * 86400 < 2  # dithered by some arcminutes


def test_the_site_of_the_user_is_kept_in_the_recipe(tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text('[site]\nplace = "28.3, -16.5, 2390"\n')
    monkeypatch.setenv("SCIASTRO_CONFIG", str(tmp_path / "config.toml"))
    assert load_recipe(None, []).of(ScanOptions).site == "28.3, -16.5, 2390"
    assert load_recipe(None, ["scan.site=1, 2"]).of(ScanOptions).site == "1, 2"
    (tmp_path / "recipe.toml").write_text("schema = 1\n")
    assert load_recipe(tmp_path / "recipe.toml", []).of(ScanOptions).site == ""


def test_doctor_tells_of_a_clock_that_went_back(tmp_path):
    night = make_night(tmp_path / "night")
    last = frames(night, "LIGHT")[-1]
    with fits.open(last) as hdus:
        start = datetime.fromisoformat(hdus[0].header["DATE-OBS"])
    edit(last, DATE_OBS=(start - timedelta(hours=1)).isoformat(), DATE_AVG=None)
    assert "clock went back" in " ".join(command("doctor", night).output.split())

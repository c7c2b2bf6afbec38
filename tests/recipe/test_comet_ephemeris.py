"""A stack along an ephemeris: a target of curved motion stays sharp and keeps its light."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from astropy.io import fits
from small_nights import reduce

from sciastro.core.wcs import celestial_from_header
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate import camera
from sciastro.simulate.comet import CometOptions, add_comet, comet_place
from sciastro.simulate.plan import middle_of, schedule
from sciastro.simulate.psf import Psf
from sciastro.simulate.truth import Truth

PLAN = {
    "telescope.focal_length": 150.0, "telescope.aperture": 60.0, "seeing": 12.9, "flip": False,
    "sky.least_density": 100.0, "sky.faintest": 13.5, "lights": 8, "biases": 3, "bands": "R",
    "exposure": 120.0, "sky.gradient": 0.0, "seeing_scatter": 0.02, "camera.vignetting": 0.0,
    "camera.dust": 0, "haze": 0.0, "comet.present": True, "comet.rate": 500.0, "comet.curve": 8000.0,
    "comet.mag": 20.0, "comet.nucleus": 10.5, "comet.coma": 30.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curved")
    write_night(night_plan("tiny", PLAN), folder / "night")
    return folder, Truth.load(folder / "night").plan


def ephemeris(path, plan, *, minutes=5, hours=0.5):
    """Write places every few minutes, as MPC text."""
    lines, middle = [], middle_of(plan)
    for k in range(int(-60 * hours / minutes), int(60 * hours / minutes) + 1):
        when = (middle + timedelta(minutes=minutes * k)).replace(second=0, microsecond=0)
        ra, dec = comet_place(plan.comet, plan.ra, plan.dec, middle, when)
        lines.append(f"{when.isoformat()},{ra:.8f},{dec:.8f}")
    path.write_text("time,ra,dec\n" + "\n".join(lines), encoding="utf-8")
    return path


def aperture(image, x, y, radius):
    v, u = np.indices(image.shape)
    distance = np.hypot(u - x, v - y)
    ring = (distance > 15) & (distance < 25)
    return float(np.nansum((image - np.nanmedian(image[ring]))[distance < radius]))


def test_a_curved_way_stays_sharp(night, tmp_path):
    folder, plan = night
    path = ephemeris(tmp_path / "e.csv", plan)
    out = reduce(  # the sharpest interpolation: what is looked for is what the way blurs
        folder / "night", tmp_path / "out", "--set", "comet.enabled=true", "--set", f"comet.ephemeris={path}",
        "--set", "stack.kernel=lanczos3",
    )  # fmt: skip
    assert out.code == 0, out.told
    with fits.open(out.out / "products/Tiny_R_comet.fits") as hdus:
        image, wcs = hdus["SCI"].data.astype(float), celestial_from_header(hdus["SCI"].header)
    # Where it was on the frame whose grid the image has.
    center = wcs.pixel_to_world(159.5, 127.5)
    lights = [one for one in schedule(plan) if one.kind == "light"]
    spec = min(lights, key=lambda s: np.hypot(s.geometry.ra - center.ra.deg, s.geometry.dec - center.dec.deg))
    places = [
        comet_place(plan.comet, plan.ra, plan.dec, middle_of(plan), one.start + timedelta(seconds=60))
        for one in lights
    ]
    x, y = (np.array(v) for v in wcs.world_to_pixel_values(*np.array(places).T))
    line = (
        np.polynomial.Polynomial.fit(np.arange(8), y, 1)(np.arange(8)),
        np.polynomial.Polynomial.fit(np.arange(8), x, 1)(np.arange(8)),
    )
    assert np.hypot(x - line[1], y - line[0]).max() > 4.0  # a straight line would smear it
    at = x[lights.index(spec)], y[lights.index(spec)]
    light = np.zeros(spec.geometry.shape, np.float32)
    psf = Psf(fwhm=spec.fwhm, options=plan.psf)
    when = spec.start + timedelta(seconds=60)
    where = comet_place(plan.comet, plan.ra, plan.dec, middle_of(plan), when)
    add_comet(light, plan.comet, where, spec.geometry, ("R",), plan.telescope, psf, camera.phase_of(""))
    truth = light * spec.transparency
    for radius in (2.5, 4.0, 8.0):  # sharp, and all of its light
        assert aperture(image, *at, radius) == pytest.approx(aperture(truth, *at, radius), rel=0.04), radius
    # Stars are off the comet's image: nothing as bright as its core is left elsewhere.
    v, u = np.indices(image.shape)
    far = (np.hypot(u - at[0], v - at[1]) > 30) & (u > 20) & (u < 300) & (v > 20) & (v < 236)
    assert np.nanmax(image[far]) < 0.25 * np.nanmax(image[~far])


@pytest.mark.parametrize(
    ("settings", "said"),
    [(("comet.ephemeris={short}",), "covers"), (("comet.ephemeris=none.csv",), "cannot be read"),
     (("comet.ephemeris={path}", "comet.rate=10", "comet.angle=1"), "besides its motion or places")],
)  # fmt: skip
def test_ephemerides_that_do_not_serve(night, tmp_path, settings, said):
    folder, plan = night
    names = {
        "path": ephemeris(tmp_path / "e.csv", plan),
        "short": ephemeris(tmp_path / "s.csv", plan, minutes=1, hours=0.04),
    }
    chosen = [part for one in settings for part in ("--set", one.format(**names))]
    out = reduce(folder / "night", tmp_path / "out", "--set", "comet.enabled=true", *chosen)
    assert out.code in (2, 3)
    assert said in out.told
    assert not list((tmp_path / "out").glob("**/*"))  # refused before it has begun


def test_an_ephemeris_of_something_else_is_told(night, tmp_path):
    folder, _ = night
    middle = datetime(2024, 1, 13, 0, tzinfo=UTC)
    rows = [
        f"{(middle + timedelta(hours=6 * k)).replace(tzinfo=None).isoformat()},{200 + k},-40"
        for k in range(12)
    ]
    (tmp_path / "e.csv").write_text("time,ra,dec\n" + "\n".join(rows), encoding="utf-8")
    out = reduce(
        folder / "night",
        tmp_path / "out",
        "--set",
        "comet.enabled=true",
        "--set",
        f"comet.ephemeris={tmp_path / 'e.csv'}",
    )
    assert any("outside of the frames" in text for text in out.summary["warnings"])
    assert [row["image"] for row in out.summary["products"]] == ["products/Tiny_R.fits"]


def test_the_curve_of_a_simulated_comet():
    # 3600 arcsec / h2 to the left of a motion to the north (toward west, PA 270... left of north is west):
    # seen on the sky with north up, east is left; left of the motion is east.
    middle = datetime(2024, 1, 1, tzinfo=UTC)
    options = CometOptions(rate=0.0, angle=0.0, curve=7200.0)
    ra, dec = comet_place(options, 10.0, 0.0, middle, middle + timedelta(hours=1))
    assert (ra, dec) == (pytest.approx(11.0, abs=1e-3), pytest.approx(0.0, abs=1e-6))

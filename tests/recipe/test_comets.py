"""Comet mode: stars and comet both sharp, and both as bright as in truth."""

from datetime import timedelta

import numpy as np
import pytest
from astropy.io import fits
from small_nights import reduce

from sciastro.core.wcs import celestial_from_header
from sciastro.measure.stars import measure_plane
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate import camera
from sciastro.simulate.comet import add_comet, comet_place
from sciastro.simulate.plan import middle_of, schedule
from sciastro.simulate.psf import Psf
from sciastro.simulate.truth import Truth

PLAN = {
    "telescope.focal_length": 150.0, "telescope.aperture": 60.0, "seeing": 12.9, "flip": False,
    "sky.least_density": 100.0, "sky.faintest": 13.5, "lights": 8, "biases": 3, "bands": "R",
    "exposure": 120.0, "sky.gradient": 0.0, "seeing_scatter": 0.02, "camera.vignetting": 0.0,
    "camera.dust": 0, "haze": 0.0,
}  # fmt: skip
COMET = {
    "comet.present": True, "comet.rate": 800.0, "comet.mag": 8.5, "comet.nucleus": 11.0, "comet.coma": 30.0,
    "comet.tail": 150.0, "comet.tail_share": 0.2,
}  # fmt: skip


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comet")
    write_night(night_plan("tiny", {**PLAN, **COMET}), folder / "night")
    write_night(night_plan("tiny", PLAN), folder / "without")
    comet = reduce(folder / "night", folder / "out", "--set", "comet.enabled=true")
    plain = reduce(folder / "without", folder / "plain")
    return folder, comet, plain


def planes(path):
    with fits.open(path) as hdus:
        return hdus["SCI"].data.astype(float), hdus["DQ"].data, celestial_from_header(hdus["SCI"].header)


def true_comet(folder, wcs):
    """Return the comet alone on the image's own grid, as it was on that frame, and where it is."""
    truth = Truth.load(folder / "night")
    center = wcs.pixel_to_world(159.5, 127.5)
    seen = {spec.start: spec for spec in schedule(truth.plan) if spec.kind == "light"}
    spec = min(
        seen.values(),
        key=lambda one: np.hypot(one.geometry.ra - center.ra.deg, one.geometry.dec - center.dec.deg),
    )
    light = np.zeros(spec.geometry.shape, np.float32)
    when = spec.start + timedelta(seconds=spec.exposure / 2)
    where = comet_place(truth.plan.comet, truth.plan.ra, truth.plan.dec, middle_of(truth.plan), when)
    psf = Psf(fwhm=spec.fwhm, options=truth.plan.psf)
    add_comet(
        light, truth.plan.comet, where, spec.geometry, ("R",), truth.plan.telescope, psf, camera.phase_of("")
    )
    return light * spec.transparency, where


def aperture(image, x, y, radius):
    v, u = np.indices(image.shape)
    distance = np.hypot(u - x, v - y)
    ring = (distance > 30) & (distance < 40)
    return float(np.nansum((image - np.nanmedian(image[ring]))[distance < radius]))


def test_it_is_found_without_help_and_all_is_written(nights):
    _, comet, _ = nights
    assert comet.code == 0, comet.told
    shows = {row.get("shows", "both"): row["image"] for row in comet.summary["products"]}
    assert shows == {
        "both": "products/Tiny_R.fits", "stars": "products/Tiny_R_stars.fits",
        "comet": "products/Tiny_R_comet.fits",
    }  # fmt: skip
    assert not comet.summary["warnings"] or "comet" not in " ".join(comet.summary["warnings"])


def test_the_nucleus_is_sharp_and_the_stars_stay_so(nights):
    folder, _, plain = nights
    image, quality, _ = planes(folder / "out/products/Tiny_R.fits")
    still, flags, _ = planes(plain.out / "products/Tiny_R.fits")
    both, alone = (measure_plane(one.astype(np.float32), q) for one, q in ((image, quality), (still, flags)))
    assert both.fwhm == pytest.approx(alone.fwhm, rel=0.03)
    comet, _, wcs = planes(folder / "out/products/Tiny_R_comet.fits")
    truth, where = true_comet(folder, wcs)
    x, y = (float(v) for v in wcs.world_to_pixel_values(*where))
    # The motion is 21 pixels over the night. What the core holds of the light tells how sharp it is.
    got, want = (aperture(one, x, y, 3.0) / aperture(one, x, y, 12.0) for one in (comet, truth))
    assert got == pytest.approx(want, rel=0.04)


def test_comet_and_stars_have_their_light(nights):
    folder, _, plain = nights
    comet, _, wcs = planes(folder / "out/products/Tiny_R_comet.fits")
    truth, where = true_comet(folder, wcs)
    x, y = (float(v) for v in wcs.world_to_pixel_values(*where))
    found = measure_plane(comet.astype(np.float32), np.where(np.isfinite(comet), 0, 1).astype(np.uint16))
    nucleus = found.stars[np.argmin(np.hypot(found.stars["x"] - x, found.stars["y"] - y))]
    assert np.hypot(nucleus["x"] - x, nucleus["y"] - y) < 0.3
    for radius in (3.0, 6.0, 12.0):
        assert aperture(comet, x, y, radius) == pytest.approx(aperture(truth, x, y, radius), rel=0.02), radius
    stars, quality, _ = planes(folder / "out/products/Tiny_R_stars.fits")
    still, flags, _ = planes(plain.out / "products/Tiny_R.fits")
    one, two = (measure_plane(p.astype(np.float32), q).stars for p, q in ((stars, quality), (still, flags)))
    pairs = [
        (a, two[np.argmin(np.hypot(two["x"] - a["x"], two["y"] - a["y"]))]) for a in one if a["snr"] > 30
    ]
    ratios = np.array(
        [a["flux"] / b["flux"] for a, b in pairs if np.hypot(a["x"] - b["x"], a["y"] - b["y"]) < 1]
    )
    assert ratios.size >= 15
    assert np.median(ratios) == pytest.approx(1.0, abs=0.01)


def test_a_place_on_two_frames_is_as_good(nights, tmp_path):
    folder, _, _ = nights
    out = reduce(folder / "night", tmp_path / "out", "--set", "comet.enabled=true", "--set", "comet.first=12")
    assert out.code == 2
    assert "Write raw pixels as X,Y" in out.told


def test_a_place_outside_of_the_frame_is_refused(nights, tmp_path):
    folder, _, _ = nights
    places = ("--set", "comet.first=9999,9999", "--set", "comet.last=10,10")
    out = reduce(folder / "night", tmp_path / "out", "--set", "comet.enabled=true", *places)
    assert out.code == 2
    assert "comet.first: is 9999,9999, outside of" in out.told
    assert "Give raw pixels from 0,0 to 319,255." in out.told
    assert not list((tmp_path / "out").glob("**/*"))  # refused before it has begun


def test_without_a_comet_the_stars_are_stacked_and_it_is_said(nights, tmp_path):
    folder, _, _ = nights
    out = reduce(folder / "without", tmp_path / "out", "--set", "comet.enabled=true")
    assert any("the comet was not found" in text for text in out.summary["warnings"])
    assert [row["image"] for row in out.summary["products"]] == ["products/Tiny_R.fits"]


def test_a_comet_that_chance_may_have_made_is_doubted(tmp_path):
    write_night(night_plan("tiny", {}), tmp_path / "night")
    out = reduce(tmp_path / "night", tmp_path / "out", "--set", "comet.enabled=true")
    told = " ".join(out.summary["warnings"])
    assert "seen on 3 of 4 frames, and chance makes about" in told and "comet.rate" in told

"""A night that does not say where it looks is found by its stars; if it cannot be, it goes on unsolved."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from small_nights import frames, reduce, repaint

pytestmark = pytest.mark.whole_sky

POINTING = (
    "RA",
    "DEC",
    "OBJCTRA",
    "OBJCTDEC",
    "FOCALLEN",
    "XPIXSZ",
    "YPIXSZ",
    "PIXSIZE",
    "SCALE",
    "PIXSCALE",
)

MEMORY = ("--memory", "6GB")  # what earlier tests left in this process counts as well
ANY_MACHINE = (*MEMORY, "--set", "solve.blind_seconds=300")


def silence(night, keep=()):
    """Take what tells place and scale out of the lights; return where they looked."""
    places = []
    for path in frames(night, "LIGHT"):
        with fits.open(path, mode="update") as hdus:
            header = hdus[0].header
            places.append((float(header["RA"]), float(header["DEC"])))
            for key in POINTING:
                if key not in keep:
                    header.remove(key, ignore_missing=True)
    return np.mean(places, axis=0)


def check(done, place):
    assert done.code == 0, done.told
    for product in done.summary["products"]:
        ra, dec = product["wcs"]["center_deg"]
        assert np.hypot((ra - place[0]) * np.cos(np.radians(dec)), dec - place[1]) < 0.05
    (first, *_) = (text for text in done.summary["warnings"] if "found by its stars alone" in text)
    return first


def test_a_night_without_pointing_and_scale_is_found(night, tmp_path):
    place = silence(night)
    done = reduce(night, tmp_path / "out", *ANY_MACHINE)
    text = check(done, place)
    airmass = Table.read(done.out / "quality.ecsv")["airmass"]
    assert np.all(np.abs(airmass - 1.0021) < 1e-3)  # of the place that was found
    assert "neither headers nor options say where the field is" in text


@pytest.mark.slow
def test_a_wrong_hint_is_told(night, tmp_path):
    place = silence(night)
    done = reduce(night, tmp_path / "out", "--ra", "200", "--dec", "-45", "--scale", "5.3", *ANY_MACHINE)
    assert "the field is not solved" in check(done, place)


@pytest.mark.parametrize("seconds", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_night_that_cannot_be_found_goes_on(night, tmp_path, seconds):
    silence(night)
    rng = np.random.default_rng(3)
    where = rng.permutation(256 * 320)  # the same in every frame: stars of no sky

    def shuffled(pixels):
        cells = pixels.reshape(32, 8, 40, 8).swapaxes(1, 2).reshape(-1, 8, 8)
        order = np.argsort(where[: len(cells)])
        return cells[order].reshape(32, 40, 8, 8).swapaxes(1, 2).reshape(256, 320)

    for path in frames(night, "LIGHT"):
        repaint(path, shuffled)
    done = reduce(night, tmp_path / "out", *MEMORY, "--set", f"solve.blind_seconds={seconds}")
    assert done.code == 4 and done.summary["status"] == "partial"
    (text, *_) = (one for one in done.summary["warnings"] if "no world coordinates" in one)
    assert ("by its stars alone" in text) == (seconds > 0)
    assert all(product["wcs"] is None or not product["wcs"] for product in done.summary["products"])

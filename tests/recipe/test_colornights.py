"""Whole nights of a color sensor of known response under known air, from raw frames to gains."""

import numpy as np
import pytest
from small_nights import reduce

from sciastro.io.reference import cone
from sciastro.photometry.atmosphere import air
from sciastro.photometry.bandpass import load
from sciastro.photometry.locus import bp_rp_from, locus_photons
from sciastro.photometry.response import make_response, photons_of
from sciastro.photometry.spectra import white_spectrum
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate import night

FACTORS = np.array([0.75, 1.0, 0.6])
PLAN = {
    "bands": "OSC", "telescope.focal_length": 180.0, "telescope.aperture": 70.0, "seeing": 13.5,
    "camera.rows": 500, "camera.columns": 700, "camera.cfa": "RGGB", "lights": 4, "biases": 5,
    "sky.faintest": 11.5, "sky.least_density": 0.0, "ra": 92.27, "dec": 24.35,
}  # fmt: skip


def response():
    """Return the camera as it is: our Bayer shapes behind air, with factors of its own."""
    return make_response({band: load(f"bayer_{band}") for band in "RGB"}, air(1.3))


def rates(bands, mag, color, telescope):
    """Return electrons / s of stars of the locus through that camera, (star, band)."""
    assert bands == ("OSC-R", "OSC-G", "OSC-B")
    hue = bp_rp_from(np.clip(np.nan_to_num(np.asarray(color, float), nan=0.65), -0.25, 1.4))
    light = np.exp(response().log_light(locus_photons(hue))) * FACTORS
    return 2e8 * 10 ** (-0.4 * np.asarray(mag, float))[:, None] * light / light[:, [1]]


def known_stars(ra, dec, radius, epoch):
    """Return catalog stars whose color the locus knows."""
    stars = cone(ra, dec, radius, epoch=epoch)
    hue = stars["color"].value
    return stars[np.isfinite(hue) & (hue > -0.2) & (hue < 1.35)]


def color_night(folder, seed, monkeypatch):
    monkeypatch.setattr(night, "star_rates", rates)
    plan = night_plan("tiny", {**PLAN, "seed": seed})
    write_night(plan, folder / "night", stars=known_stars)
    table = known_stars(92.27, 24.35, 2.0, 2016.0)[["id", "ra", "dec", "mag", "color"]]
    table.rename_columns(["mag", "color"], ["V", "B-V"])
    table.write(folder / "stars.ecsv", overwrite=True)
    return folder / "night", folder / "stars.ecsv"


def true_gains(white="G2V"):
    light = np.exp(response().log_light(photons_of(white_spectrum(white))[None])[0]) * FACTORS
    return light[1] / light


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_gains_of_whole_nights(tmp_path, monkeypatch, seed):
    session, catalog = color_night(tmp_path, seed, monkeypatch)
    outcome = reduce(
        session, tmp_path / "out", "--catalog", str(catalog), "--sensor", "bayer", until="photometry"
    )
    record = outcome.summary["colors"][0]
    off = np.array(record["gains"]) / true_gains() - 1
    err = np.array(record["errors"]) / np.array(record["gains"])
    assert record["n_stars"] >= 20
    assert np.abs(off).max() < 0.005 + 2 * err.max()
    assert (np.abs(off[[0, 2]]) < 3 * err[[0, 2]]).all()
    print(seed, record["n_stars"], record["stage"], off, err)  # noqa: T201
